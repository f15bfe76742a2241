"""Every shipped file loads, and every fault in one is a line that says where it is and what is allowed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from configs.codebook import Codebook
from configs.errors import InputError
from configs.load import SHIPPED, load_codebook, load_study, parse_overrides, shipped
from configs.placebo import PLACEBO
from configs.schema import CONTROL

MINIMAL = """\
name: small
title: Small
ratings: {folder: export, codebooks: [survey-app-en]}
dimensions: {toxicity: {title: Toxicity, better: lower}}
scales: {5-point: [1, 2, 3, 4, 5]}
evaluation: {dimensions: [toxicity]}
"""


def write(folder: Path, text: str, name: str = "study.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def fault(name: str, overrides: dict[str, Any] | None = None) -> str:
    """The message that loading a study ends in, which must be one line."""
    with pytest.raises(InputError) as caught:
        load_study(name, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- what ships


@pytest.mark.parametrize("name", shipped("studies"))
def test_every_shipped_study_loads_under_its_own_name(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    for codebook in study.ratings.codebooks:
        assert set(study.dimensions) <= set(load_codebook(codebook).ratings.dimensions)


@pytest.mark.parametrize("name", shipped("codebooks"))
def test_every_shipped_codebook_loads_under_its_own_name(name: str) -> None:
    codebook = load_codebook(name)
    assert isinstance(codebook, Codebook)
    assert codebook.name == name


@pytest.mark.parametrize("name", shipped("architectures"))
def test_every_shipped_architecture_loads_under_its_own_name(name: str) -> None:
    assert [architecture.name for architecture in load_study("demo", {"architectures": [name]}).architectures] == [name]


@pytest.mark.parametrize("name", shipped("recipes"))
def test_every_shipped_recipe_loads(name: str) -> None:
    assert load_study("demo", {"recipe": name}).recipe.max_new_tokens > 0


@pytest.mark.parametrize("name", ["paper", "demo"])
def test_the_papers_grid_has_four_experiments_18_conditions_and_seven_architectures(name: str) -> None:
    study = load_study(name)
    conditions = {key: len(experiment.conditions) for key, experiment in study.experiments.items()}
    ours = {"methods": 2} | ({"placebo": 2} if name == "demo" else {})  # beside the paper's
    assert conditions == {"demographics": 6, "scale": 3, "disagreement": 5, "optimisation": 4} | ours
    assert not any(item.published for key in ours for item in study.experiments[key].contrasts.values())
    assert len(study.architectures) == 7
    for experiment in study.experiments.values():
        sides = {side for contrast in experiment.contrasts for side in contrast.sides}
        assert sides - {CONTROL} == set(experiment.conditions)  # none is trained for nothing


# ---- layers


def test_a_study_that_extends_another_keeps_what_it_does_not_name() -> None:
    paper, demo = load_study("paper"), load_study("demo")
    assert {name: item for name, item in demo.experiments.items() if name != PLACEBO} == paper.experiments
    assert demo.ratings.simulate is not None
    assert demo.ratings.folder is None  # a choice between alternatives is replaced whole
    assert demo.judge.kind == "embedded"


def test_overrides_reach_any_depth_and_leave_the_rest() -> None:
    items = ["recipe.dpo.epochs=2", "architectures=[tiny-llama]", "experiments.scale.conditions.binary.method=grpo"]
    study = load_study("demo", parse_overrides(items))
    plain = load_study("demo")
    assert study.recipe.dpo == plain.recipe.dpo.model_copy(update={"epochs": 2.0})
    assert [architecture.name for architecture in study.architectures] == ["tiny-llama"]
    assert study.experiments["scale"].conditions["binary"].method == "grpo"
    assert study.experiments["disagreement"] == plain.experiments["disagreement"]


def test_overrides_take_yaml_values_and_keep_equals_signs_in_them() -> None:
    assert parse_overrides(["a.b=[1, null]", "c=x=y", "d="]) == {"a.b": [1, None], "c": "x=y", "d": None}


def test_a_key_of_the_recipe_leaves_the_rest_of_the_named_recipe_as_it_is(tmp_path: Path) -> None:
    own = load_study(write(tmp_path, "extends: demo\nname: own\nrecipe: {dpo: {batch_size: 16}}")).recipe
    named = load_study("demo").recipe
    assert own == named.model_copy(update={"dpo": named.dpo.model_copy(update={"batch_size": 16})})


def test_an_experiment_that_extends_another_differs_only_in_what_it_gives() -> None:
    study = load_study("budget")
    assert set(study.experiments) == {"scale", "disagreement", "scale-steps", "disagreement-steps"}  # null leaves out
    plain, steps = study.experiments["scale"], study.experiments["scale-steps"]
    assert steps == plain.model_copy(update={"title": steps.title, "budget": "steps", "extends": "scale"})


def test_an_experiment_that_is_left_out_is_left_out_of_those_with_replicates() -> None:
    asked = {"raters": {"replicates": 2, "experiments": ["scale", "demographics"]}}
    assert load_study("demo", asked | {"experiments.scale": None}).raters.experiments == ("demographics",)
    assert PLACEBO not in load_study("demo", {"placebo": 0}).experiments  # though its replicates are asked for
    with pytest.raises(InputError, match=r"raters\.experiments: unknown 'nope'"):
        load_study("demo", {"raters.experiments": ["nope"]})


def test_an_override_of_the_extended_experiment_reaches_the_one_that_extends_it() -> None:
    study = load_study("budget", {"experiments.scale.conditions.binary.method": "grpo"})
    assert study.experiments["scale-steps"].conditions["binary"].method == "grpo"


def test_an_experiment_can_only_extend_another_one_of_the_study() -> None:
    with pytest.raises(InputError, match=r"^budget: experiments\.scale-steps\.extends: unknown 'size'; allowed: scale"):
        load_study("budget", {"experiments.scale-steps.extends": "size"})
    with pytest.raises(InputError, match=r"experiments\.\S+ extends itself: \S+ -> \S+ -> \S+"):
        load_study("budget", {"experiments.scale.extends": "scale-steps"})


def test_settings_are_frozen() -> None:
    study = load_study("demo")
    with pytest.raises(ValidationError, match="frozen"):
        study.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        study.recipe.dpo.beta = 1.0


# ---- keys that have another name now


OLD = """
extends: demo
name: old
experiments:
  optimisation: {conditions: {grpo-toxicity-ea: {optimiser: dpo}}}
  scale: {conditions: {binary: {optimiser: grpo}}}
