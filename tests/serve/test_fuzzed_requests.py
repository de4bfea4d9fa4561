"""10,000 mutated requests: an answer or an error in words, whatever they hold, and no memory that grows."""

import asyncio
import random
import tracemalloc

import pytest

from vla_bench.serve.batcher import Batcher
from vla_bench.serve.copies import Here
from vla_bench.serve.openpi_wire import OpenpiWire
from vla_bench.serve.served import Served
from vla_bench.serve.session import Failed, Played
from vla_bench.serve.vla_eval_wire import VlaEvalWire
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.vla_eval import Message, MessageType

from .running import SUITES, Looking, request, sent

FRAMES, MB = 5000, 1 << 20
VALUES = [bytes.fromhex(each) for each in "c0 c2 ff 00 cb7ff8000000000000 ddffffffff c67fffffff 90 80".split()]


def mutated(frame: bytes, draw: random.Random) -> bytes:
    """One to four bytes changed, cut, doubled or replaced by another value of msgpack, more often outside the pictures."""
    data = bytearray(frame)
    for _ in range(draw.randint(1, 4)):
        edge = min(draw.choice((60, 400, len(data))), len(data))
        if not edge:
            break
        at = draw.choice((draw.randrange(edge), len(data) - 1 - draw.randrange(edge)))
        kind = draw.randrange(5)
        if kind == 0:
            data[at] = draw.randrange(256)
        elif kind == 1:
            del data[at : at + draw.randint(1, 40)]
        elif kind == 2:
            data[at:at] = data[at : at + draw.randint(1, 40)]
        elif kind == 3:
            data[at : at + 1] = draw.choice(VALUES)
        else:
            del data[draw.randrange(len(data) + 1) if draw.random() < 0.1 else len(data) :]
    return bytes(data)


def originals() -> dict[str, list[bytes]]:
    payload, kinds = sent(size=16), MessageType
    about = {"task": {"suite": "libero_object", "task_id": 1, "episode_idx": 2}}
    talk = [(kinds.HELLO, vla_eval.hello("x")), (kinds.EPISODE_START, about), (kinds.EPISODE_END, {"metrics": {"success": True}})]
    talk += [(kinds.OBSERVATION, payload), (kinds.OBSERVATION, payload | {"whole_chunk": True, "step": 3})]
    messages = [vla_eval.pack(Message(kind, content, i)) for i, (kind, content) in enumerate(talk)]
    return {"vla-eval": messages, "openpi": [openpi.pack(request(size=16))]}


@pytest.mark.parametrize("name, wire", [("vla-eval", VlaEvalWire), ("openpi", OpenpiWire)])
def test_mutated_requests(name, wire):
    draw, frames = random.Random(7), originals()[name]
    answered, refused = 0, set()

    async def play() -> None:
        nonlocal answered
        policy = Looking()
        batcher = Batcher(Here(policy))
        answering = asyncio.create_task(batcher.run())
        session = wire(Played(Served(Looking(), SUITES), batcher))
        tracemalloc.start()
        for i in range(FRAMES):
            if i % 50 == 0:
                for frame in frames[:2]:
                    await session.answer(frame)
            try:
                answered += await session.answer(mutated(draw.choice(frames), draw)) is not None
            except Failed as failure:
                assert len(failure.frame) < 4000
                refused.add(str(failure)[:40])
            policy.seen.clear()
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert now < 2 * MB and peak < 128 * MB
        session.close()
        answering.cancel()
        batcher.close()

    asyncio.run(play())
    assert answered > 50 and len(refused) > 20
