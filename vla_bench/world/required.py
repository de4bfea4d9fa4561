"""The models that the tasks of a suite load according to LIBERO's BDDL files: scene, fixtures and objects."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vla_bench.suites import Suite, Task
from vla_bench.world.libero import bddl_file

# LIBERO's problem classes: the fixture that is the table, which is part of the scene, and the scene.
SCENES = {
    "libero_floor_manipulation": ("floor", "libero_floor"),
    "libero_tabletop_manipulation": ("table", "libero_tabletop"),
    "libero_coffee_table_manipulation": ("coffee_table", "libero_coffee_table"),
    "libero_kitchen_tabletop_manipulation": ("kitchen_table", "libero_kitchen_tabletop"),
    "libero_living_room_tabletop_manipulation": ("living_room_table", "libero_living_room_tabletop"),
    "libero_study_tabletop_manipulation": ("study_table", "libero_study"),
}
PROBLEM = re.compile(r"\(problem\s+(\w+)\)")
DECLARED = re.compile(r"\(:(?:fixtures|objects)\b([^()]*)\)")
MODEL = re.compile(r"[^/]+/(?:(?P<folder>[^/]+)/)?(?P<name>(?(folder)(?P=folder)|[^/]+))\.xml")  # LIBERO's layout of a pack
KIND = re.compile(r"-\s*(\w+)")


def required_models(suites: Iterable[Suite]) -> dict[str, str]:
    """The name of every model that the suites' tasks load -> the first task that does, as in "goal/3".  Raises WorldError."""
    first_task: dict[str, str] = {}
    for suite in suites:
        for task in suite.tasks:
            for name in sorted(_models(suite, task)):
                first_task.setdefault(name, f"{suite.name}/{task.id}")
    return first_task


def by_name(paths: Iterable[str]) -> dict[str, str]:
    """Model name -> its file among `paths`, the files of a pack."""
    matches = map(MODEL.fullmatch, sorted(paths))
    return {match["name"]: match[0] for match in matches if match}


def _models(suite: Suite, task: Task) -> set[str]:
    text = bddl_file(suite, task).read_text(encoding="utf-8")
    surface, scene = SCENES.get(PROBLEM.search(text)[1].lower(), (None, None))
    kinds = {kind for part in DECLARED.findall(text) for kind in KIND.findall(part)} - {surface}
    return kinds if scene is None else {f"{scene}_base_style", *kinds}