"""


def test_an_old_name_is_read_and_one_line_says_what_to_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, OLD)
    study = load_study(path)
    assert study.experiments["scale"].conditions["binary"].method == "grpo"
    assert study.experiments["optimisation"].conditions["grpo-toxicity-ea"].method == "dpo"  # over the shipped `method`
    load_study(path)
    assert caplog.messages == [f"{path}: optimiser is called method now; write method: instead of optimiser:"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("experiments.scale.conditions.binary.optimiser", "grpo"),
        ("experiments.scale.conditions.binary", {"dimensions": ["toxicity"], "scale": "binary", "optimiser": "grpo"}),
    ],
)
def test_an_old_name_is_read_in_an_override_too(key: str, value: Any) -> None:
    assert load_study("demo", {key: value}).experiments["scale"].conditions["binary"].method == "grpo"


def test_a_key_by_both_its_names_is_refused(tmp_path: Path) -> None:
    text = OLD.replace("optimiser: grpo", "optimiser: grpo, method: dpo")
    message = "experiments.scale.conditions.binary: optimiser is called method now; give method alone"
    assert message in fault(write(tmp_path, text))
    binary = "experiments.scale.conditions.binary"
    assert "optimiser is called method now" in fault("demo", {f"{binary}.optimiser": "grpo", f"{binary}.method": "dpo"})
    assert "optimiser is called method now" in fault("demo", {f"{binary}.method": "grpo", f"{binary}.optimiser": "dpo"})


def test_settings_without_any_method_say_what_to_import() -> None:
    code = "from configs.load import load_study; load_study('demo')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no training method is known yet: import tasks.methods before settings are read" in run.stderr


# ---- faults


@pytest.mark.parametrize(
    ("key", "value", "place", "allowed"),
    [
        ("sed", 1, "unknown key 'sed'", "allowed: name, title, seed"),
        ("recipe.dpo.epoch", 1, "recipe.dpo: unknown key 'epoch'", "epochs"),
        ("experiments.scale.conditions.binary.scales", "binary", "experiments.scale.conditions.binary", "scale,"),
        ("experiments.scale.conditions.binary.dimensions", ["humour"], "binary.dimensions: unknown 'humour'",
         "toxicity, stereotypical-bias, emotional-awareness, sensitivity, helpfulness"),
        ("experiments.demographics.conditions.male.stratum", "men", "male.stratum: unknown 'men'", "female, male"),
        ("experiments.scale.conditions.binary.scale", "2-point", "binary.scale: unknown '2-point'", "3-point, binary"),
        ("experiments.scale.conditions.binary.aggregation", "median", "conditions.binary.aggregation", "'majority'"),
        ("experiments.scale.contrasts", {"binary - 4-point": {}}, "contrasts.binary - 4-point: unknown '4-point'",
         "5-point, 3-point, binary, control"),
        ("experiments.demographics.contrasts", {"female - male": {"focus": ["helpfulness"]}}, "unknown 'helpfulness'",
         "toxicity, emotional-awareness"),
        ("evaluation.dimensions", ["humour"], "evaluation.dimensions: unknown 'humour'", "toxicity, "),
        ("architectures", ["tiny-bert"], "architectures: unknown 'tiny-bert'", "tiny-llama"),
        ("recipe", "huge", "recipes: unknown 'huge'", "full, small, small-cpu, tiny"),
        ("judge", {"kind": "oracle"}, "judge", "'embedded', 'llm'"),
        ("experiments.scale.conditions.binary.method", "rlhf", "conditions.binary.method: unknown 'rlhf'", "dpo, grpo"),
        ("recipe.rlhf.epochs", 1, "recipe: unknown key 'rlhf'", "pretraining, dpo, grpo"),
        ("recipe.grpo.group_size", 1, "recipe.grpo.group_size: Input should be greater than or equal to 2", "got 1"),
        ("seed", "abc", "seed: Input should be a valid integer", "got 'abc'"),
        ("evaluation.share", 1.5, "evaluation.share: Input should be less than 1", "got 1.5"),
        ("recipe.lora.rank", 0, "recipe.lora.rank: Input should be greater than or equal to 1", "got 0"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_one_line_with_its_place_and_what_is_allowed(
    key: str, value: Any, place: str, allowed: str
) -> None:
    message = fault("demo", {key: value})
    assert message.startswith(("demo: ", "architectures: ", "recipes: "))
    assert place in message
    assert allowed in message


@pytest.mark.parametrize("contrast", ["binary - binary", "binary", "binary-control", "a - b - c", " - control"])
def test_a_contrast_needs_two_different_sides(contrast: str) -> None:
    message = fault("demo", {"experiments.scale.contrasts": {contrast: {}}})
    assert "experiments.scale: contrasts: " in message
    assert "not of the form 'A - B'" in message


def test_labels_of_one_participant_cannot_be_compared_after_raters_are_merged() -> None:
    condition = {"dimensions": ["toxicity"], "scale": "5-point", "aggregation": "majority", "within": "participant"}
    message = fault("demo", {"experiments.scale.conditions.binary": condition})
    assert "conditions.binary: within: participant needs aggregation: all; majority leaves no participants" in message


def test_no_condition_may_be_called_control() -> None:
    condition = {"dimensions": ["toxicity"], "scale": "5-point"}
    assert "'control' is the untouched architecture" in fault(
        "demo", {"experiments.scale.conditions.control": condition}
    )


@pytest.mark.parametrize("named", ["dimensions", "strata"])
def test_no_dimension_and_no_stratum_may_be_called_all(named: str) -> None:
    (like, *_) = getattr(load_study("demo"), named).values()
    message = fault("demo", {f"{named}.all": like.model_dump()})
    assert message == f"demo: {named}: 'all' means all {named} together in tables; choose another name"


@pytest.mark.parametrize("source", [{}, {"folder": "x", "simulate": {}}, {"folder": "x", "collection": "y"}])
def test_ratings_have_exactly_one_source(source: dict[str, Any]) -> None:
    message = fault("demo", {"ratings": {"codebooks": ["survey-app-en"], **source}})
    assert "ratings: give exactly one of folder, simulate, collection" in message


def test_only_a_collection_has_snapshots() -> None:
    message = fault("demo", {"ratings": {"codebooks": ["survey-app-en"], "folder": "x", "snapshot": "0123456789"}})
    assert "ratings: snapshot: only a collection has snapshots" in message


def test_a_snapshots_id_that_yaml_takes_for_a_number_is_told() -> None:
    message = fault("demo", {"ratings": {"codebooks": ["survey-app-en"], "collection": "x", "snapshot": 12345678}})
    assert "ratings.snapshot: an id of digits alone needs quotes" in message


def test_an_architecture_named_twice_is_refused() -> None:
    assert "named twice: tiny-llama" in fault("demo", {"architectures": ["tiny-llama", "tiny-falcon", "tiny-llama"]})


def test_all_faults_are_told_at_once_each_in_a_line_of_its_own(tmp_path: Path) -> None:
    text = MINIMAL.replace("title: Toxicity", "titel: Toxicity") + "seed: abc\nsed: 1\nsedd: 2\nseeds: 0\n"
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_study(path)
    head, *lines = str(caught.value).split("\n  ")
    assert head == f"{path}: 6 faults"
    places = [line.partition("; allowed")[0].partition(": Input")[0] for line in lines]
    assert places == [
        f"{path}: line 4: dimensions.toxicity.title: Field required",
        f"{path}: line 4: dimensions.toxicity: unknown key 'titel'",
        f"{path}: line 7: seed",
        f"{path}: line 8: unknown key 'sed'",
        f"{path}: line 9: unknown key 'sedd'",
        f"{path}: line 10: seeds",
    ]


def test_a_text_that_yaml_reads_as_something_else_is_to_be_quoted(tmp_path: Path) -> None:
    text = (SHIPPED / "codebooks" / "spica.yaml").read_text(encoding="utf-8")
    labels = text[text.index("labels:") :].splitlines()[0]
    path = write(tmp_path, text.replace(labels, "labels: {No: 1, 2: 2, 2020-01-01: 3, Yes: 4, ~: 5, 1.5: 6}"))
    with pytest.raises(InputError) as caught:
        load_codebook(path)
    number = text[: text.index("labels:")].count("\n") + 1
    for value in ("No", "2", "2020-01-01", "Yes", "~", "1.5"):
        (line,) = [line for line in str(caught.value).splitlines() if f"key {value}: YAML reads " in line]
        assert line.startswith(f"  {path}: line {number}: ratings.labels: key ")
        assert line.endswith(f'; write "{value}"')
    assert fault(write(tmp_path, MINIMAL.replace("title: Small", "title: yes"))).endswith(
        'study.yaml: line 2: title: yes: YAML reads the truth value true; write "yes"'
    )


# ---- files that are no sane settings


def laughs(levels: int, last: str) -> str:
    """A list of nine aliases of a list of nine aliases …: a few bytes that whoever walks them sees as 9^levels."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n  ".join(["survey:\n  reference:", *lines]) + f"\n{last}: *a{levels - 1}\n"


