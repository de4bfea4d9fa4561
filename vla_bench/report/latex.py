"""A table for LaTeX: booktabs, numbers aligned by siunitx, everything escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vla_bench.tables import LEFT

ESCAPES = {char: "\\" + char for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "[": "{[}",  # an optional argument, or a star, of the line break before it
    "*": "{*}",
}
NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d+))?(?:e([+-]?)0*(\d+))?")
INTERVAL = re.compile(r"\[[+-][\d.]+, [+-][\d.]+\]")
GAP = re.compile(rf"([+-]\d+\.\d+) ({INTERVAL.pattern})")  # a difference with its interval


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(ESCAPES.get(char, char) for char in text)


def latex_table(columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A `tabular`.  Columns of numbers are siunitx's `S`, with their width; an interval beside a number has a column of its own.

    notes: sentences about the table, as comments below it.
    """
    rows = [list(row) for row in rows]
    columns = list(columns)
    for place in reversed(range(len(columns))):
        if any(GAP.fullmatch(row[place]) for row in rows):
            for row in rows:
                row[place : place + 1] = match.groups() if (match := GAP.fullmatch(row[place])) else (row[place], "")
            columns[place : place + 1] = [columns[place], "interval"]
    kinds = [_kind(name, [row[i] for row in rows]) for i, name in enumerate(columns)]
    numeric = [kind.startswith("S") for kind in kinds]
    header = [f"{{{escape(name)}}}" if number else escape(name) for name, number in zip(columns, numeric, strict=True)]
    body = [[_cell(cell, number) for cell, number in zip(row, numeric, strict=True)] for row in rows]
    lines = [r"% \usepackage{booktabs,siunitx}", rf"\begin{{tabular}}{{{' '.join(kinds)}}}", r"\toprule"]
    lines += [" & ".join(header) + r" \\", r"\midrule", *(" & ".join(row) + r" \\" for row in body)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in notes)]) + "\n"


def _kind(name: str, cells: Sequence[str]) -> str:
    found = [NUMBER.fullmatch(cell) for cell in cells if cell not in ("", "-")]
    numbers = [match for match in found if match]
    if not numbers or len(numbers) < len(found):
        return "l" if name in LEFT else "r"
    whole, places, exponent = (max(len(match[i] or "") for match in numbers) for i in (2, 3, 5))
    sign = "-" if any(match[1] for match in numbers) else ""
    digits = f"{sign}{whole}" + (f".{places}" if places else "") + (f"e-{exponent}" if exponent else "")
    return f"S[table-format={digits}]"


def _cell(cell: str, number: bool) -> str:
    if cell == "-":
        return "{--}"
    if number:
        match = NUMBER.fullmatch(cell)
        return "" if match is None else cell.partition("e")[0] + (f"e{match[4].strip('+')}{match[5]}" if match[5] else "")
    if INTERVAL.fullmatch(cell):  # minus signs, no hyphens
        return f"${cell}$"
    return escape(cell)
