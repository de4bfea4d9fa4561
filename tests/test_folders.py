"""A folder that one command at a time fills."""

import pytest

from vla_bench.errors import NotComparableError, RecordError
from vla_bench.folders import OutputFolder, differences


def test_one_writer_at_a_time(tmp_path):
    first = OutputFolder(tmp_path / "new" / "out")
    with pytest.raises(RecordError, match="another vla-bench"):
        OutputFolder(first.path)
    first.close()
    OutputFolder(first.path).close()


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(RecordError, match=f"cannot use folder {tmp_path}/out"):
        OutputFolder(tmp_path / "out")


def test_set_aside_it_begins_empty_and_stays_locked(tmp_path):
    (tmp_path / "out.old1").mkdir()
    folder = OutputFolder(tmp_path / "out")
    folder.write_text("report.md", "x")
    assert folder.set_aside() == tmp_path / "out.old2"
    assert (tmp_path / "out.old2" / "report.md").exists() and not (folder.path / "report.md").exists()
    with pytest.raises(RecordError, match="another vla-bench"):
        OutputFolder(folder.path)
    OutputFolder(tmp_path / "out.old2").close()
    folder.close()


def test_another_configuration_is_refused_with_what_differs(tmp_path):
    folder = OutputFolder(tmp_path)
    before = {"seed": 0, "sizes": [1, 2], "policy": {"dtype": "float32"}}
    folder.refuse_other("a run", before, {"seed": 0, "sizes": (1, 2), "policy": {"dtype": "float32"}}, "")
    with pytest.raises(
        NotComparableError, match="a run of another configuration:\n  policy.dtype: 'float32' there, 'bfloat16' now"
    ):
        folder.refuse_other("a run", before, {**before, "policy": {"dtype": "bfloat16"}}, "")
    folder.close()


def test_a_value_that_was_not_there_is_a_difference():
    assert differences({"a": 1}, {"a": 1, "learner": None}) == ["  learner: nothing there, None now"]
