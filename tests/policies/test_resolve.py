"""Resolving a model's name, and that a command does it once."""

import pytest

from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.errors import CheckpointError, UsageError
from vla_bench.measure import sources
from vla_bench.policies import resolve
from vla_bench.policies.resolve import ModelKind, resolve_model
from vla_bench.rollout.plan import prepare
from vla_bench.rollout.request import EvalRequest
from vla_bench.suites import suite_names

from ..conftest import ASSETS

OBJECT = "TTJiang/LightVLA-libero-object"


@pytest.mark.parametrize(
    ("name", "kind", "place"),
    [
        ("expert", ModelKind.SCRIPT, None),
        ("replay:runs/1", ModelKind.SCRIPT, "runs/1"),
        ("nano", ModelKind.CHECKPOINT, str(WEIGHTS / "nano-lightvla")),
        ("nano-oft", ModelKind.CHECKPOINT, str(WEIGHTS / "nano-oft")),
        ("owner/name", ModelKind.CHECKPOINT, "owner/name"),
        ("lightvla", ModelKind.CHECKPOINT, None),
    ],
)
def test_every_kind_of_name(name, kind, place):
    model = resolve_model(name)
    assert (model.name, model.kind, model.place, model.reason) == (name, kind, place, None)


def test_a_folder_is_a_checkpoint_and_built_in_names_have_precedence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "nano-oft", "expert"):
        (tmp_path / name).mkdir()
    assert resolve_model("mine").place == "mine" and resolve_model("./nano-oft").place == "./nano-oft"
    assert resolve_model("nano-oft").place == str(WEIGHTS / "nano-oft") and resolve_model("expert").kind is ModelKind.SCRIPT
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_model("~/mine").kind is ModelKind.CHECKPOINT


def test_a_family_has_one_checkpoint_for_each_suite():
    model = resolve_model("lightvla")
    assert hash(model) == hash(resolve_model("lightvla"))  # workers cache their policies by it
    assert list(model.by_suite) == list(suite_names()) and model.checkpoint(["object"]) == OBJECT
    with pytest.raises(UsageError, match="one checkpoint per suite, and 2 suites were asked for") as caught:
        model.checkpoint(["object", "goal"])
    assert caught.value.instead == {"--suite": "object"}
    assert model.checkpoint(["object", "pro-object-lan", "pro-object-swap"]) == OBJECT  # changed suites ask the original's
    with pytest.raises(UsageError, match="2 suites were asked for"):
        model.checkpoint(["pro-object-lan", "pro-goal-lan"])
    with pytest.raises(UsageError, match="suite kitchen has no lightvla checkpoint; there is one for spatial, object"):
        model.checkpoint(["kitchen"])


def test_presets_have_precedence_where_only_sizes_are_needed():
    nano, seven = resolve_model("nano", presets=True), resolve_model("7b", presets=True)
    assert nano.kind is seven.kind is ModelKind.PRESET and nano.place == str(WEIGHTS / "nano-lightvla") and seven.place is None
    with pytest.raises(UsageError, match='no weights for "7b".*latency --random-weights'):
        resolve_model("7b")
    with pytest.raises(UsageError, match='unknown model "auto".* Models: 7b, nano, nano-local, lightvla'):
        resolve_model("auto", presets=True)


@pytest.mark.parametrize("name", ["replay", "replay:", "expert:1", "", "nano:dense"])
def test_what_is_nearly_a_name_is_refused(name):
    with pytest.raises(UsageError, match="unknown model") as caught:
        resolve_model(name, option="--learner")
    assert caught.value.instead == {"--learner": "expert" if name == "expert:1" else "nano"}
    with pytest.raises(UsageError) as caught:
        resolve_model(name, option=None)
    assert caught.value.fix == "vla-bench models"


def test_bundled_weights_that_are_gone(monkeypatch):
    monkeypatch.setattr(resolve, "bundled", lambda name: None)
    with pytest.raises(CheckpointError, match="nano-lightvla is missing"):
        resolve_model("nano")


@pytest.fixture
def lookups(monkeypatch):
    """Every name that is looked up among the bundled models, which is how resolving begins."""
    seen, real = [], resolve.bundled
    monkeypatch.setattr(resolve, "bundled", lambda name: seen.append(name) or real(name))
    return seen


def test_a_command_resolves_its_model_once(lookups, monkeypatch):
    plan = prepare(EvalRequest(suite="object", model="nano", assets=ASSETS, trials=1))
    assert plan.policy.name == "nano" and lookups == ["nano-lightvla"]
    lookups.clear()
    source = sources.checkpoint("nano-oft", ("object",), "cpu", "vla-bench agree")
    assert source.policy().name == "nano-oft" and lookups == ["nano-oft"]


def test_init_states_are_read_once_before_the_first_episode(monkeypatch):
    from vla_bench.rollout import world_setup

    seen, real = [], world_setup.read_init_states
    monkeypatch.setattr(world_setup, "read_init_states", lambda path: seen.append(path) or real(path))
    prepare(EvalRequest(suite="object,goal", model="noop", assets=ASSETS, tasks="0-2"))
    assert len(seen) == len(set(seen)) == 6
