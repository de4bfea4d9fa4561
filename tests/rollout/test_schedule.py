from vla_bench.records import EpisodeKey
from vla_bench.rollout.schedule import InOrder, Schedule


def keys(suite, task, count):
    return [EpisodeKey(suite, task, i) for i in range(count)]


def test_longest_task_first_and_a_worker_stays_with_its_task():
    schedule = Schedule(keys("object", 0, 2) + keys("long", 3, 2) + keys("object", 1, 3), {"object": 280, "long": 520})
    first = schedule.next()
    assert first == EpisodeKey("long", 3, 0)
    assert schedule.next(("long", 3)) == EpisodeKey("long", 3, 1)
    assert schedule.next(("long", 3)) == EpisodeKey("object", 1, 0)  # three episodes left against two


def test_free_workers_open_new_tasks_before_they_help_out():
    schedule = Schedule(keys("object", 0, 5) + keys("object", 1, 1), {"object": 280})
    assert schedule.next().task_id == 0
    assert schedule.next().task_id == 1  # though task 0 has more left
    assert schedule.next(("object", 1)).task_id == 0


def test_every_episode_once_and_what_is_put_back_again():
    episodes = keys("goal", 0, 3) + keys("goal", 1, 2)
    schedule = Schedule(episodes, {"goal": 300})
    out = [schedule.next() for _ in range(3)]
    schedule.put_back(out[0])
    while (key := schedule.next()) is not None:
        out.append(key)
    assert sorted(out) == sorted([*episodes, out[0]]) and len(schedule) == 0


def test_in_order_whatever_is_loaded_and_what_is_put_back_comes_next():
    episodes = [*keys("goal", 1, 2), *keys("object", 0, 1), *keys("goal", 1, 3)[2:]]
    schedule = InOrder(episodes)
    assert [schedule.next(("object", 0)) for _ in range(2)] == episodes[:2]
    schedule.put_back(episodes[0])
    assert len(schedule) == 3 and [schedule.next() for _ in range(4)] == [episodes[0], *episodes[2:], None]
