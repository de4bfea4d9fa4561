"""Actors on a ray cluster: which there should be, which are ready, which were lost with their node."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from vla_bench.errors import ClusterError, UsageError, VlaBenchError
from vla_bench.policies.base import Policy, PolicyFacts
from vla_bench.rollout.pool import HANG_S
from vla_bench.rollout.ray_actors import Place, PolicyReplica, Setup, SimulatorActor

REFRESH_S = 1.0  # how often the cluster is asked for its nodes
GRACE_S = 5.0  # in which actors are placed for which there is room
WAIT_S = 600.0  # longest time without any node that can run episodes: an autoscaler needs minutes
ANSWER_S = 10.0  # longest time until the head accepts a connection
QUERIES = 10_000  # that may wait at one replica


class Kind(Enum):
    SIMULATOR = "simulator"
    REPLICA = "policy replica"


@dataclass(frozen=True)
class Node:
    """A node that is alive, with what it was started with."""

    id: str
    cpus: int
    gpus: int
    memory: float = float("inf")  # bytes


def simulators_wanted(nodes: Sequence[Node], asked: int | None, worker_bytes: float, episodes: int) -> int:
    """`asked`, else one a core as far as memory allows; never more than episodes."""
    fit = sum(min(node.cpus, int(node.memory // worker_bytes)) if worker_bytes else node.cpus for node in nodes)
    return min(fit if asked is None else asked, episodes)


def replicas_wanted(nodes: Sequence[Node], on_gpus: bool) -> list[str | None]:
    """The node of each replica: one on every node that simulates, or one for each GPU, wherever ray finds it (None)."""
    gpus = sum(node.gpus for node in nodes) if on_gpus else 0
    return [None] * gpus if gpus else [node.id for node in nodes if node.cpus]


class Member:
    """An actor.

    place: None until ray found room for it.
    value: what `prepare` returned; None before.
    unusable: why it cannot be used; it keeps its place, so that no other one fails there for the same reason.
    in_flight: episodes that it takes part in.
    """

    def __init__(self, kind: Kind, handle, pinned: str | None = None):
        self.kind = kind
        self.handle = handle
        self.pinned = pinned
        self.place: Place | None = None
        self.value: PolicyFacts | Setup | None = None
        self.unusable: VlaBenchError | None = None
        self.in_flight = 0
        self.placing = handle.place.remote()
        self.preparing = handle.prepare.remote()

    @property
    def ready(self) -> bool:
        return self.value is not None and self.unusable is None

    @property
    def pending(self) -> bool:
        return self.value is None and self.unusable is None


class Cluster:
    """Simulators and policy replicas on the nodes of a ray cluster.  `start` has to come first.

    Nodes that join later are used, too; `take_notices` says which were lost or cannot be used.

    Args:
        address: of the cluster; None for RAY_ADDRESS, one that was started on this machine, or a new one on it.
        make_policy, make_setup: called on the nodes, so they must pickle.
        simulators: how many; None for one a core.
        on_gpus: whether replicas take a GPU each where the cluster has any.
        worker_bytes: memory of a simulator.

    Raises UsageError, ClusterError.
    """

    policy: PolicyFacts
    setup: Setup

    def __init__(
        self,
        address: str | None,
        make_policy: Callable[[], Policy],
        make_setup: Callable[[], Setup],
        *,
        simulators: int | None = None,
        on_gpus: bool = False,
        worker_bytes: float = 0.0,
        hang_s: float = HANG_S,
    ):
        self._notices: list[str] = []
        self._make = {Kind.SIMULATOR: (SimulatorActor, (make_setup, hang_s)), Kind.REPLICA: (PolicyReplica, (make_policy,))}
        self._asked = simulators
        self._on_gpus = on_gpus
        self._worker_bytes = worker_bytes
        self._members: list[Member] = []
        self._first: dict[Kind, Member] = {}
        self._places: dict[str, Place] = {}  # by node: where actors were placed
        self._refreshed = -REFRESH_S
        self._hopeful = time.monotonic()
        self._ray, own = connect(address)
        self._to_close = ExitStack()
        if own:
            # Standard output is for results, and ray writes there what it has to say of lost nodes; so do the notices.
            self._to_close.enter_context(redirect_stdout(self._to_close.enter_context(open(os.devnull, "w"))))
            self._to_close.callback(self._ray.shutdown)

    # The beginning and the end.

    def start(self, episodes: int) -> None:
        """Wait until every actor that has a place is prepared.  Raises ClusterError if one of them cannot be used."""
        self._episodes = episodes
        began = time.monotonic()
        while True:
            self.refresh(now=True)
            for member in self._members:
                if member.unusable is not None:
                    raise member.unusable
            late = time.monotonic() - began > GRACE_S
            preparing = [member for member in self._members if member.pending and (member.place is not None or not late)]
            if not preparing and all(self.ready(kind) for kind in Kind):
                self.setup, self.policy = self._first[Kind.SIMULATOR].value, self._first[Kind.REPLICA].value
                return
            self.check_hope()
            time.sleep(0.1)

    def close(self) -> None:
        """End all actors, and the connection if it was made here."""
        for member in self._members:
            self._ray.kill(member.handle)
        self._members.clear()
        self._to_close.close()

    # What is ready.

    def ready(self, kind: Kind) -> list[Member]:
        return [member for member in self._members if member.kind is kind and member.ready]

    def has(self, member: Member) -> bool:
        """False once it was dropped."""
        return member in self._members

    def take_notices(self) -> list[str]:
        taken, self._notices = self._notices, []
        return taken

    def free_simulator(self) -> Member | None:
        """A simulator without an episode, while there is a replica to query."""
        free = [member for member in self.ready(Kind.SIMULATOR) if not member.in_flight]
        return free[0] if free and self.ready(Kind.REPLICA) else None

    def replica_for(self, simulator: Member) -> Member:
        """The replica with the fewest episodes, of those one on the simulator's node."""
        return min(
            self.ready(Kind.REPLICA),
            key=lambda replica: (replica.in_flight, replica.place.node != simulator.place.node, self._members.index(replica)),
        )

    def drop(self, member: Member) -> None:
        """Forget an actor that was lost, or is not to go on; another may take its place."""
        if member in self._members:
            self._members.remove(member)
            self._ray.kill(member.handle)

    def describe(self) -> dict[str, object]:
        """The cluster as `run.json` records it."""
        nodes = self._nodes()
        cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
        return {"version": self._ray.__version__, "nodes": len(nodes), "cpus": cpus, "gpus": gpus}

    # How it changes.

    def refresh(self, now: bool = False) -> None:
        """See what became of the nodes and actors, and start the actors that are lacking; at most once in REFRESH_S."""
        if not now and time.monotonic() - self._refreshed < REFRESH_S:
            return
        self._refreshed = time.monotonic()
        nodes = self._nodes()
        alive = {node.id for node in nodes}
        for lost in self._places.keys() - alive:
            self._notices.append(f"{self._places.pop(lost)} was lost")
        for member in [member for member in self._members if member.place is not None and member.place.node not in alive]:
            self.drop(member)
        for member in [member for member in self._members if member.pending]:
            self._look_at(member)
        self._fill_up(nodes)
        usable = {member.kind for member in self._members if member.place is not None and member.unusable is None}
        if usable == set(Kind):
            self._hopeful = time.monotonic()

    def check_hope(self) -> None:
        """Raises ClusterError where nothing can run episodes: no node has room for a simulator, or none had for WAIT_S."""
        waited = time.monotonic() - self._hopeful
        if waited < WAIT_S and any(member.kind is Kind.SIMULATOR for member in self._members):
            return
        for member in self._members:
            if member.unusable is not None:
                raise member.unusable
        there = "{nodes} nodes with {cpus} CPUs and {gpus} GPUs".format(**self.describe())
        needs = f"a free CPU and {self._worker_bytes / 1e9:.1f} GB of memory" if self._worker_bytes else "a free CPU"
        head = self._ray.get_runtime_context().gcs_address
        raise ClusterError(
            f"no node of the ray cluster can simulate, for which it needs {needs}: {there} are alive",
            f"ray start --address={head} on another machine, then the same command again: it resumes",
        )

    def _nodes(self) -> list[Node]:
        found = []
        for node in self._ray.nodes():
            if node["Alive"]:
                has = node["Resources"]
                found.append(Node(node["NodeID"], int(has.get("CPU", 0)), int(has.get("GPU", 0)), has.get("memory", 0.0)))
        return found

    def _look_at(self, member: Member) -> None:
        """Take what a pending actor has reported."""
        done, _ = self._ray.wait([member.placing, member.preparing], num_returns=2, timeout=0)
        try:
            if done:  # placed; the replica's calls may come back in any order
                member.place = self._ray.get(member.placing)
                self._places[member.place.node] = member.place
            if member.preparing not in done:
                return
            value = self._ray.get(member.preparing)
        except self._ray.exceptions.RayTaskError:  # a bug, not a loss
            raise
        except self._ray.exceptions.RayError as error:
            if member.place is None or not any(node.id == member.place.node for node in self._nodes()):
                self.drop(member)  # with its node, or with the place that was meant for it
                return
            value = ClusterError(f"the {member.kind.value} died while it was prepared: {error}", "ray status")
        if isinstance(value, VlaBenchError):
            self._leave_out(member, value.message, value.fix)
            return
        first = self._first.setdefault(member.kind, member)
        member.value = value
        if unequal := differences(first.value.identity, value.identity):
            self._leave_out(member, f"{unequal} as on {first.place}")

    def _leave_out(self, member: Member, why: str, fix: str | None = None) -> None:
        member.unusable = ClusterError(f"{member.place} cannot be used: {why}", fix or "ray stop, on that node, to do without it")
        self._notices.append(f"{member.place} is left out: {why}")

    def _fill_up(self, nodes: Sequence[Node]) -> None:
        lacking = simulators_wanted(nodes, self._asked, self._worker_bytes, self._episodes)
        lacking -= sum(member.kind is Kind.SIMULATOR for member in self._members)
        for _ in range(lacking):
            self._add(Kind.SIMULATOR, num_cpus=1, memory=self._worker_bytes or None, scheduling_strategy="SPREAD")
        there = [member.pinned for member in self._members if member.kind is Kind.REPLICA]
        for node in replicas_wanted(nodes, self._on_gpus):
            if node in there:
                there.remove(node)
            elif node is None:
                self._add(Kind.REPLICA, num_cpus=0, num_gpus=1, scheduling_strategy="SPREAD", max_concurrency=QUERIES)
            else:
                pinned = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
                self._add(Kind.REPLICA, node, num_cpus=0, scheduling_strategy=pinned, max_concurrency=QUERIES)

    def _add(self, kind: Kind, pinned: str | None = None, **options) -> None:
        actor, arguments = self._make[kind]
        handle = self._ray.remote(actor).options(max_restarts=0, **options).remote(*arguments)
        self._members.append(Member(kind, handle, pinned))


