"""Every fault of settings is told at once, each in a line: its place, what stands there, what to type instead."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.errors import MOST_FAULTS, Faults, InputError, lines_of, together
from configs.load import SHIPPED, load_codebook, load_study, parse_assumptions, parse_overrides
from configs.schema import Architecture, Frozen

STUDY = """\
name: small
title: Small
ratings: {folder: export, codebooks: [survey-app-en]}
dimensions: {toxicity: {title: Toxicity, better: lower}}
scales: {5-point: [1, 2, 3, 4, 5]}
evaluation: {dimensions: [toxicity]}
"""
EXPERIMENT = """\
experiments:
  size:
    title: Size
    question: Which?
    conditions:
      fine: {dimensions: [toxicity], scale: 5-point}
      rough: {dimensions: [toxicity], scale: 5-point}
    contrasts:
      fine - rough: {}
architectures: [tiny-llama]
recipe: tiny
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(text: str, overrides: dict[str, Any] | None = None) -> list[str]:
    """The lines in which loading a study of this text ends."""
    Path("study.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_study("study.yaml", overrides)
    return lines_of(caught.value)


# ---- what to type instead


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("yes", 'title: yes: YAML reads the truth value true; write "yes"'),
        ("No", 'title: No: YAML reads the truth value false; write "No"'),
        ("007", 'title: 007: YAML reads the number 7; write "007"'),
        ("010", 'title: 010: YAML reads the number 8; write "010"'),  # octal: 1 · 8 + 0
        ("1_000", 'title: 1_000: YAML reads the number 1000; write "1_000"'),
        ("1:30", 'title: 1:30: YAML reads the number 90; write "1:30"'),  # of base 60: 1 · 60 + 30
        ("0x1F", 'title: 0x1F: YAML reads the number 31; write "0x1F"'),
        (".5", 'title: .5: YAML reads the number 0.5; write ".5"'),
        ("2024-01-01", 'title: 2024-01-01: YAML reads the date 2024-01-01; write "2024-01-01"'),
        ("~", 'title: ~: YAML reads nothing; write "~"'),
        ("null", 'title: null: YAML reads nothing; write "null"'),
        ("", 'title: nothing stands here, where a text is wanted; an empty text is ""'),
        ("“Small”", 'title: “Small”: curly quotes are letters to YAML; write "Small", or "“Small”" if they are meant'),
    ],
)
def test_a_text_that_yaml_reads_as_something_else_is_told_as_it_stands_with_what_to_write(
    here: Path, value: str, line: str
) -> None:
    assert told(STUDY.replace("title: Small", f"title: {value}")) == [f"study.yaml: line 2: {line}"]


@pytest.mark.parametrize(
    ("value", "end"),
    [
        ("1e3", "got '1e3'; write 1000"),
        ("“12”", "got '“12”'; curly quotes are letters to YAML; write 12"),
        ("010", 'seed: 010: YAML reads the number 8; write 8, 10 or "010", whichever is meant'),
        ("1:30", 'seed: 1:30: YAML reads the number 90; write 90 or "1:30", whichever is meant'),
        ("yes", "seed: yes: YAML reads a truth value; a number is wanted"),
    ],
)
def test_a_number_that_yaml_reads_as_something_else_is_told_with_what_to_write(
    here: Path, value: str, end: str
) -> None:
    (line,) = told(STUDY + f"seed: {value}\n")
    assert line.startswith("study.yaml: line 7: seed: ")
    assert line.endswith(end)


