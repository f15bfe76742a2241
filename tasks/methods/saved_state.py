"""What a run goes on from, as a file without pickles: nested dicts, lists and tuples of tensors, numbers and texts.

One safetensors file, written whole or not at all. Its tensors have the names of their places, as
`optimiser.state.12.exp_avg`, and its metadata have the rest as JSON, in which {"dict": [[key, value], …]},
{"tuple": […]} and {"tensor": name} stand for what JSON does not have, such as keys that are numbers. What is loaded is
what was saved, to the last bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.runtime.files import Damaged, write_atomically

if TYPE_CHECKING:
    import torch

STATE = "state"


def save_state(file: Path, state: Any) -> None:
    """Keep a state in a file, in place of what was kept there before.

    Raises:
        TypeError: a part of it is none of the above.
    """
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    described = json.dumps(_described(state, "", tensors))
    write_atomically(file, save(tensors, {STATE: described}))


def load_state(file: Path) -> Any:
    """The state that was kept in a file, its tensors on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        Damaged: it was cut short or changed, or is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no dict
            return _state(json.loads(opened.metadata()[STATE]), tensors)
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Damaged(f"{file} is not the state that was kept: {error}") from None


def _described(part: Any, place: str, tensors: dict[str, torch.Tensor]) -> Any:
    """A part of a state as JSON can hold it; its tensors go among `tensors`."""
    import torch

    def inner(value: Any, key: Any) -> Any:
        return _described(value, f"{place}.{key}" if place else str(key), tensors)

    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, torch.Tensor):
        name = place
        while name in tensors:  # of keys with points in them, or of 1 and "1"
            name += "'"
        tensors[name] = part.detach().cpu().contiguous().clone()  # two may be views of one
        return {"tensor": name}
    if isinstance(part, dict):
        if not all(isinstance(key, int | str) for key in part):
            raise TypeError(f"{place or 'the state'} has keys that are neither texts nor whole numbers")
        return {"dict": [[key, inner(value, key)] for key, value in part.items()]}
    if isinstance(part, list | tuple):
        values = [inner(value, number) for number, value in enumerate(part)]
        return {"tuple": values} if isinstance(part, tuple) else values
    raise TypeError(f"{place or 'the state'} is of a kind that is not kept: {type(part).__name__}")


def _state(described: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The part of a state that `_described` has described."""
    if isinstance(described, list):
        return [_state(value, tensors) for value in described]
    if not isinstance(described, dict):
        return described
    ((kind, content),) = described.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(_state(value, tensors) for value in content)
    if kind == "dict":
        return {key: _state(value, tensors) for key, value in content}
    raise ValueError(f"it has a {kind!r}")
