"""Which way up a file's images are stored.

LIBERO's are upside down, as OpenGL renders them; the attribute `macros_image_convention` says so.  Files that others converted
have them upright, mostly without a word about it.  The robot's own movement tells: LIBERO's fixed camera faces the robot, so
upright images show it in the upper half, moving to the right when the hand goes along +y, and up when the hand rises or
draws back.  The wrist camera always sees the gripper at the lower edge: what moves in its image when the fingers move and the
hand does not, and what else is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_bench.demonstrations.layout import IMAGES
from vla_bench.errors import RecordError
from vla_bench.values import ImageOrder

SAMPLED = 64  # frames of a demonstration that are looked at
FEWEST = 12  # of them with movement, to tell anything
CHANGE = 20  # of 255, from which on a pixel changed
CLEAR = 0.5  # correlation
STILL = 0.6  # the still edge of the wrist image changes at most so much as the opposite edge
FINGERS = 0.003  # m in a step, from which on the fingers move
HAND = 0.006  # m in a step, up to which the hand hardly moves
NEAR = 0.35  # of the wrist image's height: where its changes by the fingers are centred, if the gripper is at that edge
ATTRIBUTE = "macros_image_convention"


def as_rendered(images: np.ndarray, order: ImageOrder) -> np.ndarray:
    """Images (T, S, S, 3) stored in `order` -> upside down, as OpenGL renders them and LIBERO stores them.  A view."""
    if order is ImageOrder.OPENCV:
        return images[:, ::-1]
    return images[:, ::-1, ::-1] if order is ImageOrder.ROTATED else images


def declared(attribute: object) -> ImageOrder:
    """What `macros_image_convention` says; OPENGL, LIBERO's, where it says nothing."""
    text = attribute.decode(errors="replace") if isinstance(attribute, bytes) else attribute
    return ImageOrder.OPENCV if text == ImageOrder.OPENCV else ImageOrder.OPENGL


@dataclass(frozen=True)
class Signs:
    """What moves in the images of one demonstration; each 0 where it is unclear.

    right: where the arm moves in the fixed camera's image when the hand goes along +y, 1 to the right, -1 to the left.
    down: where it moves there when the hand rises or draws back, 1 down, -1 up.
    wrist: at which edge of the wrist camera's image the gripper is, 1 the upper one, -1 the lower one; 0 also where what moves
        with the fingers and what is still contradict each other, as in rollouts that begin with a plate in the hand.
    """

    right: int
    down: int
    wrist: int


def signs(agentview: np.ndarray, wrist: np.ndarray, ee_pos: np.ndarray, gripper_states: np.ndarray) -> Signs:
    """agentview, wrist: (T, S, S, 3) uint8.  ee_pos: (T, 3) m.  gripper_states: (T, 2) m."""
    rows = np.unique(np.linspace(0, len(ee_pos) - 1, SAMPLED).astype(int))
    right, down = _agentview(_grey(agentview[rows]), np.asarray(ee_pos[rows], np.float64))
    edge = _moving_fingers(wrist, ee_pos, gripper_states) + _still_edge(_grey(wrist[rows]))
    return Signs(right, down, int(np.sign(edge)))


def order_by(found: Sequence[Signs], where: str) -> ImageOrder | None:
    """How the images of demonstrations with these signs are stored, by their majority; None where they do not tell.

    The wrist camera counts where half of the demonstrations agree on it: an object that is held long, as a plate pushed over
    the table, is as still in its image as the gripper.
    Raises RecordError where the two cameras' images contradict each other or are mirrored.
    """
    right, down, wrist = (sum(getattr(each, name) for each in found) for name in ("right", "down", "wrist"))
    if 2 * abs(wrist) < len(found):
        wrist = 0
    fix = "vla-bench train --images opengl, opencv or rotated, whichever they are"
    if down * wrist < 0:
        upright, other = IMAGES if down < 0 else IMAGES[::-1]
        raise RecordError(f"{where}: {upright} is upright and {other} upside down; LIBERO's are both upside down", fix)
    turned = int(np.sign(right)), int(np.sign(down or wrist))
    if turned == (-1, 1):
        raise RecordError(f"{where}: {IMAGES[0]} is mirrored: neither as LIBERO renders it nor turned by 180 degrees", fix)
    return {(1, 1): ImageOrder.OPENGL, (1, -1): ImageOrder.OPENCV, (-1, -1): ImageOrder.ROTATED}.get(turned)


def _grey(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=-1, dtype=np.float32)


def _agentview(images: np.ndarray, ee_pos: np.ndarray) -> tuple[int, int]:
    """Where the arm moves in the image when the hand goes along +y: 1 right, -1 left; when it rises or draws back: 1 down, -1 up;
    each 0 where it is unclear."""
    changed = np.abs(images[1:] - images[:-1])
    changed[changed < CHANGE] = 0
    total = changed.sum(axis=(1, 2))
    moving = total > 0
    if moving.sum() < FEWEST:
        return 0, 0
    size, changed, total = images.shape[1], changed[moving], total[moving]
    middle = ((ee_pos[1:] + ee_pos[:-1]) / 2)[moving]
    place = (np.arange(size) + 0.5) / size
    column, row = (changed.sum(axis=1) @ place) / total, (changed.sum(axis=2) @ place) / total
    x, y, z = middle.T
    right = _related(column, y, middle[:, [0, 2]])
    down = _related(row, z - x, y[:, None])
    lower_half = float((row * total).sum() / total.sum()) > 0.5
    return _sign(right), _sign(down) if (down > 0) == lower_half else 0


def _moving_fingers(wrist: np.ndarray, ee_pos: np.ndarray, gripper_states: np.ndarray) -> int:
    """Which half of the wrist camera's image moves when the fingers do: 1 the upper one, -1 the lower one, 0 unclear."""
    width = np.abs(gripper_states[:, 0] - gripper_states[:, 1])
    hand = np.linalg.norm(np.diff(ee_pos, axis=0), axis=1)
    steps = np.flatnonzero((np.abs(np.diff(width)) > FINGERS) & (hand < HAND))
    changed = np.abs(_grey(wrist[steps + 1]) - _grey(wrist[steps]))
    rows = np.where(changed < CHANGE, 0, changed).sum(axis=(0, 2))
    if not rows.any():
        return 0
    centre = float(rows @ (np.arange(len(rows)) + 0.5)) / (len(rows) * float(rows.sum()))
    return 1 if centre < NEAR else -1 if centre > 1 - NEAR else 0


def _still_edge(images: np.ndarray) -> int:
    """Which edge of the wrist camera's image is still, as the gripper's is: 1 the upper one, -1 the lower one, 0 unclear."""
    spread, band = images.std(axis=0), images.shape[1] // 6
    upper, lower = (float(np.median(part)) + 1 for part in (spread[:band], spread[-band:]))
    if upper < STILL * lower:
        return 1
    return -1 if lower < STILL * upper else 0


def _related(values: np.ndarray, cause: np.ndarray, others: np.ndarray) -> float:
    """Partial correlation of values (N,) and a cause (N,), the linear effect of others (N, k) taken out of both."""
    base = np.column_stack([others, np.ones(len(values))])
    a, b = (column - base @ np.linalg.lstsq(base, column, rcond=None)[0] for column in (values, cause))
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 1e-9 else 0.0


def _sign(correlation: float) -> int:
    return 0 if abs(correlation) < CLEAR else int(np.sign(correlation))
