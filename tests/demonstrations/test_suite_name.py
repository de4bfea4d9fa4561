"""Which suite a file of demonstrations is of."""

from vla_bench.demonstrations.hdf5 import suite_name


def test_the_suite_of_a_file(tmp_path):
    for folder in ("disk", "libero_10"):
        (tmp_path / folder).mkdir()
    (tmp_path / "libero_goal").symlink_to(tmp_path / "disk")
    (tmp_path / "mine").symlink_to(tmp_path / "libero_10")
    names = {"libero_goal": "libero_goal", "mine": "libero_10", "libero_100": "libero_100", "kitchen_no_noops": "kitchen"}
    assert {folder: suite_name(tmp_path / folder / "x_demo.hdf5") for folder in names} == names
