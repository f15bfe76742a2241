"""What ends an answer; and nothing else of a model's generation settings reaches an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig

from configs.errors import InputError
from tasks.architectures.endings import end_ids
from tasks.architectures.load import Base, load_base
from tasks.generation.greedy import generate
from tests.models import RECIPE, a_run, changed_folder, some_rewards, train_grpo

END, UNKNOWN = 4, 5
PROMPTS = some_rewards()[["prompt"]].drop_duplicates().head(3).assign(prompt_id=["a", "b", "c"])
HOSTILE: dict[str, Any] = {
    "num_beams": 4, "num_return_sequences": 3, "do_sample": True, "temperature": 0.3, "top_k": 2, "top_p": 0.5,
    "min_p": 0.2, "typical_p": 0.5, "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "top_h": 0.2, "repetition_penalty": 1.9,
    "encoder_repetition_penalty": 1.9, "length_penalty": 5.0, "no_repeat_ngram_size": 2, "min_new_tokens": 30,
    "min_length": 40, "max_length": 12, "max_new_tokens": 2, "max_time": 1e-4, "stop_strings": ["You"],
    "suppress_tokens": [20, 21, 22], "begin_suppress_tokens": [20, 21], "bad_words_ids": [[20], [21]],
    "forced_bos_token_id": 30, "forced_eos_token_id": 30, "exponential_decay_length_penalty": [3, 3.0],
    "sequence_bias": [[[20], -50.0]], "guidance_scale": 3.0, "prompt_lookup_num_tokens": 3, "early_stopping": True,
    "num_assistant_tokens": 4, "renormalize_logits": True, "remove_invalid_values": True, "token_healing": True,
    "cache_implementation": "static", "use_cache": False, "output_scores": True, "output_logits": True,
    "return_dict_in_generate": True, "penalty_alpha": 0.6, "dola_layers": "low", "diversity_penalty": 0.5,
    "num_beam_groups": 2, "watermarking_config": {"greenlist_ratio": 0.1, "bias": 50.0}, "prefill_chunk_size": 2,
    "decoder_start_token_id": 30, "trust_remote_code": True, "custom_generate": "someone/else", "own_key": 3,
}  # fmt: skip


def loaded(llama: Any, folder: Path, **edits: Any) -> Base:
    return load_base(llama[0], str(changed_folder(llama, folder, **edits)), None)


def answers(base: Base) -> list[Any]:
    return generate(base, None, PROMPTS, RECIPE, reasoning=False)[0].to_numpy().tolist()


@pytest.mark.parametrize("name", sorted({*GenerationConfig().to_dict(), *HOSTILE} - {"eos_token_id"}))
def test_no_setting_of_a_model_changes_how_answers_are_made(name: str, llama: Any, tmp_path: Path) -> None:
    base = loaded(llama, tmp_path, generation={name: HOSTILE.get(name, 7)})
    assert base.model.generation_config.to_diff_dict() == llama[1].model.generation_config.to_diff_dict()


def test_an_end_is_seen_whatever_the_template_writes_after_it(llama: Any, tmp_path: Path) -> None:
    template = llama[1].tokenizer.chat_template.replace("<end>", " <end>\nend of this answer to your question\n")
    elsewhere = {"generation": {"eos_token_id": UNKNOWN}, "tokenizer": {"eos_token": "<unknown>"}}
    assert end_ids(loaded(llama, tmp_path, template=template, **elsewhere).model) == {END, UNKNOWN}


def test_greedy_answers_are_greedy_whatever_the_model_s_settings_say(llama: Any, tmp_path: Path) -> None:
    assert answers(loaded(llama, tmp_path / "new", generation=HOSTILE)) == answers(llama[1])
    assert answers(loaded(llama, tmp_path / "old", generation=None, config=HOSTILE)) == answers(llama[1])


def test_samples_in_training_are_the_recipe_s_whatever_the_model_s_settings_say(llama: Any, tmp_path: Path) -> None:
    weights = []
    for name, base in {"own": llama[1], "hostile": loaded(llama, tmp_path / "base", generation=HOSTILE)}.items():
        train_grpo(base, llama[0], some_rewards(), RECIPE, a_run(tmp_path / name), lambda _: None)
        weights.append((tmp_path / name / "adapter" / "adapter_model.safetensors").read_bytes())
    assert weights[0] == weights[1]


# ---- ends


@pytest.mark.parametrize(("edits", "expected"), [
    ({}, {END}),
    ({"generation": {"eos_token_id": [UNKNOWN, END]}}, {END, UNKNOWN}),
    ({"generation": {"eos_token_id": UNKNOWN}, "config": {"eos_token_id": UNKNOWN},
      "tokenizer": {"eos_token": "<unknown>"}}, {END, UNKNOWN}),  # the template ends an answer with another token
    ({"generation": None, "config": {"eos_token_id": [UNKNOWN]}}, {END, UNKNOWN}),
    ({"generation": {"eos_token_id": None}, "config": {"eos_token_id": None}, "tokenizer": {"eos_token": None}}, {END}),
], ids=["agreed", "several", "of the template", "of the model", "of the template alone"])  # fmt: skip
def test_all_that_ends_an_answer_is_known(edits, expected, llama, tmp_path) -> None:
    base = loaded(llama, tmp_path, **edits)
    assert end_ids(base.model) == expected
    assert answers(base) == answers(llama[1])
    assert base.tokenizer.eos_token is not None


@pytest.mark.parametrize("eos", ["<end>", True, -1, [4, None]])
def test_an_end_that_is_no_token_id_is_named(eos: Any, llama: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tiny-llama: can't load .*: eos_token_id: .* is no token id"):
        loaded(llama, tmp_path, generation={"eos_token_id": eos})


def test_a_base_whose_answers_nothing_ends_is_refused(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing ends an answer"):
        loaded(
            llama, tmp_path, generation={"eos_token_id": None}, config={"eos_token_id": None},
            tokenizer={"eos_token": None}, template="{% for m in messages %}{{ m['content'] }} {% endfor %}",
        )  # fmt: skip


@pytest.mark.parametrize(("template", "fault"), [
    (None, "no chat template"),
    ("{% for", "its chat template fails with a prompt and an answer: "),
    ("{{ raise_exception('Roles must alternate') }}", "fails with a prompt and an answer: Roles must alternate"),
    ("{{ raise_exception('Roles\n\x1b[31mmust alternate') }}", r"Roles \\x1b\[31mmust alternate$"),
    ("<begin>", "its chat template leaves out the prompt or the answer"),
])  # fmt: skip
def test_a_chat_template_that_cannot_write_a_dialogue_is_named(template, fault, llama, tmp_path) -> None:
    with pytest.raises(InputError, match=f"tiny-llama: can't load .*{fault}"):
        loaded(llama, tmp_path, template=template)
