"""What `vla-bench doctor` prints for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from vla_bench.doctor.check import Mark
from vla_bench.doctor.repair import Repair
from vla_bench.doctor.run_files import Examination
from vla_bench.terminal import show, visible

if TYPE_CHECKING:
    from vla_bench.doctor.checkup import Checkup

STYLES = {Mark.OK: "green", Mark.WARN: "yellow", Mark.FAIL: "bold red", Mark.SKIP: "dim"}
MENDED = (Mark.WARN, Mark.FAIL)


def print_checkup(found: Checkup) -> None:
    """One line a check; below what is not as it should be, its symptom and the command that mends it; then the counts."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    width = max(len(each.name) for each in found.findings)
    for each in found.findings:
        line = Text(f"{each.mark.value:5} ", style=STYLES[each.mark]) + Text(
            f"{each.name:{width}}  {visible(each.what)}", style=""
        )
        console.print(line)
        if each.mark in MENDED:
            console.print(Text(f"{'':6}{'':{width}}  symptom: {each.symptom}\n{'':6}{'':{width}}  fix: {visible(each.fix)}"))
    console.print(Text(", ".join(f"{sum(each.mark is mark for each in found.findings)} {mark.value}" for mark in Mark)))


def print_examination(found: Examination) -> None:
    """Damage by file and line on standard output; notes, and the command that mends it, on standard error."""
    for damage in found.damage:
        show(damage)
    for note in found.notes:
        show(f"note: {note}", file=sys.stderr)
    show(f"{found.folder}: {len(found.episodes)} whole episodes, {len(found.damage) or 'nothing'} damaged")
    if found.fix:
        show(f"  fix: {found.fix}", file=sys.stderr)


def print_repair(found: Repair) -> None:
    """What was damaged, what was moved where, and the command that runs the missing episodes."""
    lines = [*map(str, found.before.damage), *(f"moved {line}" for line in found.moved)]
    show("\n".join(lines) or f"{found.before.folder}: nothing is damaged")
    if found.moved:
        show(f"resume: {found.resume}", file=sys.stderr)
