"""Reads what `vla-bench export` wrote with the software that it was written for.  README.md says what this needs.

    PYTHON read_exports.py lerobot|vla-eval|inspect FOLDER

It imports nothing of vla-bench.  Rates are printed as that software works them out of the episodes; they must be the file's.
"""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace


def lerobot(folder: Path) -> None:
    """lerobot reads no eval_info.json: its `eval_policy_all` is given the file's outcomes, task by task, and what it makes of
    them must be the file, key by key."""
    from lerobot.scripts import lerobot_eval

    said = json.loads((folder / "eval_info.json").read_text())
    tasks: dict = {}
    for each in said["per_task"]:
        tasks.setdefault(each["task_group"], {})[each["task_id"]] = SimpleNamespace(metrics=each["metrics"], close=lambda: None)
    lerobot_eval.run_one = lambda group, task_id, env, **_: (group, task_id, env.metrics)
    policy = SimpleNamespace(training=False, eval=lambda: None, train=lambda mode: None)
    others = dict.fromkeys(("env_preprocessor", "env_postprocessor", "preprocessor", "postprocessor"))
    found = lerobot_eval.eval_policy_all(tasks, policy, **others, n_episodes=0)
    equal(found["per_task"], said["per_task"], "per_task")
    equal(found["per_group"], said["per_group"], "per_group")
    times = {"eval_s", "eval_ep_s"}
    assert found["overall"].keys() == said["overall"].keys(), (found["overall"].keys(), said["overall"].keys())
    for key in found["overall"].keys() - times:
        equal(found["overall"][key], said["overall"][key], key)
    for group, values in {**found["per_group"], "overall": found["overall"]}.items():
        print(f"lerobot: {group}: {values['pc_success']:.2f} % of {values['n_episodes']}")


def vla_eval(folder: Path) -> None:
    """Its own summary of the files; its own aggregation of their episodes must be what is in them."""
    from vla_eval.results import ResultCollector
    from vla_eval.results.export import print_export_summary

    bodies = [json.loads(path.read_text()) for path in sorted(folder.glob("*_aggregate.json"))]
    assert bodies, f"no aggregate file in {folder}"
    for body in bodies:
        collector = ResultCollector(body["benchmark"], body["mode"], body["metric_keys"])
        for task in body["tasks"]:
            for episode in task["episodes"]:
                collector.record(task["task"], episode)
        again = collector.get_benchmark_result(body["config"])
        for key in again.keys() - {"created_at", "harness_version"}:
            equal(again[key], body[key], key)
        print(f"vla-eval: {body['benchmark']}: {body.get('mean_success', 0.0):.1%} of {body['num_episodes_total']}")
    print_export_summary(bodies)


def inspect(folder: Path) -> None:
    """Found and read as Inspect does; its metrics, worked out again of the samples, must be those in it."""
    from inspect_ai.log import list_eval_logs, read_eval_log, recompute_metrics

    (found,) = list_eval_logs(str(folder))
    log = read_eval_log(found.name)
    before = {metric.name: metric.value for metric in log.results.scores[0].metrics.values()}
    recompute_metrics(log)
    after = {metric.name: metric.value for metric in log.results.scores[0].metrics.values()}
    equal(after, before, "metrics")
    errors = sum(sample.error is not None for sample in log.samples)
    print(f"inspect: {found.task}, {log.status}: {len(log.samples)} samples, {errors} errors, {log.eval.model}")
    print(f"inspect: mean {after['mean']:.4f}, stderr {after['stderr']:.5f}")


def equal(found, said, place: str) -> None:
    """Raises AssertionError with the first place that differs; numbers to 1e-12, and null stands for lerobot's NaN."""
    if isinstance(said, dict):
        assert isinstance(found, dict) and found.keys() == said.keys(), f"{place}: {found} and {said}"
        for key in said:
            equal(found[key], said[key], f"{place}.{key}")
    elif isinstance(said, list):
        assert isinstance(found, list) and len(found) == len(said), f"{place}: {found} and {said}"
        for number, pair in enumerate(zip(found, said, strict=True)):
            equal(*pair, f"{place}[{number}]")
    elif isinstance(said, float):
        assert math.isclose(found, said, rel_tol=0, abs_tol=1e-12), f"{place}: {found} and {said}"
    elif said is None and isinstance(found, float):
        assert math.isnan(found), f"{place}: {found} and null"
    else:
        assert found == said, f"{place}: {found} and {said}"


if __name__ == "__main__":
    {"lerobot": lerobot, "vla-eval": vla_eval, "inspect": inspect}[sys.argv[1]](Path(sys.argv[2]))
