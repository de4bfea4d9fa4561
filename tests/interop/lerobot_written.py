"""Writes HDF5 demonstrations as a data set with lerobot itself, in its own codec, for `vla-bench train` to read.

    PYTHON_OF_LEROBOT lerobot_written.py FOLDER_OF_HDF5 DATASET

It imports nothing of vla-bench; h5py must be installed beside lerobot.  The images are turned by 180 degrees, as those of
HuggingFaceVLA/libero.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

CAMERAS = {"observation.images.image": "agentview_rgb", "observation.images.image2": "eye_in_hand_rgb"}


def main(folder: Path, out: Path) -> None:
    camera = {"dtype": "video", "shape": (128, 128, 3), "names": ["height", "width", "channels"]}
    features = dict.fromkeys(CAMERAS, camera)
    features |= {
        name: {"dtype": "float32", "shape": (n,), "names": None} for name, n in (("observation.state", 8), ("action", 7))
    }
    dataset = LeRobotDataset.create("local/theirs", fps=20, features=features, root=out, robot_type="panda")
    for path in sorted(folder.rglob("*_demo.hdf5")):
        task = path.name.removesuffix("_demo.hdf5").replace("_", " ")
        with h5py.File(path) as file:
            for demo in file["data"].values():
                for row in range(len(demo["actions"])):
                    state = np.concatenate([demo["obs/ee_states"][row], demo["obs/gripper_states"][row]])
                    frame = {"observation.state": state.astype(np.float32), "action": demo["actions"][row].astype(np.float32)}
                    frame |= {name: demo[f"obs/{array}"][row][::-1, ::-1] for name, array in CAMERAS.items()}
                    dataset.add_frame(frame | {"task": task})
                dataset.save_episode()
    dataset.finalize()
    codec = dataset.meta.features["observation.images.image"]["info"]["video.codec"]
    print(f"lerobot wrote {dataset.num_episodes} episodes, {dataset.meta.total_frames} frames, {codec}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
