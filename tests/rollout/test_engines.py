"""What holds for every engine: the same tests for the local one and for one on a ray cluster of two nodes."""

import os
import signal
import sys
import tempfile

import pytest

from vla_bench.errors import ClusterError, RecordError, UsageError
from vla_bench.policies.simple import NoopPolicy
from vla_bench.records import EpisodeKey
from vla_bench.rollout import ray_cluster
from vla_bench.rollout.engine import LocalEngine
from vla_bench.rollout.episode import Outcome
from vla_bench.rollout.pool import Finished, Notice, Retried, Started
from vla_bench.rollout.ray_cluster import Cluster, Kind, Node, replicas_wanted, simulators_wanted
from vla_bench.rollout.ray_engine import RayEngine

from ..conftest import ROOT
from .fakes import BreakingSimulator, FakeSimulator, Wilful, setup, short_hash

EPISODES = [EpisodeKey("object", task, i) for task in (0, 1) for i in range(3)]
RAISES, NO_NUMBERS, CLOSES, NOT_BEGUN, LOSES_THE_THREAD = (EpisodeKey("object", 0, i) for i in range(10, 15))
CRASHES, SLOW = EpisodeKey("object", 0, 20), EpisodeKey("object", 0, 21)


def breaking():
    return setup(BreakingSimulator)


@pytest.fixture(scope="module")
def nodes():
    """A ray cluster of two nodes on this machine, each of which may run two simulators; a lost one is noticed within seconds."""
    import ray
    from ray.cluster_utils import Cluster as Nodes

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))  # the fakes, for the nodes
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", folder)
        checks = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300}
        head = {"num_cpus": 2, "include_dashboard": False, "_system_config": checks}
        nodes = Nodes(initialize_head=True, head_node_args=head)
        nodes.add_node(num_cpus=2)
        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
        yield nodes
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture(scope="module")
def cluster(nodes):
    cluster = Cluster(None, Wilful, breaking, simulators=2)
    cluster.start(len(EPISODES))
    yield cluster
    cluster.close()


@pytest.fixture(params=["local", "ray"])
def play(request):
    """Run episodes on two simulators: whether all were finished, and the events."""

    def play(episodes, on_event=lambda event, engine: None, **more):
        events = []

        def record(event):
            events.append(event)
            on_event(event, engine)

        if request.param == "local":
            engine = LocalEngine(Wilful(), breaking().simulators, workers=2, on_event=record, **more)
        else:
            engine = RayEngine(request.getfixturevalue("cluster"), on_event=record, **more)
        return engine.run(episodes), events

    return play


def results(events):
    finished = [event for event in events if isinstance(event, Finished)]
    assert len({event.attempt.episode for event in finished}) == len(finished)
    return {event.attempt.episode: event.result for event in finished}


def test_every_episode_runs_once_and_ends_as_its_actions_say(play):
    complete, events = play([*EPISODES, CLOSES])
    found = results(events)
    assert complete and set(found) == {*EPISODES, CLOSES} and len({e.pid for e in events if isinstance(e, Started)}) >= 2
    assert found[CLOSES].success and len(found[CLOSES].actions) == 3
    for key in EPISODES:
        start, outcome = [float(key.init_state)] * 7, found[key]
        assert not outcome.success and outcome.actions[:, 3].tolist() == [0.01] * 8 + [0.02] * 8
        assert outcome.init_hash == short_hash(key.init_state) and outcome.video is None
        for action in outcome.actions:
            start = [value + part for value, part in zip(start, action.tolist(), strict=True)]
        assert outcome.state_hash == short_hash([key.task_id, *start])
    attempts = [event.attempt for event in events if isinstance(event, Finished) and event.attempt.episode != CLOSES]
    assert {tuple(query.step for query in attempt.queries) for attempt in attempts} == {(0, 8)}
    assert all(attempt.policy_s > 0 for attempt in attempts)


def test_what_fails_ends_its_own_episode_only(play):
    """Errors of the policy, of its answers, of the simulator, and a crash; each episode is tried twice."""
    bad = EpisodeKey("object", 0, 99)  # no such init state
    complete, events = play([RAISES, NO_NUMBERS, LOSES_THE_THREAD, CRASHES, bad, EPISODES[0]])
    found = results(events)
    assert complete and isinstance(found[EPISODES[0]], Outcome)
    assert found[EPISODES[0]].actions[:, 3].tolist() == [0.01] * 8 + [0.02] * 8
    assert "policy noop: cannot act here" in found[RAISES].message and "ZeroDivisionError" in found[RAISES].trace
    assert "not finite" in found[NO_NUMBERS].message and "lost the thread" in found[LOSES_THE_THREAD].message
    assert (found[CRASHES].type, found[CRASHES].message) == ("Crash", "the simulator process died: exit code 3")
    assert found[bad].type == "WorldError" and "no init state 99" in found[bad].message and "Traceback" in found[bad].trace
    again = [event.attempt.episode for event in events if isinstance(event, Retried)]
    assert {again.count(key) for key in (RAISES, NO_NUMBERS, LOSES_THE_THREAD, CRASHES, bad)} == {1}


