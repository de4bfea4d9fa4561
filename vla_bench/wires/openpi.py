"""The wire of openpi: the server says what it is, then answers each observation with a chunk of actions.

    server {metadata}
    client {observation/image, observation/wrist_image, observation/state, prompt}   -> server {actions (T, 7), server_timing}

There are no episodes and no numbers.  An error is a text, after which the server closes with code 1011.  Source:
websocket_client_policy.py of openpi-client 0.1.2; the names are those of openpi's LIBERO policy.
"""

from __future__ import annotations

from collections.abc import Mapping

from vla_bench.errors import WireError
from vla_bench.wires.frames import decode_map, encode

PORT = 8000
IMAGE_SIZE = 224  # pixels a side of the pictures that its LIBERO client sends
IMAGE, WRIST, STATE, PROMPT = "observation/image", "observation/wrist_image", "observation/state", "prompt"
ACTIONS, SERVER_TIMING = "actions", "server_timing"
WIRES = "wires"  # in the metadata of a server that speaks other wires, too: their names
LONGEST_TEXT = 2000  # of an error: what matters stands at a trace's end
INTERNAL_ERROR = 1011  # closes a connection after an error


def pack(value: Mapping[str, object]) -> bytes:
    """The frame of metadata, an observation or an answer."""
    return encode(dict(value), bytes_keys=True)


def unpack(data: bytes | str) -> dict[str, object]:
    """The content of a frame.  Raises WireError, with the server's words where it sent a text, as openpi does with an error."""
    if isinstance(data, str):
        raise WireError(f"the server failed: {data.strip()[-LONGEST_TEXT:]}")
    return decode_map(data)


def is_observation(value: Mapping[str, object]) -> bool:
    """Whether the content of a frame is meant as an observation of this wire."""
    return PROMPT in value or any(name in value for name in (IMAGE, WRIST, STATE))
