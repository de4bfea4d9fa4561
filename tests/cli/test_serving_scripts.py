"""The scripts of scripts/serving/: a decoder as a Llama checkpoint of its own is the decoder, read by transformers itself."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest
import torch
from transformers import DynamicCache, LlamaForCausalLM

from vla_bench.model.decoder import DecodingCache

from ..conftest import ROOT

SERVING = ROOT / "scripts" / "serving"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SERVING))
    return {name: runpy.run_path(str(SERVING / f"{name}.py")) for name in ("decoder_inputs", "llama_checkpoint")}


def test_the_llama_checkpoint_answers_as_the_decoder_made_causal(scripts, tmp_path):
    model, queries = scripts["decoder_inputs"]["model_and_queries"]("nano", 3)
    scripts["llama_checkpoint"]["write_llama"](model, tmp_path / "llama", full=False)
    llama = LlamaForCausalLM.from_pretrained(tmp_path / "llama", dtype=torch.float32).eval()
    lengths = set()
    for one in scripts["decoder_inputs"]["served"](model, queries, "lightvla(positions=contiguous)"):
        assert torch.equal(model.answer(one.slots[None])[0], one.actions)
        with torch.no_grad():
            ours = model.openvla.language_model(one.tokens, memory=DecodingCache(DynamicCache(), [])).hidden[0]
            theirs = llama(inputs_embeds=one.embeddings[None], output_hidden_states=True).hidden_states[-1][0]
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)
        assert (ours[one.read] - one.slots).abs().max() > 0.1  # causal, it is another model
        lengths.add(len(one.embeddings))
    assert len(lengths) > 1


def test_a_checkpoint_that_exists_is_not_overwritten(tmp_path):
    command = [sys.executable, str(SERVING / "llama_checkpoint.py"), "nano-lightvla", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "is not overwritten" in done.stderr and not list(tmp_path.iterdir())
