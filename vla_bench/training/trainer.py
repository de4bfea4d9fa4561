"""The training loop: one process, or several that share every batch (torchrun)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, nn

from vla_bench.errors import ModelError
from vla_bench.model.vla import VLA
from vla_bench.signals import on_ending
from vla_bench.training.frozen import freeze
from vla_bench.training.log import Log
from vla_bench.training.optimiser import Optimisers
from vla_bench.training.recipe import Recipe
from vla_bench.training.samples import Batch, SampleLoader
from vla_bench.training.state import carry_over, load_state, save_state
from vla_bench.training.step import Loss


@dataclass(frozen=True)
class Processes:
    """This process's rank, and the number of processes that train together."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> tuple[Processes, torch.device]:
        """The processes that torchrun started, each with its own GPU; without torchrun, this one alone."""
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            return cls(), device
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        # The others wait while the first prepares the images, which may take long.
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=12))
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size()), device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any process, so that all leave the loop at the same step."""
        if self.count == 1:
            return flag
        flags = torch.tensor([float(flag)], device=device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
        return bool(flags.item())

    def mean(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each of the values (scalars on one device, the same names in all processes) as the mean over the processes."""
        if self.count == 1:
            return values
        stacked = torch.stack(list(values.values())).float()
        torch.distributed.all_reduce(stacked)
        return dict(zip(values, stacked / self.count, strict=True))

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process runs the block while the others wait; they run it afterwards, when its work is cached."""
        if self.count > 1 and not self.first:
            torch.distributed.barrier()
        yield
        if self.count > 1 and self.first:
            torch.distributed.barrier()


class Trainer:
    """Trains `model` on `samples` by `recipe`, from the state in `folder` where there is one.

    save_every: steps between two saved states, and so the most that a kill loses.
    origin: see `save_state`.
    on_step: called with step, number of steps and logged values.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: VLA,
        samples: SampleLoader,
        folder: Path,
        *,
        processes: Processes = Processes(),  # noqa: B008  frozen
        save_every: int = 500,
        origin: dict[str, str] | None = None,
        on_step: Callable[[int, int, dict[str, float]], None] = lambda *_: None,
    ):
        self.at_once = recipe.at_once(processes.count)
        self.recipe = recipe
        self.samples = samples
        self.folder = folder
        self.processes = processes
        self.save_every = save_every
        self.origin = origin or {}
        self.on_step = on_step
        self.stopping = False
        self.device = next(model.parameters()).device
        freeze(model, recipe.frozen)
        self.loss = Loss(model, recipe.auxiliary).to(self.device)
        self.optimisers = Optimisers(recipe, self.loss)
        self.step = load_state(folder, recipe, self.origin, self.loss, self.optimisers)
        if not self.step:
            carry_over(recipe, self.loss, self.optimisers)
        self._shared = self.loss
        if processes.count > 1:
            # A step that keeps every token once gives the pruner's own weights no gradient.
            idle = bool(recipe.kept_once) and model.pruner is not None and any(True for _ in model.pruner.parameters())
            self._shared = nn.parallel.DistributedDataParallel(self.loss, find_unused_parameters=idle)

    def run(self) -> bool:
        """Train to the last step; False when a Ctrl-C or SIGTERM ended it early, with everything saved."""
        self.loss.train()
        log = Log(self.folder / "log.csv", self.step) if self.processes.first else None
        with on_ending(self._stop), ThreadPoolExecutor(1) as reader:
            prefetched = reader.submit(self._read, self.step)
            while self.step < self.recipe.steps and not self.processes.any(self.stopping, self.device):
                batch, prefetched = prefetched.result(), reader.submit(self._read, self.step + 1)
                started = time.perf_counter()
                with self._memory():
                    values = self._one_step(batch)
                values["samples_per_s"] = self.recipe.batch / (time.perf_counter() - started)
                self.step += 1
                if self.processes.first:
                    log.write(self.step, values)
                    self.on_step(self.step, self.recipe.steps, values)
                    if self.step % self.save_every == 0:
                        self.save()
            if self.processes.first:
                self.save()
        return self.step == self.recipe.steps

    def save(self) -> None:
        save_state(self.folder, self.recipe, self.origin, self.step, self.loss, self.optimisers)

    def _read(self, step: int) -> list[Batch]:
        """This process's micro-batches of a step."""
        ranks = self.processes.count * self.recipe.accumulate
        first = self.processes.rank * self.recipe.accumulate
        return [self.samples.batch(step, self.recipe.batch, first + i, ranks) for i in range(self.recipe.accumulate)]

    def _one_step(self, batches: list[Batch]) -> dict[str, float]:
        recipe = self.recipe
        factor = recipe.rate_schedule.factor(self.step, recipe.steps)
        pruner = self.loss.model.pruner
        if pruner is not None:
            pruner.noise_scale = recipe.noise_schedule.scale(self.step, recipe.steps)
            pruner.once = recipe.prunes_as_evaluated(self.step)
        total: dict[str, Tensor] = {}
        for i, batch in enumerate(batches):
            last = i + 1 == len(batches)
            with nullcontext() if last or self.processes.count == 1 else self._shared.no_sync(), recipe.precision.on(self.device):
                loss, logged = self._shared(batch.to(self.device))
                (loss / len(batches)).backward()
            for name, value in {"loss": loss.detach(), **logged}.items():
                total[name] = total.get(name, 0) + value / len(batches)
        total = self.processes.mean(total)
        if recipe.clip is not None:
            total["gradient"] = nn.utils.clip_grad_norm_(self.optimisers.parameters, recipe.clip)
        self.optimisers.step(factor)
        values = {name: value.item() for name, value in total.items()}
        if not all(map(_finite, values.values())):
            raise ModelError(f"the training diverged at step {self.step}: {values}", "vla-bench train --learning-rate 1e-4 ...")
        return values | {"rate": recipe.learning_rate * factor}

    @contextmanager
    def _memory(self) -> Iterator[None]:
        """Raises ModelError where the block runs out of device memory."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            parts = next((n for n in range(2, self.at_once + 1) if self.at_once % n == 0), None)
            fewer = f"--accumulate {self.recipe.accumulate * parts}" if parts else "--device cpu"
            what = f"{self.device} has no memory left for micro-batches of {self.at_once}"
            raise ModelError(what, f"vla-bench train {fewer} ...") from error

    def _stop(self) -> None:
        """End after the step in flight."""
        self.stopping = True


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")
