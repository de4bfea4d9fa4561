"""Signals in a process of its own, which says what it did."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys, time
from vla_bench.signals import Interruptible, Interrupted
say = lambda text: print(text, flush=True)

{body}
"""


@pytest.fixture
def begin():
    """Start a program that says "ready"; returns a function that sends it signals, and what it said and how it ended."""
    started = []
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also under nohup

    def begin(body):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM.format(body=body)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"

        def send(*numbers):
            began = time.monotonic()
            for number in numbers:
                process.send_signal(number)
                time.sleep(0.1)
            said, _ = process.communicate(timeout=20)
            return said.split(), process.returncode, time.monotonic() - began

        return send

    yield begin
    signal.signal(signal.SIGHUP, hangup)
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_grace_the_first_signal_raises(begin, number):
    send = begin("""
try:
    with Interruptible():
        say("ready"); time.sleep(20)
except Interrupted:
    say("interrupted")
""")
    assert send(number)[:2] == (["interrupted"], 0)


@pytest.mark.parametrize(("times", "least", "most"), [(1, 1.0, 8.0), (2, 0.0, 1.0)])
def test_the_first_asks_and_the_end_of_the_grace_or_the_second_raises(begin, times, least, most):
    send = begin(
        """
try:
    with Interruptible(lambda: say("asked"), grace_s=1.5 if {n} == 1 else 15):
        say("ready"); time.sleep(20)
except Interrupted:
    say("interrupted")
""".replace("{n}", str(times))
    )
    said, code, seconds = send(*[signal.SIGINT] * times)
    assert said == ["asked", "interrupted"] and code == 0 and least < seconds < most + 5


def test_what_is_held_is_finished_first(begin):
    send = begin("""
try:
    with Interruptible() as ending:
        with ending.held():
            say("ready"); time.sleep(1); say("whole")
        say("never")
except Interrupted:
    say("interrupted")
""")
    assert send(signal.SIGTERM)[:2] == (["whole", "interrupted"], 0)


def test_the_inner_one_acts_on_what_the_outer_one_was_told_before(begin):
    send = begin("""
with Interruptible(grace_s=None) as outer:
    say("ready")
    while not outer.asked: time.sleep(0.05)
    with Interruptible(lambda: say("asked"), grace_s=60): pass
    say(outer.asked)
""")
    assert send(signal.SIGINT)[:2] == (["asked", "1"], 0)


def test_a_process_that_hangs_is_gone_after_the_limit(begin):
    """As one that waits for a driver, in code that no exception reaches."""
    send = begin("""
with Interruptible(grace_s=None, limit_s=1.0):
    say("ready"); time.sleep(20); say("never")
""")
    said, code, seconds = send(signal.SIGINT)
    assert said == [] and code == 130 and seconds < 8


def test_a_hangup_that_nohup_switched_off_stays_off(begin):
    send = begin("""
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with Interruptible():
    say("ready"); time.sleep(1); say("whole")
""")
    assert send(signal.SIGHUP)[:2] == (["whole"], 0)
