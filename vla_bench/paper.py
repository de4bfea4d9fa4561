from typing import NamedTuple


class Cost(NamedTuple):
    tokens: int
    tflops: float


def published_cost(name):
    return {
        "none": Cost(512, 8.8),
        "lightvla": Cost(78, 3.6),
        "fastv": Cost(100, 1.9),
        "flashvla-ics": Cost(192, 0.7),
        "spvla": Cost(229, 3.1),
    }.get(name)
