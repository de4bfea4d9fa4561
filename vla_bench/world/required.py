"""What the tasks of a suite load according to LIBERO: models of scene, fixtures and objects, and textures of the room."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from vla_bench.suites import Suite, Task
from vla_bench.world.libero import bddl_file


class Scene(NamedTuple):
    """A scene of LIBERO.

    surface: the fixture that is part of the scene; it has no model of its own.
    model: the scene's.
    floor, wall: the textures that LIBERO's problem class puts in place of those of the model.
    """

    surface: str
    model: str
    floor: str = "light-gray-floor-tile"
    wall: str = "light-gray-plaster"


WOOD = "seamless_wood_planks_floor"
# By LIBERO's problem class.
SCENES = {
    "libero_floor_manipulation": Scene("floor", "libero_floor"),
    "libero_tabletop_manipulation": Scene("table", "libero_tabletop"),
    "libero_coffee_table_manipulation": Scene("coffee_table", "libero_coffee_table", WOOD),
    "libero_kitchen_tabletop_manipulation": Scene(
        "kitchen_table", "libero_kitchen_tabletop", "gray_ceramic_tile", "yellow_linen_wall_texture"
    ),
    "libero_living_room_tabletop_manipulation": Scene("living_room_table", "libero_living_room_tabletop", WOOD),
    "libero_study_tabletop_manipulation": Scene("study_table", "libero_study"),
}
PROBLEM = re.compile(r"\(problem\s+(\w+)\)")
DECLARED = re.compile(r"\(:(?:fixtures|objects)\b([^()]*)\)")
KIND = re.compile(r"-\s*(\w+)")
# Where LIBERO looks for a model; which of these it is depends on the model's class.
PLACES = (
    "articulated_objects/{0}.xml",
    "scenes/{0}.xml",
    "stable_hope_objects/{0}/{0}.xml",
    "stable_scanned_objects/{0}/{0}.xml",
    "turbosquid_objects/{0}/{0}.xml",
)
TEXTURES = "textures"
FOLDERS = (*(place.split("/")[0] for place in PLACES), TEXTURES)  # of a pack in LIBERO's layout


def required_models(suites: Iterable[Suite]) -> dict[str, str]:
    """The name of every model that the suites' tasks load -> the first task that does, as in "goal/3".  Raises WorldError."""
    first_task: dict[str, str] = {}
    for suite in suites:
        for task in suite.tasks:
            scene, kinds = _declared(suite, task)
            for name in sorted(kinds if scene is None else {f"{scene.model}_base_style", *kinds} - {scene.surface}):
                first_task.setdefault(name, f"{suite.name}/{task.id}")
    return first_task


def required_textures(suites: Iterable[Suite]) -> set[str]:
    """Files of the textures of the rooms that the suites' tasks are in.  Raises WorldError."""
    scenes = {_declared(suite, task)[0] for suite in suites for task in suite.tasks} - {None}
    return {f"{TEXTURES}/{name}.png" for scene in scenes for name in (scene.floor, scene.wall)}


def places(name: str) -> list[str]:
    """The files in which a pack may have the model `name`."""
    return [place.format(name) for place in PLACES]


def _declared(suite: Suite, task: Task) -> tuple[Scene | None, set[str]]:
    """The scene of a task, and the kinds of its fixtures and objects."""
    text = bddl_file(suite, task).read_text(encoding="utf-8")
    kinds = {kind for part in DECLARED.findall(text) for kind in KIND.findall(part)}
    return SCENES.get(PROBLEM.search(text)[1].lower()), kinds