@pytest.mark.parametrize("last", ["title", "extends", "architectures", "recipe", "7"])
def test_aliases_that_explode_are_refused_at_once(last: str, tmp_path: Path) -> None:
    started = time.process_time()
    path = write(tmp_path, laughs(12, last))
    assert "aliases make more than 100,000 values of it" in fault(path)
    assert time.process_time() - started < 2


def test_what_is_wrong_is_quoted_shortly_however_big_it_is(tmp_path: Path) -> None:
    for last in ("title", "extends", "architectures", "recipe"):
        with pytest.raises(InputError) as caught:
            load_study(write(tmp_path, laughs(4, last)))
        assert max(map(len, str(caught.value).splitlines())) < 400


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("title: " + "[" * 60 + "]" * 60, "line 1, column 58: nested more than 50 levels deep"),
        ("title: &a [*a]", "nested more than 50 levels deep"),
        ("title: &a {b: *a}", "nested more than 50 levels deep"),
        ("title: 2026-13-45", "line 1, column 8: '2026-13-45' can't be read: month must be in 1..12"),
        (f"seed: {'9' * 5000}", "can't be read: Exceeds the limit"),
        ("? [a, b]\n: 1", "line 1, column 3"),
        ("? {a: b}\n: 1", "line 1, column 3"),
        ("# " + "x" * 2_000_000, "bytes; settings take at most 2,000,000"),
    ],
)
def test_a_hostile_file_is_one_short_line(text: str, told: str, tmp_path: Path) -> None:
    message = fault(write(tmp_path, text))
    assert told in message
    assert len(message) < 500


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e999"])
@pytest.mark.parametrize("key", ["recipe.dpo.learning_rate", "limits.margin", "judge.proof.floor.agreement"])
def test_a_number_that_is_not_finite_is_refused(key: str, value: str) -> None:
    assert f"{key.split('.')[-1]}: Input should be a finite number" in fault(
        "demo", parse_overrides([f"{key}={value}"])
    )


