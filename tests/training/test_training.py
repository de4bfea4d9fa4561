"""Training: what a step computes, that a kill changes nothing, that two processes are one, and the parts beside it."""

from __future__ import annotations

import colorsys
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from vla_bench.checkpoints.checkpoint import load, save
from vla_bench.checkpoints.files import TOKENIZER_FILES
from vla_bench.demonstrations.demo_file import LAYOUT, Demo, chunk_starts, suite_name, write_demos
from vla_bench.errors import CheckpointError, ModelError, NotComparableError, RecordError, UsageError
from vla_bench.interface.noise import NoiseSchedule
from vla_bench.interface.presets import NANO
from vla_bench.locks import locked
from vla_bench.model.images import Normalisation, centre_crop, prepare
from vla_bench.model.initialise import random_vla
from vla_bench.model.normalisation import Statistics, choose_statistics, normalise_actions, unnormalise_actions
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
from vla_bench.pruners.registry import BUILT_IN, make_pruner
from vla_bench.training import finetune
from vla_bench.training.augment import Augmentation, crop, scale_saturation, turn_hue
from vla_bench.training.data import demo_files
from vla_bench.training.finetune import TrainRequest, statistics, train
from vla_bench.training.frames import prepare_frames
from vla_bench.training.precision import Precision
from vla_bench.training.recipe import RECIPES, recipe
from vla_bench.training.samples import Samples
from vla_bench.training.schedule import LearningRate
from vla_bench.training.shares import parse_shares
from vla_bench.training.statistics import dataset_statistics
from vla_bench.training.step import Loss

from .. import nanos
from ..conftest import ROOT
from ..public_demos import public_file

