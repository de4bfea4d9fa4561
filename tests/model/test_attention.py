"""Attention rows on request, and autoregressive decoding, each against a second way to the same numbers."""

import time
from dataclasses import replace

import pytest
import torch
from transformers import DynamicCache, LlamaForCausalLM

from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.presets import NANO
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, before_layer
from vla_bench.interface.view import View
from vla_bench.model.decoder import DecodingCache, llama_config
from vla_bench.model.initialise import random_vla
from vla_bench.model.sequence import Tokens
from vla_bench.model.stages import Stages
from vla_bench.pruners.lightvla import LightVLA

from ..nanos import AtVision, ByAttention, inputs, kept, one_thread, sample

LLM = NANO.llm
DIGITS = NANO.action_dim


@pytest.fixture(scope="module")
def nano():
    with one_thread():
        yield random_vla(NANO, seed=0).eval()


@pytest.fixture
def model(nano):
    """Without a pruner; one that a test gives it goes with the test."""
    yield nano
    nano.pruner = None


# --- attention rows


class Watch(Pruner):
    """Thins what enters the LLM unevenly, and reads the rows of two layers."""

    name = "watch"
    sites = (LLM_INPUT, before_layer(4))
    rows = (Rows(0, Span.PROMPT), Rows(3, Span.SLOTS), Rows(3, Span.PROMPT))

    def select(self, view: View) -> Selection | None:
        if view.site == LLM_INPUT:
            return Selection(
                torch.stack([(ids % (2 + q.step) == 0) for ids, q in zip(view.patches.ids, view.queries, strict=True)])
            )
        self.seen = dict(view.rows)
        return None


