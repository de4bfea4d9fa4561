"""Preparing camera images for the model: as the reference's TensorFlow does it, and by hand."""

import math
import zlib

import numpy as np
import pytest
from PIL import Image

from vla_bench.errors import ModelError
from vla_bench.model.images import Normalisation, centre_crop, jpeg, lanczos3, pixel_values, prepare, upright


@pytest.fixture(scope="module")
def stages(shared):
    """What TensorFlow made of a frame, step by step."""
    return dict(np.load(shared("fixtures/image_pipeline.npz")))


def pattern(height: int = 32, width: int = 32) -> np.ndarray:
    """Edges, ramps and texture out of whole numbers: the same on every machine, and no resized value near a half."""
    y, x = np.mgrid[:height, :width]
    return np.stack([7 * x + 3 * y + x * x * y // 5, x * y + 11 * (y // 3), 8 * (x ^ y) + y * y // 7], axis=-1).astype(np.uint8)


def flat(colour=(10, 128, 255), size: int = 64) -> np.ndarray:
    return np.full((size, size, 3), colour, np.uint8)


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


def test_jpeg_is_tensorflows_to_the_bit(stages):
    assert np.array_equal(jpeg(stages["img0.raw"]), stages["img0.after_jpeg"])


def test_resize_is_tensorflows_but_for_float32(stages):
    wrong = differences(lanczos3(stages["img0.after_jpeg"], 224), stages["img0.resized"])
    assert wrong.max() <= 1 and (wrong > 0).mean() <= 2e-4


def test_crop_is_tensorflows_to_the_bit(stages):
    assert np.array_equal(centre_crop(stages["img0.resized"]), stages["img0.cropped"])


def test_the_whole_road(stages):
    as_drawn = np.ascontiguousarray(stages["img0.raw"][::-1, ::-1])
    wrong = differences(prepare(as_drawn, 224), stages["img0.cropped"])
    assert wrong.max() <= 1 and (wrong > 0).mean() <= 1e-4


@pytest.mark.parametrize("case", "ab")
def test_pixel_values_are_the_references_to_the_bit(shared, case):
    from safetensors.numpy import load_file

    tensors = load_file(shared(f"fixtures/e2e_eval_{case}.safetensors"))
    assert np.array_equal(pixel_values(tensors["images_uint8"], Normalisation()), tensors["pixel_values"][0])


def test_rotation():
    frame = flat((0, 0, 0), 8)
    frame[0, 0], frame[7, 2] = (255, 0, 0), (0, 255, 0)
    turned = upright(frame)
    assert turned[7, 7].tolist() == [255, 0, 0] and turned[0, 5].tolist() == [0, 255, 0]
    assert np.array_equal(upright(turned), frame)


def test_frozen_numbers():
    """Made once by this code, when it agreed with TensorFlow's images: another decoder or filter shows here."""
    image = pattern()
    assert zlib.crc32(jpeg(image)) == 2193774138
    assert lanczos3(image, 7)[3, 2:5].tolist() == [[116, 188, 105], [124, 73, 19], [128, 99, 117]]
    assert lanczos3(image, 28)[5, 9:12].tolist() == [[237, 79, 108], [168, 86, 97], [17, 93, 86]]
    assert centre_crop(image)[16, 20:23].tolist() == [[157, 115, 69], [105, 130, 78], [166, 145, 85]]
    assert prepare(image, 28)[5, 9:12].tolist() == [[118, 85, 184], [132, 69, 176], [109, 41, 132]]


def test_jpeg_loses_little_and_not_as_pillow_does():
    smooth = np.asarray(Image.fromarray(pattern(8, 8)).resize((64, 64), Image.Resampling.BICUBIC))
    wrong = differences(jpeg(smooth), smooth)
    assert 0 < wrong.mean() < 6
    assert np.array_equal(jpeg(flat((90, 90, 90))), flat((90, 90, 90)))


@pytest.mark.parametrize("size", [7, 12, 30])
def test_resize_of_a_constant_is_constant(size):
    assert np.array_equal(lanczos3(flat(size=12), size), flat(size=size))


def test_resize_of_a_ramp_keeps_its_slope():
    """Half-pixel centres: output i of a halved ramp lies between inputs 2i and 2i + 1.  Borders are left out: they bend."""
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    half = lanczos3(ramp, 32)[16, 4:-4, 0].astype(int)
    assert half.tolist() == [8 * i + 2 for i in range(4, 28)]


def lanczos_by_hand(line: list[int], size: int) -> list[float]:
    """One line, sum by sum."""
    scale, found = max(len(line) / size, 1), []
    for i in range(size):
        centre = (i + 0.5) * len(line) / size
        weighted = total = 0.0
        for j, value in enumerate(line):
            x = math.pi * (j + 0.5 - centre) / scale
            if abs(x) < 3 * math.pi:
                weight = 1.0 if x == 0 else 3 * math.sin(x) * math.sin(x / 3) / x**2
                weighted, total = weighted + weight * value, total + weight
        found.append(weighted / total)
    return found


@pytest.mark.parametrize(("n", "size"), [(32, 28), (32, 14), (20, 31), (9, 2), (40, 40)])
def test_resize_equals_sums_by_hand(n, size):
    line = pattern(1, n)[0, :, 0]
    image = np.broadcast_to(line[None, :, None], (n, n, 3)).copy()
    by_hand = np.clip(lanczos_by_hand(line.tolist(), size), 0, 255)
    for resized in (lanczos3(image, size)[0, :, 1], lanczos3(np.ascontiguousarray(image.swapaxes(0, 1)), size)[:, 0, 2]):
        assert np.abs(resized - by_hand).max() <= 0.5 + 1e-9  # the nearest whole number, whichever it is at a half


def test_resize_is_near_pillows_and_takes_any_shape():
    image = pattern(48, 80)
    pillow = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.LANCZOS))
    wrong = differences(lanczos3(image, 24), pillow)
    assert wrong.mean() < 0.3 and (wrong > 1).mean() < 0.02  # Pillow rounds and clips between its two passes


