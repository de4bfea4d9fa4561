"""A table for LaTeX: booktabs, numbers aligned by siunitx, everything escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vla_bench.tables import LEFT
from vla_bench.terminal import visible

ESCAPES = {char: "\\" + char for char in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "†": r"\textsuperscript{$\dagger$}",
    "[": "{[}",  # an optional argument, or a star, of the line break before it
    "*": "{*}",
}
NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d+))?(?:e([+-]?)0*(\d+))?")
INTERVAL = re.compile(r"\[[+-]?[\d.]+, [+-]?[\d.]+\]")
GAP = re.compile(rf"([+-]?\d+\.\d+) ({INTERVAL.pattern})")  # a rate or a difference with its interval
MARKS = "⁰¹²³⁴⁵⁶⁷⁸⁹"  # numbers of footnotes behind a cell
DIGITS = str.maketrans(MARKS, "0123456789")
MARKED = re.compile(rf"(.*?) ?([{MARKS}]+(?: [{MARKS}]+)*)")


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(ESCAPES.get(char, char) for char in visible(text)).replace("--", "-{}-")  # else a dash


def latex_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = (), environment: str = "tabular"
) -> str:
    """A `tabular`.  Columns of numbers are siunitx's `S`, with their width; an interval beside a number has a column of its own.

    Numbers of footnotes behind a cell, as in "12.5 ¹ ³", are set as superscripts.  notes: sentences about the table, as comments
    below it.  environment: `longtable`, which needs the package of that name, runs over several pages.
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
    header = [
        f"{{{_cell(name, False)}}}" if number else _cell(name, False) for name, number in zip(columns, numeric, strict=True)
    ]
    body = [[_cell(cell, number) for cell, number in zip(row, numeric, strict=True)] for row in rows]
    head = [r"\endhead"] if environment == "longtable" else []
    lines = [r"% \usepackage{booktabs,siunitx}", rf"\begin{{{environment}}}{{{' '.join(kinds)}}}", r"\toprule"]
    lines += [" & ".join(header) + r" \\", r"\midrule", *head, *(" & ".join(row) + r" \\" for row in body)]
    return "\n".join([*lines, r"\bottomrule", rf"\end{{{environment}}}", *(f"% {note}" for note in notes)]) + "\n"


def _kind(name: str, cells: Sequence[str]) -> str:
    found = [NUMBER.fullmatch(split_marks(cell)[0]) for cell in cells if cell not in ("", "-")]
    numbers = [match for match in found if match]
    if not numbers or len(numbers) < len(found):
        return "l" if split_marks(name)[0] in LEFT else "r"
    whole, places, exponent = (max(len(match[i] or "") for match in numbers) for i in (2, 3, 5))
    sign = "-" if any(match[1] for match in numbers) else ""
    marks = max((split_marks(cell)[1] for cell in cells), key=len)
    room = f",table-space-text-post={{{_superscript(marks)}}},table-align-text-post=false" if marks else ""
    digits = f"{sign}{whole}" + (f".{places}" if places else "") + (f"e-{exponent}" if exponent else "")
    return f"S[table-format={digits}{room}]"


def marked(cell: str, notes: Sequence[int]) -> str:
    """A cell with the numbers of its footnotes behind it."""
    return " ".join([cell, *("".join(MARKS[int(digit)] for digit in str(note)) for note in notes)])


def split_marks(cell: str) -> tuple[str, str]:
    """A cell without the numbers of its footnotes, and these, such as "¹,³"; empty where it has none."""
    match = MARKED.fullmatch(cell)
    return (cell, "") if match is None else (match[1], ",".join(match[2].split()))


def _superscript(marks: str) -> str:
    return rf"\textsuperscript{{{marks.translate(DIGITS)}}}"


def _cell(cell: str, number: bool) -> str:
    cell, marks = split_marks(cell)
    return _unmarked(cell, number) + ((" " if number else "") + _superscript(marks) if marks else "")


def _unmarked(cell: str, number: bool) -> str:
    if cell == "-":
        return "{--}"
    if number:
        match = NUMBER.fullmatch(cell)
        return "" if match is None else cell.partition("e")[0] + (f"e{match[4].strip('+')}{match[5]}" if match[5] else "")
    if INTERVAL.fullmatch(cell):  # minus signs, no hyphens
        return f"${cell}$"
    return escape(cell)
