"""LIBERO of vla-eval with pictures of 128 pixels, the size of nano's: then no picture is resized on the way."""

from __future__ import annotations

from vla_eval.benchmarks.libero import benchmark
from vla_eval.benchmarks.libero.benchmark import LIBEROBenchmark

benchmark.LIBERO_ENV_RESOLUTION = 128


class SmallLIBERO(LIBEROBenchmark):
    """Renders 128 pixels a side; all else is vla-eval's."""
