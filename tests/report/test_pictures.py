"""The mean picture below a token-use map: as the model sees it, of the run's own posters before the bundled observations."""

import numpy as np
from PIL import Image

from vla_bench.report.pictures import SIZE, mean_pictures

CAMERAS = ["agentview", "robot0_eye_in_hand"]


def test_posters_are_turned_as_the_model_sees_them(tmp_path):
    (tmp_path / "videos").mkdir()
    poster = np.zeros((64, 128, 3), np.uint8)
    poster[:32, :32] = 200  # of the first camera: above, and left as a film shows it
    for name in ("a", "b"):
        Image.fromarray(poster).save(tmp_path / "videos" / f"{name}.png")
    (tmp_path / "videos" / "broken.png").write_bytes(b"no picture")
    found, source = mean_pictures([tmp_path], "official", ["spatial"], CAMERAS, crop=False)
    image = found["agentview"]
    bright = image[: SIZE // 2 - 20, SIZE // 2 + 20 :]
    assert image.shape == (SIZE, SIZE, 3) and bright.mean() > 180 and image[:, : SIZE // 2 - 20].mean() < 20
    assert found["robot0_eye_in_hand"].max() < 30 and "filmed episodes" in source


def test_without_posters_the_bundled_observations_stand_in_on_their_own_assets(tmp_path):
    found, source = mean_pictures([tmp_path], "primitive", ["spatial"], CAMERAS)
    assert list(found) == CAMERAS and found["agentview"].std() > 20 and "bundled" in source
    assert mean_pictures([tmp_path], "official", ["spatial"], CAMERAS)[0] == {}
    assert mean_pictures([tmp_path], "primitive", ["mine"], CAMERAS)[0] == {}
