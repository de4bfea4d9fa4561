"""A thin wrapper of LIBERO: start a task, reset to an official init state, step, and render only when a policy is queried."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io

import numpy as np

from vla_bench.errors import WorldError
from vla_bench.records import EpisodeKey
from vla_bench.suites import Suite, Task
from vla_bench.values import Fixtures
from vla_bench.world import changed
from vla_bench.world.assets import AssetPack
from vla_bench.world.description import portable_xml, task_attributes, with_poses
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import REINSTALL, bddl_file, import_libero, init_states_file, use_assets
from vla_bench.world.observation import Observation, Sight
from vla_bench.world.scene import SceneReader
from vla_bench.world.starts import Start, StartSampler

DUMMY_ACTION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])  # arm still, gripper open

SUBSTEPS = 25  # physics steps of 2 ms per control step, as robosuite's macros fix them
# robosuite samples its observables on a clock that starts at the forced updates of `reset` and `set_init_state`:
# in LIBERO's protocol every observation is taken after the 24th of the 25 physics steps.
SAMPLED_SUBSTEP = 23


class World:
    """A LIBERO simulator for one suite.

    Physics and observations are bit for bit those of LIBERO's own `OffScreenRenderEnv` in the reference's loop, which calls
    `seed(env_seed)` once per task and `reset(); set_init_state(states[k])` before episode k.  Each reset places the fixtures
    anew.  Two things differ from running that loop: cameras are rendered only on request, and an episode depends on its number
    alone, not on the resets before it in this process.  With `fixtures = "frozen"` every episode has those of the first reset.

    Args:
        suite: the protocol; its `env_seed` and `fixtures` place the fixtures.
        assets: the asset pack.
    """

    def __init__(self, suite: Suite, assets: AssetPack):
        self.suite = suite
        self.assets = assets
        self.image_size = suite.image_size  # pixels a side of camera images; may be changed at any time
        self.task: Task | None = None
        self._env = None
        import_libero()
        changed.register()
        if assets.embedded:
            from vla_bench.world.primitives.robot import register

            register()

    def start(self, task: Task) -> None:
        """Build the simulator of `task`, unless it is the loaded one.  Raises WorldError."""
        if task == self.task:
            return
        self.close()
        self._states = read_init_states(init_states_file(self.suite, task))
        use_assets(self.assets.root)
        from libero.libero.envs.env_wrapper import ControlEnv

        from vla_bench.world.fixtures import FixtureBodies
        from vla_bench.world.resets import ResetSampler, integration_state
        from vla_bench.world.steady import CachedController

        try:
            with contextlib.redirect_stdout(io.StringIO()):  # robosuite prints while it builds
                wrapper = ControlEnv(
                    bddl_file_name=str(bddl_file(self.suite, task)),
                    robots=["LowPolyPanda" if self.assets.embedded else "Panda"],
                    use_camera_obs=False,
                    has_offscreen_renderer=False,  # until the reset below, which builds the model again
                    control_freq=self.suite.control_hz,
                )
                wrapper.env.has_offscreen_renderer = True
                if self.assets.embedded:
                    from vla_bench.world.primitives.quality import draw_coarsely

                    wrapper.env.set_xml_processor(draw_coarsely)
                joint_samplers = list(wrapper.env.object_property_initializers)
                wrapper.seed(self.suite.env_seed)
                _reset(wrapper.env)
        except (ValueError, OSError, RuntimeError, AssertionError) as error:
            raise WorldError(f"task {self.suite.name}/{task.id} does not start on pack {self.assets.name}: {error}") from error
        self._env = wrapper.env
        # Also at interpreter exit, before robosuite's own hook: an OpenGL context that is freed later raises errors.
        self._wrapper = wrapper
        atexit.register(self._free)
        self._scene = SceneReader(self._env)
        self._arm = CachedController(self._env.sim, self._env.robots[0])
        self._xml = portable_xml(self._env, self.assets.root)  # now, since MuJoCo writes the model that was built last
        # A reset rebuilds the model, which takes seconds.  Those after the first are replayed instead.
        self._fixtures = FixtureBodies(self._env)
        self._reset_sampler = ResetSampler(self._env, self._fixtures, joint_samplers)
        self._resets = self._reset_sampler.resets(self.suite.env_seed)
        self._start_sampler = StartSampler(self._reset_sampler, self._states, self._resets if self._fixtures_move else None)
        first = integration_state(self._model, self._data)
        self._replay(0)
        if not np.array_equal(self._after_reset, first):
            self.close()
            raise WorldError(f"LIBERO's reset of {task.name} is not the one of hf-libero 0.1.4 and robosuite 1.4.0", REINSTALL)
        self.task = task

    @property
    def _fixtures_move(self) -> bool:
        return self.suite.fixtures is Fixtures.REFERENCE

    def _replay(self, number: int) -> None:
        """Fixtures, and the state that every episode starts from, as after reset `number`."""
        self._after_reset = self._reset_sampler.replay(self._resets[number])
        self._replayed: int | None = number

    def reset(self, init_state: int, sight: Sight = Sight.STATE, repeat: int = 0) -> Observation | None:
        """Begin at official init state `init_state`: settling steps, then the first observation.  Raises WorldError."""
        if self.task is None:
            raise WorldError("no task was started")
        if not 0 <= init_state < len(self._states):
            raise WorldError(f"no init state {init_state}: {self.task.name} has 0 to {len(self._states) - 1}")
        episode = repeat * self.suite.init_states + init_state if self._fixtures_move else 0
        if episode != self._replayed:
            self._replay(episode)
        return self._begin(EpisodeKey(self.suite.name, self.task.id, init_state, repeat), self._states[init_state], sight)

    def begin(self, key: EpisodeKey, start: Start, sight: Sight = Sight.STATE) -> Observation | None:
        """As `reset`, from any start; observations carry `key`.  Raises WorldError."""
        if self._replayed != 0:
            self._replay(0)
        if start.fixtures:
            self._fixtures.place(start.fixtures)
            self._replayed = None
        return self._begin(key, start.state, sight)

    def _begin(self, key: EpisodeKey, state: np.ndarray, sight: Sight) -> Observation | None:
        self.key = key
        self.place(state)
        self.steps = -self.suite.settle_steps  # settling steps do not count
        for _ in range(self.suite.settle_steps - 1):
            self.step(DUMMY_ACTION)
        return self.step(DUMMY_ACTION, sight)[1]

    def sample(self, seed: int) -> Start:
        """A start sampled as by LIBERO's reset after `seed(seed)`, never an official one.  Raises WorldError."""
        if self.task is None:
            raise WorldError("no task was started")
        return self._start_sampler.draw(seed)

    def is_sound(self, state: np.ndarray) -> bool:
        """Whether the episode that just began in `state` is valid: nothing fell, and the goal does not hold yet."""
        return not self.fallen(state) and not self.goal_holds

    def fallen(self, state: np.ndarray) -> list[str]:
        """The objects that fell or tipped over in the settling steps of the episode that just began in `state`."""
        return self._start_sampler.fallen(state, self.state)

    @property
    def goal_holds(self) -> bool:
        return bool(self._env._check_success())

    def place(self, state: np.ndarray) -> None:
        """Set a flattened MuJoCo state (time, qpos, qvel), everything else as at the beginning of the episode.

        Raises WorldError.
        """
        import mujoco

        env = self._env
        if state.shape != (1 + env.sim.model.nq + env.sim.model.nv,):
            raise WorldError(
                f"a state of {state.size} numbers does not fit the model of {self.task.name} on pack {self.assets.name}"
            )
        mujoco.mj_setState(self._model, self._data, self._after_reset, mujoco.mjtState.mjSTATE_INTEGRATION)
        for robot in env.robots:
            # Makes a new controller, whose first reading is the arm's present pose and velocity.
            robot.reset(deterministic=True)
            robot.gripper.current_action = np.zeros(robot.gripper.dof)
        self._arm.take_over()
        # Making the controller ran the solver, which changed the warm start.
        mujoco.mj_setState(self._model, self._data, self._after_reset, mujoco.mjtState.mjSTATE_INTEGRATION)
        env.sim.set_state_from_flattened(state)
        env.sim.forward()
        env._check_success()
        env._post_process()
        self.steps = 0
        self._path = []

    @property
    def _model(self):
        return self._env.sim.model._model

    @property
    def _data(self):
        return self._env.sim.data._data

    def step(self, action: np.ndarray, sight: Sight = Sight.NOTHING) -> tuple[bool, Observation | None]:
        """One control step (50 ms) with `action` (7,): whether the goal holds, and the observation; None for Sight.NOTHING."""
        env = self._env
        observation = None
        self.steps += 1
        for substep in range(SUBSTEPS):
            self._arm.forward()
            if substep == 0:
                self._arm.aim(action)
            self._arm.drive()
            self._arm.step()
            if substep == SAMPLED_SUBSTEP:
                self._path.append(self._scene.gripper())
                if sight is not Sight.NOTHING:
                    observation = self._observe(sight)
        env._post_process()
        return bool(env._check_success()), observation

    def render(self) -> dict[str, np.ndarray]:
        """Camera name -> image of the present state, (H, W, 3) uint8, upside down as OpenGL stores it."""
        sim, size = self._env.sim, self.image_size
        # robosuite makes its context current once; with a second World in this process it would render into that one.
        sim._render_context_offscreen.gl_ctx.make_current()
        return {name: sim.render(camera_name=name, width=size, height=size) for name in self.suite.cameras}

    def _observe(self, sight: Sight) -> Observation:
        eef_pos, eef_quat, gripper_qpos = self._scene.proprioception()
        path, self._path = np.array(self._path), []
        return Observation(
            episode=self.key,
            step=self.steps,
            instruction=self.task.language,
            eef_pos=eef_pos,
            eef_quat=eef_quat,
            gripper_qpos=gripper_qpos,
            joint_pos=self._scene.joint_positions(),
            path=path,
            scene=self._scene.read(),
            images=self.render() if sight is Sight.IMAGES else {},
        )

    @property
    def sim(self):
        """robosuite's simulator of the loaded task, for `vla-bench doctor`: model, data and OpenGL context."""
        return self._env.sim

    @property
    def state(self) -> np.ndarray:
        """The flattened MuJoCo state: time, qpos, qvel."""
        return self._env.sim.get_state().flatten()

    @property
    def state_hash(self) -> str:
        return hashlib.sha256(self.state.tobytes()).hexdigest()[:16]

    def init_hash(self, init_state: int) -> str:
        return hashlib.sha256(self._states[init_state].tobytes()).hexdigest()[:16]

    def about(self) -> dict[str, str]:
        """The attributes by which LIBERO's demonstration files describe the loaded task."""
        return task_attributes(self._env, self.suite, self.task)

    @property
    def model_xml(self) -> str:
        """The loaded model as MJCF, with its fixtures where they stand; asset files are relative to the pack and to robosuite."""
        poses = self._fixtures.poses
        return with_poses(self._xml, {self._fixtures.bodies[name]: pose for name, pose in poses.items()})

    def close(self) -> None:
        """Free the simulator and its OpenGL context."""
        if self._env is not None:
            atexit.unregister(self._free)
            self._free()
            self._wrapper = self._env = self.task = None

    def _free(self) -> None:
        # In its own context: textures of another World in this process have the same numbers in theirs.
        self._env.sim._render_context_offscreen.gl_ctx.make_current()
        self._wrapper.close()


def _reset(env) -> None:
    """LIBERO's `ControlEnv.reset`, which places objects until they fit; but that one tries again for ever after any error."""
    from robosuite.utils.errors import RandomizationError

    while True:
        with contextlib.suppress(RandomizationError):
            env.reset()
            return
