"""What is served: a policy, what it wants to see, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from vla_bench import __version__
from vla_bench.errors import UsageError, WireError
from vla_bench.policies.base import Policy
from vla_bench.suites import Suite
from vla_bench.wires import openpi, own, vla_eval
from vla_bench.wires.address import Wire
from vla_bench.world.observation import Sight

NAME = "vla-bench"
UNKNOWN = "unknown"


class Served:
    """A policy with what its clients are told.

    suites: those that it was made for.
    cameras: names of the cameras that it sees.  needs_state: whether it wants the robot's state.

    Raises UsageError for a policy that sees more than pictures.
    """

    def __init__(self, policy: Policy, suites: Sequence[Suite]):
        if policy.sight is not Sight.IMAGES:
            what = f"{policy.name} acts on the poses of all objects, which no client sends"
            raise UsageError(what, instead={"--model": "nano"})
        self.policy = policy
        self._suites = {suite.libero_name: suite.name for suite in suites}
        said = policy.identity
        number = said.get("cameras")
        self.cameras = tuple(suites[0].cameras[: number if isinstance(number, int) else None])
        self.needs_state = said.get("proprio_dim") != 0 or policy.reads_path
        keys = said.get("unnorm_keys")
        self._one_scale = len(set(keys.values())) == 1 if isinstance(keys, dict) and keys else len(suites) == 1

    @cached_property
    def about(self) -> own.About:
        said = self.policy.identity
        steps = said.get("open_loop_steps")
        return own.About(
            version=__version__,
            model=self.policy.name,
            weights=str(said.get("checkpoint", UNKNOWN)),
            policy=dict(said),
            camera_size=self.policy.image_size,
            open_loop_steps=steps if isinstance(steps, int) else None,
            visual_tokens=self.policy.visual_tokens,
        )

    @cached_property
    def pictures(self) -> str:
        """What becomes of a client's."""
        size = self.policy.image_size
        return "as they come" if size is None else f"{size} x {size} as they come, others resized to that"

    @cached_property
    def hello(self) -> dict[str, object]:
        """Of vla-eval's wire."""
        wishes = {"send_wrist_image": len(self.cameras) > 1, "send_state": self.needs_state, "quat_no_antipodal": True}
        actions = {
            "position": _spec("position", 3, "delta_xyz", (-1, 1)),
            "rotation": _spec("rotation", 3, "axis_angle"),
            "gripper": _spec("gripper", 1, "binary_close_positive", (-1, 1)),
        }
        sees = {"agentview": _spec("image", 0, "rgb_hwc_uint8"), "language": _spec("language", 0, "language")}
        sees |= {"wrist": sees["agentview"]} if wishes["send_wrist_image"] else {}
        sees |= {"state": _spec("state", 8, "eef_pos3_axisangle3_gripper2")} if self.needs_state else {}
        about = {"model_server": NAME, "capabilities": {}, "pictures": self.pictures, own.ABOUT: self.about.to_dict()}
        return vla_eval.hello(
            f"{NAME} {__version__}", **about, observation_params=wishes, action_spec=actions, observation_spec=sees
        )

    @cached_property
    def metadata(self) -> dict[str, object]:
        """Of openpi's wire."""
        return {
            "pictures": self.pictures,
            openpi.WIRES: [Wire.OPENPI.value, Wire.VLA_EVAL.value],
            own.ABOUT: self.about.to_dict(),
        }

    def suite(self, libero_name: object = None) -> str:
        """Short name of the suite by whose statistics actions are scaled.  Raises WireError where that is not known.

        libero_name: as the client calls it; None where its wire does not say.
        """
        if isinstance(libero_name, str) and libero_name in self._suites:
            return self._suites[libero_name]
        if self._one_scale:
            return next(iter(self._suites.values()))
        few = ", ".join(self._suites.values())
        what = (
            "the client does not say which suite it plays" if libero_name is None else f"no suite {libero_name!r:.60} is served"
        )
        raise WireError(f"{what}, and actions are scaled by suite: start the server with --suite and one of {few}")


def _spec(name: str, dims: int, form: str, bounds: tuple[int, int] | None = None) -> dict[str, object]:
    """As vla-eval describes one part of actions and observations."""
    return {"name": name, "dims": dims, "format": form} | ({"range": list(bounds)} if bounds else {})
