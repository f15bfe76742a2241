"""What a fit found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from tasks.survey.intervals import Z95


@dataclass(frozen=True)
class Fit:
    """A fitted cumulative link mixed model.

    thresholds: estimate, std_error; one row `lower|upper` between two neighbouring categories.
    coefficients: estimate, std_error, z, p (Wald, two-sided), odds_ratio = exp(estimate) of a higher rating, ci_low and
        ci_high (95%, of the odds ratio), percent = 100 · (odds_ratio − 1); one row a term.
    random_effects: sd, n_levels; one row a group.
    modes: group → level → conditional mode σ · û, in log-odds.
    covariance: of thresholds and coefficients together.
    notes: what a reader must know before believing a number.
    """

    n: int
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    thresholds: pd.DataFrame
    coefficients: pd.DataFrame
    random_effects: pd.DataFrame
    modes: dict[str, pd.Series]
    covariance: pd.DataFrame
    log_likelihood: float
    log_likelihood_error: float
    """Standard error of a log-likelihood that rests on random probes; 0 where it is exact."""
    n_parameters: int
    converged: bool
    steps: int
    decrement: float
    """g′I⁻¹g at the end: twice the log-likelihood still missing, and the squared distance in standard errors."""
    aliased: tuple[str, ...] = ()
    """Columns that are combinations of others, and dropped."""
    left_out: int = 0
    """Rows with a missing value."""
    notes: tuple[str, ...] = ()

    @property
    def aic(self) -> float:
        """2 · parameters − 2 · log-likelihood."""
        return 2 * self.n_parameters - 2 * self.log_likelihood

    def as_dict(self) -> dict[str, Any]:
        """What a JSON file can hold; a number that does not exist is None."""
        return _plain({
            "n": self.n, "left_out": self.left_out, "logLik": self.log_likelihood,
            "logLik_error": self.log_likelihood_error, "aic": self.aic, "n_parameters": self.n_parameters,
            "converged": self.converged, "steps": self.steps,
            "categories": dict(zip(self.categories, self.counts, strict=True)),
            "thresholds": self.thresholds["estimate"].to_dict(),
            "threshold_std_errors": self.thresholds["std_error"].to_dict(),
            "coefficients": self.coefficients.to_dict("index"),
            "random_effects": self.random_effects.to_dict("index"),
            "aliased": list(self.aliased), "notes": list(self.notes),
        })  # fmt: skip

    def summary(self) -> str:
        """The fit as text, in the order of statsmodels' summaries."""
        levels = ", ".join(f"{name} {int(row.n_levels)}" for name, row in self.random_effects.iterrows())
        about = f" ± {self.log_likelihood_error:.3f}" if self.log_likelihood_error else ""
        model = "cumulative link mixed model, logit, Laplace" if len(self.random_effects) else "cumulative logit"
        counts = ", ".join(f"{c}: {k}" for c, k in zip(self.categories, self.counts, strict=True))
        head = [
            ("Model", model),
            ("Ratings", f"{self.n} ({counts})"),
            ("Levels", levels or "no random effects"),
            ("Log-likelihood", f"{self.log_likelihood:.4f}{about}"),
            ("AIC", f"{self.aic:.2f} ({self.n_parameters} parameters)"),
            ("Converged", f"{'yes' if self.converged else 'NO'} ({self.steps} steps, decrement {self.decrement:.1e})"),
        ]
        parts = ["\n".join(f"{label + ':':16}{text}" for label, text in head)]
        if len(self.coefficients):
            parts.append(_block("Coefficients", _readable(self.coefficients)))
        parts.append(_block("Thresholds", self.thresholds.map(lambda value: f"{value:.4f}")))
        if len(self.random_effects):
            effects = self.random_effects.assign(sd=self.random_effects["sd"].map("{:.4f}".format))
            parts.append(_block("Random effects", effects))
        if self.notes:
            parts.append("\n".join(f"Note: {note}" for note in self.notes))
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.summary()


def coefficient_table(names: list[str], estimates: np.ndarray, errors: np.ndarray) -> pd.DataFrame:
    """The columns of `Fit.coefficients` from estimates and standard errors in log-odds (p,)."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        z = estimates / errors
        columns = {
            "estimate": estimates,
            "std_error": errors,
            "z": z,
            "p": 2 * ndtr(-np.abs(z)),
            "odds_ratio": np.exp(estimates),
            "ci_low": np.exp(estimates - Z95 * errors),
            "ci_high": np.exp(estimates + Z95 * errors),
            "percent": 100 * np.expm1(estimates),
        }
    return pd.DataFrame(columns, index=pd.Index(names, name="term"))


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame(index=table.index)
    headings = {"estimate": "coef", "std_error": "std err", "z": "z", "p": "P>|z|", "odds_ratio": "odds ratio"}
    for column, heading in {**headings, "ci_low": "[0.025", "ci_high": "0.975]"}.items():
        shown[heading] = table[column].map(("{:.3f}" if column in ("z", "p") else "{:.4g}").format)
    return shown


def _block(title: str, table: pd.DataFrame) -> str:
    text = table.rename_axis(None).to_string()
    line = "-" * max(map(len, text.splitlines()))
    return f"{title}\n{line}\n{text}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return int(value) if isinstance(value, np.integer) else value


def to_json(fit: Fit, **more: Any) -> str:
    return json.dumps({**more, **fit.as_dict()}, indent=1, ensure_ascii=False, allow_nan=False)
