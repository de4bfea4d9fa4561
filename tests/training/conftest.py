"""Two short demonstrations, prepared once, and a model that was trained on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vla_bench.demonstrations.hdf5 import write_demos
from vla_bench.interface.presets import NANO
from vla_bench.model.images import Normalisation
from vla_bench.model.normalisation import Statistics
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
from vla_bench.training import finetune
from vla_bench.training.augment import Augmentation
from vla_bench.training.data import demo_files
from vla_bench.training.finetune import statistics, train
from vla_bench.training.frames import prepare_frames
from vla_bench.training.samples import SampleLoader

from .. import nanos
from ..trainings import TASK, demonstration
from ..trainings import request as train_request


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """As the processes that are started here; the order of adding is part of a weight's last bit."""
    with nanos.one_thread():
        yield


@pytest.fixture(autouse=True)
def no_plot(request, monkeypatch):
    """Plotting takes longer than a few steps of training: only tests with the fixture `plot` do it."""
    if "plot" not in request.fixturenames:
        monkeypatch.setattr(finetune, "plot_log", lambda *_: None)


@pytest.fixture
def plot():
    """Trainings of this test plot their curve."""


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Shared, so not to be changed; its images are prepared."""
    folder = tmp_path_factory.mktemp("demos")
    (folder / "libero_object").mkdir()
    write_demos(folder / "libero_object" / f"{TASK}_demo.hdf5", {"num_demos": 2}, [demonstration(0), demonstration(1)])
    prepare_frames(demo_files(folder), NANO.image_size, folder / ".frames")
    return folder


@pytest.fixture(scope="session")
def dense(data, tmp_path_factory):
    """The checkpoint of a nano without a pruner after one step."""
    return train(train_request(data, tmp_path_factory.mktemp("dense"), steps=1)).checkpoint


@pytest.fixture(scope="session")
def frames(data):
    return prepare_frames(demo_files(data), NANO.image_size, data / ".frames")


@pytest.fixture(scope="session")
def samples(data, frames):
    (entry,) = statistics(frames, demo_files(data), "bounds").values()
    parsed = Statistics.parse(entry, "x")
    return SampleLoader(
        frames,
        NANO,
        Tokenizer(NANO_TOKENIZER, NANO.tokens),
        parsed,
        normalisation=Normalisation(),
        seed=0,
        augmentation=Augmentation(),
        switch_weight=3.0,
    )


@pytest.fixture(scope="session")
def longer(data, frames):
    """Frames of 40 steps in which the gripper closes at the 30th, and of 30 that begin closed and open at once; how to draw."""
    rows = np.arange(70) % 20
    many = {name: getattr(frames, name)[rows] for name in ("proprio", "actions", "instruction", "targets")}
    many["actions"][:, 6] = [*(i < 30 for i in range(40)), 0, *[1] * 29]
    (entry,) = statistics(frames, demo_files(data), "bounds").values()
    made = Tokenizer(NANO_TOKENIZER, NANO.tokens), Statistics.parse(entry, "x"), Normalisation(), 0
    return replace(frames, segment=np.repeat([0, 1], (40, 30)), ends=np.arange(70) % 40 == 39, **many), made
