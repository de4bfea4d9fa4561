"""Stopping a run early: its episodes are paired with a baseline's one by one, until the e-values decide.

The order of the episodes is shuffled beforehand, with every task in turn, so that a stop favours no task.  Workers end their
episodes in another order, failures last since they run to the horizon: so an episode counts only once all before it in the
shuffled order have ended.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from vla_bench.errors import RecordError
from vla_bench.records import Episode, EpisodeKey, Status
from vla_bench.results.gate import GateRule
from vla_bench.results.gate_status import GateStatus
from vla_bench.results.units import OUTCOMES
from vla_bench.sequential import fewest_pairs, log_e_drop, log_e_no_drop_of

MOST = 1e300  # e-values above are written as this


@dataclass(frozen=True)
class StopRule:
    """What decides, fixed before the first episode.

    base: path of the baseline.  alpha: chance of a wrong verdict, of either kind.
    must_see: drop that a pass excludes, a fraction.
    seed: of the order.  episodes: SHA-256 of the order with the baseline's outcomes.  Raises UsageError.
    """

    base: str
    alpha: float
    must_see: float
    seed: int
    episodes: str

    def __post_init__(self):
        GateRule(alpha=self.alpha, must_see=self.must_see)

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class EarlyVerdict:
    """What the pairs say so far, in the shuffled order.

    finding: DROPPED or PASSED once an e-value has reached 1 / alpha, else INCONCLUSIVE.
    pairs: with `lost` and `gained` among them; episodes with an error on either side are none.
    e_drop: e-value of a drop.  e_no_drop: e-value of "no drop of `must_see` or more".
    """

    finding: GateStatus
    pairs: int
    lost: int
    gained: int
    errors: int
    e_drop: float
    e_no_drop: float

    @property
    def decided(self) -> bool:
        return self.finding is not GateStatus.INCONCLUSIVE

    @property
    def exit_code(self) -> int:
        return self.finding.exit_code

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"finding": self.finding.value}

    @classmethod
    def from_dict(cls, table: dict) -> EarlyVerdict:
        """The inverse of `to_dict`.  Raises RecordError."""
        try:
            return cls(**table | {"finding": GateStatus(table["finding"])})
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"no verdict of a run that was stopped early: {error!r}", "vla-bench eval --fresh ...") from error


class EarlyStop:
    """Follows a run in the shuffled order of its episodes.

    base: which of them the baseline won; without those that ended in errors there.
    """

    def __init__(self, rule: StopRule, order: list[EpisodeKey], base: Mapping[EpisodeKey, bool]):
        self.rule = rule
        self.order = order
        self._base = base
        self._place = self._agreed = self._lost = self._gained = self._errors = 0
        self._finding = GateStatus.INCONCLUSIVE

    @classmethod
    def of(
        cls,
        episodes: Iterable[EpisodeKey],
        base: Mapping[EpisodeKey, bool],
        *,
        path: str,
        alpha: float,
        must_see: float,
        seed: int = 0,
    ) -> EarlyStop:
        """For a run of these episodes.  path: of the baseline.  Raises UsageError."""
        order = shuffled(episodes, seed)
        text = json.dumps([[*key, base.get(key)] for key in order])
        return cls(StopRule(path, alpha, must_see, seed, hashlib.sha256(text.encode()).hexdigest()), order, base)

    @property
    def pairs(self) -> int:
        """Pairs where no episode ends in an error."""
        return sum(key in self._base for key in self.order)

    @property
    def fewest_pairs(self) -> int:
        """Pairs, all of them alike, after which the run can pass."""
        return fewest_pairs(self.rule.must_see, self.rule.alpha)

    @property
    def outlook(self) -> str:
        """What the run can say at the earliest."""
        cannot = "" if self.fewest_pairs <= self.pairs else f", and with {self.pairs} it cannot pass"
        drop = f"a drop of {100 * self.rule.must_see:g} points (--must-see)"
        return f"to exclude {drop} at alpha {self.rule.alpha:g} takes {self.fewest_pairs} pairs at the least{cannot}"

    def look(self, done: Mapping[EpisodeKey, Episode]) -> EarlyVerdict:
        """The verdict on the finished episodes.  The first pair that decides is the last that counts."""
        while self._finding is GateStatus.INCONCLUSIVE and self._place < len(self.order):
            key = self.order[self._place]
            if key not in done:
                break
            self._place += 1
            self._count(done[key].status, self._base.get(key))
        return self.verdict

    def _count(self, status: Status, won_before: bool | None) -> None:
        if status is Status.ERROR or won_before is None:
            self._errors += 1
            return
        won = status is Status.SUCCESS
        self._agreed += won == won_before
        self._lost += won_before and not won
        self._gained += won and not won_before
        enough = -math.log(self.rule.alpha)
        if self._log_e_drop >= enough:
            self._finding = GateStatus.DROPPED
        elif self._log_e_no_drop >= enough:
            self._finding = GateStatus.PASSED

    @property
    def verdict(self) -> EarlyVerdict:
        return EarlyVerdict(
            finding=self._finding,
            pairs=self._agreed + self._lost + self._gained,
            lost=self._lost,
            gained=self._gained,
            errors=self._errors,
            e_drop=_bounded(self._log_e_drop),
            e_no_drop=_bounded(self._log_e_no_drop),
        )

    @property
    def _log_e_drop(self) -> float:
        return log_e_drop(self._lost, self._gained)

    @property
    def _log_e_no_drop(self) -> float:
        return log_e_no_drop_of(self.rule.must_see, self._agreed, self._lost, self._gained)


def _bounded(logarithm: float) -> float:
    return math.exp(min(logarithm, math.log(MOST)))


def shuffled(episodes: Iterable[EpisodeKey], seed: int) -> list[EpisodeKey]:
    """The episodes in rounds: each has one of every task that has any left, and tasks and init states are in random order.

    By hashes and not by a generator, so that the order is the same in every version of Python.
    """
    tasks: dict[tuple[str, int], list[EpisodeKey]] = {}
    for key in sorted(set(episodes), key=lambda key: _draw(seed, *key)):
        tasks.setdefault((key.suite, key.task_id), []).append(key)
    places = [(number, _draw(seed, number, *task), key) for task, own in tasks.items() for number, key in enumerate(own)]
    return [key for _, _, key in sorted(places)]


def _draw(*what: object) -> bytes:
    return hashlib.sha256(repr(what).encode()).digest()


def outcomes(summary: dict) -> dict[EpisodeKey, bool | None]:
    """Which episodes a run won; None for those that ended in errors."""
    won: dict[EpisodeKey, bool | None] = {}
    for name, task in summary["tasks"].items():
        suite, _, task_id = name.rpartition("/")
        for init_state, repeat, letter in zip(task["init_states"], task["repeats"], task["outcomes"], strict=True):
            key, status = EpisodeKey(suite, int(task_id), init_state, repeat), OUTCOMES[letter]
            won[key] = None if status is Status.ERROR else status is Status.SUCCESS
    return won
