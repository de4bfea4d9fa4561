"""What the pruners themselves cost: multiply-adds of their matrix products, as the code here computes them.

Not products, hence not counted: norms, cosines and distances of pairs taken element by element (score-norm, score-text,
sparsevlm's clustering), the eigendecomposition of flashvla-ics, greedy searches, sorting, edges of pictures.
A method that decides by several queries is counted at one that prunes, with nothing remembered of earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vla_bench.interface.config import VLAConfig
from vla_bench.model.costs import lightvla_macs, others
from vla_bench.pruners.shares import split


@dataclass(frozen=True)
class Case:
    """A pruner's query: sizes, prompt tokens, image tokens left behind it, the layer before which it acts, its arguments."""

    config: VLAConfig
    prompt: int
    kept: int
    layer: int
    args: Mapping[str, object]

    @property
    def all_stay(self) -> bool:
        """Then methods with a fixed number do not look, and ask for no attention."""
        return self.kept >= self.config.visual_tokens

    @property
    def one_pool(self) -> bool:
        return self.args.get("quota", "per_image") == "global"

    def probe(self, rows: int) -> int:
        """Attention recomputed for some rows: their queries against the keys of all tokens."""
        return rows * (others(self.config, self.prompt) + self.config.visual_tokens) * self.config.llm.width

    def raters(self) -> int:
        """Rows of the argument `rater`."""
        before = others(self.config, 0) - self.config.slots - 1  # BOS and proprio
        prefill = before + self.config.visual_tokens + self.prompt
        known = {"text": self.prompt, "prefill": prefill, "action": self.config.slots, "last": 1}
        return known[str(self.args.get("rater", "text"))]


def nothing(case: Case) -> int:
    return 0


def lightvla(case: Case) -> int:
    return lightvla_macs(case.config, case.prompt)


def score_lightvla(case: Case) -> int:
    return 0 if case.all_stay else lightvla(case)


def lightvla_star(case: Case) -> int:
    """Learnable queries against the image tokens; inside the decoder also the prompt's attention in the layer before."""
    config = case.config
    queries = int(case.args.get("queries", 0)) or config.visual_tokens // 4
    width = config.llm.width if case.layer else config.vision_width
    return queries * config.visual_tokens * width + (case.probe(case.prompt) if case.layer else 0)


def pool(case: Case) -> int:
    """A mean is the product with a matrix of shares."""
    return 0 if case.all_stay else case.kept * case.config.patches * case.config.llm.width


def siglip_attention(case: Case) -> int:
    """Queries, keys and values of one SigLIP block once more, and their scores: the block's own kernel does not hand them out."""
    vit, tokens = case.config.siglip, case.config.patches + case.config.siglip.prefix
    return case.config.cameras * (tokens * 3 * vit.width**2 + tokens**2 * vit.width)


def fastv(case: Case) -> int:
    return 0 if case.all_stay else case.probe(case.raters())


def pairs(case: Case) -> int:
    """Every image token against every other one."""
    return case.config.visual_tokens**2 * case.config.llm.width


def divprune(case: Case) -> int:
    """All pairs, also where every camera chooses for itself."""
    return 0 if case.all_stay else pairs(case)


def flashvla(case: Case) -> int:
    """The Gram matrix, of every camera or of all; its eigenvectors come on top."""
    if case.all_stay:
        return 0
    return pairs(case) if case.one_pool else pairs(case) // case.config.cameras


def efficientvla(case: Case) -> int:
    """The probe; and where diverse tokens are wanted, every image token against the key tokens of its set."""
    config, from_text = case.config, case.args.get("direction", "t2v") == "t2v"
    if case.all_stay:
        return 0
    found = case.probe(case.prompt if from_text else config.visual_tokens)
    if not from_text:  # the sum over the prompt's columns
        found += config.visual_tokens * (others(config, case.prompt) + config.visual_tokens)
    pools = 1 if case.one_pool else config.cameras
    for share in split(case.kept, pools):
        key = min(int(case.args.get("key", 4)), share)
        diverse = share - key - math.floor(float(case.args.get("alpha", 0.5)) * (share - key))
        found += config.visual_tokens // pools * key * config.llm.width if diverse else 0
    return found


def vla_adp(case: Case) -> int:
    """Queries and keys of layer 0 for text and image tokens; the mean query against all keys is the mean of the scores."""
    if case.all_stay:
        return 0
    text, visual, width = 1 + case.prompt, case.config.visual_tokens, case.config.llm.width
    return (text + visual) * 2 * width**2 + visual * width


def vla_pruner(case: Case) -> int:
    """Both probes, and all pairs."""
    return 0 if case.all_stay else case.probe(case.raters() + case.config.slots) + pairs(case)
