"""What this machine lacks to run a suite; nothing is hashed or loaded, which a run does before its first episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vla_bench.errors import WorldError
from vla_bench.suites import Suite
from vla_bench.values import SuiteFiles
from vla_bench.world import libero_pro, official, primitives
from vla_bench.world.changed import CHANGED
from vla_bench.world.libero import libero_root
from vla_bench.world.required import places, required_models


@dataclass(frozen=True)
class Readiness:
    """packs: asset packs of this machine that have every model of the suite.  lacks: what is missing; get: the command for it."""

    packs: tuple[str, ...]
    lacks: str = ""
    get: str = ""

    def to_dict(self) -> dict[str, object]:
        return {"packs": list(self.packs), "lacks": self.lacks or None, "get": self.get or None}


def readiness(suite: Suite) -> Readiness:
    """Whether the suite runs here."""
    try:
        libero_root()
    except WorldError as error:
        return Readiness((), error.message, error.fix or "")
    if suite.files is SuiteFiles.LIBERO_PRO and (missing := libero_pro.lacking()):
        return Readiness((), f"{len(missing)} files of LIBERO-PRO", libero_pro.GET)
    try:
        required = required_models([suite])
    except WorldError as error:
        return Readiness((), error.message, error.fix or "")
    found, embedded = [], _primitive(required)
    if embedded is None:
        found.append("primitive")
    if any(
        all(any((root / path).is_file() for path in places(name)) for name in required) for root in official.package_folders()
    ):
        found.append("official")
    if found:
        return Readiness(tuple(found))
    return Readiness((), f"LIBERO's meshes: pack primitive has no {embedded}", official.INSTALL)


def _primitive(required: Mapping[str, str]) -> str | None:
    """A model that the embedded pack does not have; None where it has all."""
    own = primitives.models().keys()
    return next((name for name in required if name not in CHANGED and own.isdisjoint(places(name))), None)