def test_a_worker_that_is_killed_loses_nothing(play):
    def strike(event, engine):
        if isinstance(event, Started) and event.attempt.episode == SLOW and event.attempt.number < 3:
            os.kill(event.pid, signal.SIGKILL)

    complete, events = play([SLOW, *EPISODES[:2]], strike)
    found = results(events)
    assert complete and all(isinstance(found[key], Outcome) for key in (SLOW, *EPISODES[:2]))
    assert [event.error.type for event in events if isinstance(event, Retried)] == ["Killed", "Killed"]


def test_a_stop_finishes_what_is_in_flight(play):
    complete, events = play(EPISODES, lambda event, engine: isinstance(event, Started) and engine.stop())
    started = {event.attempt.episode for event in events if isinstance(event, Started)}
    assert not complete and started == set(results(events)) and len(started) < len(EPISODES)


def test_an_episode_that_the_policy_cannot_begin_ends_the_run(play):
    with pytest.raises(RecordError, match="nothing is known of this episode"):
        play([NOT_BEGUN, EPISODES[0]])


def test_failures_are_filmed(play, tmp_path):
    _, events = play([SLOW, CLOSES], video="failures", video_folder=tmp_path / "videos")
    assert [found.video for found in results(events).values() if found.video] == [f"{SLOW}-failure.mp4"]
    assert {path.name for path in (tmp_path / "videos").iterdir()} == {f"{SLOW}-failure.mp4", f"{SLOW}-failure.png"}


def test_a_lost_node_costs_its_episodes_in_flight_another_attempt(nodes):
    """A third node is killed while it runs an episode; then all is done by those that are left."""
    lost = nodes.add_node(num_cpus=1)
    cluster = Cluster(None, Wilful, breaking, simulators=3)
    cluster.start(9)
    events = []

    def on_event(event):
        events.append(event)
        if isinstance(event, Started) and sum(isinstance(each, Started) for each in events) == 3:
            nodes.remove_node(lost, allow_graceful=False)

    try:
        episodes = [SLOW, SLOW._replace(task_id=1), SLOW._replace(task_id=2), *EPISODES]
        assert RayEngine(cluster, on_event=on_event).run(episodes)
    finally:
        cluster.close()
    assert set(results(events)) == set(episodes) and all(isinstance(result, Outcome) for result in results(events).values())
    retried = [event for event in events if isinstance(event, Retried)]  # a second one where another node's queries went there
    assert 1 <= len(retried) <= 2 and all(event.error.type == "Killed" and "was lost" in event.error.message for event in retried)
    assert sum(isinstance(event, Notice) and event.message.endswith("was lost") for event in events) == 1


def test_a_replica_on_each_gpu(nodes):
    """Ray believes what a node says of its GPUs; where there is one, simulators of every node query it."""
    with_gpus = nodes.add_node(num_cpus=0, num_gpus=2)
    cluster = Cluster(None, Wilful, breaking, simulators=1, on_gpus=True)
    try:
        cluster.start(1)
        assert [replica.place.node for replica in cluster.ready(Kind.REPLICA)] == [with_gpus.node_id] * 2
        assert [simulator.place.node for simulator in cluster.ready(Kind.SIMULATOR)] != [with_gpus.node_id]
        assert cluster.describe()["gpus"] == 2
        events = []
        assert RayEngine(cluster, on_event=events.append).run(EPISODES[:1]) and results(events)
    finally:
        cluster.close()
        nodes.remove_node(with_gpus)


def without_a_display():
    raise OSError("no display")


def test_a_node_that_cannot_simulate_is_named(nodes):
    cluster = Cluster(None, NoopPolicy, without_a_display, simulators=1)
    with pytest.raises(ClusterError, match=r"\(ray node \w+\) cannot be used: OSError: no display"):
        cluster.start(1)
    cluster.close()


def unlike():
    """A setup of which each node has its own."""
    made = setup(FakeSimulator)
    made.identity["pid"] = os.getpid()
    return made


def test_nodes_that_would_end_episodes_otherwise_are_not_mixed(nodes, monkeypatch):
    monkeypatch.setattr(ray_cluster, "GRACE_S", 120)  # both are to be there before it starts, also on a busy machine
    cluster = Cluster(None, NoopPolicy, unlike, simulators=2)
    with pytest.raises(ClusterError, match=r"cannot be used: pid is \d+, not \d+ as on .* \(ray node"):
        cluster.start(2)
    cluster.close()


def test_an_address_where_nothing_is_and_a_python_without_ray(monkeypatch):
    with pytest.raises(UsageError, match="is for ray's client"):
        Cluster("ray://127.0.0.1:10001", NoopPolicy, breaking)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'vla-bench\[ray\]'"):
        Cluster(None, NoopPolicy, breaking)


def test_how_many_actors_a_cluster_has():
    head, small, large = Node("head", 0, 0, 8e9), Node("a", 2, 0, 4e9), Node("b", 16, 2, 64e9)
    assert simulators_wanted([head, small, large], None, 2.5e9, 500) == 1 + 16
    assert simulators_wanted([head, small, large], 40, 2.5e9, 500) == 40
    assert simulators_wanted([head, small, large], None, 0.6e9, 7) == 7
    assert replicas_wanted([head, small, large], on_gpus=True) == [None, None]
    assert replicas_wanted([head, small, large], on_gpus=False) == replicas_wanted([head, small, large], False) == ["a", "b"]
    assert replicas_wanted([head, small], on_gpus=True) == ["a"]
