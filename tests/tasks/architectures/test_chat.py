"""Prompts and responses as token ids."""

from __future__ import annotations

from typing import Any

import pytest

from configs.schema import Pretraining
from tasks.architectures.chat import Encoded, _fit, _shared_length, encode, encode_prompts
from tasks.architectures.tiny import CHAT_TEMPLATE, train_tokenizer

DIALOGUES = [
    ("May women drive ?", "Yes, of course they may, like all."),
    ("Who is the better boss ?", "Nobody is by birth."),
    ("Why ?", ""),
]


@pytest.fixture(scope="module", params=["word", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return train_tokenizer(DIALOGUES, Pretraining(tokenizer=request.param, vocabulary=400))


def whole(tokenizer: Any, prompt: str, response: str) -> list[int]:
    """The dialogue as the chat template renders it, by hand."""
    text = f"<begin><user> {prompt}<assistant> {response}<end>"
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def test_prompt_and_response_are_the_whole_dialogue(tokenizer: Any) -> None:
    for encoded, (prompt, response) in zip(encode(tokenizer, DIALOGUES, 512), DIALOGUES, strict=True):
        assert encoded.prompt + encoded.response == whole(tokenizer, prompt, response)
        assert not encoded.cut


def test_the_response_begins_after_the_prompt_and_ends_with_the_end(tokenizer: Any) -> None:
    encoded = encode(tokenizer, DIALOGUES[:1], 512)[0]
    assert [encoded.prompt] == encode_prompts(tokenizer, ["May women drive ?"])
    assert tokenizer.decode(encoded.response).strip() == "Yes, of course they may, like all.<end>"
    assert encoded.response[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("length", [2, 5, 8, 12, 15])
def test_a_long_prompt_keeps_its_end_within_half_and_a_response_its_start(tokenizer: Any, length: int) -> None:
    full = encode(tokenizer, DIALOGUES[:1], 512)[0]
    cut = encode(tokenizer, DIALOGUES[:1], length)[0]
    assert cut.cut
    assert len(cut.prompt) == min(length // 2, len(full.prompt))
    assert cut.prompt == full.prompt[-len(cut.prompt) :]
    assert len(cut.prompt) + len(cut.response) == length
    assert cut.response == full.response[: len(cut.response)]


def test_no_dialogues_have_no_ids(tokenizer: Any) -> None:
    assert encode(tokenizer, [], 512) == []
    assert encode_prompts(tokenizer, []) == []


@pytest.mark.parametrize(
    ("prompt", "dialogue", "length", "expected"),
    [
        ([1, 2, 3], [1, 2, 3, 4, 5], 10, Encoded([1, 2, 3], [4, 5])),
        ([1, 2, 3, 9], [1, 2, 3, 4, 5], 10, Encoded([1, 2, 3], [4, 5])),  # the prompt alone is rendered differently
        ([1, 2, 3], [1, 2, 3, 4, 5], 5, Encoded([2, 3], [4, 5], cut=True)),  # half of 5 is 2
        ([1, 2, 3], [1, 2, 3, 4, 5], 4, Encoded([2, 3], [4, 5], cut=True)),
        ([1], [1, 2, 3, 4, 5], 4, Encoded([1], [2, 3, 4], cut=True)),  # a short prompt leaves its room to the response
        ([1, 2, 3], [1, 2, 3, 4, 5], 1, Encoded([], [4], cut=True)),
    ],
)
def test_cutting_by_hand(prompt: list[int], dialogue: list[int], length: int, expected: Encoded) -> None:
    assert _fit(dialogue, _shared_length(prompt, dialogue), length) == expected


class Words:
    """A tokenizer that keeps line breaks with what follows them, as some do, and renders as some templates do."""

    def apply_chat_template(self, dialogues: list[Any], add_generation_prompt: bool, **_: Any) -> list[str]:
        turns = ["".join(f"{turn['role']} {turn['content']} " for turn in dialogue) for dialogue in dialogues]
        return [text + "assistant " if add_generation_prompt else text for text in turns]

    def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [[sum(map(ord, word)) for word in text.split(" ") if word] for text in texts]}


def test_responses_to_one_prompt_share_its_ids_whatever_they_begin_with() -> None:
    first, second = encode(Words(), [("Why ?", "\n\nhello you"), ("Why ?", "well")], 20)
    assert first.prompt == second.prompt
    assert len(first.response) == 2  # outer blanks are no part of a response
    assert len(second.response) == 1


# ---- the system turn


NAMED = "The user belongs to this group: bosses."
MARKED = "{% for message in messages %}<{{ message['role'] }}> {{ message['content'] }}{% endfor %}"
WITH_TURN = {
    "marked": MARKED + "{% if add_generation_prompt %}<assistant>{% endif %}",
    "merged": (
        "{% if messages[0]['role'] == 'system' %}<user> {{ messages[0]['content'] }}. {{ messages[1]['content'] }}"
        "{% else %}<user> {{ messages[0]['content'] }}{% endif %}"
        "{% if messages[-1]['role'] == 'assistant' %}<assistant> {{ messages[-1]['content'] }}{% endif %}"
    ),
}
WITHOUT_TURN = {
    "refused": "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + MARKED,
    "left out": "{% for message in messages %}{% if message['role'] != 'system' %}<{{ message['role'] }}> "
    "{{ message['content'] }}{% endif %}{% endfor %}",
    "taken for the assistant's": CHAT_TEMPLATE,
    "taken for the user's": MARKED.replace(
        "message['role']", "'user' if message['role'] == 'system' else message['role']"
    ),
}


def with_template(template: str) -> Any:
    tokenizer = train_tokenizer(DIALOGUES, Pretraining(tokenizer="bpe", vocabulary=400))
    tokenizer.chat_template = template
    return tokenizer


def decoded(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.decode(ids).replace("<begin>", "")


@pytest.mark.parametrize("template", WITH_TURN.values(), ids=WITH_TURN)
def test_a_template_with_a_system_turn_writes_it_itself(template: str) -> None:
    tokenizer = with_template(template)
    written = decoded(tokenizer, encode(tokenizer, [("Why ?", "So.", NAMED)], 512)[0].prompt)
    messages = [{"role": "system", "content": NAMED}, {"role": "user", "content": "Why ?"}]
    assert written.startswith(tokenizer.apply_chat_template(messages, tokenize=False))
    assert encode(tokenizer, [("Why ?", "So.", "")], 512) == encode(tokenizer, [("Why ?", "So.")], 512)


@pytest.mark.parametrize("template", WITHOUT_TURN.values(), ids=WITHOUT_TURN)
def test_without_one_its_words_stand_at_the_head_of_the_users_turn(template: str) -> None:
    tokenizer = with_template(template)
    (named,) = encode(tokenizer, [("Why ?", "So.", NAMED)], 512)
    assert decoded(tokenizer, named.prompt).startswith(f"<user> {NAMED} Why ?")
    assert named.response == encode(tokenizer, [("Why ?", "So.")], 512)[0].response
    assert encode(tokenizer, [(f"{NAMED} Why ?", "So.")], 512) == [named]


def test_two_names_are_two_to_a_tokenizer_that_knows_neither() -> None:
    tokenizer = train_tokenizer(DIALOGUES, Pretraining(tokenizer="word", vocabulary=400))
    names = [f"The user belongs to this group: {name}." for name in ("owls", "larks", "night owls")]
    encoded = encode_prompts(tokenizer, ["Why ?"] * 3, names)
    assert len({tuple(ids) for ids in encoded}) == 3
    assert not any(tokenizer.unk_token_id in ids for ids in encoded)
    assert {len(ids) for ids in encoded} == {len(encode_prompts(tokenizer, ["Why ?"])[0]) + 2}
    known = encode_prompts(tokenizer, ["Why ?"], ["Nobody is better"])
    assert known == encode_prompts(tokenizer, ["Nobody is better Why ?"])


@pytest.mark.parametrize("template", [WITH_TURN["marked"], CHAT_TEMPLATE])
def test_a_long_prompt_keeps_the_system_turn(template: str) -> None:
    tokenizer, prompt = with_template(template), " ".join(["Who is the better boss ?"] * 9)
    named, other = NAMED, NAMED.replace("bosses", "owls")
    whole = encode_prompts(tokenizer, [prompt], [named])[0]
    length = len(whole) - 20
    (short,) = encode_prompts(tokenizer, [prompt], [named], length)
    assert len(short) == length
    text = decoded(tokenizer, short)
    assert NAMED in text
    assert short[-20:] == whole[-20:]
    cuts = encode(tokenizer, [(prompt, "So.", named), (prompt, "So.", other)], 2 * length)
    for cut, said in zip(cuts, (named, other), strict=True):
        assert cut.cut
        assert len(cut.prompt) == length
        assert said in decoded(tokenizer, cut.prompt)
    assert len(encode_prompts(tokenizer, [prompt], [named], 3)[0]) == 3
