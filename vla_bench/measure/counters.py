"""Two counters that are independent of the closed form: they watch the operators of a query on the meta device.

torch: `FlopCounterMode`, which sees every operator as it runs.  Attention is decomposed there into its two products.
fvcore: `FlopCountAnalysis`, which reads a trace.  It counts multiply-adds, knows no fused attention, and adds norms.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vla_bench.errors import UsageError
from vla_bench.measure.meta import MetaVLA, key_of
from vla_bench.model.vision import ViT


class FlopsByModule:
    """Assigns the growth of a running total to the module that is running: `flops`, by key of `costs.macs`."""

    def __init__(self, total: Callable[[], int]):
        self.flops: Counter[str] = Counter()
        self._total = total
        self._path: list[str] = []
        self._before = 0

    def watch(self, model: nn.Module) -> list:
        """Hooks into every module; returns their handles."""
        handles = []
        for name, module in model.named_modules():
            if name:
                handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._enter(name)))
                handles.append(module.register_forward_hook(lambda *_: self._leave()))
        return handles

    def _enter(self, name: str) -> None:
        self._assign()
        self._path.append(name)

    def _leave(self) -> None:
        self._assign()
        self._path.pop()

    def _assign(self) -> None:
        now = self._total()
        if now != self._before:
            self.flops[key_of(self._path)] += now - self._before
            self._before = now


def count_torch(query: MetaVLA) -> dict[str, int]:
    """FLOPs by module."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    by_module = FlopsByModule(counter.get_total_flops)
    handles = by_module.watch(query)
    with counter:
        query(*query.example())
    for handle in handles:
        handle.remove()
    return _known(by_module.flops)


def count_fvcore(query: MetaVLA) -> dict[str, int]:
    """FLOPs by module: two per multiply-add, which fvcore counts as one.  Changes `query`, which must not be used again."""
    try:
        with _no_warnings():
            from fvcore.nn import FlopCountAnalysis, jit_handles
    except ImportError as error:
        raise UsageError(f"fvcore cannot be imported: {error}", 'pip install fvcore "torch==2.13.0"') from error

    for module in query.modules():
        if isinstance(module, ViT):
            module.patch_embed = UnfoldedPatchEmbed(module.patch_embed.proj)
    handles = {
        "aten::linear": jit_handles.linear_flop_jit,
        "aten::addmm": jit_handles.addmm_flop_jit,
        "aten::mm": jit_handles.matmul_flop_jit,
        "aten::bmm": jit_handles.bmm_flop_jit,
        "aten::matmul": jit_handles.matmul_flop_jit,
        "aten::scaled_dot_product_attention": attention_macs,
    }
    analysis = FlopCountAnalysis(query, query.example())
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    analysis.clear_op_handles()  # of norms: an operator with a handle cannot be ignored
    for operator, macs in handles.items():
        analysis.set_op_handle(operator, by_key(macs))
    with _no_warnings(), _Traceable():
        macs_by_key = analysis.by_operator()
    return _known({key: 2 * macs for key, macs in macs_by_key.items()})


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Hide the warning that torch's tracing is deprecated: a user cannot mend that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class _Traceable(TorchFunctionMode):
    """Fills masks with 1 in place of True, for which tracing has no `scatter_`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is Tensor.scatter_ and isinstance(args[-1], bool):
            args = (*args[:-1], int(args[-1]))
        return function(*args, **(kwargs or {}))


def by_key(macs: Callable[[list, list], int]) -> Callable[[list, list], Counter[str | None]]:
    """A handle that files under a key of `costs.macs`, where fvcore has the operator's name."""

    def handle(inputs: list, outputs: list) -> Counter[str | None]:
        path = [name for name in outputs[0].node().scopeName().split("/") if name]
        return Counter({key_of(path): int(macs(inputs, outputs))})

    return handle


def attention_macs(inputs: list, outputs: list) -> int:
    """Both products of attention, full: queries (..., N, d), keys (..., M, d), values (..., M, e)."""
    query, key, value = (x.type().sizes() for x in inputs[:3])
    return prod(query[:-1]) * key[-2] * (key[-1] + value[-1])


class UnfoldedPatchEmbed(nn.Module):
    """A patch embedding as a product of unfolded patches: a convolution cannot be traced on the meta device."""

    def __init__(self, proj: nn.Conv2d):
        super().__init__()
        self.proj = proj

    def forward(self, images: Tensor) -> Tensor:
        size = self.proj.kernel_size[0]
        batch, channels, side, _ = images.shape
        cells = side // size
        patches = images.reshape(batch, channels, cells, size, cells, size).permute(0, 2, 4, 1, 3, 5).reshape(batch, cells**2, -1)
        return F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)


def _known(by_key: dict[str | None, int]) -> dict[str, int]:
    return {key: flops for key, flops in by_key.items() if key is not None}
