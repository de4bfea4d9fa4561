"""The plan of an evaluation: a request is checked completely here, before the first episode."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vla_bench import environment
from vla_bench.errors import UsageError, VlaBenchError
from vla_bench.planned import pack
from vla_bench.policies.base import Policy, PolicyFacts
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy, resolve_choice
from vla_bench.records import Run, config_hash
from vla_bench.rollout.against import check_stop_options, read_baseline
from vla_bench.rollout.journal import timestamp
from vla_bench.rollout.request import EvalRequest, Outline
from vla_bench.rollout.selection import select, shard, shard_numbers
from vla_bench.rollout.world_setup import WorldSetup, check_files, set_up, worker_bytes
from vla_bench.suites import Suite, load_suites
from vla_bench.values import EngineName, Video, one_of
from vla_bench.world.assets import AssetPack, resolve_assets
from vla_bench.world.gl import GL
from vla_bench.world.init_states import init_states_hash

if TYPE_CHECKING:
    from vla_bench.rollout.ray_cluster import Cluster

RUNS = Path("results/runs")


def asked_workers(text: str) -> int | None:
    """The number of workers that --workers names; None for "auto".  Raises UsageError."""
    if text == "auto":
        return None
    if re.fullmatch("0*[1-9][0-9]{0,5}", text):
        return int(text)
    raise UsageError(f'--workers takes "auto" or a number from 1 to 999999, not "{text:.60}"')


def worker_count(text: str, episodes: int, assets: AssetPack) -> int:
    """Number of workers; "auto" is one per core, as far as memory allows.  Raises UsageError."""
    count = asked_workers(text)
    if count is None:
        count = environment.cpu_count()
        memory = environment.available_memory()
        if memory is not None:
            count = min(count, int(memory // worker_bytes(assets)))
    return max(1, min(count, episodes))


@dataclass(frozen=True, kw_only=True)
class Plan(Outline):
    """A checked request, with its policy loaded and everything else resolved.

    cluster: the started one that runs the episodes; policy and setup are then those of its nodes, and workers its simulators.
        None for this machine.
    """

    policy: Policy | PolicyFacts
    setup: WorldSetup
    cluster: Cluster | None = None

    @property
    def gl(self) -> GL:
        return self.setup.gl

    def close(self) -> None:
        """End what was started for the run."""
        if self.cluster is not None:
            self.cluster.close()
        if isinstance(self.policy, Policy):
            self.policy.close()

    @property
    def config(self) -> dict:
        """Everything that determines how an episode ends; not the numbers of episodes, workers or videos."""
        visual = {} if self.policy.visual_tokens is None else {"visual_tokens": self.policy.visual_tokens}
        return {
            "model": self.model.name,
            "seed": self.choice.seed,
            "pruner": self.pruner,
            "policy": self.policy.identity | visual,
            "suites": {suite.name: suite.sha256 for suite in self.suites},
            "init_states": {suite.name: init_states_hash(suite) for suite in self.suites},
            **({"changed_objects": changed} if (changed := self.assets.changed_objects(self.suites)) else {}),
            **self.setup.identity,
        }

    @property
    def pruner(self) -> str | None:
        """The requested pruner with its arguments, in canonical spelling; None for the checkpoint's default."""
        return self.choice.pruner and str(self.policy.identity["pruner"])

    @property
    def out(self) -> Path:
        """The run folder."""
        return self.request.out or RUNS / self.run_id

    @property
    def run_id(self) -> str:
        """Folder name, the same for the same configuration, so that repeating a command resumes its run."""
        suites = [self.request.suite] if self.request.suite == "all" else [suite.name for suite in self.suites]
        shard = self.request.shard and self.request.shard.replace("/", "of")
        words = (self.model.name, self.pruner, *suites, self.assets.name, config_hash(self.config)[:8], shard)
        return re.sub(r"[^\w.-]+", "-", "-".join(filter(None, words))).strip("-")

    def describe(self) -> Run:
        return Run(
            run_id=self.run_id,
            created=timestamp(time.time()),
            command=self.request.command,
            config=self.config,
            suites={suite.name: suite.protocol for suite in self.suites},
            assets=self.assets.identity,
            environment=environment.describe()
            | {"gl_backend": self.gl.backend, "gl_renderer": self.gl.renderer}
            | ({} if self.cluster is None else {"ray": self.cluster.describe()})
            | ({} if self.policy.revision is None else {"revision": self.policy.revision}),
            git_commit=environment.git_commit(),
            planned=pack(self.episodes),
            shard=self.request.shard and {"number": self.request.shard, "whole": pack(self.selected)},
            stop_rule=None if self.early is None else self.early.rule.to_dict(),
        )


