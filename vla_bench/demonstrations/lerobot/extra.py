"""pyarrow, which reads and writes the Parquet files of LeRobotDataset, and is an extra."""

from __future__ import annotations

from types import ModuleType

from vla_bench.errors import UsageError


def parquet() -> ModuleType:
    """The module `pyarrow.parquet`.  Raises UsageError where it is not installed."""
    try:
        import pyarrow.parquet as module
    except ImportError as error:
        raise UsageError("LeRobot data sets need pyarrow, which is not installed", "pip install 'vla-bench[lerobot]'") from error
    return module
