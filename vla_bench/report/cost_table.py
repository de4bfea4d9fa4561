"""What a query costs, as in the paper's Table II: image tokens, FLOPs with their scope, milliseconds with the machine."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench import paper
from vla_bench.metrics import MEAN
from vla_bench.report.published import DAGGER, Published, below
from vla_bench.report.rate_cells import GFLOPS, POLICY_MS, TOKENS, metric_data, n_cell, rate_cell, rate_data, run_notes
from vla_bench.report.report_table import ReportTable
from vla_bench.report.success_table import TOKENS_ARE
from vla_bench.results.reported import ReportedRun
from vla_bench.values import Scope

LARGE = 100  # GFLOP from which a table is in TFLOP
NOTES = (
    TOKENS_ARE + "; of: before pruning",
    f"FLOPs: mean of a query in the scope {Scope.MODEL}, the whole network without lm_head; one multiply-add is two",
    "ms: a query's share of its batch's time in the policy, on the machine named, shared with simulators: no benchmark; "
    "vla-bench latency measures one",
)


def cost_table(runs: Sequence[ReportedRun], with_paper: bool = False) -> ReportTable:
    """One row a run of a model; scripts have no costs.  with_paper: the eight published rows, too."""
    runs = [run for run in runs if run.pruner is not None]
    largest = max((run.row.metrics.get(GFLOPS.key(MEAN)) or 0 for run in runs), default=0)
    tera = with_paper or largest >= LARGE
    published = Published("table2")
    names = ["tokens", "of", "device", "TFLOP" if tera else "GFLOP", "ms", "success", "n"]
    keys = ["visual_tokens", "", "gpu", "tflops", "latency_ms", "success_average", ""]
    columns = [published.column(key, name) for name, key in zip(names, keys, strict=True)] if with_paper else names
    rows = [_row(run, tera) for run in runs]
    if with_paper:
        rows += [_published_row(row, keys, published) for row in paper.table2().values()]
    notes = [*NOTES, *run_notes(runs), *(below() if with_paper else [])]
    title = "What a query costs" + (", beside the paper's Table II" if with_paper else "")
    data = list(map(_data, runs))
    if with_paper:
        data += [_published_data(row) for row in paper.table2().values()]
    return ReportTable("cost", title, ("run", *columns), rows, data, notes, published.notes)


def _row(run: ReportedRun, tera: bool) -> list[str]:
    metrics = run.row.metrics
    gflops = metrics.get(GFLOPS.key(MEAN))
    flops = GFLOPS.cell(metrics) if not tera or gflops is None else f"{gflops / 1000:.3g}"
    before = run.policy.get("visual_tokens")
    cells = [TOKENS.cell(metrics), "-" if before is None else str(before), run.device or "-", flops, POLICY_MS.cell(metrics)]
    return [run.name, *cells, rate_cell(run.row.rate), n_cell(run.row)]


def _published_row(row: paper.CostRow, keys: Sequence[str], published: Published) -> list[str]:
    tokens = f"{row.tokens} ({row.tokens_are})" if row.tokens_are else str(row.tokens)
    flops, ms = ("" if value is None else f"{value:g}" for value in (row.tflops, row.latency_ms))
    texts = [tokens, "", row.gpu, flops, ms, f"{row.average:.1f}", ""]
    return [f"{row.method} {DAGGER}", *published.cells(row.method, keys, texts)]


def _data(run: ReportedRun) -> dict[str, object]:
    data: dict[str, object] = {"run": run.name, "source": "run", "model": run.model, "pruner": run.pruner, "device": run.device}
    data |= {"visual_tokens": run.policy.get("visual_tokens"), "flops_scope": Scope.MODEL.value}
    for metric in (TOKENS, GFLOPS, POLICY_MS):
        data |= metric_data(metric, run.row.metrics)
    return data | rate_data("success", run.row.rate)


def _published_data(row: paper.CostRow) -> dict[str, object]:
    about = {
        "run": row.method,
        "source": "paper",
        "device": row.gpu,
        "kept_tokens_mean": row.tokens,
        "tokens_are": row.tokens_are,
    }
    return about | {"tflops": row.tflops, "latency_ms": row.latency_ms, "success": round(row.average / 100, 4)}
