"""`vla-bench flops`: the closed form's token counts are those of a running model, and what the command says."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from vla_bench.errors import UsageError
from vla_bench.interface.lengths import Case, Lengths
from vla_bench.interface.presets import NANO, OPENVLA, SEVEN_B
from vla_bench.measure.counted import counted
from vla_bench.measure.flops import FlopsRequest, count, parse_kept
from vla_bench.model.costs_decoding import decoding_macs
from vla_bench.pruners.registry import choosing, make_pruner
from vla_bench.trace import Cut
from vla_bench.values import Counter, Scope

from .. import nanos
from ..conftest import ROOT

STAGED = ("sparsevlm", "sparsevlm(variant=v2, budget=64)", "sparsevlm(counts=90/50/9, layers=0/2/3)")

# Shares that come to another number for each of two cameras than for both together.
UNEVEN = ("random(keep=0.07)", "grid(keep=5)", "divprune(keep=0.07)", "vla-adp(keep=0.07)", "efficientvla-tokens(keep=0.07)",
          "score-norm(keep=0.07, quota=global)", "flashvla-ics(keep=0.18)", "vla-pruner(keep=0.18)")  # fmt: skip


def running(text: str) -> tuple[list[int], int, tuple[Cut, ...]]:
    """Tokens entering each decoder layer, image tokens that were projected, and what the pass says of itself."""
    from vla_bench.model.initialise import random_vla

    model = random_vla(NANO, 0, make_pruner(text)).eval()
    entering, projected = [], []
    for layer in model.openvla.language_model.model.layers:
        layer.register_forward_pre_hook(lambda module, args: entering.append(args[0].shape[1]))
    model.openvla.projector.register_forward_pre_hook(lambda module, args: projected.append(args[0].shape[1]))
    (trace,) = nanos.answer(model, nanos.sample(nanos.inputs(8), 3)).trace.read()
    return entering, projected[0], trace.cuts


@pytest.mark.parametrize(
    "name",
    ["none", *choosing(), *STAGED, "fastv(layer=3, keep=20)", "vla-pruner(layer=4)", "inverse(fastv)", "grid(keep=0.5)",
     "plus-random(fastv)", "drop-random(grid(keep=35))", *UNEVEN],
)  # fmt: skip
def test_tokens_are_those_of_a_running_model(name):
    """The trace says what entered every layer; and where arguments decide, they say it before anything runs."""
    always = name.replace("vla-adp(", "vla-adp(gate=off, ") if "(" in name else name.replace("vla-adp", "vla-adp(gate=off)")
    always = always.replace("safe-pruner", "safe-pruner(forecast=false)")
    with nanos.one_thread():
        entering, projected, cuts = running(always)
    prompt = len(nanos.inputs(8).prompts[3])
    lengths = Lengths.after(NANO, prompt, cuts)
    assert [visual + prompt + 59 for visual in lengths.visual] == entering and lengths.projected == projected
    if (pruner := make_pruner(always)) is not None:
        pruner.attach(NANO)
        assert pruner.expected(NANO) in (cuts, None)
        assert pruner.adaptive == (pruner.expected(NANO) is None) or name == "lightvla-star-vision"


def test_the_papers_two_figures():
    dense, pruned = (count(FlopsRequest(pruner=name, kept=kept))[0] for name, kept in (("none", (512,)), ("lightvla", (78,))))
    assert round(dense.total, 1) == 8789.1 and round(pruned.total, 1) == 2997.0
    reference = count(FlopsRequest(pruner="lightvla", kept=(78,), scope=Scope.REFERENCE))[0]
    assert round(reference.total, 1) == 3040.3


def test_openvla_decodes_seven_tokens_and_has_the_papers_rows(cli):
    counts = {case.pruner: case for case in count(FlopsRequest(model="openvla"))}
    dense = counts["none"]
    assert dense.decoded and dense.visual_tokens == 256 and round(dense.total / 1000, 2) == 4.23  # pruners.md's 3.73 + .42 + .08
    closed = decoding_macs(OPENVLA, Lengths.even(OPENVLA, 28, 256))
    assert dense.total == pytest.approx(2e-9 * sum(closed.values())) and "head" not in dense.modules
    rows = {name: (case.kept_tokens, case.paper.tflops) for name, case in counts.items() if case.paper is not None}
    assert {name: round(kept) for name, (kept, _) in rows.items()} == {
        "fastv": 100, "sparsevlm": 51, "vla-cache": 156, "flashvla-ics": 192, "spvla": 229
    }  # fmt: skip
    assert "vla-pruner" not in counts  # it needs action slots
    done = cli("flops", "--model", "openvla")
    assert "decoded one after another" in done.stdout
    for row, note in (("SparseVLM", "first pass alone"), ("VLA-Cache", "are reused"), ("FlashVLA", "skipped steps")):
        assert next(line for line in done.stderr.splitlines() if row in line).count(note) == 1
    same = count(FlopsRequest(model="openvla/openvla-7b-finetuned-libero-10", pruner="none"))[0]
    assert same.total == dense.total
    with pytest.raises(UsageError, match="counts one pass, and openvla decodes token by token"):
        count(FlopsRequest(model="openvla", counter=Counter.TORCH))


def test_a_models_typical_query_is_its_own():
    """Nano's prompts have a token a word, and it keeps what it kept in its own baseline run; the paper says nothing of it."""
    counts = {case.pruner: case for case in count(FlopsRequest(model="nano"))}
    recorded = json.loads((ROOT / "results" / "baselines" / "nano-lightvla.json").read_text())["totals"]
    assert counts["lightvla"].kept_tokens == round(recorded["kept_tokens_mean"])
    assert counts["lightvla"].total == pytest.approx(recorded["gflops_mean"], rel=0.01)
    assert {case.prompt_tokens for case in counts.values()} == {13} and not any(case.paper for case in counts.values())
    paper = {name: case for name, case in ((c.pruner, c) for c in count(FlopsRequest())) if case.paper}
    assert list(paper) == ["none", "lightvla"] and paper["none"].prompt_tokens == 28


