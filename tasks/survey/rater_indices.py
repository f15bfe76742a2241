"""How each rater answers: person fit, and indices of careless responding, side by side.

None of them says why somebody answers so: an answer that the model does not expect may be careless, or the view of few.
They are shown beside each other and never added up. Of the indices without a model,

    long_string   the longest run of one label (Johnson 2005)
    irv           the standard deviation of a rater's answers, intra-individual response variability (Dunn et al. 2018;
                  Marjanovic et al. 2015): low where all answers are the same, high where they are drawn at random
    even_odd      the correlation, over dimensions, of the mean answer to a rater's first, third, … response with that
                  to the second, fourth, … (Curran 2016), not stepped up; at least `FEWEST_DIMENSIONS` dimensions

compared with each other, runs and spread find careless raters badly, consistency and person fit better (Meade & Craig
2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from tasks.survey.person_fit import SIMULATED, person_fit

EVERY = "all"
"""In place of a dimension: all dimensions together."""
FEWEST_DIMENSIONS = 3
"""With two, a correlation is 1 or -1 whatever somebody answers."""
PERSON_FIT = {"outfit": "outfit_p", "lz": "lz_p"}
"""Index of person fit → its p."""
COLUMNS = ["participant_id", "dimension", "n_answers", "n_fit", "outfit", "outfit_p", "lz", "lz_p", "long_string",
           "irv", "even_odd"]  # fmt: skip


def rater_indices(
    ratings: pd.DataFrame, dimensions: Sequence[str], seed: int, simulated: int = SIMULATED
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Every rater's indices on each dimension, and over all in rows of dimension `EVERY`; and dimension → why it has no
    person fit.

    Args:
        ratings: participant_id, response_id, order, and a column of categories for each dimension.

    Returns:
        `COLUMNS`, sorted by participant and dimension. n_answers: answers given. n_fit: those that person fit rests on.
        Over all dimensions outfit is the mean over all answers; lz and both p's are of all dimensions together (see
        `together`). long_string and irv there are of a rater's answers in one row, response by response, the dimensions
        of each in the order of the study; even_odd is of all dimensions only. What does not exist is NaN.
    """
    ratings = ratings.sort_values(["participant_id", "order"], kind="stable")
    fits = {name: person_fit(ratings, name, seed + place, simulated) for place, name in enumerate(dimensions)}
    reasons = {name: found.reason for name, found in fits.items() if found.reason}
    in_a_row = ratings.set_index("participant_id")[list(dimensions)].stack().dropna().astype(float)
    parts = [answering(in_a_row).join(together({name: found.table for name, found in fits.items()}))]
    parts[0] = parts[0].assign(even_odd=even_odd(ratings, dimensions), dimension=EVERY)
    for name, found in fits.items():
        own = ratings.dropna(subset=[name]).set_index("participant_id")[name].astype(float)
        parts.append(answering(own).join(found.table).assign(even_odd=np.nan, dimension=name))
    table = pd.concat(parts).rename_axis("participant_id").reset_index().rename(columns={"n": "n_fit"})
    table["n_fit"] = table["n_fit"].fillna(0).astype(int)
    place = {name: number for number, name in enumerate([EVERY, *dimensions])}
    order = table["dimension"].map(place)
    return table.assign(order=order).sort_values(["participant_id", "order"], ignore_index=True)[COLUMNS], reasons


def answering(answers: pd.Series) -> pd.DataFrame:
    """n_answers, long_string and irv by participant; `answers` are indexed by participant, in the order given."""
    people = answers.index.get_level_values("participant_id")
    values, own = answers.to_numpy(), people.to_numpy()
    starts = np.append(True, (values[1:] != values[:-1]) | (own[1:] != own[:-1])) if len(values) else np.array([], bool)
    runs = pd.Series(1, index=people).groupby([people, np.cumsum(starts)]).size()
    by_person = answers.groupby(people)
    columns = {"n_answers": by_person.size(), "long_string": runs.groupby(level=0).max(), "irv": by_person.std(ddof=0)}
    return pd.DataFrame(columns).rename_axis("participant_id")


def even_odd(ratings: pd.DataFrame, dimensions: Sequence[str]) -> pd.Series:
    """Even–odd consistency by participant; NaN with too few dimensions, or where one half does not vary over them."""
    half = ratings.groupby("participant_id").cumcount() % 2
    means = ratings.astype(dict.fromkeys(dimensions, float)).groupby([ratings["participant_id"], half])[[*dimensions]]
    wide = means.mean().unstack()
    first, second = (wide.xs(side, axis=1, level=1) if side in half.to_numpy() else wide.iloc[:, :0] for side in (0, 1))
    known = first.notna() & second.notna()
    first, second = (side.where(known).sub(side.where(known).mean(axis=1), axis=0) for side in (first, second))
    product = (first * second).sum(axis=1)
    length = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    defined = (known.sum(axis=1) >= FEWEST_DIMENSIONS) & (length > 1e-12)
    return (product / length.where(defined)).clip(-1, 1)


def together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Person fit over all dimensions, by participant: n, outfit, outfit_p, lz, lz_p.

    A p of dimension d is the normal score z_d = Φ⁻¹(p_d), and those of n_d answers add up as

        Z = Σ_d √n_d z_d / √(Σ_d Σ_e √(n_d n_e) ρ_de),   p = Φ(Z)

    (Stouffer, for what depends on each other as in Strube 1985). ρ_de is how the scores of two dimensions go together
    among all raters: sin(π/2 · mean sign z_d · sign z_e), which a few raters with extreme scores hardly move, at least
    0; so answers about one response that have more in common than the model knows don't count as several surprises. Z
    stands in the column lz.
    """
    n = pd.DataFrame({name: table["n"] for name, table in tables.items()}).fillna(0.0)
    sums = {"n": n.sum(axis=1)}
    outfit = pd.DataFrame({name: table["outfit"] for name, table in tables.items()})
    sums["outfit"] = (outfit * n).sum(axis=1) / sums["n"]
    for index, p in PERSON_FIT.items():
        z = pd.DataFrame({name: pd.Series(ndtri(table[p]), table.index) for name, table in tables.items()})
        score = _added(z.to_numpy(float), np.sqrt(n.to_numpy(float)))
        sums[p] = pd.Series(ndtr(score), n.index)
        if index == "lz":
            sums["lz"] = pd.Series(score, n.index)
    return pd.DataFrame(sums).rename_axis("participant_id")[["n", "outfit", "outfit_p", "lz", "lz_p"]]


def _added(z: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Z (R,) of scores and their weights (R, D); a score that is NaN counts nothing."""
    known = np.isfinite(z)
    sign, weight = np.where(known, np.sign(z), 0.0), np.where(known, weight, 0.0)
    both = np.maximum(known.T.astype(float) @ known, 1)
    rho = np.maximum(np.sin(np.pi / 2 * (sign.T @ sign) / both), 0.0)
    np.fill_diagonal(rho, 1.0)
    total = np.sqrt(np.einsum("rd,de,re->r", weight, rho, weight))
    with np.errstate(invalid="ignore"):
        return (np.where(known, z, 0.0) * weight).sum(axis=1) / np.where(total > 0, total, np.nan)
