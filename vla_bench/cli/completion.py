"""What the shell offers for the value of an option; imports nothing heavy, since the shell waits for it."""

from __future__ import annotations


def suites(incomplete: str) -> list[str]:
    """After a comma, too."""
    from vla_bench.suites import ALL, all_files, family_files

    before, comma, last = incomplete.rpartition(",")
    names = [name for name in dict.fromkeys([*all_files(), *family_files()]) if name not in before.split(",")]
    return [f"{before}{comma}{name}" for name in [*names, *([] if comma else [ALL])] if name.startswith(last)]


def models(incomplete: str) -> list[str]:
    from vla_bench.checkpoints.known import DEFAULTS, bundled_names, families
    from vla_bench.policies.names import SCRIPTS, plug_ins

    return _begin(["auto", *DEFAULTS, *bundled_names(), *families(), *SCRIPTS, *plug_ins()], incomplete)


def pruners(incomplete: str) -> list[str]:
    from vla_bench.pruners.names import names

    return _begin(names(), incomplete)


def recipes(incomplete: str) -> list[str]:
    from vla_bench.training.recipe import RECIPES

    return _begin(list(RECIPES), incomplete)


def _begin(names: list[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
