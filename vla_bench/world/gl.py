"""The OpenGL backend that renders the cameras: a GPU's EGL, else Mesa's EGL, else OSMesa.

MuJoCo reads `MUJOCO_GL` once, when it is imported, so backends are tested in a process of their own, and the
choice is passed to every simulator through the environment.
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

_PROBE = """
import mujoco
from OpenGL import GL
context = mujoco.GLContext(64, 64)
context.make_current()
print("GL_RENDERER=" + GL.glGetString(GL.GL_RENDERER).decode())
context.free()
"""


@dataclass(frozen=True)
class GL:
    """A backend that works.  renderer: the driver's name for itself."""

    backend: str
    renderer: str

    @property
    def drawn_by(self) -> str:
        """cpu or gpu: their images differ in single pixels."""
        software = self.backend == "osmesa" or any(name in self.renderer.lower() for name in SOFTWARE)
        return "cpu" if software else "gpu"

    def environment(self) -> dict[str, str]:
        """Variables that a simulator process must have before it imports mujoco."""
        variables = {"MUJOCO_GL": self.backend, "PYOPENGL_PLATFORM": self.backend}
        if "llvmpipe" in self.renderer:
            # One simulator a core: threads of the software renderer would compete with the other simulators.
            variables["LP_NUM_THREADS"] = os.environ.get("LP_NUM_THREADS", "1")
        return variables


def _probe(backend: str) -> GL | str:
    """The backend if it can make a context, else the last line of its error."""
    environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE], env=environment, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "no answer within 60 s"
    for line in done.stdout.splitlines():
        if line.startswith("GL_RENDERER="):
            return GL(backend, line.removeprefix("GL_RENDERER="))
    lines = [line for line in done.stderr.strip().splitlines() if "Error" in line]
    return lines[-1] if lines else f"exit code {done.returncode}"


@functools.cache
def choose_gl() -> GL:
    """The first backend that works; `MUJOCO_GL`, when set, is the only one tried.  Raises WorldError."""
    wanted = os.environ.get("MUJOCO_GL")
    tried = {}
    for backend in [wanted] if wanted else ["egl", "osmesa"]:
        result = _probe(backend)
        if isinstance(result, GL):
            return result
        tried[backend] = result
    reasons = "; ".join(f"{backend}: {why}" for backend, why in tried.items())
    note = " (MUJOCO_GL is set: nothing else was tried)" if wanted else ""
    raise WorldError(f"no OpenGL for the cameras{note}: {reasons}", f"sudo apt-get install -y {APT_PACKAGES}")
