"""What a user types, and one clear line for what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from configs.load import load_study
from flows.cli import main
from tests.flows.conftest import Place
from tests.watch import PATIENCE


@pytest.mark.parametrize("command", ["run", "init", "meta", "trace", "design", "export", "inspect", "doctor", "gc"])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\nfrom flows.cli import main\n"
        f"try: main([{command!r}, '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'prefect', 'mlflow', 'torch', 'transformers', 'pandas'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "exit codes: 0 whole, 1 failed, 2 wrong usage or input, 3 finished in part" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nope"], "studies: unknown 'nope'; allowed: budget, demo, doubtful, groups, paper, popquorn, small, "),
        (["nope.yaml"], "nope.yaml: No such file or directory"),
        (["demo", "--set", "architectures=[tiny-lama]"], "architectures: unknown 'tiny-lama'; allowed: "),
        (["demo", "--set", "recipe.dpo.epochz=1"], "demo: recipe.dpo: unknown key 'epochz'; allowed: beta, "),
        (["demo", "--set", "evaluation.dimensions=[toxic]"], "demo: evaluation.dimensions: unknown 'toxic'; allowed: "),
        (["demo", "--set", "strata.female.attribute="], "demo: strata.female.attribute: Input should be a valid str"),
        (["spica", "--set", "ratings.folder=nowhere"], "nowhere/ratings.csv: no such file; ratings.folder says where"),
        (["demo", "--set", "seed"], "--set seed: expected KEY=VALUE"),
    ],
)  # fmt: skip
def test_bad_settings_are_one_clear_line_before_anything_starts(arguments, line, capsys):
    assert main(["run", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"pluralign: {line}")
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_label_outside_the_codebook_is_one_clear_line_with_its_place(place: Place, databases: Path):
    place.has(databases)
    (place.folder / "export").mkdir()
    for name, text in {
        "ratings.csv": "participant_id,response_id,appropriateness,political_party,religiosity\nana,r1,9,X,Y\n",
        "items.csv": "response_id,prompt_id,prompt,response\nr1,p1,hello,world\n",
    }.items():
        (place.folder / "export" / name).write_text(text)
    process = place.start("survey", "spica", "--set", "ratings.folder=export")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    last = output.splitlines()[-1]
    assert last == "pluralign: ratings.csv: row 2, column appropriateness: unknown '9'; allowed: 1, 2, 3, 4, 5"
    assert "Traceback" not in output
    assert "ana" not in output


@pytest.mark.parametrize(
    ("settings", "what"), [([], "no experiments"), (["--set", "strata={}"], "no experiments and no strata")]
)
def test_an_audit_of_a_study_that_has_nothing_to_audit_says_what_is_missing(settings, what, capsys):
    assert main(["audit", "popquorn", *settings]) == 2
    assert capsys.readouterr().err == f"pluralign: popquorn: {what}; an audit asks what conditions do to strata\n"


@pytest.mark.slow
def test_an_audit_ends_with_its_table(place: Place):
    process = place.start("audit", place.study, "--output", "here")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    lines = output.splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:2] == ["condition", "stratum"])
    assert lines[start].split()[2:] == [
        "share_of_participants", "share_of_ratings", "share_of_preferences", "retained", "majority_loses",
    ]  # fmt: skip
    assert len(lines[start + 1 : -1]) == 6 * 2
    assert lines[start + 1].split()[:2] == ["female", "female"]
    assert lines[-1] == "report: here/report.html"
    assert (place.folder / "here" / "tables" / "audit.csv").exists()


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_workers_must_be_a_number_above_zero(workers, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "demo", "--workers", workers])
    assert stop.value.code == 2
    assert f"expected a whole number above 0, got {workers!r}" in capsys.readouterr().err


def test_init_writes_what_the_survey_command_takes_and_prints_what_comes_next(tmp_path, capsys):
    rows = [f"r{n % 12},i{n // 12},{n % 5 + 1},{('woman', 'man')[n % 2]}" for n in range(120)]
    (tmp_path / "mine.csv").write_text("\n".join(["rater,item,toxicity,gender", *rows]))
    assert main(["init", str(tmp_path / "mine.csv"), "--output", str(tmp_path / "out"), "--survey"]) == 0
    printed = capsys.readouterr().out
    assert "found: 120 ratings by 12 participants of 10 responses" in printed
    assert printed.splitlines()[-1].strip().startswith(f"pluralign survey {tmp_path}/out/study.yaml")
    assert load_study(str(tmp_path / "out" / "study.yaml")).dimensions["toxicity"].better == "lower"


def test_init_is_for_a_survey_or_for_small_models(tmp_path, capsys):
    assert main(["init", str(tmp_path / "mine.csv"), "--survey", "--small"]) == 2
    assert capsys.readouterr().err == "pluralign: --survey or --small, not both\n"


def test_init_says_what_keeps_a_study_from_running(tmp_path, capsys):
    rows = [f"r{n},i{n % 3},{n % 5 + 1}" for n in range(20)]
    (tmp_path / "mine.csv").write_text("\n".join(["rater,item,toxicity", *rows, "r9,i1,2,one field more"]))
    assert main(["init", str(tmp_path / "mine.csv"), "--output", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err == (
        f"pluralign: can't run yet: {tmp_path}/mine.csv: row 22: 4 fields where the header has 3\n"
    )
