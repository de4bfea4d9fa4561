"""Demonstrations: what is kept of an episode, how it is written and read, and that nothing but what is in flight gets lost."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from vla_bench.demonstrations import demo_file, disturbance, leading
from vla_bench.demonstrations.attempts import HOPELESS, Attempt, TaskBook, attempt_seed, read_attempts
from vla_bench.demonstrations.crew import Crew
from vla_bench.demonstrations.demo_file import LAYOUT, read_demos, write_demos
from vla_bench.demonstrations.demo_folder import DemoFolder
from vla_bench.demonstrations.demo_report import DemoReport, print_report
from vla_bench.demonstrations.demo_worker import Job, Settings, make
from vla_bench.demonstrations.demos import Assignments, DemoRequest, make_demos
from vla_bench.demonstrations.disturbance import DISTANCE, Disturbance
from vla_bench.demonstrations.noops import kept_actions
from vla_bench.demonstrations.recording import Ending, record
from vla_bench.errors import NotComparableError, RecordError, UsageError
from vla_bench.model.normalisation import axis_angle
from vla_bench.policies.expert import Expert
from vla_bench.policies.simple import Noop
from vla_bench.suites import load_suite
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight

from ..public_demos import public_file

TASK = 2  # of Spatial: the shortest
SHARE = 0.5
SUITE = dataclasses.replace(load_suite("spatial"), image_size=128)


@pytest.fixture(scope="module")
def world(primitive):
    world = World(SUITE, primitive)
    world.start(SUITE.task(TASK))
    yield world
    world.close()


class Watched:
    """An expert and a world between which everything that is said is written down."""

    def __init__(self, world, monkeypatch, idle_at=()):
        self.answers, self.executed, self.idle = [], [], list(idle_at)
        self._expert, step = Expert(), world.step

        def watched_step(action, *sight):
            if world.steps >= 0:
                self.executed.append(np.array(action))
            return step(action, *sight)

        monkeypatch.setattr(world, "step", watched_step)

    def reset(self, key):
        self._expert.reset(key)

    def act(self, observations):
        if self.idle and self.idle[0] == len(self.executed):
            self.idle.pop(0)
            chunk = dataclasses.replace(self.last, actions=np.array([[0, 0, 0, 0, 0, 0, self.last.actions[0, 6]]]))
            return [chunk]
        (self.last,) = chunks = self._expert.act(observations)
        self.answers.append(self.last.actions[0])
        return chunks


@pytest.fixture(scope="module")
def calm(world):
    return record(world, Expert(), 0, 5, 0.0)


def test_the_layout_is_libero_s(calm, world, tmp_path):
    path = tmp_path / "KITCHEN_SCENE1_do_It_demo.hdf5"
    write_demos(path, world.about(), [calm.demo])
    frames = len(calm.demo)
    assert calm.ending is Ending.SUCCESS and calm.steps == frames
    with h5py.File(path) as file:
        assert set(file["data"].attrs) >= {"env_name", "problem_info", "bddl_file_content", "env_args", "macros_image_convention"}
        assert json.loads(file["data"].attrs["problem_info"])["language_instruction"] == world.task.language
        assert (file["data"].attrs["num_demos"], file["data"].attrs["total"]) == (1, frames)
        demo = file["data/demo_0"]
        assert demo.attrs["num_samples"] == frames and demo.attrs["seed"] == 5 and demo.attrs["pushes"] == 0
        assert not demo.attrs["disturbed"]
        assert np.array_equal(demo.attrs["init_state"], demo["states"][0]) and np.array_equal(world.sample(5), demo["states"][0])
        xml = demo.attrs["model_file"]
        assert xml.startswith("<mujoco") and 'file="assets/' in xml and str(world.assets.root) not in xml
        wanted = {
            "actions": (7,),
            "states": world.state.shape,
            "robot_states": (9,),
            "rewards": (),
            "dones": (),
            "obs/agentview_rgb": (128, 128, 3),
            "obs/eye_in_hand_rgb": (128, 128, 3),
            "obs/ee_states": (6,),
            "obs/ee_pos": (3,),
            "obs/ee_ori": (3,),
            "obs/gripper_states": (2,),
            "obs/joint_states": (7,),
        }
        assert {name: demo[name].shape for name in LAYOUT} == {name: (frames, *row) for name, row in wanted.items()}
        for name in ("rewards", "dones"):
            assert demo[name].dtype == np.uint8 and demo[name][:].tolist() == [0] * (frames - 1) + [1]
        grip, pos, quat = np.split(demo["robot_states"][:], [2, 5], axis=1)
        assert np.array_equal(np.hstack([pos, axis_angle(quat)]), demo["obs/ee_states"])
        assert np.array_equal(np.hstack([demo["obs/ee_pos"], demo["obs/ee_ori"]]), demo["obs/ee_states"])
        assert np.array_equal(grip, demo["obs/gripper_states"])
        assert kept_actions(demo["actions"][:]).all() and np.abs(demo["actions"][:, :6]).max() <= 1
    (again,) = read_demos(path)
    assert again.instruction == "do it" and again.object_names == calm.demo.object_names == world.reset(0).scene.facts.of_interest
    assert all(np.array_equal(again[name], calm.demo[name]) for name in LAYOUT)
    assert not again.segment.any() and again.chunk_starts(8).tolist() == list(range(frames - 7))


def test_replayed_as_libero_s_tools_do_it_succeeds_again(calm, world):
    """From the first state, settled, with nothing but the actions; what is seen is what was recorded, before each action."""
    demo = calm.demo
    seen = world.begin(world.key, demo["states"][0], Sight.IMAGES)
    for t, action in enumerate(demo["actions"]):
        if t:
            assert np.array_equal(world.state, demo["states"][t])
        if t % 20 == 0:
            assert np.array_equal(seen.images["agentview"], demo["obs/agentview_rgb"][t])
            assert np.array_equal(seen.images["robot0_eye_in_hand"], demo["obs/eye_in_hand_rgb"][t])
            assert np.array_equal(seen.joint_pos, demo["obs/joint_states"][t])
            bowl = demo.object_names.index("akita_black_bowl_1")
            assert np.array_equal(seen.scene.bodies["akita_black_bowl_1"].pos, demo.object_pos[t, bowl])
        done, seen = world.step(action, Sight.IMAGES)
        assert done == (t == len(demo) - 1)


def test_labels_are_the_expert_s_and_a_push_is_not_imitated(world, monkeypatch):
    seed = next(s for s in range(99) if any(10 < p.start < 30 for p in Disturbance(s, 1.0, SUITE.horizon).plan))
    watched = Watched(world, monkeypatch)
    recording = record(world, watched, 0, seed, 1.0)
    demo, disturbance = recording.demo, Disturbance(seed, 1.0, SUITE.horizon)
    assert recording.ending is Ending.SUCCESS and recording.noops == 0
    pushed = [disturbance.at(step) is not None for step in range(recording.steps)]
    free = [step for step in range(recording.steps) if not pushed[step]]
    assert recording.pushes == demo.attributes["pushes"] == sum(p.start < recording.steps for p in disturbance.plan) >= 1
    assert len(watched.answers) == len(watched.executed) == recording.steps > len(demo) == len(free)
    assert np.array_equal(demo["actions"], [watched.answers[step] for step in free])
    shaken = [disturbance.shaken(step, watched.answers[step]) for step in free]
    assert np.array_equal(shaken, [watched.executed[step] for step in free]) and not np.allclose(shaken, demo["actions"])
    for step in np.flatnonzero(pushed):
        assert np.array_equal(watched.executed[step], [*disturbance.at(step).move, watched.answers[step][6]])
        assert not np.array_equal(watched.executed[step], watched.answers[step])
    # A new segment begins exactly where time is missing, and no chunk reaches across.
    assert np.array_equal(np.diff(demo.segment) > 0, np.diff(free) > 1)
    assert demo.segment[0] == 0 and demo.segment[-1] >= 1
    starts = demo.chunk_starts(8)
    assert {t for t in range(len(free) - 7) if free[t + 7] == free[t] + 7} == set(starts.tolist())


def test_who_trembles_is_disturbed_pushed_or_not(world, tmp_path, monkeypatch):
    monkeypatch.setattr(disturbance, "SHARE_AT_START", 0.0)
    monkeypatch.setattr(disturbance, "GAP", (0.9, 0.9))  # after the episode's end
    attempt = make(world, Expert(), Job("spatial", TASK, 0, 5, tmp_path / "x_demo.hdf5"), 1.0)
    assert attempt.ending is Ending.SUCCESS and attempt.disturbed and attempt.pushes == 0
    (demo,) = read_demos(tmp_path / "x_demo.hdf5")
    assert demo.attributes["disturbed"] and demo.attributes["pushes"] == 0


def test_an_action_that_does_nothing_is_neither_executed_nor_kept(world, monkeypatch, calm):
    watched = Watched(world, monkeypatch, idle_at=(4, 9))
    recording = record(world, watched, 0, 5, 0.0)
    assert recording.ending is Ending.SUCCESS and recording.noops == 2
    assert len(watched.executed) == recording.steps == len(recording.demo) and not recording.demo.segment.any()
    assert np.array_equal(recording.demo["actions"][:4], calm.demo["actions"][:4])


def test_an_expert_that_only_waits_fails_in_finite_time(world):
    class Waits:
        reset = lambda self, key: None  # noqa: E731
        act = lambda self, observations: [type("Chunk", (), {"actions": np.zeros((1, 7))})]  # noqa: E731

    recording = record(world, Waits(), 0, 5, 0.0)
    assert recording.ending is Ending.FAILURE and recording.demo is None and recording.steps == 0


def test_what_the_expert_did_not_do_is_not_kept(world, monkeypatch):
    """A start in which something fell, and a goal that comes true while the arm is pushed."""
    seed = next(s for s in range(99) if Disturbance(s, 1.0, SUITE.horizon).plan[0].start == 0)
    step = world.step
    monkeypatch.setattr(world, "step", lambda *how: (world.steps >= 2, step(*how)[1]))
    won = record(world, Expert(), 0, seed, 1.0)
    assert (won.ending, won.steps, won.pushes, won.demo) == (Ending.REJECTED, 3, 1, None)
    monkeypatch.setattr(world, "is_sound", lambda start: False)
    assert record(world, Expert(), 0, seed, 0.0).ending is Ending.REJECTED


def test_what_a_learner_did_first_is_not_kept(world, monkeypatch):
    monkeypatch.setattr(leading, "SHARE", (0.1, 0.1))
    recording = record(world, Expert(), 0, 5, 0.0, Noop())
    assert recording.ending is Ending.SUCCESS and recording.led >= 22 and len(recording.demo) == recording.steps - recording.led
    arrays = recording.demo.arrays
    assert not np.array_equal(arrays["states"][0], world.sample(5)) and recording.demo.attributes["led"] == recording.led
    world.place(arrays["states"][0])  # what was seen first is where the learner left the arm
    for action in arrays["actions"]:
        done, _ = world.step(action)
    assert done and set(recording.demo.segment) == {0}


def test_what_a_learner_holds_the_expert_goes_on_with(world, monkeypatch):
    monkeypatch.setattr(leading, "SHARE", (0.2, 0.2))  # while the bowl is in the hand
    recording = record(world, Expert(), 0, 5, 0.0, Expert())
    assert recording.ending is Ending.SUCCESS and recording.led == round(0.2 * SUITE.horizon) and recording.steps < 100
    grip = recording.demo.arrays["actions"][:, 6]
    assert grip[0] == 1.0 and (np.diff(grip) > 0).sum() == 0  # it never had to close again


def test_what_a_learner_finishes_is_not_kept(world, monkeypatch):
    monkeypatch.setattr(leading, "SHARE", (0.79, 0.79))
    recording = record(world, Expert(), 0, 5, 0.0, Expert())
    assert recording.ending is Ending.REJECTED and recording.led == recording.steps < 100 and recording.demo is None


def test_a_tremor_is_bounded_slow_and_only_in_disturbed_episodes():
    still, down = np.zeros(7), np.array([0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0])
    shaking = [Disturbance(seed, 1.0, 280) for seed in range(60)]
    moves = np.array([[each.shaken(step, still) for step in range(280)] for each in shaking])
    spread = moves[..., :6].std(axis=1)
    assert spread[:, :3].mean() == pytest.approx(0.3, abs=0.03) and spread[:, 3:].mean() == pytest.approx(0.075, abs=0.01)
    assert spread[:, :3].mean(axis=1).max() < 0.6 and spread[:, :3].mean(axis=1).min() < 0.15  # an episode's own
    later = np.mean(moves[:, 6:, :3] * moves[:, :-6, :3]) / np.mean(moves[..., :3] ** 2)
    assert later == pytest.approx(np.exp(-1), abs=0.08) and not moves[..., 6].any()
    assert max(np.abs(each.shaken(step, down)).max() for each in shaking for step in range(280)) == 1.0
    assert np.array_equal(Disturbance(3, 0.0, 280).shaken(5, down), down)


def test_a_push_moves_the_arm_by_what_it_says(world):
    moved = []
    for seed in range(6):
        push = Disturbance(seed, 1.0, SUITE.horizon).plan[0]
        before = world.reset(0).eef_pos
        for step in range(push.steps + 4):
            move = push.move if step < push.steps else np.zeros(6)
            _, seen = world.step(np.array([*move, -1.0]), Sight.STATE)
        moved.append(np.linalg.norm(seen.eef_pos - before))
    assert DISTANCE[0] * 0.7 < min(moved) and max(moved) < DISTANCE[1] * 1.3


def test_pushes_are_drawn_for_their_share_of_episodes():
    plans = [Disturbance(seed, 0.3, 280).plan for seed in range(400)]
    assert 0.23 < np.mean([bool(plan) for plan in plans]) < 0.37
    assert 0.1 < np.mean([plan[0].start == 0 for plan in plans if plan]) < 0.4
    assert all(np.abs(push.move).max() <= 1 for plan in plans for push in plan)
    assert all(a.start + a.steps < b.start for plan in plans for a, b in zip(plan, plan[1:], strict=False))
    assert not any(Disturbance(seed, 0.0, 280).plan for seed in range(50))
    one, same = Disturbance(7, 1.0, 280), Disturbance(7, 1.0, 280)
    assert [p.start for p in one.plan] == [p.start for p in same.plan]


def test_libero_s_own_files_read_alike(tmp_path):
    frames = {"demo_10": 9, "demo_2": 5, "demo_0": 12}
    path = public_file(tmp_path / "LIVING_ROOM_SCENE2_put_the_Soup_away_demo.hdf5", frames)
    demos = list(read_demos(path))
    assert [(demo.name, len(demo)) for demo in demos] == [("demo_0", 12), ("demo_2", 5), ("demo_10", 9)]
    assert all(demo.instruction == "put the soup away" for demo in demos)
    assert [demo.chunk_starts(8).tolist() for demo in demos] == [[0, 1, 2, 3, 4], [], [0, 1]]
    assert demos[0].object_pos.shape == (12, 0, 3) and demos[0]["obs/agentview_rgb"].shape == (12, 128, 128, 3)
    redrawn = public_file(tmp_path / "turn_on_the_stove_demo.hdf5", frames, 256, attributes=False)
    assert next(read_demos(redrawn))["obs/eye_in_hand_rgb"].shape == (12, 256, 256, 3)
    assert set(LAYOUT) - set(next(read_demos(redrawn, images=False)).arrays) == set(demo_file.IMAGES)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"gone": ["obs/joint_states"]}, "demo_10 has no obs/joint_states"),
        ({"obs/ee_states": np.zeros((9, 5))}, r"demo_10: obs/ee_states is \(9, 5\), not \(9, 6\)"),
        ({"robot_states": np.zeros((8, 9))}, r"demo_10: robot_states is \(8, 9\), not \(9, 9\)"),
        ({"actions": np.zeros((0, 7))}, r"demo_10: actions is \(0, 7\)"),
        ({"actions": np.zeros(7)}, r"demo_10: actions is \(7,\)"),
        ({"obs/agentview_rgb": np.zeros((9, 128, 96, 3), np.uint8)}, "not square pictures"),
        ({"obs/agentview_rgb": np.zeros((9, 8, 8, 3), np.float32)}, "float32"),
        ({"actions": np.full((9, 7), np.nan)}, "actions are not finite"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path, changed, complaint):
    path = public_file(tmp_path / "x_demo.hdf5", {"demo_10": 9}, **changed)
    with pytest.raises(RecordError, match=complaint):
        list(read_demos(path))


def test_a_damaged_file_is_refused(calm, world, tmp_path):
    path = tmp_path / "x_demo.hdf5"
    write_demos(path, world.about(), [calm.demo])
    whole = path.read_bytes()
    for cut in (0, 1000, len(whole) // 2):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordError, match="x_demo.hdf5"):
            list(read_demos(path))
    with h5py.File(path, "w"):
        pass
    with pytest.raises(RecordError, match="no group `data`"):
        list(read_demos(path))
    with pytest.raises(RecordError, match="not a readable HDF5 file"):
        list(read_demos(tmp_path / "absent_demo.hdf5"))


def test_a_file_that_cannot_be_written_says_so(calm, world, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RecordError, match="cannot write .*x_demo.hdf5"):
        write_demos(tmp_path / "taken" / "x_demo.hdf5", world.about(), [calm.demo])


def attempt(number, ending=Ending.SUCCESS, **more):
    return Attempt("spatial", TASK, number, 1, ending, frames=9, **more)


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_the_attempts_made_do_not_depend_on_the_workers(workers):
    """Whatever order they end in: numbers without a gap, and none more than needed."""
    random = np.random.default_rng(workers)
    fate = [Ending.SUCCESS if random.random() < 0.6 else Ending.FAILURE for _ in range(99)]
    book, flying = TaskBook(SUITE, SUITE.task(TASK), 10), []
    while True:
        while len(flying) < workers and (number := book.next(flying)) is not None:
            flying.append(number)
        if not flying:
            break
        number = flying.pop(random.integers(len(flying)))
        book.attempts[number] = attempt(number, fate[number])
    made = next(n for n in range(99) if fate[: n + 1].count(Ending.SUCCESS) == 10) + 1
    assert book.done and sorted(book.attempts) == list(range(made)) and len(book.kept) == 10


def test_a_task_that_never_succeeds_is_given_up():
    book = TaskBook(SUITE, SUITE.task(TASK), 10)
    while (number := book.next(())) is not None:
        book.attempts[number] = attempt(number, Ending.FAILURE)
    assert book.done and len(book.attempts) == HOPELESS and not book.kept
    assert (book.rate.successes, book.rate.n) == (0, HOPELESS)


def test_only_unfinished_tasks_try_errors_again():
    book = TaskBook(SUITE, SUITE.task(TASK), 2, {0: attempt(0), 1: attempt(1, Ending.ERROR), 2: attempt(2, Ending.REJECTED)})
    assert book.next(()) == 3 and book.rate.n == 1
    book.forget_errors()
    assert book.next(()) == 1 and book.next([1]) is None
    book.attempts |= {1: attempt(1, Ending.ERROR), 3: attempt(3)}
    book.forget_errors()
    assert len(book.attempts) == 4 and book.next(()) is None


def test_the_report_says_what_is_missing_and_never_counts_a_rejected_start(tmp_path, capsys):
    endings = [Ending.SUCCESS, Ending.FAILURE, Ending.REJECTED, Ending.SUCCESS, Ending.ERROR]
    attempts = {n: attempt(n, ending, pushes=n, disturbed=True) for n, ending in enumerate(endings)}
    book = TaskBook(SUITE, SUITE.task(TASK), 4, attempts)
    full = TaskBook(SUITE, SUITE.task(0), 1, {0: attempt(0)})
    report = DemoReport(tmp_path, [full, book], True, None, 10.0, 5, "vla-bench demos")
    assert report.unfinished == [book] and report.exit_code == 130
    row, total = report.rows()[1:]
    assert row[3:] == ["2 of 4", "3", "66.7", "20.8 - 93.9", "9", "9", "9", "2", "1", "1", "1"] and total[3] == "3 of 5"
    found = report.to_dict()
    assert (found["demos"], found["attempts"], found["tasks"][1]["rejected"], found["tasks"][0]["interval"][1]) == (3, 4, 1, 1.0)
    print_report(report)
    printed = capsys.readouterr()
    assert "2 of 4" in printed.out and "resume      vla-bench demos" in printed.err
    print_report(dataclasses.replace(report, interrupted=False))
    assert "given up    spatial 2" in capsys.readouterr().err


def test_a_journal_of_before_trembling_was_recorded_is_read():
    table = json.loads(attempt(3, pushes=2, disturbed=True).to_json())
    assert Attempt.from_json(json.dumps(table)).disturbed
    del table["disturbed"]
    assert Attempt.from_json(json.dumps(table)).disturbed
    assert not Attempt.from_json(json.dumps(table | {"pushes": 0})).disturbed


def test_every_attempt_has_a_seed_of_its_own():
    seeds = {attempt_seed(s, name, t, n) for s in (0, 1) for name in ("goal", "long") for t in range(10) for n in range(50)}
    assert len(seeds) == 2000 and max(seeds) < 2**32


def test_another_configuration_is_refused(tmp_path):
    DemoFolder(tmp_path, {"seed": 0}, "").close()
    held = DemoFolder(tmp_path, {"seed": 0}, "")
    with pytest.raises(RecordError, match="another vla-bench"):
        DemoFolder(tmp_path, {"seed": 0}, "")
    held.close()
    with pytest.raises(NotComparableError, match="seed: 0 there, 1 now"):
        DemoFolder(tmp_path, {"seed": 1}, "")


@pytest.mark.parametrize("wrong", [{"per_task": 0}, {"image_size": 224}, {"disturb": 1.5}, {"seed": -1}, {"suite": "libero"}])
def test_a_wrong_request_is_refused_at_once(tmp_path, wrong):
    with pytest.raises(UsageError):
        make_demos(DemoRequest(**{"suite": "spatial", "out": tmp_path / "out"} | wrong))
    assert not (tmp_path / "out").exists()


def test_a_file_killed_while_it_is_written_never_appears(calm, world, tmp_path):
    """The process dies with the file open; whoever opens the folder next clears away what it left."""
    target = tmp_path / "parts" / "libero_spatial" / "x" / "attempt_0000.hdf5"
    die = (
        "import os, sys, pathlib; from vla_bench.demonstrations.demo_file import _new_file\n"
        "with _new_file(pathlib.Path(sys.argv[1])) as file: file['x'] = range(9); file.flush(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", die, str(target)])
    assert done.returncode == -signal.SIGKILL and not target.exists() and len(list(target.parent.iterdir())) == 1
    DemoFolder(tmp_path, {}, "").close()
    assert not list(target.parent.iterdir())


MAKE = """
import sys
from pathlib import Path
from vla_bench.demonstrations.demos import DemoRequest, make_demos
if __name__ == "__main__":
    request = DemoRequest("spatial", int(sys.argv[2]), Path(sys.argv[1]), "2", disturb=0.5, workers="1", assets="primitive")
    sys.exit(make_demos(request).exit_code)
