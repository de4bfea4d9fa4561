"""`vla-bench gate`: its findings, its exit codes, and when it abstains."""

import json
import random

import pytest

from vla_bench.errors import ExitCode, NotComparableError, UsageError
from vla_bench.records import read_run, write_run
from vla_bench.results.evidence import Evidence
from vla_bench.results.gate import GateRule, gate, judge
from vla_bench.results.gate_status import GateStatus
from vla_bench.results.pairs import Pairs
from vla_bench.values import By, Population, Rule

from ..made_runs import a_run, with_tasks

OVER_TASKS = {"population": Population.TASKS}


def finding(*pairs, missing=0, **rule):
    return judge(Evidence(Pairs(*pairs), ()), GateRule(**rule), missing).finding


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


def test_words_and_bad_values(cli, tmp_path):
    runs = [str(a_run(tmp_path / name, outcomes)) for name, outcomes in {"a": "sssf", "b": "ssfs"}.items()]
    text = cli("gate", *runs, "--rule", "noninferior").stdout
    assert "detect no drop at all" in text and "above -2 points" in text and "90 % interval" in text
    assert "the verdict is about these tasks and init states" in text
    for wrong, words in (
        ({"margin": 0}, "--margin"),
        ({"alpha": 1}, "chance of a false alarm"),
        ({"must_see": 2}, "--must-see"),
        ({"per": By.TASK, **OVER_TASKS}, "a single task says nothing"),
    ):
        with pytest.raises(UsageError, match=words):
            GateRule(**wrong)


def over_tasks(differences, n=50, **rule):
    """Judged on tasks of n init states each, that lost or gained this many of them."""
    lost, gained = (sum(max(sign * each, 0) for each in differences) for sign in (-1, 1))
    pairs = Pairs(n * len(differences) - lost - gained, lost, gained, 0, 0)
    return judge(Evidence(pairs, tuple(each / n for each in differences)), GateRule(**OVER_TASKS, **rule))


def test_one_broken_task_is_a_drop_of_these_tasks_and_not_of_their_kind():
    broken = [-40, *[0] * 9]
    assert over_tasks(broken).finding is GateStatus.INCONCLUSIVE and over_tasks(broken).p == pytest.approx(0.17, abs=0.01)
    assert finding(460, 40, 0, 0, 0) is GateStatus.DROPPED
    everywhere = over_tasks([-4, -9, -6, -8, -3, -7, -5, -6, -9, -2])
    assert everywhere.finding is GateStatus.DROPPED and everywhere.over_tasks.high < 0


def test_tasks_that_agree_by_chance_are_not_certain():
    """Without any spread Student's t would be sure; one init state a task says next to nothing."""
    same = over_tasks([0] * 5, n=1, rule=Rule.NONINFERIOR)
    assert same.finding is GateStatus.INCONCLUSIVE and same.over_tasks == same.difference and same.over_tasks.low < -0.3
    assert over_tasks([0] * 10, rule=Rule.NONINFERIOR).finding is GateStatus.PASSED
    assert over_tasks([-1] * 5, n=50).p == 1 / 32  # McNemar's


def test_few_tasks_cannot_speak_for_their_kind(cli, tmp_path):
    four = over_tasks([-20, -25, -22, -24])
    assert four.finding is GateStatus.INCONCLUSIVE and four.p == 1 and four.smallest_drop is None
    tasks = {("object", i): "s" * 8 for i in range(4)}
    runs = [str(with_tasks(tmp_path / name, tasks)) for name in ("base", "new")]
    done = cli("gate", *runs, "--population", "tasks")
    assert done.exit_code == 3 and "4 tasks are too few to speak of tasks of their kind: run 5 or more" in done.stdout


def test_false_alarms_over_tasks_whose_differences_have_mean_zero():
    """Ten tasks of 50 whose differences have a standard deviation of 15 points: McNemar's test speaks of these tasks alone."""
    draw = random.Random(1)
    alarms = own = 0
    for _ in range(400):
        shifts = [draw.gauss(0, 0.15) for _ in range(10)]
        differences = [sum((draw.random() < abs(s)) * (1 if s > 0 else -1) for _ in range(50)) for s in shifts]
        judged = over_tasks(differences)
        alarms += judged.p < 0.05
        own += judge(Evidence(judged.pairs, ()), GateRule()).p < 0.05
    assert 7 <= alarms <= 33 and own > 100  # 20 expected, three standard deviations


def test_every_suite_is_judged(cli, tmp_path):
    """Ten lost in one suite and four gained in the other: nothing is established together, but of the one."""
    base = with_tasks(tmp_path / "base", {("object", 0): "s" * 20, ("goal", 0): "f" * 4 + "s" * 16})
    new = with_tasks(tmp_path / "new", {("object", 0): "f" * 10 + "s" * 10, ("goal", 0): "s" * 20})
    both = [str(base), str(new), "--must-see", "100"]
    assert cli("gate", *both).exit_code == 0 and cli("gate", *both, "--per", "suite").exit_code == 1
    parts = json.loads(cli("gate", *both, "--per", "suite", "--format", "json").stdout)["parts"]
    assert [(part["suite"], part["finding"]) for part in parts] == [("object", "dropped"), ("goal", "passed")]
    assert parts[0]["p"] == 2 / 2**10  # Holm: two tests
    printed = cli("gate", *both, "--per", "suite").stdout
    assert "judged suite by suite about these tasks and init states: p by Holm's correction for 2" in printed


def test_a_suite_that_was_not_run_does_not_pass(tmp_path):
    base = with_tasks(tmp_path / "base", {("object", 0): "s" * 8, ("goal", 0): "s" * 8})
    new = with_tasks(tmp_path / "new", {("object", 0): "s" * 8})
    result = gate(base, new, GateRule(must_see=1.0, per=By.SUITE))
    assert [part.finding for part in result.parts] == [GateStatus.PASSED, GateStatus.INCONCLUSIVE]
    assert result.parts[1].missing == 8 and result.finding is GateStatus.INCONCLUSIVE


def test_suites_share_alpha(tmp_path):
    """Five lost of a suite's twelve are p 0.031: a drop alone, and not beside another suite."""
    tasks = [("object", 0), ("goal", 0)]
    base = with_tasks(tmp_path / "base", dict.fromkeys(tasks, "s" * 12))
    new = with_tasks(tmp_path / "new", dict(zip(tasks, ("f" * 5 + "s" * 7, "s" * 12), strict=True)))
    first, second = gate(base, new, GateRule(per=By.SUITE)).parts
    assert first.p == 2 / 2**5 and first.finding is GateStatus.INCONCLUSIVE and second.p == 1
    assert gate(base, new, GateRule()).finding is GateStatus.DROPPED
