"""Suites and tasks: data read from `suites/*.toml`, whose hash goes into every result.

A new suite is a new file in that folder, or in a folder of your own in the environment variable VLA_BENCH_SUITES.
`about.toml` in the same folder has what is not part of the protocol, see `About`.

A folder in it holds a family of further suites, as `suites/pro`: they are run by their names or by that of the family, and are
not among `all`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import asdict

from vla_bench.documents import SMALL, read_bytes, refuse_unknown, typed
from vla_bench.errors import SuiteError, nearest
from vla_bench.values import Fixtures, SuiteFiles

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
    instruction: str | None = None  # where the suite's file gives one

    @property
    def language(self) -> str:
        """The instruction: as given, else the file name without its scene prefix, underscores as spaces."""
        return self.instruction or re.sub(r"^[A-Z_]+SCENE\d+_", "", self.name).replace("_", " ")


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
    original, axis: of a suite that is another one with a change: that one's name, and what was changed.
    files: where its BDDL files and init states are from.  files_sha256: their hash, as `vla_bench.world.content.folder_hash`.
    family: the folder in which its file is; empty for the suites of LIBERO and of one's own.
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
    original: str | None = None
    axis: str | None = None
    files: SuiteFiles = SuiteFiles.LIBERO
    files_sha256: str | None = None
    family: str = field(default="", compare=False)
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
        changed = {} if self.axis is None else {"original": self.original, "axis": self.axis}
        plain = {key: getattr(self, key) for key in keys} | {"fixtures": self.fixtures.value, "cameras": list(self.cameras)}
        return plain | changed

    @property
    def data_name(self) -> str:
        """LIBERO's name of the suite whose demonstrations models learn from: the original's where this one is changed."""
        return self.libero_name.removesuffix(f"_{self.axis}")


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
    original: str | None = None
    axis: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$")] | None = None
    files: SuiteFiles = SuiteFiles.LIBERO
    files_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    instructions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.original is None) != (self.axis is None):
            raise ValueError("original and axis belong together: the suite that was changed, and what was")
        if self.instructions and len(self.instructions) != len(self.tasks):
            raise ValueError(f"{len(self.instructions)} instructions of {len(self.tasks)} tasks")


def suites_dir() -> Path:
    """`suites/` of the checkout, else the copy inside the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / "suites"
    return checkout if (checkout / "long.toml").is_file() else package / "data" / "suites"


def suite_folders() -> list[Path]:
    """`suites_dir()`, and the folder of one's own.  Raises SuiteError."""
    folders = [suites_dir()]
    if own := os.environ.get(FOLDER):
        folders.append(Path(own).expanduser())
        if not folders[1].is_dir():
            raise SuiteError(f"{FOLDER} names {own}, which is no folder", f"unset {FOLDER}")
    return folders


def suite_files() -> dict[str, Path]:
    """The file of every suite of no family, by name, in the order that lists have.  Raises SuiteError."""
    return _files_in(suite_folders())


def family_files() -> dict[str, dict[str, Path]]:
    """Of every family the files of its suites, as `suite_files`.  Raises SuiteError."""
    inside = sorted(
        (path for folder in suite_folders() for path in folder.iterdir() if path.is_dir()), key=lambda path: path.name
    )
    return {path.name: own for path in inside if (own := _files_in([path]))}


def _files_in(folders: list[Path]) -> dict[str, Path]:
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
    """Names of the suites of no family, in their order."""
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
        given = file.instructions or (None,) * len(file.tasks)
        tasks = tuple(Task(i, name, own) for i, (name, own) in enumerate(zip(file.tasks, given, strict=True)))
        about = read_about(path.parent).get(path.stem, About())
        more = {"tasks": tasks, "checkpoints": file.checkpoints | about.checkpoints, "about": about}
        more["family"] = "" if path.parent in suite_folders() else path.parent.name
        plain = {key: value for key, value in asdict(file).items() if key != "instructions"}
        suite = Suite(**plain | more, sha256=hashlib.sha256(raw).hexdigest())
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
    files = all_files()
    return _load(own_name(name, files), files, frozen)


def _load(name: str, files: dict[str, Path], frozen: bool) -> Suite:
    suite = read_suite(files[name], frozen)
    if suite.name != name:
        fix = f"mv {files[name]} {files[name].with_stem(suite.name)}"
        raise SuiteError(f'{files[name]} holds the suite "{suite.name}": name and file must be the same', fix)
    if suite.original is None:
        return suite
    original = read_suite(files[own_name(suite.original, files)])
    if original.original is not None:
        raise SuiteError(f"{files[name]}: its original {original.name} is a change of {original.original}", f"edit {files[name]}")
    # A changed suite has no checkpoints of its own: it asks what those of the original still can.
    return replace(suite, checkpoints=original.checkpoints | suite.checkpoints)


def load_suites(name: str = ALL, frozen: bool = False) -> list[Suite]:
    """The suites called `name`: one, several as in "object,spatial", a family or a part of one as in "pro" and "pro-spatial", or
    "all" of no family; always in the same order.

    frozen: see `load_suite`.
    """
    files = all_files()
    wanted = {each for part in name.split(",") for each in _named(part.strip(), files)}
    return [_load(each, files, frozen) for each in files if each in wanted]


def all_files() -> dict[str, Path]:
    """The file of every suite: those of no family first, then family by family.  Raises SuiteError."""
    files = suite_files()
    for family in family_files().values():
        for name, path in family.items():
            if name in files:
                raise SuiteError(f"two files of one name: {files[name]} and {path}", f"mv {path} {path.with_stem('mine')}")
            files[name] = path
    return files


def original_name(name: str) -> str:
    """The suite that the suite called `name` is a change of; `name` itself where it is none, or not known.  Raises SuiteError."""
    return load_suite(name).original or name if name in all_files() else name


def instruction_of(suite: str, task_id: int, task: str) -> str:
    """The instruction of a recorded task; from its name alone where the suite is not known here, or has another task there."""
    own = _tasks_of(suite, os.environ.get(FOLDER)).get(task_id)
    return own.language if own is not None and own.name == task else Task(task_id, task).language


@functools.cache
def _tasks_of(suite: str, folder: str | None) -> dict[int, Task]:
    """By number; none of a suite that is not known.  folder: of one's own suites."""
    try:
        return {task.id: task for task in load_suite(suite).tasks}
    except SuiteError:
        return {}


def _named(name: str, files: dict[str, Path]) -> list[str]:
    """The suites that one word names."""
    if name == ALL:
        return list(suite_files())
    if name not in files:
        for family, members in family_files().items():
            part = [each for each in members if name == family or each.startswith(f"{name}-")]
            if part:
                return part
    return [own_name(name, files)]


def own_name(name: str, files: dict[str, Path]) -> str:
    """The name of the suite that is also called `name`, as libero_10 for long.  Raises SuiteError."""
    if name in files:
        return name
    about = {suite: own for folder in {path.parent for path in files.values()} for suite, own in read_about(folder).items()}
    alias = {alias: suite for suite, own in about.items() for alias in own.aliases}.get(name, name.removeprefix("libero_"))
    if alias in files:
        return alias
    known = [*suite_files(), *family_files(), ALL]
    raise SuiteError(
        f'unknown suite "{name}".{nearest(name, [*files, *known[:-1]])} Suites: {", ".join(known)}', "vla-bench suites"
    )
