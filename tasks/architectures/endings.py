"""What ends an answer, and the only settings of generation that a base brings along: its token ids.

A model's own generation settings (beams, penalties, banned words, time limits) would make something else of greedy
answers, and of samples in training something that the recipe doesn't say. So they are left where they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import InputError
from tasks.architectures.chat import Turns, render

if TYPE_CHECKING:
    from transformers import GenerationConfig

CONFIG, GENERATION = "config.json", "generation_config.json"
PROMPT, ANSWER = "Xprompt", "Xanswer"
"""A dialogue that every chat template must be able to write, in words that none has of its own."""


def settle_endings(folder: Path, tokenizer: Any) -> GenerationConfig:
    """Generation settings with nothing in them but the ids that end an answer, pad and begin.

    A tokenizer without an end or padding is given one. An answer ends with what the model's settings name, with the
    tokenizer's end, and with what the chat template writes after an answer.

    Raises:
        InputError: the chat template can't write a dialogue, an id is none, or nothing ends an answer.
    """
    from transformers import GenerationConfig

    ends = _configured_ends(folder)
    if tokenizer.eos_token is None and ends:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])
    ends += [*template_end(tokenizer), *([] if tokenizer.eos_token is None else [tokenizer.eos_token_id])]
    if not ends:
        raise InputError("nothing ends an answer: neither an eos_token_id nor a token of the chat template")
    if tokenizer.eos_token is None:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id}
    return GenerationConfig(eos_token_id=sorted(set(ends)), **ids)


def end_ids(model: Any) -> set[int]:
    """Token ids that end an answer of a loaded base."""
    return set(model.generation_config.eos_token_id)


def template_end(tokenizer: Any) -> list[int]:
    """The added token that the chat template writes first after an answer; none where it writes plain text.

    Raises:
        InputError: there is no template, it fails, or it leaves the prompt or the answer out.
    """
    asked, answered = _rendered(tokenizer, None), _rendered(tokenizer, ANSWER)
    if PROMPT not in asked or PROMPT not in answered or ANSWER not in answered:
        raise InputError("its chat template leaves out the prompt or the answer")
    after = tokenizer(answered.rpartition(ANSWER)[2].lstrip(), add_special_tokens=False)["input_ids"]
    return [token for token in after[:1] if token in tokenizer.added_tokens_decoder]


def _rendered(tokenizer: Any, answer: str | None) -> str:
    if not tokenizer.chat_template:
        raise InputError("no chat template (chat_template.jinja, or chat_template in tokenizer_config.json)")
    try:
        return render(tokenizer, [Turns(PROMPT, answer)])[0]
    except Exception as error:  # a template may raise what it likes
        raise InputError(f"its chat template fails with a prompt and an answer: {str(error)[:200]}") from None


def _configured_ends(folder: Path) -> list[int]:
    """Of the generation settings; where they name none, of the model's, as the files have them.

    What transformers takes for granted where no file names an end is another model's.
    """
    files = [json.loads(path.read_text()) for name in (GENERATION, CONFIG) if (path := folder / name).exists()]
    settings = [*files, *(part for file in files if isinstance(part := file.get("text_config"), dict))]
    ids: Any = next((item["eos_token_id"] for item in settings if item.get("eos_token_id") is not None), [])
    listed = ids if isinstance(ids, list) else [ids]
    for item in listed:
        if not isinstance(item, int) or isinstance(item, bool) or item < 0:
            raise InputError(f"eos_token_id: {str(item)[:80]!r} is no token id")
    return listed
