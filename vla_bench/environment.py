"""The environment of a run: versions, machine, commit.  Reads metadata only; imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("vla-bench", "mujoco", "robosuite", "hf-libero", "bddl", "numpy", "torch", "transformers", "peft")

OUTCOME_PACKAGES = ("vla-bench", "mujoco", "robosuite", "hf-libero")
"""Packages whose version can change an episode's outcome; they are part of a run's configuration."""


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Installed versions; None for a package that is missing."""
    installed = {}
    for package in packages:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed[package] = None
    return installed


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def gpu_name() -> str | None:
    """The first NVIDIA GPU and its driver, or None."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, with "+" when it has changes; None when installed."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    commit = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
    if commit.returncode != 0:
        return None
    changes = subprocess.run(["git", "-C", root, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True)
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def cpu_count() -> int:
    """Cores that this process may use, by its affinity and by the quota of its container; 1 at least."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_quota(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores of CPU time that the control groups of this process grant it, the least of them all; None without a limit.

    Version 2 has `cpu.max`, with quota and period in microseconds, version 1 a file for each.
    """
    try:
        lines = [line.split(":", 2) for line in cgroup.read_text().splitlines()]
    except OSError:
        return None
    quotas = []
    for _, controllers, path in lines:
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / controllers
        own = mount / path.strip("/")
        for folder in [own, *own.parents][: len(own.parts) - len(root.parts) + 1]:
            quotas.append(_quota(folder, "cpu.max") or _quota(folder, "cpu.cfs_quota_us", "cpu.cfs_period_us"))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(folder: Path, *names: str) -> float | None:
    try:
        quota, period = map(float, " ".join((folder / name).read_text() for name in names).split())
    except (OSError, ValueError):  # no such group here, as in a container, or "max", no limit
        return None
    return quota / period if quota > 0 and period > 0 else None


def available_memory() -> int | None:
    """Bytes that can be taken without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def describe() -> dict[str, object]:
    """The environment as `run.json` records it."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": cpu_count(),
        "gpu": gpu_name(),
        "packages": versions(),
    }
