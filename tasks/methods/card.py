"""The model card of an adapter: what it was trained on, how, and what it is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from configs.schema import Condition
from tasks.architectures.load import BaseRef

LIMITS = (
    "It shows what one condition's feedback does to one architecture, for comparison with other conditions of the "
    "study. It was not trained or tested for use, its outputs may offend, and its scores hold for the study's held-out "
    "prompts only."
)
HEADER = {"library_name": "peft", "tags": ["pluralign"]}


def model_card(base: BaseRef, condition: Condition, cells: list[str], facts: Mapping[str, Any], label: str) -> str:
    """Markdown with the hub's header. `facts`: settings and identities, as name → value, shown as they are."""
    title = base.architecture.title
    source = base.architecture.hub or title
    header = "\n".join(f"{name}: {json.dumps(value)}" for name, value in (HEADER | {"base_model": source}).items())
    asked = {name: value for name, value in condition.model_dump(mode="json").items() if value is not None}
    rows = {"base": source, "revision": base.revision or "none (local)"}
    lines = [f"- {name}: {_plain(value)}" for name, value in {**rows, **asked, **facts}.items()]
    warning = [f"**{label[:1].upper()}{label[1:]}: no evidence about people or models in use.**", ""] if label else []
    heading = f"# LoRA adapter of {title}: {', '.join(cells)}"
    return "\n".join(["---", header, "---", heading, "", *warning, LIMITS, "", *lines, ""])


def _plain(value: Any) -> str:
    """On one line, without what Markdown would read as markup."""
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|!" else letter for letter in " ".join(text.split()))
