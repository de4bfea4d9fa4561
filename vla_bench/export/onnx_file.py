"""`vla-bench export-onnx`: a whole query as one ONNX file, compared with PyTorch before it gets its name."""

from __future__ import annotations

import json
import logging
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_bench.errors import MeasureError, ModelError, UsageError
from vla_bench.export.graph import LONGEST, QueryGraph
from vla_bench.files import discard, sync, temporary_for
from vla_bench.model.vla import VLA, Inputs
from vla_bench.policies.checkpoints import make_vla_policy
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.resolve import ModelKind, resolve_model
from vla_bench.records import make_room
from vla_bench.suites import load_suites
from vla_bench.values import Decoding

OPSET = 18
LARGEST = 2**31  # bytes of a protobuf file
EQUAL = 1e-4  # largest difference of a normalised action: rounding of float32; what nano answers to real images is within 1e-5
LENGTHS = (1, 3, 7, 12, 20, 33)  # tokens of the prompts that the file is tried with
NAMES = ("pixel_values", "prompt", "proprio")


@dataclass(frozen=True)
class ExportRequest:
    """The options of `vla-bench export-onnx`.  pruner: None for the checkpoint's own."""

    model: str
    out: Path
    pruner: str | None = None
    suite: str = "all"


@dataclass(frozen=True)
class Exported:
    """difference: largest one of an action from PyTorch's, in `queries` of made-up images and prompts of unequal lengths.

    kept: image tokens kept in each.
    """

    file: str
    bytes: int
    model: str
    pruner: str
    opset: int
    difference: float
    queries: int
    kept: tuple[int, ...]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def export_onnx(request: ExportRequest) -> Exported:
    """Write the file.  Raises UsageError where it exists, where onnx is missing, and for what cannot be exported; MeasureError
    where ONNX Runtime answers otherwise than PyTorch, and then there is no file."""
    if os.path.lexists(request.out):
        another = request.out.with_name(f"{request.out.stem}-2{request.out.suffix}")
        raise UsageError(f"{request.out} exists, and is not overwritten", instead={"--out": str(another)})
    check_installed()
    model, about = _loaded(request)
    make_room(request.out)
    temporary = temporary_for(request.out)
    try:
        write(model, temporary, about)
        difference, kept = compare(model, temporary)
        if difference > EQUAL:
            raise MeasureError(f"ONNX Runtime's actions differ by {difference:.1e}: more than {EQUAL:g}", "vla-bench doctor")
        sync(temporary)
        os.link(temporary, request.out)  # unlike a rename it never replaces what came there meanwhile
    except FileExistsError as error:
        raise UsageError(f"{request.out} exists, and is not overwritten") from error
    finally:
        discard(temporary)
    size = request.out.stat().st_size
    return Exported(str(request.out), size, about["model"], about["pruner"], OPSET, difference, len(kept), kept)


def check_installed() -> None:
    """Raises UsageError without the extra `onnx`."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(f"export-onnx needs onnx: {error}", "pip install 'vla-bench[onnx]'") from error


@torch.no_grad()
def write(model: VLA, path: Path, about: dict[str, str]) -> None:
    """Trace the model's query, prompts of any length, and write it with `about` as its metadata."""
    graph = QueryGraph(model).eval()
    length = torch.export.Dim("length", min=1, max=LONGEST)
    shapes = ({}, {1: length}, None if model.proprio_projector is None else {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.export's own, of its own pytrees
        for name in ("torch.onnx", "onnx_ir", "onnxscript"):  # that torchvision is not there, and what they optimise
            logging.getLogger(name).setLevel(logging.ERROR)
        program = torch.export.export(graph, arguments(model, example(model, 9, 0)), dynamic_shapes=shapes)
        # The exporter translates fused attention of four dimensions alone; LightVLA's queries have three.
        program = program.run_decompositions({torch.ops.aten.scaled_dot_product_attention.default: attention})
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=NAMES[: 2 if model.proprio_projector is None else 3],
            output_names=("actions", "kept"),
        )
    made.model.metadata_props.update(about)
    made.save(str(path), external_data=False)


def attention(q: Tensor, k: Tensor, v: Tensor, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None, enable_gqa=False):
    """softmax(q k^T scale) v: attention as no more than products and a softmax.  Raises ModelError for a masked one."""
    if attn_mask is not None or is_causal or enable_gqa:
        raise ModelError("attention with a mask is not exported")
    return ((q @ k.transpose(-1, -2)) * (q.shape[-1] ** -0.5 if scale is None else scale)).softmax(dim=-1) @ v


@torch.no_grad()
def compare(model: VLA, path: Path) -> tuple[float, tuple[int, ...]]:
    """Largest difference of ONNX Runtime's actions from PyTorch's, and the image tokens kept.

    Raises MeasureError where it keeps others.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst, counts = 0.0, []
    for seed, length in enumerate(LENGTHS):
        inputs = example(model, length, seed)
        given = [each for each in arguments(model, inputs) if each is not None]
        feed = {name: value.numpy() for name, value in zip(NAMES, given, strict=False)}
        actions, kept = (torch.from_numpy(each) for each in session.run(None, feed))
        plain = model(inputs)
        if kept.sum().item() != sum(plain.kept_per_camera()[0]) or not kept[0, plain.tokens.ids[0]].all():
            raise MeasureError("ONNX Runtime keeps other image tokens than PyTorch", "vla-bench doctor")
        worst = max(worst, (actions - plain.actions).abs().max().item())
        counts.append(int(kept.sum()))
    return worst, tuple(counts)


def example(model: VLA, length: int, seed: int) -> Inputs:
    """A query with a prompt of `length` tokens; smooth images, since in noise all patches are alike to a pruner."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 6 * config.cameras, 14, 14, generator=generator)
    pixels = F.interpolate(coarse, size=config.image_size, mode="bilinear")
    prompt = tuple(torch.randint(4, config.tokens.pad, (length,), generator=generator).tolist())
    state = 2 * torch.rand(1, config.proprio_dim, generator=generator) - 1 if config.proprio_dim else None
    return Inputs(pixels, (prompt,), state)


def arguments(model: VLA, inputs: Inputs) -> tuple[Tensor | None, ...]:
    """What `QueryGraph.forward` takes."""
    return inputs.pixel_values, torch.tensor([inputs.prompts[0]]), inputs.proprio


def _loaded(request: ExportRequest) -> tuple[VLA, dict[str, str]]:
    """The model on the CPU in float32, and what the file says of it."""
    suites = tuple(suite.name for suite in load_suites(request.suite))
    resolved = resolve_model(request.model, suites=suites, device="cpu")
    if resolved.kind is not ModelKind.CHECKPOINT:
        raise UsageError(f"{resolved.name} is no model with weights", instead={"--model": "nano"})
    policy = make_vla_policy(ModelChoice(request.model, suites=suites, device="cpu", pruner=request.pruner), resolved)
    model = policy.model
    if policy.decoding is not Decoding.L1:
        raise ModelError(f"{resolved.name} decodes its actions as tokens ({policy.decoding}), which is not exported")
    if (size := 4 * sum(each.numel() for each in model.parameters())) > LARGEST:
        raise ModelError(f"{resolved.name} has {size / 1e9:.1f} GB of weights, and one ONNX file holds 2 GB", "--model nano")
    QueryGraph(model)  # refuses what cannot be exported
    about = {"model": resolved.name, "pruner": str(policy.identity["pruner"]), "checkpoint": str(policy.identity["checkpoint"])}
    return model, about | {"suites": ",".join(suites), "unnorm_keys": json.dumps(policy.identity["unnorm_keys"])}