@pytest.mark.parametrize("number", ["1e-3", "1.0e-3", "0.001", ".001"])
def test_a_number_with_an_exponent_is_read_whether_yaml_takes_it_for_a_text_or_not(here: Path, number: str) -> None:
    (here / "study.yaml").write_text(STUDY + f"recipe: {{dpo: {{learning_rate: {number}}}}}\n")
    assert load_study("study.yaml").recipe.blocks["dpo"].model_dump()["learning_rate"] == 0.001


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("No", 'ratings.labels: key No: YAML reads the truth value false; write "No"'),
        ("1", 'ratings.labels: key 1: YAML reads the number 1; write "1"'),
        ("007", 'ratings.labels: key 007: YAML reads the number 7; write "007"'),
        ("1.50", 'ratings.labels: key 1.50: YAML reads the number 1.5; write "1.50"'),
        ("2024-01-01", 'ratings.labels: key 2024-01-01: YAML reads the date 2024-01-01; write "2024-01-01"'),
        ("~", 'ratings.labels: key ~: YAML reads nothing; write "~"'),
    ],
)
def test_a_key_that_yaml_reads_as_something_else_is_told_as_it_stands(here: Path, key: str, line: str) -> None:
    text = (SHIPPED / "codebooks" / "spica.yaml").read_text(encoding="utf-8")
    number = next(n for n, row in enumerate(text.splitlines(), 1) if "labels:" in row)
    labels = text.splitlines()[number - 1].strip()
    (here / "book.yaml").write_text(text.replace(labels, f'labels: {{{key}: 1, "2": 2}}'))
    with pytest.raises(InputError) as caught:
        load_codebook("book.yaml")
    assert str(caught.value) == f"book.yaml: line {number}: {line}"


def test_a_key_of_the_study_that_is_no_text_is_told_as_it_stands(here: Path) -> None:
    lines = told(STUDY + "strata:\n  007: {attribute: gender, values: [No, x]}\n")
    assert lines == [
        'study.yaml: line 8: strata: key 007: YAML reads the number 7; write "007"',
        'study.yaml: line 8: strata.007.values.0: No: YAML reads the truth value false; write "No"',
    ]
    assert told(STUDY + "On: 1\n")[0] == 'study.yaml: line 7: key On: YAML reads the truth value true; write "On"'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\tseed: 1", "line 7, column 1: a tab; indent with plain blanks"),
        ("limits:\n\tmargin: 1", "line 8, column 1: a tab; indent with plain blanks"),
        ("limits:\n  \u00a0margin: 1\n  longest: 3", "line 8, column 3: a blank that is not a plain one (U+00A0); "),
        ("limits:\n\u00a0\u00a0margin: 1", "line 8, column 1: a blank that is not a plain one (U+00A0); indent with"),
        ("seed:1", "line 7, column 6: a blank is missing after the colon; write seed: 1"),
        ("seed:1\nseeds: 1", "line 7, column 6: a blank is missing after the colon; write seed: 1"),
        ("seed 1\nseeds: 1", "line 7, column 1: seed 1: a key without a colon"),
        (
            "survey: %x",
            "column 9: found character '%' that cannot start any token; a text that begins with % needs quo",
        ),
        ("survey: @x y # z", 'a text that begins with @ needs quotes: "@x y"'),
        ("survey: {reference: {a: *x}}", "found undefined alias 'x'; a text that begins with * needs quotes: \"*x\""),
        ("survey: * x", 'a text that begins with * needs quotes: "* x"'),
        ("survey: `x`", 'a text that begins with ` needs quotes: "`x`"'),
        ("survey: !x", 'a text that begins with ! needs quotes: "!x"'),
        ("survey: - x", 'a text that begins with - needs quotes: "- x"'),
        ("survey: |x", 'a text that begins with | needs quotes: "|x"'),
        ("survey: 'x\nseed: 1", "line 7, column 9: the quote that opens here is not closed"),
        ('survey: "x\nseed: 1', "line 7, column 9: the quote that opens here is not closed"),
        ("survey: 'it's'", "line 7, column 13: expected <block end>, but found '<scalar>'; a quote within quotes?"),
        ('survey: "C:\\data"', "in double quotes a backslash is written twice, or use single quotes"),
        ("survey: [a\nseed: 1", "; the [ of line 7, column 9, is not closed before this"),
        ("survey: {a: b\nseed: 1", "; the { of line 7, column 9, is not closed before this"),
        ("survey: a: b", 'line 7, column 10: mapping values are not allowed here: a text with ": " in it needs quotes'),
        ("title: Again", "line 7, column 1: key 'title' stands twice (first in line 2)"),
        ("seed: 2024-13-01", "line 7, column 7: '2024-13-01' can't be read: month must be in 1..12; quote it if it is"),
    ],
)
def test_what_yaml_can_not_read_is_told_where_its_cause_is_with_what_to_type(here: Path, text: str, line: str) -> None:
    (whole,) = told(STUDY + text + "\n")
    assert whole.startswith("study.yaml: line ")
    assert line in whole