def differences(there: Mapping[str, object], here: Mapping[str, object]) -> str:
    """ "drawn_by is gpu, not cpu"; empty where there are none."""
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    return "; ".join(f"{key} is {here.get(key)}, not {there.get(key)}" for key in keys)


def connect(address: str | None):
    """ray, connected, and whether it was connected here.  Raises UsageError, ClusterError."""
    if address is not None and "://" in address:
        what = f"--address {address} is for ray's client, which is not used here"
        raise UsageError(what, "run the command on a node of the cluster: vla-bench eval --engine ray --model nano")
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs ray, which is not installed", "pip install 'vla-bench[ray]'") from error
    import ray.util.scheduling_strategies

    if ray.is_initialized():
        return ray, False
    _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise ClusterError(f"cannot use a ray cluster of this machine: {error}", "ray start --head") from error
        # A cluster that asks for a token does not answer one who sends none.
        raise ClusterError(
            f"no ray cluster at {address}: {error}", f"RAY_AUTH_MODE=token ray status --address={address}"
        ) from error
    return ray, True


def _check_answers(address: str | None) -> None:
    """Ray itself would try for many minutes where nothing answers.  Raises UsageError, ClusterError."""
    place = address or os.environ.get("RAY_ADDRESS")
    if place in (None, "", "auto"):
        started = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"  # what ray reads, too
        place = started.read_text().strip() if started.exists() else None
    if not place or place == "local":
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f'"{place}" is no address of a ray cluster', "vla-bench eval --engine ray --address 10.0.0.1:6379")
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except OSError as error:
        raise ClusterError(f"no ray cluster answers at {place}: {error}", "ray start --head, on that machine") from error
