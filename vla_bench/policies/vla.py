"""A vision-language-action model as a policy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from vla_bench.environment import versions
from vla_bench.errors import ModelError
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.model.action_tokens import decode
from vla_bench.model.processor import Processor
from vla_bench.model.query_costs import query_gflops
from vla_bench.model.stages import Stages
from vla_bench.model.vla import VLA, Inputs, Output
from vla_bench.policies.base import Chunk, Policy
from vla_bench.policies.threads import is_small
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut
from vla_bench.values import Decoding
from vla_bench.world.observation import Observation, Sight

COSTS = 4096  # cases whose GFLOP are cached


class VLAPolicy(Policy):
    """Acts with the model: a chunk at once, or with the decoding AR one step of action tokens.

    open_loop_steps: how many steps of a chunk are answered; None for all of them.
    identity, card, revision: see `Policy`.
    """

    sight = Sight.IMAGES

    def __init__(
        self,
        name: str,
        model: VLA,
        processor: Processor,
        *,
        decoding: Decoding = Decoding.L1,
        open_loop_steps: int | None = None,
        identity: dict[str, object] | None = None,
        card: tuple[tuple[str, str], ...] = (),
        revision: str | None = None,
    ):
        self.name = name
        self.model = model.eval()
        self.processor = processor
        self.decoding = decoding
        self.open_loop_steps = open_loop_steps or (1 if decoding is Decoding.AR else model.config.chunk)
        self.card = card
        self.revision = revision
        self._costs: dict[tuple[Pruner | None, Case], float] = {}
        self.visual_tokens = model.config.visual_tokens
        self.image_size = model.config.camera_size
        self.identity = {
            **(identity or {}),
            "pruner": model.pruner.label if model.pruner else "none",
            "camera_size": self.image_size,
            "cameras": model.config.cameras,
            "center_crop": model.config.center_crop,
            "proprio_dim": model.config.proprio_dim,
            "decoding": decoding.value,
            "chunk": 1 if decoding is Decoding.AR else model.config.chunk,
            "open_loop_steps": self.open_loop_steps,
            "action_slice": model.action_slice.value,
            "dtype": str(self._weight.dtype).removeprefix("torch."),
            "device": self._weight.device.type,
            "packages": versions(("torch", "transformers")),
        }

    @property
    def _weight(self) -> torch.Tensor:
        return self.model.openvla.projector.fc1.weight

    def _gflops(self, prompt: int, cuts: tuple[Cut, ...]) -> float:
        """GFLOP of a pass with these cuts, cached, since many queries have the same."""
        case = Case(self.model.config, prompt, cuts, self.decoding is Decoding.AR)
        key = (self.model.pruner, case)
        if key not in self._costs:
            if len(self._costs) == COSTS:
                self._costs.clear()
            self._costs[key] = query_gflops(self.model.pruner, case)
        return self._costs[key]

    def use(self, pruner: Pruner | None) -> None:
        """Prune with `pruner`, which was attached to the model before, from the next query on; it keeps its state."""
        self.model.pruner = pruner

    @property
    def remembers(self) -> bool:
        return self.model.pruner is not None and self.model.pruner.remembers

    @property
    def reads_path(self) -> bool:
        return self.model.pruner is not None and Need.PATH in self.model.pruner.needs

    @property
    def leaves_cores(self) -> bool:
        return self._weight.device.type == "cpu" and is_small(sum(each.numel() for each in self.model.parameters()))

    def reset(self, episode: EpisodeKey) -> None:
        self.model.reset(episode)

    def end(self, episode: EpisodeKey, success: bool | None) -> None:
        self.model.reset(episode)

    def act(self, observations: Sequence[Observation]) -> list[Chunk]:
        pruner = self.model.pruner
        if pruner is None:
            return self._query_model(observations)
        chunks = [self._cached_action(observation) for observation in observations]
        left = [i for i, chunk in enumerate(chunks) if chunk is None]
        batches = [[i] for i in left] if Need.PAST in pruner.needs else [left] if left else []
        for batch in batches:
            for i, chunk in zip(batch, self._query_model([observations[i] for i in batch]), strict=True):
                chunks[i] = chunk
        for observation, chunk in zip(observations, chunks, strict=True):
            pruner.observe(self.processor.query(observation), chunk.actions)
        return chunks

    def _cached_action(self, observation: Observation) -> Chunk | None:
        """The pruner's cached action, for which the forward pass is skipped; None where there is none."""
        started = time.perf_counter()
        actions = self.model.pruner.cached_action(self.processor.query(observation))
        if actions is None:
            return None
        lap = 1000 * (time.perf_counter() - started)
        prompt = len(self.processor.prompt(observation.instruction))
        actions = actions[: self.open_loop_steps]
        return Chunk(actions, (0,) * self.model.config.cameras, {"prune": lap}, prompt, gflops=0.0)

    @torch.inference_mode()
    def _query_model(self, observations: Sequence[Observation]) -> list[Chunk]:
        """One batch through the model."""
        started = time.perf_counter()
        inputs = self._to_device(self.processor(observations))
        preprocess = 1000 * (time.perf_counter() - started)
        stages = Stages(self._weight.device)
        actions, output = self._forward(inputs, stages)
        if not torch.isfinite(actions).all():
            raise ModelError(f"{self.name} returned actions that are not finite", "vla-bench verify")
        laps = {"preprocess": preprocess, **stages.milliseconds()}
        share = {stage: lap / len(observations) for stage, lap in laps.items()}
        chunks = []
        for i, trace in enumerate(output.trace.read()):
            steps, prompt = actions[i, : self.open_loop_steps], len(inputs.prompts[i])
            robot = self.processor.robot_actions(steps, observations[i])
            kept = trace.per_camera(self.model.config.cameras, self.model.config.patches)
            gflops = self._gflops(prompt, trace.cuts)
            chunks.append(Chunk(robot, kept, share, prompt_tokens=prompt, gflops=gflops, trace=trace))
        return chunks

    def _to_device(self, inputs: Inputs) -> Inputs:
        """The inputs on the model's device, in its dtype."""
        device, dtype = self._weight.device, self._weight.dtype
        proprio = None if inputs.proprio is None else inputs.proprio.to(device, dtype)
        return replace(inputs, pixel_values=inputs.pixel_values.to(device, dtype), proprio=proprio)

    def _forward(self, inputs: Inputs, stages: Stages) -> tuple[torch.Tensor, Output]:
        """Normalised actions (B, T, 7), and the model's output."""
        if self.decoding is not Decoding.AR:
            output = self.model(inputs, stages)
            return output.actions, output
        ids, output = self.model.decode(inputs, stages)
        tokens = self.model.config.tokens
        steps = decode(ids.cpu().numpy(), tokens.actions_end, tokens.action_bins)
        return torch.from_numpy(steps).unsqueeze(1), output
