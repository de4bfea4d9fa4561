"""From a task's goal to motions: which predicates do not hold yet, in which order, and how each is achieved."""

from __future__ import annotations

import numpy as np

from vla_bench.policies.expert.fixtures import (
    DOOR_SHUT,
    IS_OPEN,
    IS_SHUT,
    ROOMY,
    TURNED_OFF,
    TURNED_ON,
    close_door,
    close_drawer,
    middle_of_opening,
    open_drawer,
    outward,
    shelf,
    turn_knob,
)
from vla_bench.policies.expert.grasps import PALM
from vla_bench.policies.expert.handling import Spot, drag_object, in_hand, insert_object, move_object
from vla_bench.policies.expert.motions import Arm, Motion, stay
from vla_bench.policies.expert.shapes import Hold, shape_of
from vla_bench.world.changed import original_kind
from vla_bench.world.observation import Scene

Predicate = tuple[str, ...]


def solve(arm: Arm) -> Motion:
    """Achieve the goal's predicates, again and again until the episode ends.

    An object that is in the gripper already comes first, drawers and doors to close come last.
    """
    goal = sorted(arm.scene.facts.goal, key=lambda predicate: (predicate[0] == "close", not _is_held(arm, predicate)))
    while True:
        for predicate in goal:
            if not holds(arm.scene, predicate):
                yield from achieve(arm, predicate)
        yield from stay(arm, 5)
        if all(holds(arm.scene, predicate) for predicate in goal):  # they seem to hold, but the episode goes on
            for predicate in goal:
                if predicate[0] in ("on", "in"):
                    yield from achieve(arm, predicate)


def achieve(arm: Arm, predicate: Predicate) -> Motion:
    """The motions that make `predicate` true."""
    match predicate:
        case ("turnon", fixture):
            yield from turn_knob(arm, fixture)
        case ("turnoff", fixture):
            yield from turn_knob(arm, fixture, on=False)
        case ("open", region):
            yield from open_drawer(arm, region)
        case ("close", region) if region in arm.scene.facts.regions:
            yield from close_drawer(arm, region)
        case ("close", fixture):
            yield from close_door(arm, fixture)
        case ("on", name, place) if shape_of(arm.scene, name).hold is Hold.EDGE:
            yield from drag_object(arm, name, spot_for(arm, name, place, 0.0))
        case ("on", name, place):
            yield from move_object(arm, name, spot_for(arm, name, place, 0.0))
        case ("in", name, place) if oven := roofed(arm.scene, place):
            inward = arm.scene.bodies[oven].mat[:, 1]
            yield from insert_object(arm, name, lambda: shelf(arm, name, oven), inward)
        case ("in", name, place):
            while place in arm.scene.facts.joint_regions and min(_joints(arm.scene, place)) > ROOMY:
                yield from open_drawer(arm, place, far=ROOMY)
            spot, turn = spot_for(arm, name, place, 0.03), turn_into(arm.scene, name, place)
            yield from move_object(arm, name, spot, cone=6.0, turn=turn, lowest=lowest_in(arm.scene, place))


def _is_held(arm: Arm, predicate: Predicate) -> bool:
    return predicate[0] in ("on", "in") and in_hand(arm, predicate[1])


def holds(scene: Scene, predicate: Predicate) -> bool:
    """Whether a predicate seems to hold already; contact cannot be observed, so a near miss counts."""
    match predicate:
        case ("turnon", fixture):
            return max(_joints(scene, fixture)) >= TURNED_ON
        case ("turnoff", fixture):
            return max(_joints(scene, fixture)) < TURNED_OFF
        case ("open", region):
            return min(_joints(scene, region)) < IS_OPEN
        case ("close", region):
            return min(_joints(scene, region)) > (IS_SHUT if region in scene.facts.regions else DOOR_SHUT)
        case ("on", name, place) if place in scene.bodies:
            offset = scene.bodies[name].pos - scene.bodies[place].pos
            return bool(np.linalg.norm(offset[:2]) < 0.03 and 0.0 <= offset[2] < 0.03)
        case ("on", name, place):
            offset = scene.sites[place].mat.T @ (scene.bodies[name].pos - scene.sites[place].pos)
            half = scene.facts.region_sizes[place]
            return bool(np.all(np.abs(offset[:2]) < half[:2]) and -0.005 < offset[2] - half[2] < 0.1)
        case ("in", name, place):
            offset = scene.sites[place].mat.T @ (scene.bodies[name].pos - scene.sites[place].pos)
            return bool(np.all(np.abs(offset) < scene.facts.region_sizes[place]))
    return False


