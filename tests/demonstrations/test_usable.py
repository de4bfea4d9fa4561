"""Demonstrations that cannot be used are left out, one by one, with file, demonstration, array and row."""

import h5py
import numpy as np
import pytest

from vla_bench.demonstrations.layout import LAYOUT
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError

from ..public_demos import moving_file

NUMBERS = [name for name, row in LAYOUT.items() if len(row) < 3 and name not in ("rewards", "dones")]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_what_is_no_number_is_found_wherever_it_stands(tmp_path, name, value):
    path = moving_file(tmp_path / "x_demo.hdf5")
    with h5py.File(path, "r+") as file:
        file[f"data/demo_1/{name}"][7, 1] = value
    demos = UsableDemos(path)
    assert demos.left_out == {"demo_1": f"demo_1: {name}, row 7: {value:g}"}
    assert [demo.name for demo in demos.read()] == ["demo_0"]


def still(group):
    group["actions"][:, :6], group["actions"][:, 6] = 0, -1


def nothing(group):
    for name in LAYOUT:
        array = group[name][:0]
        del group[name]
        group[name] = array


@pytest.mark.parametrize(
    ("change", "complaint"), [(still, "all of its 48 steps are no-ops"), (nothing, r"has no steps: actions is \(0, 7\)")]
)
def test_demonstrations_in_which_nothing_happens(tmp_path, change, complaint):
    path = moving_file(tmp_path / "x_demo.hdf5", count=3)
    with h5py.File(path, "r+") as file:
        change(file["data/demo_1"])
    demos = UsableDemos(path)
    assert [demo.name for demo in demos.read()] == ["demo_0", "demo_2"] and list(demos.left_out) == ["demo_1"]
    with h5py.File(path, "r+") as file:
        for name in ("demo_0", "demo_2"):
            change(file["data"][name])
    with pytest.raises(RecordError, match=f"cannot use any of its 3 demonstrations: demo_0:? {complaint}"):
        UsableDemos(path)


def test_a_damaged_image_costs_its_demonstration(tmp_path):
    path = moving_file(tmp_path / "x_demo.hdf5")
    with h5py.File(path, "r+") as file:
        images = file["data/demo_0/obs/agentview_rgb"][:]
        del file["data/demo_0/obs/agentview_rgb"]
        made = file.create_dataset("data/demo_0/obs/agentview_rgb", data=images, compression="gzip", chunks=(8, 48, 48, 3))
        at = made.id.get_chunk_info(2).byte_offset
    with open(path, "r+b") as raw:
        raw.seek(at)
        raw.write(b"\0" * 64)
    demos = UsableDemos(path)
    assert not demos.left_out  # its images are not read yet
    assert [demo.name for demo in demos.read()] == ["demo_1"]
    assert "demo_0: obs/agentview_rgb is damaged" in demos.left_out["demo_0"]


def test_a_file_without_demonstrations_is_refused(tmp_path):
    with pytest.raises(RecordError, match="x_demo.hdf5 holds no demonstrations: its group `data` is empty"):
        UsableDemos(moving_file(tmp_path / "x_demo.hdf5", count=0))
