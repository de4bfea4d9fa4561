"""A check of `vla-bench doctor` and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

from vla_bench.errors import VlaBenchError
from vla_bench.values import Value

if TYPE_CHECKING:
    from vla_bench.doctor.case import Case


class Mark(Value):
    """OK: as it should be.  WARN: it works, with a loss.  FAIL: it does not, or gives other numbers.  SKIP: not looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Seen(NamedTuple):
    """What a check sees, and for WARN and FAIL the command that mends it."""

    mark: Mark
    what: str
    fix: str | None = None


def ok(what: str) -> Seen:
    return Seen(Mark.OK, what)


def warn(what: str, fix: str) -> Seen:
    return Seen(Mark.WARN, what, fix)


def fail(what: str, fix: str) -> Seen:
    return Seen(Mark.FAIL, what, fix)


def skip(what: str) -> Seen:
    return Seen(Mark.SKIP, what)


@dataclass(frozen=True)
class Finding:
    """The result of a check.  symptom: what a user notices of it, from the check."""

    name: str
    mark: Mark
    what: str
    symptom: str
    fix: str | None

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"mark": self.mark.value}


@dataclass(frozen=True)
class Check:
    """One thing that can be wrong.

    name: stands in docs/troubleshooting.md.
    symptom: what a user notices where it is wrong.
    look: an error that it raises is a failed check; a VlaBenchError has its own fix.
    """

    name: str
    symptom: str
    look: Callable[[Case], Seen]

    def finding(self, case: Case) -> Finding:
        try:
            mark, what, fix = self.look(case)
        except VlaBenchError as error:
            mark, what, fix = Mark.FAIL, error.message, error.fix
        except Exception as error:  # noqa: BLE001  a library that breaks is what a doctor is called for
            mark, what, fix = fail(f"{type(error).__name__}: {error}", "pip install -c constraints.txt -e .")
        return Finding(self.name, mark, what, self.symptom, fix)
