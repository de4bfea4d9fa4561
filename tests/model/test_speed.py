"""Speeds by name, and how large a bucket is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vla_bench.errors import UsageError
from vla_bench.interface.presets import NANO
from vla_bench.model.costs import others
from vla_bench.model.speed import BUCKET, Speed, capacity


def test_a_bucket_holds_a_multiple_or_everything():
    rest = others(NANO, 11)
    for visual in range(129):
        columns = capacity(visual, rest, 128)
        assert visual <= columns <= 128 and (columns == 128 or (columns + rest) % BUCKET == 0)
        assert columns - visual < BUCKET


def test_speeds_by_name():
    assert Speed.parse("none") == Speed() and str(Speed()) == "none"
    assert Speed.parse(" rows, fused") == Speed(rows=True, fused=True) == Speed.parse(str(Speed.parse("fused,rows")))
    assert str(Speed.parse("all")) == "cameras,rows,fused,buckets,compile,graphs"
    with pytest.raises(UsageError, match='unknown speed "row".*Did you mean "rows"'):
        Speed.parse("row,fused")
    for name in ("graphs", "compile"):
        with pytest.raises(UsageError, match=f"{name} needs buckets.*\n  fix: .*rows,{name},buckets"):
            Speed.parse(f"rows,{name}")


def test_speed_needs_no_torch():
    code = "import sys, vla_bench.model.speed; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
