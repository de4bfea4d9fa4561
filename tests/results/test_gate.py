"""`vla-bench gate`: its output for CI, its exit codes, and when it abstains."""

import json

import pytest

from vla_bench.errors import ExitCode, NotComparableError, UsageError
from vla_bench.records import read_run, write_run
from vla_bench.results.comparison import Pairs
from vla_bench.results.gate import GateRule, GateStatus, Rule, judge, sentences

from ..made_runs import a_run


def finding(*pairs, missing=0, **rule):
    return judge(Pairs(*pairs), GateRule(**rule), missing).finding


@pytest.mark.parametrize(
    ("pairs", "detect", "noninferior"),
    [
        ((35, 5, 0, 0, 0), GateStatus.DROPPED, GateStatus.DROPPED),  # the fewest losses that establish a drop: p 0.031
        ((36, 4, 0, 0, 0), GateStatus.INCONCLUSIVE, GateStatus.INCONCLUSIVE),  # p 0.063, and 40 pairs see no drop of 5 points
        ((1930, 10, 10, 50, 0), GateStatus.PASSED, GateStatus.PASSED),
        ((1905, 40, 20, 35, 0), GateStatus.DROPPED, GateStatus.PASSED),  # one point: certain, and inside the margin of two
        ((30, 2, 6, 2, 0), GateStatus.INCONCLUSIVE, GateStatus.INCONCLUSIVE),  # better, but a drop is not excluded
        ((90, 3, 3, 0, 4), GateStatus.ERRORS, GateStatus.ERRORS),
    ],
)
def test_two_rules(pairs, detect, noninferior):
    assert finding(*pairs) is detect and finding(*pairs, rule=Rule.NONINFERIOR) is noninferior


def test_it_abstains_where_a_drop_would_not_be_seen():
    """Five episodes, 5 -> 2 won, said nothing before and passed; whoever is content with less says so."""
    assert finding(2, 3, 0, 0, 0) is GateStatus.INCONCLUSIVE
    assert finding(36, 4, 0, 0, 0, must_see=0.15) is GateStatus.PASSED
    assert finding(12, 0, 0, 0, 0, must_see=1.0) is GateStatus.PASSED


def test_it_abstains_where_a_run_is_cut_short():
    """100 of 2,000 episodes, all won."""
    assert finding(100, 0, 0, 0, 0, missing=1900, must_see=1.0) is GateStatus.INCONCLUSIVE
    assert finding(1990, 0, 0, 0, 0, missing=10) is GateStatus.PASSED  # half a percent may be missing
    assert finding(60, 40, 0, 0, 0, missing=1900) is GateStatus.DROPPED  # what is there is bad enough


def test_the_command_and_its_exit_codes(cli, tmp_path):
    runs = {name: str(a_run(tmp_path / name, outcomes)) for name, outcomes in
            {"base": "s" * 12, "same": "s" * 12, "worse": "s" * 5 + "f" * 7, "broken": "s" * 10 + "ee"}.items()}  # fmt: skip
    judged = {name: cli("gate", runs["base"], runs[name]) for name in ("same", "worse", "broken")}
    assert {name: done.exit_code for name, done in judged.items()} == {"same": 3, "worse": 1, "broken": 5}
    assert "12 of 12 won before, 5 now: 7 lost, 0 gained" in judged["worse"].stdout
    assert f"{runs['worse']} against {runs['base']}" in judged["worse"].stdout
    assert "a drop of 5 points (--must-see) must be seen" in judged["same"].stdout
    assert cli("gate", runs["base"], runs["same"], "--must-see", "60").exit_code == 0
    assert cli("gate", runs["base"], runs["same"], "--rule", "noninferior").exit_code == 3  # 12 pairs exclude no two points
    found = json.loads(cli("gate", runs["base"], runs["worse"], "--format", "json").stdout)
    assert found["finding"] == "dropped" and found["p"] == pytest.approx(1 / 2**7) and found["population"]
    other = a_run(tmp_path / "other", "s" * 12, assets={"name": "official", "sha256": "1" * 64})
    assert isinstance(cli("gate", runs["base"], str(other)).exception, NotComparableError)


def test_fewer_init_states_are_fine_where_they_are_meant(cli, tmp_path):
    base, new = a_run(tmp_path / "base", "s" * 12), a_run(tmp_path / "new", "s" * 6)
    short = cli("gate", str(base), str(new), "--must-see", "100")
    assert short.exit_code == 3 and f"{new} lacks 6 of the 12 init states" in short.stdout
    assert cli("gate", str(base), str(new), "--must-see", "100", "--init-states", "0-5").exit_code == 0


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
    text = sentences(judge(Pairs(2, 1, 0, 1, 0), GateRule(Rule.NONINFERIOR)))
    assert "detect no drop at all" in text and "above -2 points" in text and "90 % interval" in text
    for wrong, words in (({"margin": 0}, "--margin"), ({"alpha": 1}, "chance of a false alarm"), ({"must_see": 2}, "--must-see")):
        with pytest.raises(UsageError, match=words):
            GateRule(**wrong)
