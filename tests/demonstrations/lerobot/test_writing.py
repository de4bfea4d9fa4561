"""LeRobotDataset v3.0 as it lies on the disk.  lerobot itself reads one in tests/interop/lerobot_dataset.sh."""

import json

import h5py
import numpy as np
import pytest

from vla_bench.demonstrations.lerobot import features as form
from vla_bench.demonstrations.lerobot.film import FilmWriter, read_film
from vla_bench.demonstrations.lerobot.statistics import Levels, of_rows
from vla_bench.demonstrations.lerobot.writing import write_lerobot
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError, UsageError

from ...public_demos import moving_file
from .conftest import NAMES

pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra `lerobot`")


def rows(dataset, pattern="data/*/*.parquet"):
    return [row for path in sorted(dataset.glob(pattern)) for row in pq.read_table(path).to_pylist()]


def psnr(one, other):
    return 10 * np.log10(255**2 / np.square(one.astype(float) - other).mean())


def test_info_has_the_names_and_shapes_of_public_data_sets(dataset):
    info = json.loads((dataset / form.INFO).read_text())
    assert (info["codebase_version"], info["fps"], info["robot_type"]) == ("v3.0", 20, "panda")
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (5, 192, 2)
    shapes = {name: (each["dtype"], tuple(each["shape"])) for name, each in info["features"].items()}
    assert shapes["observation.images.image"] == shapes["observation.images.image2"] == ("video", (48, 48, 3))
    assert shapes["observation.state"] == ("float32", (8,)) and shapes["action"] == ("float32", (7,))
    assert shapes["timestamp"] == ("float32", (1,)) and shapes["task_index"] == ("int64", (1,))
    about = json.loads((dataset / form.ABOUT).read_text())
    assert about["images"] == "rotated" and about["noops"] == "removed"


def test_rows_are_the_demonstrations(dataset, files):
    found = rows(dataset)
    demos = [demo for file in files for demo in UsableDemos(file).read(images=False)]
    states = np.concatenate([np.hstack([demo["obs/ee_states"], demo["obs/gripper_states"]]) for demo in demos])
    assert np.array_equal([row["observation.state"] for row in found], states.astype(np.float32))
    actions = np.concatenate([demo["actions"] for demo in demos]).astype(np.float32)
    assert np.array_equal([row["action"] for row in found], actions)
    assert [row["index"] for row in found] == list(range(192))
    assert [row["episode_index"] for row in found] == list(np.repeat(range(5), [48, 48, 48, 20, 28]))
    assert [row["task_index"] for row in found] == [0] * 96 + [1] * 96
    assert found[49]["timestamp"] == pytest.approx(0.05) and found[49]["frame_index"] == 1


def test_a_push_ends_an_episode_and_its_demonstration_goes_on_in_the_next(dataset):
    episodes = rows(dataset, "meta/episodes/*/*.parquet")
    assert [each["length"] for each in episodes] == [48, 48, 48, 20, 28]
    assert [each["dataset_to_index"] for each in episodes] == [48, 96, 144, 164, 192]
    assert [each[form.SEGMENT] for each in episodes] == [0, 0, 0, 0, 1]
    assert episodes[3][form.DEMONSTRATION] == episodes[4][form.DEMONSTRATION] == f"libero_object/{NAMES[1]}_demo.hdf5:demo_1"
    assert episodes[4]["videos/observation.images.image/from_timestamp"] == (48 + 20) / 20
    assert episodes[4]["tasks"] == ["pick up the ketchup and place it in the basket"]


def test_tasks_are_found_by_pandas_by_their_instruction(dataset):
    pandas = pytest.importorskip("pandas")
    tasks = pandas.read_parquet(dataset / form.TASKS)
    assert tasks.index.name == "task" and list(tasks.columns) == ["task_index"]
    assert tasks.loc["pick up the ketchup and place it in the basket"].task_index == 1


