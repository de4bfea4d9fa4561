"""The policy that `--model auto` chooses, with the probes of the machine replaced; the probes themselves come last."""

import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest

from vla_bench.checkpoints import known
from vla_bench.errors import UsageError
from vla_bench.policies import auto
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy, resolve_choice

HUB = "TTJiang/LightVLA-libero-object"


@pytest.fixture
def machine(monkeypatch):
    """A machine with this GPU, this result of the hub query, and nano weights or none."""

    def has(gpu=None, hub=None, nano=False):
        def query_hub(name):
            assert name == HUB and hub is not None, "the hub was queried although the result cannot matter"
            return hub

        monkeypatch.setattr(auto, "cuda_memory", lambda device: gpu)
        monkeypatch.setattr(auto, "checkpoint_at_hand", query_hub)
        monkeypatch.setattr(auto, "bundled", lambda name: Path(name) if nano else None)

    return has


@pytest.mark.parametrize(
    ("has", "suites", "device", "expected"),
    [
        (
            {"gpu": ("H100", 78e9), "hub": (True, "is in the hub cache"), "nano": True},
            ("object",),
            "auto",
            ("lightvla", f"auto -> lightvla: {HUB} is in the hub cache"),
        ),
        (
            {"gpu": ("H100", 18e9), "hub": (True, "is on the hub")},
            ("object",),
            "cuda",
            ("lightvla", f"auto -> lightvla: {HUB} is on the hub"),
        ),
        (
            {"gpu": ("H100", 78e9), "hub": (False, "is nowhere"), "nano": True},
            ("object",),
            "auto",
            ("nano", f"auto -> nano: {HUB} is nowhere"),
        ),
        (
            {"gpu": ("RTX 3060", 11.6e9), "nano": True},
            ("object",),
            "auto",
            ("nano", "auto -> nano: RTX 3060 has 11.6 GB free and 18 GB are needed"),
        ),
        (
            {"gpu": ("H100", 78e9), "nano": True},
            ("object",),
            "cpu",
            ("nano", "auto -> nano: --device cpu"),
        ),
        (
            {"gpu": ("H100", 78e9), "nano": True},
            ("object", "goal"),
            "auto",
            ("nano", "auto -> nano: 2 suites, and LightVLA has one checkpoint per suite"),
        ),
        ({"nano": True}, ("object",), "auto", ("nano", "auto -> nano: no CUDA device")),
        (
            {},
            ("object",),
            "auto",
            ("expert", "auto -> expert: no CUDA device, and no bundled nano weights yet"),
        ),
    ],
)
def test_every_branch_has_a_reason(machine, has, suites, device, expected):
    machine(**has)
    assert auto.resolve_auto(suites, device) == expected


def test_auto_becomes_a_named_model_with_its_reason(machine):
    machine(nano=True)
    model = resolve_choice(ModelChoice("auto", suites=("goal",), pruner="lightvla"))
    assert model.name == "nano" and "no CUDA device" in model.reason
    assert resolve_choice(ModelChoice("nano", suites=("goal",), pruner="lightvla")) == replace(model, reason=None)


def test_auto_that_chooses_a_script_explains_why_it_cannot_prune(machine):
    machine()
    assert make_policy("auto").name == "expert"
    with pytest.raises(UsageError, match=r"expert has no image tokens to prune \(auto -> expert: no CUDA device"):
        resolve_choice(ModelChoice("auto", suites=("goal",), pruner="lightvla"))


def test_a_machine_without_a_driver_does_not_import_torch(monkeypatch):
    monkeypatch.setattr(auto.shutil, "which", lambda name: None)
    monkeypatch.setattr(auto.Path, "exists", lambda path: False)
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it now raises
    assert auto.cuda_memory() is None


@pytest.mark.parametrize(("available", "expected"), [(True, ("H100", 5)), (False, None)])
def test_torch_is_queried_where_a_driver_is(monkeypatch, available, expected):
    cuda = types.SimpleNamespace(
        is_available=lambda: available, device_count=lambda: 1, mem_get_info=lambda i: (5, 9), get_device_name=lambda i: "H100"
    )
    monkeypatch.setattr(auto.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    assert auto.cuda_memory() == expected and auto.cuda_memory("cuda:1") is None


def test_a_driver_without_torch_is_no_device(monkeypatch):
    monkeypatch.setattr(auto.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert auto.cuda_memory() is None


@pytest.mark.parametrize(
    ("cached", "online", "expected"),
    [
        ("/cache/config.json", None, (True, "is in the hub cache")),
        (None, True, (True, "is on the hub")),
        (None, False, (False, "is not in the hub cache, and the hub did not answer (ConnectionError)")),
        (object(), False, (False, "is not in the hub cache, and the hub did not answer (ConnectionError)")),
    ],
    ids=["cached", "online", "offline", "known to be missing"],
)
def test_the_cache_is_searched_before_the_hub(monkeypatch, cached, online, expected):
    import huggingface_hub

    def model_info(api, repository, timeout):
        assert repository == HUB and timeout == 5 and online is not None
        if not online:
            raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, file: cached)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    assert auto.checkpoint_at_hand(HUB) == expected


def test_nano_counts_once_its_configuration_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(known, "WEIGHTS", tmp_path)
    (tmp_path / "nano-lightvla").mkdir()
    assert auto.resolve_auto((), "cpu")[0] == "expert"
    (tmp_path / "nano-lightvla" / "config.json").write_text("{}")
    assert auto.resolve_auto((), "cpu")[0] == "nano"
    assert resolve_choice(ModelChoice("nano-lightvla")).name == "nano-lightvla"
