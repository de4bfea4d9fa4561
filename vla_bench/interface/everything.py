"""What a pruner is written with, in one place: `from vla_bench.interface.everything import Pruner, Rows, View`."""

from vla_bench.interface.needs import Need, Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.sites import LLM_INPUT, VISION, Place, Site, before_layer
from vla_bench.interface.view import AttentionRows, Patches, Query, View

__all__ = [
    "LLM_INPUT",
    "VISION",
    "AttentionRows",
    "Need",
    "Patches",
    "Place",
    "Pruner",
    "Query",
    "Resampling",
    "Rows",
    "Selection",
    "Site",
    "View",
    "before_layer",
]
