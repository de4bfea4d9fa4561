"""The files that a gate leaves for a CI server, also where it comes to no result."""

from __future__ import annotations

from pathlib import Path

from vla_bench.records import make_room, write_atomically
from vla_bench.report.gate_junit import error_junit, junit
from vla_bench.report.gated import error_markdown, gate_markdown
from vla_bench.results.gate import GateResult


class GateFiles:
    """Around a gate.  An error within is written to the files and raised again: what an earlier gate left there is no result.

    junit, markdown: the files; None for none.
    """

    def __init__(self, junit: Path | None, markdown: Path | None):
        self._junit, self._markdown = junit, markdown

    def __enter__(self) -> GateFiles:
        return self

    def write(self, result: GateResult) -> None:
        """Raises RecordError."""
        self._write(junit(result), gate_markdown(result))

    def __exit__(self, kind, error: BaseException | None, trace) -> None:
        if error is not None:
            self._write(error_junit(error), error_markdown(error))

    def _write(self, as_junit: str, as_markdown: str) -> None:
        for path, text in ((self._junit, as_junit), (self._markdown, as_markdown)):
            if path is not None:
                make_room(path)
                write_atomically(path, text)
