"""`eval_info.json` as `lerobot-eval` 0.6 writes it: per task, per suite (there: group), overall.

Source: huggingface/lerobot, `src/lerobot/scripts/lerobot_eval.py`, `eval_policy_all`.  There an episode cannot end in an error,
so errors are in none of its lists; they are counted and named in the key `vla_bench`, which lerobot's own file does not have.
"""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.records import Episode
from vla_bench.report.harnesses.source_run import SourceRun, mean, outcomes, wall_clock_s

FILE = "eval_info.json"


def lerobot_files(source: SourceRun) -> dict[str, object]:
    """The content of each file by its name: one for the whole run."""
    own = [(suite, source.of_suite(suite)) for suite in source.suites]
    return {
        FILE: {
            "per_task": [
                {"task_group": source.libero_name(suite), "task_id": task_id, "metrics": _metrics(part, task_id)}
                for suite, part in own
                for task_id in dict.fromkeys(each.task_id for each in part.episodes)
            ],
            "per_group": {source.libero_name(suite): _aggregated(part) for suite, part in own},
            "overall": _aggregated(source) | _times(source),
            "vla_bench": source.about(),
        }
    }


def _metrics(part: SourceRun, task_id: int) -> dict[str, object]:
    """Of one task, a value an episode."""
    episodes = [each for each in part.ended if each.task_id == task_id]
    films = [film for each in part.episodes if each.task_id == task_id and (film := part.films.get(each.key)) is not None]
    return {
        "sum_rewards": _rewards(episodes),
        "max_rewards": _rewards(episodes),
        "successes": outcomes(episodes),
        "video_paths": list(map(str, films)),
        "predicted_video_paths": [],
    }


def _rewards(episodes: Sequence[Episode]) -> list[float]:
    """Sum and maximum alike: LIBERO's reward is 1 in the step that reaches the goal, which ends the episode, and 0 in others."""
    return [float(won) for won in outcomes(episodes)]


def _aggregated(part: SourceRun) -> dict[str, object]:
    """Over episodes, each counting once; null where all ended in errors (lerobot would write NaN)."""
    rewards = _rewards(part.ended)
    rate = mean(rewards)
    return {
        "avg_sum_reward": rate,
        "avg_max_reward": rate,
        "pc_success": None if rate is None else 100 * rate,
        "n_episodes": len(rewards),
        "video_paths": [str(film) for each in part.episodes if (film := part.films.get(each.key)) is not None],
        "predicted_video_paths": [],
    }


def _times(source: SourceRun) -> dict[str, object]:
    """Seconds in which episodes ran, several workers' at once counting once, and that over the episodes, as there."""
    seconds = wall_clock_s(source.episodes) if source.timed else None
    return {"eval_s": seconds, "eval_ep_s": None if seconds is None else seconds / max(1, len(source.ended))}
