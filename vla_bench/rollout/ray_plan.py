"""From the outline of an evaluation to a started cluster."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from vla_bench.errors import UsageError
from vla_bench.policies.registry import make_policy, takes_device
from vla_bench.policies.resolve import ModelKind, ResolvedModel
from vla_bench.rollout.ray_cluster import Cluster
from vla_bench.rollout.request import Outline
from vla_bench.rollout.world_setup import check_and_set_up, worker_bytes
from vla_bench.values import Device
from vla_bench.world.assets import AssetPack


def start_cluster(outline: Outline, simulators: int | None) -> Cluster:
    """A cluster of which every node that is used has what the outline needs.  simulators: None for one a core.

    Raises UsageError, ClusterError.
    """
    choice, model = outline.choice, outline.model
    if model.reason is not None:
        what = f"--model {choice.model} chooses by what this machine has, and the model will run on other ones"
        raise UsageError(what, "vla-bench eval --engine ray --model nano")
    # The simulators occupy the cores of their nodes.
    choice = replace(choice, model=_anywhere(model), pruner_args=_absolute(choice.pruner_args), threads=1)
    cluster = Cluster(
        outline.request.address,
        partial(make_policy, choice),
        partial(check_and_set_up, outline.suites, outline.episodes, _spec(outline.request.assets, outline.assets)),
        simulators=simulators,
        on_gpus=choice.device is not Device.CPU and takes_device(model),
        worker_bytes=worker_bytes(outline.assets),
    )
    try:
        cluster.start(len(outline.episodes))
    except BaseException:
        cluster.close()
        raise
    return cluster


def _spec(asked: str, assets: AssetPack) -> str:
    """What other machines are asked for, given what was asked for and found here."""
    if asked in ("auto", "official"):
        return "primitive" if assets.embedded else "official"
    return asked if assets.embedded else _absolute(asked)


def _anywhere(model: ResolvedModel) -> str:
    """The name of a model for another working folder: what it gives as a path is absolute."""
    if model.kind is ModelKind.SCRIPT and model.place is not None:
        return f"{model.name.partition(':')[0]}:{_absolute(model.place)}"
    return _absolute(model.name) if model.place == model.name else model.name


def _absolute(name: str | None) -> str | None:
    """An existing path as an absolute one; any other name as it is."""
    return str(Path(name).expanduser().resolve()) if name and Path(name).expanduser().exists() else name
