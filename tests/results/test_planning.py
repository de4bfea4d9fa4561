"""`vla-bench plan`: the init states that a drop takes, from a given or a measured discordance."""

import json

import pytest

from vla_bench.power import drop_power, pairs_for
from vla_bench.results.noise import Flips, Noise, write_noise
from vla_bench.sequential import fewest_pairs

from ..made_runs import a_run


def planned(cli, *arguments):
    done = cli("plan", *map(str, arguments), "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_given_discordance(cli):
    found = planned(cli, "--drop", 2, "--discordance", "4%", "--n", 617, "--n", 50)
    assert (found["drop"], found["lost"], found["gained"]) == pytest.approx((0.02, 0.03, 0.01))
    assert [each["init_states"] for each in found["needed"]] == [pairs_for(0.02, 0.01), pairs_for(0.02, 0.01, power=0.9)]
    sizes = {each["init_states"]: each for each in found["sizes"]}
    assert list(sizes) == [40, 50, 100, 400, 500, 617, 2000] and sizes[617]["what"] == "as asked"
    assert sizes[2000]["power"] == pytest.approx(drop_power(2000, 0.02, 0.01)) and sizes[2000]["smallest_drop"] < 0.02
    assert found["stop_early"] == fewest_pairs(0.02)
    assert planned(cli, "--drop", 2, "--discordance", "4") == planned(cli, "--drop", 2, "--discordance", " 4 % ")


def test_a_table_for_people(cli):
    done = cli("plan", "--drop", "2", "--discordance", "4%")
    assert "a drop of 2 points: 3 % of the pairs lost, 1 % gained" in done.stdout
    assert "80 % power takes 670 init states" in done.stdout and "50 a task, four suites" in done.stdout


def test_the_discordance_of_two_runs(cli, tmp_path):
    base, new = a_run(tmp_path / "base", "ssss" + "sf" + 14 * "s"), a_run(tmp_path / "new", "ffff" + "fs" + 14 * "s")
    found = planned(cli, "--drop", 10, "--from", base, new)
    assert (found["lost"], found["gained"]) == pytest.approx((0.2, 0.1)) and "30.0 % in 20 pairs" in found["source"]
    found = planned(cli, "--drop", 50, "--from", base, new)  # more than differed: all of the pairs that differ are lost
    assert (found["lost"], found["gained"]) == pytest.approx((0.5, 0.0))


def test_a_drop_comes_on_top_of_the_noise_of_a_policy(cli, tmp_path):
    write_noise(tmp_path / "noise.json", Noise({"object": Flips(pairs=6, flips=2, same=3)}, [], {}))
    found = planned(cli, "--drop", 5, "--from", tmp_path / "noise.json")
    assert (found["lost"], found["gained"]) == pytest.approx((1 / 6 + 0.05, 1 / 6))
    assert "33.3 % [9.7, 70.0], n=6 of one policy run twice" in found["source"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--drop", "2"), "one of --discordance and --from"),
        (("--discordance", "4%", "--from", "a"), "one of --discordance and --from"),
        (("--discordance", "4%", "a"), "a belongs to --from"),
        (("--drop", "5", "--discordance", "4%"), "at least --drop (5 %)"),
        (("--discordance", "many"), "share of pairs that differ"),
        (("--drop", "0", "--discordance", "4%"), "--drop is in percentage points"),
        (("--drop", "2", "--discordance", "4%", "--alpha", "5"), "chance of a false alarm"),
        (("--drop", "2", "--discordance", "4%", "--n", "0"), "at least 1"),
    ],
)
def test_what_cannot_be_planned(cli, arguments, message):
    done = cli("plan", *arguments)
    assert done.exit_code == 2 and message in str(done.exception)
