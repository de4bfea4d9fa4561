"""LeRobotDataset v3.0 as demonstrations of LIBERO have it: names and shapes of the features, paths, and what the numbers mean.

    meta/info.json                                   features, counts, rate, paths
    meta/stats.json                                  least, greatest, mean, ... of every feature
    meta/tasks.parquet                               instruction -> task_index
    meta/episodes/chunk-000/file-000.parquet         a row an episode: where its rows and its frames are
    meta/vla_bench.json                              the conventions; lerobot does not read it
    data/chunk-000/file-000.parquet                  a row a frame, all but the images
    videos/observation.images.image/chunk-000/file-000.mp4

The names are those of the public data sets of LIBERO for lerobot (HuggingFaceVLA/libero), and of lerobot's own environment.
"""

from __future__ import annotations

VERSION = "v3.0"
FPS = 20  # LIBERO's control rate; public copies say 10 for the same steps
CHUNK = 1000  # files in a folder
STATE, ACTION = "observation.state", "action"
CAMERAS = {"obs/agentview_rgb": "observation.images.image", "obs/eye_in_hand_rgb": "observation.images.image2"}  # HDF5 -> here
WRIST_NAMES = ("observation.images.image2", "observation.images.wrist_image")  # under which others have the second camera
STATE_NAMES = ["x", "y", "z", "axis_angle_x", "axis_angle_y", "axis_angle_z", "gripper_left", "gripper_right"]
ACTION_NAMES = ["dx", "dy", "dz", "rotation_x", "rotation_y", "rotation_z", "gripper"]
INDICES = {"timestamp": "float32", **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")}

INFO, STATS, TASKS, ABOUT = "meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/vla_bench.json"
PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES_PATH = f"meta/episodes/{PLACE}.parquet"
DATA_PATH = f"data/{PLACE}.parquet"
VIDEO_PATH = f"videos/{{video_key}}/{PLACE}.mp4"

# Columns of an episode's row that only vla-bench writes.  DEMONSTRATION names file and demonstration; its segments are episodes.
DEMONSTRATION, SEGMENT, SUITE = "vla_bench_demonstration", "vla_bench_segment", "vla_bench_suite"

CONVENTIONS = {
    "images": "rotated",
    "images_about": "LIBERO's, turned by 180 degrees: upright, and mirrored as seen from the robot; as in HuggingFaceVLA/libero",
    "state_about": "end effector in the world's frame, m; its rotation as axis times angle, rad; both fingers, m",
    "action_about": "change of the end effector's pose a step, 1 is 5 cm or 0.5 rad, in [-1, 1]; gripper -1 open, +1 closed",
    "noops": "removed",
    "episodes_about": "a demonstration; several, one a segment, where the arm was pushed in it, since the push is not recorded",
}


def place(number: int) -> dict[str, int]:
    """Folder and number of a file, for the paths."""
    return {"chunk_index": number // CHUNK, "file_index": number % CHUNK}


def features(size: int) -> dict[str, dict[str, object]]:
    """The features of `info.json`; size: of the images, in pixels."""
    film = {"video.fps": FPS, "video.height": size, "video.width": size, "video.channels": 3, "video.codec": "h264"}
    film |= {"video.pix_fmt": "yuv420p", "is_depth_map": False, "has_audio": False}
    cameras = {"dtype": "video", "shape": [size, size, 3], "names": ["height", "width", "channels"], "info": film}
    table: dict[str, dict[str, object]] = {name: dict(cameras) for name in CAMERAS.values()}
    table[STATE] = {"dtype": "float32", "shape": [len(STATE_NAMES)], "names": STATE_NAMES}
    table[ACTION] = {"dtype": "float32", "shape": [len(ACTION_NAMES)], "names": ACTION_NAMES}
    return table | {name: {"dtype": kind, "shape": [1], "names": None} for name, kind in INDICES.items()}
