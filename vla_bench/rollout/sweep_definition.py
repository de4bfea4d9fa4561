"""What a sweep runs: its rows, from a TOML file or from the options of `vla-bench sweep`.

title = "Does the choice of tokens matter?"
model = "nano"                            # of rows without one; --model replaces it; {model} in a row's model stands for it
base = "own"                              # the row that the others are paired with; by default the first
[episodes]                                # defaults of --suite, --tasks, --trials and --init-states
init_states = "0-19"
[[rows]]
name = "own"                              # a row without a pruner has the checkpoint's own
[[rows]]
name = "fastv"
pruner = ["fastv", "inverse(fastv)"]      # a list is a row for each of its values: models x pruners x arguments
args = {keep = ["match:own", 0.25], layer = 2}
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

from vla_bench.checkpoints.known import DEFAULTS
from vla_bench.errors import UsageError, nearest
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.rollout.matching import with_arguments
from vla_bench.values import Decoding, Value, one_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).resolve().parent.parent / "sweeps"
EPISODES = {"suite": str, "tasks": str, "trials": int, "init_states": str}
OPTIONS = {  # of a row, as those of `vla-bench eval`
    "decoding": Decoding,
    "action_slice": ActionSlice,
    "adapter": Path,
    "unnorm_key": str,
    "cameras": int,
    "chunk": int,
    "center_crop": bool,
    "open_loop_steps": int,
    "seed": int,
}
FIX = "vla-bench sweep --help"


@dataclass(frozen=True)
class Row:
    """A model with a pruner; None for the checkpoint's own.  options: fields of `EvalRequest`."""

    name: str
    model: str
    pruner: str | None = None
    options: dict[str, object] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of its run folder."""
        return re.sub(r"[^\w.-]+", "-", self.name).strip("-.")


@dataclass(frozen=True)
class Sweep:
    """name: of its folder.  base: the row that the others are paired with.  episodes: defaults of what selects the episodes.

    Raises UsageError for two rows of one name, or without a row called `base`.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    base: str
    episodes: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        folders = [row.folder.lower() for row in self.rows]
        if twice := [row.name for row in self.rows if folders.count(row.folder.lower()) > 1]:
            raise UsageError(f'{self.name}: two rows are called "{twice[0]}", or nearly so', FIX)
        if unnamed := [name for name, folder in zip(names, folders, strict=True) if not folder]:
            raise UsageError(f'{self.name}: "{unnamed[0]}" is no name of a row', FIX)
        if self.base not in names:
            raise UsageError(f'{self.name}: no row is called "{self.base}".{nearest(self.base, names)}', FIX)

    def selection(self, chosen: Mapping[str, object]) -> dict[str, object]:
        """The fields of `EvalRequest` that select episodes: those of `chosen` that are not None, else the sweep's own.

        --trials and --init-states replace each other.
        """
        given = {key: value for key, value in chosen.items() if value is not None}
        own = dict(self.episodes)
        if {"trials", "init_states"} & given.keys():
            own = {key: value for key, value in own.items() if key not in ("trials", "init_states")}
        return own | given


def defined(
    text: str | None, models: Sequence[str] = (), pruners: Sequence[str] = (), args: Sequence[str] = (), base: str | None = None
) -> Sweep:
    """The sweep that the arguments of `vla-bench sweep` describe.  Raises UsageError."""
    if text is None:
        return sweep_of(models, pruners, args, base)
    if args:
        raise UsageError("--pruner-args are of a sweep without a file", f'vla-bench sweep {text} --pruner "fastv(keep=0.25)"')
    if len(models) > 1:
        raise UsageError(f"{text} is about one model, not {' and '.join(models)}", f"vla-bench sweep {text} --model {models[0]}")
    sweep = read_sweep_definition(text, models[0] if models else None, pruners)
    return sweep if base is None else replace(sweep, base=base)


def shipped() -> dict[str, str]:
    """The titles of the sweeps that come with vla-bench, by name."""
    return {path.stem: str(_toml(path)["title"]) for path in sorted(SHIPPED.glob("*.toml"))}


