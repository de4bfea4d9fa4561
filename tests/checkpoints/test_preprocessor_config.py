"""preprocessor_config.json: the public layout, read and written."""

import json
import math
from pathlib import Path

import pytest

from vla_bench.checkpoints.preprocessor_config import preprocessor_config, read_normalisation
from vla_bench.errors import CheckpointError
from vla_bench.model.images import Normalisation


def write(folder: Path, table) -> Path:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(table))
    return path


def test_the_public_layout_of_the_preprocessor_file(shared):
    path = shared("fixtures/tiny_ckpt/preprocessor_config.json")
    assert read_normalisation(path) == Normalisation()
    public, ours = json.loads(path.read_text()), preprocessor_config(Normalisation(), 56)
    for table in (public, ours):  # the public file has the unrounded numbers here, which nothing reads
        del table["means"], table["stds"]
    assert ours == public


def test_preprocessor_file_round_trip(tmp_path):
    own = Normalisation(((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), ((0.7, 0.8, 0.9), (1.0, 1.1, 1.2)))
    path = write(tmp_path, preprocessor_config(own, 112))
    assert read_normalisation(path) == own
    table = preprocessor_config(own, 112)
    table["means"], table["stds"] = [[9, 9, 9]] * 2, [[9, 9, 9]] * 2
    assert read_normalisation(write(tmp_path, table)) == own  # tvf_normalize_params wins
    del table["tvf_normalize_params"]
    assert read_normalisation(write(tmp_path, table)).means == ((9.0, 9.0, 9.0), (9.0, 9.0, 9.0))


@pytest.mark.parametrize(
    "table",
    [
        {},
        [],
        {"means": [[0.5] * 3], "stds": [[0.5] * 3]},
        {"means": [[0.5] * 3] * 2},
        {"means": [[0.5] * 3] * 2, "stds": [[0.0] * 3] * 2},
        {"means": [[math.nan] * 3] * 2, "stds": [[0.5] * 3] * 2},
        {"tvf_normalize_params": [{"mean": [0.5] * 3}] * 2},
        {"tvf_normalize_params": "none"},
    ],
)
def test_preprocessor_file_of_something_else(tmp_path, table):
    with pytest.raises(CheckpointError, match="preprocessor_config.json"):
        read_normalisation(write(tmp_path, table))


def test_preprocessor_file_missing_or_cut(tmp_path):
    with pytest.raises(CheckpointError, match="has no preprocessor_config.json"):
        read_normalisation(tmp_path / "preprocessor_config.json")
    path = tmp_path / "preprocessor_config.json"
    path.write_text('{"means": [[0.5')
    with pytest.raises(CheckpointError, match="is not JSON"):
        read_normalisation(path)
