"""A metric is declared once: one entry more is in the episode's line, its schema, the totals, every table and the docs."""

from __future__ import annotations

import json
import math
import random

import pytest

from vla_bench import metrics, schemas
from vla_bench.metrics import MEAN, SD, Metric, of_episode, of_group, reference, shown
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, write_episode, write_run
from vla_bench.report.compared_cells import comparison_table
from vla_bench.results.comparison import compare
from vla_bench.results.result_table import result_table
from vla_bench.results.summary import summarise
from vla_bench.trace import QueryTrace

from .conftest import ROOT
from .made_runs import episode, run

ENTROPY = Metric(
    "pruner_entropy",
    "bits",
    "entropy of the pruner's attention",
    lambda query: None if query.trace is None else query.trace.measures.get("entropy"),
    episode=(MEAN, SD),
    group=(MEAN, SD),
    column="entropy",
    digits=2,
    compared=True,
)


def queries_with(*entropies: float) -> list[QueryRecord]:
    traces = [QueryTrace(measures={"entropy": value}) for value in entropies]
    return [QueryRecord.of(8 * i, (10, 4), 11, {}, 0.5, trace, 2.0) for i, trace in enumerate(traces)]


def test_one_declaration_is_enough(monkeypatch, schema, tmp_path):
    by_episode = [queries_with(3.0, 5.0), queries_with(6.0)]

    def made(init_state: int) -> Episode:
        return episode(init_state, queries=len(by_episode[init_state]), **of_episode(by_episode[init_state]))

    line = json.loads(made(0).to_json())
    assert not any("entropy" in key for key in line) and "pruner_entropy_mean" not in schemas.schema("episode")["properties"]

    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, ENTROPY))
    line = json.loads(made(0).to_json())
    assert (line["pruner_entropy_mean"], line["pruner_entropy_sd"]) == (4.0, 1.0)
    schema("episode", line)
    assert Episode.from_json(json.dumps(line)) == made(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, run())
        for init_state in (0, 1):
            write_episode(tmp_path / name, made(init_state))
    total = summarise([made(0), made(1)])
    assert total.to_dict()["pruner_entropy_mean"] == pytest.approx(14 / 3)
    columns, rows = result_table(total, {})
    assert rows[-1][columns.index("entropy")] == "4.67 ± 1.25"
    columns, rows = comparison_table(compare([tmp_path / "a", tmp_path / "b"]))
    assert rows[1][columns.index("entropy")] == "4.67 ± 1.25"
    assert "| `pruner_entropy` | bits |" in reference()


def test_a_group_is_all_queries_together_however_they_are_spread_over_episodes():
    draw = random.Random(0)
    queries = [QueryRecord.of(i, (draw.randrange(60), draw.randrange(60)), 11, {}, draw.random()) for i in range(100)]
    cuts = [0, 1, 8, 30, 31, 77, 100]
    parts = [queries[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    pooled = of_group([(len(part), of_episode(part)) for part in parts])
    whole = of_episode(queries)
    for key in ("kept_tokens_mean", "kept_tokens_sd", "gflops_mean"):
        assert pooled[key] == pytest.approx(whole[key], abs=1e-6)


def test_what_is_not_told_is_not_known():
    silent = of_episode([QueryRecord.of(0, None, None, {}, policy_ms=0.25)])
    assert silent["policy_ms_mean"] == 0.25 and silent["kept_tokens_mean"] is silent["gflops_mean"] is None
    assert of_group([(1, silent)])["kept_tokens_sd"] is None and shown([silent]) == []
    old = {"kept_tokens_mean": 12.0}  # a run of version 0.1 has no spread
    together = of_group([(5, old), (5, {"kept_tokens_mean": 14.0, "kept_tokens_sd": 1.0})])
    assert together["kept_tokens_mean"] == 13.0 and together["kept_tokens_sd"] is None
    assert [metric.cell(together) for metric in shown([together])] == ["13.0"]
    assert of_episode([])["kept_tokens_mean"] is None and math.isclose(of_group([(2, old)])["kept_tokens_mean"], 12)


def test_the_docs_have_the_table():
    page = (ROOT / "docs" / "results-format.md").read_text()
    block = page.partition("<!-- metrics -->\n")[2].partition("<!-- /metrics -->")[0]
    assert block.strip() == reference().strip(), 'python -c "from vla_bench.metrics import reference; print(reference())"'
