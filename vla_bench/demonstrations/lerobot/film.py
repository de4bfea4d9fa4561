"""The images of demonstrations as H.264, with ffmpeg: what imageio's package of it brings, as for all films of vla-bench."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vla_bench.documents import check_regular
from vla_bench.errors import RecordError, UsageError

CRF = 18  # constant rate factor: lower is closer to the images and larger
KEY_FRAME_EVERY = 2  # frames; so readers get at any frame by decoding two, as lerobot's own films are written
LARGEST_SIDE = 2048  # pixels


class FilmWriter:
    """Writes frames (S, S, 3) uint8 one after another.  Raises UsageError for an odd S, RecordError."""

    def __init__(self, path: Path, size: int, fps: int):
        import imageio_ffmpeg

        if size % 2:
            raise UsageError(
                f"images of {size} pixels do not fit H.264, which takes even sizes", "vla-bench demos --image-size 128"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        # No frames that depend on later ones: the first one is at time 0 for every reader.
        options = ["-crf", str(CRF), "-g", str(KEY_FRAME_EVERY), "-bf", "0", "-movflags", "+faststart"]
        self.path, self.frames = path, 0
        self._film = imageio_ffmpeg.write_frames(
            str(path), (size, size), fps=fps, codec="libx264", quality=None, macro_block_size=2, output_params=options
        )
        self._film.send(None)

    def add(self, images: np.ndarray) -> None:
        """images: (T, S, S, 3)."""
        try:
            for image in images:
                self._film.send(np.ascontiguousarray(image))
        except OSError as error:
            raise RecordError(f"cannot write {self.path}: {error}", f"df -h {self.path.parent}") from error
        self.frames += len(images)

    def close(self) -> None:
        self._film.close()


def read_film(path: Path, shape: tuple[int, int], fps: float, start: int = 0) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) uint8 of a film in their order, from the one with the number `start`.

    Raises RecordError for a file that cannot be decoded, or of other frames (H, W) or another rate than said.
    """
    import imageio_ffmpeg

    try:
        check_regular(path)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}", f"ls -l {path}") from error
    # Others' files: nothing but this one is opened, whatever is in it, and it is taken for nothing but MP4.
    given = ["-protocol_whitelist", "file", "-f", "mov", *(["-ss", f"{(start - 0.5) / fps:.6f}"] if start else [])]
    film = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24", input_params=given, output_params=["-fps_mode", "passthrough"])
    try:
        try:
            about = next(film)
        except (OSError, RuntimeError, StopIteration, ValueError) as error:
            raise RecordError(f"{path} cannot be decoded: {_first_line(error)}", "download it again") from error
        width, height = about["size"]
        if (height, width) != shape or max(shape) > LARGEST_SIDE:
            raise RecordError(f"{path} has frames of {height} x {width} pixels, and info.json says {shape[0]} x {shape[1]}")
        if abs(about["fps"] - fps) > 0.01:
            raise RecordError(f"{path} has {about['fps']:g} frames a second, and info.json says {fps:g}")
        try:
            for frame in film:
                yield np.frombuffer(frame, np.uint8).reshape(height, width, 3)
        except (OSError, RuntimeError, ValueError) as error:
            raise RecordError(f"{path} cannot be decoded to its end: {_first_line(error)}", "download it again") from error
    finally:
        film.close()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
