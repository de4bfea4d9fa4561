"""The device that queries are timed on: its clock, its identity, and its peak rates."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vla_bench.environment import available_memory, cpu_count, cpu_name, versions

PACKAGES = ("vla-bench", "torch", "triton", "transformers", "numpy")
CLOCK_MOVED = 0.05


@dataclass(frozen=True)
class Peak:
    """Peak rates.  flops: FLOP/s.  bytes_per_s: of the memory, None where not counted.  source: where they are from."""

    flops: float
    bytes_per_s: float | None
    source: str

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


# Dense bfloat16 without sparsity, and memory bandwidth, as published by the makers; an H200's were measured.  The first
# name that is part of the device's name counts.
GPUS = (
    ("H200", 788e12, 4.30e12),
    ("H100 PCIe", 756e12, 2.04e12),
    ("H100 NVL", 835e12, 3.9e12),
    ("H100", 989e12, 3.35e12),
    ("H20", 148e12, 4.0e12),
    ("A100-SXM4-40GB", 312e12, 1.56e12),
    ("A100-PCIE-40GB", 312e12, 1.56e12),
    ("A100", 312e12, 2.04e12),
    ("RTX 4090", 165e12, 1.01e12),
    ("Orin", 42.5e12, 0.205e12),
    ("Thor", 258e12, 0.273e12),
)


class TimedDevice(ABC):
    """comparable: whether its times can be compared with other machines'.  torch_device: where tensors go."""

    comparable: bool
    torch_device: torch.device

    @abstractmethod
    def synchronise(self) -> None:
        """Wait until nothing runs any more."""

    @abstractmethod
    def stamp(self) -> object:
        """This moment on the device's own clock, without waiting for it."""

    @abstractmethod
    def between(self, first: object, second: object) -> float:
        """Milliseconds from one stamp to the other; waits."""

    @abstractmethod
    def free_memory(self) -> int | None:
        """Bytes that a model may take; None where it is not known."""

    @abstractmethod
    def clock_mhz(self) -> float | None:
        """Its clock rate now; None where it is not known."""

    @abstractmethod
    def peak(self, dtype: torch.dtype) -> Peak | None:
        """None for a device whose peak is not known."""

    @abstractmethod
    def identity(self) -> dict[str, object]:
        """Name, versions and state, as far as they are known."""


class Host(TimedDevice):
    """The CPU."""

    comparable = False
    torch_device = torch.device("cpu")

    def synchronise(self) -> None:
        pass

    def stamp(self) -> float:
        return time.perf_counter()

    def between(self, first: float, second: float) -> float:
        return 1000 * (second - first)

    def free_memory(self) -> int | None:
        return available_memory()

    def clock_mhz(self) -> float | None:
        try:
            lines = Path("/proc/cpuinfo").read_text().splitlines()
        except OSError:
            return None
        clocks = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
        return max(clocks) if clocks else None

    def peak(self, dtype: torch.dtype) -> Peak:
        """The best rate of a large matrix product, now, with as many threads as the model has."""
        size = 1024
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        times = []
        for _ in range(8):
            began = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - began)
        return Peak(2 * size**3 / min(times), None, f"best of 8 products of {size} x {size} matrices")

    def identity(self) -> dict[str, object]:
        return {
            "device": cpu_name(),
            "cores": cpu_count(),
            "threads": torch.get_num_threads(),
            "clock_mhz": self.clock_mhz(),
            "load": list(os.getloadavg()),
            "packages": versions(PACKAGES),
        }


class Cuda(TimedDevice):
    """A GPU, which is this process's from here on."""

    comparable = True

    FIELDS = (
        "name,driver_version,uuid,memory.total,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw,power.limit,"
        "clocks_throttle_reasons.active,mig.mode.current,ecc.mode.current,utilization.gpu"
    )

    def __init__(self, index: int = 0):
        self.torch_device = torch.device("cuda", index)
        torch.cuda.set_device(self.torch_device)

    def synchronise(self) -> None:
        torch.cuda.synchronize()

    def stamp(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, first: torch.cuda.Event, second: torch.cuda.Event) -> float:
        second.synchronize()
        return first.elapsed_time(second)

    def free_memory(self) -> int:
        return torch.cuda.mem_get_info()[0]

    def clock_mhz(self) -> float | None:
        try:
            return float(self._nvidia_smi()["clocks.sm"].split()[0])
        except (KeyError, ValueError, IndexError):
            return None

    def peak(self, dtype: torch.dtype) -> Peak | None:
        if dtype not in (torch.bfloat16, torch.float16):
            return None
        name = torch.cuda.get_device_name()
        for part, flops, bandwidth in GPUS:
            if part in name:
                return Peak(flops, bandwidth, f"{part}: dense 16-bit products and memory bandwidth as published")
        return None

    def identity(self) -> dict[str, object]:
        properties = torch.cuda.get_device_properties(self.torch_device)
        return {
            "device": properties.name,
            "multiprocessors": properties.multi_processor_count,
            "memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "tf32": torch.backends.cuda.matmul.allow_tf32,
            "smi": self._nvidia_smi(),
            "host": {"cpu": cpu_name(), "cores": cpu_count(), "load": list(os.getloadavg())},
            "packages": versions(PACKAGES),
        }

    def _nvidia_smi(self) -> dict[str, str]:
        """Output of nvidia-smi for this process's GPU; empty where it is missing or fails."""
        if shutil.which("nvidia-smi") is None:
            return {}
        index, visible = self.torch_device.index, os.environ.get("CUDA_VISIBLE_DEVICES")
        command = [
            "nvidia-smi",
            "-i",
            visible.split(",")[index] if visible else str(index),
            f"--query-gpu={self.FIELDS}",
            "--format=csv,noheader",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        if done.returncode != 0 or not done.stdout.strip():
            return {}
        return dict(zip(self.FIELDS.split(","), (cell.strip() for cell in done.stdout.splitlines()[0].split(",")), strict=False))


def device(name: str) -> TimedDevice:
    """The device called "auto", "cpu", "cuda" or "cuda:1".  Raises ModelError."""
    from vla_bench.checkpoints.choices import choose_device

    place, _ = choose_device(name)
    return Cuda(place.index or 0) if place.type == "cuda" else Host()


def clock_moved(before: float | None, after: float | None) -> bool:
    """Whether a clock ran more than 5 % faster or slower at the end than at the beginning."""
    return before is not None and after is not None and abs(after - before) > CLOCK_MOVED * before
