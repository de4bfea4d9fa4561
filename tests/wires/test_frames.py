"""Frames of both wires: what is written is read back, what is hostile is refused before it is built."""

import io
import random
import tracemalloc

import msgpack
import numpy as np
import pytest
from PIL import Image

from vla_bench.errors import WireError
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.frames import CONTAINERS, FRAME, ITEMS, UNPACKED, decode, encode
from vla_bench.wires.vla_eval import Message, MessageType

RANDOM = np.random.default_rng(0)
PICTURE = RANDOM.integers(0, 256, (9, 7, 3), np.uint8)


def image(form: str, data: bytes, shape=PICTURE.shape, **more) -> bytes:
    return msgpack.packb({"__image__": True, "format": form, "data": data, "shape": list(shape), **more})


def file_of(picture: np.ndarray, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize("bytes_keys", [False, True])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", ">i2", "float16", "float32", "<f8"])
def test_an_array_comes_back_as_it_went(dtype, bytes_keys):
    array = RANDOM.integers(0, 2, (2, 3, 4)).astype(dtype)
    back = decode(encode({"a": array}, bytes_keys=bytes_keys))["a"]
    assert back.dtype == array.dtype.newbyteorder("=") and np.array_equal(back, array)
    back[0, 0, 0] = 1  # its own memory


def test_openpi_spells_the_marker_in_bytes_and_vla_eval_in_text():
    assert list(msgpack.unpackb(encode(np.ones(2), bytes_keys=True)))[0] == b"__ndarray__"
    assert list(msgpack.unpackb(encode(np.ones(2))))[0] == "__ndarray__"


def test_numbers_of_numpy_travel_as_numbers():
    assert decode(encode({"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True)})) == {"a": 0.5, "b": 3, "c": True}
    assert decode(msgpack.packb({b"__npgeneric__": True, b"data": 2.5, b"dtype": "<f4"})) == 2.5


def test_pictures_are_decoded():
    raw = decode(image("raw", PICTURE.tobytes(), dtype="|u1"))
    assert np.array_equal(raw, PICTURE) and np.array_equal(decode(image("png", file_of(PICTURE, "PNG"))), PICTURE)
    smooth = np.full((16, 16, 3), 90, np.uint8)
    assert np.abs(decode(image("jpeg", file_of(smooth, "JPEG"), smooth.shape)).astype(int) - 90).max() < 3


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (b"", "not readable"),
        (b"\xc1", "not readable"),
        (encode([1, 2])[:-1], "not readable"),
        (encode(1) + b"\x00", "not readable"),
        (b"\x91" * 100_000 + b"\xc0", "not readable|nested"),
        (b"\x91" * 60 + b"\xc0", "nested more than 50"),
        (b"\xdd\xff\xff\xff\xff", "not readable"),
        (b"\xdf\x7f\xff\xff\xff", "not readable"),
        (b"\xc6\x7f\xff\xff\xff", "not readable"),
        (msgpack.packb([0] * (ITEMS + 1)), "not readable"),
        (msgpack.packb([[]] * 1000 + [[[]] * 1000]), f"more than {CONTAINERS} lists"),
        (msgpack.packb(msgpack.Timestamp(1)), "not readable"),
        (msgpack.packb(msgpack.ExtType(5, b"x")), "not readable"),
        (msgpack.packb({1: 2}), "not readable"),
        (b"\x00" * (FRAME + 1), "at most"),
        (msgpack.packb({"__ndarray__": True, "data": b"x" * 8, "dtype": "|O", "shape": [1]}), "no kind of plain numbers"),
        (msgpack.packb({"__ndarray__": True, "data": b"x" * 8, "dtype": "f4,f4", "shape": [1]}), "no kind of plain numbers"),
        (msgpack.packb({"__ndarray__": True, "data": b"x" * 8, "dtype": "<f4", "shape": [3]}), "has 12 bytes, not 8"),
        (msgpack.packb({"__ndarray__": True, "data": b"x" * 8, "dtype": "<f4", "shape": [-2]}), "no shape"),
        (msgpack.packb({"__ndarray__": True, "data": b"", "dtype": "<f4", "shape": [2**60] * 3}), "no shape"),
        (msgpack.packb({"__ndarray__": True, "data": b"", "dtype": "<f4", "shape": [1] * 40}), "no shape"),
        (msgpack.packb({"__ndarray__": True, "data": [0.0], "dtype": "<f4", "shape": [1]}), "not list"),
        (msgpack.packb({"__ndarray__": True}), "no kind of plain numbers"),
        (image("gif", b"GIF89a"), "format 'gif'"),
        (image("png", b"\x89PNG\r\n\x1a\n"), "cannot be decoded"),
        (image("png", file_of(PICTURE, "PNG")[:60]), "cannot be decoded"),
        (image("png", file_of(PICTURE, "JPEG")), "cannot be decoded"),
        (image("png", file_of(PICTURE, "PNG"), (9, 8, 3)), "the frame says"),
        (image("png", file_of(np.zeros((2049, 3, 3), np.uint8), "PNG"), (2049, 3, 3)), "at most 2048"),
        (image("raw", b"xxx", (1, 1, 3), dtype="|S1"), "no kind of plain numbers"),
    ],
)
def test_a_hostile_frame_is_refused_in_words(frame, says):
    with pytest.raises(WireError, match=says):
        decode(frame)


def test_a_small_frame_cannot_unpack_to_much_memory():
    black = np.zeros((2048, 2048, 3), np.uint8)
    one = msgpack.unpackb(image("png", file_of(black, "PNG"), black.shape))
    frame = msgpack.packb([one] * 100)
    assert len(frame) < FRAME
    tracemalloc.start()
    with pytest.raises(WireError, match="more than"):
        decode(frame)
    assert tracemalloc.get_traced_memory()[1] < 3 * UNPACKED
    tracemalloc.stop()


def test_the_most_texts_that_a_frame_may_hold_fit_into_little_memory():
    frame = msgpack.packb([["ab"] * ITEMS] * (CONTAINERS - 1))
    tracemalloc.start()
    assert len(decode(frame)) == CONTAINERS - 1
    assert tracemalloc.get_traced_memory()[1] < 2 * UNPACKED
    tracemalloc.stop()


def test_mutated_frames_are_read_or_refused():
    """`scripts/fuzz --subject wires` does so with ten thousands."""
    observation = {"images": {"agentview": PICTURE}, "task_description": "push", "states": np.zeros(8)}
    picture = msgpack.unpackb(image("png", file_of(PICTURE, "PNG")))
    frames = [
        vla_eval.pack(Message(MessageType.OBSERVATION, observation, 3)),
        openpi.pack({"observation/image": PICTURE, "prompt": "push"}),
        msgpack.packb({"type": "observation", "payload": {"images": {"wrist": picture}}, "seq": 1, "timestamp": 1.5}),
    ]
    draw, read = random.Random(0), 0
    for _ in range(600):
        frame = bytearray(draw.choice(frames))
        for _ in range(draw.choice((1, 1, 2, 6))):
            frame[draw.randrange(min(len(frame), draw.choice((60, 10**6))))] = draw.randrange(256)
        for unpack in (vla_eval.unpack, openpi.unpack):
            try:
                read += bool(unpack(bytes(frame)))
            except WireError as error:
                assert len(str(error)) < 600
    assert 100 < read < 1100  # some change a pixel alone
