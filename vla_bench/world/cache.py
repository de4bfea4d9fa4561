"""The folder of generated and downloaded files."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """`VLA_BENCH_CACHE`, else a folder in the user's cache folder."""
    given = os.environ.get("VLA_BENCH_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vla-bench"
