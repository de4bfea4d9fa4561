import numpy as np
import pytest

from vla_bench.errors import WireError
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.frames import encode
from vla_bench.wires.vla_eval import Message, MessageType


def test_a_message_comes_back_as_it_went():
    message = Message(MessageType.ACTION, {"actions": [0.5, 1.0]}, seq=7)
    assert vla_eval.unpack(vla_eval.pack(message)) == message


WHOLE = {"type": "action", "payload": {}, "seq": 1, "timestamp": 2.0}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1], "holds list"),
        ({}, "without type, payload, seq, timestamp"),
        (WHOLE | {"type": "dance"}, "unknown type 'dance'"),
        (WHOLE | {"type": np.zeros(2)}, "unknown type"),
        (WHOLE | {"payload": [1]}, "payload is list"),
        (WHOLE | {"seq": "1"}, "number is '1'"),
        (WHOLE | {"seq": True}, "number is True"),
        (WHOLE | {"timestamp": float("nan")}, "time nan"),
        (WHOLE | {"timestamp": None}, "time None"),
    ],
)
def test_a_message_that_is_none_is_refused_in_words(content, says):
    with pytest.raises(WireError, match=says):
        vla_eval.unpack(encode(content))


def test_a_text_is_no_message_and_is_how_openpi_says_an_error():
    with pytest.raises(WireError, match="a text where a message"):
        vla_eval.unpack("Traceback")
    with pytest.raises(WireError, match="the server failed: KeyError: 'prompt'"):
        openpi.unpack("KeyError: 'prompt'\n")


def test_the_first_frame_of_a_client_tells_its_wire():
    """For a server that speaks both."""
    observation = openpi.unpack(openpi.pack({openpi.IMAGE: np.zeros((2, 2, 3), np.uint8), openpi.PROMPT: "push"}))
    assert openpi.is_observation(observation) and not vla_eval.is_message(observation)
    assert vla_eval.is_message(WHOLE) and not openpi.is_observation(WHOLE)
