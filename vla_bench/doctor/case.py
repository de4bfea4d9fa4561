"""What several checks need, worked out once: OpenGL, the asset pack, a frame of a simulator worker, golden tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from vla_bench.errors import VlaBenchError
from vla_bench.suites import Suite, load_suites

if TYPE_CHECKING:
    from vla_bench.doctor.probe import Frame
    from vla_bench.verify.run import VerifyReport
    from vla_bench.world.assets import AssetPack
    from vla_bench.world.gl import GL

Value = TypeVar("Value")


def _try(make: Callable[[], Value]) -> Value | VlaBenchError:
    try:
        return make()
    except VlaBenchError as error:
        return error


def need(value: Value | VlaBenchError) -> Value:
    """The value.  Raises the error that stands in its place."""
    if isinstance(value, VlaBenchError):
        raise value
    return value


@dataclass
class Case:
    """What the doctor is asked about.  model: None for the machine alone.

    The properties are values, or the errors that making them raised: the check of the thing itself reports the error, and
    those that need it skip.
    """

    suite: str = "all"
    assets: str = "auto"
    model: str | None = None

    @cached_property
    def suites(self) -> list[Suite] | VlaBenchError:
        return _try(lambda: load_suites(self.suite))

    @cached_property
    def gl(self) -> GL | VlaBenchError:
        from vla_bench.world.gl import choose_gl

        return _try(choose_gl)

    @cached_property
    def pack(self) -> AssetPack | VlaBenchError:
        from vla_bench.world.assets import resolve_assets

        return _try(lambda: resolve_assets(self.assets, need(self.suites)))

    @cached_property
    def frame(self) -> Frame | VlaBenchError:
        from vla_bench.doctor.probe import frame

        return _try(lambda: frame(need(self.suites)[0], need(self.pack), need(self.gl)))

    @cached_property
    def golden(self) -> VerifyReport | VlaBenchError:
        from vla_bench.verify.run import verify

        return _try(verify)
