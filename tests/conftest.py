"""Shared by all tests: a private cache, the OpenGL backend chosen before mujoco is imported, and worlds that are built once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = ROOT.parent / "shared"
ASSETS = os.environ.get("VLA_BENCH_TEST_ASSETS", "primitive")  # the asset pack of all tests but those of one pack


def pytest_configure(config):
    from vla_bench.world.gl import choose_gl

    os.environ.update(choose_gl().environment())
    # Read when ray is imported: without this token nobody can send code to the nodes that tests start.
    os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory):
    """Nothing that a test generates lands in the user's cache; LIBERO-PRO's files, where they are there, are linked from it."""
    from vla_bench.world import libero_pro

    before, users = os.environ.get("VLA_BENCH_CACHE"), libero_pro.root()
    os.environ["VLA_BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    if users.is_dir():
        libero_pro.root().symlink_to(users.resolve())
    yield
    os.environ.pop("VLA_BENCH_CACHE")
    if before is not None:
        os.environ["VLA_BENCH_CACHE"] = before


@pytest.fixture(scope="session")
def shared():
    """The one way to what lies outside the repository: `shared("fixtures/utils.npz")` is its path, or skips the test.

    Beside the checkout may stand a folder `shared` with tensors of the reference code (fixtures) and the list of LIBERO's
    meshes with their ids in its repository (libero-assets), which are not ours to ship.
    """

    def find(name: str) -> Path:
        path = OUTSIDE / name
        if not path.exists():
            pytest.skip(f"needs {name}, which is no part of the repository; it would be {path}")
        return path

    return find


@pytest.fixture(scope="session")
def primitive():
    from vla_bench.world.assets import resolve_assets

    return resolve_assets("primitive")


@pytest.fixture(scope="session")
def pack():
    """The pack called `ASSETS`."""
    from vla_bench.world.assets import resolve_assets

    return resolve_assets(ASSETS)


@pytest.fixture(scope="session")
def meshes():
    """LIBERO's own meshes, or skips the test."""
    from vla_bench.world.assets import resolve_assets
    from vla_bench.world.official import package_folders

    if not package_folders():
        pytest.skip("needs LIBERO's meshes: make official")
    return resolve_assets("official")


@pytest.fixture(scope="session")
def pro_files():
    """Where LIBERO-PRO's files are, or skips the test."""
    from vla_bench.world import libero_pro

    if not libero_pro.root().is_dir():
        pytest.skip("needs LIBERO-PRO: vla-bench assets get libero-pro")
    return libero_pro.root()


@pytest.fixture(scope="session")
def make_world(pack):
    """Worlds on the tests' asset pack, one per suite, closed at the end."""
    from vla_bench.suites import load_suite
    from vla_bench.world.env import World

    worlds = {}

    def make(suite: str, task: int) -> World:
        if suite not in worlds:
            worlds[suite] = World(load_suite(suite), pack)
        worlds[suite].start(worlds[suite].suite.task(task))
        return worlds[suite]

    yield make
    for world in worlds.values():
        world.close()


@pytest.fixture
def cli(monkeypatch, tmp_path):
    """Run `vla-bench ARGS` in a folder of its own; errors become exit codes as at the entry point."""
    from vla_bench.cli import app
    from vla_bench.errors import VlaBenchError

    monkeypatch.chdir(tmp_path)

    def run(*args: str):
        result = CliRunner().invoke(app, list(args))
        if isinstance(result.exception, VlaBenchError):
            result.exit_code = result.exception.exit_code
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def schema():
    """Validate a document against one of the package's JSON Schemas."""
    from jsonschema import Draft202012Validator

    from vla_bench import schemas

    def validate(name: str, document) -> None:
        Draft202012Validator(schemas.schema(name)).validate(document)

    return validate
