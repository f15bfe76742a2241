"""Prompts and responses as token ids, through the tokenizer's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from tasks.runtime.fingerprint import stable_share

Dialogue = tuple[str, str] | tuple[str, str, str]
"""A prompt and a response to it; where there is one, what the system turn before them says."""
SYSTEM = "system"
"""The role of that turn, and the column of tables whose rows have one."""


class Turns(NamedTuple):
    """What is said in a dialogue. A response of None is still to come; a system turn of "" is none."""

    prompt: str
    response: str | None = None
    system: str = ""


@dataclass(frozen=True)
class Encoded:
    """Token ids of a prompt as the model sees it, and of the response that follows. `cut`: shortened to fit."""

    prompt: list[int]
    response: list[int]
    cut: bool = False


TEMPLATE_VALUES = {"date_string": "1 January 2026"}
"""What some templates (Llama 3's) would otherwise take from the clock, so that the same prompt stays the same."""


def encode(tokenizer: Any, dialogues: Sequence[Dialogue], max_length: int) -> list[Encoded]:
    """Prompts, responses and system turns → ids; the system turn is a part of the prompt.

    A prompt keeps its system turn and its end, at most half of `max_length`; a response keeps its start, within what
    remains. The response begins where the ids of the prompt alone and of both together part, since a template may
    render them differently; of several responses to a prompt, all begin where the first of them parts, so that they
    share their prompt's ids.
    """
    answered = [Turns(*item) for item in dialogues]
    asked = [item._replace(response=None) for item in answered]
    prompts, wholes = _ids(tokenizer, asked), _ids(tokenizer, answered)
    shared: dict[Turns, int] = {}
    for key, prompt, whole in zip(asked, prompts, wholes, strict=True):
        length = _shared_length(prompt, whole)
        shared[key] = min(shared.get(key, length), length)
    heads = _heads(tokenizer, asked, prompts)
    return [_fit(whole, shared[key], max_length, head) for key, whole, head in zip(asked, wholes, heads, strict=True)]


def encode_prompts(
    tokenizer: Any, prompts: Sequence[str], systems: Sequence[str] | None = None, max_length: int | None = None
) -> list[list[int]]:
    """Prompts → ids, ending where the model is to answer. Of too long ones the end is kept, and the system turn.

    systems: what the system turn before each prompt says, by default nothing.
    """
    asked = [
        Turns(prompt, None, system) for prompt, system in zip(prompts, systems or [""] * len(prompts), strict=True)
    ]
    encoded = _ids(tokenizer, asked)
    if max_length is None:
        return encoded
    heads = _heads(tokenizer, asked, encoded)
    return [_shortened(ids, max_length, head) for ids, head in zip(encoded, heads, strict=True)]


def _heads(tokenizer: Any, asked: Sequence[Turns], encoded: Sequence[list[int]]) -> list[int]:
    """How many ids of each prompt come before its own words, where there is a system turn; else 0."""
    others = _ids(tokenizer, [item._replace(prompt="?") for item in asked if item.system])
    other = iter(others)
    return [_shared_length(ids, next(other)) if item.system else 0 for item, ids in zip(asked, encoded, strict=True)]


def _shared_length(a: list[int], b: list[int]) -> int:
    parted = (index for index, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1])
    return next(parted, min(len(a), len(b)))


def _shortened(prompt: list[int], length: int, head: int) -> list[int]:
    """At most so many ids of a prompt: the first `head`, and the end of the rest."""
    if len(prompt) <= length:
        return prompt
    head = min(head, length)
    return prompt[:head] + prompt[len(prompt) - (length - head) :]


def _fit(whole: list[int], start: int, max_length: int, head: int = 0) -> Encoded:
    prompt, response = whole[:start], whole[start:]
    kept_prompt = _shortened(prompt, max_length // 2, head)
    kept_response = response[: max_length - len(kept_prompt)]
    return Encoded(kept_prompt, kept_response, cut=len(kept_prompt) + len(kept_response) < len(whole))


_known: WeakKeyDictionary[Any, dict[Turns, list[int]]] = WeakKeyDictionary()
"""What a tokenizer that is still in use has made of a dialogue: conditions of a study ask for the same ones."""


def _ids(tokenizer: Any, dialogues: Sequence[Turns]) -> list[list[int]]:
    """Of each dialogue; one without a response ends where the model is to answer."""
    known = _known.setdefault(tokenizer, {})
    for answered in (True, False):
        wanted = [item for item in dict.fromkeys(dialogues) if (item.response is not None) == answered]
        missing = [item for item in wanted if item not in known]
        if missing:
            texts = render(tokenizer, missing)
            known |= zip(missing, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True)
    return [known[item] for item in dialogues]


def render(tokenizer: Any, dialogues: Sequence[Turns]) -> list[str]:
    """Dialogues as the chat template writes them, all with a response or all without.

    Where the template has no system turn, what it would say stands at the head of the user's.
    """
    systems = {text: _in_known_words(tokenizer, text) for text in {item.system for item in dialogues} - {""}}
    has_turn = bool(systems) and _has_system_turn(tokenizer)
    written = [_messages(item._replace(system=systems.get(item.system, "")), has_turn) for item in dialogues]
    settings = {"tokenize": False, "add_generation_prompt": dialogues[0].response is None, **TEMPLATE_VALUES}
    return tokenizer.apply_chat_template(written, **settings)


def _messages(turns: Turns, has_system_turn: bool) -> list[dict[str, str]]:
    prompt, response, system = turns
    messages = [{"role": "user", "content": prompt}]
    if system and has_system_turn:
        messages = [{"role": SYSTEM, "content": system}, *messages]
    elif system:
        messages = [{"role": "user", "content": f"{system} {prompt}"}]
    return messages if response is None else [*messages, {"role": "assistant", "content": response.strip()}]


def _has_system_turn(tokenizer: Any) -> bool:
    """Whether the chat template takes a system turn, keeps its words, and takes it for no other's turn."""

    def written(role: str) -> str:
        turns = [{"role": role, "content": "Be brief."}, {"role": "user", "content": "Why?"}]
        try:
            return tokenizer.apply_chat_template(turns, tokenize=False, **TEMPLATE_VALUES)
        except Exception:  # a template may raise what it likes
            return ""

    own = written(SYSTEM)
    return "Be brief." in own and own not in (written("user"), written("assistant"))


def _in_known_words(tokenizer: Any, text: str) -> str:
    """The text; two known words in its place where a tokenizer of whole words lacks one of its words.

    A tiny model knows the words of its study's texts alone, and before many others its answers are no language. A hash
    of the text chooses, so that two texts remain two. Other tokenizers can write every word.
    """
    unknown = tokenizer.unk_token_id

    def known(words: list[str]) -> list[str]:
        encoded = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
        return [word for word, ids in zip(words, encoded, strict=True) if unknown not in ids]

    if unknown is None or known([text]):
        return text
    spoken = {tokenizer.convert_tokens_to_string([token]).strip() for token in tokenizer.get_vocab()}
    words = known(sorted(word for word in spoken if word.isalpha()))
    return " ".join(words[int(stable_share(text, place) * len(words))] for place in range(2)) if words else text
