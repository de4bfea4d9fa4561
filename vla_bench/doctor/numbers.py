"""Checks of what a model is given and answers, against golden tensors of the reference code.

torch is imported by the checks alone: a torch that cannot be imported is a finding.
"""

from __future__ import annotations

from collections.abc import Callable

from vla_bench.doctor.case import Case, need
from vla_bench.doctor.check import Check, Seen, fail, ok

FIX = "vla-bench verify, and compare versions with constraints.txt"
IMAGES, ARITHMETIC = "image_pipeline", "utils"


def _of_files(chosen: Callable[[str], bool], what: str) -> Callable[[Case], Seen]:
    def look(case: Case) -> Seen:
        from vla_bench.verify.compare import CheckStatus

        rows = [row for row in need(case.golden).rows if chosen(row.file)]
        if missed := [row for row in rows if row.verdict is CheckStatus.MISS]:
            return fail(f"{', '.join(row.family for row in missed[:4])} of {missed[0].file}: not as the reference", FIX)
        return ok(f"{what}: {sum(row.tensors for row in rows)} golden tensors")

    return look


def _attention(case: Case) -> Seen:
    from vla_bench.checkpoints.checkpoint import load
    from vla_bench.verify.checkpoint import NAME
    from vla_bench.verify.run import GOLDEN

    load(GOLDEN / NAME, device="cpu")  # refuses a transformers that ignores the mask
    return ok("action slots see each other: the mask is bidirectional")


CHECKS = (
    Check("attention mask", "60 instead of 98 %: a version of transformers that ignores its mask", _attention),
    Check(
        "image preparation",
        "about 3 points fewer without JPEG, Lanczos and centre crop; near 0 without the rotation",
        _of_files(lambda file: file.startswith(IMAGES), "rotation, JPEG, Lanczos, centre crop"),
    ),
    Check(
        "proprioception and actions",
        "83 instead of 97 % on Goal where a quaternion with w < 0 is flipped; a gripper that opens to grasp",
        _of_files(lambda file: file.startswith(ARITHMETIC), "quaternions, gripper, action tokens"),
    ),
    Check(
        "forward pass",
        "other actions than the reference's",
        _of_files(lambda file: not file.startswith((IMAGES, ARITHMETIC)), "model and pruner"),
    ),
)
