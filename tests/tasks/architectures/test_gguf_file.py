"""A GGUF file becomes a base once, and answers as it did; what is wrong with one is said in one line."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from configs.errors import InputError
from configs.load import load_study
from configs.schema import Architecture
from tasks.architectures.load import BASES, MODEL, load_base
from tasks.architectures.step import known_base, prepare_base
from tasks.runtime.job import Desk, Job
from tasks.runtime.store import Artifact, FolderStore

needs_gguf = pytest.mark.skipif(not find_spec("gguf"), reason="gguf is not installed")
TEMPLATE = "{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}"
WIDTH, LAYERS, SPECIAL = 64, 2, ["<|start|>", "<|end|>"]
DTYPES = ["float32", "bfloat16"]


def write_gguf(file: Path, kind: str = "llama", tokenizer: bool = True, template: str = TEMPLATE, **edits: int) -> Path:
    """A llama with random weights in Q8_0, and a tokenizer of bytes."""
    from gguf import GGMLQuantizationType, GGUFWriter, quantize
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*sorted(ByteLevel.alphabet()), "th", *SPECIAL]
    writer, rng = GGUFWriter(file, kind), np.random.default_rng(0)
    writer.add_name("tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS + edits.get("more_layers", 0))
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    if tokenizer:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_token_types([1] * (len(tokens) - 2) + [3, 3])
        writer.add_token_merges(["t h"])
        writer.add_bos_token_id(len(tokens) - 2)
        writer.add_eos_token_id(len(tokens) - 1)
        if template:
            writer.add_chat_template(template)
    shapes = {"token_embd": len(tokens)}
    for layer in range(LAYERS):
        named = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
        shapes |= {f"blk.{layer}.{name}": WIDTH for name in named}
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for name, rows in shapes.items():
        weights = rng.normal(0, 0.3, (rows, WIDTH)).astype(np.float32)
        packed = quantize(weights, GGMLQuantizationType.Q8_0)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


class Here:
    """Does jobs in this process, and counts them."""

    def __init__(self, store: FolderStore) -> None:
        self.store, self.done = store, 0

    def run(self, job: Job[Any]) -> Artifact[Any]:
        def build(folder: Path) -> dict[str, Any]:
            self.done += 1
            return job.run(Desk(folder, self.store)).model_dump()

        return self.store.make(job.stage, job.key, build)


def asking(file: Path | str, **settings: Any) -> Architecture:
    return Architecture(name="small", title="Small", family="llama", parameters=1e5, **{"gguf": str(file), **settings})


def prepared(architecture: Architecture, runner: Here) -> Any:
    return prepare_base(load_study("demo"), architecture, pd.DataFrame(), runner.store, runner)  # type: ignore[arg-type]


def answers(model: Any, tokenizer: Any, prompts: list[str], length: int = 24) -> list[str]:
    """What comes greedily, as text."""
    texts = []
    for prompt in prompts:
        messages = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=length)
        texts.append(tokenizer.decode(out[0, ids.shape[1] :]))
    return texts


def as_read_by_transformers(file: Path, dtype: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where: Any = {"gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=getattr(torch, dtype), **where)
    return model.eval(), AutoTokenizer.from_pretrained(str(file.parent), **where)


@needs_gguf
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_answers_as_before_and_is_dequantised_once(dtype: str, tmp_path: Path, store: FolderStore) -> None:
    file, runner = write_gguf(tmp_path / "tiny.gguf"), Here(store)
    settings = asking(file, dtype=dtype)
    ref = prepared(settings, runner)
    base = load_base(settings, ref.source(store), ref.revision)
    prompts = ["Why is the sky blue?", "the"]
    assert answers(base.model, base.tokenizer, prompts) == answers(*as_read_by_transformers(file, dtype), prompts)
    assert str(base.model.dtype) == f"torch.{dtype}"
    with safe_open(store.fetch(BASES, ref.key) / MODEL / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {f"torch.{dtype}"}  # noqa: SIM118
    moved = file.rename(tmp_path / "other.gguf")
    assert prepared(asking(moved, dtype=dtype), runner).key == ref.key  # by its content, not by its name
    assert runner.done == 1


@needs_gguf
def test_another_content_or_precision_is_another_base(tmp_path: Path, store: FolderStore) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    other = write_gguf(tmp_path / "other.gguf", template=TEMPLATE + " ")
    keys = set()
    for settings in (asking(file, dtype="float32"), asking(other, dtype="float32"), asking(file, dtype="bfloat16")):
        base = known_base(load_study("demo"), settings, pd.DataFrame(), store)
        assert base is not None
        keys.add(base.key)
    assert len(keys) == 3


def refusal(file: Path, store: FolderStore) -> str:
    with pytest.raises(InputError) as caught:
        prepared(asking(file), Here(store))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"small: can't load {file}: ")


def test_a_file_that_is_missing_or_no_gguf_is_told_before_anything_runs(tmp_path: Path, store: FolderStore) -> None:
    assert refusal(tmp_path / "gone.gguf", store) == "no such file"
    (tmp_path / "other.gguf").write_bytes(b"PK\x03\x04")
    assert refusal(tmp_path / "other.gguf", store).startswith("it is no GGUF file")


def test_without_the_package_it_says_what_to_install(tmp_path: Path, store: FolderStore, monkeypatch) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr("tasks.architectures.gguf_file.find_spec", lambda _: None)
    assert refusal(tmp_path / "a.gguf", store) == "a GGUF file needs gguf: pip install 'pluralign[gguf]'"


@needs_gguf
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.9])
def test_a_file_that_is_cut_short_is_refused(kept: float, tmp_path: Path, store: FolderStore) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    whole = file.read_bytes()
    file.write_bytes(whole[: max(4, int(len(whole) * kept))])
    assert refusal(file, store).startswith("it is damaged or cut short: ")


@needs_gguf
@pytest.mark.parametrize(("edits", "fault"), [
    ({"kind": "unheard-of"}, "its settings can't be read: GGUF model with architecture unheard-of is not supported"),
    ({"tokenizer": False}, "no tokenizer in it"),
    ({"more_layers": 1}, "weights missing in its files: model.layers.2."),
])  # fmt: skip
def test_what_a_file_lacks_is_said(edits: dict[str, Any], fault: str, tmp_path: Path, store: FolderStore) -> None:
    assert refusal(write_gguf(tmp_path / "tiny.gguf", **edits), store).startswith(fault)


@needs_gguf
def test_a_file_without_a_chat_template_is_refused_as_other_bases_are(tmp_path: Path, store: FolderStore) -> None:
    settings = asking(write_gguf(tmp_path / "tiny.gguf", template=""))
    ref = prepared(settings, Here(store))
    with pytest.raises(InputError, match="template"):
        load_base(settings, ref.source(store), None)


def test_where_a_file_is_and_what_may_stand_beside_it(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small.yaml").write_text(
        "{name: small, title: Small, family: llama, parameters: 1.0e+5, gguf: a.gguf}"
    )
    (tmp_path / "own.yaml").write_text(
        "extends: demo\narchitectures:\n- models/small.yaml\n"
        "- {name: b, title: B, family: llama, parameters: 1.0e+5, gguf: b.gguf}\n"
        "- {name: c, title: C, family: llama, parameters: 1.0e+5, hub: someone/c, gguf: c.gguf}\n"
    )
    found = [item.gguf for item in load_study(str(tmp_path / "own.yaml")).architectures]
    assert found == [str(tmp_path / "models" / "a.gguf"), str(tmp_path / "b.gguf"), "c.gguf"]
    for others in ({"path": "models"}, {"tiny": {}}):
        with pytest.raises(ValueError, match="give exactly one of tiny, hub, path, gguf"):
            asking("a.gguf", **others)
