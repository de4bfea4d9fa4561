"""The base class of all errors.  A message says what happened and with which value; `fix` is the command that mends it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping


class ExitCode:
    """Process exit codes; documented in the README."""

    DONE = 0
    MISMATCH = 1
    REGRESSION = 1
    USAGE = 2
    INCONCLUSIVE = 3
    NOT_COMPARABLE = 4
    ERROR_BUDGET = 5
    STARTUP = 6
    INTERNAL = 70  # an exception that is a bug of vla-bench: not a result
    INTERRUPTED = 130


class VlaBenchError(Exception):
    """Base of every error that a user can mend.

    fix: the command that mends it.
    instead: options with which the user's own command works: their values, "" for one without a value, None to leave one out.
    """

    exit_code = ExitCode.STARTUP

    def __init__(self, message: str, fix: str | None = None, *, instead: Mapping[str, str | None] | None = None):
        super().__init__(message)
        self.message = message
        self.instead = instead or {}
        self.fix = fix or ", ".join(_in_words(*each) for each in self.instead.items()) or None

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message


def _in_words(option: str, value: str | None) -> str:
    return f"leave {option} out" if value is None else f"{option} {value}".rstrip()


class UsageError(VlaBenchError):
    """A value on the command line or in a file that cannot be used."""

    exit_code = ExitCode.USAGE


class SuiteError(UsageError):
    """A suite file that cannot be read, or an unknown suite or task."""


class AssetError(VlaBenchError):
    """An asset pack that is missing, incomplete or changed."""


class WorldError(VlaBenchError):
    """The simulator cannot start or has failed."""


class ModelError(VlaBenchError):
    """A model that cannot be queried: a wrong input, a number that is not finite, no memory left."""


class CheckpointError(ModelError):
    """A checkpoint that is missing, incomplete, damaged or of another family."""


class ClusterError(VlaBenchError):
    """A ray cluster that cannot be reached, has a node that cannot run episodes, or has no node left that can."""


class WireError(VlaBenchError):
    """What comes over a network breaks the rules of its wire, says that it failed, or does not come in time."""


class MeasureError(VlaBenchError):
    """An impossible measurement: work missing from a time, or a rate above the device's peak."""


class RecordError(VlaBenchError):
    """A run folder that cannot be read or written."""


class DamagedRunError(RecordError):
    """A run whose record was changed or lost after it was written: there is no telling how its episodes ended."""

    exit_code = ExitCode.NOT_COMPARABLE


class NotComparableError(VlaBenchError):
    """Two configurations that must not share one result."""

    exit_code = ExitCode.NOT_COMPARABLE


class ErrorBudgetError(VlaBenchError):
    """Too many episodes ended in errors for a verdict."""

    exit_code = ExitCode.ERROR_BUDGET


def of_machine(error: OSError | MemoryError) -> VlaBenchError:
    """A fault of the machine that no reader or writer foresaw: a full or read-only disk, missing permissions, no memory left."""
    if isinstance(error, MemoryError):
        return VlaBenchError(f"this machine has no memory left: {str(error) or 'MemoryError'}", "free -h")
    where = error.filename if isinstance(error.filename, (str, bytes)) else None
    place = os.path.dirname(os.path.abspath(os.fsdecode(where))) if where else "."
    named = f"{os.fsdecode(where)}: " if where else ""
    return VlaBenchError(f"{named}{error.strerror or error}", f"df -h {shlex.quote(place)}; ls -ld {shlex.quote(place)}")


def close(value: str, known: list[str]) -> str | None:
    """The known name that `value` is close to; None where there is none."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(value, known, n=1, cutoff=0.5)), None)


def nearest(value: str, known: list[str]) -> str:
    """' Did you mean "x"?' when `value` is close to a known name, else the empty string."""
    match = close(value, known)
    return "" if match is None else f' Did you mean "{match}"?'
