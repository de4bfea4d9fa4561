"""LoRA adapters: merged, applied, and refused."""

from __future__ import annotations

import pytest
import torch

from vla_bench.errors import CheckpointError, ModelError

from ..made_checkpoints import PUBLIC, answer, assert_equal, change_tensors, load, make, public, query, write


@pytest.fixture
def folder(tmp_path):
    return public(tmp_path / "oft")


@pytest.fixture
def adapter(tmp_path):
    """A LoRA on every layer of the public-looking model, as peft writes it, and what the model answers with it."""
    peft = pytest.importorskip("peft")
    model = make(PUBLIC)
    torch.manual_seed(5)
    options = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    model.openvla = peft.get_peft_model(model.openvla, options)
    model.openvla.save_pretrained(tmp_path / "lora", save_embedding_layers=False)
    return tmp_path / "lora", answer(model.eval(), query(PUBLIC))


def test_adapter_merged_equals_applied(folder, adapter):
    lora, expected = adapter
    base = load(folder, dtype=torch.float32)
    merged, applied = (load(folder, dtype=torch.float32, adapter=lora, merge=merge) for merge in (True, False))
    inputs = query(PUBLIC)
    assert (answer(base.model, inputs) - expected).abs().max() > 1e-2
    assert (answer(merged.model, inputs) - expected).abs().max() < 1e-5
    assert (answer(applied.model, inputs) - expected).abs().max() < 1e-5
    assert merged.model.state_dict().keys() == base.model.state_dict().keys()
    assert merged.sha256 == applied.sha256 != base.sha256
    assert "rank 4, alpha 8, merged" in dict(merged.card)["adapter"]
    assert "not merged" in dict(applied.card)["adapter"]


def test_merged_can_be_saved_and_applied_cannot(folder, adapter, tmp_path):
    merged, applied = (load(folder, dtype=torch.float32, adapter=adapter[0], merge=merge).model for merge in (True, False))
    assert_equal(load(write(tmp_path / "merged", merged), dtype=torch.float32).model, merged)
    with pytest.raises(ModelError, match="unmerged adapter"):
        write(tmp_path / "applied", applied)


def test_adapter_in_bfloat16(folder, adapter):
    applied = load(folder, dtype=torch.bfloat16, adapter=adapter[0], merge=False).model
    assert {parameter.dtype for parameter in applied.parameters()} == {torch.bfloat16}
    assert all(p.dtype == torch.bfloat16 for p in load(folder, dtype=torch.bfloat16, adapter=adapter[0]).model.parameters())


def test_adapter_with_weights_of_its_base(folder, adapter):
    """peft saves the embeddings beside an adapted lm_head, where it finds them."""
    lora, expected = adapter
    head = make(PUBLIC).openvla.language_model.lm_head.weight.detach()
    name = "base_model.model.language_model.lm_head.base_layer.weight"
    change_tensors(lora / "adapter_model.safetensors", lambda t: t.update({name: head}))
    assert (answer(load(folder, dtype=torch.float32, adapter=lora).model, query(PUBLIC)) - expected).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_adapters_that_do_not_fit(folder, adapter, tmp_path):
    lora, _ = adapter
    weights = lora / "adapter_model.safetensors"

    def attempt(words):
        with pytest.raises(CheckpointError, match=words):
            load(folder, adapter=lora)

    content = weights.read_bytes()
    change_tensors(weights, lambda t: t.update({name.replace("projector", "connector"): t.pop(name) for name in list(t)}))
    attempt("connector")
    weights.write_bytes(content)
    change_tensors(weights, lambda t: t.pop(min(t)))
    attempt("1 missing")
    weights.write_bytes(content)
    change_tensors(weights, lambda t: t[min(t)].view(-1)[0].fill_(float("nan")))
    attempt("not finite")
    weights.write_bytes(content[:-4])
    attempt("is damaged")
    weights.unlink()
    attempt("has no adapter_model.safetensors")
    (lora / "adapter_config.json").write_text('{"peft_type": "IA3"}')
    attempt("IA3")
    with pytest.raises(CheckpointError, match="no adapter_config.json"):
        load(folder, adapter=tmp_path / "nowhere")
