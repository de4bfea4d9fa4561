import pytest

from vla_bench.records import Status
from vla_bench.results.result_table import result_notes, result_table
from vla_bench.results.summary import summarise
from vla_bench.results.units import Key
from vla_bench.tables import markdown, print_table

from .made_runs import episode

INSTRUCTIONS = {("object", 3): "pick up the bbq sauce and place it in the basket"}


@pytest.fixture
def table():
    return result_table(summarise(episode(i) for i in range(50)), INSTRUCTIONS)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_numbers_survive_a_narrow_terminal(table, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich's word for "this is a terminal"
    print_table(*table)
    printed = capsys.readouterr().out
    for value in ("object", "50", "100.0", "92.9 - 100.0", "120", "95 % CI", "success", "errors"):
        assert value in printed
    assert ("pick up the" in printed) == (width >= 100)
    assert ("place it in the basket" in printed) == (width == 160)


def test_markdown(table):
    lines = markdown(*table).splitlines()
    assert (
        lines[2] == "| object | 3 | pick up the bbq sauce and place it in the basket | 50 | 50 | 100.0 | 92.9 - 100.0 | 120 | 0 |"
    )
    assert len(lines) == 4 and all(line.count("|") == 10 for line in lines)


def test_tokens_have_a_column_where_a_model_kept_some(monkeypatch, capsys):
    """The longest numbers that can stand in it, on the narrowest terminal."""
    episodes = [
        episode(i, Status.FAILURE, suite=s, kept_tokens_mean=512.0, gflops_mean=8789.13)
        for i in range(500)
        for s in ("spatial", "object")
    ]
    episodes += [episode(i, suite="goal", steps=300) for i in range(1000)]
    columns, rows = result_table(summarise(episodes), {})
    place = columns.index("tokens")
    assert [row[place] for row in rows] == ["-", "-", "512.0", "512.0", "512.0", "512.0", "512.0"]
    last = markdown(columns, rows).splitlines()[-1]
    assert last == "| all |  |  | 2000 | 1000 | 50.0 | 47.8 - 52.2 | 300 | 512.0 | 8789.1 | 0.1 | 0 |"
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_table(columns, rows)
    printed = capsys.readouterr().out
    for value in (*columns[3:], "spatial", "2000", "1000", "100.0", "99.6 - 100.0", "47.8 - 52.2", "300", "512.0", "8789.1"):
        assert value in printed
    assert "…" not in printed


def test_a_partial_run_shows_what_was_planned():
    """18 of 20 init states ended, two of them in errors alone; where as many ended as were planned, n stands alone."""
    summary = summarise([episode(i, Status.ERROR if i < 2 else Status.SUCCESS) for i in range(18)] + [episode(0, suite="goal")])
    planned = {Key("object", 3, i) for i in range(20)} | {Key("goal", 3, 0)}
    columns, rows = result_table(summary, {}, planned)
    place = columns.index("n")
    assert {(row[0], row[1]): row[place] for row in rows} == {
        ("goal", "3"): "1", ("goal", "all"): "1", ("object", "3"): "16/20", ("object", "all"): "16/20", ("all", ""): "17/21"
    }  # fmt: skip
    assert "17 of 21 planned init states" in result_notes(summary, planned)[1]
    assert len(result_notes(summary)) == len(result_notes(summary, {Key("goal", 3, 0)})) == 1


def test_means_weigh_every_query_the_same():
    """A long episode has more queries than a short one."""
    short, long = (episode(i, queries=q, kept_tokens_mean=k, policy_ms_mean=k) for i, q, k in ((0, 10, 20.0), (1, 30, 40.0)))
    totals = summarise([short, long, episode(2, Status.ERROR, kept_tokens_mean=900.0)]).to_dict()
    assert totals["kept_tokens_mean"] == totals["policy_ms_mean"] == 35.0


def test_prose_is_folded_and_names_stay_whole(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    print_table(("pruner", "needs"), [["efficientvla-tokens", "the prompt's attention in a layer of the decoder"]])
    printed = capsys.readouterr().out
    assert "efficientvla-tokens" in printed and "decoder" in printed and "…" not in printed


def test_a_narrow_terminal_goes_without_details_and_says_so(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = ("model", "dino", "siglip", "GFLOP"), [["n" * 30, "1234.5", "6789.0", "8023.5"]]
    for width, whole in ((80, True), (44, False), (20, False)):  # the last has no room for a name
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(*table, details=("dino", "siglip"))
        printed = capsys.readouterr()
        assert ("1234.5" in printed.out, "too narrow for the columns dino, siglip" in printed.err) == (whole, not whole)
        assert "n" * 30 in printed.out and "8023.5" in printed.out
