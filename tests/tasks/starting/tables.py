"""Tables as people have them, small and made up."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
WORDS = [
    "the",
    "model",
    "says",
    "that",
    "this",
    "is",
    "how",
    "you",
    "can",
    "do",
    "it",
    "and",
    "not",
    "what",
    "we",
    "would",
    "have",
    "in",
    "the",
    "answer",
    "to",
    "your",
    "question",
]


def write(path: Path, rows: Sequence[Row]) -> Path:
    """The rows as CSV, JSON or JSON Lines, as the name says."""
    if path.suffix == ".json":
        path.write_text(json.dumps(list(rows)), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
    return path


def sentence(number: int, of: str) -> str:
    """A text of its own."""
    return f"{of} {number}: {' '.join(WORDS[(number + k) % len(WORDS)] for k in range(8))}."


def people(count: int = 44) -> list[dict[str, Any]]:
    """Every second a woman; ages from 20 on."""
    return [
        {"rater_id": f"rater-{n:03d}", "gender": ("woman", "man")[n % 2], "age": 20 + n, "email": f"a{n}@example.org"}
        for n in range(count)
    ]


def responses(prompts: int = 48, each: int = 2) -> list[dict[str, Any]]:
    return [
        {"item_id": f"i{p}-{r}", "prompt": sentence(p, "question"), "response": sentence(10 * p + r, "answer")}
        for p in range(prompts)
        for r in range(each)
    ]


def ratings(
    raters: int = 44, prompts: int = 48, each: int = 2, levels: Sequence[Any] = (1, 2, 3, 4, 5)
) -> list[dict[str, Any]]:
    """Each rater rates both responses to every fourth prompt, from the rater's number on."""
    return [
        {
            "rater_id": f"rater-{n:03d}",
            "item_id": f"i{p}-{r}",
            "helpfulness": levels[(n * n + 5 * p + r * (n % 3 + 1) + n * p // 4) % len(levels)],
        }
        for n in range(raters)
        for p in range(n % 4, prompts, 4)
        for r in range(each)
    ]


def flat(prompts: int = 48, **settings: Any) -> list[dict[str, Any]]:
    """Everything in one table."""
    person = {row["rater_id"]: row for row in people()}
    text = {row["item_id"]: row for row in responses(prompts)}
    return [{**person[row["rater_id"]], **text[row["item_id"]], **row} for row in ratings(prompts=prompts, **settings)]
