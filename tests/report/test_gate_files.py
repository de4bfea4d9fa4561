"""What a gate leaves for a CI server: a JUnit file that its readers understand, and Markdown."""

import pytest
from junitparser import Error, Failure, JUnitXml, Properties, Skipped

from ..made_runs import a_run, with_tasks

TASKS = [("object", 0), ("object", 1), ("goal", 4)]


@pytest.fixture
def gated(cli, tmp_path):
    """The exit code of a gate, the testcases of its JUnit file by testsuite and name, and its Markdown."""

    def run(*arguments):
        xml, text = tmp_path / "ci" / "out.xml", tmp_path / "summary.md"
        done = cli("gate", *map(str, arguments), "--junit", str(xml), "--markdown", str(text))
        found = {(suite.name, case.name): case for suite in JUnitXml.fromfile(str(xml)) for case in suite}
        return done.exit_code, found, text.read_text()

    return run


def kinds(case):
    return [type(each) for each in case.result]


def values(case):
    return {each.name: each.value for each in case.child(Properties)}


def test_suites_tasks_and_the_gate(gated, tmp_path):
    base = with_tasks(tmp_path / "base", dict.fromkeys(TASKS, "s" * 10))
    new = with_tasks(tmp_path / "new", dict(zip(TASKS, ("s" * 10, "f" * 10, "s" * 10), strict=True)))
    code, found, text = gated(base, new)
    assert code == 1 and kinds(found["gate", "gate"]) == [Failure] and "dropped" in found["gate", "gate"].result[0].message
    assert list(found)[1:] == [("object", "0 object_0"), ("object", "1 object_1"), ("goal", "4 goal_4")]
    lost = found["object", "1 object_1"]
    assert not kinds(lost)  # no task is judged by itself, unless with --per task
    assert [values(lost)[name] for name in ("base_rate", "new_rate", "lost", "pairs")] == ["1.0", "0.0", "10", "10"]
    assert values(found["gate", "gate"])["population"] == "init-states"
    assert text.startswith("### vla-bench gate: dropped (detect)") and "| object | 1 | 10 | 10 | 0 | 10 | 0 | 0 | 0 |" in text


def test_what_is_judged_by_itself_has_its_own_finding(gated, tmp_path):
    base = with_tasks(tmp_path / "base", dict.fromkeys(TASKS, "s" * 12))
    new = with_tasks(tmp_path / "new", dict(zip(TASKS, ("s" * 12, "f" * 12, "s" * 12), strict=True)))
    _, by_suite, _ = gated(base, new, "--per", "suite", "--must-see", "100")
    assert kinds(by_suite["object", "gate"]) == [Failure] and not kinds(by_suite["goal", "gate"])
    code, by_task, text = gated(base, new, "--per", "task")
    assert code == 1 and kinds(by_task["object", "1 object_1"]) == [Failure]
    assert kinds(by_task["goal", "4 goal_4"]) == [Skipped] and "| object | 1 | 12 | 12 | 0 |" in text


def test_inconclusive_is_skipped_and_the_counts_add_up(gated, tmp_path):
    code, found, _ = gated(a_run(tmp_path / "base", "ssss"), a_run(tmp_path / "new", "ssss"), "--max-more-tokens", "5")
    assert code == 3 and kinds(found["gate", "gate"]) == [Skipped] == kinds(found["gate", "max-more-tokens"])
    whole = JUnitXml.fromfile(str(tmp_path / "ci" / "out.xml"))
    assert (whole.tests, whole.failures, whole.errors) == (3, 0, 0)


def test_a_task_without_an_answer(gated, tmp_path):
    base = with_tasks(tmp_path / "base", dict.fromkeys(TASKS, "ssss"))
    new = with_tasks(tmp_path / "new", {TASKS[0]: "ssss", TASKS[1]: "eeee"})
    code, found, _ = gated(base, new)
    assert code == 5 and kinds(found["gate", "gate"]) == [Error] == kinds(found["object", "1 object_1"])
    assert kinds(found["goal", "4 goal_4"]) == [Skipped]


@pytest.mark.parametrize(("damage", "code"), [("world", 4), ("line", 4), ("nothing there", 6), ("alpha", 2)])
def test_an_error_leaves_its_files_too(gated, tmp_path, damage, code):
    """Else a CI server would show the file of an earlier gate."""
    base = a_run(tmp_path / "base", "s" * 12)
    new = a_run(tmp_path / "new", "s" * 12, **({"gl_backend": "osmesa"} if damage == "world" else {}))
    assert gated(base, base, "--must-see", "100")[0] == 0
    if damage == "line":
        with open(new / "episodes.jsonl", "a") as file:
            file.write("not json\n" * 2)
    place = tmp_path / "none" if damage == "nothing there" else new
    found_code, found, text = gated(base, place, *(["--alpha", "7"] if damage == "alpha" else []))
    assert found_code == code and list(found) == [("gate", "gate")] and kinds(found["gate", "gate"]) == [Error]
    assert "no result" in text
