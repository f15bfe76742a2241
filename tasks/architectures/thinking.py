"""What a reasoning model says: its answer, without the thinking before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tasks.architectures.chat import Turns, render
from tasks.architectures.endings import PROMPT

NAME = r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?)"
BEGINS = rf"<\|?{NAME}\|?>|<\|(?:start|begin)_(?:of_)?{NAME}\|>|(?-i:\[THINK\])|◁think▷"
ENDS = rf"<\|?/\|?{NAME}\|?>|<\|end_(?:of_)?{NAME}\|>|(?-i:\[/THINK\])|◁/think▷"
CHANNEL = r"<\|channel\|>{}\b[^<]*<\|message\|>"
"""How gpt-oss names what follows; its answer is what stands in the channel `final`."""
MARKS = re.compile(
    rf"(?P<begins>{BEGINS}|{CHANNEL.format('(?:analysis|commentary)')})|(?P<ends>{ENDS}|{CHANNEL.format('final')})",
    re.IGNORECASE,
)
"""`<think>`, `</think>` and their like: `<thinking>`, `<seed:think>`, `<|END_THINKING|>`, `[/THINK]`, channels."""


@dataclass(frozen=True)
class AnswerReader:
    """Reads answers of one tokenizer's model. `reasoning`: whether it thinks before it answers."""

    tokenizer: Any
    reasoning: bool

    def read(self, ids: list[int], finished: bool) -> tuple[str, bool]:
        """The answer as text, and whether there was thinking, which is stripped.

        Marks of thinking count whether they are special tokens of the tokenizer or plain text.
        """
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        if not self.reasoning:
            return text.strip(), False
        with_special = self.tokenizer.decode(ids, skip_special_tokens=False)
        if not MARKS.search(with_special):
            return strip_thinking(text, finished, self._opened)
        answer, thought = strip_thinking(with_special, finished, self._opened)
        return self._special.sub("", answer).strip(), thought

    @cached_property
    def _opened(self) -> bool:
        """Whether the chat template ends a prompt within thinking."""
        rendered = render(self.tokenizer, [Turns(PROMPT)])[0]
        marks = list(MARKS.finditer(rendered.rpartition(PROMPT)[2]))
        return bool(marks) and marks[-1]["begins"] is not None

    @cached_property
    def _special(self) -> re.Pattern[str]:
        """The tokenizer's special tokens."""
        tokens = [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or r"(?!)")


def strip_thinking(text: str, finished: bool, opened: bool = False) -> tuple[str, bool]:
    """The answer after the last end of thinking, and whether there was thinking.

    Thinking that never ends leaves no answer. A model that was cut off before any mark was still thinking, and so was
    one that wrote none after a prompt whose template had `opened` the thinking.
    """
    marks = list(MARKS.finditer(text))
    if marks and marks[-1]["ends"] is not None:
        return text[marks[-1].end() :].strip(), True
    unended = bool(marks) or opened or not finished
    return ("" if unended else text.strip()), unended
