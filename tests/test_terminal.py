"""Text of other people's files never commands the terminal."""

import pytest

from vla_bench.tables import markdown, print_table
from vla_bench.terminal import show, visible

CLEAR = "\x1b[2J\x1b]0;title\x07"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (CLEAR, r"\x1b[2J\x1b]0;title\x07"),
        ("a\rb\u202ec\x9b2J", r"a\rb\u202ec\x9b2J"),
        ("half \ud800", r"half \ud800"),
        ("two\nlines\tand é ± 7 µm", "two\nlines\tand é ± 7 µm"),
    ],
)
def test_control_characters_are_shown(text, seen, capsys):
    assert visible(text) == seen
    show(text)
    assert capsys.readouterr().out == seen + "\n"


def test_tables_neither_obey_nor_interpret_what_they_hold(capsys):
    print_table(("run", "rate"), [[f"[red]{CLEAR}[/red]", "[/] 80.0"]], title="[bold]t[/bold]")
    out = capsys.readouterr().out
    assert r"[red]\x1b[2J" in out and "[/] 80.0" in out and "[bold]t[/bold]" in out and "\x1b" not in out


def test_a_cell_of_markdown_stays_one_cell():
    assert markdown(("run",), [["a|b\n\x1b[2J"]]).splitlines()[-1] == r"| a\|b \x1b[2J |"


def test_errors_and_damage_are_shown_too(tmp_path, cli):
    path = tmp_path / "a\x1b[2J.json"
    path.write_text("{}")
    done = cli("doctor", str(path))
    assert done.exit_code != 0 and "\x1b" not in done.stdout
