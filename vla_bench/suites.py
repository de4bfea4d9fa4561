"""Suites and tasks: data read from `suites/*.toml`, whose hash goes into every result."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vla_bench.errors import SuiteError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - Python 3.10
    import tomli as tomllib

SUITE_NAMES = ("spatial", "object", "goal", "long")


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
class Suite:
    """One LIBERO suite and the protocol it is evaluated with.  Lengths are in control steps."""

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

    def task(self, task_id: int) -> Task:
        if not 0 <= task_id < len(self.tasks):
            raise SuiteError(f"suite {self.name} has no task {task_id}: tasks are 0 to {len(self.tasks) - 1}", "vla-bench suites")
        return self.tasks[task_id]

    @cached_property
    def protocol(self) -> dict[str, object]:
        """What a run records of its suite."""
        keys = ("name", "libero_name", "horizon", "settle_steps", "control_hz", "env_seed", "chunk", "image_size", "sha256")
        return {key: getattr(self, key) for key in keys} | {"cameras": list(self.cameras)}


def suites_dir() -> Path:
    """`suites/` of the checkout, else the copy inside the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / "suites"
    return checkout if (checkout / "long.toml").is_file() else package / "data" / "suites"


def read_suite(path: Path) -> Suite:
    """Read and check one suite file; raises SuiteError."""
    try:
        raw = path.read_bytes()
        table = tomllib.loads(raw.decode())
    except OSError as error:
        raise SuiteError(f"cannot read suite file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is not valid TOML: {error}", f"edit {path}") from error
    try:
        table["tasks"] = tuple(Task(i, name) for i, name in enumerate(table["tasks"]))
        table["cameras"] = tuple(table["cameras"])
        table["checkpoints"] = {name: Checkpoint(**value) for name, value in table.get("checkpoints", {}).items()}
        suite = Suite(**table, sha256=hashlib.sha256(raw).hexdigest())
    except (KeyError, TypeError) as error:
        raise SuiteError(
            f"{path} has a wrong or missing key: {error}", f"compare it with {suites_dir() / 'long.toml'}"
        ) from error
    for key in ("horizon", "control_hz", "init_states", "chunk", "image_size"):
        if not isinstance(getattr(suite, key), int) or getattr(suite, key) < 1:
            raise SuiteError(f"{path}: {key} must be a whole number above 0, not {getattr(suite, key)!r}", f"edit {path}")
    return suite


def load_suite(name: str) -> Suite:
    """The suite called `name`: spatial, object, goal or long."""
    if name not in SUITE_NAMES:
        # LIBERO's own names are accepted in the hint only: one name per thing in commands and results.
        alias = {"libero_10": "long", "10": "long", "libero_long": "long"}.get(name, name.removeprefix("libero_"))
        hint = f' Did you mean "{alias}"?' if alias in SUITE_NAMES else nearest(name, list(SUITE_NAMES))
        raise SuiteError(f'unknown suite "{name}".{hint} Suites: {", ".join(SUITE_NAMES)}, all', "vla-bench suites")
    return read_suite(suites_dir() / f"{name}.toml")


def load_suites(name: str = "all") -> list[Suite]:
    """The suites called `name`: one, several as in "object,spatial", or "all" four of them; always in the same order."""
    found = {n: load_suite(n) for n in (SUITE_NAMES if name == "all" else map(str.strip, name.split(",")))}
    return [found[n] for n in SUITE_NAMES if n in found]
