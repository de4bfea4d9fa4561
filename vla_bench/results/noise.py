"""The noise of a policy: how often two runs of it, on the same init states, end differently (an A/A run)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import RecordError
from vla_bench.records import Episode, EpisodeKey, Run, Status, make_room, write_atomically
from vla_bench.stats import Rate, wilson

KIND = "noise of a policy"


@dataclass(frozen=True)
class Flips:
    """Pairs of equal episodes of two runs.

    pairs: without an error in either.  flips: those that one run won and the other did not.
    same: those that ended in the same state, to the last bit.
    """

    pairs: int
    flips: int
    same: int

    @property
    def rate(self) -> Rate:
        """The flip rate, with its Wilson interval."""
        return wilson(self.flips, self.pairs)

    def to_dict(self) -> dict[str, object]:
        rate = self.rate
        interval = None if rate.rate is None else [rate.low, rate.high]
        return {"pairs": self.pairs, "flips": self.flips, "same": self.same, "rate": rate.rate, "interval": interval}


@dataclass(frozen=True)
class Noise:
    """The flips by suite.  about: of the run: `run_id`, `config_hash`, `config`, `environment`, `git_commit`, `command`."""

    suites: dict[str, Flips]
    flipped: list[str]
    about: dict[str, object]

    @property
    def total(self) -> Flips:
        own = self.suites.values()
        return Flips(*(sum(getattr(flips, name) for flips in own) for name in ("pairs", "flips", "same")))

    def to_dict(self) -> dict[str, object]:
        suites = {name: flips.to_dict() for name, flips in self.suites.items()}
        return {"kind": KIND, **self.about, "total": self.total.to_dict(), "suites": suites, "flipped": self.flipped}


def noise_of(
    run: Run, first: Mapping[EpisodeKey, Episode], second: Mapping[EpisodeKey, Episode], keys: Sequence[EpisodeKey]
) -> Noise:
    """Of these episodes of two runs, `run` being the first's record."""
    suites: dict[str, list[tuple[Episode, Episode]]] = {}
    for key in keys:
        if key in first and key in second and Status.ERROR not in (first[key].status, second[key].status):
            suites.setdefault(key.suite, []).append((first[key], second[key]))
    flips = {
        name: Flips(
            pairs=len(pairs),
            flips=sum(one.status is not other.status for one, other in pairs),
            same=sum(one.ending == other.ending for one, other in pairs),
        )
        for name, pairs in suites.items()
    }
    flipped = [str(one.key) for pairs in suites.values() for one, other in pairs if one.status is not other.status]
    names = ("run_id", "created", "command", "config_hash", "config", "environment", "git_commit")
    return Noise(flips, flipped, {name: getattr(run, name) for name in names})


def write_noise(path: Path, noise: Noise) -> None:
    """Raises RecordError."""
    make_room(path)
    write_atomically(path, json.dumps(noise.to_dict(), indent=1, allow_nan=False) + "\n")


def read_noise(path: Path) -> Noise:
    """Raises RecordError."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table.pop("kind") != KIND:
            raise ValueError("it is of another kind")
        suites = {name: _flips(each) for name, each in table.pop("suites").items()}
        noise = Noise(suites, table.pop("flipped"), table)
        if noise.total != _flips(table.pop("total")) or not noise.total.pairs:
            raise ValueError("its suites do not add up to its total")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path} is not the noise of a policy: {error!r}", f"vla-bench noise --out {path} ...") from error
    return noise


def _flips(table: dict) -> Flips:
    counts = [table[name] for name in ("pairs", "flips", "same")]
    if any(type(count) is not int for count in counts) or not 0 <= max(counts[1:]) <= counts[0] or min(counts) < 0:
        raise ValueError(f"counts {counts}")
    return Flips(*counts)
