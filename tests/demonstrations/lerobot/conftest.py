"""HDF5 files and the data set that is made of them, shared, so not to be changed."""

import h5py
import numpy as np
import pytest

from ...public_demos import moving_file

NAMES = ("pick_up_the_milk_and_place_it_in_the_basket", "pick_up_the_ketchup_and_place_it_in_the_basket")


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    """Two files of two demonstrations; the second one of the second file has a push after 20 frames."""
    folder = tmp_path_factory.mktemp("demos") / "libero_object"
    files = [moving_file(folder / f"{name}_demo.hdf5") for name in NAMES]
    with h5py.File(files[1], "r+") as file:
        file["data/demo_1/obs/segment"] = np.repeat([0, 1], [20, 28])
    return folder


@pytest.fixture(scope="package")
def files(folder):
    """In the order of the data set: milk, ketchup."""
    return [folder / f"{name}_demo.hdf5" for name in NAMES]


@pytest.fixture(scope="package")
def dataset(files, tmp_path_factory):
    pytest.importorskip("pyarrow", reason="needs the extra `lerobot`")
    from vla_bench.demonstrations.lerobot.writing import write_lerobot

    out = tmp_path_factory.mktemp("out") / "dataset"
    written = write_lerobot(files, out)
    assert (written.episodes, written.demonstrations, written.frames, written.left_out) == (5, 4, 192, {})
    return out
