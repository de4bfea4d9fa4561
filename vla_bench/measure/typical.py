"""A typical query of a model: length of its prompt and image tokens kept, where nothing else is given.

The 7B's are LIBERO's and the paper's; nano's are its own, as its baseline run recorded them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from vla_bench.errors import RecordError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import NANO, OPENVLA, SEVEN_B
from vla_bench.paper import published_cost
from vla_bench.suites import load_suites

PROMPT = 28  # LIBERO's forty instructions have 27.5 tokens in the reference's template, on average
BASELINE = "nano-lightvla.json"


def prompt_tokens(config: VLAConfig) -> int:
    """Mean length of LIBERO's instructions as this model reads them."""
    if config.tokens != NANO.tokens:
        return PROMPT
    from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer

    tokenizer = Tokenizer(NANO_TOKENIZER, NANO.tokens)
    lengths = [len(tokenizer.prompt(task.language)) for suite in load_suites() for task in suite.tasks]
    return round(sum(lengths) / len(lengths))


def kept_tokens(config: VLAConfig) -> int:
    """Image tokens that LightVLA keeps: nano's recorded mean, else the paper's, in proportion to the model's image tokens."""
    if config.tokens == NANO.tokens and config.visual_tokens == NANO.visual_tokens:
        return round(nano_kept())
    return round(published_cost("lightvla").tokens * config.visual_tokens / SEVEN_B.visual_tokens)


def paper_model(config: VLAConfig) -> str | None:
    """The model of the paper's Table II that has these sizes; None where it has none."""
    models = {"openvla-oft": SEVEN_B, "openvla": OPENVLA}
    return next((name for name, known in models.items() if replace(config, name=known.name) == known), None)


@cache
def nano_kept() -> float:
    """Mean kept tokens of nano-lightvla's baseline run.  Raises RecordError."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent / "results" / "baselines" / BASELINE
    path = checkout if checkout.is_file() else package / "data" / BASELINE
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["totals"]["kept_tokens_mean"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path} has no mean of kept tokens: {error!r}", "git checkout results/baselines") from error