def rotate(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """RoPE in float64: pairs (i, i + d/2) of x (heads, N, d) turned by position / theta^(2i/d)."""
    half = x.shape[-1] // 2
    angle = positions.double()[:, None] / LLM.rope_theta ** (torch.arange(half).double() / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


def all_weights(layer, hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Softmax over all keys of all queries, in float64: hidden (N, D) entering `layer` -> (heads, N, N)."""
    x = hidden.double()
    x = x / (x.pow(2).mean(dim=-1, keepdim=True) + LLM.rms_eps).sqrt() * layer.input_layernorm.weight.double()
    q, k = (
        rotate((x @ projection.weight.double().T).view(len(x), LLM.heads, -1).transpose(0, 1), positions)
        for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj)
    )
    return (q @ k.mT / (LLM.width // LLM.heads) ** 0.5).softmax(dim=-1)


@torch.no_grad()
def test_attention_rows_are_those_of_the_whole_softmax(model):
    model.pruner = Watch().eval()
    batch, entering = inputs(4), {}
    layers = model.openvla.language_model.model.layers
    hooks = [
        layers[index].register_forward_pre_hook(lambda _, args, index=index: entering.update({index: args[0]}))
        for index in (0, 3)
    ]
    tokens = model(batch).tokens
    for hook in hooks:
        hook.remove()
    for request, recorded in model.pruner.seen.items():
        assert recorded.weights.shape[1] == LLM.heads
        for i in range(4):
            valid = tokens.valid[i]
            whole = all_weights(layers[request.layer], entering[request.layer][i][valid], tokens.positions[i][valid])
            n, length = len(batch.prompts[i]), int(valid.sum())
            first = {Span.PROMPT: length - 1 - 56 - n, Span.SLOTS: length - 1 - 56}[request.span]
            rows = range(first, first + (n if request.span is Span.PROMPT else 56))
            expected = whole[:, rows]
            mine = recorded.weights[i, :, : len(rows)]
            assert (mine[..., valid].double() - expected).abs().max() < 1e-6
            assert mine[..., ~valid].sum() == 0 and expected.max() > 3 * expected.mean()
            if recorded.valid is not None:
                assert recorded.valid[i].tolist() == [row < len(rows) for row in range(recorded.weights.shape[2])]
            assert (recorded.mean()[i][valid].double() - expected.mean(dim=(0, 1))).abs().max() < 1e-6
    assert len(model.pruner.seen) == 3 and model.pruner.seen[Rows(0, Span.PROMPT)].valid is not None


@torch.no_grad()
def test_asking_for_rows_changes_no_answer(model):
    batch = inputs(3)
    dense = model(batch).actions

    class Ask(ByAttention):
        def select(self, view):
            assert view.rows.keys() == {Rows(0, Span.PROMPT)}

    model.pruner = Ask().eval()
    assert torch.equal(model(batch).actions, dense)


def test_what_a_pruner_does_between_layers_is_its_own_time():
    class Slow(ByAttention):
        def select(self, view):
            time.sleep(0.05)
            return super().select(view)

        def after_pass(self, queries, rows):
            time.sleep(0.05)

    stages = Stages()
    with torch.no_grad():
        random_vla(NANO, 0, Slow()).eval()(inputs(1), stages)
    laps = stages.milliseconds()
    assert laps["prune"] >= 100 and set(laps) == {"vision", "prune", "decoder", "head"}


def test_reading_attention_is_the_pruners_time(monkeypatch):
    reads = []
    monkeypatch.setattr(Stages, "mark", lambda self, stage: reads.append(stage))
    with torch.no_grad():
        random_vla(NANO, 0, ByAttention()).eval()(inputs(1))
    between = reads[reads.index("decoder") + 2 : -2]  # behind the LLM's input
    assert between == ["decoder", "prune"] * 3  # the rows of layer 0, the choice before layer 1, and what comes after


# --- decoding one token at a time


def embeddings(model, one, ids=None) -> tuple[torch.Tensor, torch.Tensor]:
    """What the decoder reads of one query, (1, N, D), and positions (1, N); `ids` are the patches that stay."""
    openvla = model.openvla
    patches = openvla.projector(openvla.vision_backbone(one.pixel_values))
    ids = torch.arange(NANO.visual_tokens) if ids is None else torch.tensor(ids)
    text = openvla.language_model.embed(torch.tensor([[NANO.tokens.bos, *one.prompts[0]]]))
    sequence = torch.cat([text[:, :1], patches[:, ids], model.proprio_projector(one.proprio), text[:, 1:]], dim=1)
    after = 1 + NANO.visual_tokens + torch.arange(len(one.prompts[0]) + 1)
    return sequence, torch.cat([torch.zeros(1, dtype=torch.long), 1 + ids, after]).unsqueeze(0)


def llama(model, attention: str) -> LlamaForCausalLM:
    """transformers' own model with the same weights."""
    other = LlamaForCausalLM(llama_config(NANO)).eval()
    other.set_attn_implementation(attention)
    other.load_state_dict(model.openvla.language_model.state_dict())
    return other


def recompute(other: LlamaForCausalLM, sequence: torch.Tensor, positions: torch.Tensor) -> list[int]:
    """Greedy decoding without a cache; the mask is given whole, since transformers takes gaps in positions for borders."""
    found = []
    for _ in range(DIGITS):
        n = sequence.shape[1]
        mask = torch.full((n, n), -torch.inf).triu(1)[None, None]
        logits = other(inputs_embeds=sequence, position_ids=positions, attention_mask=mask, use_cache=False).logits[0, -1]
        best, second = logits.topk(2).values
        assert best - second > 1e-4  # a tie would show nothing
        found.append(int(logits.argmax()))
        sequence = torch.cat([sequence, other.model.embed_tokens.weight[found[-1]][None, None]], dim=1)
        positions = torch.cat([positions, positions[:, -1:] + 1], dim=1)
    return found


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_decoding_equals_transformers_own(model, attention):
    other, batch = llama(model, attention), inputs(4)
    answers = set()
    for i in range(4):
        one = sample(batch, i)
        sequence, _ = embeddings(model, one)
        expected = other.generate(inputs_embeds=sequence, max_new_tokens=DIGITS, do_sample=False, eos_token_id=None)
        ids, output = model.decode(one)
        assert ids.tolist() == expected.tolist() and output.actions.numel() == 0
        answers.add(tuple(ids[0].tolist()))
    assert len(answers) == 4 and max(len(set(a)) for a in answers) > 3


@torch.no_grad()
@pytest.mark.parametrize("pruner", [None, LightVLA, AtVision], ids=["dense", "LLM input", "vision output"])
def test_decoding_equals_recomputing_the_sequence_at_every_step(model, pruner):
    model.pruner = pruner().eval() if pruner else None
    other, batch = llama(model, "eager"), inputs(4)
    compacted = []
    for i in range(4):
        one = sample(batch, i)
        ids, output = model.decode(one)
        stay = kept(output, 0)[0] if pruner else None
        sequence, positions = embeddings(model, one, stay)
        assert torch.equal(output.tokens.positions, positions)
        assert ids[0].tolist() == recompute(other, sequence, positions)
        compacted.append(recompute(other, sequence, torch.arange(sequence.shape[1]).unsqueeze(0)) == ids[0].tolist())
    assert all(compacted) is (pruner is None)  # moving the tokens together would have shown


@torch.no_grad()
@pytest.mark.parametrize("pruner", [None, ByAttention], ids=["dense", "before layer 1"])
def test_the_cache_equals_our_own_decoder_without_one(model, pruner):
    """Each step anew over all tokens so far.  A pruner between layers must drop the same tokens each time."""
    model.pruner = pruner().eval() if pruner else None
    decoder, batch = model.openvla.language_model, inputs(4)
    for i in range(4):
        one = sample(batch, i)
        ids, output = model.decode(one)
        stay = torch.tensor(kept(output, 0)[0]) if pruner else torch.arange(NANO.visual_tokens)

        def prune(layer, tokens, stay=stay):
            return tokens if layer != 1 else drop(tokens, stay)

        sequence, positions = embeddings(model, one)
        found = []
        for _ in range(DIGITS):
            tokens = Tokens(sequence, positions, None, torch.arange(NANO.visual_tokens)[None], output.tokens.layout)
            hidden = decoder(tokens, prune, memory=DecodingCache(DynamicCache(), [])).hidden
            found.append(int(decoder.lm_head(hidden[0, -1]).argmax()))
            sequence = torch.cat([sequence, decoder.embed(torch.tensor([found[-1:]]))], dim=1)
            positions = torch.cat([positions, positions[:, -1:] + 1], dim=1)
        assert ids[0].tolist() == found


def drop(tokens: Tokens, stay: torch.Tensor) -> Tokens:
    patches = tokens.patches
    return tokens.with_patches(replace(patches, hidden=patches.hidden[:, stay], ids=patches.ids[:, stay]))


@torch.no_grad()
@pytest.mark.parametrize("pruner", [None, LightVLA, AtVision, ByAttention])
def test_decoding_a_batch_equals_its_samples(model, pruner):
    model.pruner = pruner().eval() if pruner else None
    batch = inputs(8)
    together, output = model.decode(batch)
    counts = set()
    for i in range(8):
        alone, single = model.decode(sample(batch, i))
        assert together[i].tolist() == alone[0].tolist()
        assert kept(output, i) == kept(single, 0) and output.kept_per_camera()[i] == single.kept_per_camera()[0]
        counts.add(sum(single.kept_per_camera()[0]))
    assert len(counts) > 4 or pruner is None