def roofed(scene: Scene, place: str) -> str:
    """The fixture that contains `place`, if it is closed from above; else an empty name."""
    owner = scene.facts.regions.get(place, "")
    return owner if scene.facts.categories.get(owner) == "microwave" else ""


def lowest_in(scene: Scene, place: str) -> float:
    """Lowest height of the tool in a basket, in m: the palm is just above the sides, between which it does not fit."""
    owner = scene.facts.regions.get(place, "")
    if original_kind(scene.facts.categories.get(owner, "")) != "basket":
        return -np.inf
    return shape_of(scene, owner).heights(scene.bodies[owner])[1] - PALM + 0.008


def turn_into(scene: Scene, name: str, place: str) -> float:
    """Rad by which to turn an object so that its long side lies along the long side of a region that is too narrow otherwise."""
    pose, site, half = scene.bodies[name], scene.sites[place], scene.facts.region_sizes[place]
    room = np.abs(site.mat * half).max(axis=1)[:2]  # half sizes along the world's x and y
    size = np.array(shape_of(scene, name).half) * (np.abs(pose.mat[2]) < 0.5)  # upright axes do not count
    if size.max() < room.min():
        return 0.0
    long = pose.mat[:, size.argmax()]
    away = (0.0 if room[0] > room[1] else np.pi / 2) - np.arctan2(long[1], long[0])
    return float((away + np.pi / 2) % np.pi - np.pi / 2)


def _joints(scene: Scene, name: str) -> list[float]:
    return [scene.joints[joint] for joint in scene.facts.joint_regions[name]]


def spot_for(arm: Arm, name: str, place: str, above: float) -> Spot:
    """Target position of the origin of `name` to stand in or on `place`, or `above` m over it; follows a place that moves."""

    def spot() -> np.ndarray:
        scene = arm.scene
        pose = scene.bodies[name]
        sole = pose.pos[2] - shape_of(scene, name).heights(pose)[0]  # height of the origin above the lowest point
        if place in scene.bodies:
            support = scene.bodies[place].pos
            return np.array([support[0], support[1], support[2] + shape_of(scene, place).seat + sole + above])
        site, half = scene.sites[place], scene.facts.region_sizes[place]
        owner = scene.facts.regions[place]
        seat = getattr(shape_of(scene, owner), "seat", 0.0)
        if seat:  # objects do not stand exactly at the height of its region
            floor = scene.bodies[owner].pos[2] + seat - site.pos[2]
        else:
            floor = half[np.argmax(np.abs(site.mat[2]))] * (-1.0 if above else 1.0)  # of a box, or the top of a plate
        spot = np.array([site.pos[0], site.pos[1], site.pos[2] + floor + sole + above])
        if place in scene.facts.joint_regions:
            spot += middle_of_opening(scene, place) * outward(scene, place)
        return spot + beside(scene, name, place)

    return spot


def beside(scene: Scene, name: str, place: str) -> np.ndarray:
    """Objects that share a place stand side by side: offset (3,) of `name` from its centre."""
    sharing = [predicate[1] for predicate in scene.facts.goal if predicate[0] == "on" and predicate[2] == place]
    if len(sharing) < 2 or place not in scene.sites:
        return np.zeros(3)
    step = 1.25 * scene.facts.region_sizes[place][0]  # two moka pots must not touch, and both count only near the middle
    return (sharing.index(name) - (len(sharing) - 1) / 2) * step * scene.sites[place].mat[:, 0]
