"""What each group counts while a model learns to serve the one that it serves worst.

    min_θ max_q Σ_g q_g (L_g + C / √n_g),   q on the simplex (Sagawa et al. 2020; for preferences Ramesh et al. 2024)

After each optimiser step q_g ← q_g · exp(η (L̂_g + C / √n_g)), scaled to sum 1, where L̂_g is a running mean of the
group's weighted mean loss. The next step's rows of group g count q_g · G times what they would among equal groups. For
least regret L_g has the loss of the group's own adapter taken from it: plain worst-case training chases the noisiest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from configs.schema import Robust

if TYPE_CHECKING:
    import pandas as pd

GROUP = "group"
"""The column that says whose labels a row is of, where a condition has groups."""


@dataclass(frozen=True)
class GroupedRows:
    """The groups of a table's rows: their names, how many rows each has, and each row's group by its place."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    of_row: tuple[int, ...]

    @classmethod
    def of(cls, table: pd.DataFrame) -> GroupedRows:
        import pandas as pd

        codes = pd.Categorical(table[GROUP])
        sizes = pd.Series(codes.codes).value_counts().sort_index()
        return cls(tuple(map(str, codes.categories)), tuple(map(int, sizes)), tuple(map(int, codes.codes)))


class GroupWeights:
    """q of one run, or of several that are trained together (copies). All tensors are of shape (copies, groups)."""

    def __init__(
        self,
        settings: Robust,
        groups: GroupedRows,
        own_losses: Sequence[Mapping[str, float]] = ({},),
        device: Any = None,
    ) -> None:
        """`own_losses`: of each copy, group → the loss of its own adapter, for least regret; else empty."""
        import torch

        self.settings, self.groups = settings, groups
        shape = len(own_losses), len(groups.names)
        self._log_q, self._mean, self._seen = (torch.zeros(shape, dtype=torch.float64, device=device) for _ in range(3))
        self._sums = torch.zeros((2, *shape), dtype=torch.float64, device=device)
        sizes = torch.tensor(groups.sizes, dtype=torch.float64, device=device)
        own = [[losses.get(name, 0.0) for name in groups.names] for losses in own_losses]
        self._beside = settings.adjustment / sizes.sqrt() - torch.tensor(own, dtype=torch.float64, device=device)

    @property
    def factors(self) -> Any:
        """q_g · G: exactly 1 as long as no group counts more than another."""
        grown = (self._log_q - self._log_q.max(dim=1, keepdim=True).values).exp()
        return (grown / grown.mean(dim=1, keepdim=True)).float()

    @property
    def q(self) -> dict[str, Any]:
        """`q.GROUP` → its weight in each copy, for the training curve."""
        shares = self.factors / len(self.groups.names)
        return {f"q.{name}": shares[:, number] for number, name in enumerate(self.groups.names)}

    def weighed(self, losses: Any, weight: Any, group: Any) -> Any:
        """The losses (copies, rows) times their groups' factors; they are remembered for the next `step`.

        losses: with the rows' weight in them. weight: (copies, rows). group: the place of each row's group (rows).
        """
        sums = (losses.detach().double(), weight.double())
        for kept, values in zip(self._sums, sums, strict=True):
            kept.index_add_(1, group, values)
        return losses * self.factors[:, group]

    def step(self, reduce: Any = None) -> None:
        """Let q follow the losses since the last step; `reduce` adds up what several processes saw."""
        loss, weight = self._sums if reduce is None else reduce(self._sums)
        seen, memory = weight > 0, self.settings.memory
        mean = (loss / weight.where(seen, weight.new_ones(()))).where(seen, self._mean)
        # a running mean that starts from its first value, and stays where a step has no row of the group
        self._mean = mean.where(self._seen == 0, memory * self._mean + (1 - memory) * mean)
        self._seen = self._seen.maximum(seen.double())
        grows = self.settings.rate * (self._mean + self._beside) * self._seen
        self._log_q = self._log_q + grows
        self._log_q = self._log_q - self._log_q.max(dim=1, keepdim=True).values
        self._sums = self._sums.zero_() if reduce is None else self._sums * 0

    def state(self) -> dict[str, list[list[float]]]:
        """What goes on from here after a kill, as JSON."""
        return {name: getattr(self, f"_{name}").tolist() for name in ("log_q", "mean", "seen")}

    def restore(self, state: dict[str, Sequence[Sequence[float]]]) -> None:
        for name, values in state.items():
            kept = getattr(self, f"_{name}")
            setattr(self, f"_{name}", kept.new_tensor(values))
