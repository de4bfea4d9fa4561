"""Which EGL device draws: the choice and robosuite's own rule, in processes of their own."""

import os
import subprocess
import sys

import pytest

from vla_bench.errors import WorldError
from vla_bench.world import gl

UUID = "GPU-11111111-2222-3333-4444-555555555555"
CONTEXT = "from robosuite.utils.binding_utils import GLContext; GLContext(64, 64, device_id=-1).make_current()"


@pytest.fixture
def choose(monkeypatch):
    """The choice of a process with these variables."""

    def choose(**variables):
        for name in (gl.CUDA, gl.EGL):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return gl.choose_gl.__wrapped__()

    return choose


@pytest.mark.parametrize(
    "variables",
    [{gl.CUDA: ""}, {gl.CUDA: "1"}, {gl.CUDA: UUID, gl.EGL: "0"}],
    ids=["hidden", "second", "by UUID"],
)
def test_workers_draw_on_the_device_that_was_tested_whatever_cuda_sees(choose, variables):
    chosen = choose(**variables)
    assert chosen.device == 0
    subprocess.run([sys.executable, "-c", CONTEXT], env={**os.environ, **chosen.environment()}, check=True, capture_output=True)


@pytest.mark.parametrize("number", ["77", "first"])
def test_a_device_that_is_not_there_is_refused(choose, number):
    with pytest.raises(WorldError, match=f"{gl.EGL}.*{number}") as caught:
        choose(**{gl.EGL: number})
    assert caught.value.fix == f"unset {gl.EGL}"
