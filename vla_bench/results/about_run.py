"""What a run is: the head of its summary.md."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone

from vla_bench.records import Run
from vla_bench.results.summary import Summary
from vla_bench.results.units import Key


def about_run(run: Run, summary: Summary, planned: Collection[Key] | None) -> list[list[str]]:
    """Rows of name and value; the date is that of the beginning, and of now.  planned: None where unknown."""
    policy = run.config.get("policy") or {}
    ended = summary.total.rate.n
    rows = {
        "model": run.config.get("model"),
        "pruner": run.config.get("pruner") or policy.get("pruner", "none"),
        "assets": (run.assets or {}).get("name"),
        "protocol": "; ".join(_protocol(name, own) for name, own in run.suites.items()),
        "date": f"{run.created} to {datetime.now(timezone.utc).isoformat(timespec='seconds')}",
        "command": f"`{run.command}`",
        "status": run.status,
        "init states": str(ended) if planned is None else f"{ended} of {len(planned)} planned",
    }
    return [[name, str(value).replace("|", "\\|")] for name, value in rows.items()]


def _protocol(name: str, suite: dict) -> str:
    parts = (f"{suite['horizon']} steps", f"{suite['settle_steps']} of settling", f"seed {suite['env_seed']}")
    return f"{name}: {', '.join(parts)}, SHA-256 {suite['sha256'][:12]}"
