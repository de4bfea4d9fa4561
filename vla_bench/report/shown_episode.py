"""What `vla-bench show --episode` prints: the episode's line, and the image tokens of its queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from statistics import fmean

from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode
from vla_bench.report.shown_run import print_facts
from vla_bench.report.sparkline import WIDTH, levels, sparkline
from vla_bench.results.token_use import camera_names
from vla_bench.results.whole_run import WholeRun
from vla_bench.suites import instruction_of


def print_episode(whole: WholeRun, episode: Episode, queries: Sequence[QueryRecord]) -> None:
    """To standard output."""
    suite = whole.run.suites.get(episode.suite, {})
    horizon = f" of {suite['horizon']}" if "horizon" in suite else ""
    error = episode.error or {}
    metrics = {key.replace("_", " "): f"{value:g}" for key, value in episode.metrics.items() if value is not None}
    facts = {
        "episode": str(episode.key),
        "instruction": instruction_of(episode.suite, episode.task_id, episode.task),
        "status": episode.status.value,
        "error": ": ".join(map(str, error.values())),
        "steps": f"{episode.steps}{horizon} control steps, {episode.queries} queries",
        "time": f"{episode.started} to {episode.ended}, {episode.wall_s:g} s, attempt {episode.attempts}"
        if episode.ended
        else "",
        "film": str(whole.source.film(episode) or "none"),
        "init hash": episode.init_hash or "",
        "state hash": episode.state_hash or "",
    }
    print_facts(facts | metrics | dict(_tokens(queries, suite)))


def episode_dict(episode: Episode, queries: Sequence[QueryRecord]) -> dict[str, object]:
    """As its lines in the run folder have it, without their checksums."""
    own = {field.name: getattr(episode, field.name) for field in fields(episode) if field.name != "metrics"}
    return own | {"status": episode.status.value, **episode.metrics, "query_records": [query.to_dict() for query in queries]}


def _tokens(queries: Sequence[QueryRecord], suite: Mapping) -> Iterator[tuple[str, str]]:
    """Image tokens kept over the episode, of all cameras and of each; what the first query's pass cut, and where."""
    known = [query.kept for query in queries if query.kept is not None]
    if not known:
        yield "tokens", "no query of it is recorded with its image tokens"
        return
    total, drawn = [sum(kept) for kept in known], levels()
    each = -(-len(known) // WIDTH)
    scale = "one character a query" if each == 1 else f"one character {each} queries"
    yield "tokens", f"{sparkline(total, max(total), drawn)}  {_range(total)}\n{scale}, from 0 to {max(total)}"
    names = camera_names(suite, len(known[0]))
    several = len({len(kept) for kept in known}) == 1 and len(known[0]) > 1
    for place, own in enumerate(zip(*known, strict=True)) if several else ():
        yield names[place], f"{sparkline(own, max(total), drawn)}  {_range(own)}"
    trace = next((query.trace for query in queries if query.trace is not None), None)
    if trace is not None and trace.cuts:
        yield "first query", "; ".join(f"{cut.site}: {cut.after} of {cut.before} tokens went on" for cut in trace.cuts)


def _range(values: Sequence[int]) -> str:
    return f"{min(values)} to {max(values)}, mean {fmean(values):.1f}"
