"""What a server of vla-eval asks for is obeyed, or refused by its name."""

import pytest

from vla_bench.errors import UsageError, WireError
from vla_bench.policies.remote.observation import Wanted
from vla_bench.policies.remote.terms import read_hello
from vla_bench.suites import load_suite
from vla_bench.wires.vla_eval import hello

OBJECT, LONG = load_suite("object"), load_suite("long")


def terms(params=None, suites=(OBJECT,), **specs):
    return read_hello(hello("test", observation_params=params, **specs), suites)


def test_a_server_that_asks_for_nothing_sees_the_scene_and_the_instruction():
    assert read_hello(hello("test"), [OBJECT]) == terms({}) == Wanted(wrist=False, state=False, shortest_turn=False)


def test_the_second_picture_and_the_state_are_sent_where_they_are_asked_for():
    assert terms({"send_wrist_image": True, "send_state": True}) == Wanted(wrist=True, state=True)
    assert terms({"send_wrist_image": False}) == Wanted()
    assert terms(
        observation_spec={"wrist": {"format": "rgb_hwc_uint8"}, "state": {"format": "eef_pos3_axisangle3_gripper2"}}
    ) == (Wanted(wrist=True, state=True))


def test_the_axis_angle_is_flipped_only_where_the_server_asks_for_it():
    assert not terms({"send_state": True}).shortest_turn
    assert not terms({"quat_no_antipodal": True}).shortest_turn
    assert terms({"quat_no_antipodal": False}).shortest_turn


def test_what_the_protocol_has_anyway_may_be_asked_for():
    """The server of OpenVLA-OFT asks for `env_seed` 0."""
    asked = {"env_seed": 0, "num_steps_wait": 10, "max_steps": 280, "suite": "libero_object"}
    assert terms(asked) == terms({"max_steps": None, "absolute_action": False}) == Wanted()


def test_what_the_server_of_gr00t_sends_to_every_benchmark_has_no_meaning_here():
    assert terms({"success_mode": "accumulate", "max_episode_steps": 300, "deterministic_episodes": False}) == Wanted()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"send_depth": True}, "send_depth = True, which is not known here: there are send_wrist_image"),
        ({"absolute_action": True}, "absolute_action = True: LIBERO's episodes are run with relative actions"),
        ({"send_state": 1}, "send_state = 1, which is true or false"),
        ({"env_seed": 7}, "env_seed = 7, and the protocol has 0"),
        ({"num_steps_wait": 20}, "num_steps_wait = 20, and the protocol has 10"),
        ({"max_steps": [280]}, r"max_steps = \[280\], and the protocol has 280"),
        ({"suite": "libero_10"}, "suite = 'libero_10', and the protocol has libero_object"),
    ],
)
def test_a_wish_that_is_not_granted_is_refused_by_its_name(params, says):
    with pytest.raises(UsageError, match=says):
        terms(params)


def test_a_wish_must_hold_for_every_suite():
    with pytest.raises(UsageError, match="max_steps = 280, and the protocol has 280, 520"):
        terms({"max_steps": 280}, suites=(OBJECT, LONG))


@pytest.mark.parametrize(
    ("spec", "part", "form"),
    [
        ("action_spec", "position", "absolute_xyz"),
        ("action_spec", "rotation", "rot6d_interleaved"),
        ("action_spec", "gripper", "binary_close_negative"),
        ("action_spec", "gripper", "continuous_01"),
        ("observation_spec", "state", "rot6d_interleaved_proprio_20d"),
    ],
)
def test_a_format_that_is_not_liberos_is_refused(spec, part, form):
    with pytest.raises(UsageError, match=f"{spec} has the {part} in the format '{form}'"):
        terms(**{spec: {part: {"name": part, "dims": 3, "format": form}}})


def test_a_format_that_accepts_liberos_is_taken():
    several = {"format": "eef_pos3_euler3_gripper2", "accepts": ["eef_pos3_axisangle3_gripper2"]}
    assert terms({"send_state": True}, observation_spec={"state": several}).state


@pytest.mark.parametrize("content", [{}, {"protocol_version": 2}, {"protocol_version": 1, "observation_params": [1]}])
def test_what_is_no_hello_of_this_protocol_is_refused(content):
    with pytest.raises(WireError):
        read_hello(content, [OBJECT])
