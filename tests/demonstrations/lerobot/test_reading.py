"""LeRobot data sets read back: what HDF5 said, within what a film loses; and what is refused, by name."""

import shutil

import numpy as np
import pytest

from vla_bench.demonstrations.layout import IMAGES
from vla_bench.demonstrations.lerobot import features as form
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError
from vla_bench.values import ImageOrder

pa = pytest.importorskip("pyarrow", reason="needs the extra `lerobot`")

from vla_bench.demonstrations.lerobot.film import read_film  # noqa: E402
from vla_bench.demonstrations.lerobot.reading import tasks_of  # noqa: E402

from .made import edit_info, edit_rows, foreign, with_pictures  # noqa: E402

CAMERA = "observation.images.image"


@pytest.fixture
def copy(dataset, tmp_path):
    """A copy to change."""
    shutil.copytree(dataset, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture(scope="module")
def films(dataset):
    """The frames of every film, by camera and number."""
    pattern = dataset / form.VIDEO_PATH.replace("{chunk_index:03d}", "000").replace("{file_index:03d}", "00{n}")
    found = [(camera, n, str(pattern).format(video_key=camera, n=n)) for camera in form.CAMERAS.values() for n in range(2)]
    return {(camera, n): np.stack(list(read_film(type(dataset)(path), (48, 48), 20))) for camera, n, path in found}


def demos(root, order=ImageOrder.AUTO):
    return [demo for task in tasks_of(root) for demo in UsableDemos(task, order).read()]


def psnr(one, other):
    return 10 * np.log10(255**2 / np.square(one.astype(float) - other).mean())


def test_states_and_actions_are_those_of_the_hdf5_files(dataset, files):
    stored = [demo for file in files for demo in UsableDemos(file).read()]
    found = demos(dataset)
    assert [demo.instruction for demo in found] == [demo.instruction for demo in stored]
    for one, other in zip(found, stored, strict=True):
        for name in ("actions", "obs/ee_states", "obs/ee_pos", "obs/ee_ori", "obs/gripper_states"):
            assert np.array_equal(one[name], other[name].astype(np.float32)), name
        assert np.array_equal(one.segment, other.segment)
        assert psnr(one[IMAGES[0]], other[IMAGES[0]]) > 35 and psnr(one[IMAGES[0]][:, ::-1], other[IMAGES[0]]) < 25
        assert psnr(one[IMAGES[1]], other[IMAGES[1]]) > 12  # noise, whose colours no film keeps


def test_tasks_have_their_suite(dataset, tmp_path):
    assert [(task.instruction[:15], task.suite) for task in tasks_of(dataset)] == [
        ("pick up the mil", "libero_object"),
        ("pick up the ket", "libero_object"),
    ]
    other = foreign(dataset, tmp_path / "libero_goal_lerobot")
    assert {task.suite for task in tasks_of(other)} == {"libero_object"}  # by the instruction
    for path in other.glob("meta/episodes/*/*.parquet"):
        edit_rows(path, lambda t: t.set_column(t.schema.get_field_index("tasks"), "tasks", pa.array([["wave"]] * len(t))))
    assert {task.suite for task in tasks_of(other)} == {"libero_goal"}  # by the folder


def test_a_data_set_of_others_shows_which_way_up_its_images_are(dataset, files, tmp_path):
    other = foreign(dataset, tmp_path / "other")
    found = UsableDemos(tasks_of(other)[0])
    (first, _), (stored, _) = found.read(), UsableDemos(files[0]).read()
    assert psnr(first[IMAGES[0]], stored[IMAGES[0]]) > 35
    assert found.converted == {"images turned by 180 degrees, turned upside down as LIBERO's": 2}
    assert len(demos(other)) == 5  # without a word of ours, a segment is a demonstration


def test_nothing_is_assumed_where_images_do_not_tell(dataset, tmp_path, films):
    grey = {key: np.full_like(film, 90) for key, film in films.items()}
    other = with_pictures(dataset, tmp_path / "grey", grey)
    with pytest.raises(RecordError, match="neither the data set nor its images tell") as caught:
        demos(other)
    assert "--images rotated" in caught.value.fix and len(demos(other, ImageOrder.ROTATED)) == 5


def test_pictures_in_the_rows_are_read_as_films_are(dataset, tmp_path, films):
    other = with_pictures(dataset, tmp_path / "pictures", films)
    for one, two in zip(demos(other, ImageOrder.ROTATED), demos(foreign(dataset, tmp_path / "films")), strict=True):
        assert all(np.array_equal(one[name], two[name]) for name in (*IMAGES, "actions"))


def test_frames_are_found_from_any_place_of_a_film(dataset, films):
    path = dataset / form.VIDEO_PATH.format(video_key=CAMERA, **form.place(0))
    for start in (1, 47, 48, 95):
        assert np.array_equal(np.stack(list(read_film(path, (48, 48), 20, start))), films[CAMERA, 0][start:])


def test_an_older_version_is_refused_with_what_converts_it(copy):
    edit_info(copy, lambda info: info.update(codebase_version="v2.1"))
    with pytest.raises(RecordError, match="is a LeRobotDataset v2.1, and v3.0 is read") as caught:
        tasks_of(copy)
    assert "convert_dataset_v21_to_v30" in caught.value.fix


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda info: info["features"].pop("action"), r"no feature action \(nor actions\); it has"),
        (lambda info: info["features"].pop(CAMERA), rf"no feature {CAMERA}"),
        (
            lambda info: info["features"]["observation.state"].update(shape=[7]),
            r"state is float32 \[7\], not float32 \[8\]",
        ),
        (lambda info: info["features"][CAMERA].update(shape=[48, 64, 3]), rf"{CAMERA} is video \[48, 64, 3\], not"),
        (lambda info: info["features"][CAMERA].update(dtype="int64"), "is int64"),
        (lambda info: info["features"][CAMERA].update(shape=[{}, 48, 3]), r"is video \[\{\}, 48, 3\], not"),
        (lambda info: info["features"][CAMERA].update(shape=[10**6, 10**6, 3]), "of at most 2048 pixels"),
        (lambda info: info.update(fps=0), "fps is 0"),
        (lambda info: info.update(features=[]), r"features is \[\]"),
        (lambda info: info.update(codebase_version=3), "codebase_version is 3"),
    ],
)
def test_what_is_wrong_with_the_features_is_named(copy, change, complaint):
    edit_info(copy, change)
    with pytest.raises(RecordError, match=complaint):
        tasks_of(copy)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda info: info.update(data_path="../{chunk_index}{file_index}.parquet"), "leads out of the data set"),
        (lambda info: info.update(data_path="/etc/{chunk_index}{file_index}"), "leads out of the data set"),
        (lambda info: info.update(data_path="data/{chunk_index.real.nothing}"), "is no path of LeRobotDataset"),
        (lambda info: info.update(data_path="data/{episode_chunk}"), "is no path of LeRobotDataset"),
    ],
)
def test_paths_stay_in_the_data_set(copy, change, complaint):
    edit_info(copy, change)
    with pytest.raises(RecordError, match=complaint):
        demos(copy)


