"""The figures of docs/serving.md are those of the committed files in results/serving/."""

from __future__ import annotations

import json

import pytest

from .conftest import ROOT

PAGE = " ".join((ROOT / "docs" / "serving.md").read_text().split())


def read(name: str) -> dict:
    return json.loads((ROOT / "results" / "serving" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("full attention, dense | dense", "full attention, dense: vLLM against ours"),
        (
            "full attention, LightVLA's tokens | LightVLA, contiguous positions",
            "full attention, pruned: vLLM against ours at contiguous positions",
        ),
        (
            "full attention, LightVLA's tokens | LightVLA, its own positions",
            "full attention, pruned: vLLM against ours at the original positions",
        ),
        ("causal, dense | dense made causal", "causal, dense: vLLM against ours made causal"),
        ("causal, dense | dense", "causal, dense: vLLM against ours with full attention"),
        ("causal, LightVLA's tokens | LightVLA, its own positions", "causal, pruned: vLLM against ours with full attention"),
    ],
)
def test_differences_of_vllm(row, name):
    found = read("vllm")["differences"][name]
    small = found["hidden_max"] < 1e-3
    hidden, largest = (f"{found[key]:.1e}" if small else f"{found[key]:.1f}" for key in ("hidden_max", "actions_max"))
    mean = f"{found['actions_mean']:.1e}" if small else f"{found['actions_mean']:.3f}"
    assert f"| {row} | {hidden} | {largest} | {mean} |" in PAGE


def test_what_is_said_of_vllm_beside_the_table():
    found = read("vllm")
    kept, size, times = found["kept image tokens"], found["mean size of a normalised action"], found["times of the decoder"]
    about = f"{found['queries']} of the bundled observations, {kept['min']} to {kept['max']} of {kept['of']} image tokens kept"
    assert f"{about}, float32, vLLM {found['versions']['vllm']}" in PAGE and f"whose mean size is {size:.3f}" in PAGE
    moved = [
        found["differences"][name]["actions_mean"] / size
        for name in (
            "ours, pruned: contiguous against original positions",
            "causal, dense: vLLM against ours with full attention",
        )
    ]
    assert f"by {moved[0]:.0%} of their mean size, causal attention by {moved[1]:.0%}".replace("%", " %") in PAGE
    together = found["differences"]["full attention, pruned, eight unequal lengths together: vLLM against itself"]
    assert together["hidden_max"] == 0
    dense, pruned = times["vllm_over_ours_dense"], times["vllm_over_ours_contiguous"]
    laps = f"{times['vllm_contiguous_ms']:.1f} against {times['ours_contiguous_ms']:.1f} ms"
    assert f"{dense:.2f} times ours dense and {pruned:.2f} times ours pruned ({laps})" in PAGE
    faster = times["vllm_dense_over_pruned"], times["ours_dense_over_pruned"]
    assert f"makes it {faster[0]:.2f} times faster, ours {faster[1]:.2f} times" in PAGE


def test_distances_of_positions():
    _, own, anew = read("positions")["rows"]
    said = [f"{row['distance']:.4f} [{row['low']:.4f}, {row['high']:.4f}]" for row in (own, anew)]
    assert f"On the {own['queries']} bundled observations" in PAGE and all(each in PAGE for each in said)
    assert f"{own['gripper']:.1%} and {anew['gripper']:.1%}".replace("%", " %") in PAGE and own["gflops"] == anew["gflops"]


def test_ratios_of_onnx_runtime():
    for row, end in zip(read("onnx")["files"], ("with LightVLA (5th to 95th percentile", "dense ("), strict=True):
        ratio = row["pytorch over onnxruntime"]
        middle = "times faster " if row["pruner"] == "lightvla" else "times "
        assert f"{ratio['median']:.2f} {middle}{end} {ratio['p5']:.2f} to {ratio['p95']:.2f})".replace("( ", "(") in PAGE
        assert f"{row['largest difference of an action']:.1e}" in PAGE and row["pairs"] == 120
