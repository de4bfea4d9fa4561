"""Suites and tasks: data read from `suites/*.toml`, whose hash goes into every result.

A new suite is a new file in that folder, or in a folder of your own in the environment variable VLA_BENCH_SUITES.
`about.toml` in the same folder has what is not part of the protocol, see `About`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from vla_bench.documents import SMALL, read_bytes, refuse_unknown, typed
from vla_bench.errors import SuiteError, nearest
from vla_bench.values import Fixtures

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - Python 3.10
    import tomli as tomllib

FOLDER = "VLA_BENCH_SUITES"  # environment variable: a folder of additional suites
ABOUT = "about.toml"
ALL = "all"
Length = Annotated[int, Meta(ge=1, le=100_000)]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][^/\\\x00-\x1f]*$")]  # it becomes part of a path
NAME = re.compile(r"[A-Za-z0-9][\w-]*")
FIXTURES_LINE = re.compile(rb"^fixtures\b.*\n?", re.MULTILINE)


@dataclass(frozen=True)
class Task:
    """One LIBERO task.  `id` is its place in the suite (order index 0 of the benchmark)."""

    id: int
    name: str  # stem of the BDDL and init-state files

    @property
    def language(self) -> str:
        """The instruction: the file name without its scene prefix, underscores as spaces."""
        return re.sub(r"^[A-Z_]+SCENE\d+_", "", self.name).replace("_", " ")


@dataclass(frozen=True)
class Checkpoint:
    """A public checkpoint trained for this suite."""

    hub: str
    unnorm_key: str


@dataclass(frozen=True)
class About:
    """Properties of a suite that do not change its episodes; all optional.

    order: place among the suites; those without one come last, by name.
    aliases: other names that are accepted, beside the suite's own with `libero_` before it; results have the suite's own.
    prompt_tokens: mean length of the instructions with Llama's tokenizer.
    checkpoints: public checkpoints by family, beside those of the suite's own file.
    """

    order: int | None = None
    aliases: tuple[str, ...] = ()
    prompt_tokens: int | None = None
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Suite:
    """One LIBERO suite and the protocol it is evaluated with.  Lengths are in control steps.

    fixtures: where they stand; FROZEN in a file without that line, as all were before version 0.2.
    """

    name: str
    libero_name: str
    title: str
    horizon: int
    settle_steps: int
    control_hz: int
    env_seed: int
    init_states: int
    chunk: int
    cameras: tuple[str, ...]
    image_size: int
    tasks: tuple[Task, ...]
    checkpoints: dict[str, Checkpoint] = field(hash=False)
    sha256: str
    fixtures: Fixtures = Fixtures.FROZEN
    about: About = field(default=About(), compare=False)

    def task(self, task_id: int) -> Task:
        if not 0 <= task_id < len(self.tasks):
            raise SuiteError(f"suite {self.name} has no task {task_id}: tasks are 0 to {len(self.tasks) - 1}", "vla-bench suites")
        return self.tasks[task_id]

    @property
    def number(self) -> int:
        """What seeds are drawn with; it does not depend on which other suites there are."""
        return zlib.crc32(self.name.encode()) if self.about.order is None else self.about.order

    @cached_property
    def protocol(self) -> dict[str, object]:
        """What a run records of its suite."""
        keys = ("name", "libero_name", "horizon", "settle_steps", "control_hz", "env_seed", "chunk", "image_size", "sha256")
        return {key: getattr(self, key) for key in keys} | {"fixtures": self.fixtures.value, "cameras": list(self.cameras)}


class _SuiteFile(Struct, forbid_unknown_fields=True):
    """What a suite's TOML file holds."""

    name: str
    libero_name: FileName
    title: str
    horizon: Length
    settle_steps: Annotated[int, Meta(ge=0, le=100_000)]
    control_hz: Length
    env_seed: Annotated[int, Meta(ge=0, lt=2**32)]
    init_states: Length
    chunk: Length
    cameras: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]
    image_size: Annotated[int, Meta(ge=1, le=4096)]
    tasks: Annotated[tuple[FileName, ...], Meta(min_length=1, max_length=10_000)]
    fixtures: Fixtures = Fixtures.FROZEN
    checkpoints: dict[str, Checkpoint] = {}


