"""Which image tokens a run kept: by query of an episode, and by patch."""

import pytest

from vla_bench.errors import DamagedRunError
from vla_bench.query_record import QueryRecord
from vla_bench.results.sources import source
from vla_bench.results.token_use import token_use
from vla_bench.trace import Cut, QueryTrace, pack

from ..made_runs import a_run, record


def query(*cameras, patches=64):
    """A query that kept these patches of each camera; without any, all of two cameras."""
    kept = tuple(map(len, cameras)) or (patches, patches)
    masks = tuple(pack(ids, patches) for ids in cameras) or None
    return QueryRecord.of(0, kept, 9, {}, trace=QueryTrace((Cut("LLM input", 2 * patches, sum(kept)),), masks))


def test_patches_are_counted_by_camera_and_tokens_by_query(tmp_path):
    episodes = {0: [query([0, 9], [63]), query([9], [1, 63])], 1: [query([9], [5])]}
    cut_off = {2: [query([3], [3])]}
    use = token_use(source(record(tmp_path / "run", episodes, cut_off=cut_off, failed={3: [query([4], [4])]})), 128)
    assert (use.queries, use.passes, use.traced) == (3, 3, 3) and use.kept == [[3, 2], [3]]
    assert use.counts == {3: 2, 2: 1}
    assert [(i, n) for i, n in enumerate(use.used[0]) if n] == [(0, 1), (9, 3)]
    assert [(i, n) for i, n in enumerate(use.used[1]) if n] == [(1, 1), (5, 1), (63, 2)]
    assert use.kept_by_camera == [[2, 1, 1], [1, 2, 1]]


def test_all_kept_is_every_patch(tmp_path):
    use = token_use(source(record(tmp_path / "run", {0: [query()]})), 128)
    assert use.used == [[1] * 64] * 2 and use.kept == [[128]]


def test_queries_without_a_trace_have_counts_alone(tmp_path):
    old = [QueryRecord.of(0, (3, 4), 9, {}), QueryRecord.of(8, None, 9, {})]  # the second: an action without a pass
    use = token_use(source(record(tmp_path / "run", {0: [*old, query([1], [1])]})), None)
    assert (use.queries, use.passes, use.traced, use.used) == (3, 2, 0, []) and use.kept == [[7], [], [2]]


def test_a_run_without_queries_and_a_damaged_one(tmp_path):
    run = a_run(tmp_path / "script", "ss")
    assert token_use(source(run), None).queries == 0
    (run / "queries.jsonl").write_text('{"suite": 1}\n')
    with pytest.raises(DamagedRunError, match="queries"):
        token_use(source(run), None)
