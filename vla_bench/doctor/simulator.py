"""Checks of the simulator as a worker runs it: OpenGL, a frame, and what an episode begins with."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from vla_bench import environment
from vla_bench.doctor.case import Case, need
from vla_bench.doctor.check import Check, Seen, fail, ok, skip, warn
from vla_bench.doctor.probe import Frame
from vla_bench.errors import VlaBenchError
from vla_bench.world.libero import REINSTALL

CONTEXTS = {"egl": "EGLGLContext", "osmesa": "OSMesaGLContext", "glfw": "GLFWGLContext", "glx": "GLFWGLContext"}
MACROS = {"SIMULATION_TIMESTEP": 0.002, "IMAGE_CONVENTION": "opengl", "USING_INSTANCE_RANDOMIZATION": False}  # of robosuite 1.4.0
COLLISION, VISUAL = 0, 1  # robosuite's groups of geoms
CONTRAST = 5.0  # least standard deviation of an image, of 255
APART = 0.25  # of the image's width; upside down, the hand is more than half of it away in the main view
NO_FRAME = "no frame was drawn"
ONE_EPISODE = "vla-bench eval --model noop --suite object --tasks 0 --trials 1 --out results/one; less results/one/errors.log"
AGAIN = "pip install -c constraints.txt --force-reinstall --no-deps robosuite mujoco"
OTHERWISE = "MUJOCO_GL=osmesa vla-bench doctor"


def _opengl(case: Case) -> Seen:
    gl = need(case.gl)
    forced = ", the only backend tried: MUJOCO_GL is set" if os.environ.get("MUJOCO_GL") else ""
    return ok(f"{gl.backend}, {gl.renderer}{forced}")


def _renderer(case: Case) -> Seen:
    if isinstance(case.gl, VlaBenchError):
        return skip("no OpenGL")
    gpu = environment.gpu_name()
    if gpu is None or case.gl.drawn_by == "gpu":
        return ok(f"images are drawn by the {case.gl.drawn_by}; compare runs that were drawn so")
    what = f"images are drawn by the CPU ({case.gl.renderer}), although there is an {gpu}"
    return warn(
        f"{what}: runs drawn by a GPU are not comparable",
        "docker run -e NVIDIA_DRIVER_CAPABILITIES=all ..., or install your driver's EGL",
    )


def _egl_device(case: Case) -> Seen:
    if (drawn := _frame(case)) is None:
        return skip(NO_FRAME)
    gl = need(case.gl)
    if gl.device is None:
        return skip("cameras are not drawn through EGL")
    device = f"EGL device {gl.device} of {gl.devices}"
    if drawn.renderer != gl.renderer:
        return fail(f"workers draw on {drawn.renderer}, not on {device}, {gl.renderer}, which was tested", OTHERWISE)
    return ok(f"workers draw on {device}, {drawn.renderer}")


def _worker(case: Case) -> Seen:
    for cause in (case.suites, case.pack, case.gl):
        if isinstance(cause, VlaBenchError):
            return skip(f"not started: {cause.message}")
    if isinstance(case.frame, VlaBenchError):
        return fail(case.frame.message, case.frame.fix or ONE_EPISODE)
    return ok(f"a frame of {', '.join(case.frame.images)} in {case.frame.context}")


def _frame(case: Case) -> Frame | None:
    return None if isinstance(case.frame, VlaBenchError) else case.frame


def _process(case: Case) -> Seen:
    if (frame := _frame(case)) is None:
        return skip(NO_FRAME)
    backend = need(case.gl).backend
    if not frame.fresh:
        what = "workers begin with MuJoCo imported: its context was made before a fork, and MUJOCO_GL comes too late"
        return fail(what, 'python -X importtime -c "" 2>&1 | grep mujoco, which shows what imports it')
    if frame.context != CONTEXTS.get(backend, frame.context):
        return fail(f"workers draw in {frame.context}, although {backend} was chosen", "unset MUJOCO_GL PYOPENGL_PLATFORM")
    return ok(f"workers are spawned, and import MuJoCo after MUJOCO_GL={backend} is set")


def private_macros() -> Path:
    """The file of a user's own macros, which robosuite takes before its own."""
    spec = importlib.util.find_spec("robosuite")
    return Path(spec.origin).with_name("macros_private.py")