def test_an_unknown_study_is_answered_with_the_shipped_ones() -> None:
    assert fault("papre") == (
        "studies: unknown 'papre'; allowed: budget, demo, doubtful, groups, paper, popquorn, small, small-cpu, spica, "
        "spica-groups, or the path of a .yaml file"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "absent.yaml")
    assert fault(path) == f"{path}: No such file or directory"


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "title: Field required" in fault(write(tmp_path, MINIMAL.replace("title: Small\n", "")))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: [1", "line 1, column 6"),
        ("a: 1\nb: c: d", "line 2, column 5"),
        ("a: *nobody", "line 1, column 4"),
        ("- a\n- b", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: !!python/object:os.system 1", "line 1, column 4"),
        ("a: \x00", "not allowed"),
    ],
)
def test_a_file_that_is_not_a_yaml_mapping_is_one_line_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    path = write(tmp_path, text)
    message = fault(path)
    assert message.startswith(f"{path}: ")
    assert where in message


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"name: caf\xe9")
    assert fault(str(path)) == f"{path}: not UTF-8 (byte 9)"


def test_a_key_given_twice_is_refused_at_any_depth(tmp_path: Path) -> None:
    assert "key 'title' stands twice" in fault(write(tmp_path, MINIMAL + "title: Again\n"))
    assert "key 'better' stands twice" in fault(write(tmp_path, MINIMAL.replace("better:", "better: higher, better:")))


