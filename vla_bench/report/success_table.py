"""Success by suite, as in the paper's Table I: one row a run, with intervals, n, and the image tokens kept."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench import paper
from vla_bench.report.published import DAGGER, Published, below, published_rates
from vla_bench.report.rate_cells import TOKENS, metric_data, n_cell, rate_cell, rate_data, run_notes
from vla_bench.report.report_table import ReportTable
from vla_bench.results.reported import ReportedRun

ABOUT = ("size", "pruned", "decoding", "backbone")  # columns of the paper's table that only its own rows fill
DECODING = {"l1": "PD", "parallel": "PD", "ar": "AR"}  # the paper's words: parallel decoding, one token after another
TOKENS_ARE = "tokens: image tokens at the end of the decoder, mean ± sd over queries; in older summaries the mean alone"


def success_table(runs: Sequence[ReportedRun], with_paper: bool = False) -> ReportTable:
    """with_paper: the 16 published rows, too."""
    suites = suites_of(runs, with_paper)
    about = ABOUT if with_paper else ()
    totals = len(suites) > 1
    token_columns = [f"tokens {suite}" for suite in suites] if totals else ["tokens"]
    columns = ("run", *about, *suites, *(["all"] if totals else []), "n", *token_columns)
    published = Published("table1")
    rows = [_row(run, suites, totals, with_paper) for run in runs]
    if with_paper:
        rows += [_published_row(row, suites, published) for row in paper.table1().values()]
    notes = [*run_notes(runs), *(["all: over all init states together"] if totals else []), TOKENS_ARE]
    if with_paper:
        notes += ["published rates under all: the average of the suites, as printed", *below()]
    title = "Success rate by suite, in percent" + (", beside the paper's Table I" if with_paper else "")
    data = [_data(run, suites) for run in runs]
    if with_paper:
        data += [_published_data(row) for row in paper.table1().values()]
    return ReportTable("success", title, columns, rows, data, notes, published.notes)


def suites_of(runs: Sequence[ReportedRun], with_paper: bool = False) -> list[str]:
    """All suites of the runs; the paper's four first where its rows stand beside them."""
    return list(dict.fromkeys([*(paper.SUITES if with_paper else ()), *(suite for run in runs for suite in run.row.suites)]))


def _row(run: ReportedRun, suites: Sequence[str], totals: bool, with_paper: bool) -> list[str]:
    pruned = {None: "-", "none": "no"}.get(run.pruner, "yes")
    about = ["-", pruned, DECODING.get(str(run.policy.get("decoding")), "-"), "-"] if with_paper else []
    rates = [rate_cell(run.row.suites.get(suite)) for suite in suites]
    tokens = [TOKENS.cell(run.suites.get(suite, {})) for suite in suites] if totals else [TOKENS.cell(run.row.metrics)]
    return [run.name, *about, *rates, *([rate_cell(run.row.rate)] if totals else []), n_cell(run.row), *tokens]


def _published_row(row: paper.MethodRow, suites: Sequence[str], published: Published) -> list[str]:
    spreads = {suite: f"{each.mean} ± {each.sd}" for suite, each in row.tokens.items()}
    rates = {suite: f"{rate:.1f}" for suite, rate in row.success.items()}
    texts = [row.scale, "yes" if row.prunes else "no", row.decoding, row.backbone]
    cells = published.cells(row.method, ["scale", "token_pruning", "decoding", "backbone"], texts)
    cells += [published.cell(row.method, suite, rates.get(suite, "")) for suite in suites]
    cells.append(published.cell(row.method, "average", f"{row.average:.1f}"))
    tokens = [published.cell(row.method, f"tokens_{suite}", spreads.get(suite, "")) for suite in suites]
    return [f"{row.method} {DAGGER}", *cells, "-", *tokens]


def _data(run: ReportedRun, suites: Sequence[str]) -> dict[str, object]:
    data: dict[str, object] = {"run": run.name, "source": "run", "model": run.model, "pruner": run.pruner, "errors": run.errors}
    for suite in suites:
        data |= rate_data(suite, run.row.suites.get(suite)) | metric_data(TOKENS, run.suites.get(suite, {}), f"tokens_{suite}")
    return data | rate_data("all", run.row.rate) | metric_data(TOKENS, run.row.metrics, "tokens")


def _published_data(row: paper.MethodRow) -> dict[str, object]:
    about = {"run": row.method, "source": "paper", "size": row.scale, "pruned": row.prunes, "decoding": row.decoding}
    tokens = {f"tokens_{suite}_mean": each.mean for suite, each in row.tokens.items()}
    spreads = {f"tokens_{suite}_sd": each.sd for suite, each in row.tokens.items()}
    return about | {"backbone": row.backbone} | published_rates(row.success, row.average) | tokens | spreads
