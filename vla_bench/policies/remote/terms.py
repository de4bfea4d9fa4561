"""What a server of vla-eval says in its hello, and what follows of it: each wish is obeyed, or refused by its name.

The harness of vla-eval passes `observation_params` to the constructor of its benchmark and ignores those that it does not know;
specs that do not fit are warnings there.  A success rate under other terms than the server's would look like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vla_bench.errors import UsageError, WireError
from vla_bench.policies.remote.observation import Wanted
from vla_bench.suites import Suite
from vla_bench.wires.vla_eval import PROTOCOL_VERSION

WRIST, STATE, ABSOLUTE, TURN = "send_wrist_image", "send_state", "absolute_action", "quat_no_antipodal"
WRIST_SPECS = ("wrist", "wrist_image")  # servers name it either way
SWITCHES = (WRIST, STATE, ABSOLUTE, TURN)
# What a server may ask of the protocol, and what the protocol has; None in a wish stands for the benchmark's own.
PROTOCOL: dict[str, Callable[[Suite], object]] = {
    "suite": lambda suite: suite.libero_name,
    "env_seed": lambda suite: suite.env_seed,
    "num_steps_wait": lambda suite: suite.settle_steps,
    "max_steps": lambda suite: suite.horizon,
}
# Of other benchmarks.  The server of GR00T sends them whatever it acts in; vla-eval's LIBERO has none of them.
ELSEWHERE = ("max_episode_steps", "success_mode", "deterministic_episodes")
# Formats of an action, and of the state, that are LIBERO's.  Small turns are the same as Euler angles and as axis times angle.
FORMATS = {
    "position": ("delta_xyz", "raw"),
    "rotation": ("axis_angle", "euler_xyz", "raw"),
    "gripper": ("binary_close_positive", "raw"),
}
STATE_FORMATS = ("eef_pos3_axisangle3_gripper2", "raw")


def read_hello(hello: Mapping[str, object], suites: Sequence[Suite]) -> Wanted:
    """What the server wants to see.  Raises UsageError for a wish that these suites do not grant, WireError for no hello."""
    version = hello.get("protocol_version")
    if version != PROTOCOL_VERSION:
        raise WireError(
            f"the server speaks version {version!r:.40} of vla-eval's protocol, and this is version {PROTOCOL_VERSION}"
        )
    params, actions, observations = (_table(hello, name) for name in ("observation_params", "action_spec", "observation_spec"))
    for name, value in params.items():
        _check_param(name, value, suites)
    for part, formats in FORMATS.items():
        _check_format("action_spec", part, actions, formats)
    _check_format("observation_spec", "state", observations, STATE_FORMATS)
    return Wanted(
        wrist=bool(params.get(WRIST, not observations.keys().isdisjoint(WRIST_SPECS))),
        state=bool(params.get(STATE, "state" in observations)),
        shortest_turn=params.get(TURN) is False,
    )


def _table(hello: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = hello.get(name)
    if value is not None and not isinstance(value, dict):
        raise WireError(f"the server's {name} is {type(value).__name__}, not a map")
    return value or {}


def _check_param(name: str, value: object, suites: Sequence[Suite]) -> None:
    wish = f"the server asks for the observation parameter {name} = {value!r:.60}"
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise UsageError(f"{wish}, which is true or false", "start the server with another value of it")
        if name == ABSOLUTE and value:
            raise UsageError(f"{wish}: LIBERO's episodes are run with relative actions", "serve a policy of relative actions")
        return
    if name in ELSEWHERE:
        return
    if name not in PROTOCOL:
        known = ", ".join((*SWITCHES, *PROTOCOL))
        raise UsageError(f"{wish}, which is not known here: there are {known}", "start the server without it")
    own = {PROTOCOL[name](suite) for suite in suites}
    if value is not None and own != {value if isinstance(value, (int, str)) else repr(value)}:
        has = ", ".join(map(str, sorted(own, key=str)))
        raise UsageError(f"{wish}, and the protocol has {has}", f"start the server without it, or with {has}")


def _check_format(spec: str, part: str, parts: Mapping[str, object], formats: tuple[str, ...]) -> None:
    """A server that says nothing of a part has LIBERO's, as its harness assumes."""
    own = parts.get(part)
    if own is None:
        return
    if not isinstance(own, dict):
        raise WireError(f"the server's {spec} has {type(own).__name__} as {part}, not a map")
    accepted = own.get("accepts") if isinstance(own.get("accepts"), list) else []
    if not any(each in formats for each in [own.get("format"), *accepted]):
        what = f"the server's {spec} has the {part} in the format {own.get('format')!r:.60}: there are {', '.join(formats)}"
        raise UsageError(what, "start the server with LIBERO's format")
