"""`vla-bench gate`: its output for CI, and its exit codes."""

import json

import pytest

from vla_bench.errors import ExitCode, NotComparableError, UsageError
from vla_bench.records import read_run, write_run
from vla_bench.results.comparison import ComparedRun, Pairs
from vla_bench.results.gate import GateStatus, Rule, judge, sentences
from vla_bench.stats import wilson

from ..made_runs import a_run


def finding(*pairs, rule=Rule.DETECT, margin=0.02):
    return judge(ComparedRun("new", wilson(0, 0), {}, {}, Pairs(*pairs)), rule, margin, 0.05).finding


@pytest.mark.parametrize(
    ("pairs", "detect", "noninferior"),
    [
        ((35, 5, 0, 0, 0), GateStatus.DROPPED, GateStatus.DROPPED),  # the fewest losses that establish a drop: p 0.031
        ((36, 4, 0, 0, 0), GateStatus.PASSED, GateStatus.INCONCLUSIVE),  # p 0.063
        ((1930, 10, 10, 50, 0), GateStatus.PASSED, GateStatus.PASSED),
        (
            (1905, 40, 20, 35, 0),
            GateStatus.DROPPED,
            GateStatus.PASSED,
        ),  # a drop of a point, certain, and inside the margin of two
        ((30, 2, 6, 2, 0), GateStatus.PASSED, GateStatus.INCONCLUSIVE),  # better, but 40 pairs do not exclude that it is worse
        ((90, 3, 3, 0, 4), GateStatus.ERRORS, GateStatus.ERRORS),
    ],
)
def test_two_rules(pairs, detect, noninferior):
    assert finding(*pairs) is detect and finding(*pairs, rule=Rule.NONINFERIOR) is noninferior


def test_the_command_and_its_exit_codes(cli, tmp_path):
    runs = {name: str(a_run(tmp_path / name, outcomes)) for name, outcomes in
            {"base": "s" * 12, "same": "s" * 12, "worse": "s" * 5 + "f" * 7, "broken": "s" * 10 + "ee"}.items()}  # fmt: skip
    judged = {name: cli("gate", runs["base"], runs[name]) for name in ("same", "worse", "broken")}
    assert {name: done.exit_code for name, done in judged.items()} == {"same": 0, "worse": 1, "broken": 5}
    assert "12 of 12 won before, 5 now: 7 lost, 0 gained" in judged["worse"].stdout
    assert (
        cli("gate", runs["base"], runs["same"], "--rule", "noninferior").exit_code == 3
    )  # 12 pairs exclude no drop of two points
    found = json.loads(cli("gate", runs["base"], runs["worse"], "--format", "json").stdout)
    assert found["finding"] == "dropped" and found["p"] == pytest.approx(1 / 2**7)
    other = a_run(tmp_path / "other", "s" * 12, assets={"name": "official", "sha256": "1" * 64})
    assert isinstance(cli("gate", runs["base"], str(other)).exception, NotComparableError)


def test_a_run_without_a_verdict_is_no_pass(cli, tmp_path):
    """Broken off after three won episodes; ended, but with nothing but errors."""
    base = a_run(tmp_path / "base", "s" * 12)
    short, errors = a_run(tmp_path / "short", "sss"), a_run(tmp_path / "errors", "e" * 12)
    broken = read_run(short)
    broken.status = "interrupted"
    write_run(short, broken)
    for pair in ((base, short), (short, base)):
        done = cli("gate", *map(str, pair))
        assert isinstance(done.exception, NotComparableError) and "is not complete: interrupted" in str(done.exception)
    assert cli("gate", str(base), str(errors)).exception.exit_code == ExitCode.ERROR_BUDGET


def test_words_and_bad_values():
    row = ComparedRun("new", wilson(0, 0), {}, {}, Pairs(2, 1, 0, 1, 0))
    text = sentences(judge(row, Rule.NONINFERIOR, 0.02, 0.05))
    assert "detect no drop at all" in text and "above -2 points" in text and "90 % interval" in text
    for margin, alpha in ((0, 0.05), (0.02, 1)):
        with pytest.raises(UsageError):
            judge(row, Rule.DETECT, margin, alpha)
