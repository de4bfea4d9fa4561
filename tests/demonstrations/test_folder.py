"""The folder of demonstrations: refused, resumed, and filled task by task."""

import dataclasses
import json

import h5py
import pytest

from vla_bench.demonstrations.attempts import TaskProgress
from vla_bench.demonstrations.folder import DemoFolder
from vla_bench.demonstrations.hdf5 import read_demos, write_demos
from vla_bench.errors import NotComparableError, RecordError

from .common import SUITE, TASK, attempt


def test_another_configuration_is_refused(tmp_path):
    DemoFolder(tmp_path, {"seed": 0}, "").close()
    held = DemoFolder(tmp_path, {"seed": 0}, "")
    with pytest.raises(RecordError, match="another vla-bench"):
        DemoFolder(tmp_path, {"seed": 0}, "")
    held.close()
    with pytest.raises(NotComparableError, match="seed: 0 there, 1 now"):
        DemoFolder(tmp_path, {"seed": 1}, "")


def test_a_learner_acts_in_one_suite_after_the_other(tmp_path):
    """DAgger rollouts of a second suite join those of the first; other weights of a suite that is there do not."""
    learner = {"learner": "nano", "learner_weights": {"object": "aa"}}
    DemoFolder(tmp_path, learner, "").close()
    for weights in ({"goal": "bb"}, {"object": "aa", "goal": "bb"}):
        DemoFolder(tmp_path, learner | {"learner_weights": weights}, "").close()
    about = json.loads((tmp_path / "demos.json").read_text())
    assert about["config"]["learner_weights"] == {"object": "aa", "goal": "bb"} and about["command"] == ""
    with pytest.raises(NotComparableError, match=r"learner_weights.goal: 'bb' there, 'cc' now"):
        DemoFolder(tmp_path, learner | {"learner_weights": {"goal": "cc"}}, "")
    with pytest.raises(NotComparableError, match="learner"):
        DemoFolder(tmp_path, {}, "")


def test_a_task_s_file_grows(calm, world, tmp_path):
    """More demonstrations of the same task join those that are there, also after a kill between joining and clearing."""
    folder, progress = DemoFolder(tmp_path, {}, ""), TaskProgress(SUITE, SUITE.task(TASK), 2)
    for number in range(4):
        demo = dataclasses.replace(calm.demo, attributes=calm.demo.attributes | {"attempt": number})
        write_demos(tmp_path / progress.part(number), world.about(), [demo])
        if number == 1:
            saved = (tmp_path / progress.part(0)).read_bytes()
        folder.add(attempt(number), progress)
        if number == 1:
            assert [d.attributes["attempt"] for d in read_demos(tmp_path / progress.file)] == [0, 1]
            (tmp_path / progress.part(0)).parent.mkdir(parents=True)
            (tmp_path / progress.part(0)).write_bytes(saved)
            progress.wanted = 4
    assert [d.attributes["attempt"] for d in read_demos(tmp_path / progress.file)] == [0, 1, 2, 3]
    with h5py.File(tmp_path / progress.file) as file:
        assert file["data"].attrs["num_demos"] == 4 and file["data"].attrs["total"] == 4 * len(calm.demo)
        assert list(file["data"]) == ["demo_0", "demo_1", "demo_2", "demo_3"]
    assert not (tmp_path / "parts").exists()
    (other,) = folder.others([TaskProgress(SUITE, SUITE.task(0), 9)])
    assert (other.key, other.wanted) == (("spatial", TASK), 4) and not folder.others([progress])
    folder.close()
