"""The paper's ablations on our models: Table III (noise in training), IV (more and fewer tokens), V (learnable queries)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vla_bench import paper
from vla_bench.checkpoints.known import DEFAULTS
from vla_bench.errors import VlaBenchError
from vla_bench.report.compared_cells import decided
from vla_bench.report.compared_notes import notes as compared_notes
from vla_bench.report.forest import points
from vla_bench.report.published import DAGGER, Published, below, published_rates
from vla_bench.report.rate_cells import TOKENS, metric_data, n_cell, rate_cell, rate_data, run_notes
from vla_bench.report.report_table import ReportTable
from vla_bench.report.success_table import TOKENS_ARE, suites_of
from vla_bench.results.comparison import ComparedRun, check_comparable, compare_runs
from vla_bench.results.reported import ReportedRun
from vla_bench.values import Decoding

FULL, KEPT = "LightVLA", "k"  # the rows of the method itself in Tables III and IV
PAIRED = ("difference", "p", "verdict")
Labels = tuple[str, ...]
PublishedRow = paper.NoiseRow | paper.KeptRow | paper.PositionRow


@dataclass(frozen=True)
class Ablation:
    """One of the tables.

    name: of its files.  table, number: the paper's.  columns, label: names and values of what sets a run apart; the label is None
    for a run that is no row.  first: the label of the row that the others are compared with.  command: makes its runs.
    """

    name: str
    table: str
    number: str
    title: str
    columns: Labels
    label: Callable[[ReportedRun], Labels | None]
    first: Labels
    published: Callable[[], dict[Labels, PublishedRow]]
    command: str


def _noise(run: ReportedRun) -> Labels | None:
    model = DEFAULTS.get(run.model, run.model)
    if run.pruner != "lightvla" or "lightvla" not in model:
        return None
    return next(((name,) for suffix, name in paper.SCHEDULES.values() if model.endswith(suffix)), (FULL,))


def _kept(run: ReportedRun) -> Labels | None:
    if _noise(run) == (FULL,):
        return (KEPT,)
    names = {pruner: much.value for much, pruner in paper.TOKENS.items()}
    name, _, inner = str(run.pruner).partition("(")
    return (names[name],) if name in names and inner.startswith("lightvla") else None


def _position(run: ReportedRun) -> Labels | None:
    if run.policy.get("decoding") not in (None, Decoding.L1) or (run.pruner == "lightvla" and _noise(run) != (FULL,)):
        return None
    return paper.POSITIONS.get(str(run.pruner))


ABLATIONS = (
    Ablation(
        "noise",
        "table3",
        "III",
        "Sampling noise in training",
        ("variant",),
        _noise,
        (FULL,),
        lambda: {(name,): row for name, row in paper.table3().items()},
        "vla-bench ablate --noise-schedule none --noise-schedule constant",
    ),
    Ablation(
        "more-and-fewer-tokens",
        "table4",
        "IV",
        "More and fewer image tokens than LightVLA keeps",
        ("kept",),
        _kept,
        (KEPT,),
        lambda: {(name,): row for name, row in paper.table4().items()},
        "vla-bench ablate --tokens 2k --tokens 0.9k",
    ),
    Ablation(
        "learnable-queries",
        "table5",
        "V",
        "Learnable queries, LightVLA*",
        ("method", "position"),
        _position,
        paper.POSITIONS["none"],
        lambda: dict(paper.table5()),
        "vla-bench eval --model nano-lightvla-star-vision",
    ),
)


def ablation_table(ablation: Ablation, runs: Sequence[ReportedRun], with_paper: bool = False) -> ReportTable | None:
    """None where no run is a variant and the paper's rows are not asked for."""
    found = [(label, run) for run in runs if (label := ablation.label(run)) is not None]
    found.sort(key=lambda each: each[0] != ablation.first)
    if all(label == ablation.first for label, _ in found):
        found = found if with_paper else []
    if not found and not with_paper:
        return None
    own = [run for _, run in found]
    compared, why = _compared(found, ablation.first)
    suites, published = suites_of(own, with_paper), Published(ablation.table)
    shown = [(label, compared.get(run.name, run.row)) for label, run in found]
    rows = [
        [row.name, *label, *(rate_cell(row.suites.get(suite)) for suite in suites), rate_cell(row.rate), n_cell(row)]
        + [TOKENS.cell(row.metrics), *(_paired(row) if compared else [])]
        for label, row in shown
    ]
    if with_paper:
        blank = [""] * len(PAIRED) if compared else []
        rows += [_published_row(label, row, suites, published) + blank for label, row in ablation.published().items()]
    columns = ("run", *ablation.columns, *suites, "all", "n", "tokens", *(PAIRED if compared else ()))
    notes = [*run_notes(own), TOKENS_ARE, *why]
    if compared:
        notes += [f"differences are to the first row, {found[0][1].name}", *compared_notes(list(compared.values()))]
    data = [_data(ablation.columns, label, row, suites) for label, row in shown]
    if with_paper:
        data += [_published_data(ablation.columns, label, row) for label, row in ablation.published().items()]
    title = ablation.title + (f", beside the paper's Table {ablation.number}" if with_paper else "")
    return ReportTable(ablation.name, title, columns, rows, data, notes + (below() if with_paper else []), published.notes)


