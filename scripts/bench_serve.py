"""What serving costs: queries a second with one session and with eight, and an evaluation over the loopback beside one without.

    python scripts/bench_serve.py                   # queries alone
    python scripts/bench_serve.py --copies 1        # with one copy of the model
    python scripts/bench_serve.py --episodes 4      # evaluations, too: of Object's task 0, on the embedded pack

Everything runs on this machine, in turns, several times over, so that other load falls on both sides of a ratio; each ratio is
the median of its rounds.  Sessions ask as `eval --model ws://HOST:PORT` does: pictures of nano's size, and the whole chunk.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
from websockets.sync.client import connect

from vla_bench.wires import vla_eval
from vla_bench.wires.vla_eval import Message, MessageType

SIZE = 128


def session(url: str, until: float, counts: list[int]) -> None:
    """Asks one query after another."""
    pictures = {name: np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8) for name in ("agentview", "wrist")}
    payload = {"images": pictures, "task_description": "pick up the milk and place it in the basket", "whole_chunk": True}
    payload["states"] = np.array([0, 0, 1, 3.1, 0, 0, 0.04, -0.04])
    observation = vla_eval.pack(Message(MessageType.OBSERVATION, payload, 3))
    with connect(url, compression=None) as connection:
        connection.send(vla_eval.pack(Message(MessageType.HELLO, vla_eval.hello("bench"), 1)))
        connection.recv()
        connection.send(vla_eval.pack(Message(MessageType.EPISODE_START, {"task": {"suite": "libero_object"}}, 2)))
        asked = 0
        while time.monotonic() < until:
            connection.send(observation)
            answer = vla_eval.unpack(connection.recv(timeout=60))
            assert answer.type is MessageType.ACTION, answer.payload
            asked += 1
        counts.append(asked)


def rate(url: str, sessions: int, seconds: float) -> float:
    """Queries a second."""
    counts: list[int] = []
    began = time.monotonic()
    threads = [threading.Thread(target=session, args=(url, began + seconds, counts)) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def evaluate(model: str, episodes: int, folder: Path) -> float:
    """Seconds of the episodes alone: imports and loading are left out."""
    options = f"--suite object --tasks 0 --init-states 0-{episodes - 1} --workers 1 --assets primitive".split()
    command = [sys.executable, "-m", "vla_bench", "eval", "--model", model, *options, "--video", "none", "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return sum(json.loads(line)["wall_s"] for line in (folder / "episodes.jsonl").open())


def serving(port: int, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "vla_bench", "serve", "--model", "nano", "--suite", "object", "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return process
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--episodes", type=int, default=0)
    options.add_argument("--copies", help="as of serve")
    chosen = options.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = serving(port, *(("--copies", chosen.copies) if chosen.copies else ()))
    url = f"ws://127.0.0.1:{port}"
    try:
        rate(url, 8, 1.0)
        pairs = [(rate(url, 1, chosen.seconds), rate(url, 8, chosen.seconds)) for _ in range(chosen.rounds)]
        for one, eight in pairs:
            print(f"one session {one:6.1f} queries/s   eight {eight:6.1f}   ratio {eight / one:.2f}", flush=True)
        print(f"eight sessions answer {statistics.median(eight / one for one, eight in pairs):.2f} times the queries of one")
        if chosen.episodes:
            with tempfile.TemporaryDirectory() as folder:
                times = [
                    [evaluate(model, chosen.episodes, Path(folder) / f"{i}-{model[:2]}") for model in ("nano", url)]
                    for i in range(chosen.rounds)
                ]
            for here, there in times:
                print(f"{chosen.episodes} episodes here {here:6.1f} s   served {there:6.1f} s   ratio {there / here:.2f}")
            print(f"an evaluation takes {statistics.median(there / here for here, there in times):.2f} times as long")
    finally:
        process.terminate()
        process.wait(30)
    print("load average", *(f"{each:.1f}" for each in os.getloadavg()), "on", os.cpu_count(), "cores")


if __name__ == "__main__":
    main()