def test_parallel_decoding_of_tokens_reads_their_logits():
    """A model without a head, one pass: the closed form is what torch counts, lm_head on the slots included."""
    from vla_bench.measure.counters import count_torch
    from vla_bench.measure.meta import meta_query, run
    from vla_bench.model.query_costs import query_macs

    config = replace(NANO, l1_head=False)
    for scope in (Scope.EXECUTED, Scope.REFERENCE):  # lm_head of the slots alone, and of every row
        watched = counted("none", config)
        flops = run(meta_query(config, watched, scope, 11), count_torch)
        macs = query_macs(None, Case(config, 11), scope)
        assert {name: 2 * cost for name, cost in macs.items() if cost} == {name: cost for name, cost in flops.items() if cost}
        assert macs["lm_head"] > 0 == macs["head"]


def visual(text: str, config=SEVEN_B) -> tuple[int, ...]:
    return Case(config, 35, counted(text, config).cuts).lengths.visual


def test_sparsevlms_stages_are_the_designs():
    assert visual("sparsevlm(counts=300/200/110)") == (512,) * 3 + (307,) * 4 + (204,) * 9 + (113,) * 16
    assert visual("sparsevlm(budget=64)")[::8] == (512, 29, 16, 16)


def test_several_cuts_take_several_numbers():
    cuts = counted("sparsevlm(variant=rank)", SEVEN_B, (300, 200, 100, 50)).cuts
    assert [(cut.before, cut.kept) for cut in cuts] == [(512, 300), (300, 200), (200, 100), (100, 50)]
    (cached,) = count(FlopsRequest(pruner="vla-cache", kept=(400, 300, 200, 200)))
    (pruned,) = count(FlopsRequest(pruner="sparsevlm(variant=rank, layers=1/5/8/10)", kept=(400, 300, 200, 200)))
    assert cached.kept_tokens == pruned.kept_tokens == 200 and cached.layer_mean == pruned.layer_mean
    assert cached.modules["llm_attention"] > pruned.modules["llm_attention"]  # what is not computed again is still seen
    with pytest.raises(UsageError, match="cuts 4 times, and 2 numbers"):
        count(FlopsRequest(pruner="vla-cache", kept=(300, 200)))
    with pytest.raises(UsageError, match="300 image tokens kept before layer 6, of 200 that arrive"):
        count(FlopsRequest(pruner="vla-cache", kept=(200, 300, 200, 100)))


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(UsageError, match="depends on the input\n.*--kept 78, the paper's number for LightVLA"):
        count(FlopsRequest(pruner="lightvla"))
    with pytest.raises(UsageError, match="depends on the input\n.*--model nano .*--kept 12$"):
        count(FlopsRequest(model="nano", pruner="lightvla"))
    with pytest.raises(UsageError, match="not between 1 and the model's 512"):
        count(FlopsRequest(pruner="lightvla", kept=(513,)))
    with pytest.raises(UsageError, match="--kept 0 is not between 1"):
        count(FlopsRequest(pruner="lightvla", kept=(0,)))
    with pytest.raises(UsageError, match="depends on the input\n.*--kept 78/78/78/78"):
        count(FlopsRequest(pruner="vla-cache"))
    with pytest.raises(UsageError, match="keeps 101 of 512 image tokens, and cannot keep 100"):
        count(FlopsRequest(pruner="sparsevlm", kept=(100,)))
    with pytest.raises(UsageError, match="without a pruner 512 image tokens are kept, not 78"):
        count(FlopsRequest(pruner="none", kept=(78,)))
    for text in ("many", "78/", "-1", "7.5"):
        with pytest.raises(UsageError, match="is no number of image tokens"):
            parse_kept(text)
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
        count(FlopsRequest(pruner="fastv(layer=32)"))
    assert visual("fastv(k=3)") == visual("fastv(layer=3)") != visual("fastv")
    assert visual("random(keep=21)", NANO) == (21,) * NANO.llm.layers


