"""`vla-bench noise`: the same policy twice on the same init states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench.results.noise import Noise, noise_of, write_noise
from vla_bench.results.summary_file import read_folder
from vla_bench.rollout.evaluate import EvalResult, evaluate
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.plan import outline
from vla_bench.rollout.request import EvalRequest

NOISE = Path("results/noise")
AGAIN = "-again"  # behind the folder of a run, in the name of its second run


@dataclass(frozen=True)
class NoiseResult:
    """noise, file: None where a run did not finish.  last: of the run that ran last."""

    noise: Noise | None
    file: Path | None
    last: EvalResult

    @property
    def exit_code(self) -> int:
        return self.last.exit_code


def measure_noise(request: EvalRequest, out: Path | None = None, observer: Callable[[], Observer] = Observer) -> NoiseResult:
    """Run what is not recorded yet, and write the noise to `out`, by default to `NOISE`/RUN_ID.json.

    The first run is the one that `vla-bench eval` with these options has, or makes; the second is in a folder beside it.
    Raises VlaBenchError.
    """
    keys = outline(request).episodes
    first = last = evaluate(request, observer())
    again = first.run_dir.with_name(first.run_dir.name + AGAIN)
    if not first.exit_code:
        last = evaluate(replace(request, out=again), observer())
    if last.exit_code:
        return NoiseResult(None, None, last)
    (run, one), (_, other) = (read_folder(folder) for folder in (first.run_dir, again))
    noise = noise_of(run, *({episode.key: episode for episode in episodes} for episodes in (one, other)), keys)
    file = out or NOISE / f"{first.run_dir.name}.json"
    write_noise(file, noise)
    return NoiseResult(noise, file, last)
