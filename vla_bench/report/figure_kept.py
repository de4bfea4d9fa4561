"""Image tokens kept over an episode, and how often a query keeps how many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import quantiles

from vla_bench.report.figure import COLOURS, PAGE, Figure, Row, number
from vla_bench.results.token_use import TokenUse

DASHES = ("-", "--", ":", "-.")
LEAST = 5  # episodes that a mean over them needs


def kept_figure(used: Mapping[str, TokenUse]) -> Figure | None:
    """used: by run.  None where no run recorded its image tokens."""
    rows: list[Row] = []
    for run, use in used.items():
        rows += [{"run": run, "query": place, **_middle(kept)} for place, kept in enumerate(use.kept) if kept]
        rows += [{"run": run, "tokens": tokens, "share": n / use.passes} for tokens, n in sorted(use.counts.items())]
    if not rows:
        return None
    caption = (
        f"Left: mean over the episodes that are still running at each query, as far as there are {LEAST} or more; the band "
        "holds the middle 80 % of them. Right: share of all queries that keep so many image tokens of all cameras together."
    )
    return Figure("kept-tokens", "Image tokens kept", caption, rows, draw)


def _middle(kept: Sequence[int]) -> Row:
    tenths = quantiles(kept, n=10, method="inclusive") if len(kept) > 1 else [kept[0]] * 9
    return {"episodes": len(kept), "mean": sum(kept) / len(kept), "p10": tenths[0], "p90": tenths[-1]}


def draw(rows: Sequence[Row]):
    """Two panels, one colour a run."""
    import matplotlib.pyplot as plt

    figure, (over, often) = plt.subplots(1, 2, figsize=(PAGE, 2.4), layout="constrained")
    for place, run in enumerate(dict.fromkeys(str(row["run"]) for row in rows)):
        look = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}
        own = [row for row in rows if row["run"] == run and row.get("query") is not None]
        own = [row for row in own if number(row["episodes"]) >= LEAST] or own
        x, mean, low, high = ([number(row[name]) for row in own] for name in ("query", "mean", "p10", "p90"))
        over.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
        over.plot(x, mean, label=run, **look)
        counts = {int(number(row["tokens"])): number(row["share"]) for row in rows if row["run"] == run and "tokens" in row}
        edges = list(range(min(counts), max(counts) + 2))
        often.stairs([100 * counts.get(tokens, 0) for tokens in edges[:-1]], [edge - 0.5 for edge in edges], fill=False, **look)
    over.set(xlabel="query of the episode", ylabel="image tokens kept", ylim=(0, None), xlim=(0, None))
    often.set(xlabel="image tokens kept by a query", ylabel="queries, %", xlim=(0, None), ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=3)
    return figure
