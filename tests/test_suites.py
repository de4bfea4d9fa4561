import pytest

from vla_bench.errors import SuiteError
from vla_bench.suites import load_suite, load_suites, read_suite, suite_names, suites_dir


def test_protocol_of_the_four_suites():
    assert {s.name: (s.libero_name, s.horizon) for s in load_suites()} == {
        "spatial": ("libero_spatial", 220),
        "object": ("libero_object", 280),
        "goal": ("libero_goal", 300),
        "long": ("libero_10", 520),  # not LIBERO-90
    }
    for suite in load_suites():
        assert (suite.settle_steps, suite.control_hz, suite.env_seed, suite.init_states, suite.chunk) == (10, 20, 0, 50, 8)
        assert len(suite.tasks) == 10
        assert set(suite.checkpoints) == {"openvla-oft", "lightvla"}


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
    ("name", "meant"), [("lnog", "long"), ("libero_10", "long"), ("libero_spatial", "spatial"), ("objects", "object")]
)
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
    with pytest.raises(SuiteError, match="horizon must be a whole number"):
        read_suite(path)


def test_suite_names_cover_the_files():
    assert sorted(suite_names()) == sorted(path.stem for path in suites_dir().glob("*.toml"))
