"""The init state is what is counted, its repeats averaged."""

from dataclasses import replace

import pytest

from vla_bench.records import Status
from vla_bench.results.result_table import result_table
from vla_bench.results.summary import summarise
from vla_bench.results.summary_file import summary_of
from vla_bench.results.units import Key, Unit, unit, units, units_of

from ..made_runs import ENDINGS, episode, run


@pytest.mark.parametrize(
    ("outcomes", "hashes", "expected"),
    [
        ("s", "a", Unit(1.0, 1, 0)),
        ("ss", "aa", Unit(1.0, 1, 0)),
        ("ssf", "aab", Unit(0.5, 2, 0)),  # two different episodes, one of them twice
        ("ssf", "abc", Unit(2 / 3, 3, 0)),
        ("ss", [None, None], Unit(1.0, 2, 0)),
        ("es", [None, "a"], Unit(1.0, 1, 1)),
        ("ee", [None, None], Unit(None, 0, 2)),
    ],
)
def test_repeats_are_averaged(outcomes, hashes, expected):
    assert unit((ENDINGS[outcome], state) for outcome, state in zip(outcomes, hashes, strict=True)) == expected


def test_a_summary_has_the_run_s_units():
    episodes = [episode(i, state_hash=f"{i:016x}") for i in range(3)]
    assert "state_hash" not in summary_of(run(), episodes)["tasks"]["object/3"]
    episodes += [replace(episodes[0], repeat=1), replace(episodes[1], repeat=1, status=Status.FAILURE, state_hash="b" * 16)]
    summary = summary_of(run(), episodes)
    assert summary["tasks"]["object/3"]["state_hash"] == [e.state_hash for e in episodes]
    assert units(summary) == units_of(episodes)
    assert units(summary)[Key("object", 3, 0)] == Unit(1.0, 1, 0) and units(summary)[Key("object", 3, 1)] == Unit(0.5, 2, 0)


def test_totals_and_tables_count_init_states():
    """Fifty-two episodes of fifty init states: n is 50.  A repeat that ended differently counts half."""
    episodes = [episode(i % 50, repeat=i // 50) for i in range(52)]
    total = summarise(episodes).total
    assert total.episodes == 52 and (total.rate.successes, total.rate.n) == (50, 50)
    assert total.rate == summarise(episodes[:50]).total.rate
    episodes[51] = replace(episodes[51], status=Status.FAILURE, state_hash="b" * 16)
    summary = summarise(episodes)
    assert summary.to_dict()["successes"] == 49.5 and summary.to_dict()["failures"] == 0.5
    assert summary.total.rate.low > summarise([replace(episodes[0], status=Status.FAILURE), *episodes[1:50]]).total.rate.low
    (row,) = [cells for cells in result_table(summary, {})[1] if cells[1] == "all"]
    assert row[3:6] == ["50", "49.5", "99.0"]
