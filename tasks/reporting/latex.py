"""LaTeX tables for papers: booktabs, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence

ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "\u2212": r"$-$", "\u2013": "--", "†": r"\dag{}", "τ": r"$\tau$", "²": r"$^2$", "κ": r"$\kappa$", "ρ": r"$\rho$",
    "α": r"$\alpha$", "“": "``", "”": "''", "…": r"\dots{}",
}  # fmt: skip
"""What pdflatex does not print as it stands."""


def escape(text: object) -> str:
    """Any text as one line of plain LaTeX; a character that it has no name for is a question mark."""
    line = " ".join(str(text).split())
    return "".join(ESCAPES.get(letter) or (letter if letter.isprintable() else "?") for letter in line)


def latex(header: Sequence[str], align: str, body: Sequence[Sequence[object]], caption: str, label: str) -> str:
    """A `table` with its caption and `tab:LABEL`; needs \\usepackage{booktabs}."""
    lines = [" & ".join(map(escape, line)) + r" \\" for line in (header, *body)]
    return "\n".join([
        r"% needs \usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}", rf"\begin{{tabular}}{{{align}}}", r"\toprule", lines[0], r"\midrule", *lines[1:],
        r"\bottomrule", r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip
