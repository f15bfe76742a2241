"""`pluralign clmm`: the mixed ordinal model on any table, without a study."""

from __future__ import annotations

from pathlib import Path

from configs.errors import LONGEST, InputError, printable
from tasks.runtime.files import write_atomically
from tasks.survey.clmm.formula import clmm, parse, read_table
from tasks.survey.clmm.result import to_json


def fit_file(data: Path, formula: str, reference: list[str], output: Path | None) -> bool:
    """Fit, print the summary, write the JSON file; whether the fit converged.

    Raises:
        InputError: what can't be read or fitted, beginning with the file's name.
    """
    levels = {}
    for entry in reference:
        column, equals, level = entry.partition("=")
        if not (column and equals and level):
            raise InputError(f"--reference {entry!r}: expected COLUMN=LEVEL")
        levels[column] = level
    if output is not None and (output.is_dir() or any(parent.is_file() for parent in output.parents)):
        raise InputError(f"--output {output}: not a place for a file")
    try:
        fit = clmm(formula, read_table(data, parse(formula).used), levels)
    except InputError as error:
        named = str(error).startswith(printable(str(data), longest=LONGEST))
        raise error if named else InputError(f"{data}: {error}") from None
    print("\n".join(printable(line, longest=LONGEST) for line in fit.summary().split("\n")))
    if output is not None:
        write_atomically(output, to_json(fit, data=data.name, formula=formula, reference=levels))
    return fit.converged