def test_a_key_given_twice_is_told_with_its_own_line(tmp_path: Path) -> None:
    assert "line 7, column 1: key 'title' stands twice" in fault(write(tmp_path, MINIMAL + "title: Again\n"))


@pytest.mark.parametrize("value", [".nan", "3", "[demo]", "{a: b}", "2024-01-01"])
def test_a_study_extends_a_name_or_a_path(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, MINIMAL + f"extends: {value}\n")
    assert fault(path).startswith(f"{path}: line 7: extends: expected a name or a path, got ")


def test_a_study_that_extends_itself_is_refused_with_the_way_round(tmp_path: Path) -> None:
    a, b = (str(tmp_path / name) for name in ("a.yaml", "b.yaml"))
    write(tmp_path, f"extends: {b}\n", "a.yaml")
    write(tmp_path, f"extends: {a}\n", "b.yaml")
    assert fault(a) == f"{a}: extends itself: {a} -> {b} -> {a}"


@pytest.mark.parametrize("item", ["recipe.dpo.epochs", "=2", " =2"])
def test_set_without_key_or_equals_sign_is_refused_with_an_example(item: str) -> None:
    with pytest.raises(InputError, match=r"--set .*: expected KEY=VALUE, like recipe\.dpo\.epochs=2"):
        parse_overrides([item])


def test_set_below_a_plain_value_is_refused() -> None:
    assert fault("demo", {"name.x": 1}) == "--set name.x: name holds no keys"


def test_a_codebook_without_a_label_for_a_category_is_refused(tmp_path: Path) -> None:
    text = (SHIPPED / "codebooks" / "spica.yaml").read_text(encoding="utf-8")
    path = write(tmp_path, text.replace('"4": 4, ', ""))
    with pytest.raises(InputError, match=r"ratings\.labels: no label for category 4"):
        load_codebook(path)


def test_a_category_of_billions_is_refused_at_once(tmp_path: Path) -> None:
    text = (SHIPPED / "codebooks" / "spica.yaml").read_text(encoding="utf-8")
    path = write(tmp_path, text.replace('"4": 4, ', '"4": 2147483648, '))
    began = time.monotonic()
    with pytest.raises(InputError, match=r"no label for category 4, .* and others"):
        load_codebook(path)
    assert time.monotonic() - began < 5


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    books, studies = tmp_path / "mine" / "books", tmp_path / "mine"
    books.mkdir(parents=True)
    (books / "own.yaml").write_text((SHIPPED / "codebooks" / "popquorn.yaml").read_text())
    (studies / "base.yaml").write_text((SHIPPED / "studies" / "popquorn.yaml").read_text())
    (studies / "study.yaml").write_text(
        "extends: base.yaml\nratings: {folder: export, codebooks: [books/own.yaml, popquorn]}\n"
    )
    (studies / "export").mkdir()
    for place in (tmp_path, tmp_path / "mine", books):
        monkeypatch.chdir(place)
        study = load_study(os.path.relpath(studies / "study.yaml"))
        assert Path(str(study.ratings.folder)).samefile(studies / "export")
        assert study.ratings.codebooks[1] == "popquorn"
        assert load_codebook(study.ratings.codebooks[0]) == load_codebook("popquorn")


def test_a_path_that_only_the_working_directory_has_is_found_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "own.yaml").write_text((SHIPPED / "codebooks" / "popquorn.yaml").read_text())
    study = "extends: popquorn\nratings: {folder: export, codebooks: [own.yaml]}\n"
    (tmp_path / "studies" / "study.yaml").write_text(study)
    (tmp_path / "export").mkdir()
    monkeypatch.chdir(tmp_path)
    ratings = load_study("studies/study.yaml").ratings
    assert (ratings.folder, ratings.codebooks) == ("export", ("own.yaml",))
    (tmp_path / "own.yaml").unlink()
    with pytest.raises(InputError, match=r"studies/own\.yaml: No such file"):
        load_codebook(load_study("studies/study.yaml").ratings.codebooks[0])