@pytest.mark.parametrize("glued", ["base_url:someone:pa55@host", "someone:pa55@host"])
def test_no_password_of_an_address_is_shown_where_yaml_can_not_read_it(here: Path, glued: str) -> None:
    (line,) = told(STUDY + f"judge:\n  kind: llm\n  {glued}\n")
    assert line.startswith("study.yaml: line 9, column ")
    assert "pa55" not in line


def test_a_blank_that_is_missing_after_a_colon_between_braces_is_guessed(here: Path) -> None:
    (line,) = told(STUDY + "limits: {margin:1}\n")
    assert line.startswith("study.yaml: line 7: limits: unknown key 'margin:1'; allowed: well_formed, ")
    assert line.endswith("; a blank is missing after the colon? write margin: 1")


@pytest.mark.parametrize("text", ["\ufeff" + STUDY, STUDY.replace("\n", "\r\n"), STUDY.replace("\n", "\n\n")])
def test_byte_order_marks_and_line_ends_of_windows_are_no_faults(here: Path, text: str) -> None:
    (here / "study.yaml").write_bytes(text.encode())
    assert load_study("study.yaml").title == "Small"


def test_lines_are_counted_the_same_with_line_ends_of_windows(here: Path) -> None:
    (here / "study.yaml").write_bytes((STUDY + "seed: x\n").replace("\n", "\r\n").encode())
    with pytest.raises(InputError, match=r"^study\.yaml: line 7: seed: "):
        load_study("study.yaml")


# ---- all at once


def test_keys_that_stand_twice_are_all_told(here: Path) -> None:
    assert told(STUDY + "title: B\nname: b\n") == [
        "study.yaml: line 7, column 1: key 'title' stands twice (first in line 2)",
        "study.yaml: line 8, column 1: key 'name' stands twice (first in line 1)",
    ]


def test_faults_of_values_and_faults_of_names_come_together_with_their_lines(here: Path) -> None:
    text = STUDY.replace("title: Small", "titel: Small") + EXPERIMENT + "seed: abc\nraters: {experiments: [sise]}\n"
    text = text.replace("fine: {dimensions: [toxicity]", "fine: {dimensions: [toxic]")
    text = text.replace("      rough: {", "      rough: {stratum: men, within: participant, aggregation: majority, ")
    text = text.replace("fine - rough: {}", "fine - tough: {focus: [humour]}\n      fine: {}")
    lines = told(text.replace("question: Which?", "question: yes"))
    assert [line.partition("; allowed")[0].removeprefix("study.yaml: ") for line in lines] == [
        "title: Field required",
        "line 2: unknown key 'titel'",
        'line 10: experiments.size.question: yes: YAML reads the truth value true; write "yes"',
        "line 12: experiments.size.conditions.fine.dimensions: unknown 'toxic'",
        "line 13: experiments.size.conditions.rough.stratum: unknown 'men'",
        "line 13: experiments.size.conditions.rough: within: participant needs aggregation: all; majority leaves no "
        "participants",
        "line 15: experiments.size.contrasts.fine - tough: unknown 'humour'",
        "line 15: experiments.size.contrasts.fine - tough: unknown 'tough'",
        "line 16: experiments.size: contrasts: 'fine' is not of the form 'A - B'",
        "line 19: seed: Input should be a valid integer, unable to parse string as an integer, got 'abc'",
        "line 20: raters.experiments: unknown 'sise'",
    ]


def test_what_follows_from_a_fault_is_not_told_beside_it(here: Path) -> None:
    assert told(STUDY + EXPERIMENT + "placebo: 2\n", {"experiments.size.conditions.fine.scale": "6-point"}) == [
        "study.yaml: experiments.size.conditions.fine.scale: unknown '6-point'; allowed: 5-point",
        "study.yaml: line 18: placebo: no experiment has a contrast between two strata, whose raters could be halved",
    ]
    (line,) = told(STUDY + EXPERIMENT.replace("rough: {dim", "rough: {scal: 5-point, dim"))
    assert line.startswith("study.yaml: line 13: experiments.size.conditions.rough: unknown key 'scal'; allowed: ")
    (line,) = told(STUDY.replace("codebooks: [survey-app-en]", "codebooks: [survey-app-en], collection: No Such"))
    assert line.startswith("study.yaml: line 3: ratings.collection: String should match pattern")


