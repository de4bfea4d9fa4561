"""How the low-poly Panda looks: white shells, dark grey joints, in the frames of the official links (metres).

Each joint of the arm is a round housing; the shell before it and the shell after it each bring one half.
"""

from __future__ import annotations

from dataclasses import dataclass

from vla_bench.world.primitives.mjcf import Vector, multiply, quaternion

ALONG_X = quaternion("y", 90)
ALONG_Y = quaternion("x", 90)


@dataclass(frozen=True)
class LinkShape:
    kind: str
    size: Vector
    pos: Vector = (0, 0, 0)
    quat: Vector | None = None
    finish: str = "white"


def _leaning(degrees: float) -> Vector:
    """A long shape tilted in the link's y-z plane: 0 is along z, positive leans the upper end towards -y."""
    return quaternion("x", degrees)


ARM: dict[str, tuple[LinkShape, ...]] = {
    "link0": (
        LinkShape("cylinder", (0.056, 0.07), (0, 0, 0.069)),
        LinkShape("ellipsoid", (0.072, 0.082, 0.105), (0, 0, 0.01)),
        LinkShape("ellipsoid", (0.085, 0.068, 0.085), (-0.06, 0, 0.01)),
        LinkShape("box", (0.104, 0.088, 0.005), (-0.042, 0, 0.005)),
        LinkShape("box", (0.03, 0.074, 0.026), (-0.04, 0, 0.04), finish="grey"),
    ),
    "link1": (
        LinkShape("cylinder", (0.055, 0.06), (0, 0, -0.132)),
        LinkShape("capsule", (0.054, 0.035), (0, -0.03, -0.075), _leaning(50)),
        LinkShape("cylinder", (0.055, 0.054), (0, -0.055, 0), ALONG_Y),
        LinkShape("ellipsoid", (0.0548, 0.021, 0.0548), (0, -0.108, 0)),
    ),
    "link2": (
        LinkShape("cylinder", (0.055, 0.054), (0, 0, 0.055)),
        LinkShape("ellipsoid", (0.0548, 0.0548, 0.021), (0, 0, 0.108)),
        LinkShape("capsule", (0.054, 0.035), (0, -0.075, 0.03), multiply(quaternion("x", 90), _leaning(-50))),
        LinkShape("cylinder", (0.055, 0.06), (0, -0.132, 0), ALONG_Y),
    ),
    "link3": (
        LinkShape("cylinder", (0.055, 0.04), (0, 0, -0.08)),
        LinkShape("capsule", (0.05, 0.03), (0.035, 0.02, -0.035), multiply(quaternion("y", 55), _leaning(-35))),
        LinkShape("cylinder", (0.0548, 0.026), (0.0825, 0.027, 0), ALONG_Y),
        LinkShape("cylinder", (0.053, 0.019), (0.0825, 0.072, 0), ALONG_Y, "grey"),
        LinkShape("ellipsoid", (0.0528, 0.021, 0.0528), (0.0825, 0.09, 0), finish="grey"),
    ),
    "link4": (
        LinkShape("cylinder", (0.0548, 0.026), (0, 0, 0.027)),
        LinkShape("cylinder", (0.053, 0.019), (0, 0, 0.072), finish="grey"),
        LinkShape("ellipsoid", (0.0528, 0.0528, 0.021), (0, 0, 0.09), finish="grey"),
        LinkShape("capsule", (0.05, 0.035), (-0.04, 0.03, 0.035), multiply(quaternion("z", 60), ALONG_Y)),
        LinkShape("cylinder", (0.055, 0.035), (-0.0825, 0.088, 0), ALONG_Y),
    ),
    "link5": (
        LinkShape("cylinder", (0.0548, 0.035), (0, 0, -0.224)),
        LinkShape("capsule", (0.046, 0.08), (0, 0.045, -0.135), _leaning(-24)),
        LinkShape("capsule", (0.033, 0.06), (0, 0.072, -0.075), _leaning(-12)),
        LinkShape("cylinder", (0.05, 0.052), (0, 0.07, 0), ALONG_Y),
        LinkShape("ellipsoid", (0.049, 0.012, 0.049), (0, 0.121, 0), finish="grey"),
        LinkShape("capsule", (0.034, 0.05), (0, 0.094, -0.06), _leaning(-5), "grey"),
    ),
    "link6": (
        LinkShape("cylinder", (0.048, 0.034), (0, 0, 0.02)),
        LinkShape("ellipsoid", (0.047, 0.045, 0.012), (0, 0, 0.046), finish="grey"),
        LinkShape("box", (0.042, 0.04, 0.017), (0.045, 0.012, 0.002)),
        LinkShape("cylinder", (0.0435, 0.056), (0.088, 0.005, 0), ALONG_Y),
        LinkShape("ellipsoid", (0.0434, 0.02, 0.0434), (0.088, 0.061, 0), finish="grey"),
    ),
    "link7": (
        LinkShape("cylinder", (0.044, 0.0265), (0, 0, 0.08)),
        LinkShape("capsule", (0.018, 0.03), (0.038, 0.038, 0.079), multiply(quaternion("z", 45), ALONG_X)),
        LinkShape("box", (0.004, 0.013, 0.011), (0.07, 0.07, 0.082), quaternion("z", 45), "grey"),
    ),
}


def _finger(side: int) -> tuple[LinkShape, ...]:
    """A foot, an outer wall that leans inwards, and the tip; `side` is the finger's direction along y."""
    return (
        LinkShape("box", (0.0103, 0.012, 0.004), (0, side * 0.0137, 0.004), finish="finger"),
        LinkShape("box", (0.0103, 0.0045, 0.008), (0, side * 0.0205, 0.0145), finish="finger"),
        LinkShape("box", (0.0093, 0.005, 0.012), (0, side * 0.0145, 0.0275), quaternion("x", side * 30), "finger"),
        LinkShape("box", (0.0088, 0.0063, 0.0085), (0, side * 0.0068, 0.0445), finish="finger"),
    )


# The wrist camera looks along the hand: its lower edge is the darker strip that fills the bottom of every wrist image.
HAND: dict[str, tuple[LinkShape, ...]] = {
    "right_gripper": (
        LinkShape("box", (0.0995, 0.0185, 0.0205), (0, 0, 0.0415)),
        LinkShape("capsule", (0.0165, 0.082), (0, 0, 0.0475), ALONG_X),
        LinkShape("box", (0.093, 0.0315, 0.006), (0, 0, 0.006)),
        LinkShape("box", (0.097, 0.024, 0.005), (0, 0, 0.0165)),
        LinkShape("cylinder", (0.04, 0.006), (0, 0, -0.006), finish="grey"),
    ),
    "leftfinger": _finger(1),
    "rightfinger": _finger(-1),
}

MOUNT: dict[str, tuple[LinkShape, ...]] = {
    "torso": (LinkShape("box", (0.05, 0.05, 0.05), (0, 0, -0.05), finish="black"),),
    "pedestal": (
        LinkShape("cylinder", (0.184, 0.016), (-0.008, 0, -0.02), finish="black"),
        LinkShape("cylinder", (0.1, 0.3), (-0.02, 0, -0.33), finish="black"),
        LinkShape("box", (0.104, 0.174, 0.27), (-0.327, 0, -0.33), finish="black"),
        LinkShape("box", (0.38, 0.34, 0.03), (-0.124, 0, -0.64), finish="black"),
        LinkShape("box", (0.37, 0.33, 0.06), (-0.124, 0, -0.86), finish="black"),
        LinkShape("cylinder", (0.15, 0.07), (-0.124, 0, -0.74), finish="black"),
    ),
}
