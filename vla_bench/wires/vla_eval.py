"""The wire of vla-eval, the evaluation harness of allenai: messages with a type and a number, sessions with episodes.

    client hello            -> server hello {model_server, capabilities, observation_params, action_spec, observation_spec}
    client episode_start       no answer
    client observation      -> server action {actions}, or error {error}; at every step of the environment
    client episode_end         no answer

An answer has the number of its question.  One connection is one session.  Source: vla_eval/protocol/messages.py and
vla_eval/model_servers/serve.py of vla-eval 0.8.0.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from vla_bench.errors import WireError
from vla_bench.wires.frames import decode_map, encode

PROTOCOL_VERSION = 1
PORT = 8000
FIELDS = ("type", "payload", "seq", "timestamp")
# Names in the payload of an observation.
IMAGES, AGENTVIEW, WRIST, TASK, STATES = "images", "agentview", "wrist", "task_description", "states"
ACTIONS = "actions"


class MessageType(str, Enum):
    HELLO = "hello"
    EPISODE_START = "episode_start"
    OBSERVATION = "observation"
    ACTION = "action"
    EPISODE_END = "episode_end"
    ERROR = "error"


@dataclass(frozen=True)
class Message:
    """One message.  seq: its number; an answer has that of its question.  timestamp: seconds since 1970."""

    type: MessageType
    payload: Mapping[str, object] = field(default_factory=dict)
    seq: int = 0
    timestamp: float = field(default_factory=time.time)


def hello(version: str, **about: object) -> dict[str, object]:
    """The payload of a hello.  version: of the program that speaks."""
    return {"harness_version": version, "protocol_version": PROTOCOL_VERSION, **about}


def pack(message: Message) -> bytes:
    return encode({name: getattr(message, name) for name in FIELDS} | {"type": message.type.value})


def unpack(data: bytes | str) -> Message:
    """The message in a frame.  Raises WireError."""
    if isinstance(data, str):
        raise WireError(f"a text where a message of vla-eval belongs: {data:.200}")
    return as_message(decode_map(data))


def is_message(value: Mapping[str, object]) -> bool:
    """Whether the content of a frame is meant as a message of this wire."""
    return "type" in value and "payload" in value


def as_message(value: Mapping[str, object]) -> Message:
    """The message that the content of a frame is.  Raises WireError."""
    if lacking := [name for name in FIELDS if name not in value]:
        raise WireError(f"a message without {', '.join(lacking)}: it has {', '.join(sorted(value))[:200] or 'nothing'}")
    kind, payload, seq, timestamp = (value[name] for name in FIELDS)
    if not isinstance(kind, str) or kind not in [each.value for each in MessageType]:
        raise WireError(f"a message of the unknown type {kind!r:.60}: there are {', '.join(each.value for each in MessageType)}")
    if not isinstance(payload, dict):
        raise WireError(f"a message {kind} whose payload is {type(payload).__name__}, not a map")
    if type(seq) is not int:
        raise WireError(f"a message {kind} whose number is {seq!r:.60}")
    if type(timestamp) not in (int, float) or not math.isfinite(timestamp):
        raise WireError(f"a message {kind} of the time {timestamp!r:.60}")
    return Message(MessageType(kind), payload, seq, float(timestamp))
