"""Frames of policy servers and of their clients, taken as both sides take them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from vla_bench.documents import read_bytes
from vla_bench.errors import VlaBenchError, WireError
from vla_bench.policies.remote.actions import read_actions
from vla_bench.policies.remote.said import said
from vla_bench.policies.remote.terms import read_hello
from vla_bench.records import EpisodeKey
from vla_bench.serve.observations import Sent, observation
from vla_bench.suites import load_suite
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.frames import FRAME, encode
from vla_bench.wires.own import ABOUT, PATH, STEP, About, read_about
from vla_bench.wires.vla_eval import Message, MessageType

EPISODE, CAMERAS = EpisodeKey("object", 0, 0), load_suite("object").cameras
PARAMS = {"send_state": True, "send_wrist_image": True, "quat_no_antipodal": True, "env_seed": 0}
SPECS = {
    "action_spec": {"gripper": {"name": "gripper", "dims": 1, "format": "binary_close_positive", "range": [-1, 1]}},
    "observation_spec": {"state": {"name": "state", "dims": 8, "format": "raw", "accepts": ["raw"]}},
}


def picture(form: str) -> dict[str, object]:
    """As vla-eval sends one."""
    pixels, file = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8), io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return {"__image__": True, "format": form, "data": file.getvalue(), "shape": [16, 16, 3]}


def make_frames(folder: Path) -> None:
    actions = np.random.default_rng(1).uniform(-1, 1, (8, 7)).astype(np.float32)
    raw = np.zeros((16, 16, 3), np.uint8)
    images = {"agentview": picture("png"), "wrist": picture("jpeg")}
    seen = {"images": images, "task_description": "push", "states": [0.0] * 8, STEP: 8, PATH: np.zeros((8, 3))}
    about = About("0.2.0", "nano", "unknown", {"pruner": "none"}, 128, 8, 128).to_dict()
    hello = vla_eval.hello("0.8.0", model_server="Test", capabilities={}, observation_params=PARAMS, **SPECS)
    frames = {
        "vla-eval-hello": vla_eval.pack(Message(MessageType.HELLO, hello, 1)),
        "vla-eval-action": vla_eval.pack(Message(MessageType.ACTION, {"actions": actions}, 2)),
        "vla-eval-observation": encode({"type": "observation", "payload": seen, "seq": 2, "timestamp": 1.5}),
        "openpi-metadata": openpi.pack({"reset_pose": [0.0, 1.0], "statistics": {"mean": actions[0]}, ABOUT: about}),
        "openpi-observation": openpi.pack(
            {openpi.IMAGE: raw, openpi.WRIST: raw, openpi.STATE: np.zeros(8), openpi.PROMPT: "push"}
        ),
        "openpi-actions": openpi.pack({"actions": actions, "server_timing": {"infer_ms": 12.5}}),
    }
    for name, frame in frames.items():
        (folder / f"{name}.msgpack").write_bytes(frame)


def read_frames(folder: Path) -> object:
    """Every frame is read by all that reads any; the first refusal is raised at the end."""
    found, refused = [], None
    for path in sorted(folder.glob("*.msgpack")):
        try:
            found.append(_taken(path))
        except VlaBenchError as error:
            refused = refused or error
    if refused:
        raise refused
    return found


def _served(content: dict[str, object]) -> object:
    """As `vla-bench serve` takes an observation of either wire."""
    images = content.get(vla_eval.IMAGES)
    if isinstance(images, dict):
        sent = Sent(content.get(vla_eval.TASK), images, content.get(vla_eval.STATES), content.get(STEP), content.get(PATH))
    else:
        pictures = {name: content.get(name) for name in (openpi.IMAGE, openpi.WRIST)}
        sent = Sent(content.get(openpi.PROMPT), pictures, content.get(openpi.STATE))
    return observation(sent, EPISODE, 0, cameras=CAMERAS, size=128, needs_state=True).images.keys()


def _taken(path: Path) -> object:
    try:
        frame = read_bytes(path, FRAME + 1)
    except OSError as error:
        raise WireError(str(error)) from None
    if path.name.startswith("openpi"):
        content = openpi.unpack(frame)
        openpi.is_observation(content)
    else:
        content = vla_eval.unpack(frame).payload
    if path.stem in ("vla-eval-hello", "openpi-metadata"):
        said(content)
        read_about(content)
    if path.stem.endswith("-observation"):
        return _served(content)
    if path.stem == "vla-eval-hello":
        return read_hello(content, [load_suite("object")])
    return read_actions(content).shape if "actions" in content else sorted(content)
