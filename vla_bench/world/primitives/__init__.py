"""The embedded pack: every object, fixture and arena of the 40 tasks as MJCF primitives.

`files()` is the whole pack, path to content, in the folder layout that LIBERO expects of its assets.  It is
written to disk by `vla_bench.world.assets`; nothing of it is committed but this code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


def files() -> dict[str, bytes]:
    """Every file of the pack: path relative to the pack's root -> content.  The same bytes on every machine."""
    from vla_bench.world.primitives import textures

    content = {path: model().encode() for path, model in models().items()}
    content.update(textures.images())
    return content


def models() -> dict[str, Callable[[], str]]:
    """Path of every model -> what writes it."""
    from vla_bench.world.primitives import arenas, fixtures, groceries, household, tableware

    found: dict[str, Callable[[], str]] = {}
    for module in (arenas, fixtures, groceries, household, tableware):
        found.update(module.MODELS)
    return found


def changed_files(pack: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those of the objects that LIBERO-PRO adds, made of the `files()` in `pack`."""
    from vla_bench.world.primitives import changed

    return changed.files(pack)