def suites_dir() -> Path:
    """`suites/` of the checkout, else the copy inside the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / "suites"
    return checkout if (checkout / "long.toml").is_file() else package / "data" / "suites"


def suite_files() -> dict[str, Path]:
    """The file of every suite, by name, in the order that lists have.  Raises SuiteError."""
    folders = [suites_dir()]
    if own := os.environ.get(FOLDER):
        folders.append(Path(own).expanduser())
        if not folders[1].is_dir():
            raise SuiteError(f"{FOLDER} names {own}, which is no folder", f"unset {FOLDER}")
    files: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            if path.name == ABOUT:
                continue
            if NAME.fullmatch(path.stem) is None or path.stem == ALL:
                raise SuiteError(f'{path}: "{path.stem}" cannot be the name of a suite', f"mv {path} {folder / 'mine.toml'}")
            if path.stem in files:
                raise SuiteError(f"two files of one name: {files[path.stem]} and {path}", f"mv {path} {folder / 'mine.toml'}")
            files[path.stem] = path
    orders = {name: about.order for folder in folders for name, about in read_about(folder).items()}
    return dict(sorted(files.items(), key=lambda item: (orders.get(item[0]) is None, orders.get(item[0]), item[0])))


def suite_names() -> tuple[str, ...]:
    """Names of all suites, in their order."""
    return tuple(suite_files())


def read_about(folder: Path) -> dict[str, About]:
    """`about.toml` of a folder of suites, by suite; empty where there is none.  Raises SuiteError."""
    path = folder / ABOUT
    if not path.is_file():
        return {}
    _, table = _read_toml(path)
    try:
        for own in typed(table, dict[str, dict[str, object]]).values():
            refuse_unknown(own, About.__dataclass_fields__)
        return typed(table, dict[str, About])
    except ValueError as error:
        raise SuiteError(f"{path} has a wrong key: {error}", f"compare it with {suites_dir() / ABOUT}") from error


def read_suite(path: Path, frozen: bool = False) -> Suite:
    """Read and check one suite file; raises SuiteError.

    frozen: as if the file had no line `fixtures`.  So it has the hash that it had before version 0.2.
    """
    raw, table = _read_toml(path)
    if frozen and "fixtures" in table:
        raw = FIXTURES_LINE.sub(b"", raw, count=1)
        del table["fixtures"]
    try:
        file = typed(table, _SuiteFile)
        tasks = tuple(Task(i, name) for i, name in enumerate(file.tasks))
        about = read_about(path.parent).get(path.stem, About())
        more = {"tasks": tasks, "checkpoints": file.checkpoints | about.checkpoints, "about": about}
        suite = Suite(**asdict(file) | more, sha256=hashlib.sha256(raw).hexdigest())
    except ValueError as error:
        raise SuiteError(
            f"{path} has a wrong or missing key: {error}", f"compare it with {suites_dir() / 'long.toml'}"
        ) from error
    return suite


def _read_toml(path: Path) -> tuple[bytes, dict]:
    try:
        raw = read_bytes(path, SMALL)
        return raw, tomllib.loads(raw.decode())
    except OSError as error:
        raise SuiteError(f"cannot read suite file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise SuiteError(f"{path} is not valid TOML: {error}", f"edit {path}") from error


def load_suite(name: str, frozen: bool = False) -> Suite:
    """The suite called `name`; `frozen`: with the fixtures of the first reset in every episode.  Raises SuiteError."""
    files = suite_files()
    name = own_name(name, files)
    suite = read_suite(files[name], frozen)
    if suite.name != name:
        fix = f"mv {files[name]} {files[name].with_stem(suite.name)}"
        raise SuiteError(f'{files[name]} holds the suite "{suite.name}": name and file must be the same', fix)
    return suite


def load_suites(name: str = ALL, frozen: bool = False) -> list[Suite]:
    """The suites called `name`: one, several as in "object,spatial", or "all" of them; always in the same order.

    frozen: see `load_suite`.
    """
    files = suite_files()
    wanted = set(files) if name == ALL else {own_name(each.strip(), files) for each in name.split(",")}
    return [load_suite(each, frozen) for each in files if each in wanted]


def own_name(name: str, files: dict[str, Path]) -> str:
    """The name of the suite that is also called `name`, as libero_10 for long.  Raises SuiteError."""
    if name in files:
        return name
    about = {suite: own for folder in {path.parent for path in files.values()} for suite, own in read_about(folder).items()}
    alias = {alias: suite for suite, own in about.items() for alias in own.aliases}.get(name, name.removeprefix("libero_"))
    if alias in files:
        return alias
    raise SuiteError(f'unknown suite "{name}".{nearest(name, list(files))} Suites: {", ".join(files)}, {ALL}', "vla-bench suites")
