"""The vision-language-action model: OpenVLA-OFT, and with a pruner LightVLA.

pixels -> DINOv2 + SigLIP -> [prune] -> projector -> BOS . patches . proprio . prompt . 56 empty slots . stop
       -> [prune] -> Llama with full attention, [prune] before any layer -> hidden states of the slots -> L1 head

Without an L1 head the slots are action tokens, read from their logits; `decode` reads them one after another.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from vla_bench.errors import ModelError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.pruner import Pruner, attach
from vla_bench.interface.trace import PassTrace
from vla_bench.interface.view import Patches, Query
from vla_bench.model.decoder import Decoder, DecodingCache
from vla_bench.model.heads import ActionHead, Projector, ProprioProjector, token_actions
from vla_bench.model.past import KVCache
from vla_bench.model.pruning import PruningPass
from vla_bench.model.sequence import Tokens, assemble, narrow
from vla_bench.model.shortcuts import Shortcuts
from vla_bench.model.stages import Stages
from vla_bench.model.vision import VisionBackbone
from vla_bench.records import EpisodeKey


@dataclass(frozen=True)
class Inputs:
    """A batch of queries, as the processor makes them.

    pixel_values: (B, 6 * cameras, S, S).
    prompts: token ids behind BOS, one tuple per sample, of any lengths.
    proprio: (B, 8) normalised robot state; None for a model without it.
    queries: where each sample comes from, for pruners with memory; may be left out.
    """

    pixel_values: Tensor
    prompts: tuple[tuple[int, ...], ...]
    proprio: Tensor | None = None
    queries: tuple[Query, ...] = ()


@dataclass(frozen=True)
class Output:
    """What a forward pass returns.

    actions: (B, chunk, 7) normalised, unbounded.
    slots: (B, 56, D) the hidden states that the head reads.
    tokens: the sequence behind the final norm.
    trace: the image tokens that went on behind each site.
    """

    actions: Tensor
    slots: Tensor
    tokens: Tokens
    trace: PassTrace

    def kept_per_camera(self) -> list[tuple[int, ...]]:
        """Image tokens of each camera that reached the end, per sample."""
        layout = self.trace.layout
        return [query.per_camera(layout.cameras, layout.patches) for query in self.trace.read()]


class OpenVLA(nn.Module):
    """The part that the public `model-*.safetensors` hold, and that LoRA adapts: 982 tensors at 7B."""

    def __init__(self, config: VLAConfig):
        super().__init__()
        self.vision_backbone = VisionBackbone(config)
        self.projector = Projector(config)
        self.language_model = Decoder(config)


class VLA(nn.Module):
    """OpenVLA-OFT; with a pruner, LightVLA or any other method.

    lean: leave out what cannot change the actions, which the reference computes: the last block of both ViTs and the
    decoder's logits.
    """

    def __init__(
        self,
        config: VLAConfig,
        pruner: Pruner | None = None,
        action_slice: ActionSlice = ActionSlice.ALIGNED,
        lean: bool = True,
    ):
        super().__init__()
        self.config = config
        self.openvla = OpenVLA(config)
        self.proprio_projector = ProprioProjector(config) if config.proprio_dim else None
        self.action_head = ActionHead(config) if config.l1_head else None
        self.pruner = None
        self._caches: dict[str, dict[EpisodeKey, KVCache]] = {}  # by pruner
        self.action_slice = action_slice
        self.lean = lean
        self.attach(pruner)

    def attach(self, pruner: Pruner | None) -> None:
        """Prune with `pruner` from now on.  Raises ModelError or UsageError where it cannot work with this model."""
        if pruner is not None:
            attach(pruner, self.config)
        self.pruner = pruner
        self._caches.clear()

    def forward(self, inputs: Inputs, stages: Stages | None = None, shortcuts: Shortcuts | None = None) -> Output:
        """One query per sample -> a chunk of actions each.  Raises ModelError for inputs that do not fit the model.

        shortcuts: see fast.py, which makes them.
        """
        stages, shortcuts = stages or Stages(inputs.pixel_values.device), shortcuts or Shortcuts()
        run = self._pruning(self.layout(inputs, self.config.slots), inputs, stages)
        tokens = self._input(inputs, run, stages, shortcuts.together)
        read = self.read if shortcuts.rows else None
        tokens = self.openvla.language_model(tokens, run.before, run.probe, None, run.past, shortcuts.layers, read)
        run.finish()
        logits = None if self.lean else self.openvla.language_model.lm_head(tokens.hidden)
        stages.mark("decoder")
        slots = tokens.hidden if shortcuts.rows else narrow(tokens.hidden, self.read(tokens))
        actions = self.answer(slots, None if logits is None else narrow(logits, self.read(tokens)))
        stages.mark("head")
        return Output(actions, slots, tokens, run.trace)

    def answer(self, slots: Tensor, logits: Tensor | None = None) -> Tensor:
        """Hidden states of the action slots (B, 56, D) -> normalised actions (B, chunk, 7): by the L1 head, else as tokens.

        logits: of the slots, where they are known already.
        """
        if self.action_head is not None:
            return self.action_head(slots)
        return token_actions(self.openvla.language_model.lm_head(slots) if logits is None else logits, self.config)

    @torch.no_grad()
    def decode(self, inputs: Inputs, stages: Stages | None = None) -> tuple[Tensor, Output]:
        """OpenVLA's own decoding: one greedy token per action dimension, causal, with a cache.

        Returns the token ids (B, 7) and an Output whose actions and slots are empty.
        """
        stages = stages or Stages(inputs.pixel_values.device)
        decoder, layout = self.openvla.language_model, self.layout(inputs, 0)
        run = self._pruning(layout, inputs, stages)
        memory = DecodingCache(DynamicCache(), [])
        tokens = decoder(self._input(inputs, run, stages), run.before, run.probe, memory, run.past)
        run.finish()
        last = torch.tensor([span[-1] for span in layout.columns(Span.PROMPT, tokens.visual)], device=tokens.hidden.device)
        hidden = tokens.hidden[torch.arange(len(last), device=last.device), last].unsqueeze(1)
        next_position = tokens.positions.gather(1, last.unsqueeze(1)) + 1
        action_ids = []
        for number in range(self.config.action_dim):
            action_ids.append(decoder.lm_head(hidden).argmax(dim=-1))
            if number + 1 < self.config.action_dim:
                hidden = decoder.step(decoder.embed(action_ids[-1]), next_position + number, memory)
        stages.mark("decoder")
        empty = tokens.hidden.new_zeros(len(last), 0)
        return torch.cat(action_ids, dim=1), Output(empty, empty, tokens, run.trace)

    def reset(self, episode: EpisodeKey) -> None:
        """A new episode begins: forget everything about an earlier attempt at it."""
        if self.pruner is not None:
            self._caches.get(self.pruner.label, {}).pop(episode, None)
            self.pruner.reset(episode)

    def _pruning(self, layout: Layout, inputs: Inputs, stages: Stages) -> PruningPass:
        first_layer = self.openvla.language_model.first_queries_and_keys
        caches = self._caches.setdefault(self.pruner.label, {}) if self.pruner else {}
        return PruningPass(self.pruner, layout, inputs.queries, first_layer=first_layer, caches=caches, stages=stages)

    def layout(self, inputs: Inputs, slots: int) -> Layout:
        """The layout of the sequences.  Raises ModelError for inputs that do not fit the model."""
        config = self.config
        channels = inputs.pixel_values.shape[1]
        if channels != 6 * config.cameras:
            raise ModelError(
                f"{channels} pixel channels are {channels / 6:g} cameras; this model has {config.cameras}", "vla-bench models"
            )
        if (inputs.proprio is None) != (self.proprio_projector is None):
            has, given = (("a", "none"), ("no", "one"))[self.proprio_projector is None]
            raise ModelError(f"this model has {has} proprio token, and {given} was given")
        return Layout(config.cameras, config.patches, 1 if config.proprio_dim else 0, tuple(map(len, inputs.prompts)), slots)

    def encode_images(self, pixel_values: Tensor, attention: bool, together: bool = True) -> tuple[Tensor, Tensor | None]:
        """Features of both ViTs (B, P, vision), and with `attention` what each image token receives in SigLIP (B, P)."""
        vision = self.openvla.vision_backbone
        if attention:
            return vision.with_attention(pixel_values, together)
        return vision(pixel_values, self.lean, together), None

    def _input(self, inputs: Inputs, run: PruningPass, stages: Stages, together: bool = True) -> Tokens:
        """Everything before the first decoder layer: (B, N, D)."""
        openvla, layout = self.openvla, run.layout
        features, siglip_attention = self.encode_images(inputs.pixel_values, run.wants_attention, together)
        ids = torch.arange(layout.visual, device=features.device).expand(len(features), -1)
        stages.mark("vision")
        patches = run.at_vision(Patches(features, ids), siglip_attention)
        stages.mark("prune")
        patches = Patches(openvla.projector(patches.hidden), patches.ids, patches.valid)
        stages.mark("vision")
        tokens = self.join(patches, *self.text(inputs.prompts, layout.slots, features.device), inputs.proprio, layout)
        stages.mark("decoder")
        tokens = run.at_input(tokens)
        stages.mark("prune")
        return tokens

    def text(self, prompts: tuple[tuple[int, ...], ...], slots: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Token ids of BOS, prompt, slots and stop, padded: (B, L); and which of them have zero vectors instead, (B, L) bool."""
        special = self.config.tokens
        stop = [special.stop] if slots else []
        longest = max(map(len, prompts)) + slots + len(stop)
        rows, empty = [], []
        for prompt in prompts:
            row = [*prompt, *[special.pad] * slots, *stop]
            rows.append([special.bos, *row, *[special.pad] * (longest - len(row))])
            empty.append([0] * (1 + len(prompt)) + [1] * slots + [0] * (longest - len(prompt) - slots))
        return torch.tensor(rows, device=device), torch.tensor(empty, dtype=torch.bool, device=device)

    def join(self, patches: Patches, ids: Tensor, empty: Tensor, proprio: Tensor | None, layout: Layout) -> Tokens:
        """The decoder's input from projected image tokens, `text`'s ids and mask, and the robot's state (B, 8)."""
        embeds = self.openvla.language_model.embed(ids).masked_fill(empty.unsqueeze(-1), 0.0)
        state = [] if proprio is None else [self.proprio_projector(proprio)]
        return assemble(embeds[:, :1], patches, torch.cat([*state, embeds[:, 1:]], dim=1), layout)

    def read(self, tokens: Tokens) -> slice | Tensor:
        """The columns whose hidden states the action head reads: one slice of 56, or (B, 56) where samples differ."""
        slots = self.config.slots
        first = [span.start + self.action_slice.first for span in tokens.layout.columns(Span.SLOTS, tokens.visual)]
        if len(set(first)) == 1:
            return slice(first[0], first[0] + slots)
        device = tokens.hidden.device
        return torch.tensor(first, device=device).unsqueeze(1) + torch.arange(slots, device=device)
