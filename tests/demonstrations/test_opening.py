"""Files are not trusted: links lead nowhere, sizes are checked before reading, damage is an error with a name."""

import random
import resource

import h5py
import numpy as np
import pytest

from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import VlaBenchError

from ..public_demos import moving_file, public_file


@pytest.mark.parametrize("place", ["data", "data/demo_0", "data/demo_0/obs", "data/demo_0/obs/ee_pos"])
@pytest.mark.parametrize("kind", ["external", "soft"])
def test_links_are_not_followed(tmp_path, place, kind):
    """The other file is whole: followed, the link would give demonstrations."""
    path, other = (moving_file(tmp_path / f"{name}_demo.hdf5", count=1) for name in ("x", "other"))
    with h5py.File(path, "r+") as file:
        file.move(place, "elsewhere")
        file[place] = h5py.ExternalLink(str(other), place) if kind == "external" else h5py.SoftLink("/elsewhere")
    with pytest.raises(VlaBenchError, match=f"is a link to .*{'other_demo' if kind == 'external' else '/elsewhere'}") as caught:
        UsableDemos(path)
    assert caught.value.fix.startswith("h5copy")


def virtual(group):
    layout = h5py.VirtualLayout((48, 7), "f8")
    layout[:] = h5py.VirtualSource("secret.hdf5", "x", (48, 7))
    group.create_virtual_dataset("actions", layout)


REPLACED = {
    "lies in other files": [
        virtual,
        lambda group: group.create_dataset("actions", (48, 7), "f8", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]),
    ],
    "has no numbers but": [
        lambda group: group.create_dataset("actions", data=np.array(["7"] * 48, "S3")),
        lambda group: group.create_dataset("actions", data=[group.ref] * 48, dtype=h5py.ref_dtype),
        lambda group: group.create_dataset("actions", (48, 7), h5py.vlen_dtype(np.float64)),
        lambda group: group.create_dataset("actions", data=np.zeros(48, [("a", "f8")])),
        lambda group: group.create_dataset("actions", dtype="f8", data=h5py.Empty("f8")),
        lambda group: group.create_dataset("actions", (48, 7), "c16"),
    ],
    "GiB; at most 2 GiB are read": [
        lambda group: group.create_dataset("actions", (10**12, 7), "f8", chunks=(1000, 7)),
        lambda group: group.create_dataset("actions", (48, 10**10), "f8", chunks=(1, 1000)),
    ],
    "was never written": [lambda group: group.create_dataset("actions", (48, 7), "f8", chunks=(8, 7))],
    "is not an array": [lambda group: group.create_group("actions")],
    "has no actions": [lambda group: None],
}


@pytest.mark.parametrize(("complaint", "replace"), [(complaint, each) for complaint, some in REPLACED.items() for each in some])
def test_arrays_that_are_none(tmp_path, complaint, replace):
    path = moving_file(tmp_path / "x_demo.hdf5")
    with h5py.File(path, "r+") as file:
        del file["data/demo_1/actions"]
        replace(file["data/demo_1"])
    demos = UsableDemos(path)
    assert complaint in demos.left_out["demo_1"] and "demo_1" in demos.left_out["demo_1"] and len(list(demos.read())) == 1


def test_other_things_in_the_place_of_groups(tmp_path):
    path = moving_file(tmp_path / "x_demo.hdf5")
    with h5py.File(path, "r+") as file:
        file["data/notes"] = "text"
        file["data/\x1b[31m"] = np.zeros(3)
    demos = UsableDemos(path)
    assert all("is not a group" in why for why in demos.left_out.values()) and len(list(demos.read())) == 2
    assert sorted(demos.left_out) == ["\x1b[31m", "notes"] and "\x1b" not in demos.left_out["\x1b[31m"]
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(VlaBenchError, match="data is not a group"):
        UsableDemos(path)


def test_damage_anywhere_is_an_error_or_leaves_demonstrations_out(tmp_path):
    """Files with a few other bytes among the first 40 kB, where the structure lies, or cut off; 8 GB suffice for each."""
    whole, path, draw = (
        public_file(tmp_path / "a_demo.hdf5", {"demo_0": 9, "demo_1": 9}, 16).read_bytes(),
        tmp_path / "x_demo.hdf5",
        random.Random(0),
    )
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, limits[1]))
    ends = {"refused": 0, "whole": 0, "less": 0}
    try:
        for number in range(120):
            changed = bytearray(whole if number % 6 else whole[: draw.randrange(len(whole))])
            for _ in range(draw.choice((1, 3, 12)) if number % 6 else 0):
                changed[draw.randrange(40_000)] = draw.choice((0, 255, draw.randrange(256)))
            path.write_bytes(changed)
            try:
                ends["whole" if len(list(UsableDemos(path).read())) == 2 else "less"] += 1
            except VlaBenchError as error:
                assert "x_demo.hdf5" in error.message
                ends["refused"] += 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert min(ends.values()) > 5, ends
