"""Test the ray engine: two nodes that `ray start` started on this machine run what the local engine ran, and then run it again
while one of them is killed.  The three runs are compared episode by episode.

    python scripts/check_ray.py --suite spatial --model expert --trials 4
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import typer
from kill_storm import outcome, start

RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1", "--disable-usage-stats")
PATIENCE_S = 60  # for a node to come up


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def node(*options: str) -> subprocess.Popen:
    """A node of one core.  It and all that it starts are one process group, so that killing that is losing a machine."""
    return subprocess.Popen([*RAY, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def evaluate(arguments: list[str], folder: Path) -> None:
    """Run to the end; ends the program with what the run said, where it failed."""
    command = [sys.executable, "-m", "vla_bench", "eval", *arguments, "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: {' '.join(command)}\n{done.stdout}{done.stderr}")


def nodes_alive(address: str) -> int:
    code = f"import ray; ray.init('{address}', log_to_driver=False); print(sum(node['Alive'] for node in ray.nodes()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0


def kill(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # killed before
        pass
    process.wait()


def lose_a_node(arguments: list[str], folder: Path, lost: subprocess.Popen, episodes: int) -> int:
    """Run, and kill a node once a quarter of the episodes is recorded; the number that was recorded then."""
    run = start(arguments, folder)
    recorded = folder / "episodes.jsonl"
    while not recorded.exists() or (before := recorded.read_bytes().count(b"\n")) < episodes // 4:
        if run.poll() is not None:
            raise SystemExit("FAILED: the run ended before a node was killed")
        time.sleep(0.2)
    kill(lost)
    if run.wait() != 0:
        raise SystemExit(f"FAILED: exit code {run.returncode} after a node was killed")
    return before


def compared(name: str, folder: Path, expected: dict, seconds: float) -> str:
    """One line about a run; ends the program where it differs from `expected`."""
    counts, ends = outcome(folder)
    wrong = [key for key in expected if ends.get(key) != expected[key] or counts[key] != 1]
    if wrong or ends.keys() != expected.keys():
        raise SystemExit(f"FAILED: {name}: ended otherwise, twice or not at all: {wrong or ends.keys() - expected.keys()}")
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]
    again = sum(line["attempts"] > 1 for line in lines)
    return f"{name}: {len(ends)} episodes, once each, same states at their ends; {again} in a second attempt; {seconds:.0f} s"


def main(suite: str = "spatial", model: str = "expert", trials: int = 4, tasks: str = "0-9"):
    arguments = ["--suite", suite, "--model", model, "--trials", str(trials), "--tasks", tasks]
    arguments += ["--assets", "primitive", "--video", "none"]
    address = f"{socket.gethostbyname(socket.gethostname())}:{free_port()}"
    on_ray = [*arguments, "--engine", "ray", "--address", address]
    with tempfile.TemporaryDirectory() as temporary:
        # Ray's files, and a token without which nobody can send these nodes code.
        os.environ |= {"RAY_TMPDIR": temporary, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        local, calm, rough = (Path(temporary) / name for name in ("local", "calm", "rough"))
        began = time.monotonic()
        evaluate([*arguments, "--workers", "1"], local)
        _, expected = outcome(local)
        print(f"local, 1 worker: {dict(Counter(status for status, _, _ in expected.values()))}; {time.monotonic() - began:.0f} s")
        head = node("--head", "--port", address.split(":")[1], "--include-dashboard", "false")
        other = None
        try:
            wait_for(address, 1)
            other = node("--address", address)
            wait_for(address, 2)
            began = time.monotonic()
            evaluate(on_ray, calm)
            print(compared("ray, two nodes", calm, expected, time.monotonic() - began), flush=True)
            began = time.monotonic()
            before = lose_a_node(on_ray, rough, other, len(expected))
            print(compared(f"ray, a node killed after {before} episodes", rough, expected, time.monotonic() - began))
            print("its log:", next(line for line in (rough / "errors.log").read_text().splitlines() if "was lost" in line))
        finally:
            for each in filter(None, (other, head)):
                kill(each)


def wait_for(address: str, nodes: int) -> None:
    began = time.monotonic()
    while nodes_alive(address) < nodes:
        if time.monotonic() - began > PATIENCE_S:
            raise SystemExit(f"FAILED: no {nodes} nodes at {address} after {PATIENCE_S} s")


if __name__ == "__main__":
    typer.run(main)
