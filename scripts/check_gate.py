"""Test the gate of continuous integration: noise on the action head must be caught, the model as it is must pass, and five
episodes must not be enough for either.

    python scripts/check_gate.py --noisy 3 --unchanged 10
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import typer
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[1]
ALL = "--init-states=0-5"
NANO = ROOT / "vla_bench" / "weights" / "nano-lightvla"


def with_noise(folder: Path, share: float, seed: int) -> Path:
    """A copy of nano-lightvla; every tensor of its action head with normal noise of this share of the tensor's own spread."""
    shutil.copytree(NANO, folder)
    (file,) = folder.glob("action_head*.safetensors")
    draw = torch.Generator().manual_seed(seed)
    weights = {name: tensor.float() for name, tensor in load_file(file).items()}
    noisy = {name: w + share * w.std(correction=0) * torch.randn(w.shape, generator=draw) for name, w in weights.items()}
    save_file({name: tensor.half().contiguous() for name, tensor in noisy.items()}, file)
    return folder


def judged(model: str, episodes: str) -> tuple[int, str]:
    """Exit code, and the last words of the verdict."""
    began = time.perf_counter()
    environment = os.environ | {"MODEL": model, "EPISODES": episodes}
    done = subprocess.run(["sh", str(ROOT / "scripts" / "gate_nano.sh")], env=environment, capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("passed", "dropped", "inconclusive"))]
    return done.returncode, f"{(said or ['no verdict'])[-1]}; {time.perf_counter() - began:.0f} s"


def main(noisy: int = 3, unchanged: int = 10, share: float = 0.1):
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        cases = [
            (f"noise {share:.0%}, seed {seed}", 1, str(with_noise(Path(temporary) / str(seed), share, seed)), ALL)
            for seed in range(noisy)
        ]
        cases += [("five episodes", 3, "nano", "--init-states=0 --tasks=0-4")]
        cases += [(f"unchanged, run {number}", 0, "nano", ALL) for number in range(1, unchanged + 1)]
        for name, expected, model, episodes in cases:
            code, said = judged(model, episodes)
            wrong += code != expected
            print(f"{name}: exit code {code}, expected {expected}; {said}", flush=True)
    raise SystemExit(f"FAILED: {wrong} of {len(cases)}" if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
