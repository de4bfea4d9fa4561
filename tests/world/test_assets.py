import json
import shutil

import pytest

from vla_bench.errors import AssetError
from vla_bench.suites import load_suites
from vla_bench.world import primitives
from vla_bench.world.assets import cache_dir, manifest, missing_files, pack_hash, resolve_assets
from vla_bench.world.required import by_name, required_models

RACK = "turbosquid_objects/wine_rack/wine_rack.xml"


def test_primitive_pack_is_whole_and_has_a_manifest(primitive):
    assert missing_files(primitive.root, load_suites()) == []
    assert set(required_models(load_suites())) <= set(by_name(manifest(primitive.root)))
    listed = json.loads((primitive.root / "manifest.json").read_text())
    assert listed["sha256"] == primitive.sha256 == pack_hash(manifest(primitive.root))
    assert primitive.identity == {"name": "primitive", "sha256": primitive.sha256}


def test_primitive_pack_is_the_same_every_time():
    assert primitives.files() == primitives.files()


def test_primitive_pack_has_no_meshes():
    assert {path.rsplit(".", 1)[1] for path in primitives.files()} == {"xml", "png"}


def test_a_damaged_copy_in_the_cache_is_replaced(primitive):
    victim = primitive.root / RACK
    whole = victim.read_bytes()
    victim.write_bytes(whole[:50])
    assert resolve_assets("primitive").sha256 == primitive.sha256
    assert victim.read_bytes() == whole
    assert cache_dir() in primitive.root.parents


def test_folder_with_missing_files(primitive, tmp_path):
    shutil.copytree(primitive.root, tmp_path / "pack")
    (tmp_path / "pack" / RACK).unlink()
    with pytest.raises(AssetError, match=f"lacks {RACK}") as caught:
        resolve_assets(str(tmp_path / "pack"))
    assert "--assets primitive" in caught.value.fix and caught.value.exit_code == 6


def test_folder_with_a_missing_mesh(primitive, tmp_path):
    shutil.copytree(primitive.root, tmp_path / "pack")
    model = tmp_path / "pack" / "stable_hope_objects/milk/milk.xml"
    model.write_text('<mujoco><asset><mesh file="visual/milk.msh" name="m"/></asset></mujoco>')
    with pytest.raises(AssetError, match="lacks stable_hope_objects/milk/visual/milk.msh"):
        resolve_assets(str(tmp_path / "pack"))


def test_folder_that_does_not_match_its_checksums(primitive, tmp_path):
    shutil.copytree(primitive.root, tmp_path / "pack")
    (tmp_path / "pack" / "SHA256SUMS").write_text(f"{'0' * 64}  {RACK}\n")
    with pytest.raises(AssetError, match="does not match SHA256SUMS"):
        resolve_assets(str(tmp_path / "pack"))


def test_a_folder_is_never_called_official(primitive, tmp_path):
    shutil.copytree(primitive.root, tmp_path / "official")
    pack = resolve_assets(str(tmp_path / "official"))
    assert pack.name == "libero-partial" and not pack.embedded


def test_unknown_pack_names_the_nearest():
    with pytest.raises(AssetError, match='Did you mean "primitive"'):
        resolve_assets("primitve")


def test_official_offline_names_the_way_out(monkeypatch, tmp_path):
    import huggingface_hub

    def offline(*args, local_files_only=False, **more):
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(AssetError, match="cannot get LIBERO's meshes") as caught:
        resolve_assets("official")
    assert "--assets primitive" in caught.value.fix
    assert resolve_assets("auto").name == "primitive"


def test_official_when_the_hub_answers(monkeypatch, primitive):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **more: str(primitive.root))
    assert resolve_assets("official").name == "official"
    assert resolve_assets("auto").name == "official"


def test_the_meshes_are_a_pack(shared):
    pack = resolve_assets(str(shared("libero-assets")))
    assert pack.name == "libero-partial" and len(pack.sha256) == 64