def test_films_show_the_images_turned_by_180_degrees(dataset, files):
    for file, name in zip(files, ("file-000", "file-001"), strict=True):
        with h5py.File(file) as stored:
            for array, camera in form.CAMERAS.items():
                images = np.concatenate([stored[f"data/demo_{i}/{array}"][:] for i in range(2)])[:, ::-1, ::-1]
                film = np.stack(list(read_film(dataset / f"videos/{camera}/chunk-000/{name}.mp4", (48, 48), 20)))
                assert film.shape == images.shape
                # Noise, which the wrist's images are here, has half of its colour between pixels; no film keeps that.
                assert psnr(film, images) > (30 if camera.endswith("image") else 12)
                assert psnr(film, images) > psnr(film[:, ::-1], images) + 3


def test_statistics_are_those_of_the_rows(dataset):
    said = json.loads((dataset / form.STATS).read_text())
    states = np.array([row["observation.state"] for row in rows(dataset)])
    assert np.allclose(said["observation.state"]["mean"], states.mean(axis=0)) and said["action"]["count"] == [192]
    assert np.allclose(said["observation.state"]["q90"], np.quantile(states, 0.9, axis=0))
    assert np.shape(said["observation.images.image"]["mean"]) == (3, 1, 1)
    first = rows(dataset, "meta/episodes/*/*.parquet")[0]
    assert np.allclose(first["stats/action/max"], np.array([row["action"] for row in rows(dataset)[:48]]).max(axis=0))


def test_levels_of_images_are_their_statistics():
    images = np.random.default_rng(0).integers(3, 250, (5, 8, 8, 3)).astype(np.uint8)
    levels = Levels()
    levels.add(images[:2])
    levels.add(images[2:])
    table, pixels = levels.table(), images.reshape(-1, 3) / 255
    for name, value in of_rows(pixels).items():
        assert name == "count" or np.allclose(np.ravel(table[name]), value, atol=1 / 255 if name.startswith("q") else 1e-9), name
    assert table["count"] == [5]


def test_no_ops_are_left_out(tmp_path):
    def idle(arrays):
        arrays["actions"][10:15, :6] = 0
        arrays["actions"][10:15, 6] = arrays["actions"][9, 6]

    file = moving_file(tmp_path / "libero_goal" / "open_the_middle_drawer_of_the_cabinet_demo.hdf5", idle, count=1)
    assert write_lerobot([file], tmp_path / "out").frames == 43


def test_what_cannot_be_used_is_named_and_the_rest_is_written(tmp_path):
    whole = moving_file(tmp_path / "a_demo.hdf5")
    with h5py.File(whole, "r+") as file:
        file["data/demo_1/actions"][3, 0] = np.nan
    (tmp_path / "b_demo.hdf5").write_bytes(b"no file")
    written = write_lerobot([tmp_path / "b_demo.hdf5", whole], tmp_path / "out")
    assert written.episodes == 1 and len(written.left_out) == 2 and "row 3" in written.left_out[f"{whole}: demo_1"]
    with pytest.raises(RecordError, match="no demonstration can be used.*not a readable HDF5"):
        write_lerobot([tmp_path / "b_demo.hdf5"], tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists() and not list(tmp_path.glob(".*"))


def test_nothing_is_replaced(dataset, files):
    with pytest.raises(UsageError, match="there already"):
        write_lerobot(files, dataset)


def test_odd_images_are_refused(tmp_path):
    with pytest.raises(UsageError, match="even sizes"):
        FilmWriter(tmp_path / "film.mp4", 47, 20)


def test_the_command(cli, folder, tmp_path):
    done = cli("demos", "--from", str(folder), "--lerobot", "out", "--format", "json")
    assert done.exit_code == 0 and json.loads(done.stdout)["episodes"] == 5
    assert cli("demos", "--from", str(folder), "--lerobot", "out").exit_code == 2
    assert cli("demos", "--from", str(folder)).exit_code == 2
    beside = folder.with_name(f"{folder.name}-lerobot")
    done = cli("demos", "--from", str(folder), "--format", "lerobot")
    assert done.exit_code == 0 and f"{beside}: 5 episodes" in done.stdout and (beside / "meta/info.json").is_file()
    assert cli("demos", "--suite", "object", "--lerobot", "out").exit_code == 2  # said before anything is recorded
