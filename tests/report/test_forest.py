"""The forest plot in text."""

from vla_bench.report.forest import ASCII, UNICODE, forest, marks
from vla_bench.stats import Difference

ROWS = [("long", Difference(-0.15, -0.2, -0.1)), ("object", Difference(0.01, -0.02, 0.04)), ("gone", None)]


def test_bars_stand_where_their_numbers_are():
    low, high, broken, scale = forest(ROWS, width=50)
    assert low.startswith("long    ├") and low.endswith("-15.0 [-20.0, -10.0]") and high.endswith("+1.0 [-2.0, +4.0]")
    zero = broken.index(UNICODE.zero)
    assert low[zero] == UNICODE.zero and low.index("┤") < zero  # a drop lies left of the line
    assert high.index("├") < zero < high.index("┤") and high.index("●") > zero and high[zero] == "┼"
    assert scale.index("0", scale.index("-20") + 3) == zero and scale.split() == ["-20", "0", "+4"]
    assert {len(line) for line in (low, high)} == {50} and broken.endswith("-")


def test_nothing_but_ascii_where_the_terminal_has_no_more():
    assert marks("utf-8") == UNICODE and marks("latin-1") == marks("ascii") == marks("no-such-encoding") == ASCII
    lines = forest(ROWS, ASCII, 60)
    assert all(line.isascii() for line in lines) and "|--" in lines[0] and "o" in lines[1]


def test_edges():
    assert forest([("gone", None)]) == [] == forest([])
    (same, scale) = forest([("same", Difference(0, 0, 0))])
    assert "●" in same and "0" in scale
    long, _ = forest([("n" * 100, Difference(0.1, 0, 0.2))])
    assert len(long) == 80 and "nn..  " in long
