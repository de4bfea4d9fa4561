"""Which EGL device robosuite 1.4.0 takes for its cameras.

That follows a rule of its own, so a context that MuJoCo makes proves nothing.  It reads CUDA_VISIBLE_DEVICES as a list of EGL
devices, which it is not: an EGL device may not even be a GPU.  Source: robosuite 1.4.0, utils/binding_utils.py (at import) and
renderers/context/egl_context.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from vla_bench.errors import WorldError

CUDA, EGL = "CUDA_VISIBLE_DEVICES", "MUJOCO_EGL_DEVICE_ID"
_COUNT = "from mujoco.egl import egl_ext as EGL; print(len(EGL.eglQueryDevicesEXT()))"


def device_count() -> int:
    """EGL devices of this machine.  Raises WorldError."""
    variables = {**os.environ, "MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "egl"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _COUNT], env=variables, capture_output=True, text=True, timeout=60, check=True
        )
    except subprocess.SubprocessError as error:
        raise WorldError("EGL does not list its devices", "export MUJOCO_GL=osmesa") from error
    return int(done.stdout)


def chosen_device(environ: Mapping[str, str], devices: int) -> int:
    """Index of the EGL device that a simulator takes with these variables.  Raises WorldError where it takes none."""
    visible, chosen = environ.get(CUDA), environ.get(EGL)
    if visible and chosen is not None and not (chosen.isdigit() and chosen in visible):
        what = f"{EGL}={chosen} is not among {CUDA}={visible}, which robosuite asks for"
        raise WorldError(what, f"unset {EGL} {CUDA}")
    name, text = (EGL, chosen) if chosen is not None else (CUDA, visible)
    if text is None:
        return 0
    fix = f"unset {name}" if text else f"unset {name}; vla-bench eval --device cpu ..., for a model on the CPU"
    try:
        index = int(text.split(",")[0])
    except ValueError:
        raise WorldError(f"robosuite takes {name}={text!r} for the number of an EGL device", fix) from None
    if not 0 <= index < devices:
        raise WorldError(
            f"robosuite takes {name}={text} for EGL device {index}, and there are {devices}, from 0", f"unset {name}"
        )
    return index


def described(variables: Mapping[str, str]) -> str:
    """The device of a worker that gets these variables in addition, as "device 0 of 2".  Raises WorldError."""
    devices = device_count()
    return f"device {chosen_device({**os.environ, **variables}, devices)} of {devices}"
