"""LaTeX tables for papers: booktabs, every text escaped."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.reporting.house.document import TablePart

ESCAPES = str.maketrans(
    {
        **{letter: rf"\{letter}" for letter in "&%$#_{}"},
        **{letter: f"${letter}$" for letter in "<>|"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "…": r"\dots{}"},
        **{"\u2212": r"$-$", "\u2013": "--", "†": r"\dag{}", "“": "``", "”": "''"},
        **{"τ": r"$\tau$", "²": r"$^2$", "κ": r"$\kappa$", "ρ": r"$\rho$", "α": r"$\alpha$"},
    }
)
"""What pdflatex does not print as it stands."""


@dataclass(frozen=True)
class LatexTable:
    """A table of the report for `tables/NAME.tex`; the caption comes before the table's own."""

    name: str
    caption: str
    table: TablePart


def escape(text: object) -> str:
    """Any text as one line of plain LaTeX; a character that can't be printed is a question mark."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(text).split()))
    return line.translate(ESCAPES)


def latex(item: LatexTable, label: str) -> str:
    """A `table` environment, \\label{tab:NAME}, with `label` (what the ratings and models are) after the captions."""
    lines = [" & ".join(map(escape, line)) + r" \\" for line in (item.table.header, *item.table.body)]
    caption = escape(f"{item.caption} {item.table.caption} {label}")
    return (
        "% needs \\usepackage{booktabs}\n\\begin{table}\n\\centering\n"
        f"\\caption{{{caption}}}\n\\label{{tab:{item.name}}}\n"
        f"\\begin{{tabular}}{{{item.table.align}}}\n\\toprule\n{lines[0]}\n\\midrule\n"
        + "\n".join([*lines[1:], "\\bottomrule\n\\end{tabular}\n\\end{table}\n"])
    )
