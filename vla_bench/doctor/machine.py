"""Checks of the machine: memory, disks, limits of a process, and GPUs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from vla_bench import environment
from vla_bench.doctor.case import Case
from vla_bench.doctor.check import Check, Seen, fail, ok, skip, warn
from vla_bench.errors import VlaBenchError
from vla_bench.rollout.world_setup import WORKER_BYTES, WORKER_BYTES_MESHES
from vla_bench.world.cache import cache_dir

GB, MB = 1e9, 1e6
LEAST_DISK, ENOUGH_DISK = 100 * MB, 2 * GB  # of a run; of its videos, too
ENOUGH_SHM = 256 * MB  # NCCL takes more than the 64 MB of a container for a training on several GPUs
FILES, FILES_PER_WORKER = 128, 4  # descriptors: room for the main process, and for each worker's pipe and process
LARGEST_FILE = 1 * GB
SHM = Path("/dev/shm")


def _memory(case: Case) -> Seen:
    free = environment.available_memory()
    if free is None:
        return skip("this system does not say how much memory is free")
    embedded = isinstance(case.pack, VlaBenchError) or case.pack.embedded
    worker, cores = WORKER_BYTES if embedded else WORKER_BYTES_MESHES, environment.cpu_count()
    what = f"{free / GB:.1f} GB free; a simulator takes {worker / GB:.1f} GB"
    if free < worker:
        return fail(what, "vla-bench eval --workers 1 --assets primitive ..., after other programs were closed")
    if free < worker * cores:
        return warn(f"{what}: enough for {int(free // worker)} of {cores} workers", "vla-bench eval --workers auto ...")
    return ok(what)


def _disk(case: Case) -> Seen:
    """Of run folders, of the cache, and of temporary files."""
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return fail(f"there is no folder for temporary files: {error.strerror}", "export TMPDIR=/a/folder/with/room")
    places = {"run folders": Path("results/runs"), "cache": cache_dir(), "temporary files": temporary}
    seen = []
    for what, path in places.items():
        place = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
        if not os.access(place, os.W_OK):
            return fail(f"{place} ({what}) cannot be written to", f"ls -ld {place}; vla-bench eval --out OTHER_FOLDER ...")
        free = shutil.disk_usage(place).free
        if free < LEAST_DISK:
            return fail(f"{free / MB:.0f} MB free for {what} in {place}", f"df -h {place}")
        seen.append((free, what, place))
    free, what, place = min(seen)
    if free < ENOUGH_DISK:
        return warn(f"{free / GB:.1f} GB free for {what} in {place}", f"vla-bench eval --video none ...; df -h {place}")
    return ok(f"{free / GB:.0f} GB free and more")


def _shared_memory(case: Case) -> Seen:
    if not SHM.is_dir():
        return skip(f"there is no {SHM}")
    free = shutil.disk_usage(SHM).free
    if free < ENOUGH_SHM:
        return warn(f"{free / MB:.0f} MB free in {SHM}; a training on several GPUs takes more", "docker run --shm-size 1g ...")
    return ok(f"{free / GB:.1f} GB free in {SHM}")


def _limits(case: Case) -> Seen:
    if sys.platform == "win32":
        return skip("no such limits on Windows")
    import resource

    files, size = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE))
    wanted = FILES + FILES_PER_WORKER * environment.cpu_count()
    if files != resource.RLIM_INFINITY and files < wanted:
        return fail(f"{files} open files a process; one worker a core takes {wanted}", f"ulimit -n {max(4096, wanted)}")
    if size != resource.RLIM_INFINITY and size < LARGEST_FILE:
        return fail(f"files of at most {size / MB:.0f} MB: longer runs and checkpoints are cut off", "ulimit -f unlimited")
    return ok(f"{'any number of' if files == resource.RLIM_INFINITY else files} open files, files of any size")


def _gpu(case: Case) -> Seen:
    """For the model; simulators have a choice of their own."""
    name = environment.gpu_name()
    if name is None:
        return ok("no NVIDIA GPU: models run on the CPU")
    import torch

    if torch.cuda.is_available():
        return ok(f"{name}; torch {torch.__version__} sees {torch.cuda.device_count()}")
    if (hidden := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return warn(
            f"{name} is there, and CUDA_VISIBLE_DEVICES={hidden!r} hides it: models run on the CPU", "unset CUDA_VISIBLE_DEVICES"
        )
    what = f"{name} is there, and torch {torch.__version__} does not see it: models run on the CPU"
    return warn(what, "pip install --force-reinstall torch, from the index that pytorch.org names for your driver")


CHECKS = (
    Check("memory", "workers are killed, episodes end in errors `Killed`", _memory),
    Check("disk", "`cannot record an episode`, exit code 6", _disk),
    Check("shared memory", "a training on several GPUs dies with a bus error", _shared_memory),
    Check("file limits", "`Too many open files`, or files that end in the middle", _limits),
    Check("GPU for models", "an evaluation with a 7B model is very slow", _gpu),
)
