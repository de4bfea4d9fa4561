"""The list of LIBERO's files, and the packages that have them."""

import sys

from vla_bench.suites import load_suites
from vla_bench.world import official
from vla_bench.world.used import used_files

from ..conftest import ROOT


def test_the_list_is_that_of_libero_s_repository(shared):
    rows = [line.split("\t") for line in shared("libero-assets/OFFICIAL.tsv").read_text().splitlines() if line[0] != "#"]
    assert official.listed() == {path: (sha256, int(size)) for sha256, _, size, path in rows}


def test_the_list_is_whole():
    files = official.listed()
    assert len(files) == 585 and sum(file.size for file in files.values()) == 422_313_213
    assert all(len(file.sha256) == 64 and int(file.sha256, 16) >= 0 for file in files.values())
    assert official.official_hash() == "8b717f2de9b36cecd305e29eefbce38614e14aa4920193a33fcb3d11dc5cc139"


def test_packages_are_found_wherever_they_are_and_not_imported(tmp_path, monkeypatch):
    """Packages of one namespace may be installed in several places."""
    before = official.package_folders()
    for place in ("one", "two", "three"):
        (tmp_path / place / official.NAMESPACE).mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path / place)
    for place in ("one", "two"):
        (tmp_path / place / official.NAMESPACE / "assets").mkdir()
    (tmp_path / "one" / official.NAMESPACE / "part_1.py").write_text("raise RuntimeError")
    found = [tmp_path / place / official.NAMESPACE / "assets" for place in ("two", "one")]
    assert official.package_folders() == found + before
    assert not [name for name in sys.modules if name.startswith(official.NAMESPACE)]


def test_a_file_that_differs_is_named(tmp_path, monkeypatch):
    path, file = min(official.listed().items(), key=lambda item: item[1].size)
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(b"x" * file.size)
    assert official.first_difference(tmp_path, [path]) == path
    (tmp_path / "other.xml").write_text("")
    assert official.first_difference(tmp_path, ["other.xml"]) == "other.xml"


def test_the_extra_installs_what_the_messages_say():
    project = (ROOT / "pyproject.toml").read_text()
    constraints = (ROOT / "constraints.txt").read_text()
    for package in official.PACKAGES:
        assert f'"{package}=={official.VERSION}"' in project and f"{package}=={official.VERSION}" in constraints
        assert f" {package}=={official.VERSION}" in official.INSTALL and f" {package}=={official.VERSION}" in official.REINSTALL


def test_the_packages_have_libero_s_files(meshes):
    assert meshes.name == "official" and meshes.sha256 == official.official_hash()
    files, missing = used_files(meshes.root, load_suites())
    assert len(files) == 154 and not missing
