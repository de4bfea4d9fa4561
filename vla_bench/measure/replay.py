"""Which queries are timed: recorded observations in order, and how many image tokens each keeps.

A data-dependent pruner keeps another number every time, and random weights do not prune as trained ones do; so the counts
are replayed.  They come from a run, from the paper's means, or are one fixed number; or the pruner decides by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from vla_bench.errors import NotComparableError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import SEVEN_B
from vla_bench.measure.recorded import read_observations
from vla_bench.measure.runs import passes
from vla_bench.paper import table1
from vla_bench.suites import ABOUT, load_suites
from vla_bench.world.observation import Observation

OWN, PAPER, FIXED = "own", "paper", "fixed"


@dataclass(frozen=True)
class TimedQuery:
    """One query.

    prompt: how many tokens its instruction has; None: as many as the model's tokenizer makes of it.
    kept: how many image tokens a pruner has to keep; None: what it wants.
    """

    observation: Observation
    prompt: int | None = None
    kept: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal keys, equal queries: pictures cannot be compared as quickly."""
        return self.observation.episode, self.observation.step, self.prompt, self.kept


def check_kept(kept: str, config: VLAConfig) -> int | None:
    """The number of "fixed:78", or None.  Raises UsageError."""
    kind, _, number = kept.partition(":")
    if kind == FIXED and number.isdecimal() and 1 <= int(number) <= config.visual_tokens:
        return int(number)
    if kept not in (OWN, PAPER):
        raise UsageError(
            f'--kept-distribution "{kept}": {OWN}, {PAPER}, or {FIXED}:K with K from 1 to {config.visual_tokens}',
            f"vla-bench latency --kept-distribution {FIXED}:{config.visual_tokens // 6}",
        )
    return None


def replay(
    config: VLAConfig,
    number: int,
    kept: str,
    seed: int,
    words: bool,
    run: Path | None = None,
    suites: Sequence[str] | None = None,
) -> list[TimedQuery]:
    """`number` queries on the observations that ship, again from the first when they run out.

    words: the model's tokenizer knows the instruction; otherwise prompts are as long as Llama's would be.
    run: take the counts and lengths of its recorded queries, in order.
    suites: whose observations are shown, and whose queries of the run are taken; None for all.
    Raises VlaBenchError.
    """
    fixed = None if run is not None else check_kept(kept, config)
    seen = [o for episode in read_observations(suites=suites) for o in episode]
    shown = (_enlarged(o, config.camera_size) for o in cycle(seen))
    if run is not None:
        counts = cycle(_recorded(run, config, suites))
        return [TimedQuery(o, *next(counts)) for o in islice(shown, number)]
    dice = np.random.default_rng(seed)
    about = {suite.name: suite.about for suite in load_suites()}
    found = []
    for observation in islice(shown, number):
        suite = observation.episode.suite
        keep = _drawn(suite, config.visual_tokens, dice) if kept == PAPER else fixed
        found.append(TimedQuery(observation, None if words else _length(suite, about[suite].prompt_tokens), keep))
    return found


def _drawn(suite: str, visual: int, dice: np.random.Generator) -> int:
    """A number of image tokens of `visual`, as LightVLA might keep, by the paper's Table I."""
    published = table1()["LightVLA"].tokens.get(suite)
    if published is None:
        raise UsageError(f"the paper has no kept tokens of suite {suite}", f"--kept-distribution {FIXED}:{visual // 6}")
    drawn = dice.normal(published.mean, published.sd) * visual / SEVEN_B.visual_tokens
    return int(np.clip(round(drawn), 1, visual))


def _length(suite: str, published: int | None) -> int:
    if published is None:
        raise UsageError(
            f"{ABOUT} beside the suites says no prompt_tokens of {suite}", "vla-bench latency without --random-weights"
        )
    return published


def cycle_of(queries: Sequence[TimedQuery]) -> Sequence[TimedQuery]:
    """The queries up to where they begin again; all of them where they never do."""
    keys = [asked.key for asked in queries]
    return queries[: next(n for n in range(1, len(keys) + 1) if keys[n:] == keys[: len(keys) - n])]


def _recorded(run: Path, config: VLAConfig, suites: Sequence[str]) -> list[tuple[int, int]]:
    """Prompt length and kept tokens of every query of a run that took a pass."""
    found = [(answer.prompt_tokens, sum(answer.kept)) for answer in passes(run, suites)]
    most = max(kept for _, kept in found)
    if most > config.visual_tokens:
        raise NotComparableError(
            f"{run} has queries that kept {most} image tokens, and {config.name} has {config.visual_tokens}",
            "vla-bench latency --model with a model of that run's size",
        )
    return found


def _enlarged(observation: Observation, size: int) -> Observation:
    """Pictures of the size that the model's cameras have, so that preparing them costs what it costs."""
    images = {name: _repeat(image, size) for name, image in observation.images.items()}
    return replace(observation, images=images)


def _repeat(image: np.ndarray, size: int) -> np.ndarray:
    rows = np.arange(size) * image.shape[0] // size
    columns = np.arange(size) * image.shape[1] // size
    return np.ascontiguousarray(image[rows][:, columns])