def test_added_contrasts_do_not_repeat_the_faults_of_those_that_they_take_after() -> None:
    with pytest.raises(InputError) as caught:
        load_study("demo", {"experiments.demographics.conditions.male.stratum": "men"})
    assert len(lines_of(caught.value)) == 1  # though two placebo conditions have it too


def test_faults_of_all_files_of_a_study_come_together_each_with_its_own_file(here: Path) -> None:
    (here / "book.yaml").write_text((SHIPPED / "codebooks" / "spica.yaml").read_text() + "extra: 1\n")
    (here / "own.yaml").write_text("dpo:\n  epoch: 2\nlora: {rank: 0}\n")
    (here / "model.yaml").write_text("name: Model\ntitle: M\nfamily: m\nparameters: 1\ntiny: {}\n")
    text = STUDY.replace("survey-app-en", "book.yaml, gone.yaml") + EXPERIMENT
    text = text.replace("[tiny-llama]", "[model.yaml, tiny-lama, missing.yaml]").replace(
        "recipe: tiny", "recipe: own.yaml"
    )
    lines = [line.partition("; allowed")[0] for line in told(text + "seed: -1\n")]
    extra = len((here / "book.yaml").read_text().splitlines())
    assert sorted(lines) == sorted(
        [
            "study.yaml: line 16: architectures: unknown 'tiny-lama'",
            "study.yaml: line 16: missing.yaml: No such file or directory",
            "study.yaml: line 18: seed: Input should be greater than or equal to 0, got -1",
            "own.yaml: line 2: dpo: unknown key 'epoch'",
            "own.yaml: line 3: lora.rank: Input should be greater than or equal to 1, got 0",
            "model.yaml: line 1: name: String should match pattern '^[a-z0-9][a-z0-9_.-]*$', got 'Model'",
            f"book.yaml: line {extra}: unknown key 'extra'",
            "gone.yaml: No such file or directory",
        ]
    )


def test_a_fault_of_a_study_that_another_extends_is_told_with_its_own_file_and_line(here: Path) -> None:
    (here / "deep").mkdir()
    (here / "deep" / "base.yaml").write_text(STUDY + "limits:\n  margin: high\n")
    lines = told("extends: deep/base.yaml\nname: other\nlimits: {longest: none}\n")
    assert [line.partition(": Input")[0] for line in lines] == [
        "study.yaml: line 3: limits.longest",
        "deep/base.yaml: line 8: limits.margin",
    ]


def test_there_may_be_a_hundred_lines_and_the_rest_are_counted() -> None:
    assert str(together("x", ["a", "a"])) == "a"
    lines = [f"line {n}" for n in range(MOST_FAULTS + 2)]
    head, *below = str(together("x", lines)).split("\n  ")
    assert head == f"x: {MOST_FAULTS + 2} faults"
    assert below == [*lines[:MOST_FAULTS], "… 2 more"]
    assert lines_of(together("x", lines[:3])) == lines[:3]


def test_a_model_made_in_python_tells_what_does_not_fit_in_it_at_once() -> None:
    with pytest.raises(ValueError, match="give exactly one of tiny, hub, path, gguf") as caught:
        Architecture(name="a", title="A", family="a", parameters=1, gpus=2, dtype="4-bit")
    assert "gpus: weights in 4 bits can't be sharded" in str(caught.value)

    class Pair(Frozen):
        low: int
        high: int

        def find_faults(self, faults: Faults) -> None:
            if self.low > self.high:
                faults.add(("low",), "above high")

    with pytest.raises(ValueError, match="low: above high"):
        Pair(low=2, high=1)
    assert Pair(low=1, high=2).high == 2


# ---- overrides


