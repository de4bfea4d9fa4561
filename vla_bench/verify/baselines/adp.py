"""`baselines_adp.npz`: VLA-ADP's score, its number of tokens a camera, and its gate."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from vla_bench.interface.config import LLMConfig, TokenIds, VLAConfig
from vla_bench.model.decoder import Decoder
from vla_bench.pruners.shares import count
from vla_bench.pruners.vla_adp import clip, importance, keep_best, shares
from vla_bench.pruners.vla_adp_gate import MotionGate, displacement
from vla_bench.verify.compare import EXACT, Computed, Tolerance
from vla_bench.verify.fixture import Fixture

SCORES = Tolerance(2e-6, floor=1.0)


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: norm_w, rms_eps, q_w, k_w, heads; select/case*/{text, vision, ratio, split}; gate/case*/{eef_pos, options}."""
    cases = given.names("select/")
    decoder = _decoder(given) if cases else None
    for case in (name.removesuffix("vision") for name in cases if name.endswith("/vision")):
        yield from _select(given, decoder, case)
    for case in (name.removesuffix("eef_pos") for name in given.names("gate/") if name.endswith("/eef_pos")):
        name = case + "state_used_per_window"
        yield Computed(name, _gate(given, case), EXACT, family="gate/case*/state_used_per_window")


def _decoder(given: Fixture) -> Decoder:
    """A decoder of one layer, with weights only for its queries and keys."""
    width = len(given["norm_w"])
    llm = LLMConfig(width=width, layers=1, heads=int(given["heads"]), mlp=1, vocab=1, rms_eps=float(given["rms_eps"]))
    with torch.device("meta"):
        decoder = Decoder(VLAConfig(llm=llm, tokens=TokenIds(bos=0, stop=0, pad=0)))
    names = {"input_layernorm": "norm_w", "self_attn.q_proj": "q_w", "self_attn.k_proj": "k_w"}
    weights = {f"model.layers.0.{layer}.weight": torch.as_tensor(given[name]) for layer, name in names.items()}
    decoder.load_state_dict(weights, strict=False, assign=True)
    return decoder


@torch.no_grad()
def _select(given: Fixture, decoder: Decoder, case: str) -> Iterator[Computed]:
    text, vision = (torch.as_tensor(given[case + name]).unsqueeze(0) for name in ("text", "vision"))
    visual, split = vision.shape[1], tuple(given[case + "split"].tolist())
    query, key = decoder.first_queries_and_keys(torch.cat([text, vision], dim=1))
    scores = importance(query[:, :, : text.shape[1]], key[:, :, text.shape[1] :], torch.ones(text.shape[:2]))
    yield Computed(case + "importance", scores[0], SCORES, family="select/case*/importance")
    parts = given.shape(case + "per_image_keep") or (max(1, len(split)),)  # left out for a single camera
    cameras = parts[0]
    per_camera = shares(max(1, count(float(given[case + "ratio"]), visual)), split or (1.0,) * cameras)
    if case + "per_image_keep" in given:
        yield Computed(case + "per_image_keep", per_camera, EXACT, family="select/case*/per_image_keep")
    patches = visual // cameras
    camera = torch.arange(visual).unsqueeze(0) // patches
    keep = keep_best(scores, camera, clip(per_camera, patches, "lose"))[0]
    order = _by_score(scores[0], keep) if cameras == 1 else keep.nonzero().flatten()
    yield Computed(case + "keep_idx", order, EXACT, family="select/case*/keep_idx")


def _by_score(scores: Tensor, keep: Tensor) -> Tensor:
    """The kept tokens, best first, as the release returns them for a single camera."""
    order = torch.sort(scores, descending=True, stable=True).indices
    return order[keep[order]]


def _gate(given: Fixture, case: str) -> list[int]:
    """Whether the query before each window was pruned, and whether the next one is."""
    rule, hold, distance, limit = given[case + "options"].tolist()
    fuse = re.fullmatch(r"limit(\d+)", limit)
    gate = MotionGate(rule, "last" if hold == "last" else "prune", int(fuse[1]) if fuse else 0, distance)
    closed = [gate.close(displacement(window, distance)) for window in given[case + "eef_pos"]]
    return [0, *map(int, closed)]
