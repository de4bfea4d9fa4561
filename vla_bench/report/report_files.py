"""A report on disk: tables and figures as files of their own, one Markdown page, and one LaTeX document of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vla_bench.errors import RecordError
from vla_bench.records import write_atomically
from vla_bench.report.latex import escape
from vla_bench.report.parts import Part

TABLES, FIGURES = "tables", "figures"
PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs,longtable,siunitx,graphicx}
\setlength{\parindent}{0pt}
\setlength{\LTleft}{0pt}
\newcommand{\fitted}[1]{\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{\input{#1}}\par\smallskip}
\newcommand{\drawn}[1]{\sbox0{\includegraphics{#1}}\ifdim\ht0>0.75\textheight
  \includegraphics[height=0.75\textheight]{#1}\else\usebox0\fi}
\begin{document}
"""


def write_report(out: Path, parts: Sequence[Part], command: str) -> None:
    """OUT/report.md, OUT/report.tex, OUT/tables and OUT/figures; files of an earlier report with other names stay.

    Raises RecordError.
    """
    try:
        for folder in (TABLES, FIGURES):
            (out / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot create {out / folder}: {error.strerror}", f"ls -ld {out}") from error
    for part in parts:
        for table in part.tables:
            table.write(out / TABLES)
        for figure in part.figures:
            figure.write(out / FIGURES)
    write_atomically(out / "report.md", page(parts, command))
    write_atomically(out / "report.tex", document(parts, command))


def page(parts: Sequence[Part], command: str) -> str:
    """All of it in Markdown, with links to the files."""
    lines = [f"# Report\n\n    {command}\n"]
    for part in parts:
        lines.append(f"## {part.heading}\n")
        for table in part.tables:
            links = ", ".join(f"[{kind}]({TABLES}/{table.name}.{suffix})" for kind, suffix in (("CSV", "csv"), ("LaTeX", "tex")))
            lines.append(f"### {table.title}\n\n{table.markdown()}\n{links}\n")
        for figure in part.figures:
            where = f"{FIGURES}/{figure.name}"
            links = ", ".join(f"[{suffix.upper()}]({where}.{suffix})" for suffix in ("pdf", "svg", "csv"))
            lines.append(f"### {figure.title}\n\n![{figure.title}]({where}.png)\n\n{figure.caption} {links}\n")
        lines += [f"Missing: {what}\n" for what in part.missing]
    return "\n".join(lines)


def document(parts: Sequence[Part], command: str) -> str:
    """A LaTeX document that prints every table and figure; the same files go into a paper with \\input and \\includegraphics."""
    lines = [PREAMBLE + "% " + command]
    for part in parts:
        lines.append(rf"\section*{{{escape(part.heading)}}}")
        for table in part.tables:
            title = rf"\textbf{{{escape(table.title)}}}\par\smallskip"
            if table.long:
                lines += [title, rf"{{\tiny\setlength{{\tabcolsep}}{{2pt}}\input{{{TABLES}/{table.name}}}}}"]
            else:
                lines += [r"\begin{minipage}{\linewidth}", title, rf"\fitted{{{TABLES}/{table.name}}}\end{{minipage}}\par"]
            lines += [rf"{{\scriptsize\input{{{TABLES}/{table.name}-notes}}}}", r"\bigskip"]
        for figure in part.figures:
            words = rf"\textbf{{{escape(figure.title)}.}} {escape(figure.caption)}\par\bigskip"
            picture = rf"\drawn{{{FIGURES}/{figure.name}.pdf}}\par"
            lines += [r"\begin{minipage}{\linewidth}", picture, words, r"\end{minipage}\par"]
        lines += [rf"Missing: {escape(what)}\par" for what in part.missing]
    return "\n".join([*lines, r"\end{document}"]) + "\n"
