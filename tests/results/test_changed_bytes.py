"""A verdict never follows from bytes that changed after they were written."""

import random
from dataclasses import replace

import pytest

from vla_bench.errors import DamagedRunError, VlaBenchError
from vla_bench.planned import pack
from vla_bench.queries import read_queries, write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey, read_run, write_run
from vla_bench.results.gate import GateRule, GateStatus, gate

from ..made_runs import a_run


def with_plan(folder, outcomes):
    a_run(folder, outcomes)
    keys = [EpisodeKey("object", 3, i) for i in range(len(outcomes))]
    write_run(folder, replace(read_run(folder), planned=pack(keys)))
    return folder


def test_250_changed_bytes_leave_the_gate_its_verdict_or_are_refused(tmp_path):
    base, new = with_plan(tmp_path / "base", "s" * 40), with_plan(tmp_path / "new", "s" * 32 + "f" * 8)
    before = gate(base, new, GateRule())
    assert before.finding is GateStatus.DROPPED
    path, draw, refused = new / "episodes.jsonl", random.Random(0), 0
    text = path.read_bytes()
    for _ in range(250):
        place = draw.randrange(len(text))
        path.write_bytes(text[:place] + bytes([draw.randrange(256)]) + text[place + 1 :])
        try:
            assert gate(base, new, GateRule()) == before
        except VlaBenchError as error:
            assert error.exit_code == 4
            refused += 1
    assert refused > 200


def test_lines_that_are_gone_leave_the_run_incomplete(tmp_path):
    base, new = with_plan(tmp_path / "base", "s" * 40), with_plan(tmp_path / "new", "s" * 32 + "f" * 8)
    path = new / "episodes.jsonl"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if '"failure"' not in line))
    with pytest.raises(VlaBenchError, match="is not complete") as caught:
        gate(base, new, GateRule())
    assert caught.value.exit_code == 4


def test_changed_bytes_of_queries_are_seen(tmp_path):
    write_run(tmp_path, read_run(a_run(tmp_path / "run", "s")))
    for i in range(4):
        write_queries(
            tmp_path, EpisodeKey("object", 3, i), [QueryRecord.of(step, (60, 18), 28, {"vision": 3.5}) for step in (0, 8)]
        )
    path, draw = tmp_path / "queries.jsonl", random.Random(0)
    text, before, refused = path.read_bytes(), read_queries(tmp_path), 0
    for _ in range(250):
        place = draw.randrange(len(text) - 1)  # without the last end of a line, the last line is one that a crash left
        path.write_bytes(text[:place] + bytes([draw.randrange(256)]) + text[place + 1 :])
        try:
            assert read_queries(tmp_path) == before
        except DamagedRunError:
            refused += 1
    assert refused > 200