def test_an_image_of_the_right_size_is_copied():
    image = pattern()
    same = lanczos3(image, 32)
    assert np.array_equal(same, image) and not np.shares_memory(same, image)


def test_crop_of_a_constant_is_constant():
    for value in (0, 1, 127, 254, 255):
        assert np.array_equal(centre_crop(flat((value,) * 3)), flat((value,) * 3))


def test_crop_by_hand():
    """Every sample in scalar float32, as the reference writes it."""
    image, size, one = pattern(), 32, np.float32(1)
    side = np.sqrt(np.float32(0.9))
    first = (one - side) / np.float32(2)
    step = ((first + side) - first) * np.float32(size - 1) / np.float32(size - 1)
    for i, j in [(0, 0), (31, 31), (5, 17), (16, 16), (30, 2)]:
        y, x = (first * np.float32(size - 1) + np.float32(k) * step for k in (i, j))
        top, left = int(y), int(x)
        pixels = image[top : top + 2, left : left + 2].astype(np.float32) * np.float32(1 / 255)
        upper, lower = (row[0] + (row[1] - row[0]) * (x - np.float32(left)) for row in pixels)
        value = upper + (lower - upper) * (y - np.float32(top))
        assert centre_crop(image)[i, j].tolist() == [int(c * np.float32(255.5)) for c in value]


def test_crop_of_everything_changes_nothing_and_a_crop_magnifies():
    image = pattern()
    assert np.array_equal(centre_crop(image, area=1.0), image)
    dot = flat((0, 0, 0), 33)
    dot[12:21, 12:21] = 255
    assert centre_crop(dot, area=0.25).astype(int).sum() > 3 * dot.astype(int).sum()
    assert np.array_equal(centre_crop(dot), centre_crop(dot)[::-1, ::-1])


def test_crop_of_an_oblong_follows_both_sides():
    across = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, :, None], (20, 60, 3)).copy()
    along = np.ascontiguousarray(across.swapaxes(0, 1))
    assert centre_crop(across).shape == (20, 60, 3)
    assert np.array_equal(centre_crop(along).swapaxes(0, 1), centre_crop(across))
    offset = (1 - math.sqrt(0.9)) / 2 * 59 * 4
    assert centre_crop(across)[7, [0, 59], 1].tolist() == [int(offset / 255 * 255.5), int((236 - offset) / 255 * 255.5)]


def test_two_colours_end_up_on_their_sides():
    frame = flat((255, 0, 0), 64)  # as drawn: red above, blue below; upright: blue above
    frame[32:] = (0, 0, 255)
    image = prepare(frame, 28)
    assert image.shape == (28, 28, 3) and image.dtype == np.uint8
    assert image[2, 14, 2] > 250 and image[2, 14, 0] < 5 and image[25, 14, 0] > 250 and image[25, 14, 2] < 5


def test_pixel_values_by_hand():
    images = np.stack([flat((0, 51, 255), 4), flat((255, 255, 255), 4)])
    values = pixel_values(images, Normalisation())
    assert values.shape == (12, 4, 4) and values.dtype == np.float32
    first = [-0.484375 / 0.228515625, (0.2 - 0.455078125) / 0.2236328125, (1 - 0.40625) / 0.224609375, -1.0, -0.6, 1.0]
    assert values[:6, 0, 0] == pytest.approx(first, abs=1e-6)
    assert values[9:, 3, 3].tolist() == [1.0, 1.0, 1.0]
    image = pattern(16, 16)
    assert pixel_values(image[None], Normalisation())[4, 3, 9] == pytest.approx(image[3, 9, 1] / 127.5 - 1, abs=1e-6)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        [[0, 0, 0]],
    ],
)
def test_what_is_no_image(image):
    for step in (upright, jpeg, centre_crop, lambda x: lanczos3(x, 4), lambda x: prepare(x, 4)):
        with pytest.raises(ModelError, match=r"\(H, W, 3\) of uint8, not"):
            step(image)


def test_numbers_that_make_no_picture():
    with pytest.raises(ModelError, match="0 pixels"):
        lanczos3(pattern(), 0)
    with pytest.raises(ModelError, match="1.5"):
        centre_crop(pattern(), 1.5)
    with pytest.raises(ModelError, match=r"\(n, S, S, 3\)"):
        pixel_values(pattern(), Normalisation())
