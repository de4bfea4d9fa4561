"""Attributes of LIBERO's demonstration files that describe task and model, without paths of this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from vla_bench.suites import Suite, Task
from vla_bench.world.libero import bddl_file


def task_attributes(env, suite: Suite, task: Task) -> dict[str, str]:
    """The attributes of the group `data`, without its counts; JSON where LIBERO has JSON."""
    path = f"{suite.libero_name}/{task.name}.bddl"  # relative to LIBERO's folder of BDDL files
    name, problem = type(env).__name__, env.parsed_problem["problem_name"]
    info = {"problem_name": problem, "domain_name": "robosuite", "language_instruction": task.language}
    cameras = {"camera_names": suite.cameras, "camera_heights": suite.image_size, "camera_widths": suite.image_size}
    robot = {"robots": ["Panda"], "controller": "OSC_POSE", "control_freq": suite.control_hz}
    return {
        "env_name": name,
        "problem_info": json.dumps(info),
        "macros_image_convention": "opengl",
        "bddl_file_name": path,
        "bddl_file_content": bddl_file(suite, task).read_text(),
        "env_args": json.dumps(
            {"type": 1, "env_name": name, "problem_name": problem, "bddl_file": path, "env_kwargs": robot | cameras}
        ),
    }


def portable_xml(env, assets: Path) -> str:
    """The loaded MJCF model, with `assets/...` and `robosuite/...` in place of absolute paths."""
    import robosuite

    package = Path(robosuite.__file__).parent
    return env.sim.model.get_xml().replace(f"{assets}/", "assets/").replace(f"{package}/", "robosuite/")


def with_poses(xml: str, poses: Mapping[str, np.ndarray]) -> str:
    """An MJCF model whose bodies of these names stand at these poses (7,): position in m, quaternion wxyz."""
    if not poses:
        return xml
    root = ElementTree.fromstring(xml)
    for body in root.iter("body"):
        if (pose := poses.get(body.get("name", ""))) is not None:
            body.set("pos", " ".join(map(repr, pose[:3].tolist())))
            body.set("quat", " ".join(map(repr, pose[3:].tolist())))
    return ElementTree.tostring(root, encoding="unicode")
