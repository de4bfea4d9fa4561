"""Checks of what is evaluated: the suites' protocol, LIBERO's init states, and assets."""

from __future__ import annotations

from vla_bench.doctor.case import Case, need
from vla_bench.doctor.check import Check, Seen, fail, ok, skip, warn
from vla_bench.errors import VlaBenchError
from vla_bench.suites import Suite
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import REINSTALL, bddl_file, init_states_file

# What published success rates were measured with: OpenVLA-OFT's evaluation, which LightVLA's follows.
HORIZONS = {"libero_spatial": 220, "libero_object": 280, "libero_goal": 300, "libero_10": 520}
PROTOCOL = {"settle_steps": 10, "env_seed": 0, "control_hz": 20, "chunk": 8, "cameras": ("agentview", "robot0_eye_in_hand")}
TASKS = 10


def _protocol(case: Case) -> Seen:
    suites = need(case.suites)
    wrong = [line for suite in suites for line in _deviations(suite)]
    if any("not LIBERO-Long" in line for line in wrong):
        return fail("; ".join(wrong), "unset VLA_BENCH_SUITES; git checkout suites")
    if wrong:
        return warn("; ".join(wrong), "unset VLA_BENCH_SUITES; git checkout suites")
    return ok(", ".join(f"{suite.name} = {suite.libero_name} with {suite.horizon} steps" for suite in suites))


def _deviations(suite: Suite) -> list[str]:
    if suite.name == "long" and (suite.libero_name != "libero_10" or len(suite.tasks) != TASKS):
        return [f"long is {suite.libero_name} with {len(suite.tasks)} tasks, not LIBERO-Long (libero_10)"]
    if suite.libero_name not in HORIZONS:
        return []  # a suite of the user's own
    published = PROTOCOL | {"horizon": HORIZONS[suite.libero_name]}
    found = {key: getattr(suite, key) for key in published}
    return [
        f"{suite.name}: {key} is {found[key]}, not the published {published[key]}"
        for key in found
        if found[key] != published[key]
    ]


def _init_states(case: Case) -> Seen:
    suites = need(case.suites)
    for suite in suites:
        for task in suite.tasks:
            bddl_file(suite, task)
            states = read_init_states(init_states_file(suite, task))
            if len(states) < suite.init_states:
                what = f"{suite.name}/{task.id} has {len(states)} init states, and the suite asks for {suite.init_states}"
                return fail(what, REINSTALL)
    return ok(f"of {sum(len(suite.tasks) for suite in suites)} tasks, read without unpickling objects")


def _assets(case: Case) -> Seen:
    if isinstance(case.suites, VlaBenchError):
        return skip("no suite")
    pack = need(case.pack)
    return ok(f"{pack.name} ({pack.reason}), {pack.sha256[:16]}; compare runs with the same")


CHECKS = (
    Check("protocol", "rates unlike the published: 280 steps on Spatial, LIBERO-90 for Long, other settling steps", _protocol),
    Check("init states", "`init states are damaged`, or episodes of other init states under the same numbers", _init_states),
    Check("assets", "`asset folder ... lacks ...`; objects that look unlike those of the training", _assets),
)
