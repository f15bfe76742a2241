"""Where the categories of ratings that are numbers begin, if each is to hold about as many ratings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from configs.codebook import Codebook, Numbers
from configs.errors import InputError
from tasks.ratings.reading.columns import as_number, label_reader
from tasks.ratings.reading.source import Source, by_text


def with_cuts(codebook: Codebook, source: Source) -> Codebook:
    """The codebook with the cuts that its quantiles come to; as it is where it has none.

    Raises:
        InputError: so many numbers are the same that there are not as many categories.
    """
    table = codebook.ratings
    if table.numbers is None or table.numbers.quantiles is None:
        return codebook
    columns = [table.rating] if table.rating else list(table.dimensions.values())
    label = label_reader(table)
    texts = pd.concat([source.frame[column] for column in columns])
    texts = texts[np.array(by_text(texts, label), dtype=int) > 0]
    cuts = quantile_cuts(np.array(by_text(texts, as_number), dtype=float), table.numbers)
    if len(cuts) + 1 < table.numbers.quantiles:
        found = f"so many of {len(texts):,} ratings are the same that they make {len(cuts) + 1}"
        raise InputError(f"{codebook.name}: ratings.numbers.quantiles: {table.numbers.quantiles}, but {found}")
    numbers = Numbers(low=table.numbers.low, high=table.numbers.high, cuts=cuts)
    return codebook.model_copy(update={"ratings": table.model_copy(update={"numbers": numbers})})


def refuse_quantiles(codebook: Codebook, source: Source) -> None:
    """See that categories don't depend on what else is in an export: in a collection they would move.

    Raises:
        InputError: they do; the message has the cuts that would be the same for this one.
    """
    numbers = with_cuts(codebook, source).ratings.numbers
    if numbers and numbers != codebook.ratings.numbers:
        cuts = ", ".join(f"{cut:g}" for cut in numbers.cuts)
        raise InputError(
            f"{codebook.name}: ratings.numbers.quantiles: a collection needs categories that stay as they are; "
            f"write cuts: [{cuts}], which are the quantiles of this export"
        )


def quantile_cuts(values: np.ndarray, numbers: Numbers) -> tuple[float, ...]:
    """The different quantiles above the lowest number; each is the least of its category."""
    if not len(values) or numbers.quantiles is None:
        return ()
    shares = np.arange(1, numbers.quantiles) / numbers.quantiles
    found = np.unique(np.quantile(values, shares, method="higher"))
    return tuple(float(cut) for cut in found if numbers.low < cut < numbers.high and cut > values.min())
