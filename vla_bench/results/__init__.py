"""Runs read back.  `load` gives them as tables of episodes and queries: docs/analysis.md."""

from vla_bench.results.frames import Frames as Frames
from vla_bench.results.frames import load as load
