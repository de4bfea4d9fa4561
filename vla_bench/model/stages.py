"""The time of a query by stage."""

from __future__ import annotations

import time

import torch


class Stages:
    """A stopwatch with named laps.  On CUDA it reads events on the stream, so that marking never waits for the device."""

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.cuda = self.device.type == "cuda"
        self._laps: list[tuple[str, float | torch.cuda.Event]] = [("", self._now())]

    def mark(self, stage: str) -> None:
        """What ran since the last mark belongs to `stage`."""
        self._laps.append((stage, self._now()))

    def milliseconds(self) -> dict[str, float]:
        """Time by stage; stages marked more than once are added up."""
        if self.cuda:
            torch.cuda.synchronize(self.device)
        total: dict[str, float] = {}
        for (_, before), (stage, after) in zip(self._laps, self._laps[1:], strict=False):
            lap = before.elapsed_time(after) if self.cuda else 1000 * (after - before)
            total[stage] = total.get(stage, 0.0) + lap
        return total

    def _now(self):
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event
