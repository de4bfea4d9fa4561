"""CUDA graphs: a function of fixed shapes is launched as a whole, for the host as cheap as a single kernel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

# Most graphs kept, more than the prompts of all forty tasks need; each adds its inputs and outputs to the shared memory.
KEPT = 128
WARM_UP = 3  # runs before a capture: libraries choose their kernels and allocate, which no graph may record

Function = Callable[..., tuple[Tensor | None, ...]]


class Graph:
    """One function, captured with one set of shapes."""

    def __init__(self, function: Function, inputs: tuple[Tensor | None, ...], pool: object):
        self._inputs = tuple(None if x is None else x.clone() for x in inputs)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile: only what this one does must be fit to be captured.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._outputs = function(*self._inputs)

    def __call__(self, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:
        for buffer, given in zip(self._inputs, inputs, strict=True):
            if buffer is not None:
                buffer.copy_(given, non_blocking=True)
        self._graph.replay()
        # The next call overwrites them.  The host launches the copies while the graph still runs, so they cost no time.
        return tuple(None if x is None else x.clone() for x in self._outputs)


class GraphCache:
    """Calls functions by key, each captured when its key is new; the key says everything that the function has fixed.

    Graphs share one memory pool, so they must run one after the other, on one stream.
    limit: graphs kept; the one used longest ago is dropped first.
    """

    def __init__(self, limit: int = KEPT, capture: Callable[..., Function] = Graph):
        self._limit, self._capture = limit, capture
        self._pool: object = None
        self._graphs: OrderedDict[Hashable, Function] = OrderedDict()

    def __call__(self, key: Hashable, function: Function, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:
        if key not in self._graphs:
            if self._capture is Graph and self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            if len(self._graphs) == self._limit:
                self._graphs.popitem(last=False)
            self._graphs[key] = self._capture(function, inputs, self._pool)
        self._graphs.move_to_end(key)
        return self._graphs[key](*inputs)


def at_once(key: Hashable, function: Function, *inputs: Tensor | None) -> tuple[Tensor | None, ...]:
    """The same call without graphs."""
    return function(*inputs)
