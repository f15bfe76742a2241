"""The model card of an adapter: what it was trained on, how, and what it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from configs.schema import Condition
from tasks.architectures.load import BaseRef

LIMITS = (
    "It shows what one condition's feedback does to one architecture, for comparison with other conditions of the "
    "study. It was not trained or tested for use, its outputs may offend, and its scores hold for the study's held-out "
    "prompts only."
)
HEADER = {"library_name": "peft", "tags": ["pluralign"]}
MARKUP = re.compile(r"[\\`*_{}\[\]<>#|!~&$@:]|(?<=www)\.", re.IGNORECASE)
"""What Markdown would read as markup, a link, a formula or a character reference."""


def model_card(base: BaseRef, condition: Condition, cells: list[str], facts: Mapping[str, Any], label: str) -> str:
    """Markdown with the hub's header. `facts`: settings and identities, as name → value, shown as they are."""
    source = base.architecture.hub or base.architecture.name
    header = yaml.safe_dump(HEADER | {"base_model": source}, allow_unicode=True, sort_keys=False).strip()
    asked = {name: value for name, value in condition.model_dump(mode="json").items() if value is not None}
    rows = {"base": source, "revision": base.revision or "none (local)", "precision": base.architecture.dtype}
    lines = [f"- {plain(name)}: {plain(value)}" for name, value in {**rows, **asked, **facts}.items()]
    warning = [f"**{label[:1].upper()}{label[1:]}: no evidence about people or models in use.**", ""] if label else []
    heading = f"# LoRA adapter of {plain(base.architecture.title)}: {plain(cells)}"
    return "\n".join(["---", header, "---", heading, "", *warning, LIMITS, "", *lines, ""])


def plain(value: Any) -> str:
    """On one line, without what Markdown would read as markup."""
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
