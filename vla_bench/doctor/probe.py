"""One frame of a real simulator, made in a worker process as in an evaluation: the same pool, worker, environment and world."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial

import numpy as np

from vla_bench.errors import WorldError
from vla_bench.records import EpisodeKey
from vla_bench.rollout.pool import Event, Finished, WorkerPool
from vla_bench.rollout.schedule import Schedule
from vla_bench.rollout.worker import ErrorReport, RequestActions, Simulators
from vla_bench.suites import Suite
from vla_bench.world.assets import AssetPack
from vla_bench.world.env import World
from vla_bench.world.gl import GL
from vla_bench.world.observation import Sight
from vla_bench.world.protocol import make_simulator

HANG_S = 120.0
OTHER = 7  # an init state other than the first
HAND = "gripper0"  # prefix of robosuite's bodies of the gripper
SEEN = 20  # least change of a pixel, of 3 x 255, that counts


@dataclass(frozen=True)
class HiddenHand:
    """A camera's image with and without the gripper, which is made transparent.

    pixels: number that changed.  at, expected: their mean (column, row) in the upright image, and where the camera's
        projection puts the gripper; None where nothing changed.
    restored: whether the gripper is drawn again as before.
    """

    pixels: int
    at: tuple[float, float] | None
    expected: tuple[float, float]
    restored: bool


@dataclass(frozen=True)
class Frame:
    """What a worker saw.

    fresh: whether MuJoCo was not yet imported when the worker got its environment.
    context: class of robosuite's OpenGL context.  renderer: the driver's name for itself in that context.
    images: camera name -> (H, W, 3) uint8.
    macros: robosuite's settings.
    groups: whether geoms of each group are drawn.
    begins_at_its_state, same_again: an episode begins at its own init state, and in the same way after another one.
    """

    fresh: bool
    context: str
    renderer: str
    images: dict[str, np.ndarray]
    hands: dict[str, HiddenHand]
    macros: dict[str, object]
    groups: tuple[bool, ...]
    begins_at_its_state: bool
    same_again: bool


def frame(suite: Suite, assets: AssetPack, gl: GL) -> Frame:
    """The frame of the suite's first task.  Raises WorldError with the worker's error."""
    key = EpisodeKey(suite.name, 0, 0)
    events: list[Event] = []
    pool = WorkerPool(
        Simulators({suite.name: suite}, partial(make, assets=assets), gl.environment()),
        Looker(),
        workers=1,
        on_event=events.append,
        hang_s=HANG_S,
    )
    pool.run(Schedule([key], {suite.name: suite.horizon}))
    result = next((event.result for event in events if isinstance(event, Finished)), None)
    if isinstance(result, Frame):
        return result
    what = f"{result.type}: {result.message}" if isinstance(result, ErrorReport) else "it was interrupted"
    raise WorldError(f"a simulator worker drew no frame: {what}")


fresh_process = True  # whether this process had not imported MuJoCo when it made its simulator


def make(suite: Suite, assets: AssetPack) -> World:
    """`make_simulator`, after a look at what the process has imported."""
    global fresh_process
    fresh_process = "mujoco" not in sys.modules
    return make_simulator(suite, assets)


def context_of(world: World):
    """robosuite's MjRenderContext of a world, made current."""
    context = world.sim._render_context_offscreen
    context.gl_ctx.make_current()
    return context


class Looker:
    """The runner of the probe."""

    def run(self, simulator: World, job: EpisodeKey, request_actions: RequestActions) -> Frame:
        import robosuite.macros
        from OpenGL import GL as gl

        from vla_bench.world.init_states import read_init_states
        from vla_bench.world.libero import init_states_file

        suite, task = simulator.suite, simulator.suite.task(job.task_id)
        simulator.start(task)
        first = simulator.reset(job.init_state, Sight.IMAGES)
        began = simulator.state_hash
        simulator.reset(OTHER)
        simulator.reset(job.init_state)
        context = context_of(simulator)
        renderer = gl.glGetString(gl.GL_RENDERER).decode()
        hands = _hide_hand(simulator)
        again = simulator.state_hash
        states = read_init_states(init_states_file(suite, task))
        simulator.place(states[OTHER])
        return Frame(
            fresh=fresh_process,
            context=type(context.gl_ctx).__name__,
            renderer=renderer,
            images=first.images,
            hands=hands,
            macros={name: value for name, value in vars(robosuite.macros).items() if name.isupper()},
            groups=tuple(bool(shown) for shown in context.vopt.geomgroup),
            begins_at_its_state=bool(np.array_equal(simulator.state, states[OTHER])),
            same_again=began == again,
        )


def _hide_hand(world: World) -> dict[str, HiddenHand]:
    """Of each camera; the scene is as before afterwards."""
    model, data = world.sim.model._model, world.sim.data._data
    hand = [i for i in range(model.ngeom) if model.body(model.geom_bodyid[i]).name.startswith(HAND)]
    before, colours = world.render(), model.geom_rgba[hand]
    model.geom_rgba[hand, 3] = 0
    without = world.render()
    model.geom_rgba[hand] = colours
    restored = world.render()
    found = {}
    for name, image in before.items():
        changed = np.abs(image.astype(int) - without[name]).sum(axis=-1) > SEEN
        rows, columns = np.nonzero(changed[::-1])  # upright
        found[name] = HiddenHand(
            pixels=int(changed.sum()),
            at=(float(columns.mean()), float(rows.mean())) if len(rows) else None,
            expected=_projected(model, data, name, data.geom_xpos[hand], image.shape[0]),
            restored=bool(np.array_equal(image, restored[name])),
        )
    return found


def _projected(model, data, camera: str, points: np.ndarray, size: int) -> tuple[float, float]:
    """Mean (column, row) of points (n, 3) in a camera's upright image; those outside count at its edge."""
    index = model.camera(camera).id
    seen = (points - data.cam_xpos[index]) @ data.cam_xmat[index].reshape(3, 3)  # right, up, backwards
    focal = size / 2 / np.tan(np.deg2rad(model.cam_fovy[index]) / 2)
    columns, rows = size / 2 - focal * seen[:, 0] / seen[:, 2], size / 2 + focal * seen[:, 1] / seen[:, 2]
    edge = size - 1
    return float(np.clip(columns, 0, edge).mean()), float(np.clip(rows, 0, edge).mean())
