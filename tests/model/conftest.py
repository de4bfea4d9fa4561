"""A random nano model for every test of its arithmetic."""

from __future__ import annotations

import pytest

from vla_bench.interface.presets import NANO
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.registry import make_pruner

from .. import nanos
from ..nanos import inputs


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with nanos.one_thread():
        yield


@pytest.fixture(scope="module")
def model():
    return random_vla(NANO, seed=0).eval()


@pytest.fixture(scope="module")
def batch():
    return inputs(8)


@pytest.fixture
def use(model):
    def attach(pruner):
        pruner = make_pruner(pruner) if isinstance(pruner, str) else pruner
        model.attach(pruner if pruner is None else pruner.eval())
        return model

    yield attach
    model.attach(None)
