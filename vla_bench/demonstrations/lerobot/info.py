"""`meta/info.json` of a LeRobot data set that others may have written: which features it has, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Optional

from msgspec import Struct

from vla_bench.demonstrations.lerobot import features as form
from vla_bench.documents import read_object, typed
from vla_bench.errors import RecordError
from vla_bench.values import ImageOrder

# Under which names data sets of LIBERO have what is read; the first is vla-bench's, lerobot's and HuggingFaceVLA's.
STATE = (form.STATE, "state")
ACTION = (form.ACTION, "actions")
MAIN = ("observation.images.image", "image")
WRIST = (*form.WRIST_NAMES, "wrist_image")
LARGEST_SIDE = 2048  # pixels
CONVERTER = "python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id NAME, of lerobot; it makes v3.0 of v2.1"


@dataclass(frozen=True)
class Camera:
    """name: of the feature.  size: of its square images, in pixels.  film: whether they are a film, or pictures in the rows."""

    name: str
    size: int
    film: bool


@dataclass(frozen=True)
class Info:
    """What of a data set is read.

    fps: of its films.  cameras: the fixed one and the wrist's.  order: how the images are stored; None where nothing says so.
    """

    root: Path
    fps: float
    state: str
    action: str
    cameras: tuple[Camera, Camera]
    data_path: str
    video_path: str
    order: ImageOrder | None

    def data_file(self, chunk: int, file: int) -> Path:
        return self._file(self.data_path, chunk, file)

    def film_file(self, camera: Camera, chunk: int, file: int) -> Path:
        return self._file(self.video_path, chunk, file, video_key=camera.name)

    def _file(self, pattern: str, chunk: int, file: int, **more: str) -> Path:
        """Raises RecordError for a path that leads out of the data set."""
        try:
            name = pattern.format(chunk_index=chunk, file_index=file, **more)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise RecordError(f"{self.root / form.INFO}: {pattern!r} is no path of LeRobotDataset {form.VERSION}") from error
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise RecordError(f"{self.root / form.INFO}: the path {name!r} leads out of the data set")
        return self.root / name


class _InfoFile(Struct):
    codebase_version: str
    fps: float
    features: dict[str, dict[str, Any]]
    data_path: str = form.DATA_PATH
    video_path: Optional[str] = None  # null without films


def read_info(root: Path) -> Info:
    """Raises RecordError, with the name of the feature that is missing or has another shape."""
    path = root / form.INFO
    try:
        table = typed(read_object(path), _InfoFile)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} cannot be read: {error}", f"ls -l {path}") from error
    if not table.codebase_version.startswith("v3."):
        raise RecordError(f"{root} is a LeRobotDataset {table.codebase_version}, and {form.VERSION} is read", CONVERTER)
    if not 0 < table.fps <= 1000:
        raise RecordError(f"{path}: fps is {table.fps:g}")
    features = table.features
    vectors = [_vector(features, names, width, path) for names, width in ((STATE, 8), (ACTION, 7))]
    cameras = (_camera(features, MAIN, path), _camera(features, WRIST, path))
    paths = table.data_path, table.video_path or form.VIDEO_PATH
    return Info(root, table.fps, *vectors, cameras, *paths, order=_order(root))


def _named(features: dict[str, dict[str, Any]], names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in features:
            return name
    raise RecordError(
        f"{path} has no feature {names[0]} (nor {', '.join(names[1:])}); it has {', '.join(sorted(features))[:300]}"
    )


def _vector(features: dict[str, dict[str, Any]], names: tuple[str, ...], width: int, path: Path) -> str:
    name = _named(features, names, path)
    kind, shape = features[name].get("dtype"), features[name].get("shape")
    if kind not in ("float32", "float64") or shape != [width]:
        raise RecordError(f"{path}: {name} is {kind} {shape}, not float32 [{width}]")
    return name


def _camera(features: dict[str, dict[str, Any]], names: tuple[str, ...], path: Path) -> Camera:
    name = _named(features, names, path)
    kind, shape = features[name].get("dtype"), features[name].get("shape")
    size = shape[1] if isinstance(shape, list) and len(shape) == 3 else None
    if kind not in ("video", "image") or shape not in ([size, size, 3], [3, size, size]) or not _is_size(size):
        raise RecordError(f"{path}: {name} is {kind} {shape}, not video or image [S, S, 3], of at most {LARGEST_SIDE} pixels")
    return Camera(name, size, kind == "video")


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value <= LARGEST_SIDE


def _order(root: Path) -> ImageOrder | None:
    """As vla-bench wrote it beside its data sets."""
    path = root / form.ABOUT
    try:
        return ImageOrder(str(read_object(path)["images"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(
            f"{path} does not say how the images are stored: {error}", f"rm {path}; vla-bench train --images ..."
        ) from error