def _macros(case: Case) -> Seen:
    if (frame := _frame(case)) is None:
        return skip(NO_FRAME)
    wrong = {name: frame.macros.get(name) for name, value in MACROS.items() if frame.macros.get(name) != value}
    if wrong:
        what = ", ".join(f"{name} is {value!r}, not {MACROS[name]!r}" for name, value in wrong.items())
        return fail(f"robosuite's macros: {what}", f"mv {private_macros()} {private_macros()}.old")
    return ok("robosuite's macros are its own")


def _images(case: Case) -> Seen:
    if (frame := _frame(case)) is None:
        return skip(NO_FRAME)
    contrast = {name: float(image.std()) for name, image in frame.images.items()}
    if flat := [name for name, value in contrast.items() if value < CONTRAST]:
        return fail(f"the image of {flat[0]} is of one colour", OTHERWISE)
    return ok(", ".join(f"{name} with contrast {value:.0f}" for name, value in contrast.items()))


def _upright(case: Case) -> Seen:
    if (frame := _frame(case)) is None:
        return skip(NO_FRAME)
    for name, hand in frame.hands.items():
        if hand.at is None:
            continue  # said by the next check
        size = frame.images[name].shape[0]
        if max(abs(one - two) for one, two in zip(hand.at, hand.expected, strict=True)) > APART * size:
            seen, meant = (f"({x:.0f}, {y:.0f})" for x, y in (hand.at, hand.expected))
            return fail(f"{name} shows the gripper at {seen}, not at {meant}: it is turned", OTHERWISE)
    return ok("all cameras, the wrist's too, are upside down as OpenGL stores them; models turn them by 180 degrees")


def _hiding(case: Case) -> Seen:
    if (frame := _frame(case)) is None:
        return skip(NO_FRAME)
    if frame.groups[COLLISION] or not frame.groups[VISUAL]:
        return fail("collision geometry is drawn", AGAIN)
    wrong = [name for name, hand in frame.hands.items() if not hand.pixels or not hand.restored]
    if wrong:
        return fail(f"{wrong[0]} still draws a transparent gripper, or none afterwards", OTHERWISE)
    return ok("collision geometry and transparent bodies are not drawn")


def _start(case: Case) -> Seen:
    if (frame := _frame(case)) is None:
        return skip(NO_FRAME)
    if not frame.begins_at_its_state or not frame.same_again:
        how = "otherwise after another one" if frame.begins_at_its_state else "at another init state than that of its number"
        return fail(f"an episode begins {how}", f"{REINSTALL} && {AGAIN}")
    return ok("an episode depends on the number of its init state alone, not on the resets before")


CHECKS = (
    Check("OpenGL", "`no OpenGL for the cameras`, exit code 6", _opengl),
    Check(
        "simulator worker",
        "every episode ends in an error: LIBERO cannot be imported, asks a question, or has no context",
        _worker,
    ),
    Check("EGL device", "images of another device than the tested one: runs are not comparable", _egl_device),
    Check("renderer", "`... ran in another world than ...`: images of CPU and GPU differ", _renderer),
    Check("worker process", "crashes or black images: an OpenGL context from before a fork, or MUJOCO_GL set too late", _process),
    Check("robosuite macros", "other physics or images after `setup_macros.py`", _macros),
    Check("camera images", "black images; success near 0", _images),
    Check("image rotation", "success near 0 for every model: images of the scene or the wrist are turned", _upright),
    Check("hidden geometry", "images unlike those of the training: collision shapes cover the objects", _hiding),
    Check("init states by number", "other rates when episodes run in another order", _start),
)
