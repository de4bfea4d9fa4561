import json
from dataclasses import replace

import pytest

from vla_bench.demonstrations.attempts import attempt_seed
from vla_bench.errors import SuiteError
from vla_bench.records import read_run
from vla_bench.suites import ABOUT, instruction_of, load_suite, load_suites, read_suite, suite_names, suites_dir
from vla_bench.values import Fixtures

from .conftest import ASSETS


def test_protocol_of_the_four_suites():
    assert {s.name: (s.libero_name, s.horizon) for s in load_suites()} == {
        "spatial": ("libero_spatial", 220),
        "object": ("libero_object", 280),
        "goal": ("libero_goal", 300),
        "long": ("libero_10", 520),  # not LIBERO-90
    }
    for suite in load_suites():
        assert (suite.settle_steps, suite.control_hz, suite.env_seed, suite.init_states, suite.chunk) == (10, 20, 0, 50, 8)
        assert suite.fixtures is Fixtures.REFERENCE and suite.protocol["fixtures"] == "reference"
        assert len(suite.tasks) == 10
        assert set(suite.checkpoints) == {"openvla-oft", "lightvla", "openvla"}


def test_tasks_are_libero_s_in_libero_s_order():
    import runpy

    from vla_bench.world.libero import bddl_file, init_states_file, libero_root

    official = runpy.run_path(str(libero_root() / "benchmark" / "libero_suite_task_map.py"))["libero_task_map"]
    for suite in load_suites():
        assert [task.name for task in suite.tasks] == official[suite.libero_name]
        for task in suite.tasks:
            assert bddl_file(suite, task).is_file() and init_states_file(suite, task).is_file()


def test_instruction_is_the_file_name_without_its_scene():
    assert load_suite("long").task(2).language == "turn on the stove and put the moka pot on it"
    assert load_suite("object").task(3).language == "pick up the bbq sauce and place it in the basket"


def test_several_suites_come_in_one_order():
    names = [[suite.name for suite in load_suites(text)] for text in ("object,spatial", "spatial, object", "goal", "all")]
    assert names == [["spatial", "object"], ["spatial", "object"], ["goal"], list(suite_names())]
    with pytest.raises(SuiteError, match='unknown suite "objct"'):
        load_suites("spatial,objct")


def test_hash_follows_the_content(tmp_path):
    source = suites_dir() / "goal.toml"
    copy = tmp_path / "goal.toml"
    copy.write_bytes(source.read_bytes())
    assert read_suite(copy).sha256 == load_suite("goal").sha256
    copy.write_text(source.read_text().replace("horizon = 300", "horizon = 301"))
    assert read_suite(copy).sha256 != load_suite("goal").sha256


@pytest.mark.parametrize(
    ("name", "own"), [("libero_10", "long"), ("libero_long", "long"), ("libero_spatial", "spatial"), ("libero_object", "object")]
)
def test_libero_s_own_names_are_accepted(name, own):
    assert load_suite(name).name == own
    assert [suite.name for suite in load_suites(f"{name},goal")] == [each for each in suite_names() if each in (own, "goal")]


@pytest.mark.parametrize(("name", "meant"), [("lnog", "long"), ("libero_spatail", "spatial"), ("objects", "object")])
def test_unknown_suite_names_the_nearest(name, meant):
    with pytest.raises(SuiteError, match=f'Did you mean "{meant}"'):
        load_suite(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("horizon = [", "not valid TOML"),
        ("name = 'x'", "missing key"),
        (None, "cannot read"),
    ],
)
def test_bad_suite_file(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SuiteError, match=message):
        read_suite(path)


def test_bad_value_in_a_suite(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text((suites_dir() / "long.toml").read_text().replace("horizon = 520", 'horizon = "520"'))
    with pytest.raises(SuiteError, match="horizon is '520': Expected `int`"):
        read_suite(path)


def test_suite_names_cover_the_files():
    assert sorted(suite_names()) == sorted(path.stem for path in suites_dir().glob("*.toml") if path.name != ABOUT)


KITCHEN = """
name = "kitchen"
libero_name = "libero_90"
title = "Two kitchens"
horizon = 100
settle_steps = 10
control_hz = 20
env_seed = 0
init_states = 50
chunk = 8
cameras = ["agentview", "robot0_eye_in_hand"]
image_size = 256
tasks = ["KITCHEN_SCENE3_turn_on_the_stove", "KITCHEN_SCENE4_close_the_bottom_drawer_of_the_cabinet"]
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of suites of one's own."""
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "kitchen.toml").write_text(KITCHEN)
    monkeypatch.setenv("VLA_BENCH_SUITES", str(folder))
    return folder


