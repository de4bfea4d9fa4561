"""The OpenGL backend that renders the cameras: a GPU's EGL, else Mesa's EGL, else OSMesa.

MuJoCo reads `MUJOCO_GL` once, when it is imported, so backends are tested in a process of their own, and the
choice is passed to every simulator through the environment.

An EGL device is chosen here, too, and tested with robosuite's own code, because robosuite 1.4.0 has a rule of its own for it: it
reads CUDA_VISIBLE_DEVICES as a list of EGL devices, which it is not (utils/binding_utils.py, renderers/context/egl_context.py).
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from dataclasses import dataclass

from vla_bench.errors import WorldError

APT_PACKAGES = "libegl1 libgl1 libgles2 libgl1-mesa-dri libosmesa6"

SOFTWARE = ("llvmpipe", "softpipe", "swrast")  # Mesa's renderers without a GPU

CUDA, EGL = "CUDA_VISIBLE_DEVICES", "MUJOCO_EGL_DEVICE_ID"

_PROBE = """
import mujoco
from OpenGL import GL
context = mujoco.GLContext(64, 64)
context.make_current()
print("GL_RENDERER=" + GL.glGetString(GL.GL_RENDERER).decode())
context.free()
"""

# robosuite's file alone: the package takes seconds to import.  Its display is made once a process, so it is reset by hand.
_PROBE_EGL = """
import importlib.util, os, sys
from pathlib import Path
from mujoco.egl import egl_ext
from OpenGL import GL
file = Path(importlib.util.find_spec("robosuite").origin).parent / "renderers/context/egl_context.py"
spec = importlib.util.spec_from_file_location("egl_context", file)
robosuite = importlib.util.module_from_spec(spec)
spec.loader.exec_module(robosuite)
devices = len(egl_ext.eglQueryDevicesEXT())
wanted = [int(text) for text in sys.argv[1:]]
print(f"GL_DEVICES={devices}")
for device in wanted or range(devices):
    try:
        os.environ["MUJOCO_EGL_DEVICE_ID"] = str(device)
        robosuite.EGL_DISPLAY = None
        context = robosuite.EGLGLContext(64, 64)
        context.make_current()
    except Exception as error:
        print(f"EGL device {device}: {type(error).__name__}: {error}", file=sys.stderr)
        continue
    print(f"GL_DEVICE={device}")
    print("GL_RENDERER=" + GL.glGetString(GL.GL_RENDERER).decode())
    context.free()
    break
"""


@dataclass(frozen=True)
class GL:
    """A backend that works.

    renderer: the driver's name for itself.
    device, devices: index of the EGL device and their number; None for other backends.
    """

    backend: str
    renderer: str
    device: int | None = None
    devices: int | None = None

    @property
    def drawn_by(self) -> str:
        """cpu or gpu: their images differ in single pixels."""
        software = self.backend == "osmesa" or any(name in self.renderer.lower() for name in SOFTWARE)
        return "cpu" if software else "gpu"

    def environment(self) -> dict[str, str]:
        """Variables that a simulator process must have before it imports mujoco."""
        variables = {"MUJOCO_GL": self.backend, "PYOPENGL_PLATFORM": self.backend}
        if self.device is not None:
            variables[EGL] = str(self.device)
            if variables[EGL] not in (visible := os.environ.get(CUDA, "")) and visible:
                variables[CUDA] = ""  # a simulator needs no CUDA, and robosuite refuses a device that is not listed there
        if "llvmpipe" in self.renderer:
            # One simulator a core: threads of the software renderer would compete with the other simulators.
            variables["LP_NUM_THREADS"] = os.environ.get("LP_NUM_THREADS", "1")
        return variables


def _probe(backend: str) -> GL | str:
    """The backend if it can make a context, else the last line of its error."""
    environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    code = [_PROBE]
    if backend == "egl":
        environment[CUDA] = ""
        code = [_PROBE_EGL, *_wanted_device()]
    try:
        done = subprocess.run([sys.executable, "-c", *code], env=environment, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "no answer within 60 s"
    said = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("GL_"))
    if "GL_RENDERER" in said:
        numbers = [int(said[key]) if key in said else None for key in ("GL_DEVICE", "GL_DEVICES")]
        return GL(backend, said["GL_RENDERER"], *numbers)
    errors = done.stderr.strip().splitlines()
    lines = [line for line in errors if line.startswith("EGL device")] or [line for line in errors if "Error" in line]
    return lines[-1] if lines else f"exit code {done.returncode}"


def _wanted_device() -> list[str]:
    """The EGL device that MUJOCO_EGL_DEVICE_ID asks for, as a list; empty where any will do.  Raises WorldError."""
    wanted = os.environ.get(EGL)
    if not wanted:
        return []
    if not wanted.isdecimal():
        raise WorldError(f"{EGL} is the number of an EGL device, not {wanted!r}", f"unset {EGL}")
    return [wanted]


@functools.cache
def choose_gl() -> GL:
    """The first backend that works; `MUJOCO_GL`, when set, is the only one tried, and `MUJOCO_EGL_DEVICE_ID` the only device.

    Raises WorldError.
    """
    wanted = os.environ.get("MUJOCO_GL")
    tried = {}
    for backend in [wanted] if wanted else ["egl", "osmesa"]:
        result = _probe(backend)
        if isinstance(result, GL):
            return result
        tried[backend] = result
        if backend == "egl" and os.environ.get(EGL):
            what = f"cameras cannot be drawn on the EGL device that {EGL}={os.environ[EGL]} asks for"
            raise WorldError(f"{what}: {result}", f"unset {EGL}")
    reasons = "; ".join(f"{backend}: {why}" for backend, why in tried.items())
    note = " (MUJOCO_GL is set: nothing else was tried)" if wanted else ""
    raise WorldError(f"no OpenGL for the cameras{note}: {reasons}", f"sudo apt-get install -y {APT_PACKAGES}")
