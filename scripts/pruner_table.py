"""Evaluate every pruner on nano-oft at one number of image tokens, the models trained with a pruner, and some on nano-lightvla.

    python scripts/pruner_table.py --keep 10 --runs results/runs/pruners --out results/pruners

A method is one `vla-bench eval` a suite, so the same command resumes.  OUT gets the summary of every run, SUITE/METHOD.json, and
the tables SUITE.md that `vla-bench compare` writes with the dense model as baseline.  An existing summary is used as it is: a
part of a longer run (vla-bench keep --suite --init-states) need not be run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

PRUNERS = {
    "random": "random(keep={keep})",
    "grid": "grid(keep={keep})",
    "fastv": "fastv(keep={keep})",
    "sparsevlm": "sparsevlm(counts={cuts})",
    "sparsevlm-1stage": "sparsevlm(variant=1stage,keep={keep})",
    "divprune": "divprune(keep={keep})",
    "score-lightvla": "score-lightvla(keep={keep})",
    "inverse-score-lightvla": "inverse(score-lightvla(keep={keep}))",
    "inverse-fastv": "inverse(fastv(keep={keep}))",
    "lightvla-untrained": "lightvla",
}
MODELS = {
    "lightvla": "nano-lightvla",
    "lightvla-star-vision": "nano-lightvla-star-vision",
    "lightvla-star-llm1": "nano-lightvla-star-llm1",
}
ON_LIGHTVLA = {  # other selections for the weights that were trained with few tokens: the value of LightVLA's selection
    "random-on-lightvla": "random(keep={keep})",
    "score-lightvla-on-lightvla": "score-lightvla(keep={keep})",
}


def main(
    keep: Annotated[int, typer.Option(help="Image tokens of both cameras: those that nano-lightvla keeps, rounded.")],
    runs: Annotated[Path, typer.Option(help="Folder of the run folders.")] = Path("results/runs/pruners"),
    out: Annotated[Path, typer.Option(help="Folder of the JSON and the tables.")] = Path("results/pruners"),
    suite: Annotated[str, typer.Option(help="Several with commas.")] = "object,spatial",
    tasks: Annotated[str | None, typer.Option(help="As for eval.")] = None,
    init_states: Annotated[str, typer.Option(help="Of every task.")] = "0-9",
    only: Annotated[str | None, typer.Option(help="Only these methods, with commas; the first is the baseline.")] = None,
    assets: Annotated[str, typer.Option(help="As for eval.")] = "primitive",
    workers: Annotated[str, typer.Option(help="As for eval.")] = "auto",
) -> None:
    methods = {"none": ["--model", "nano-oft"]}
    methods |= {name: ["--model", model] for name, model in MODELS.items()}
    # SparseVLM's cuts in the proportions of its smallest budget, 66/30/17; after the last one a merged token is added.
    cuts = "/".join(str(round((keep - 1) * share / 17)) for share in (66, 30, 17))
    for model, texts in {"nano-oft": PRUNERS, "nano-lightvla": ON_LIGHTVLA}.items():
        methods |= {name: ["--model", model, "--pruner", text.format(keep=keep, cuts=cuts)] for name, text in texts.items()}
    if only:
        methods = {name: methods[name] for name in only.split(",")}
    common = ["--init-states", init_states, "--assets", assets, "--video", "none", "--workers", workers]
    if tasks:
        common += ["--tasks", tasks]
    for each in suite.split(","):
        files = []
        for name, options in methods.items():
            run, file = runs / f"{each}-{name}", out / each / f"{name}.json"
            if file.exists():
                print(f"{file} exists, from: {json.loads(file.read_text())['command']}")
            else:
                vla_bench("eval", "--suite", each, *options, *common, "--out", run)
                vla_bench("keep", run, file)
            files.append(file)
        vla_bench("compare", *files, "--out", out / f"{each}.md")


def vla_bench(*arguments: str | Path) -> None:
    """Run a command, and end with its exit code where it fails."""
    command = [Path(sys.executable).with_name("vla-bench"), *arguments]
    if code := subprocess.run([str(part) for part in command]).returncode:
        raise SystemExit(code)


if __name__ == "__main__":
    typer.run(main)
