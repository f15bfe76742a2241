"""Training methods by name. A new one is a file with a `Method`, its import and its entry here."""

from __future__ import annotations

from configs.errors import one_of
from configs.schema import Study
from tasks.methods.dpo import Dpo
from tasks.methods.grpo import Grpo
from tasks.methods.kto import Kto
from tasks.methods.method import Method


class _Methods(dict[str, Method]):
    def __missing__(self, name: str) -> Method:
        """Raises `InputError` with the names that there are."""
        raise one_of("method", name, self)


METHODS = _Methods({method.name: method for method in (Dpo(), Grpo(), Kto())})


def methods_of(study: Study) -> list[Method]:
    """The methods that train the study's conditions, each once."""
    used = {condition.method for item in study.experiments.values() for condition in item.conditions.values()}
    return [method for name, method in METHODS.items() if name in used]
