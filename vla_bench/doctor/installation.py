"""Checks of what is installed: Python, versions, whose LIBERO it is, and libraries that break each other."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from vla_bench.doctor.case import Case
from vla_bench.doctor.check import Check, Seen, fail, ok, skip
from vla_bench.environment import versions
from vla_bench.world.libero import INSTALL, REINSTALL, libero_root

OLDEST, FIRST_TOO_NEW = (3, 10), (3, 13)
LIBERO = Requirement(INSTALL.split()[-1])  # hf-libero, which the Makefile installs apart


def requirements() -> list[Requirement]:
    """Of this installation of vla-bench, without those of tests; none where it runs from a folder without being installed."""
    try:
        texts = importlib.metadata.requires("vla-bench") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    wanted = map(Requirement, texts)
    return [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]


def _python(case: Case) -> Seen:
    if OLDEST <= sys.version_info[:2] < FIRST_TOO_NEW:
        return ok(f"Python {platform.python_version()}")
    return fail(f"Python {platform.python_version()}; it must be 3.10 to 3.12", "make install PYTHON=python3.11")


def _simulator_versions(case: Case) -> Seen:
    pinned = [each for each in requirements() if str(each.specifier).startswith("==")]
    return _compared([*pinned, LIBERO], f"pip install -c constraints.txt -e . && {INSTALL}")


def _other_versions(case: Case) -> Seen:
    others = [each for each in requirements() if not str(each.specifier).startswith("==")]
    if not others:
        return skip("vla-bench runs from a folder and is not installed")
    return _compared(others, "pip install -c constraints.txt -e .")


def _compared(wanted: list[Requirement], fix: str) -> Seen:
    found = versions(tuple(each.name for each in wanted))
    wrong = [each for each in wanted if (own := found[each.name]) is None or not each.specifier.contains(own, prereleases=True)]
    if wrong:
        return fail("; ".join(f"{each.name} is {found[each.name] or 'missing'}, not {each.specifier}" for each in wrong), fix)
    return ok(", ".join(f"{name} {own}" for name, own in found.items()) if len(wanted) < 6 else f"{len(wanted)} packages")


def _libero(case: Case) -> Seen:
    root = libero_root()
    if versions(("hf-libero",))["hf-libero"] is None:
        return fail(f"{root} is not the package hf-libero", REINSTALL)
    own = Path(str(importlib.metadata.distribution("hf-libero").locate_file("libero")))
    others = {name.replace("_", "-") for name in importlib.metadata.packages_distributions().get("libero", ())} - {"hf-libero"}
    if others:
        return fail(
            f"{', '.join(sorted(others))} is installed as `libero`, too", f"pip uninstall {' '.join(others)} && {REINSTALL}"
        )
    if root.parent.resolve() != own.resolve():
        return fail(f"`import libero` finds {root.parent}, which hides hf-libero", f"mv {root.parent} {root.parent}-other")
    return ok(str(root))


def _torchvision(case: Case) -> Seen:
    found = versions(("torch", "torchvision"))
    if found["torchvision"] is None:
        return ok("torchvision is not installed, and not needed")
    wanted = [Requirement(text) for text in importlib.metadata.requires("torchvision") or []]
    pins = [each for each in wanted if each.name == "torch"]
    if found["torch"] and any(Version(found["torch"]).base_version not in each.specifier for each in pins):
        what = f"torchvision {found['torchvision']} is for torch{pins[0].specifier}, not {found['torch']}"
        return fail(f"{what}: transformers cannot be imported beside it", "pip uninstall -y torchvision")
    return ok(f"torchvision {found['torchvision']} fits torch {found['torch']}")


CHECKS = (
    Check("Python", "packages do not install, or import with a SyntaxError", _python),
    Check(
        "simulator versions",
        "other success rates than published; a stored init state is disturbed (MuJoCo 3.4)",
        _simulator_versions,
    ),
    Check("package versions", "ImportError, or an attention that ignores its mask (60 instead of 98 %)", _other_versions),
    Check("LIBERO", "tasks or init states of another LIBERO, as of LIBERO-PRO, under the same names", _libero),
    Check("torchvision", "`import transformers` fails: operator torchvision::nms does not exist", _torchvision),
)
