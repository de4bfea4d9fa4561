"""The registered pruners and their properties."""

from __future__ import annotations

import inspect
import json
import re
import typing
from dataclasses import dataclass, field

from vla_bench.errors import VlaBenchError
from vla_bench.interface.layout import Span
from vla_bench.interface.presets import SEVEN_B
from vla_bench.interface.pruner import Pruner
from vla_bench.pruners.names import NONE, names, plug_ins
from vla_bench.pruners.registry import make_pruner, pruner_class
from vla_bench.pruners.spec import parameters

EXAMPLE = "score-norm"  # the pruner inside, for wrappers


@dataclass(frozen=True)
class PrunerEntry:
    """One line of `vla-bench pruners`, with default arguments on the 7B model.

    needs: attention rows and what else it must be given.
    count: "fixed" or "adaptive" number of image tokens.
    trained: has parameters of its own, which a checkpoint must hold.
    choices: the values of those parameters that have few.
    problem: why a plug-in cannot be used, None when it can.
    """

    name: str
    summary: str = ""
    sites: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    count: str = ""
    trained: bool = False
    parameters: dict[str, object] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    source: str = ""
    problem: str | None = None
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        lists = {key: list(getattr(self, key)) for key in ("sites", "needs", "profiles")}
        return dict(vars(self)) | lists | {"choices": {key: list(values) for key, values in self.choices.items()}}


def catalogue() -> list[PrunerEntry]:
    """All of them, in the order of `names`; a plug-in that cannot be used is listed with its problem."""
    return [_entry(name) for name in names() if name != NONE]


def _entry(name: str) -> PrunerEntry:
    if name not in plug_ins():
        return _of_class(name)
    try:
        entry = _of_class(name)
        json.dumps(entry.to_dict(), allow_nan=False)  # whatever its attributes are
        return entry
    except (Exception, SystemExit) as error:  # noqa: BLE001  a broken plug-in must not keep the others from being listed
        problem = error.message if isinstance(error, VlaBenchError) else repr(error)
        return PrunerEntry(name, source=plug_ins()[name].value, problem=problem)


def _of_class(name: str) -> PrunerEntry:
    kind = pruner_class(name)
    pruner = make_pruner(f"{name}({EXAMPLE})" if kind.wraps else name)
    pruner.attach(SEVEN_B)
    return PrunerEntry(
        name=name,
        summary=_first_sentence(kind),
        sites=("as the pruner inside",) if kind.wraps else tuple(map(str, pruner.sites)),
        needs=(*_rows(pruner), *sorted(need.value for need in pruner.needs)),
        count="as the pruner inside" if kind.wraps else "adaptive" if pruner.adaptive else "fixed",
        trained=next(pruner.parameters(), None) is not None,
        parameters={p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in parameters(kind)},
        profiles=tuple(kind.profiles),
        source=kind.source,
        choices={p.name: typing.get_args(p.kind) for p in parameters(kind) if typing.get_origin(p.kind) is typing.Literal},
    )


def _rows(pruner: Pruner) -> list[str]:
    """Attention rows by span: "prompt's attention in layers 2, 6"."""
    layers: dict[Span, list[int]] = {}
    for rows in pruner.rows:
        layers.setdefault(rows.span, []).append(rows.layer)
    return [
        f"{_owner(span)} attention in layer{'s' if len(numbers) > 1 else ''} {_compact(sorted(numbers))}"
        for span, numbers in layers.items()
    ]


def _owner(span: Span) -> str:
    return "action slots'" if span is Span.SLOTS else f"{span.value}'s"


def _compact(numbers: list[int]) -> str:
    if len(numbers) > 3 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} - {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _first_sentence(kind: type[Pruner]) -> str:
    text = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[a-z]{3})\.(?: |$)", text)[0].rstrip(".")