def read_sweep_definition(text: str, model: str | None = None, pruners: Sequence[str] = ()) -> Sweep:
    """The sweep in a TOML file, or a shipped one by its name.

    model: in place of the file's.  pruners: rows of the model that are added.  Raises UsageError.
    """
    path = Path(text)
    if path.suffix != ".toml":
        path = SHIPPED / f"{text}.toml"
        if text not in shipped():
            what = f'no sweep "{text}".{nearest(text, list(shipped()))} Shipped: {", ".join(shipped())}; or a TOML file'
            raise UsageError(what, f"vla-bench sweep {next(iter(shipped()))}")
    table = _toml(path)
    _known(table, ("title", "model", "base", "episodes", "rows"), path, "")
    tables, episodes = table.get("rows"), table.get("episodes", {})
    if not isinstance(tables, list) or not tables or not all(isinstance(each, dict) for each in tables):
        raise UsageError(f"{path} has no rows: [[rows]]", FIX)
    _known(episodes, EPISODES, path, "episodes: ")
    episodes = {key: _typed(EPISODES[key], value, f"{path}: {key}") for key, value in episodes.items()}
    own = model or table.get("model")
    rows = [row for each in tables for row in _rows(each, own, path)]
    rows += rows_of([own] if own else [], pruners) if pruners else []
    return Sweep(path.stem, str(table.get("title", path.stem)), tuple(rows), str(table.get("base", rows[0].name)), episodes)


def sweep_of(models: Sequence[str], pruners: Sequence[str], args: Sequence[str] = (), base: str | None = None) -> Sweep:
    """Models x pruners x arguments, as the options name them; without pruners each model with its own.  Raises UsageError."""
    rows = rows_of(models, pruners, args)
    title = " x ".join(", ".join(each) for each in (models, pruners, args) if each)
    return Sweep("pruners", title, tuple(rows), base or rows[0].name)


def rows_of(models: Sequence[str], pruners: Sequence[str], args: Sequence[str] = ()) -> list[Row]:
    """A row is called after its pruner; where there are several models, after the model first.  Raises UsageError."""
    from vla_bench.pruners.spec import parse_arguments

    if not models:
        raise UsageError("a sweep takes models", "vla-bench sweep --model nano-oft --pruner none --pruner fastv")
    if args and not pruners:
        raise UsageError(
            "--pruner-args are of --pruner", "vla-bench sweep --model nano-oft --pruner fastv --pruner-args keep=0.25"
        )
    texts = [with_arguments(text, parse_arguments(each)) for text in pruners for each in args] if args else [*pruners]
    rows = []
    for model, text in product(models, texts or [None]):
        words = [model] if len(models) > 1 or text is None else []
        rows.append(Row(" ".join([*words, *([text] if text else [])]), model, text))
    return rows


def _rows(table: dict, model: str | None, path: Path) -> Iterator[Row]:
    """The rows that one table stands for."""
    _known(table, ("name", "model", "pruner", "args", *OPTIONS), path, "a row: ")
    models = [_model(each, model, path) for each in _several(table.get("model", "{model}"))]
    pruners, args = _several(table.get("pruner")), table.get("args", {})
    if not isinstance(args, dict) or (args and pruners == [None]):
        raise UsageError(f"{path}: args = {args!r} are arguments of a pruner: pruner = ..., args = {{keep = 0.25}}", FIX)
    options = {key: _typed(OPTIONS[key], table[key], f"{path}: {key}") for key in OPTIONS if key in table}
    sets = [dict(zip(args, values, strict=True)) for values in product(*(_several(value) for value in args.values()))]
    for own, pruner, given in product(models, pruners, sets):
        text = None if pruner is None else with_arguments(str(pruner), given)
        changing = {key: value for key, value in given.items() if isinstance(args[key], list)}
        words = [table["name"]] if "name" in table else []
        words += [own] if len(models) > 1 or (not words and pruner is None) else []
        if pruner is not None and (len(pruners) > 1 or not words):
            words.append(with_arguments(str(pruner), changing))
        else:
            words += [f"{key}={value}" for key, value in changing.items()]
        yield Row(" ".join(map(str, words)), own, text, options)


def _model(text: object, model: str | None, path: Path) -> str:
    """`{model}` alone is the sweep's model as it was named; with more around it, the checkpoint behind a short name."""
    if not isinstance(text, str):
        raise UsageError(f"{path}: model = {text!r} is no text", FIX)
    if "{model}" not in text:
        return text
    if model is None:
        raise UsageError(f"{path} says no model", f"vla-bench sweep {path} --model nano")
    return model if text == "{model}" else text.replace("{model}", DEFAULTS.get(model, model).rstrip("/"))


def _several(value: object) -> list:
    return value if isinstance(value, list) else [value]


def _typed(kind: type, value: object, where: str) -> object:
    if issubclass(kind, Value):
        return one_of(kind, str(value), where)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not kind:
        raise UsageError(f"{where} = {value!r} is no {kind.__name__}", FIX)
    return value


def _known(table: object, names: Sequence[str] | Mapping[str, object], path: Path, where: str) -> None:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {where}{table!r} is no table", FIX)
    for name in table:
        if name not in names:
            raise UsageError(f'{path}: {where}unknown key "{name}".{nearest(name, list(names))} Keys: {", ".join(names)}', FIX)


def _toml(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a sweep: {error}", FIX) from error
