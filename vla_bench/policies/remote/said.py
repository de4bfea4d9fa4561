"""What a server says of itself, as a run records it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

import numpy as np

from vla_bench.errors import WireError

LONGEST = 16_000  # characters of JSON; more is recorded by its hash
DEEPEST = 20
UNKNOWN = "unknown"  # as what the weights behind a server are recorded: no wire says


def said(content: Mapping[str, object]) -> dict[str, object]:
    """A hello or metadata as JSON types: equal where, as far as it says, the server is the same.  Raises WireError."""
    table = {str(name): _plain(value, DEEPEST) for name, value in sorted(content.items())}
    text = json.dumps(table, sort_keys=True)
    return table if len(text) <= LONGEST else {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def _plain(value: object, depth: int) -> object:
    if not depth:
        raise WireError(f"what the server says of itself is nested more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        named = {key.decode(errors="replace") if isinstance(key, bytes) else str(key): each for key, each in value.items()}
        return {key: _plain(each, depth - 1) for key, each in named.items()}
    if isinstance(value, list):
        return [_plain(each, depth - 1) for each in value]
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.str, "shape": list(value.shape), "sha256": hashlib.sha256(value.tobytes()).hexdigest()}
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, float) and not math.isfinite(value) or isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value
