"""Films of a made episode: what is dimmed, what the model saw, what is said where something is missing."""

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from vla_bench.errors import DamagedRunError, NotComparableError
from vla_bench.model.images import prepare
from vla_bench.overlay.film import make_film
from vla_bench.overlay.key_frames import key_steps
from vla_bench.overlay.layout import GAP, HEADER, HEIGHT, MARGIN, PANEL, WIDTH, Frames, panels
from vla_bench.overlay.patches import MERGED, overlaid
from vla_bench.overlay.replayed import replay
from vla_bench.query_record import QueryRecord
from vla_bench.world.observation import Sight

from .made import MODEL, SIDE, STEPS, actions, query, recorded, simulator, without_trace

QUERIES = [query(0, [0, 9], []), query(8, [63], [1, 2, 3])]


def quarter(picture, row, column):
    """The mean colour of a quarter of a picture."""
    half = len(picture) // 2
    return picture[row * half : (row + 1) * half, column * half : (column + 1) * half].mean(axis=(0, 1))


def test_the_film_has_its_frames_stills_and_sheet(tmp_path):
    film = make_film(simulator(), recorded(tmp_path, QUERIES), "pick it up", tmp_path / "films", sheet=True)
    names = sorted(path.name for path in (tmp_path / "films").iterdir())
    assert names == [
        "object-t3-i00-success" + tail for tail in ("-sheet.png", *(f"-step{s:03d}.png" for s in (0, 8, 16)), ".mp4")
    ]
    assert sorted(path.name for path in film.files) == names and film.frames == 9
    with imageio.get_reader(tmp_path / "films" / names[-1]) as reader:
        assert reader.get_meta_data()["codec"] == "h264" and reader.get_meta_data()["fps"] == 10
        assert sum(1 for _ in reader) == 9
    still = np.asarray(Image.open(tmp_path / "films" / names[1]))
    assert still.shape == (HEIGHT, WIDTH, 3) and not HEIGHT % 2 and not WIDTH % 2


@pytest.mark.parametrize("size", [128, 256])  # another one than the suite's, and the suite's
def test_the_lower_row_is_the_model_s_own_picture_of_its_last_query(tmp_path, size):
    drawn, recording = simulator(), recorded(tmp_path, QUERIES, MODEL | {"camera_size": size})
    moments = {moment.step: moment for moment in replay(drawn, recording, {0, 7, 8, 15})}
    assert [moments[step].query.step for step in (0, 7, 8, 15)] == [0, 0, 8, 8]
    drawn.image_size = size
    drawn.reset(0)
    for action in actions()[:8]:
        _, observation = drawn.step(action, Sight.IMAGES)
    model_s = [prepare(image, 14 * SIDE, True) for image in observation.images.values()]
    assert all(np.array_equal(shown, own) for shown, own in zip(moments[15].pictures, model_s, strict=True))
    assert not np.array_equal(moments[7].pictures[0], model_s[0])
    assert {frame.shape for moment in moments.values() for frame in moment.frames.values()} == {(256, 256, 3)}


def test_both_rows_are_turned_alike(tmp_path):
    """Green is lower right as rendered, so upper left to the model; a mirrored picture would have it elsewhere."""
    recording = recorded(tmp_path, [query(0, list(range(64)), list(range(64)))])
    (moment,) = replay(simulator(), recording, {0})
    shown = panels(moment, list(moment.frames), 2, 160)
    assert len(shown) == 4
    for panel in shown:
        greens = [quarter(panel, row, column)[1] for row in (0, 1) for column in (0, 1)]
        assert greens[0] > 100 and max(greens[1:]) < 25


def test_pruned_patches_are_grey_and_dark_kept_ones_as_they_were_and_merged_ones_outlined(tmp_path):
    recording = recorded(tmp_path, [query(0, [0], [], merged=([9], []))])
    picture = np.full((112, 112, 3), (40, 90, 200), np.uint8)
    shown = overlaid(picture, recording.queries[0].patches[0], 320)
    middles = shown[20::40, 20::40]
    assert tuple(middles[0, 0]) == tuple(middles[1, 1]) == (40, 90, 200)
    others = np.delete(middles.reshape(64, 3), [0, 9], axis=0)
    assert (others == others[:, :1]).all() and others.max() < 0.5 * 88  # 88: luma of that colour
    outlined = {tuple(place) for place in np.argwhere((shown == MERGED).all(axis=2)) // 40}
    assert outlined == {(1, 1)}
    assert recording.queries[0].kept == (2, 0)


def test_what_a_record_lacks_is_said_where_it_would_stand(tmp_path):
    whole = recorded(tmp_path, QUERIES)
    counts = recorded(tmp_path, [without_trace(each) for each in QUERIES])
    one_camera = recorded(tmp_path, [QueryRecord.of(0, (5,), 12, {})], {"visual_tokens": 64})
    script = recorded(tmp_path, [], {})
    assert whole.missing is None and "not recorded" in counts.missing and "no image tokens" in script.missing
    lower = {}
    for name, recording in {"whole": whole, "counts": counts, "one": one_camera, "script": script}.items():
        (moment,) = replay(simulator(), recording, {4})
        frame = Frames(recording, "pick it up", simulator().suite.cameras).draw(moment)
        top = HEADER + PANEL + GAP
        lower[name] = frame[top : top + PANEL, MARGIN : MARGIN + PANEL], frame[top : top + PANEL, -MARGIN - PANEL : -MARGIN]
    # The model's picture has its blue without a trace, too; a panel without any picture is light grey.
    assert lower["counts"][0][100, 250, 2] > 100 > lower["whole"][0][100, 250, 2]
    assert np.ptp(lower["one"][1][10, 10]) == 0 and np.ptp(lower["script"][0][10, 10]) == 0
    assert lower["script"][0].min() < 60  # words


def test_a_cached_action_dims_everything(tmp_path):
    recording = recorded(tmp_path, [QUERIES[0], QueryRecord.of(8, (0, 0), 12, {})])
    assert recording.queries[1].cached and not recording.queries[0].cached
    assert not any(camera.kept.any() for camera in recording.queries[1].patches)


@pytest.mark.parametrize("changed", [{"state_hash": "2" * 16}, {"init_hash": "3" * 16}])
def test_a_replay_that_is_not_the_recorded_episode_leaves_no_film(tmp_path, changed):
    recording = recorded(tmp_path, QUERIES, **changed)
    with pytest.raises(NotComparableError, match="another (init )?state"):
        make_film(simulator(), recording, "pick it up", tmp_path / "films", sheet=True)
    assert not list((tmp_path / "films").iterdir())


def test_actions_and_masks_must_fit_their_episode(tmp_path):
    with pytest.raises(DamagedRunError, match="17 steps and 16 usable recorded actions"):
        recorded(tmp_path, QUERIES, steps=17)
    with pytest.raises(DamagedRunError, match="masks that do not fit"):
        recorded(tmp_path, [query(0, [63], [0])], MODEL | {"visual_tokens": 2 * 49})


def test_key_frames_are_the_ends_the_grasps_and_the_middles_between(tmp_path):
    recording = recorded(tmp_path, [query(step, [0], [0]) for step in range(0, STEPS, 2)])
    assert key_steps(recording, 4) == [0, 4, 12, 16]  # the gripper closes at 5 and opens at 12
    assert key_steps(recording, 5) == [0, 4, 8, 12, 16]
    assert key_steps(recording, 2) == [0, 16]
    assert key_steps(recording, 99) == list(range(0, 17, 2))
