"""What a model did at every query: `queries.jsonl` of a run folder, one line per episode.

The line is written before the episode's own, so that a recorded episode always has it.  An episode that was cut off or run
again leaves an earlier line behind; the last one of an episode counts.  A policy that reports nothing writes no file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vla_bench.errors import RecordError
from vla_bench.records import EpisodeKey, append_line

FILE = "queries.jsonl"
PREPROCESS = "preprocess"  # the one stage that is not the model's


@dataclass(frozen=True)
class Answer:
    """What a policy told about one query.

    step: control step after settling at which it was asked.
    kept: image tokens of each camera left at the end of the decoder; None for a policy without image tokens.
    prompt_tokens: length of the instruction as the model read it.
    stages_ms: this query's share of its batch's time by stage, in milliseconds.
    gflops: what it cost in the scope `model`; None where that cannot be counted.
    """

    step: int
    kept: tuple[int, ...] | None
    prompt_tokens: int | None
    stages_ms: dict[str, float]
    gflops: float | None = None

    @classmethod
    def of(
        cls,
        step: int,
        kept: Sequence[int] | None,
        prompt_tokens: int | None,
        stages_ms: Mapping[str, float],
        gflops: float | None = None,
    ) -> Answer:
        """Plain numbers from whatever the policy counts with.  Raises ValueError for counts and times that cannot be."""
        kept = None if kept is None else tuple(int(k) for k in kept)
        prompt_tokens = None if prompt_tokens is None else int(prompt_tokens)
        if kept == () or any(count < 0 for count in (*(kept or ()), prompt_tokens or 0)):
            raise ValueError(f"token counts that cannot be: kept {kept}, prompt {prompt_tokens}")
        stages_ms = {stage: round(float(ms), 3) for stage, ms in stages_ms.items()}
        if not all(math.isfinite(ms) and ms >= 0 for ms in stages_ms.values()):
            raise ValueError(f"times that cannot be: {stages_ms}")
        if gflops is not None and not (math.isfinite(gflops) and gflops >= 0):
            raise ValueError(f"a cost that cannot be: {gflops} GFLOP")
        return cls(int(step), kept, prompt_tokens, stages_ms, None if gflops is None else round(float(gflops), 6))

    @property
    def reported(self) -> bool:
        """Whether the policy told anything at all."""
        return self.kept is not None or self.prompt_tokens is not None or bool(self.stages_ms)

    @property
    def preprocess_ms(self) -> float | None:
        return self.stages_ms.get(PREPROCESS)

    @property
    def model_ms(self) -> float | None:
        """All stages but preprocessing; None where the policy timed none."""
        times = [ms for stage, ms in self.stages_ms.items() if stage != PREPROCESS]
        return sum(times) if times else None


def write_queries(folder: Path, key: EpisodeKey, answers: Sequence[Answer]) -> None:
    """Append the episode's line, if the policy told anything.  Raises RecordError."""
    if any(answer.reported for answer in answers):
        line = {**key._asdict(), "queries": [asdict(answer) for answer in answers]}
        append_line(folder / FILE, json.dumps(line, allow_nan=False))


def read_queries(folder: Path) -> dict[EpisodeKey, list[Answer]]:
    """The answers of every episode that has a line, finished or not: `read_episodes` says which are.  Raises RecordError."""
    path = folder / FILE
    found: dict[EpisodeKey, list[Answer]] = {}
    if not path.exists():
        return found
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            table = json.loads(line.decode())
        except (UnicodeDecodeError, json.JSONDecodeError):
            continue  # the half line of a crash: its episode was never finished
        try:
            key = EpisodeKey(*(table[name] for name in EpisodeKey._fields))
            found[key] = [
                Answer.of(q["step"], q["kept"], q["prompt_tokens"], q["stages_ms"], q.get("gflops")) for q in table["queries"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(
                f"{path}:{number} does not hold an episode's queries: {error!r}", f"vla-bench eval --fresh --out {folder} ..."
            ) from error
    return found