def test_an_override_that_yaml_reads_as_something_else_is_told_with_what_to_type() -> None:
    overrides = parse_overrides(["title=yes", "seed=010", "evaluation.dimensions=[No]"])
    with pytest.raises(InputError) as caught:
        load_study("demo", overrides)
    assert sorted(line.partition("; allowed")[0] for line in lines_of(caught.value)) == [
        'demo: evaluation.dimensions.0: No: YAML reads the truth value false; write "No"',
        "demo: evaluation.dimensions: unknown 'No'",
        'demo: seed: 010: YAML reads the number 8; write 8, 10 or "010", whichever is meant',
        "demo: title: yes: YAML reads the truth value true; write --set 'title=\"yes\"'",
    ]


def test_overrides_that_can_not_be_read_are_all_told() -> None:
    with pytest.raises(InputError) as caught:
        parse_overrides(["seed", "title=[a", "name=a: b: c"])
    first, second, third = lines_of(caught.value)
    assert first == "--set seed: expected KEY=VALUE, like recipe.dpo.epochs=2"
    assert second.startswith("--set title: line 1, column 3: expected ',' or ']'")
    assert third.startswith("--set name: line 1, column 5: mapping values are not allowed here")
    with pytest.raises(InputError, match=r"^--assume: raters: Input should be greater than 0, got -1"):
        parse_assumptions(["raters=-1"])


# ---- whatever stands in a file


def places(value: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in settings."""
    parts = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [above, *(place for key, part in parts for place in places(part, (*above, key)))]


WHOLE = yaml.safe_load(
    STUDY
    + EXPERIMENT
    + """
strata: {a: {attribute: gender, values: [x]}, b: {attribute: gender, values: [y]}}
survey: {reference: {gender: x}, published: {toxicity: {gender: {y: {percent: 1, p: x}}}}}
population: {age: {a: 0.5, b: 0.5}}
raters: {replicates: 2, experiments: [size]}
judge: {kind: embedded, encoder: {hub: x}}
placebo: 1
models: null
limits: {margin: 1.0}
"""
)
PLACES = [place for place in places(WHOLE) if place]
SNIPPETS = st.one_of(
    st.text(max_size=12),
    st.text(alphabet=string.punctuation + " \t\n\r\u00a0“”x1", max_size=8),
    st.sampled_from(
        ["yes", "~", "007", "1:30", "[a]", "{a: b}", "{1: [x]}", "- x", "2024-01-01", ".inf", "1e400", "!!set {a}",
         "!!binary x", "&a [*a]", "<<: {a: b}", '"\\0"', '"\\ud800"', '"\\e[31m"', "{[a]: b}", "!!omap [a: b]",
         "9" * 5000]
    ),
)  # fmt: skip


def lines_told(load: Callable[[], object]) -> list[str]:
    """The lines in which loading ends; none where it succeeds. Any other error passes."""
    try:
        load()
    except InputError as error:
        return str(error).split("\n")
    return []


def with_snippet(value: Any, place: tuple[str | int, ...], snippet: str) -> str:
    """WHOLE in the flow style, with a text in the place of a value."""

    def flow(part: Any, at: tuple[str | int, ...]) -> str:
        if at == place:
            return snippet
        if isinstance(part, dict):
            return "{" + ", ".join(f'"{key}": {flow(item, (*at, key))}' for key, item in part.items()) + "}"
        if isinstance(part, list):
            return "[" + ", ".join(flow(item, (*at, number)) for number, item in enumerate(part)) + "]"
        return yaml.safe_dump(
            part, default_flow_style=True, default_style='"' if isinstance(part, str) else None
        ).split("\n")[0]

    return "\n".join(f"{key}: {flow(item, (key,))}" for key, item in value.items()) + "\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), snippet=SNIPPETS)
def test_any_text_as_any_value_is_a_study_or_lines(here: Path, place: tuple[str | int, ...], snippet: str) -> None:
    text = with_snippet(WHOLE, place, snippet)
    (here / "study.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert all(line.isprintable() and len(line) < 2000 for line in lines_told(lambda: load_study("study.yaml")))


@settings(max_examples=60, deadline=None)
@given(place=st.sampled_from(PLACES), snippet=SNIPPETS)
def test_any_override_is_a_study_or_lines(place: tuple[str | int, ...], snippet: str) -> None:
    item = ".".join(map(str, place)) + "=" + snippet
    assert all(line.isprintable() for line in lines_told(lambda: load_study("demo", parse_overrides([item]))))