def test_a_suite_of_ones_own_is_listed_and_run_without_a_line_of_code(own, cli, tmp_path, schema):
    listed = [suite for suite in json.loads(cli("suites", "--format", "json").stdout) if suite["family"] is None]
    assert [suite["name"] for suite in listed] == ["spatial", "object", "goal", "long", "kitchen"]
    assert [task["instruction"] for task in listed[-1]["tasks"]][0] == "turn on the stove"
    options = ("--suite", "kitchen", "--init-states", "0", "--assets", ASSETS, "--workers", "1", "--video", "none")
    done = cli("eval", "--model", "expert", *options, "--out", str(tmp_path / "run"), "--format", "json")
    assert done.exit_code == 0 and json.loads(done.stdout)["suites"]["kitchen"]["successes"] == 2, done.stderr
    run = read_run(tmp_path / "run")
    assert run.config["suites"] == {"kitchen": load_suite("kitchen").sha256} and run.suites["kitchen"]["horizon"] == 100
    schema("run", json.loads((tmp_path / "run" / "run.json").read_text()))
    for episode in (tmp_path / "run" / "episodes.jsonl").read_text().splitlines():
        schema("episode", json.loads(episode))


def test_all_includes_it_and_what_it_lacks_is_said(own, cli):
    assert [suite.name for suite in load_suites()] == ["spatial", "object", "goal", "long", "kitchen"]
    lacking = cli("eval", "--suite", "kitchen", "--model", "lightvla")
    assert lacking.exit_code == 2 and "suite kitchen has no lightvla checkpoint" in str(lacking.exception)
    unseen = cli("agree", "--suite", "kitchen", "--pruner", "fastv")
    assert unseen.exit_code == 2 and "has no observation of suite kitchen" in str(unseen.exception)
    (own / "kitchen.toml").write_text(KITCHEN.replace("KITCHEN_SCENE3_turn_on_the_stove", "STUDY_SCENE1_turn_on_the_stove"))
    missing = cli("eval", "--suite", "kitchen", "--model", "noop")
    assert missing.exit_code == 6 and "STUDY_SCENE1_turn_on_the_stove" in str(missing.exception)
    tray = "LIVING_ROOM_SCENE4_stack_the_right_bowl_on_the_left_bowl_and_place_them_in_the_tray"
    (own / "kitchen.toml").write_text(KITCHEN.replace("KITCHEN_SCENE3_turn_on_the_stove", tray))
    lacking = cli("eval", "--suite", "kitchen", "--model", "noop", "--assets", "primitive")
    needs = "pack primitive has no model of new_salad_dressing, which kitchen/0 needs"
    assert lacking.exit_code == 6 and needs in str(lacking.exception)


def test_order_and_aliases_of_ones_own(own):
    (own / "about.toml").write_text('[kitchen]\norder = 1\naliases = ["stoves"]\n')
    assert suite_names() == ("spatial", "kitchen", "object", "goal", "long")
    assert load_suite("stoves").name == "kitchen"
    (own / "about.toml").write_text("[kitchen]\nordre = 1\n")
    with pytest.raises(SuiteError, match="about.toml has a wrong key"):
        load_suite("kitchen")


def test_names_that_cannot_be(own, monkeypatch):
    (own / "kitchen.toml").rename(own / "goal.toml")
    with pytest.raises(SuiteError, match="two files of one name"):
        suite_names()
    (own / "goal.toml").rename(own / "all.toml")
    with pytest.raises(SuiteError, match='"all" cannot be the name of a suite'):
        suite_names()
    (own / "all.toml").rename(own / "stove.toml")
    with pytest.raises(SuiteError, match='holds the suite "kitchen": name and file must be the same'):
        load_suite("stove")
    monkeypatch.setenv("VLA_BENCH_SUITES", str(own / "nowhere"))
    with pytest.raises(SuiteError, match="VLA_BENCH_SUITES names .*, which is no folder"):
        suite_names()


def test_frozen_fixtures_are_the_protocol_of_version_0_1(own):
    """Its runs and summaries hold these hashes; a suite without the line has them, too."""
    frozen = load_suites("all", frozen=True)
    assert [suite.sha256[:8] for suite in frozen[:4]] == ["17ca5a12", "9e904d76", "e6cc6bc4", "42cc8883"]
    for suite, before in zip(load_suites("all"), frozen, strict=True):
        assert before.fixtures is Fixtures.FROZEN and before.protocol["fixtures"] == "frozen"
        assert replace(before, fixtures=suite.fixtures, sha256=suite.sha256) == suite
    assert frozen[4] == load_suite("kitchen")
    text = KITCHEN.replace("init_states", 'fixtures = "reference"\ninit_states')
    (own / "kitchen.toml").write_text(text)
    assert load_suite("kitchen").sha256 != frozen[4].sha256 == load_suite("kitchen", frozen=True).sha256
    (own / "kitchen.toml").write_text(text.replace('"reference"', '"moved"'))
    with pytest.raises(SuiteError, match="fixtures is 'moved': Invalid enum value"):
        load_suite("kitchen")


