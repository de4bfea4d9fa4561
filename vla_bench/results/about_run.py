"""What a run is: the head of its summary.md, and of `vla-bench show`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vla_bench.records import Run
from vla_bench.results.summary import Summary
from vla_bench.results.units import Key


def about_run(run: Run, summary: Summary, planned: Collection[Key] | None, until: str) -> dict[str, str]:
    """By name.  planned: None where unknown.  until: when it ended, or its last episode did; empty where
    unknown."""
    ended = summary.total.rate.n
    rows = {
        "model": run.config.get("model"),
        "pruner": run.config.get("pruner") or run.pruner or "none",
        "assets": run.assets.get("name"),
        "protocol": "; ".join(_protocol(name, own) for name, own in run.suites.items()),
        "date": f"{run.created} to {until}" if until else run.created,
        "command": run.command,
        "status": run.status,
        "init states": str(ended) if planned is None else f"{ended} of {len(planned)} planned",
    }
    return {name: str(value) for name, value in rows.items()}


def _protocol(name: str, suite: Mapping[str, object]) -> str:
    """As far as the run says: older ones and those of other people may say less."""
    words = {"horizon": "{} steps", "settle_steps": "{} of settling", "env_seed": "seed {}", "sha256": "SHA-256 {:.12}"}
    parts = [form.format(str(suite[key])) for key, form in words.items() if key in suite]
    return f"{name}: {', '.join(parts)}" if parts else name
