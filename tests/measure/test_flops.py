"""`vla-bench flops`: the closed form's token counts are those of a running model, and what the command says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from vla_bench.errors import UsageError
from vla_bench.interface.presets import NANO, SEVEN_B
from vla_bench.measure.flops import FlopsRequest, count
from vla_bench.model.costs import Scope
from vla_bench.pruners.lengths import CUTS, path_of
from vla_bench.pruners.registry import BUILT_IN, make_pruner

from .. import nanos

BY_INPUT = {"vla-cache", "blind", "inverse", "plus-random", "drop-random"}  # no path of their own in closed form
STAGED = ("sparsevlm", "sparsevlm(variant=v2, budget=64)", "sparsevlm(counts=90/50/9, layers=0/2/3)")

# Shares that come to another number for each of two cameras than for both together.
UNEVEN = ("random(keep=0.07)", "grid(keep=5)", "divprune(keep=0.07)", "vla-adp(keep=0.07)", "efficientvla-tokens(keep=1.4)",
          "score-norm(keep=0.07, quota=global)", "flashvla-ics(keep=0.18)", "vla-pruner(keep=0.18)")  # fmt: skip


def lengths_while_running(text: str) -> tuple[list[int], int]:
    """Tokens entering each decoder layer, and image tokens that were projected."""
    from vla_bench.model.initialise import random_vla

    model = random_vla(NANO, 0, make_pruner(text)).eval()
    entering, projected = [], []
    for layer in model.openvla.language_model.model.layers:
        layer.register_forward_pre_hook(lambda module, args: entering.append(args[0].shape[1]))
    model.openvla.projector.register_forward_pre_hook(lambda module, args: projected.append(args[0].shape[1]))
    nanos.answer(model, nanos.sample(nanos.inputs(8), 3))
    return entering, projected[0]


def test_every_pruner_has_a_path_or_is_known_to_have_none():
    assert CUTS.keys() - {"none"} | {"sparsevlm"} == BUILT_IN.keys() - BY_INPUT


@pytest.mark.parametrize(
    "name", [*CUTS, *STAGED, "fastv(layer=3, keep=20)", "vla-pruner(layer=4)", "inverse(fastv)", "grid(keep=0.5)", *UNEVEN]
)
def test_tokens_are_those_of_a_running_model(name):
    with nanos.one_thread():
        running = name.replace("vla-adp(", "vla-adp(gate=off, ") if "(" in name else name.replace("vla-adp", "vla-adp(gate=off)")
        entering, projected = lengths_while_running(running)
    prompt = len(nanos.inputs(8).prompts[3])
    rest = prompt + 59
    adaptive = CUTS.get(name) is not None and CUTS[name].keep is None
    path = path_of(name, NANO, prompt, entering[-1] - rest if adaptive else None)
    assert [visual + rest for visual in path.lengths.visual] == entering and path.lengths.projected == projected


def test_the_papers_two_figures():
    dense, pruned = (count(FlopsRequest(pruner=name, kept=kept))[0] for name, kept in (("none", 512), ("lightvla", 78)))
    assert round(dense.total, 1) == 8789.1 and round(pruned.total, 1) == 2997.0
    reference = count(FlopsRequest(pruner="lightvla", kept=78, scope=Scope.REFERENCE))[0]
    assert round(reference.total, 1) == 3040.3


def test_sparsevlms_stages_are_the_designs():
    path = path_of("sparsevlm(counts=300/200/110)", SEVEN_B, 35)
    assert path.lengths.visual == (512,) * 3 + (307,) * 4 + (204,) * 9 + (113,) * 16
    assert path_of("sparsevlm(budget=64)", SEVEN_B, 35).lengths.visual[::8] == (512, 29, 16, 16)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(UsageError, match="--kept 78"):
        count(FlopsRequest(pruner="lightvla"))
    with pytest.raises(UsageError, match="not between 0 and the model's 512"):
        count(FlopsRequest(pruner="lightvla", kept=513))
    with pytest.raises(UsageError, match="depends on the input"):
        count(FlopsRequest(pruner="vla-cache"))
    with pytest.raises(UsageError, match="changes how many tokens are kept"):
        count(FlopsRequest(pruner="plus-random(grid)"))
    with pytest.raises(UsageError, match="its lattice asks for"):
        count(FlopsRequest(pruner="pool(keep=0.3)"))
    with pytest.raises(UsageError, match='no argument "layr"'):
        count(FlopsRequest(pruner="fastv(layr=3)"))
    for typo in ("fasvt", "plus-random(fasvt)"):
        with pytest.raises(UsageError, match='unknown pruner "fasvt". Did you mean "fastv"'):
            count(FlopsRequest(pruner=typo))
    for length in (-500, 0):
        with pytest.raises(UsageError, match=f"--prompt-tokens {length}: an instruction has at least 1"):
            count(FlopsRequest(pruner="fastv", prompt_tokens=length))
    with pytest.raises(UsageError, match='unknown model "8b"'):
        count(FlopsRequest(model="8b"))
    with pytest.raises(UsageError, match="the decoder has 32 layers"):
        path_of("fastv(layer=32)", SEVEN_B, 28)
    third = path_of("fastv(layer=3)", SEVEN_B, 28)
    assert path_of("fastv(k=3)", SEVEN_B, 28) == path_of("fastv", SEVEN_B, 28, args={"k": 3}) == third
    assert path_of("random(keep=21)", NANO, 28).lengths.visual == (21,) * NANO.llm.layers


def test_the_command_needs_no_torch_and_says_what_it_counts():
    code = (
        "import sys; from vla_bench.cli import app; app(sys.argv[1:], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "flops", "--kept", "78", "--format", "json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["scope"] == "model" and found["unit"] == "FLOP = 2 x MAC" and found["counter"] == "closed-form"
    assert (found["visual_tokens"], found["prompt_tokens"]) == (78, 28)
    assert sum(found["modules"].values()) == pytest.approx(found["total_gflops"])


def test_a_profile_counts_as_what_it_stands_for():
    named, spelled = (count(FlopsRequest(pruner=text))[0] for text in ("fastv(profile=release)", "fastv(keep=0.5, rater=last)"))
    assert named.visual_tokens == spelled.visual_tokens == 256 and named.modules == spelled.modules
    assert named.modules["pruner"] < count(FlopsRequest(pruner="fastv(keep=0.5)"))[0].modules["pruner"]  # one rater, not 28


def test_all_pruners_in_one_table(cli):
    printed = cli("flops").stdout
    assert "8789.1" in printed and "2997.0" in printed and "3.6 T" in printed
    assert r"\toprule" in cli("flops", "--format", "latex").stdout
    explained = subprocess.run(
        [sys.executable, "-m", "vla_bench", "flops", "--kept", "78", "--explain"], capture_output=True, text=True
    )
    assert "404,750,336 N + 16,384 N^2" in explained.stderr and "32 layers on N = 78 + 87 = 165" in explained.stderr