@pytest.mark.parametrize("kept", [1, 2, 51, 127, 128])
def test_a_number_is_kept_exactly(kept):
    for name in ("fastv", "grid", "divprune", "vla-pruner", "efficientvla-tokens", "lightvla"):
        assert count(FlopsRequest(model="nano", pruner=name, kept=(kept,)))[0].kept_tokens == kept


def test_the_command_answers_in_seconds_and_says_what_it_counts():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vla_bench", "flops", "--kept", "78", "--format", "json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"transformers", "mujoco", "matplotlib", "scipy"} & imported
    found = json.loads(done.stdout)
    assert found["scope"] == "model" and found["unit"] == "FLOP = 2 x MAC" and found["counter"] == "closed-form"
    assert (found["visual_tokens"], found["kept_tokens"], found["prompt_tokens"]) == (512, 78, 28)
    assert sum(found["modules"].values()) == pytest.approx(found["total_gflops"])


def test_a_profile_counts_as_what_it_stands_for():
    named, spelled = (count(FlopsRequest(pruner=text))[0] for text in ("fastv(profile=release)", "fastv(keep=0.5, rater=last)"))
    assert named.kept_tokens == spelled.kept_tokens == 256 and named.modules == spelled.modules
    assert named.modules["pruner"] < count(FlopsRequest(pruner="fastv(keep=0.5)"))[0].modules["pruner"]  # one rater, not 28


def test_all_pruners_in_one_table(cli):
    printed = cli("flops").stdout
    assert "8789.1" in printed and "2997.0" in printed and "3.6 T" in printed
    assert r"\toprule" in cli("flops", "--format", "latex").stdout
    explained = subprocess.run(
        [sys.executable, "-m", "vla_bench", "flops", "--kept", "78", "--explain"], capture_output=True, text=True
    )
    assert "404,750,336 N + 16,384 N^2" in explained.stderr and "32 layers on N = 78 + 87 = 165" in explained.stderr
