"""The noise of a policy: flips of two runs, written and read back."""

import json

import pytest

from vla_bench.errors import RecordError
from vla_bench.records import EpisodeKey
from vla_bench.report.planning import noise_line
from vla_bench.results.noise import Flips, noise_of, read_noise, write_noise

from ..made_runs import ENDINGS, a_run, episode, run

FIRST, SECOND = "ssssffe", "sfssfss"


def episodes(letters, hashes="0000000"):
    made = [
        episode(i, ENDINGS[letter], **({} if letter == "e" else {"state_hash": 16 * hashes[i]}))
        for i, letter in enumerate(letters)
    ]
    return {each.key: each for each in made}


@pytest.fixture
def noise():
    first, second = episodes(FIRST), episodes(SECOND, "0001000")
    return noise_of(run(), first, second, [*first])


def test_flips_are_counted_where_both_ended(noise):
    assert noise.suites == {"object": Flips(pairs=6, flips=2, same=3)} and noise.total == Flips(6, 2, 3)
    assert noise.flipped == [str(EpisodeKey("object", 3, i)) for i in (1, 5)]
    assert noise_line(noise) == "noise: two runs of id differ in 2 of 6 pairs: 33.3 % [9.7, 70.0], n=6"


def test_asking_for_fewer_episodes_counts_fewer():
    first = episodes(FIRST)
    assert noise_of(run(), first, episodes(SECOND), [*first][2:4]).total == Flips(2, 0, 2)


def test_it_comes_back_from_its_file(noise, tmp_path):
    file = tmp_path / "noise" / "object.json"
    write_noise(file, noise)
    found = read_noise(file)
    assert (found.suites, found.flipped) == (noise.suites, noise.flipped)
    assert found.about["config_hash"] == run().config_hash


def test_a_gate_tells_the_noise_beside_the_pairs(noise, cli, tmp_path):
    write_noise(tmp_path / "noise.json", noise)
    base, new = (str(a_run(tmp_path / name, "s" * 12)) for name in ("base", "new"))
    done = cli("gate", base, new, "--must-see", "60", "--noise", str(tmp_path / "noise.json"))
    assert done.exit_code == 0 and noise_line(noise) in done.stdout
    table = cli("gate", base, new, "--must-see", "60", "--noise", str(tmp_path / "noise.json"), "--format", "json").stdout
    assert json.loads(table)["noise"]["flips"] == 2
    assert cli("gate", base, new, "--noise", base).exit_code == 6


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "a summary"},
        {"suites": {}},
        {"suites": {"object": {"pairs": 6, "flips": 7, "same": 3}}},
        {"suites": {"object": {"pairs": 6, "flips": 1, "same": 3}}},  # the total says two
        {"suites": {"object": {"pairs": 6, "flips": 2.0, "same": 3}}},
    ],
)
def test_files_that_are_no_noise(noise, tmp_path, change):
    file = tmp_path / "noise.json"
    file.write_text(json.dumps(noise.to_dict() | change))
    with pytest.raises(RecordError, match="not the noise of a policy"):
        read_noise(file)
    with pytest.raises(RecordError):
        read_noise(tmp_path / "nowhere.json")
