"""What experiment trackers are told of a training."""

import pytest

from vla_bench.training.finetune import train
from vla_bench.training.tracked import TrackedTraining

from ..made_trackers import Recorder
from ..trainings import request


def test_every_step_is_told_and_how_it_ended(data, tmp_path):
    tracker, seen, asked = Recorder(), [], request(data, tmp_path / "nano", steps=2)
    with TrackedTraining(lambda step, *_: seen.append(step), tracker, asked.recipe, asked.out) as on_step:
        assert train(asked, on_step).finished
    (_, name, config), (_, first, values), (_, second, _), (_, summary) = tracker.told
    assert (first, second, seen) == (1, 2, [1, 2]) and values["loss"] > 0 and config["batch"] == 2
    assert name.startswith("nano-") and summary["status"] == "complete" and summary["step"] == 2


def test_the_command_logs_to_tensorboard(data, cli, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    what = ["--recipe", "nano-oft", "--data", str(data), "--out", "nano", "--steps", "2", "--batch", "2", "--device", "cpu"]
    assert cli("train", *what, "--tensorboard", "tb").exit_code == 0
    (folder,) = (tmp_path / "tb").iterdir()
    read = EventAccumulator(str(folder))
    read.Reload()
    assert [each.step for each in read.Scalars("loss")] == [1, 2] and {"rate", "samples_per_s"} <= {*read.Tags()["scalars"]}


def test_one_that_fails_says_so_and_one_that_never_began_says_nothing(data, tmp_path):
    tracker, asked = Recorder(), request(data, tmp_path, steps=2)
    with pytest.raises(ValueError), TrackedTraining(lambda *_: None, tracker, asked.recipe, asked.out) as on_step:
        on_step(1, 2, {"loss": 1.0})
        raise ValueError
    assert tracker.told[-1][1]["status"] == "ValueError"
    with TrackedTraining(lambda *_: None, tracker, asked.recipe, asked.out) as on_step:
        on_step(1, 2, {"loss": 1.0})
    assert tracker.told[-1][1]["status"] == "interrupted" and tracker.told[0][1] == tracker.told[-3][1]
    with TrackedTraining(lambda *_: None, never := Recorder(), asked.recipe, asked.out):
        pass
    assert never.told == []
