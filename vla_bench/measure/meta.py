"""One query of the real model on the meta device: only shapes run through it, so that counters can watch even a 7B.

The meta device has no values, so the number of image tokens that a pruner keeps is given.  The pruner still runs in full,
so that its own cost is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.view import View
from vla_bench.measure.counted import Counted
from vla_bench.model.vision import BLOCK_READ
from vla_bench.model.vla import VLA, Inputs
from vla_bench.pruners.wrappers import Wrapper
from vla_bench.trace import Cut
from vla_bench.values import Scope

# Prefixes of module names, and the key of `costs.macs` under which the modules count; the first match counts.
KEYS = (
    ("openvla.vision_backbone.featurizer", "dino"),
    ("openvla.vision_backbone.fused_featurizer", "siglip"),
    ("openvla.projector", "projector"),
    ("proprio_projector", "proprio"),
    ("action_head", "head"),
    ("openvla.language_model.lm_head", "lm_head"),
    ("openvla.language_model.model.layers", "llm_attention"),
)
PRUNER = "pruner"


def key_of(path: Sequence[str]) -> str | None:
    """The key of `costs.macs` of a product, from the names of the modules that it runs in, outermost first; None: not counted.

    What the model computes for the pruner counts as the pruner's.
    """
    if any(name.startswith(PRUNER) for name in path):
        return PRUNER
    name = path[-1] if path else "(none)"
    if name.endswith("rotary_emb"):  # older releases of transformers make its angles by a product
        return None
    key = next((key for prefix, key in KEYS if name == prefix or name.startswith(prefix + ".")), None)
    if key is None:
        raise LookupError(f"no part of the model has the name {name}")
    return "llm_linear" if key == "llm_attention" and name.endswith("_proj") else key


class CountedCall(nn.Module):
    """Calls a function, as a module: counters file by module, and so count it apart from the module that calls it."""

    def forward(self, function: Callable, *args):
        return function(*args)


class FixedCounts(Wrapper):
    """Runs the inner pruner, then keeps the first image tokens, as many as `cuts` say.

    unread: the inner pruner's choices; tracing drops tensors that are never read.
    """

    name = "sized"

    def __init__(self, inner: Pruner, cuts: Sequence[Cut]):
        super().__init__(inner)
        self.name, self.label = inner.name, inner.label
        self.counts = {cut.site: cut.after for cut in cuts}
        self.counted_call = CountedCall()
        self.unread: list[Tensor] = []

    def attach(self, config: VLAConfig) -> None:
        """The inner pruner has its sizes since its cuts were counted."""

    def select(self, view: View) -> Resampling | None:
        choice = self.counted_call(self.inner.select, view)
        if isinstance(choice, Selection):
            self.unread += [choice.keep] if choice.merged is None else [choice.keep, choice.merged.hidden]
        kept = self.counts.get(str(view.site))
        if kept is None:
            return None
        hidden = view.patches.hidden[:, :kept]
        return Resampling(hidden, torch.arange(kept, device=hidden.device).unsqueeze(0))


class MetaVLA(VLA):
    """A VLA that runs one made-up query, with the parts of the model that `scope` counts."""

    def __init__(self, config: VLAConfig, pruner: FixedCounts | None, scope: Scope, prompt: int):
        super().__init__(config, pruner, lean=scope is Scope.EXECUTED)
        self.prompt = tuple(range(prompt))
        self._unread: list[Tensor] = []
        if scope is Scope.MODEL and config.l1_head:
            self.openvla.language_model.lm_head = nn.Identity()
        backbone = self.openvla.vision_backbone
        vits = backbone.featurizer, backbone.fused_featurizer
        if pruner is not None:
            for layer in self.openvla.language_model.model.layers:
                layer.self_attn.register_forward_pre_hook(self._count_probe, with_kwargs=True)
            if Need.VISION_ATTENTION in pruner.needs:
                attention = backbone.fused_featurizer.blocks[BLOCK_READ].attn
                attention.received = partial(pruner.counted_call, attention.received)
                if scope is not Scope.EXECUTED:  # here the model skips the last block, which the reference runs
                    for vit in vits:
                        vit.blocks[BLOCK_READ].register_forward_hook(partial(_run_too, vit.blocks[-1]))
        for module in (vits[0].blocks[-1], vits[1].blocks[-1], self.openvla.language_model.lm_head):
            module.register_forward_hook(self._keep_alive)

    def forward(self, pixels: Tensor, proprio: Tensor | None = None) -> tuple[Tensor, ...]:
        """The actions, then the computed tensors that a trace would drop since they are never read."""
        output = super().forward(Inputs(pixels, (self.prompt,), proprio))
        unread = [*self._unread, *(self.pruner.unread if self.pruner else ())]
        self._unread.clear()
        if self.pruner:
            self.pruner.unread.clear()
        return output.actions, *unread

    def example(self) -> tuple[Tensor, ...]:
        """Arguments for `forward`."""
        config = self.config
        pixels = torch.empty(1, 6 * config.cameras, config.image_size, config.image_size, device="meta")
        return (pixels, torch.empty(1, config.proprio_dim, device="meta")) if config.proprio_dim else (pixels,)

    def _keep_alive(self, module: nn.Module, args: object, output: Tensor) -> None:
        self._unread.append(output)

    def _count_probe(self, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        if kwargs.get("probe") is None:
            return args, kwargs
        return args, {**kwargs, "probe": _CountedProbe(self.pruner, kwargs["probe"])}


class _CountedProbe:
    """A probe whose cost counts as the pruner's, not as that of the layer that it reads."""

    def __init__(self, pruner: FixedCounts, probe):
        self.pruner, self.probe = pruner, probe

    def record(self, *args) -> None:
        self.pruner.counted_call(self.probe.record, *args)


def _run_too(block: nn.Module, module: nn.Module, args: object, output: Tensor) -> None:
    block(output)


def meta_query(config: VLAConfig, pruned: Counted, scope: Scope, prompt: int) -> MetaVLA:
    """A query on the meta device, with `prompt` prompt tokens and the cuts of `pruned`.

    Raises UsageError for a pruner that reuses keys and values of the last query.
    """
    if pruned.pruner is not None and Need.PAST in pruned.pruner.needs:
        raise _not_countable(
            pruned.label, pruned.cuts, "reuses keys and values of the last query, and a counter runs a single one"
        )
    with torch.device("meta"):
        pruner = None if pruned.pruner is None else FixedCounts(pruned.pruner.to("meta"), pruned.cuts)
        return MetaVLA(config, pruner, scope, prompt).eval()


def run(query: MetaVLA, count: Callable[[MetaVLA], dict[str, int]]) -> dict[str, int]:
    """`count(query)`.  Raises UsageError for a pruner whose computation depends on values."""
    try:
        with torch.no_grad():
            return count(query)
    except (NotImplementedError, RuntimeError) as error:
        if query.pruner is None or "meta" not in str(error):
            raise
        raise _not_countable(query.pruner.label, (), "depends on values, and a counter sees only shapes") from error


def _not_countable(label: str, cuts: Sequence[Cut], why: str) -> UsageError:
    kept = f" --kept {'/'.join(str(cut.after) for cut in cuts)}" if cuts else ""
    return UsageError(f"{label} {why}", f'vla-bench flops --pruner "{label}"{kept} --counter closed-form')
