"""The files that count are those that a simulator loads, and all of them are in the pack."""

import os
import re
import shutil

import pytest

from vla_bench.errors import AssetError
from vla_bench.suites import load_suite, load_suites
from vla_bench.world import primitives
from vla_bench.world.official import listed
from vla_bench.world.required import places, required_models, required_textures
from vla_bench.world.used import pack_files, references, used_files

MILK = "stable_hope_objects/milk/milk.xml"


@pytest.fixture
def copy(primitive, tmp_path):
    return shutil.copytree(primitive.root, tmp_path / "pack")


def refer(copy, text, model=MILK):
    (copy / model).write_text(f"<mujoco>{text}</mujoco>")


@pytest.mark.parametrize(("suite", "task"), [("spatial", 0), ("object", 7), ("long", 0), ("long", 5), ("long", 9)])
def test_whatever_a_task_loads_counts(make_world, suite, task):
    """Of every room one task: LIBERO's code chooses its floor and wall."""
    world = make_world(suite, task)
    loaded = {os.path.normpath(path) for path in re.findall(r'file="assets/([^"]+)"', world.model_xml)}
    files, missing = used_files(world.assets.root, [load_suite(suite)])
    assert loaded and loaded <= files and not missing


def test_the_embedded_pack_and_libero_s_own_have_every_file_that_counts(primitive):
    assert used_files(primitive.root, load_suites())[1] == set()
    for have in (primitives.files(), listed()):
        assert not [name for name in required_models(load_suites()) if not set(places(name)) & have.keys()]
        assert required_textures(load_suites()) <= have.keys()


def test_what_is_missing_is_named(copy):
    (copy / MILK).unlink()
    (copy / "textures/light-gray-floor-tile.png").unlink()
    refer(copy, '<asset><mesh name="m" file="visual/plate.msh"/></asset>', "stable_scanned_objects/plate/plate.xml")
    assert used_files(copy, load_suites())[1] == {
        MILK,
        "textures/light-gray-floor-tile.png",
        "stable_scanned_objects/plate/visual/plate.msh",
    }


def test_included_files_count_with_what_they_refer_to(copy):
    (copy / "stable_hope_objects/milk/more").mkdir()
    refer(copy, '<asset><include file="more/materials.xml"/></asset>')
    refer(copy, '<include file="nothing.xml"/><texture name="t" file="t.png"/>', "stable_hope_objects/milk/more/materials.xml")
    refer(copy, '<include file="materials.xml"/>', "stable_hope_objects/milk/more/nothing.xml")
    names = {"materials.xml", "nothing.xml", "t.png"}
    assert references(copy, MILK) == {f"stable_hope_objects/milk/more/{name}" for name in names}


def test_a_second_model_of_the_same_name_counts_too(copy):
    """Which of the two LIBERO loads depends on a class of its code."""
    other = "turbosquid_objects/milk/milk.xml"
    (copy / other).parent.mkdir()
    shutil.copy(copy / MILK, copy / other)
    assert {MILK, other} <= used_files(copy, load_suites())[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('<asset><mesh file="../../../secret.obj"/></asset>', '"../../../secret.obj", outside the pack'),
        ('<asset><mesh file="/etc/passwd"/></asset>', '"/etc/passwd", outside the pack'),
        ('<asset><include file="../../../more.xml"/></asset>', '"../../../more.xml", outside the pack'),
        ('<worldbody><include file="milk.xml"/></worldbody>', "where LIBERO does not look"),
        ('<worldbody><flexcomp file="milk.xml"/></worldbody>', "where LIBERO does not look"),
        ('<asset/><asset><mesh file="milk.xml"/></asset>', "where LIBERO does not look"),
        ('<asset><texture fileright="milk.xml"/></asset>', "where LIBERO does not look"),
        ('<asset><model file="milk.xml"/></asset>', "where LIBERO does not look"),
        ("<asset>", "is not XML"),
    ],
)
def test_references_that_lead_out_of_the_pack_are_refused(copy, text, why):
    (copy.parent / "secret.obj").write_text("secret")
    refer(copy, text)
    with pytest.raises(AssetError, match=re.escape(why)) as caught:
        used_files(copy, load_suites())
    assert caught.value.instead == {"--assets": "primitive"}


def test_a_link_that_leads_out_on_the_way_back_is_refused(copy):
    """The parent of a linked folder is not the folder of the link."""
    shutil.move(copy / "stable_hope_objects/milk", copy.parent / "milk")
    (copy / "stable_hope_objects/milk").symlink_to(copy.parent / "milk")
    assert MILK in used_files(copy, load_suites())[0]
    (copy.parent / "textures").mkdir()
    (copy.parent / "a.png").write_text("outside")
    refer(copy, '<asset><texture file="../a.png"/></asset>')
    with pytest.raises(AssetError, match="outside the pack, through a link"):
        used_files(copy, load_suites())


def test_what_lies_beside_the_folders_of_a_pack_is_not_of_it(copy):
    before = pack_files(copy)
    (copy / "README.md").write_text("notes")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "lock").write_text("")
    assert pack_files(copy) == before
    (copy / "scenes" / ".hidden.png").write_text("")
    assert pack_files(copy) == before | {"scenes/.hidden.png"}
