import pytest

from vla_bench import environment
from vla_bench.environment import cpu_quota

V1 = "cpu,cpuacct__docker__cpu_dot_cfs"


@pytest.fixture
def quota(tmp_path):
    """The quota read from these files of control groups; `cgroup` is that of the process."""

    def quota(cgroup, **files):
        (tmp_path / "cgroup").write_text(cgroup)
        for name, text in files.items():
            path = tmp_path / "root" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return cpu_quota(tmp_path / "cgroup", tmp_path / "root")

    return quota


def test_version_2_takes_the_least_of_all_groups_above(quota):
    files = {"cpu_dot_max": "max 100000", "slice__cpu_dot_max": "150000 100000", "slice__job__cpu_dot_max": "400000 100000"}
    assert quota("0::/slice/job\n", **files) == 1.5


def test_in_a_container_the_root_has_the_limit(quota):
    assert quota("0::/\n", cpu_dot_max="200000 100000") == 2
    assert quota("0::/not/mounted/here\n") == 2


def test_version_1_has_a_file_each(quota):
    period = {f"{V1}_period_us": "100000"}
    assert quota("4:cpu,cpuacct:/docker\n1:name=systemd:/\n", **period, **{f"{V1}_quota_us": "50000"}) == 0.5
    assert quota("4:cpu,cpuacct:/docker\n", **period, **{f"{V1}_quota_us": "-1"}) is None


def test_no_limit(quota):
    assert quota("0::/\n", cpu_dot_max="max 100000") is None and quota("") is None


def test_a_quota_bounds_the_cores_and_leaves_one(monkeypatch):
    cores = environment.cpu_count()
    for given, expected in ((0.5, 1), (1.9, 1), (cores + 0.5, cores)):
        monkeypatch.setattr(environment, "cpu_quota", lambda given=given: given)
        assert environment.cpu_count() == expected