def prepare(request: EvalRequest) -> Plan:
    """Check everything that can be checked without running, quick checks first.  Raises VlaBenchError."""
    return complete(outline(request))


def outline(request: EvalRequest) -> Outline:
    """Check everything that takes no model and no OpenGL.  Raises VlaBenchError."""
    one_of(Video, request.video, "--video")
    if one_of(EngineName, request.engine, "--engine") is EngineName.LOCAL and request.address is not None:
        raise UsageError(f"--address {request.address} is of a ray cluster", f"--engine ray --address {request.address}")
    suites = load_suites(request.suite, request.frozen_fixtures)
    selected = episodes = select(suites, request.tasks, request.init_states, request.trials)
    if request.shard is not None:
        horizons = {suite.name: suite.horizon for suite in suites}
        episodes = shard(selected, *shard_numbers(request.shard), horizons)
    check_stop_options(request.against, request.stop_early, request.shard, episodes)
    base = None if request.against is None else read_baseline(request.against, episodes)
    early = None if base is None or request.stop_early is None else base.early_stop(episodes, request.stop_early)
    choice = model_choice(request, suites)
    model = resolve_choice(choice)
    check_files(suites, episodes)
    assets = resolve_assets(request.assets, suites)
    workers = worker_count(request.workers, len(episodes), assets)
    # The simulators occupy the cores; more model threads than free cores would wait for each other.
    choice = replace(choice, threads=max(1, environment.cpu_count() + 1 - workers))
    return Outline(
        request=request,
        choice=choice,
        model=model,
        suites=suites,
        selected=selected,
        episodes=episodes,
        assets=assets,
        workers=workers,
        base=base,
        early=early,
    )


def complete(outline: Outline) -> Plan:
    """The plan of an outline: choose OpenGL and load the policy.  Raises VlaBenchError."""
    plan = _on_this_machine(outline) if outline.request.engine == EngineName.LOCAL else _on_a_cluster(outline)
    try:
        if plan.base is not None:
            plan.base.check_world(plan.config, plan.episodes, plan.out)
    except VlaBenchError:
        plan.close()
        raise
    return plan


def _on_this_machine(outline: Outline) -> Plan:
    setup = set_up(outline.suites, outline.assets)
    return Plan(**vars(outline), policy=make_policy(outline.choice, model=outline.model), setup=setup)


def _on_a_cluster(outline: Outline) -> Plan:
    from vla_bench.rollout.ray_cluster import Kind
    from vla_bench.rollout.ray_plan import start_cluster

    cluster = start_cluster(outline, asked_workers(outline.request.workers))
    found = {"assets": cluster.setup.assets, "workers": len(cluster.ready(Kind.SIMULATOR))}
    return Plan(**vars(outline) | found, policy=cluster.policy, setup=cluster.setup, cluster=cluster)


def model_choice(request: EvalRequest, suites: list[Suite]) -> ModelChoice:
    names = tuple(suite.name for suite in suites)
    return ModelChoice(
        request.model,
        seed=request.seed,
        suites=names,
        pruner=request.pruner,
        pruner_args=request.pruner_args,
        decoding=request.decoding,
        unnorm_key=request.unnorm_key,
        action_slice=request.action_slice,
        adapter=request.adapter,
        cameras=request.cameras,
        chunk=request.chunk,
        center_crop=request.center_crop,
        open_loop_steps=request.open_loop_steps,
        device=request.device,
    )
