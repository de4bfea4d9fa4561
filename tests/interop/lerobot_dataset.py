"""Reads a data set that `vla-bench demos --lerobot` wrote with lerobot's own loader, and compares it with the HDF5 files.

    PYTHON_OF_LEROBOT lerobot_dataset.py DATASET FOLDER_OF_HDF5

It imports nothing of vla-bench; h5py must be installed beside lerobot.  The files must hold no no-ops, as those of vla-bench.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
from lerobot.datasets.lerobot_dataset import LeRobotDataset

CAMERAS = {"observation.images.image": "agentview_rgb", "observation.images.image2": "eye_in_hand_rgb"}
EVERY = 7  # frames between those whose images are compared


def main(root: Path, folder: Path) -> None:
    dataset = LeRobotDataset("local/vla-bench", root=root)
    episodes = [row for path in sorted(root.glob("meta/episodes/*/*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert dataset.fps == 20 and dataset.num_episodes == len(episodes) and len(dataset) == dataset.meta.total_frames
    used: dict[str, int] = {}  # frames of a demonstration that earlier segments have
    ratios: dict[str, list[float]] = {camera: [] for camera in CAMERAS}
    for episode in episodes:
        file, _, name = episode["vla_bench_demonstration"].partition(":")
        with h5py.File(folder / file if (folder / file).exists() else folder / Path(file).name) as stored:
            demo, first = stored["data"][name], used.get(episode["vla_bench_demonstration"], 0)
            for frame in range(episode["length"]):
                item, row = dataset.hf_dataset[episode["dataset_from_index"] + frame], first + frame
                state = np.concatenate([demo["obs/ee_states"][row], demo["obs/gripper_states"][row]])
                assert np.array_equal(item["observation.state"].numpy(), state.astype(np.float32)), (episode, frame)
                assert np.array_equal(item["action"].numpy(), demo["actions"][row].astype(np.float32)), (episode, frame)
                if frame % EVERY == 0:
                    seen = dataset[episode["dataset_from_index"] + frame]
                    assert seen["task"] == episode["tasks"][0]
                    for camera, array in CAMERAS.items():
                        image = demo[f"obs/{array}"][row][::-1, ::-1].astype(float) / 255
                        ratios[camera].append(psnr(seen[camera].numpy().transpose(1, 2, 0), image))
            used[episode["vla_bench_demonstration"]] = first + episode["length"]
    print(f"lerobot: {len(episodes)} episodes, {len(dataset)} frames at {dataset.fps} a second: states and actions are equal")
    for camera, values in ratios.items():
        print(
            f"lerobot: {camera} {tuple(dataset[0][camera].shape)}: PSNR mean {np.mean(values):.1f} dB, least {min(values):.1f} dB"
        )


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(1 / np.square(one - other).mean()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