def test_what_is_beside_a_protocol_does_not_change_its_hash_or_seeds(own):
    """Committed results and demonstrations hold these."""
    assert [suite.sha256[:8] for suite in load_suites()[:4]] == ["be2e1312", "6d261350", "c18719c3", "9c69a0b4"]
    seeds = [attempt_seed(7, suite, 3, 11) for suite in ("spatial", "object", "goal", "long")]
    assert seeds == [4192483722, 2540861766, 2559437188, 3414936757]
    before = load_suite("kitchen"), attempt_seed(7, "kitchen", 3, 11)
    assert before[1] not in seeds
    (own / "attic.toml").write_text(KITCHEN.replace('"kitchen"', '"attic"'))
    assert (load_suite("kitchen"), attempt_seed(7, "kitchen", 3, 11)) == before


def test_a_family_is_named_as_a_whole_or_in_parts_and_is_not_among_all():
    axes = ("lan", "object", "swap", "task")
    pro = [suite.name for suite in load_suites("pro")]
    assert pro == [f"pro-{original}-{axis}" for original in suite_names() for axis in axes]
    assert [suite.name for suite in load_suites("pro-goal")] == [f"pro-goal-{axis}" for axis in axes]
    assert [suite.name for suite in load_suites("libero_10_swap,spatial")] == ["spatial", "pro-long-swap"]
    assert not {suite.name for suite in load_suites()} & {*pro, "libero-90"}
    with pytest.raises(SuiteError, match='Did you mean "pro-goal-swap".* Suites: .*libero-90, pro, all'):
        load_suites("pro-goal-swpa")


def test_a_changed_suite_has_the_protocol_tasks_and_checkpoints_of_its_original():
    for suite in load_suites("pro"):
        original = load_suite(suite.original)
        same = ("horizon", "settle_steps", "control_hz", "env_seed", "init_states", "chunk", "cameras", "image_size", "fixtures")
        assert [getattr(suite, name) for name in same] == [getattr(original, name) for name in same], suite.name
        assert [task.name for task in suite.tasks] == [task.name for task in original.tasks]
        assert suite.checkpoints == original.checkpoints and suite.data_name == original.libero_name
        assert (suite.protocol["original"], suite.protocol["axis"]) == (original.name, suite.axis)
        spoken = [task.language != own.language for task, own in zip(suite.tasks, original.tasks, strict=True)]
        assert all(spoken) if suite.axis in ("lan", "task") else not any(spoken)
    assert "axis" not in load_suite("goal").protocol


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('axis = "lan"\n', "", "original and axis belong together"),
        ('    "switch on the stove",\n', "", "9 instructions of 10 tasks"),
        ('files = "libero-pro"', 'files = "https://example.org"', "files"),
        ('files_sha256 = "', 'files_sha256 = "..', "files_sha256"),
    ],
)
def test_a_changed_suite_with_a_wrong_key_is_refused(tmp_path, before, after, message):
    text = (suites_dir() / "pro" / "pro-goal-lan.toml").read_text()
    assert before in text
    (tmp_path / "bad.toml").write_text(text.replace(before, after))
    with pytest.raises(SuiteError, match=message):
        read_suite(tmp_path / "bad.toml")


def test_the_instruction_of_a_recorded_task_is_its_suite_s_where_that_is_known():
    name = "turn_on_the_stove"
    assert instruction_of("pro-goal-lan", 7, name) == "switch on the stove"
    assert instruction_of("goal", 7, name) == instruction_of("elsewhere", 7, name) == instruction_of("pro-goal-lan", 6, name)
    assert instruction_of("goal", 7, name) == instruction_of("pro-goal-lan", 70, name) == "turn on the stove"


@pytest.mark.parametrize(("original", "message"), [("kitchen", "is a change of kitchen"), ("kitchn", 'unknown suite "kitchn"')])
def test_a_changed_suite_needs_an_original_that_is_none(own, original, message):
    (own / "kitchen.toml").write_text(f'original = "{original}"\naxis = "night"\n{KITCHEN}')
    with pytest.raises(SuiteError, match=message):
        load_suite("kitchen")
