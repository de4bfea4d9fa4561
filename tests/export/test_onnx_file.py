"""`vla-bench export-onnx`: ONNX Runtime answers recorded observations as PyTorch does, and nothing is overwritten.

The tests that need the extra `onnx` are skipped without it.
"""

from __future__ import annotations

import json
import sys

import pytest
import torch

from vla_bench.errors import ModelError, UsageError
from vla_bench.export.graph import QueryGraph
from vla_bench.export.onnx_file import EQUAL, attention
from vla_bench.interface.presets import NANO, OPENVLA
from vla_bench.measure import sources
from vla_bench.measure.recorded import read_observations
from vla_bench.model.initialise import random_vla
from vla_bench.model.vla import VLA
from vla_bench.pruners.registry import make_pruner

from ..nanos import answer, inputs, one_thread, sample

CLOSE = 1e-5  # of a normalised action, on nano


@pytest.fixture(scope="module", autouse=True)
def a_thread():
    with one_thread():
        yield


def arguments(one):
    return one.pixel_values, torch.tensor([one.prompts[0]]), one.proprio


@pytest.mark.parametrize("pruner", ["none", "lightvla", "lightvla(positions=contiguous)"])
def test_the_graph_is_the_forward_pass(pruner):
    model = random_vla(NANO, 0).eval()
    model.attach(made := make_pruner(pruner))
    if made is not None:
        made.eval()
    graph = QueryGraph(model)
    for i in (0, 4, 7):
        one = sample(inputs(8), i)
        plain = answer(model, one)
        with torch.no_grad():
            actions, kept = graph(*arguments(one))
        torch.testing.assert_close(actions, plain.actions, rtol=0, atol=CLOSE)
        assert kept[0].nonzero().squeeze(1).tolist() == plain.tokens.ids[0].tolist()


@pytest.mark.parametrize("pruner", ["fastv(layer=2)", "divprune", "plus-random(lightvla)", "lightvla-star-vision", "pool"])
def test_pruners_that_are_no_fixed_graph_are_refused_by_name(pruner):
    model = random_vla(NANO, 0).eval()
    model.attach(made := make_pruner(pruner))
    with pytest.raises(UsageError, match="lightvla and none can be exported") as refused:
        QueryGraph(model)
    assert made.label in refused.value.message


def test_a_model_without_a_head_and_masked_attention_are_refused():
    with torch.device("meta"), pytest.raises(ModelError, match="no L1 head"):
        QueryGraph(VLA(OPENVLA))
    q = torch.randn(1, 2, 3, 4)
    torch.testing.assert_close(attention(q, q, q), torch.nn.functional.scaled_dot_product_attention(q, q, q))
    with pytest.raises(ModelError, match="mask"):
        attention(q, q, q, is_causal=True)


def test_without_the_extra_the_command_says_how_to_get_it(cli, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # which makes its import fail
    refused = cli("export-onnx", "--out", "nano.onnx")
    assert refused.exit_code == 2 and "needs onnx" in refused.exception.message
    assert refused.exception.fix == "pip install 'vla-bench[onnx]'" and not (tmp_path / "nano.onnx").exists()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from typer.testing import CliRunner

    from vla_bench.cli import app

    out = tmp_path_factory.mktemp("onnx") / "nano.onnx"
    done = CliRunner().invoke(app, ["export-onnx", "--model", "nano", "--out", str(out), "--format", "json"])
    assert done.exit_code == 0, done.exception
    said = json.loads(done.stdout)
    assert said["difference"] <= EQUAL and said["pruner"] == "lightvla" and said["bytes"] == out.stat().st_size
    return out


def test_onnx_runtime_answers_recorded_observations_as_pytorch_does(file):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    policy = sources.checkpoint("nano", ("spatial", "object", "goal", "long"), "cpu").policy()
    policy.model.attach(make_pruner("lightvla").eval())
    counts = set()
    for episode in read_observations():
        one = policy.processor(episode[:1])
        feed = dict(zip(("pixel_values", "prompt", "proprio"), (each.numpy() for each in arguments(one)), strict=True))
        actions, kept = session.run(None, feed)
        plain = answer(policy.model, one)
        torch.testing.assert_close(torch.from_numpy(actions), plain.actions, rtol=0, atol=CLOSE)
        assert kept[0].nonzero()[0].tolist() == plain.tokens.ids[0].tolist()
        counts.add(int(kept.sum()))
    assert len(counts) > 3  # unequal lengths through one file
    about = session.get_modelmeta().custom_metadata_map
    assert about["pruner"] == "lightvla" and len(about["checkpoint"]) >= 16


def test_a_file_that_exists_stays_as_it_is(cli, file):
    before = file.read_bytes()
    done = cli("export-onnx", "--model", "nano", "--out", str(file))
    assert done.exit_code == 2 and "exists, and is not overwritten" in done.exception.message
    assert file.read_bytes() == before and [each.name for each in file.parent.iterdir()] == ["nano.onnx"]
