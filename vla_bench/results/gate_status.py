"""How a gate ends, and its exit codes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from vla_bench.errors import ExitCode


class GateStatus(str, Enum):
    """From the gravest to the best."""

    ERRORS = "too many errors"
    DROPPED = "dropped"
    COSTLIER = "costs more"
    INCONCLUSIVE = "inconclusive"
    PASSED = "passed"

    @property
    def exit_code(self) -> int:
        return CODES[self]


CODES = {
    GateStatus.ERRORS: ExitCode.ERROR_BUDGET,
    GateStatus.DROPPED: ExitCode.REGRESSION,
    GateStatus.COSTLIER: ExitCode.REGRESSION,
    GateStatus.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    GateStatus.PASSED: ExitCode.DONE,
}


def gravest(findings: Iterable[GateStatus]) -> GateStatus:
    """A gate passes where all that it asks passes."""
    return min(findings, key=list(GateStatus).index)
