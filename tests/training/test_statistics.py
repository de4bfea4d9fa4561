"""One scale per model: of all demonstrations or of its start, and used in evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vla_bench.checkpoints.checkpoint import load
from vla_bench.demonstrations.hdf5 import write_demos
from vla_bench.errors import UsageError
from vla_bench.interface.presets import NANO
from vla_bench.model.normalisation import Statistics, choose_statistics, normalise_actions, unnormalise_actions
from vla_bench.training.data import demo_files
from vla_bench.training.finetune import statistics, train
from vla_bench.training.frames import prepare_frames
from vla_bench.training.recipe import RECIPES, recipe
from vla_bench.training.statistics import dataset_statistics

from ..public_demos import public_file
from ..trainings import TASK, demonstration, request


def test_a_nano_can_answer_all_that_the_expert_did(data, frames):
    """Turns are rare in a demonstration, and as fast as they can be: beyond the reference's 99th percentile."""
    rare = np.array(frames.actions)
    rare[3, 3:6] = 1.0, -1.0, 1.0
    found = {}
    for name in ("nano-oft", "paper"):
        table = dataset_statistics(rare, np.asarray(frames.proprio), 1, recipe(name).normalization)
        scale = Statistics.parse(table, name)
        found[name] = np.abs(unnormalise_actions(normalise_actions(rare, scale), scale) - rare).max()
    assert found["nano-oft"] < 1e-6 < 0.1 < found["paper"]


def test_a_start_with_several_scales_is_refused(data, frames):
    files = demo_files(data)
    (entry,) = statistics(frames, files, "bounds").values()
    with pytest.raises(UsageError, match="one scale"):
        statistics(frames, files, "bounds", {"a": entry, "b": entry | {"num_trajectories": 3}})


def test_a_training_keeps_the_scale_of_its_start(dense, tmp_path):
    """A scale that moved with the data would tell a trained model that its hand is elsewhere."""
    other = tmp_path / "demos" / "libero_goal"
    other.mkdir(parents=True)
    write_demos(other / f"{TASK}_demo.hdf5", {}, [demonstration(7)])
    before = load(dense, device="cpu").statistics
    found = {}
    for fresh in (False, True):
        asked = request(other.parent, tmp_path / f"fresh-{fresh}", start=str(dense), steps=1)
        asked = replace(asked, recipe=replace(asked.recipe, fresh_scale=fresh))
        found[fresh] = load(train(asked).checkpoint, device="cpu").statistics
    (entry,) = before.values()
    assert found[False] == {"libero_object_no_noops": entry, "libero_goal_no_noops": entry}
    assert set(found[True]) == {"libero_goal_no_noops"} and found[True]["libero_goal_no_noops"]["proprio"] != entry["proprio"]
    assert RECIPES["paper"].fresh_scale and not RECIPES["nano-oft"].fresh_scale and not RECIPES["nano-lightvla"].fresh_scale


@pytest.mark.parametrize(
    ("folder", "inside", "suite"),
    [
        ("libero_object_no_noops", False, "libero_object"),
        ("libero_10_256", False, "libero_10"),
        ("libero_spatial", True, "libero_spatial"),
    ],
)
def test_what_was_learnt_of_public_files_is_found_again(tmp_path, monkeypatch, folder, inside, suite):
    """LIBERO's files drawn again lie in folders of other names; `inside`: --data . within one of them."""
    (tmp_path / folder).mkdir()
    public_file(tmp_path / folder / f"{TASK}_demo.hdf5", {"demo_1": 12}, 256, attributes=False)
    monkeypatch.chdir(tmp_path / folder if inside else tmp_path)
    data = Path(".")
    done = train(request(data, tmp_path / "out", steps=1))
    assert choose_statistics(load(done.checkpoint, device="cpu").statistics, suite)[0] == f"{suite}_no_noops"
    assert prepare_frames(demo_files(data), NANO.image_size, data / ".frames").suites == (suite,)  # which --shares go by
