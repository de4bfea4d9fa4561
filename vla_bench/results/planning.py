"""`vla-bench plan`: how many init states show a drop, and which drop so many init states show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vla_bench.errors import UsageError
from vla_bench.power import drop_power, pairs_for, visible_drop
from vla_bench.results.comparison import read_comparable
from vla_bench.results.noise import read_noise
from vla_bench.results.pairs import pair
from vla_bench.results.units import units
from vla_bench.sequential import fewest_pairs

POWERS = (0.8, 0.9)
EXAMPLE = "vla-bench plan --drop 2 --discordance 4%"
# LIBERO in the sizes in which it is run: init states, and what they are.
SIZES = {
    40: "1 a task, four suites",
    100: "10 a task, one suite",
    400: "10 a task, four suites",
    500: "50 a task, one suite",
    2000: "50 a task, four suites",
}


@dataclass(frozen=True)
class Discordance:
    """How often pairs differ.

    share: of the pairs, a fraction.  without_drop: whether that is without a drop, as between two runs of one policy; the pairs
    lost by a drop then come on top of it.  source: where it is from.
    """

    share: float
    without_drop: bool
    source: str

    def gained(self, drop: float) -> float:
        """Share of the pairs that are gained where the rate drops by `drop`; as many and `drop` more are lost."""
        return self.share / 2 if self.without_drop else max(self.share - drop, 0.0) / 2


@dataclass(frozen=True)
class Size:
    """Power to see the planned drop in so many init states, and the smallest drop seen with 80 %; None for none."""

    init_states: int
    what: str
    power: float
    smallest_drop: float | None


@dataclass(frozen=True)
class PowerPlan:
    """drop, lost, gained: shares of the pairs.  needed: init states by power; None where there is no such number.

    stop_early: fewest pairs, all of them alike, after which `eval --stop-early --must-see DROP` can pass.
    """

    drop: float
    lost: float
    gained: float
    alpha: float
    source: str
    needed: dict[float, int | None]
    sizes: list[Size]
    stop_early: int

    def to_dict(self) -> dict[str, object]:
        needed = [{"power": power, "init_states": number} for power, number in self.needed.items()]
        return asdict(self) | {"needed": needed}


def plan_power(drop: float, discordance: Discordance, alpha: float = 0.05, numbers: Sequence[int] = ()) -> PowerPlan:
    """For McNemar's exact test, one-sided, at `alpha`.  drop: a fraction.  numbers: of init states, besides LIBERO's sizes.

    Raises UsageError.
    """
    if not 0 < drop < 1:
        raise UsageError(f"--drop is in percentage points, above 0 and below 100, not {100 * drop:g}", EXAMPLE)
    if not 0 < alpha < 0.5:
        raise UsageError(
            f"--alpha is the chance of a false alarm, above 0 and below 0.5, not {alpha:g}", f"{EXAMPLE} --alpha 0.05"
        )
    if wrong := [number for number in numbers if number < 1]:
        raise UsageError(f"--n is a number of init states, at least 1, not {wrong[0]}", f"{EXAMPLE} --n 500")
    gained = discordance.gained(drop)
    if drop + 2 * gained > 1:
        raise UsageError(f"a drop of {100 * drop:g} points with {200 * gained:g} % of the pairs different besides", EXAMPLE)
    return PowerPlan(
        drop=drop,
        lost=gained + drop,
        gained=gained,
        alpha=alpha,
        source=discordance.source,
        needed={power: pairs_for(drop, gained, alpha, power) for power in POWERS},
        sizes=[
            Size(
                number,
                SIZES.get(number, "as asked"),
                drop_power(number, drop, gained, alpha),
                visible_drop(number, gained, alpha),
            )
            for number in sorted({*SIZES, *numbers})
        ],
        stop_early=fewest_pairs(drop, alpha),
    )


def discordance_of(given: str | None, measured: Path | None, other: Path | None, drop: float) -> Discordance:
    """As given in percent, or measured: in the noise of a policy, or between two runs.  Raises VlaBenchError."""
    if (given is None) == (measured is None):
        raise UsageError("one of --discordance and --from says how often pairs differ", EXAMPLE)
    if given is not None:
        if other is not None:
            raise UsageError(f"{other} belongs to --from", f"vla-bench plan --from RUN {other}")
        return given_discordance(given, drop)
    return measured_discordance([measured] if other is None else [measured, other])


def given_discordance(text: str, drop: float) -> Discordance:
    """ "4%" or "4", in percent of the pairs.  Raises UsageError."""
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not drop <= share <= 1:
        least = f"at least --drop ({100 * drop:g} %), since pairs that are lost differ, and at most 100 %"
        raise UsageError(f'--discordance is the share of pairs that differ, {least}, not "{text}"', EXAMPLE)
    return Discordance(share, False, f"{100 * share:g} % as given")


def measured_discordance(paths: Sequence[Path]) -> Discordance:
    """Of two runs, or of the noise of a policy (`vla-bench noise`).  Raises VlaBenchError."""
    if len(paths) == 1:
        total = read_noise(paths[0]).total
        source = f"{total.rate} of one policy run twice, and the drop on top of it ({paths[0]})"
        return Discordance(total.flips / total.pairs, True, source)
    first, second = map(units, read_comparable(list(paths)))
    pairs = pair(first, second)
    share = (pairs.fell + pairs.rose) / pairs.count
    return Discordance(share, False, f"{100 * share:.1f} % in {pairs.count} pairs ({paths[0]}, {paths[1]})")
