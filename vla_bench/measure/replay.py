"""The queries that are timed: recorded observations in order, and the number of image tokens that each keeps.

The number of a data-dependent pruner differs from query to query, and random weights do not prune as trained ones do; so
the numbers are replayed: from a run, drawn from the paper's means, or one fixed number; or the pruner's own are used.
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
from vla_bench.measure.runs import recorded_passes
from vla_bench.paper import table1
from vla_bench.suites import ABOUT, load_suites
from vla_bench.world.observation import Observation

OWN, PAPER, FIXED = "own", "paper", "fixed"


@dataclass(frozen=True)
class TimedQuery:
    """One query.

    prompt: tokens of its instruction; None: as many as the model's tokenizer gives.
    kept: image tokens that the pruner must keep; None: the pruner's own number.
    """

    observation: Observation
    prompt: int | None = None
    kept: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal keys, equal queries: faster than to compare images."""
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
    """`number` queries on the bundled observations, starting over when they run out.

    words: the model has a trained tokenizer; otherwise prompts have the length that Llama's tokenizer gives.
    run: take kept tokens and prompt lengths of its recorded queries, in order.
    suites: those of the observations and of the run's queries; None for all.
    Raises VlaBenchError.
    """
    fixed = None if run is not None else check_kept(kept, config)
    recorded = [o for episode in read_observations(suites=suites) for o in episode]
    observations = (_enlarged(o, config.camera_size) for o in cycle(recorded))
    if run is not None:
        counts = cycle(_recorded(run, config, suites))
        return [TimedQuery(o, *next(counts)) for o in islice(observations, number)]
    dice = np.random.default_rng(seed)
    about = {suite.name: suite.about for suite in load_suites()}
    queries = []
    for observation in islice(observations, number):
        suite = observation.episode.suite
        keep = _drawn(suite, config.visual_tokens, dice) if kept == PAPER else fixed
        queries.append(TimedQuery(observation, None if words else _length(suite, about[suite].prompt_tokens), keep))
    return queries


def _drawn(suite: str, visual: int, dice: np.random.Generator) -> int:
    """A number of kept image tokens out of `visual`, drawn with the mean and sd of LightVLA in the paper's Table I."""
    published = table1()["LightVLA"].tokens.get(suite)
    if published is None:
        raise UsageError(f"the paper has no kept tokens of suite {suite}", f"--kept-distribution {FIXED}:{visual // 6}")
    drawn = dice.normal(published.mean, published.sd) * visual / SEVEN_B.visual_tokens
    return int(np.clip(round(drawn), 1, visual))


def _length(suite: str, published: int | None) -> int:
    if published is None:
        raise UsageError(f"{ABOUT} of the suites has no prompt_tokens of {suite}", "vla-bench latency without --random-weights")
    return published


def cycle_of(queries: Sequence[TimedQuery]) -> Sequence[TimedQuery]:
    """The queries up to where they repeat; all of them where they do not."""
    keys = [query.key for query in queries]
    return queries[: next(n for n in range(1, len(keys) + 1) if keys[n:] == keys[: len(keys) - n])]


def _recorded(run: Path, config: VLAConfig, suites: Sequence[str]) -> list[tuple[int, int]]:
    """Prompt length and kept tokens of every query of a run with a forward pass."""
    counts = [(query.prompt_tokens, sum(query.kept)) for query in recorded_passes(run, suites)]
    most = max(kept for _, kept in counts)
    if most > config.visual_tokens:
        raise NotComparableError(
            f"{run} has queries that kept {most} image tokens, and {config.name} has {config.visual_tokens}",
            "vla-bench latency --model with a model of that run's size",
        )
    return counts


def _enlarged(observation: Observation, size: int) -> Observation:
    """With images of the model's camera size, so that preparing them takes as long as in a run."""
    images = {name: _repeat(image, size) for name, image in observation.images.items()}
    return replace(observation, images=images)


def _repeat(image: np.ndarray, size: int) -> np.ndarray:
    rows = np.arange(size) * image.shape[0] // size
    columns = np.arange(size) * image.shape[1] // size
    return np.ascontiguousarray(image[rows][:, columns])