TASK = "pick_up_the_milk_and_place_it_in_the_basket"
SHORT = {"steps": 6, "batch": 4, "seed": 3}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the processes that are started here; the order of adding is part of a weight's last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def demonstration(seed: int, frames: int = 22) -> Demo:
    """The arm moves, the gripper closes in the middle, two steps do nothing, and something happens after step 15."""
    draw = np.random.default_rng(seed)
    arrays = {name: draw.normal(size=(frames, *(n or 5 for n in row))) for name, row in LAYOUT.items() if len(row) < 3}
    arrays["actions"] = np.clip(0.4 * draw.normal(size=(frames, 7)), -1, 1)
    arrays["actions"][:, 6] = np.where(np.arange(frames) < 11, -1.0, 1.0)
    arrays["actions"][4:6, :6] = 0
    for name in ("obs/agentview_rgb", "obs/eye_in_hand_rgb"):
        arrays[name] = np.kron(draw.integers(0, 256, (frames, 8, 8, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)
    for name in ("rewards", "dones"):
        arrays[name] = np.zeros(frames, np.uint8)
    segment = (np.arange(frames) > 15).astype(np.int64)
    return Demo("", "", arrays, segment, draw.normal(size=(frames, 2, 3)), ("milk_1", "basket_1"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demos")
    (folder / "libero_object").mkdir()
    write_demos(folder / "libero_object" / f"{TASK}_demo.hdf5", {"num_demos": 2}, [demonstration(0), demonstration(1)])
    return folder


@pytest.fixture(scope="module")
def frames(data):
    return prepare_frames(demo_files(data), NANO.image_size, data / ".frames")


@pytest.fixture(scope="module")
def samples(data, frames):
    (entry,) = statistics(frames, demo_files(data), "bounds").values()
    parsed = Statistics.parse(entry, "x")
    return Samples(frames, NANO, Tokenizer(NANO_TOKENIZER, NANO.tokens), parsed, Normalisation(), 0, Augmentation(), 3.0)


def request(data, out, name="nano-oft", resume=False, **options):
    return TrainRequest(recipe(name).with_options(**SHORT | options), data, out, "cpu", save_every=2, resume=resume)


def weights(folder):
    files = sorted(folder.glob("checkpoint/*.safetensors"))
    return {f"{file.name}:{name}": value for file in files for name, value in load_file(file).items()}


def test_frames_are_what_evaluation_shows_before_the_crop(data, frames):
    assert frames.images.shape == (40, 2, 112, 112, 3) and frames.episodes == 2  # 2 x (22 - 2 that do nothing)
    frame = demonstration(1)["obs/eye_in_hand_rgb"][0]
    assert np.array_equal(centre_crop(frames.images[np.array([20])][0, 1]), prepare(frame, 112))
    assert set(frames.actions[:, 6]) == {0.0, 1.0} and frames.actions[0, 6] == 1.0  # 1 is open
    assert frames.instructions == (TASK.replace("_", " "),)
    assert np.flatnonzero(frames.ends).tolist() == [19, 39] and len(set(frames.segment)) == 4
    assert np.isfinite(frames.targets[:, :2]).all() and np.isnan(frames.targets[:, 2]).all()


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


def test_only_what_changed_is_prepared_again(data, tmp_path):
    files = [tmp_path / f"task{i}_demo.hdf5" for i in range(2)]
    for i, file in enumerate(files):
        write_demos(file, {}, [demonstration(i)])
    first = prepare_frames(files, 28, tmp_path / "cache")
    before = sorted((tmp_path / "cache").glob("[!.]*"))
    write_demos(files[1], {}, [demonstration(2), demonstration(3)])
    second = prepare_frames(files, 28, tmp_path / "cache")
    after = sorted((tmp_path / "cache").glob("[!.]*"))
    assert len(set(before) & set(after)) == 1 and len(after) == 2
    assert (first.episodes, second.episodes, len(second.actions)) == (2, 3, 60)
    rows = np.array([59, 0, 25, 19, 20])
    alone = [prepare_frames([file], 28, tmp_path / "cache").images for file in files]
    picked = [alone[int(row >= 20)][np.array([row if row < 20 else row - 20])][0] for row in rows]
    assert np.array_equal(second.images[rows], np.stack(picked))


def test_the_demonstration_files_of_what_is_asked_for(tmp_path):
    """Links are followed, also round in a circle; a file is one; what is not there is said not to be."""
    disk, demos = tmp_path / "disk", tmp_path / "demos"
    (disk / "goal").mkdir(parents=True)
    demos.mkdir()
    file = public_file(disk / "goal" / "x_demo.hdf5", {"demo_0": 9})
    (demos / "libero_goal").symlink_to(disk / "goal")
    (disk / "goal" / "round").symlink_to(demos)
    assert demo_files(demos) == [demos / "libero_goal" / "x_demo.hdf5"] and demo_files(file) == [file]
    with pytest.raises(RecordError, match="demo does not exist"):
        demo_files(tmp_path / "demo")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="empty holds no demonstrations"):
        demo_files(tmp_path / "empty")


def test_one_file_is_trained_on_and_its_pictures_lie_beside_it(data, tmp_path):
    (tmp_path / "libero_object").mkdir()
    file = shutil.copy(demo_files(data)[0], tmp_path / "libero_object")
    done = train(request(Path(file), tmp_path / "out", steps=1))
    assert set(load(done.checkpoint, device="cpu").statistics) == {"libero_object_no_noops"}
    assert (tmp_path / "libero_object" / ".frames").is_dir()


def test_demonstrations_that_are_not_all_made_are_warned_of(data, tmp_path, caplog):
    demos = tmp_path / "demos"
    (demos / "parts").mkdir(parents=True)
    (demos / "demos.json").touch()
    with pytest.raises(RecordError, match="no task .* is complete"):
        demo_files(demos)
    shutil.copytree(data / "libero_object", demos / "libero_object")
    train(request(tmp_path, tmp_path / "out", steps=1))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [str(demos)]
    (demos / "parts").rmdir()
    train(request(tmp_path, tmp_path / "again", steps=1))
    assert len(caplog.records) == 1


def test_beside_demonstrations_that_nobody_may_write_to_nothing_is_prepared(data, tmp_path, monkeypatch):
    shutil.copytree(data / "libero_object", tmp_path / "demos" / "libero_object")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, *mode: "demos" not in Path(path).parts and allowed(path, *mode))
    train(request(tmp_path / "demos", tmp_path / "out", steps=1))
    assert not (tmp_path / "demos" / ".frames").exists() and len(list((tmp_path / "out" / ".frames").glob("[!.]*"))) == 1
    shutil.move(tmp_path / "out" / ".frames", tmp_path / "demos")  # prepared by somebody who may: found there
    train(request(tmp_path / "demos", tmp_path / "out", steps=1, resume=True))
    assert not (tmp_path / "out" / ".frames").exists()


def test_chunks_do_not_cross_what_nobody_should_imitate(frames):
    starts = chunk_starts(frames.segment, 8)
    assert starts.tolist() == [*range(0, 7), *range(20, 27)]  # 14 frames of the first segment, 6 of the second: too few


def test_a_batch_depends_on_seed_and_step_alone_and_can_be_shared(samples):
    whole, again, other = samples.batch(5, 6), samples.batch(5, 6), samples.batch(6, 6)
    assert torch.equal(whole.inputs.pixel_values, again.inputs.pixel_values) and whole.seeds == again.seeds
    assert not torch.equal(whole.inputs.pixel_values, other.inputs.pixel_values)
    halves = [samples.batch(5, 6, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([h.inputs.pixel_values for h in halves]), whole.inputs.pixel_values)
    assert torch.equal(torch.cat([h.actions for h in halves]), whole.actions)
    assert whole.actions.abs().max() <= 1 and whole.actions.shape == (6, 8, 7)


@pytest.fixture(scope="module")
def longer(data, frames):
    """Frames of 40 steps in which the gripper closes at the 30th, and of 30 that begin closed and open at once; how to draw."""
    rows = np.arange(70) % 20
    many = {name: getattr(frames, name)[rows] for name in ("proprio", "actions", "instruction", "targets")}
    many["actions"][:, 6] = [*(i < 30 for i in range(40)), 0, *[1] * 29]
    (entry,) = statistics(frames, demo_files(data), "bounds").values()
    made = Tokenizer(NANO_TOKENIZER, NANO.tokens), Statistics.parse(entry, "x"), Normalisation(), 0
    return replace(frames, segment=np.repeat([0, 1], (40, 30)), ends=np.arange(70) % 40 == 39, **many), made


def test_chunks_near_a_switch_of_the_gripper_are_drawn_more_often(longer):
    frames, made = longer
    samples = Samples(frames, NANO, *made, switch_weight=3.0)
    chances = np.diff(samples._cumulative, prepend=0.0)
    weights = dict(zip(samples.starts.tolist(), (chances / chances.min()).round(6).tolist(), strict=True))
    # From 15 steps before a switch, where the next chunk ends with it; never for that of another demonstration.
    near = {*range(15, 31), 40, 41}
    assert weights == {start: 3.0 if start in near else 1.0 for start in [*range(33), *range(40, 63)]}


def test_the_last_steps_are_learnt_with_the_last_action_repeated(longer):
    """The first 40 frames end a demonstration, the other 30 are cut off by something that nobody should imitate."""
    frames, made = longer
    plain, filled = Samples(frames, NANO, *made), Samples(frames, NANO, *made, fill_ends=True)
    assert set(filled.starts) - set(plain.starts) == {33, 34, 35, 36, 37, 38, 39}
    chunk = filled.collate(np.array([37]), [0]).actions[0]
    assert torch.equal(chunk[:2], torch.from_numpy(filled.actions[37:39]))
    assert torch.equal(chunk[2:], torch.from_numpy(filled.actions[39]).expand(6, 7))
    assert not RECIPES["paper"].fill_ends  # the reference does not


def test_suites_are_drawn_by_their_shares_and_their_tasks_evenly(longer):
    frames, made = longer
    three = np.repeat([0, 1, 2], (30, 10, 30))
    uneven = replace(frames, instruction=three, instructions=("a", "b", "c"), suites=("libero_goal", "libero_goal", "libero_10"))
    samples = Samples(uneven, NANO, *made, switch_weight=3.0, shares=parse_shares("long=3"))
    chances, task = np.diff(samples._cumulative, prepend=0.0), three[samples.starts]
    assert [chances[task == i].sum() for i in range(3)] == pytest.approx([1 / 8, 1 / 8, 3 / 4])
    assert chances[task == 2].max() / chances[task == 2].min() == pytest.approx(3.0)


@pytest.mark.parametrize("text", ["long", "long=0", "long=nan", "libero_10=2", "long=1,=2"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="--shares"):
        recipe("nano-oft").with_options(shares=text)


def test_steps_that_prune_as_evaluation_does_are_spread_evenly(data, tmp_path):
    half = replace(RECIPES["nano-lightvla"], kept_once=0.5)
    assert [half.once(step) for step in range(6)] == [False, True] * 3
    assert sum(replace(half, kept_once=0.3).once(step) for step in range(100)) == 30
    assert not any(replace(half, kept_once=0.0).once(step) for step in range(100)) and RECIPES["paper"].kept_once == 0
    with pytest.raises(UsageError, match="--kept-once"):
        replace(half, kept_once=1.0)


@pytest.mark.parametrize("name", ["lightvla", "lightvla-star-vision", "lightvla-star-llm1"])
def test_a_pruner_that_keeps_once_trains_what_is_evaluated(name):
    model, batch = random_vla(NANO, 0, make_pruner(name)), nanos.inputs(4)
    expected = nanos.answer(model.eval(), batch)
    model.train()
    repeated = model(batch)
    model.pruner.once = True
    once = model(batch)
    assert repeated.tokens.visual > once.tokens.visual == expected.tokens.visual
    torch.testing.assert_close(once.actions, expected.actions, atol=1e-5, rtol=0)
    once.actions.sum().backward()
    assert model.openvla.projector.fc1.weight.grad.abs().sum() > 0


def test_without_augmentation_a_sample_is_the_evaluations(samples, frames):
    plain = Samples.__new__(Samples)
    plain.__dict__ |= samples.__dict__ | {"augmentation": None}
    seen = plain.collate(np.array([20]), [0]).inputs.pixel_values[0, 6:9]
    colours = prepare(demonstration(1)["obs/eye_in_hand_rgb"][0], 112).transpose(2, 0, 1) / 255.0
    shown = seen * samples.std[0, 0] + samples.mean[0, 0]
    assert np.abs(shown.numpy() - colours).max() < 1.5 / 255


def test_augmentation_against_plain_arithmetic():
    images = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(crop(images, torch.tensor([0.0, 1.0]), 1.0), images, atol=1e-6)
    corner = crop(images, torch.tensor([0.0, 1.0]), 0.36)
    assert torch.allclose(corner[0, :, 0, 0], images[0, :, 0, 0]) and torch.allclose(corner[1, :, -1, -1], images[1, :, -1, -1])
    turned = turn_hue(images, torch.tensor([0.04, -0.04]).view(2, 1, 1, 1))
    greyer = scale_saturation(images, torch.tensor([0.8, 1.2]).view(2, 1, 1, 1))
    for i, turn, factor in ((0, 0.04, 0.8), (1, -0.04, 1.2)):
        h, s, v = colorsys.rgb_to_hsv(*images[i, :, 2, 3].tolist())
        assert turned[i, :, 2, 3].tolist() == pytest.approx(colorsys.hsv_to_rgb((h + turn) % 1, s, v), abs=1e-5)
        assert greyer[i, :, 2, 3].tolist() == pytest.approx(colorsys.hsv_to_rgb(h, min(1, s * factor), v), abs=1e-5)


def augmented_by_hand(image, place, brightness, contrast, saturation, hue):
    """The reference's augmentation of one picture (S, S, 3), pixel by pixel; the last four are what is added or multiplied."""
    size, side = len(image), 0.9**0.5
    found = np.empty_like(image)
    for row, column in np.ndindex(size, size):
        y, x = ((place * (1 - side) + side * i / (size - 1)) * (size - 1) for i in (row, column))
        top, left = min(int(y), size - 2), min(int(x), size - 2)
        (a, b), (c, d) = image[top : top + 2, left : left + 2]
        y, x = y - top, x - left
        found[row, column] = (1 - y) * ((1 - x) * a + x * b) + y * ((1 - x) * c + x * d)
    found = np.clip(found + brightness, 0, 1)
    mean = found.mean(axis=(0, 1))
    found = np.clip(mean + (found - mean) * contrast, 0, 1)
    for row, column in np.ndindex(size, size):
        h, s, v = colorsys.rgb_to_hsv(*found[row, column])
        found[row, column] = colorsys.hsv_to_rgb((h + hue) % 1, min(1, s * saturation), v)
    return found


def test_the_augmentation_is_the_references():
    """Every number drawn another way, every step clipped: crop, brightness, contrast, saturation, hue."""
    images = torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(1))
    draws = torch.tensor([[0.1, 0.9, 0.95, 0.05, 0.8], [0.7, 0.15, 0.8, 0.9, 0.3]])
    made = Augmentation()(images, draws).permute(0, 2, 3, 1).numpy()
    shifts = [(0.1, 0.16, 1.18, 0.82, 0.03), (0.7, -0.14, 1.12, 1.16, -0.02)]
    for image, shift, found in zip(images.permute(0, 2, 3, 1).double().numpy(), shifts, made, strict=True):
        assert np.abs(augmented_by_hand(image, *shift) - found).max() < 1e-5


def test_the_papers_schedules():
    paper = RECIPES["paper"]
    assert (paper.steps, paper.batch, paper.learning_rate, paper.lora_rank, paper.weight_decay) == (40_000, 64, 5e-4, 32, 0.01)
    factors = [paper.rate_schedule.factor(step, paper.steps) for step in (0, 29_999, 30_000, 39_999)]
    assert factors == [1.0, 1.0, 0.1, 0.1]
    assert [NoiseSchedule.LINEAR.scale(step, 40_000) for step in (0, 20_000, 40_000)] == [1.0, 0.5, 0.0]
    assert NoiseSchedule.CONSTANT.scale(9, 10) == 1.0 and NoiseSchedule.NONE.scale(0, 10) is None
    cosine = [LearningRate.COSINE.factor(step, 1000) for step in range(1000)]
    assert max(cosine) <= 1 and np.argmax(cosine) in (19, 20) and cosine[-1] == pytest.approx(0.1, abs=1e-3)


def test_a_trapezoid_can_be_made_longer_until_it_falls():
    factor = LearningRate.TRAPEZOID.factor
    rates = [factor(step, 10_000) for step in range(10_000)]
    assert rates[0] == 1 / 200 and set(rates[199:7_001]) == {1.0} and rates[8_500] == pytest.approx(0.5) and rates[-1] < 1e-3
    assert LearningRate.TRAPEZOID.prolongs(7_000, 10_000, 20_000)
    assert all(factor(step, 10_000) == factor(step, 20_000) for step in range(7_001))
    assert not LearningRate.TRAPEZOID.prolongs(7_001, 10_000, 20_000)
    assert not LearningRate.TRAPEZOID.prolongs(7_000, 10_000, 9_999)
    assert not LearningRate.COSINE.prolongs(10, 1_000, 2_000)


def test_training_lowers_the_loss_and_leaves_a_checkpoint_that_loads(data, tmp_path):
    seen = []
    done = train(request(data, tmp_path, steps=30, pruner="lightvla"), lambda *row: seen.append(row[2]))
    first, last = (np.mean([row["action"] for row in part]) for part in (seen[:5], seen[-5:]))
    assert last < 0.9 * first and all(1 <= row["kept"] <= 128 for row in seen)
    loaded = load(done.checkpoint, device="cpu")
    assert loaded.kind.value == "lightvla" and loaded.model.pruner.name == "lightvla"
    assert "libero_object_no_noops" in loaded.statistics and loaded.tokenizer_file is not None
    assert (tmp_path / "training.png").stat().st_size > 10_000 and len(done.log.read_text().splitlines()) == 31


def test_a_killed_training_goes_on_to_the_same_weights(data, tmp_path):
    straight = train(request(data, tmp_path / "straight"))
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "vla_bench", "train", "--recipe", "nano-oft", "--data", str(data), "--out", str(killed)]
    command += ["--steps", "6", "--batch", "4", "--seed", "3", "--save-every", "2", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    log, deadline = killed / "log.csv", time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) >= 4):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "checkpoint").exists() and (killed / "state.pt").exists()
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 2 and "--resume" in again.stderr
    done = subprocess.run([*command, "--resume"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == str(killed / "checkpoint"), done.stderr
    left, right = weights(straight.checkpoint.parent), weights(killed)
    assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    assert len(log.read_text().splitlines()) == 7


def test_another_recipe_cannot_resume(data, tmp_path):
    train(request(data, tmp_path, steps=1))
    with pytest.raises(NotComparableError, match="seed: 3 there, 4 now"):
        train(request(data, tmp_path, resume=True, steps=1, seed=4))


def test_other_data_or_another_start_cannot_resume(data, tmp_path):
    """Their statistics would be written beside weights that never saw them."""
    grown = tmp_path / "grown"
    shutil.copytree(data / "libero_object", grown / "libero_object")
    dense = train(request(grown, tmp_path / "dense", steps=1)).checkpoint
    train(request(grown, tmp_path / "tuned", "nano-lightvla", start=str(dense), steps=2))
    write_demos(grown / "libero_object" / f"{TASK.replace('milk', 'butter')}_demo.hdf5", {}, [demonstration(2)])
    for again in (request(grown, tmp_path / "dense", steps=1, resume=True), request(grown, tmp_path / "dense", steps=1)):
        with pytest.raises(NotComparableError, match="whose data changed"):
            train(replace(again, resume=True) if again.resume else replace(again, export=tmp_path / "look"))
    other = train(request(data, tmp_path / "other", steps=1, seed=9)).checkpoint
    shutil.rmtree(dense)
    shutil.copytree(other, dense)
    with pytest.raises(NotComparableError, match="whose data and start changed"):
        train(request(grown, tmp_path / "tuned", "nano-lightvla", start=str(dense), steps=2, resume=True))


def test_the_recipe_of_nano_lightvla_starts_from_the_bundled_nano_oft():
    begun = finetune.start(RECIPES["nano-lightvla"], torch.device("cpu"))
    assert begun.tokenizer_file.parent.name == "nano-oft" and begun.sha256 and begun.model.pruner.name == "lightvla"


def test_a_training_keeps_the_scale_of_its_start(data, tmp_path):
    """A scale that moved with the data would tell a trained model that its hand is elsewhere."""
    start = train(request(data, tmp_path / "start", steps=1)).checkpoint
    other = tmp_path / "demos" / "libero_goal"
    other.mkdir(parents=True)
    write_demos(other / f"{TASK}_demo.hdf5", {}, [demonstration(7)])
    before = load(start, device="cpu").statistics
    found = {}
    for fresh in (False, True):
        asked = request(other.parent, tmp_path / f"fresh-{fresh}", start=str(start), steps=1)
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


def test_the_suite_of_a_file(tmp_path):
    for folder in ("disk", "libero_10"):
        (tmp_path / folder).mkdir()
    (tmp_path / "libero_goal").symlink_to(tmp_path / "disk")
    (tmp_path / "mine").symlink_to(tmp_path / "libero_10")
    names = {"libero_goal": "libero_goal", "mine": "libero_10", "libero_100": "libero_100", "kitchen_no_noops": "kitchen"}
    assert {folder: suite_name(tmp_path / folder / "x_demo.hdf5") for folder in names} == names


def test_a_start_with_several_scales_is_refused(data, frames):
    files = demo_files(data)
    (entry,) = statistics(frames, files, "bounds").values()
    with pytest.raises(UsageError, match="one scale"):
        statistics(frames, files, "bounds", {"a": entry, "b": entry | {"num_trajectories": 3}})


def test_one_training_a_folder(data, tmp_path):
    with locked(tmp_path), pytest.raises(RecordError, match="another vla-bench is writing"):
        train(request(data, tmp_path))


@pytest.mark.parametrize("pruner", ["lightvla", "lightvla-star-vision", "lightvla-star-llm1"])
def test_in_bfloat16_what_is_trained_whole_stays_float32(samples, data, tmp_path, pruner):
    """As on CUDA: the paper's recipe adapts a bfloat16 network, with proprio projector and pruner in float32 beside it."""
    dense = train(request(data, tmp_path / "dense", steps=1)).checkpoint
    model = load(dense, device="cpu", dtype=torch.bfloat16, pruner=make_pruner(pruner)).model
    finetune.adapt(model, 4)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    whole = [p for name, p in trained.items() if name.startswith(("proprio_projector", "pruner"))]
    assert whole and all(p.dtype == torch.float32 for p in whole)
    loss = Loss(model).train()
    with torch.autocast("cpu", torch.bfloat16):
        value, _ = loss(samples.batch(0, 4))
        value.backward()
    read = [p for name, p in trained.items() if "lora" not in name and p.grad is not None]
    assert read and all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in read)


def test_a_cpu_trains_in_bfloat16_when_asked_to(samples):
    model, cpu = random_vla(NANO, 0, None), torch.device("cpu")
    loss, batch, found = Loss(model, auxiliary=0.5).train(), samples.batch(0, 4), []
    for precision in (Precision.FLOAT32, Precision.AUTO, Precision.BFLOAT16):
        loss.zero_grad()
        with precision.on(cpu):
            value, _ = loss(batch)
        value.backward()
        found.append((value.detach(), torch.cat([p.grad.flatten() for p in loss.parameters() if p.grad is not None])))
    (exact, direction), auto, (near, close) = found
    assert torch.equal(auto[0], exact) and torch.equal(auto[1], direction)
    assert not torch.equal(near, exact) and near == pytest.approx(exact.item(), rel=0.02)
    assert close.dtype == torch.float32 and torch.cosine_similarity(close, direction, dim=0) > 0.99


def test_of_a_step_in_bfloat16_the_attention_is_float32():
    with Precision.BFLOAT16.on(torch.device("cpu")):
        x = F.linear(torch.ones(1, 1, 4, 8), torch.eye(8))
        assert x.dtype == torch.bfloat16 and F.scaled_dot_product_attention(x, x, x).dtype == torch.float32
    assert F.linear(torch.ones(4, 8), torch.eye(8)).dtype == torch.float32


def test_weights_that_are_all_trained_are_float32(data, tmp_path, monkeypatch):
    dense = train(request(data, tmp_path / "dense", steps=1)).checkpoint
    asked = []
    monkeypatch.setattr(finetune, "load", lambda *a, **k: asked.append(k["dtype"]) or load(*a, **k))
    for rank in (0, 4):
        finetune.start(recipe("nano-lightvla").with_options(start=str(dense), lora_rank=rank), torch.device("cpu"))
    assert asked == [torch.float32, None]


def test_a_training_can_be_prolonged_and_looked_at_on_its_way(data, tmp_path):
    """Two steps of ten, then two more of four: as if it had been four from the start."""
    straight = train(request(data, tmp_path / "straight", steps=4))
    way = tmp_path / "way"
    planned = request(data, way, steps=10)
    train(planned, lambda step, *_: signal.raise_signal(signal.SIGINT) if step == 2 else None)
    looked = train(TrainRequest(recipe("paper"), data, way, "cpu", export=tmp_path / "look"))  # whatever recipe is asked for
    assert looked.steps == 2 and looked.exit_code == 0 and load(looked.checkpoint, device="cpu").kind.value == "openvla-oft"
    assert len((way / "log.csv").read_text().splitlines()) == 3 and (tmp_path / "look" / "training.png").exists()
    train(request(data, way, resume=True, steps=4))
    left, right = weights(straight.checkpoint.parent), weights(way)
    assert all(torch.equal(left[name], right[name]) for name in left)
    with pytest.raises(UsageError, match="holds no training"):
        train(replace(planned, out=tmp_path / "nothing", export=tmp_path / "look"))


def test_a_training_that_runs_can_be_looked_at(data, tmp_path):
    looked = []

    def look(step, *_):
        if step == 3:  # saved every two steps
            looked.append(train(replace(request(data, tmp_path / "way"), export=tmp_path / "look")))

    done = train(request(data, tmp_path / "way", steps=4), look)
    assert done.finished and looked[0].steps == 2 and load(looked[0].checkpoint, device="cpu").statistics
    assert len(done.log.read_text().splitlines()) == 5


def test_a_training_begins_where_another_ended(data, tmp_path):
    """With its auxiliary head and momenta, but at its own rates; with other weights to train, with the checkpoint alone."""
    first, second = tmp_path / "first", tmp_path / "second"
    train(request(data, first))
    again = request(data, second, start=str(first), steps=1, learning_rate=2e-4, rate_schedule=LearningRate.STEP)
    seen = []
    train(again, lambda *row: seen.append(row[2]))
    before, after = (torch.load(folder / "state.pt", weights_only=True) for folder in (first, second))
    moves = [(after["weights"][name] - weight).abs().max() for name, weight in before["weights"].items()]
    assert seen[0]["rate"] == 2e-4 and max(moves) < 0.05 and "where.answer.1.weight" in before["weights"]
    adam = [state["optimisers"][0]["state"][0]["step"].item() for state in (before, after)]
    assert adam == [6, 7]
    pruned = train(request(data, tmp_path / "pruned", "nano-lightvla", start=str(first), steps=1))
    assert load(pruned.checkpoint, device="cpu").model.pruner.name == "lightvla"
    shutil.rmtree(first / "checkpoint")
    with pytest.raises(UsageError, match="has not ended"):
        train(replace(again, out=tmp_path / "third"))


def test_a_trained_model_can_be_shipped_and_shipped_again(data, tmp_path, monkeypatch):
    train(request(data, tmp_path / "trained", "nano-lightvla", start="nano", steps=2))
    trained, card = load(tmp_path / "trained" / "checkpoint", device="cpu").model, tmp_path / "small" / "README.md"
    for data_said in ("two demonstrations", "two others"):
        asked = ["--recipe", "nano-lightvla", "--data", data_said, "--hardware", "a core", "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["bundle_weights.py", str(tmp_path / "trained"), "small", *asked])
        runpy.run_path(str(ROOT / "scripts" / "bundle_weights.py"), run_name="__main__")
        assert f"| recipe | nano-lightvla |\n| data | {data_said} |" in card.read_text()
        assert "| training | 2 steps x 4, cosine, seed 3 |" in card.read_text()
    shipped = load(tmp_path / "small", device="cpu")
    assert shipped.model.pruner.name == "lightvla" and shipped.statistics
    for (name, before), after in zip(trained.state_dict().items(), shipped.model.state_dict().values(), strict=True):
        assert torch.equal(before.half().float(), after.float()), name
    shutil.rmtree(tmp_path / "trained" / "checkpoint")
    with pytest.raises(CheckpointError):
        runpy.run_path(str(ROOT / "scripts" / "bundle_weights.py"), run_name="__main__")
    assert card.exists()


def test_two_processes_train_as_one(data, tmp_path):
    """Half a batch each gives the same gradients and means, to rounding, and so the same weights; pictures are prepared once."""
    train(request(data, tmp_path / "one", steps=2, pruner="lightvla"))
    shutil.rmtree(data / ".frames")
    arguments = f"train --recipe nano-oft --pruner lightvla --data {data} --out {tmp_path / 'two'} --steps 2 --batch 4 --seed 3"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vla_bench"]
    done = subprocess.run([*launch, *arguments.split(), "--device", "cpu"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = ((tmp_path / name / "log.csv").read_text().splitlines() for name in ("one", "two"))
    names = one[0].split(",")
    for left, right in zip(one[1:], two[1:], strict=True):
        for name, a, b in zip(names, left.split(","), right.split(","), strict=True):
            if name != "samples_per_s":
                assert float(a) == pytest.approx(float(b), rel=2e-4), name
    left, right = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(right[name], left[name], atol=1e-6, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def test_micro_batches_add_up_to_the_batch(data, tmp_path):
    runs = []
    for accumulate in (1, 2):
        seen: list[dict[str, float]] = []
        options = {"steps": 2, "pruner": "lightvla", "accumulate": accumulate}
        train(request(data, tmp_path / str(accumulate), **options), lambda *row, seen=seen: seen.append(row[2]))
        runs.append(seen)
    for whole, parts in zip(*runs, strict=True):
        for name in ("loss", "action", "gripper", "kept", "where", "gradient", "rate"):
            assert parts[name] == pytest.approx(whole[name], rel=2e-4), name


@pytest.mark.parametrize(
    ("accumulate", "complaint"), [(1, "micro-batches of 4\n.*--accumulate 2"), (4, "micro-batches of 1\n.*--device cpu")]
)
def test_a_step_without_enough_memory_says_what_would_do(data, tmp_path, monkeypatch, accumulate, complaint):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Loss, "forward", full)
    with pytest.raises(ModelError, match=complaint):
        train(request(data, tmp_path, accumulate=accumulate))


def test_lora_trains_adapters_and_heads_and_is_merged(data, tmp_path):
    dense = train(request(data, tmp_path / "dense", steps=1)).checkpoint
    options = {"start": str(dense), "lora_rank": 4, "fresh_heads": True, "steps": 2, "pruner": "lightvla"}
    adapted = train(request(data, tmp_path / "adapted", **options)).checkpoint
    before, after = weights(dense.parent), weights(adapted.parent)
    changed = {name.split(":")[1] for name in before if name in after and not torch.equal(before[name], after[name])}
    assert "language_model.model.layers.0.self_attn.q_proj.weight" in changed
    assert "vision_backbone.featurizer.patch_embed.proj.weight" in changed
    assert not any("layernorm" in name or "embed_tokens" in name or "pos_embed" in name for name in changed)
    state = torch.load(tmp_path / "adapted" / "state.pt", weights_only=True)["weights"]
    assert all(any(part in name for part in ("lora_", "action_head", "proprio_projector", "where.")) for name in state)


def test_what_was_trained_of_a_public_checkpoint_has_its_layout(data, tmp_path):
    """Heads in .pt files and every file of the tokenizer; after LoRA so, too; a nano's stay as they are."""
    nano = train(request(data, tmp_path / "nano", steps=1)).checkpoint
    loaded, public = load(nano, device="cpu"), tmp_path / "public"
    about = {"statistics": loaded.statistics, "normalisation": loaded.normalisation, "kind": loaded.kind}
    save(public, loaded.model, **about, tokenizer_file=loaded.tokenizer_file, heads="pt")
    others = TOKENIZER_FILES[1:]
    for name in others:
        (public / name).write_text(f"of {name}")
    for start, rank, heads in ((nano, 0, "safetensors"), (nano, 4, "pt"), (public, 0, "pt"), (public, 4, "pt")):
        done = train(request(data, tmp_path / f"{start.name}-{rank}", start=str(start), lora_rank=rank, steps=1)).checkpoint
        parts = [done / f"{part}--1_checkpoint.{heads}" for part in ("action_head", "proprio_projector")]
        assert sorted(done.glob("*checkpoint*")) == parts
        if heads == "pt":
            assert all(name.startswith("module.") for part in parts for name in torch.load(part, weights_only=True))
        found = {path.name: path.read_text() for path in done.iterdir() if path.name in others}
        assert found == ({name: f"of {name}" for name in others} if start == public else {})
        assert load(done, device="cpu").tokenizer_file.read_bytes() == loaded.tokenizer_file.read_bytes()


def test_bad_requests(data, tmp_path):
    with pytest.raises(UsageError, match="nano-oft"):
        recipe("nano-otf")
    with pytest.raises(UsageError, match="LoRA"):
        train(request(data, tmp_path / "x", lora_rank=8))
    with pytest.raises(RecordError, match="vla-bench demos"):
        train(request(tmp_path, tmp_path / "y"))
    with pytest.raises(UsageError, match="--batch"):
        recipe("paper").with_options(batch=0)
    for name, value in {"seed": -1, "learning_rate": 0.0, "auxiliary": -1.0, "matrix_rate": float("nan")}.items():
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}"):
            recipe("nano-oft").with_options(**{name: value})


def test_a_batch_that_cannot_be_split_is_refused_before_anything_is_prepared(tmp_path):
    (tmp_path / "libero_goal").mkdir()
    public_file(tmp_path / "libero_goal" / "x_demo.hdf5", {"demo_0": 9})
    with pytest.raises(UsageError, match="5 cannot be shared by 1 processes x 3 micro-batches\n.*--batch 6"):
        train(request(tmp_path, tmp_path / "out", batch=5, accumulate=3))
    assert not (tmp_path / ".frames").exists() and not (tmp_path / "out").exists()
    assert recipe("paper").at_once(8) == 8


@pytest.mark.parametrize("pruner", ["fastv", "random", "plus-random(lightvla)"])
def test_a_pruner_that_learns_nothing_is_refused(data, tmp_path, pruner):
    with pytest.raises(UsageError, match="learns nothing.*none, lightvla, lightvla-star-vision"):
        train(request(data, tmp_path, pruner=pruner))


@pytest.mark.parametrize("pruner", ["none", "lightvla", "lightvla-star-llm2", "with-parameters"])
def test_a_pruner_that_learns_is_not(monkeypatch, pruner):
    monkeypatch.setitem(BUILT_IN, "with-parameters", "tests.checkpoints:TopK")
    begun = finetune.start(recipe("nano-oft").with_options(pruner=pruner), torch.device("cpu"))
    assert begun.model.pruner is None or begun.model.pruner.learns


def test_every_recipe_can_be_written_down():
    for name in RECIPES:
        assert json.loads(json.dumps(recipe(name).to_dict()))["start"] == recipe(name).start
