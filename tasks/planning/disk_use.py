"""What a study writes to disk, estimated before anything runs: at most about so much.

```
adapters         training runs × (4 bytes × rank × the inputs and outputs of the matrices adapted + settings and card)
MLflow's copies  one of each adapter, where MLflow is a file of this machine; replicates' adapters are not logged
checkpoints      slots × 3 at once × (adapter + two moments of each weight), while training runs and after a kill
bases            tiny ones in float32; GGUF files dequantised to the architecture's precision
downloads        models of the hub in two bytes a parameter, where its cache does not have them
answers          prompts × (the tokens that an answer may have × 4 characters + 50 bytes of scores) + their records
```
Left out is what hardly grows with a study: ratings and their tables, databases, figures and the report.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.schema import CONTROL, Architecture, Study
from tasks.architectures.cost import CHARACTERS_A_TOKEN
from tasks.architectures.sizes import BYTES, FLOAT, ModelShape, shape_of, weights_folder
from tasks.planning.cells import TOGETHER, cells, replicates

STORE, HOME, HUB = "store", "home", "hub"
"""The places that something is written to."""
CHECKPOINTS_AT_ONCE = 3
"""A trainer keeps two, and removes the older one when the next is whole."""
MOMENTS = 2
BESIDE_ANSWERS = 6_000
"""Bytes of the tables and records of one set of answers, whatever is in them."""
SCORE_BYTES = 50
"""Of one answer, on all dimensions, in its table."""
UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


@dataclass(frozen=True)
class DiskPart:
    """What of one kind is written to one place; `there`: how many of its bytes are known to be there already."""

    kind: str
    place: str
    size: float
    there: float = 0.0


@dataclass(frozen=True)
class DiskUse:
    """All that a study writes, in bytes. assumed: architectures of which only the number of parameters is known."""

    parts: tuple[DiskPart, ...]
    assumed: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        return sum(part.size for part in self.parts)

    @property
    def there(self) -> float:
        return sum(part.there for part in self.parts)

    def still_to_write(self, place: str) -> float:
        return sum(part.size - part.there for part in self.parts if part.place == place)

    def __str__(self) -> str:
        """`about 1.2 GB: adapters 0.9, answers 0.3; 0.3 of it is there already`."""
        unit, name = unit_of(self.size)
        shown = [(part.kind, f"{part.size / unit:.1f}") for part in self.parts]
        kinds = ", ".join(f"{kind} {size}" for kind, size in shown if float(size))
        there = f"; {self.there / unit:.1f} of it is there already" if self.there / unit >= 0.05 else ""
        return f"about {self.size / unit:.1f} {name}{': ' if kinds else ''}{kinds}{there}"


@dataclass(frozen=True)
class CellFiles:
    """What is kept of one cell, or of its rater replicates together.

    adapter: whether it has one of its own, not another cell's. asked: how often it answers each prompt.
    replicates: how many of them it is; 0 for the cell itself.
    """

    architecture: str
    adapter: bool
    answers: bool = True
    asked: int = 1
    replicates: int = 0
    adapter_there: bool = False
    answers_there: bool = False

    @property
    def times(self) -> int:
        return self.replicates or 1


def files_of_all_cells(study: Study) -> list[CellFiles]:
    """As if nothing were there and no cell shared another's training run: which of them do is not known before the
    ratings are read."""
    single = [
        CellFiles(cell.architecture, cell.condition != CONTROL, asked=asked(study, cell.experiment, cell.condition))
        for cell in cells(study)
    ]
    several = [
        CellFiles(group.architecture, True, asked=asked(study, group.of.experiment, group.of.condition),
                  replicates=len(group.numbers))
        for group in replicates(study)
    ]  # fmt: skip
    return [*single, *several]


def asked(study: Study, experiment: str, condition: str) -> int:
    """How often a cell answers each prompt: once for every group that is named to the model, else once."""
    if condition == CONTROL:
        return 1
    settings = study.experiments[experiment]
    return len(settings.groups) if settings.conditions[condition].voices == "named" else 1


def disk_use(
    study: Study, files: Sequence[CellFiles], prompts: int, slots: int, local_mlflow: bool, bases: Collection[str] = ()
) -> DiskUse:
    """The bytes that a study's cells come to.

    Args:
        files: of all its cells.
        prompts: held-out prompts that each answers.
        slots: training runs that are under way at the same time.
        local_mlflow: whether MLflow keeps its files in the home.
        bases: architectures whose base has been made, of those that are made here.
    """
    lora, recipe = study.recipe.lora, study.recipe
    folders = {architecture.name: weights_folder(architecture) for architecture in study.architectures}
    shapes = {item.name: shape_of(item, folders[item.name]) for item in study.architectures}
    adapter = {name: shape.adapter_bytes(lora) for name, shape in shapes.items()}
    answer = prompts * (recipe.max_new_tokens * CHARACTERS_A_TOKEN + SCORE_BYTES)
    total = dict.fromkeys(("adapters", "copies", "answers"), 0.0)
    there = dict.fromkeys(total, 0.0)
    for cell in files:
        size = cell.times * adapter[cell.architecture] if cell.adapter else 0
        copied = size if local_mlflow and not cell.replicates else 0
        written = cell.times * cell.asked * answer + BESIDE_ANSWERS if cell.answers else 0
        for kind, amount_of_it, made in (
            ("adapters", size, cell.adapter_there),
            ("copies", copied, cell.adapter_there),
            ("answers", written, cell.answers_there),
        ):
            total[kind] += amount_of_it
            there[kind] += amount_of_it if made else 0
    made_bases, downloads = _bases(study, shapes, folders, bases)
    parts = (
        DiskPart("adapters", STORE, total["adapters"], there["adapters"]),
        DiskPart("MLflow's copies", HOME, total["copies"], there["copies"]),
        DiskPart("checkpoints", STORE, _checkpoints(files, shapes, study, slots)),
        made_bases,
        downloads,
        DiskPart("answers", STORE, total["answers"], there["answers"]),
    )
    return DiskUse(parts, tuple(name for name, shape in shapes.items() if shape.assumed))


def _checkpoints(files: Sequence[CellFiles], shapes: dict[str, ModelShape], study: Study, slots: int) -> float:
    """Of the largest jobs that may be under way together; nothing where all adapters are there."""
    sizes = sorted(
        (min(cell.times, TOGETHER) * shapes[cell.architecture].adapter_weights(study.recipe.lora)
         for cell in files if cell.adapter and not cell.adapter_there),
        reverse=True,
    )  # fmt: skip
    return float(CHECKPOINTS_AT_ONCE * (1 + MOMENTS) * FLOAT * sum(sizes[:slots]))


def _bases(
    study: Study, shapes: dict[str, ModelShape], folders: dict[str, Path | None], made: Collection[str]
) -> tuple[DiskPart, DiskPart]:
    """Those that are made here, and those that come from the hub."""
    own = own_there = loaded = loaded_there = 0.0
    for item in study.architectures if study.experiments else ():
        size = _made_bytes(item, shapes[item.name], study.recipe.pretraining.vocabulary)
        own += size
        own_there += size if item.name in made else 0.0
        if item.hub:
            fetched = BYTES["bfloat16"] * item.parameters
            loaded += fetched
            loaded_there += fetched if folders[item.name] else 0.0
    return DiskPart("bases", STORE, own, own_there), DiskPart("downloads", HUB, loaded, loaded_there)


def _made_bytes(architecture: Architecture, shape: ModelShape, vocabulary: int) -> float:
    """Of a base that is made here; 0 for one that is used where it lies."""
    if architecture.tiny:
        return FLOAT * (architecture.parameters + vocabulary * shape.hidden)
    if architecture.gguf:
        return BYTES["float32" if architecture.dtype in ("auto", "float32") else "bfloat16"] * architecture.parameters
    return 0.0


def unit_of(size: float) -> tuple[float, str]:
    """The largest unit that a number of bytes fills, and its name; kilobytes at least."""
    return next((unit for unit in UNITS if size >= unit[0]), UNITS[-1])


def amount(size: float) -> str:
    """`41.3 GB`."""
    unit, name = unit_of(size)
    return f"{size / unit:.1f} {name}"
