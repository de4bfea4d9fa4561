"""What a folder holds is all of it, and a list of checksums is taken at its word."""

import hashlib
import os

import pytest

from vla_bench.errors import AssetError
from vla_bench.world.content import check_sums, digests, folder_hash, paths


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "folder"
    (root / "a" / ".hidden").mkdir(parents=True)
    (root / "a" / ".hidden" / "mesh.obj").write_text("mesh")
    (root / "b.png").write_text("picture")
    return root


def sums(folder, *lines):
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_hidden_files_and_those_behind_links_are_of_the_folder(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.xml").write_text("model")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "d.png").symlink_to(folder / "b.png")
    os.mkfifo(folder / "pipe")  # reading it would never end
    files = digests(folder, paths(folder))
    assert files == {
        "a/.hidden/mesh.obj": sha256("mesh"),
        "b.png": sha256("picture"),
        "d.png": sha256("picture"),
        "linked/c.xml": sha256("model"),
    }
    before = folder_hash(files)
    (tmp_path / "elsewhere" / "c.xml").write_text("another")
    assert folder_hash(digests(folder, paths(folder))) != before


def test_a_folder_in_itself_is_refused(folder):
    (folder / "a" / "again").symlink_to(folder)
    with pytest.raises(AssetError, match="again is a link to a folder that it lies in"):
        list(paths(folder))


def test_checksums_that_are_right(folder):
    check_sums(folder)  # there are none
    sums(folder, f"{sha256('picture')}  b.png", "", f"{sha256('mesh')} *./a/.hidden/mesh.obj")
    check_sums(folder)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"{sha256('picture')}  a/.hidden/mesh.obj", "was changed: a/.hidden/mesh.obj does not match"),
        (f"{sha256('picture')}  c.png", "lacks c.png, which SHA256SUMS lists"),
        (f"{sha256('secret')}  ../secret", "lacks ../secret"),
        ("nonsense", 'has a line that is no checksum: "nonsense"'),
    ],
)
def test_checksums_that_are_wrong(folder, line, why):
    (folder.parent / "secret").write_text("secret")
    sums(folder, f"{sha256('picture')}  b.png", line)
    with pytest.raises(AssetError, match=why) as caught:
        check_sums(folder)
    assert caught.value.fix == f"cd {folder} && sha256sum --check --quiet SHA256SUMS"
