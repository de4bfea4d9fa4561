import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from vla_bench.errors import WorldError
from vla_bench.suites import load_suites
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import init_states_file


def archive(path, payload: bytes):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", payload)
    return path


def test_all_forty_files():
    for suite in load_suites():
        for task in suite.tasks:
            states = read_init_states(init_states_file(suite, task))
            assert states.shape[0] == suite.init_states and states.dtype == np.float64
            assert len(np.unique(states, axis=0)) == suite.init_states


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    marker = tmp_path / "ran"
    path = archive(tmp_path / "evil.pruned_init", pickle.dumps(Evil(marker)))
    with pytest.raises(WorldError, match="refused.*mkdir"):
        read_init_states(path)
    assert not marker.exists()


def test_code_inside_an_object_array_is_refused(tmp_path):
    marker = tmp_path / "ran"
    array = np.empty((1, 1), object)
    array[0, 0] = Evil(marker)
    with pytest.raises(WorldError, match="refused"):
        read_init_states(archive(tmp_path / "evil.pruned_init", pickle.dumps(array)))
    assert not marker.exists()


def test_truncated_file(tmp_path):
    suite = load_suites()[0]
    whole = init_states_file(suite, suite.tasks[0]).read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 30):
        path = tmp_path / "cut.pruned_init"
        path.write_bytes(whole[:length])
        with pytest.raises(WorldError, match="damaged"):
            read_init_states(path)


def test_truncated_pickle(tmp_path):
    payload = pickle.dumps(np.zeros((50, 110)))
    with pytest.raises(WorldError, match="damaged|refused"):
        read_init_states(archive(tmp_path / "cut.pruned_init", payload[:200]))


@pytest.mark.parametrize("value", [np.zeros(5), np.full((2, 3), np.nan), np.zeros((2, 3), np.float32)])
def test_not_a_table_of_states(tmp_path, value):
    buffer = io.BytesIO()
    pickle.dump(value, buffer)
    with pytest.raises(WorldError, match="not a finite float64 table"):
        read_init_states(archive(tmp_path / "odd.pruned_init", buffer.getvalue()))


def test_missing_file(tmp_path):
    with pytest.raises(WorldError, match="no init states"):
        read_init_states(tmp_path / "nothing.pruned_init")