"""


def strike(script, out, number, lines):
    """Start making demonstrations, send signal `number` once so many attempts are recorded; returns the exit code."""
    process = subprocess.Popen([sys.executable, str(script), str(out), "4"])
    try:
        end = time.monotonic() + 240
        while len(read_attempts(out / "attempts.jsonl")) < lines:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)
        return process.wait(60)
    finally:
        process.kill()


def test_interrupted_and_killed_it_goes_on_where_it_was(world, tmp_path):
    """Ctrl-C finishes what is in flight; SIGKILL loses that and nothing else; what is made is what would have been made."""
    script, out = tmp_path / "make.py", tmp_path / "out"
    script.write_text(MAKE)
    assert strike(script, out, signal.SIGINT, 1) == 130
    recorded = read_attempts(out / "attempts.jsonl")
    parts = sorted((out / "parts").glob("*/*/*"))
    assert 1 <= len(recorded) <= 2 and len(parts) == sum(a.ending is Ending.SUCCESS for a in recorded)
    assert "| 2 |" in (out / "report.md").read_text() and " of 4" in (out / "report.md").read_text()

    assert strike(script, out, signal.SIGKILL, len(recorded) + 1) == -signal.SIGKILL
    before = read_attempts(out / "attempts.jsonl")
    assert all(len(list(read_demos(path))) == 1 for path in sorted((out / "parts").glob("*/*/attempt*")))
    stamps = {path: path.stat().st_mtime_ns for path in sorted((out / "parts").glob("*/*/attempt*"))}
    assert len(stamps) >= sum(a.ending is Ending.SUCCESS for a in before)

    done = subprocess.run([sys.executable, str(script), str(out), "4"], timeout=240)
    attempts = read_attempts(out / "attempts.jsonl")
    assert done.returncode == 0 and attempts[: len(before)] == before
    assert [a.number for a in attempts] == list(range(len(attempts)))
    kept = [a for a in attempts if a.ending is Ending.SUCCESS]
    path = out / "libero_spatial" / f"{SUITE.task(TASK).name}_demo.hdf5"
    demos = list(read_demos(path))
    assert len(demos) == len(kept) == 4 and not (out / "parts").exists()
    assert [demo.attributes["attempt"] for demo in demos] == [a.number for a in kept]
    # Same seed, same demonstration, in another process and uninterrupted.
    last = kept[-1]
    assert last.seed == attempt_seed(0, "spatial", TASK, last.number)
    again = record(world, Expert(), last.number, last.seed, SHARE).demo
    assert all(np.array_equal(again[name], demos[-1][name]) for name in LAYOUT)
    assert np.array_equal(again.segment, demos[-1].segment)

    # Nothing is left to do, and the attempts are in the file; one that is lost is made again.
    assert make_demos(request := DemoRequest("spatial", 4, out, "2", 128, SHARE, "1", "primitive")).ran == 0
    whole = path.read_bytes()
    path.unlink()
    book = TaskBook(SUITE, SUITE.task(TASK), 4)
    folder = DemoFolder(out, json.loads((out / "demos.json").read_text())["config"], "")
    folder.resume([book])
    assert not book.kept and book.next(()) == kept[0].number
    folder.close()
    path.write_bytes(whole)
    report = make_demos(request)
    assert report.to_dict()["demos"] == 4 and report.exit_code == 0 and len(report.rows()) == 1


def test_a_task_s_file_grows(calm, world, tmp_path):
    """More demonstrations of the same task join those that are there, also after a kill between joining and clearing."""
    folder, book = DemoFolder(tmp_path, {}, ""), TaskBook(SUITE, SUITE.task(TASK), 2)
    for number in range(4):
        demo = dataclasses.replace(calm.demo, attributes=calm.demo.attributes | {"attempt": number})
        write_demos(tmp_path / book.part(number), world.about(), [demo])
        if number == 1:
            saved = (tmp_path / book.part(0)).read_bytes()
        folder.add(attempt(number), book)
        if number == 1:
            assert [d.attributes["attempt"] for d in read_demos(tmp_path / book.file)] == [0, 1]
            (tmp_path / book.part(0)).parent.mkdir(parents=True)
            (tmp_path / book.part(0)).write_bytes(saved)
            book.wanted = 4
    assert [d.attributes["attempt"] for d in read_demos(tmp_path / book.file)] == [0, 1, 2, 3]
    with h5py.File(tmp_path / book.file) as file:
        assert file["data"].attrs["num_demos"] == 4 and file["data"].attrs["total"] == 4 * len(calm.demo)
        assert list(file["data"]) == ["demo_0", "demo_1", "demo_2", "demo_3"]
    assert not (tmp_path / "parts").exists()
    (other,) = folder.others([TaskBook(SUITE, SUITE.task(0), 9)])
    assert (other.key, other.wanted) == (("spatial", TASK), 4) and not folder.others([book])
    folder.close()


def test_a_process_that_dies_is_replaced_and_an_error_has_its_cause(primitive, tmp_path):
    """The first process is killed as soon as it has its job; the second finds that there is no such task."""
    jobs = [Job("spatial", 77, 0, 1, tmp_path / "x.hdf5")]
    settings = Settings({"spatial": SUITE}, primitive, choose_gl().environment(), 0.0)
    killed, ended = [], []

    class Struck(Crew):
        def _collect(self, busy):
            if not killed:
                killed.append(busy[0].process.pid)
                os.kill(killed[0], signal.SIGKILL)
            return super()._collect(busy)

    Struck(settings, 2, lambda task: jobs.pop() if jobs else None, ended.append).run()
    assert len(killed) == 1 and [a.ending for a in ended] == [Ending.ERROR]
    assert "SuiteError: suite spatial has no task 77" in ended[0].error and "Traceback" in ended[0].error


def test_processes_stay_with_their_task_and_open_the_longest_next(tmp_path):
    long = load_suite("long")
    books = [TaskBook(SUITE, SUITE.task(0), 2), TaskBook(long, long.task(3), 2), TaskBook(SUITE, SUITE.task(1), 2)]
    assignments = Assignments(books, 0, tmp_path)
    first, second = assignments.next(None), assignments.next(None)
    assert (first.suite, first.task_id, first.number) == ("long", 3, 0) and (second.suite, second.task_id) == ("spatial", 0)
    assert first.path == tmp_path / "parts" / "libero_10" / long.task(3).name / "attempt_0000.hdf5"
    third = assignments.next(("long", 3))
    assert (third.suite, third.number) == ("long", 1) and assignments.next(("long", 3)).task_id == 1
