"""One small class over LIBERO: start a task, reset to an official init state, step, and look only when asked."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io

import numpy as np

from vla_bench.errors import WorldError
from vla_bench.records import EpisodeKey
from vla_bench.suites import Suite, Task
from vla_bench.world.assets import AssetPack
from vla_bench.world.description import portable_xml, task_attributes
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import bddl_file, import_libero, init_states_file, use_assets
from vla_bench.world.observation import Observation, Sight
from vla_bench.world.scene import SceneReader

DUMMY_ACTION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])  # arm still, gripper open

SUBSTEPS = 25  # physics steps of 2 ms per control step, as robosuite's macros fix them
# robosuite's observables are sampled on a clock of their own, which runs from the forced updates of `reset` and
# `set_init_state`: in LIBERO's protocol every observation is taken after the 24th of the 25 physics steps.
SAMPLED_SUBSTEP = 23


class World:
    """A LIBERO simulator for one suite.

    The physics, and what is seen when one looks, are bit for bit those of LIBERO's own `OffScreenRenderEnv` right
    after `seed(env_seed); reset(); set_init_state(state)`.  Two things differ from running that one in a loop:
    cameras draw only when asked, and an episode depends on its init state alone, not on the number of resets before
    (where fixtures stand is drawn from the same seed every time).

    Args:
        suite: the protocol; its `env_seed` places the fixtures.
        assets: the pack that the world is built of.
    """

    def __init__(self, suite: Suite, assets: AssetPack):
        self.suite = suite
        self.assets = assets
        self.image_size = suite.image_size  # of what is drawn; may be changed at any time
        self.task: Task | None = None
        self._env = None
        import_libero()
        if assets.embedded:
            from vla_bench.world.primitives.robot import register

            register()

    def start(self, task: Task) -> None:
        """Build the simulator of `task`; nothing happens if it is the one already running."""
        if task == self.task:
            return
        self.close()
        self._states = read_init_states(init_states_file(self.suite, task))
        use_assets(self.assets.root)
        import mujoco
        from libero.libero.envs import OffScreenRenderEnv

        from vla_bench.world.starts import StartSampler
        from vla_bench.world.steady import SteadyArm

        try:
            with contextlib.redirect_stdout(io.StringIO()):  # robosuite prints as it builds
                wrapper = OffScreenRenderEnv(
                    bddl_file_name=str(bddl_file(self.suite, task)),
                    robots=["LowPolyPanda" if self.assets.embedded else "Panda"],
                    use_camera_obs=False,
                    control_freq=self.suite.control_hz,
                )
                if self.assets.embedded:
                    from vla_bench.world.primitives.quality import draw_coarsely

                    wrapper.env.set_xml_processor(draw_coarsely)
                wrapper.seed(self.suite.env_seed)
                wrapper.reset()
        except (ValueError, OSError, RuntimeError, AssertionError) as error:
            raise WorldError(f"task {self.suite.name}/{task.id} does not start on pack {self.assets.name}: {error}") from error
        self._env = wrapper.env
        # Also when Python ends, and before robosuite's own hook: a context that is freed too late fails loudly.
        self._free = wrapper.close
        atexit.register(self._free)
        # A reset rebuilds the model, which takes seconds.  Its outcome is kept here instead, so that every episode
        # starts from it: solver warm start, fixtures and all.
        self._after_reset = np.empty(mujoco.mj_stateSize(self._model, mujoco.mjtState.mjSTATE_INTEGRATION))
        mujoco.mj_getState(self._model, self._data, self._after_reset, mujoco.mjtState.mjSTATE_INTEGRATION)
        self._scene = SceneReader(self._env)
        self._sampler = StartSampler(self._env, self._states)
        self._arm = SteadyArm(self._env.sim, self._env.robots[0])
        self._xml = portable_xml(self._env, self.assets.root)  # now: MuJoCo writes out whichever model was built last
        self.task = task

    def reset(self, init_state: int, sight: Sight = Sight.STATE, repeat: int = 0) -> Observation | None:
        """Go to official init state `init_state`, let things settle, and look.  Raises WorldError."""
        if self.task is None:
            raise WorldError("no task was started")
        if not 0 <= init_state < len(self._states):
            raise WorldError(f"no init state {init_state}: {self.task.name} has 0 to {len(self._states) - 1}")
        return self.begin(EpisodeKey(self.suite.name, self.task.id, init_state, repeat), self._states[init_state], sight)

    def begin(self, key: EpisodeKey, state: np.ndarray, sight: Sight = Sight.STATE) -> Observation | None:
        """Start episode `key` from `state`, a flattened MuJoCo state, let things settle, and look.  Raises WorldError."""
        self.key = key
        self.place(state)
        self.steps = -self.suite.settle_steps  # settling does not count
        for _ in range(self.suite.settle_steps - 1):
            self.step(DUMMY_ACTION)
        return self.step(DUMMY_ACTION, sight)[1]

    def sample(self, seed: int) -> np.ndarray:
        """A start state as LIBERO's own reset draws one after `seed(seed)`, but never an official one; see `starts`."""
        if self.task is None:
            raise WorldError("no task was started")
        return self._sampler.draw(seed)

    def is_sound(self, start: np.ndarray) -> bool:
        """Whether the episode that just began from `start` is worth acting in: nothing fell, and the goal does not hold."""
        return self._sampler.stands(start, self.state) and not self._env._check_success()

    def place(self, state: np.ndarray) -> None:
        """Put the simulator into a flattened MuJoCo state (time, qpos, qvel), everything else as new."""
        import mujoco

        env = self._env
        if state.shape != (1 + env.sim.model.nq + env.sim.model.nv,):
            raise WorldError(
                f"a state of {state.size} numbers does not fit the model of {self.task.name} on pack {self.assets.name}"
            )
        mujoco.mj_setState(self._model, self._data, self._after_reset, mujoco.mjtState.mjSTATE_INTEGRATION)
        for robot in env.robots:
            # A new controller: it keeps the arm's pose and velocity of this moment as its first reading.
            robot.reset(deterministic=True)
            robot.gripper.current_action = np.zeros(robot.gripper.dof)
        self._arm.take_over()
        # Making it ran the solver, which changed the warm start.
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
        """One control step (50 ms) with `action` (7,): whether the goal holds now, and what was seen."""
        env = self._env
        observation = None
        self.steps += 1
        for substep in range(SUBSTEPS):
            env.sim.forward()
            if substep == 0:
                env._pre_action(action, policy_step=True)
            else:
                self._arm.drive(action)
            self._arm.step()
            if substep == SAMPLED_SUBSTEP:
                self._path.append(self._scene.gripper())
                if sight is not Sight.NOTHING:
                    observation = self._look(sight)
        env._post_process()
        return bool(env._check_success()), observation

    def draw(self) -> dict[str, np.ndarray]:
        """Every camera's picture of this moment, (H, W, 3) uint8, upside down as OpenGL stores it."""
        sim, size = self._env.sim, self.image_size
        # robosuite makes its context current once; with a second world in this process it would draw into that one.
        sim._render_context_offscreen.gl_ctx.make_current()
        return {name: sim.render(camera_name=name, width=size, height=size) for name in self.suite.cameras}

    def _look(self, sight: Sight) -> Observation:
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
            images=self.draw() if sight is Sight.IMAGES else {},
        )

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
        """The running task in the words of LIBERO's demonstration files: attributes by name."""
        return task_attributes(self._env, self.suite, self.task)

    @property
    def model_xml(self) -> str:
        """The model as MJCF; its asset files are named relative to the pack and to robosuite."""
        return self._xml

    def close(self) -> None:
        """Free the simulator and its OpenGL context."""
        if self._env is not None:
            atexit.unregister(self._free)
            self._free()
            self._free = self._env = self.task = None