def test_films_are_as_info_says(copy):
    edit_info(copy, lambda info: info.update(fps=10))
    with pytest.raises(RecordError, match="has 20 frames a second, and info.json says 10"):
        demos(copy)
    edit_info(copy, lambda info: (info.update(fps=20), info["features"][CAMERA].update(shape=[64, 64, 3])))
    with pytest.raises(RecordError, match="has frames of 48 x 48 pixels, and info.json says 64 x 64"):
        demos(copy)


def test_damaged_films_and_rows_are_refused(copy, dataset):
    film = copy / form.VIDEO_PATH.format(video_key=CAMERA, **form.place(0))
    whole = film.read_bytes()
    film.write_bytes(b"\0" * len(whole))
    with pytest.raises(RecordError, match=r"file-000.mp4 cannot be decoded"):
        demos(copy)
    film.unlink()
    with pytest.raises(RecordError, match="cannot read .*file-000.mp4"):
        demos(copy)
    film.write_bytes(whole)
    rows = copy / form.DATA_PATH.format(**form.place(0))
    rows.write_bytes(rows.read_bytes()[:-200])
    with pytest.raises(RecordError, match="file-000.parquet cannot be read"):
        demos(copy)
    shutil.copy(dataset / form.DATA_PATH.format(**form.place(0)), rows)
    edit_rows(rows, lambda table: table.slice(0, 90))
    used = UsableDemos(tasks_of(copy)[0])
    assert [demo.name for demo in used.read()] == ["episode_0"] and "has 42 rows of episode 1" in used.left_out["episode_1"]
    edit_rows(rows, lambda table: table.drop_columns(["action"]))
    with pytest.raises(RecordError, match="has no column action"):
        demos(copy)


def test_a_film_that_ends_too_early_loses_its_last_episode(copy):
    name = f"videos/{CAMERA}/from_timestamp"

    def later(table):
        times = table.column(name).to_pylist()
        return table.set_column(table.schema.get_field_index(name), name, pa.array([*times[:-1], times[-1] + 1]))

    for path in copy.glob("meta/episodes/*/*.parquet"):
        edit_rows(path, later)
    used = UsableDemos(tasks_of(copy)[1])
    assert [demo.name for demo in used.read()] == ["episode_2"]
    assert "ends after 8 of 28 frames of episode 4" in used.left_out["episode_3"]


def test_numbers_that_are_none_are_left_out_with_their_row(copy):
    def broken(table):
        values = np.stack(table.column("action").to_pylist()).astype(np.float32)
        values[50, 2] = np.nan
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 7)
        return table.set_column(table.schema.get_field_index("action"), "action", column)

    edit_rows(copy / form.DATA_PATH.format(**form.place(0)), broken)
    assert "episode_1, row 2" in UsableDemos(tasks_of(copy)[0]).left_out["episode_1"]


def test_a_pipe_is_not_waited_for(copy):
    import os

    film = copy / form.VIDEO_PATH.format(video_key=CAMERA, **form.place(0))
    film.unlink()
    os.mkfifo(film)
    with pytest.raises(RecordError, match="cannot read"):
        demos(copy)
