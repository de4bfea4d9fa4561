"""`vla-bench doctor`: every check of this machine and installation, in the order in which one builds on the other."""

from __future__ import annotations

from dataclasses import dataclass

from vla_bench.doctor import installation, machine, model, numbers, protocol, simulator
from vla_bench.doctor.case import Case
from vla_bench.doctor.check import Check, Finding, Mark
from vla_bench.errors import ExitCode

CHECKS: tuple[Check, ...] = (
    *installation.CHECKS,
    *machine.CHECKS,
    *protocol.CHECKS,
    *simulator.CHECKS,
    *numbers.CHECKS,
    *model.CHECKS,
)


@dataclass(frozen=True)
class Checkup:
    """The findings of all checks."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        return ExitCode.STARTUP if any(each.mark is Mark.FAIL for each in self.findings) else ExitCode.DONE

    def to_dict(self) -> dict[str, object]:
        return {"passed": self.exit_code == ExitCode.DONE, "checks": [each.to_dict() for each in self.findings]}


def check_up(case: Case) -> Checkup:
    """Look at everything; no check stops the others."""
    return Checkup(tuple(check.finding(case) for check in CHECKS))
