"""What a pass did, as runs record it: small on disk, read back the same, refused where it cannot be."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import numpy as np
import pytest

from vla_bench.errors import RecordError
from vla_bench.queries import read_queries, write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut, QueryTrace, pack, unpack

KEY = EpisodeKey("long", 3, 0)


def kept(*ids: list[int], patches: int = 256) -> tuple[bytes, ...]:
    return tuple(pack(own, patches) for own in ids)


def test_a_mask_is_numpys():
    draw = random.Random(0)
    for patches in (1, 7, 8, 64, 100, 256):
        ids = sorted(draw.sample(range(patches), draw.randrange(patches + 1)))
        row = np.zeros(patches, bool)
        row[ids] = True
        assert pack(ids, patches) == np.packbits(row).tobytes() and unpack(pack(ids, patches)) == ids


def test_an_episode_of_a_hundred_queries_of_512_tokens_stays_small(tmp_path, schema):
    draw = random.Random(0)
    queries = []
    for i in range(100):
        ids = [sorted(draw.sample(range(256), 39)) for _ in range(2)]
        trace = QueryTrace((Cut("LLM input", 512, 78),), kept(*ids))
        times = {"preprocess": 10.123, "vision": 12.123, "prune": 1.123, "decoder": 20.123, "head": 0.123}
        queries.append(QueryRecord.of(8 * i, (39, 39), 28, times, 2997.012345, trace, 44.123))
    bare = [QueryRecord.of(q.step, q.kept, q.prompt_tokens, q.stages_ms, q.gflops, None, q.policy_ms) for q in queries]
    sizes = []
    for name, expected in (("traced", queries), ("bare", bare)):
        (tmp_path / name).mkdir()
        write_queries(tmp_path / name, KEY, expected)
        sizes.append((tmp_path / name / "queries.jsonl").stat().st_size)
        assert read_queries(tmp_path / name) == {KEY: expected}
    assert sizes[0] - sizes[1] < 20_000
    schema("queries", json.loads((tmp_path / "traced" / "queries.jsonl").read_text()))


def test_merged_and_reused_tokens_say_so(schema):
    trace = QueryTrace(
        (Cut("before layer 1", 128, 67, 2), Cut("before layer 2", 69, 44, 1, reused=True)),
        kept([0, 5], [63], patches=64),
        kept([1], [], patches=64),
        {"entropy": 1.5},
    )
    table = json.loads(json.dumps(trace.to_dict()))
    assert table["cuts"][1] == {"site": "before layer 2", "before": 69, "kept": 44, "merged": 1, "reused": True}
    assert QueryTrace.from_dict(table) == trace
    assert trace.kept_ids(2, 64) == [[0, 5], [63]] and trace.per_camera(2, 64) == (3, 1)
    line = {**KEY._asdict(), "queries": [QueryRecord.of(0, (3, 1), 11, {}, 0.5, trace).to_dict()]}
    schema("queries", line)


def test_where_nothing_left_nothing_is_written():
    assert QueryTrace().to_dict() == {"cuts": []}
    assert QueryTrace().per_camera(2, 64) == (64, 64) and QueryTrace().kept_ids(1, 3) == [[0, 1, 2]]


@pytest.mark.parametrize(
    "trace",
    [
        {},
        {"cuts": [{"site": "LLM input", "before": 5, "kept": 6}]},
        {"cuts": [{"site": "LLM input", "before": 5, "kept": 5, "more": 1}]},
        {"cuts": [], "kept_patches": ["AA==", "AAA="]},
        {"cuts": [], "kept_patches": []},
        {"cuts": [], "kept_patches": ["*"]},
        {"cuts": [], "measures": {"entropy": "high"}},
        3,
    ],
)
def test_what_is_no_trace_is_refused(tmp_path, trace):
    query = {"step": 0, "kept": [1], "prompt_tokens": 3, "stages_ms": {}, "gflops": None, "trace": trace}
    (tmp_path / "queries.jsonl").write_text(json.dumps({**KEY._asdict(), "queries": [query]}) + "\n")
    with pytest.raises(RecordError, match=r"queries.jsonl:1 is not an episode's queries"):
        read_queries(tmp_path)


def test_reading_runs_needs_no_torch():
    code = "import sys, vla_bench.queries, vla_bench.results.comparison; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
