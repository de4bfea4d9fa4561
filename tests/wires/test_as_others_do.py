"""The same frames as the harnesses of the two wires write, and the same content read from theirs."""

import numpy as np
import pytest
from vla_eval.protocol import messages, numpy_codec

from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.vla_eval import Message, MessageType

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)
PAYLOAD = {"images": {"agentview": PICTURE}, "task_description": "push", "states": np.arange(8.0), "number": np.float32(0.5)}


@pytest.mark.parametrize("form", ["raw", "png", "jpeg"])
def test_an_observation_of_vla_eval_is_read(form):
    numpy_codec.set_image_format(form)
    try:
        frame = messages.pack_message(messages.Message(messages.MessageType.OBSERVATION, PAYLOAD, 3, 2.5))
    finally:
        numpy_codec.set_image_format("png")
    message = vla_eval.unpack(frame)
    assert (message.type, message.seq, message.timestamp) == (MessageType.OBSERVATION, 3, 2.5)
    assert np.array_equal(message.payload["images"]["agentview"], messages.unpack_message(frame).payload["images"]["agentview"])
    assert form == "jpeg" or np.array_equal(message.payload["images"]["agentview"], PICTURE)
    assert np.array_equal(message.payload["states"], PAYLOAD["states"]) and message.payload["number"] == 0.5


def test_vla_eval_reads_what_is_written():
    theirs = messages.unpack_message(vla_eval.pack(Message(MessageType.ACTION, PAYLOAD, 4)))
    assert theirs.type is messages.MessageType.ACTION and theirs.seq == 4
    assert np.array_equal(theirs.payload["images"]["agentview"], PICTURE)
    assert np.array_equal(theirs.payload["states"], PAYLOAD["states"])


# msgpack_numpy.packb of openpi-client 0.1.2, of the request below.
FRAME = bytes.fromhex(
    "83b16f62736572766174696f6e2f696d61676584c40b5f5f6e6461727261795f5fc3c40464617461c40c000102030405060708090a0bc405"
    "6474797065a37c7531c405736861706593020203b16f62736572766174696f6e2f737461746584c40b5f5f6e6461727261795f5fc3c40464"
    "617461c410000000000000e03f000000000000f0bfc4056474797065a33c6638c40573686170659102a670726f6d7074a470757368"
)


def test_a_request_of_openpi_has_the_same_bytes():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    request = {openpi.IMAGE: image, openpi.STATE: np.array([0.5, -1.0]), openpi.PROMPT: "push"}
    assert openpi.pack(request) == FRAME
