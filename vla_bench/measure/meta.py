"""One query of the real model without numbers: shapes alone run through it, so that counters can watch what a 7B does.

The meta device knows no values, hence not how many image tokens a pruner keeps: the number is given.  The pruner still does
all of its own work, which costs something too.
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

# Modules by name, and the key of `costs.macs` under which a module and all in it count, unless what is inside has its own.
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
    """Where a product counts, from the names of the modules that it runs in, outermost first; None: it does not.

    Whatever the pruner has the model do is the pruner's.
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
    """Calls a function, as a module: counters go by modules, and now tell the function from the module that it works in."""

    def forward(self, function: Callable, *args):
        return function(*args)


class FixedCounts(Wrapper):
    """The pruner inside does its work; then the first image tokens go on, as many as `cuts` say.

    alive: what the pruner inside chose; tracing forgets what nobody reads.
    """

    name = "sized"

    def __init__(self, inner: Pruner, cuts: Sequence[Cut]):
        super().__init__(inner)
        self.name, self.label = inner.name, inner.label
        self.counts = {cut.site: cut.after for cut in cuts}
        self.apart = CountedCall()
        self.alive: list[Tensor] = []

    def attach(self, config: VLAConfig) -> None:
        """The pruner inside was fitted when its cuts were counted."""

    def select(self, view: View) -> Resampling | None:
        choice = self.apart(self.inner.select, view)
        if isinstance(choice, Selection):
            self.alive += [choice.keep] if choice.merged is None else [choice.keep, choice.merged.hidden]
        kept = self.counts.get(str(view.site))
        if kept is None:
            return None
        hidden = view.patches.hidden[:, :kept]
        return Resampling(hidden, torch.arange(kept, device=hidden.device).unsqueeze(0))


class MetaVLA(VLA):
    """A VLA that answers one made-up query, and runs what `scope` says that a query costs."""

    def __init__(self, config: VLAConfig, pruner: FixedCounts | None, scope: Scope, prompt: int):
        super().__init__(config, pruner, lean=scope is Scope.EXECUTED)
        self.prompt = tuple(range(prompt))
        self._unread: list[Tensor] = []
        if scope is Scope.MODEL:
            self.openvla.language_model.lm_head = nn.Identity()
        backbone = self.openvla.vision_backbone
        vits = backbone.featurizer, backbone.fused_featurizer
        if pruner is not None:
            for layer in self.openvla.language_model.model.layers:
                layer.self_attn.register_forward_pre_hook(self._set_probe_apart, with_kwargs=True)
            if Need.VISION_ATTENTION in pruner.needs:
                attention = backbone.fused_featurizer.blocks[BLOCK_READ].attn
                attention.received = partial(pruner.apart, attention.received)
                if scope is not Scope.EXECUTED:  # on this path the model never runs the last block, and the reference does
                    for vit in vits:
                        vit.blocks[BLOCK_READ].register_forward_hook(partial(_run_too, vit.blocks[-1]))
        for module in (vits[0].blocks[-1], vits[1].blocks[-1], self.openvla.language_model.lm_head):
            module.register_forward_hook(self._keep_alive)

    def forward(self, pixels: Tensor, proprio: Tensor | None = None) -> tuple[Tensor, ...]:
        """Everything that was computed and that a trace would drop: the actions first, then what nobody reads."""
        answer = super().forward(Inputs(pixels, (self.prompt,), proprio))
        unread = [*self._unread, *(self.pruner.alive if self.pruner else ())]
        self._unread.clear()
        if self.pruner:
            self.pruner.alive.clear()
        return answer.actions, *unread

    def example(self) -> tuple[Tensor, ...]:
        """Arguments for `forward`."""
        config = self.config
        pixels = torch.empty(1, 6 * config.cameras, config.image_size, config.image_size, device="meta")
        return (pixels, torch.empty(1, config.proprio_dim, device="meta")) if config.proprio_dim else (pixels,)

    def _keep_alive(self, module: nn.Module, args: object, output: Tensor) -> None:
        self._unread.append(output)

    def _set_probe_apart(self, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        if kwargs.get("probe") is None:
            return args, kwargs
        return args, {**kwargs, "probe": _CountedProbe(self.pruner, kwargs["probe"])}


class _CountedProbe:
    """A probe whose cost is the pruner's, and not that of the layer that it looks into."""

    def __init__(self, pruner: FixedCounts, probe):
        self.pruner, self.probe = pruner, probe

    def record(self, *args) -> None:
        self.pruner.apart(self.probe.record, *args)


def _run_too(block: nn.Module, module: nn.Module, args: object, output: Tensor) -> None:
    block(output)


def meta_query(config: VLAConfig, pruned: Counted, scope: Scope, prompt: int) -> MetaVLA:
    """A query on the meta device, with `prompt` prompt tokens and the cuts of `pruned`.

    Raises UsageError for a pruner that works with the keys and values of a query before.
    """
    if pruned.pruner is not None and Need.PAST in pruned.pruner.needs:
        raise _blind(pruned.label, pruned.cuts, "sees what is left of the query before, and a counter watches one")
    with torch.device("meta"):
        pruner = None if pruned.pruner is None else FixedCounts(pruned.pruner.to("meta"), pruned.cuts)
        return MetaVLA(config, pruner, scope, prompt).eval()


def run(query: MetaVLA, count: Callable[[MetaVLA], dict[str, int]]) -> dict[str, int]:
    """`count(query)`.  Raises UsageError for a pruner that has to see values before it can go on."""
    try:
        with torch.no_grad():
            return count(query)
    except (NotImplementedError, RuntimeError) as error:
        if query.pruner is None or "meta" not in str(error):
            raise
        raise _blind(query.pruner.label, (), "decides by values how it goes on, and a counter sees shapes alone") from error


def _blind(label: str, cuts: Sequence[Cut], why: str) -> UsageError:
    kept = f" --kept {'/'.join(str(cut.after) for cut in cuts)}" if cuts else ""
    return UsageError(f"{label} {why}", f'vla-bench flops --pruner "{label}"{kept} --counter closed-form')
