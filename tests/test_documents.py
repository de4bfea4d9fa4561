"""What others may have written is read within bounds, as values of the types that are written."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vla_bench.arrays import read_array, read_arrays
from vla_bench.documents import MB, Count, Measure, decode, read_bytes, read_object, typed


@dataclass
class Cut:
    site: str
    kept: Count
    share: Measure | None = None


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(60 << 30)
    for name, what in (("pipe", "no regular file"), ("huge", "at most"), ("", "folder"), ("missing", "No such file")):
        with pytest.raises(OSError, match=what):
            read_bytes(tmp_path / name)
    with pytest.raises(OSError, match="no regular file"):
        read_bytes(Path("/dev/zero"))
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"x")
    assert read_bytes(tmp_path / "link") == b"x"


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "[" * 60 + "]" * 60, '{"a":' * 51 + "0" + "}" * 51, "NaN", "[1e999]", "-Infinity", '"\\ud800"', "1 2", ""],
)
def test_json_that_is_refused(text):
    with pytest.raises(ValueError):
        decode(text)


def test_an_object_with_a_byte_order_mark_is_one(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, null]}')
    assert read_object(tmp_path / "a.json") == {"a": [1, 2.5, None]}
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ValueError, match="a list, not an object"):
        read_object(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ({"site": "x", "kept": -1}, "kept is -1: Expected `int` >= 0"),
        ({"site": "x", "kept": 2**62}, "kept is 4611686018427387904: Expected `int` <="),
        ({"site": "x", "kept": True}, "kept is True: Expected `int`, got `bool`"),
        ({"site": "x", "kept": 1.0}, "kept is 1.0"),
        ({"site": None, "kept": 1}, "site is None"),
        ({"site": "x", "kept": 1, "share": 1e300}, "share is 1e"),
        ({"site": "x"}, "missing required field `kept`"),
        ([], "Expected `object`"),
    ],
)
def test_values_of_other_types_are_named(table, what):
    with pytest.raises(ValueError, match=what):
        typed(table, Cut)


def test_values_of_the_types_that_are_written():
    assert typed([{"site": "x", "kept": 3, "share": 1}], tuple[Cut, ...]) == (Cut("x", 3, 1.0),)


@pytest.mark.parametrize("order", ("C", "F"))
def test_arrays_come_back(tmp_path, order):
    written = np.asarray(np.arange(12.0).reshape(3, 4), order=order)
    np.save(tmp_path / "a.npy", written)
    np.savez_compressed(tmp_path / "a.npz", one=written, two=np.array(["x", "yz"]))
    assert np.array_equal(read_array(tmp_path / "a.npy"), written)
    both = read_arrays(tmp_path / "a.npz")
    assert np.array_equal(both["one"], written) and list(both["two"]) == ["x", "yz"]
    with pytest.raises(ValueError, match="it lacks three"):
        read_arrays(tmp_path / "a.npz", ["one", "three"])


def header(shape, descr="<f8"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        header((10**12,)) + bytes(80),
        header((2**62, 4)) + bytes(80),
        header((-2, -5)) + bytes(80),
        header((10,), "|O") + bytes(80),
        header((10,), "nonsense") + bytes(80),
        header((9,)) + bytes(80),
        header((1,) * 100) + bytes(8),
        header("((" * 40) + bytes(8),
        b"\x93NUMPY\x01\x00",
        b"\x80\x04.",
        b"",
    ],
)
def test_headers_that_lie_are_refused(tmp_path, data):
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ValueError):
        read_array(tmp_path / "a.npy")


def test_a_zip_that_unpacks_to_much_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(2 * MB))
    with pytest.raises(ValueError, match="unpacks to"):
        read_arrays(tmp_path / "a.npz", most=MB)
