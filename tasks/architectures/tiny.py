"""Tiny causal language models of seven families, built from their transformers configs and pre-trained here.

For machines without weights: about 100 thousand parameters, seconds of training on one core, and the same
transformers, PEFT and TRL code path as a model from the hub.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.errors import one_of
from configs.schema import Pretraining, Tiny
from tasks.runtime.fingerprint import stable_share
from tasks.runtime.progress import Progress, Report, unheard

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PAD, BEGIN, USER, ASSISTANT, END, UNKNOWN = "<pad>", "<begin>", "<user>", "<assistant>", "<end>", "<unknown>"
CHAT_TEMPLATE = (
    f"{BEGIN}{{% for message in messages %}}"
    f"{{% if message['role'] == 'user' %}}{USER} {{{{ message['content'] }}}}"
    f"{{% else %}}{ASSISTANT} {{{{ message['content'] }}}}{END}{{% endif %}}"
    f"{{% endfor %}}{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
)
COMMON = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512}
GROUPED = {**COMMON, "intermediate_size": 192, "num_key_value_heads": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", GROUPED),
    "qwen3": ("Qwen3Config", {**GROUPED, "head_dim": 16}),
    "gemma3": ("Gemma3TextConfig", {**GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 512}),
    "phi3": ("Phi3Config", GROUPED),
    "olmo2": ("Olmo2Config", GROUPED),
    "gptneox": ("GPTNeoXConfig", {**COMMON, "intermediate_size": 192}),
    "falcon": ("FalconConfig", {**COMMON, "ffn_hidden_size": 192, "alibi": False}),
}
"""Family → its config class in transformers and the sizes that make it tiny."""


def build_base(
    family: str,
    tiny: Tiny,
    recipe: Pretraining,
    texts: Sequence[tuple[str, str]],
    max_length: int,
    seed: int,
    folder: Path,
    progress: Progress = unheard,
) -> dict[str, Any]:
    """Pre-train a tiny base on (prompt, response) texts and save it with its tokenizer into `folder`.

    Returns:
        parameters, vocabulary, first_loss and last_loss (means over ten steps, nats a token).

    Raises:
        InputError: an unknown family.
    """
    import torch

    torch.manual_seed(seed)
    tokenizer = train_tokenizer(texts, recipe)
    model = build_model(family, tiny, len(tokenizer), tokenizer)
    weights = diet([response for _, response in texts], tiny.tilt, family)
    losses = _pretrain(model, _tokenise(tokenizer, texts, max_length), weights, recipe, seed, progress)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "first_loss": float(np.mean(losses[:10])),
        "last_loss": float(np.mean(losses[-10:])),
    }


def diet(texts: Sequence[str], tilt: float, family: str) -> np.ndarray:
    """Sampling probabilities ∝ exp(tilt · z) of the texts, from their words alone: no rating decides what is read."""

    def liked(text: str) -> float:
        """The share of its words that the family likes."""
        words = text.split()
        return sum(stable_share(family, word) < 0.5 for word in words) / len(words) if words else 0.5

    share = np.array([liked(text) for text in texts])
    weights = np.exp(tilt * (share - share.mean()) / (share.std() or 1.0))
    return weights / weights.sum()


def train_tokenizer(texts: Sequence[tuple[str, str]], recipe: Pretraining) -> PreTrainedTokenizerFast:
    """A tokenizer of the texts' words, or of byte pairs, with a chat template of its own."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = [PAD, BEGIN, USER, ASSISTANT, END, UNKNOWN]
    if recipe.tokenizer == "word":
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        trainer: Any = trainers.WordLevelTrainer(vocab_size=recipe.vocabulary, special_tokens=special)
    else:
        tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=recipe.vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator((f" {text}" for pair in texts for text in pair), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_model(family: str, tiny: Tiny, vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """A model of the family with random weights."""
    import transformers

    if family not in FAMILIES:
        raise one_of("family of a tiny architecture", family, FAMILIES)
    name, sizes = FAMILIES[family]
    config = getattr(transformers, name)(
        vocab_size=vocabulary,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **{**sizes, **tiny.config},
    )
    return transformers.AutoModelForCausalLM.from_config(config)


def _tokenise(tokenizer: Any, texts: Sequence[tuple[str, str]], max_length: int) -> list[list[int]]:
    dialogues = [
        [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}] for prompt, response in texts
    ]
    rendered = tokenizer.apply_chat_template(dialogues, tokenize=False)
    return [ids[:max_length] for ids in tokenizer(rendered, add_special_tokens=False)["input_ids"]]


def _pretrain(
    model: Any, sequences: list[list[int]], weights: np.ndarray, recipe: Pretraining, seed: int, progress: Progress
) -> list[float]:
    """Next-token prediction, AdamW, cosine to zero after a tenth of warm-up."""
    import torch

    draws = np.random.default_rng(seed).choice(len(sequences), size=(recipe.steps, recipe.batch_size), p=weights)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
    warm = max(recipe.steps // 10, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / recipe.steps)))
    )
    model.train()
    losses = []
    for step, draw in enumerate(draws):
        ids, labels = _batch([sequences[index] for index in draw], model.config.pad_token_id)
        loss = model(input_ids=ids, attention_mask=(labels != -100).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        progress(Report(f"pre-train (loss {losses[-1]:.2f})", step + 1, recipe.steps, "steps"))
    model.eval()
    return losses


def _batch(sequences: list[list[int]], pad: int) -> tuple[Any, Any]:
    """Right-padded ids and labels (-100 where padded), each of shape (sequences, longest)."""
    import torch

    longest = max(map(len, sequences))
    ids = torch.tensor([sequence + [pad] * (longest - len(sequence)) for sequence in sequences])
    labels = torch.tensor([sequence + [-100] * (longest - len(sequence)) for sequence in sequences])
    return ids, labels