def _compared(found: Sequence[tuple[Labels, ReportedRun]], first: Labels) -> tuple[dict[str, ComparedRun], list[str]]:
    """The runs paired with the first, by name; or why that cannot be."""
    if len(found) < 2:
        return {}, []
    if found[0][0] != first:
        return {}, [f"no differences: {', '.join(first)} is not among the runs"]
    runs = [run.pathed for _, run in found]
    try:
        check_comparable(runs)
    except VlaBenchError as error:
        return {}, [f"no differences: {error.message}"]
    return {run.name: row for (_, run), row in zip(found, compare_runs(runs), strict=True)}, []


def _paired(row: ComparedRun) -> list[str]:
    if row.verdict is None or (gap := decided(row)) is None:
        return ["", "", ""]
    return [points(gap), f"{row.p:.2g}", row.verdict.value]


def _published_row(label: Labels, row: PublishedRow, suites: Sequence[str], published: Published) -> list[str]:
    name = " ".join(label)
    method = FULL if len(label) == 1 else label[0]
    labels = [*label[:-1], published.cell(name, "pruning_position", label[-1])]
    rates = [published.cell(name, suite, f"{row.success[suite]:.1f}" if suite in row.success else "") for suite in suites]
    tokens = str(row.tokens) if isinstance(row, paper.NoiseRow) else ""
    average = published.cell(name, "average", f"{row.average:.1f}")
    return [f"{method} {DAGGER}", *labels, *rates, average, "-", published.cell(name, "tokens_average", tokens)]


def _data(columns: Labels, label: Labels, row: ComparedRun, suites: Sequence[str]) -> dict[str, object]:
    data: dict[str, object] = {"run": row.name, "source": "run", **dict(zip(columns, label, strict=True))}
    for suite in suites:
        data |= rate_data(suite, row.suites.get(suite))
    data |= rate_data("all", row.rate) | metric_data(TOKENS, row.metrics, "tokens")
    if row.verdict is not None and (gap := decided(row)) is not None:
        data |= {"difference": gap.value, "difference_low": gap.low, "difference_high": gap.high, "p": row.p}
        data |= {"verdict": row.verdict.value}
    return data


def _published_data(columns: Labels, label: Labels, row: PublishedRow) -> dict[str, object]:
    tokens = row.tokens if isinstance(row, paper.NoiseRow) else None
    about = {"run": FULL if len(label) == 1 else label[0], "source": "paper", **dict(zip(columns, label, strict=True))}
    return about | published_rates(row.success, row.average) | {"tokens_mean": tokens}
