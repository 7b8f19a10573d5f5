"""A sheet in each of its forms: cells are text wherever they are shown, numbers stay numbers for programs."""

import csv
import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from judgebench.display import chance, figure, interval, p_value
from judgebench.exchange.sheets import Sheet, csv_of, figures, html_of, latex_of, markdown_of, words
from judgebench.exchange.terminal import rich_of

EVIL = '<b onload="x">{{ 7 * 7 }} [bold]|\x1b[2J\u202e'
SHEET = Sheet(
    "who wins",
    words("model") + figures("value", "n"),
    ((EVIL, 12.345678901234567, 805), ("plain", None, 0)),
    notes=("a note",),
    alerts=("an alert",),
    spare=("n",),
)


def terminal(sheet: Sheet, width: int) -> str:
    """What a terminal of some width shows."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    for part in rich_of(sheet, width):
        console.print(part)
    shown = console.file
    assert isinstance(shown, io.StringIO)
    return shown.getvalue()


@pytest.mark.parametrize("form", [markdown_of, html_of, latex_of, lambda sheet: terminal(sheet, 200)])
def test_every_form_for_people_shows_everything(form: Callable[[Sheet], str]) -> None:
    """Title, headings, cells, alerts and notes, in this order; a number has four digits, ``None`` is empty."""
    text = form(SHEET)
    places = [text.index(told) for told in ("who wins", "model", "12.35", "805", "plain", "an alert", "a note")]
    assert places == sorted(places)
    assert "None" not in text


def test_html_cannot_be_left_by_a_cell() -> None:
    """Markup, template code and control characters of a cell are its text; figures stand on the right."""
    text = html_of(SHEET)
    assert "<td>&lt;b onload=&#34;x&#34;&gt;{{ 7 * 7 }} [bold]|\\x1b[2J\\u202e</td>" in text
    assert '<td align="right">12.35</td>' in text
    assert text.isascii()


def test_a_sheet_without_columns_is_its_title_and_lines() -> None:
    """No form makes an empty table of it; a terminal leaves out an empty title."""
    sheet = Sheet("only words", notes=("a note",))
    assert markdown_of(sheet) == "**only words**\n\n- a note\n"
    assert html_of(sheet) == "<p>only words</p>\n<ul>\n<li>a note</li>\n</ul>\n"
    assert "tabular" not in latex_of(sheet)
    assert terminal(Sheet("", notes=("a note",)), 80) == "  a note\n"


def test_a_narrow_terminal_leaves_out_what_it_can_spare() -> None:
    """Columns go in the order given and are named below; words are folded, figures never are."""
    assert "left out" not in terminal(SHEET, 80)
    narrow = terminal(SHEET, 32)
    assert "805" not in narrow
    assert "left out for width: n" in narrow
    assert "12.35" in narrow


@pytest.mark.parametrize(("width", "whole"), [(60, True), (52, True), (38, False)])
def test_words_stay_whole_where_there_is_room(width: int, whole: bool) -> None:
    """A column of sentences gives way to one of names; where that is not enough a name is broken after a hyphen, and a
    heading never within a word.
    """
    said = "which of the two answers is better, with a reason"
    names = ("gpt-4-1106-preview", "claude-opus-4-8")
    sheet = Sheet("", words("judge", "what it says", "examples"), tuple((name, said, "these") for name in names))
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal(sheet, width))
    assert all(name in shown for name in names) == whole
    told = {word for line in shown.splitlines() for word in line.replace("┃", " ").replace("│", " ").split()}
    assert {"examples", "these", "answers", "better,"} <= told


def test_alerts_are_red_on_a_terminal() -> None:
    """Notes are not."""
    text = terminal(SHEET, 80)
    assert "\x1b[1;31m  an alert\x1b[0m" in text
    assert "  a note\n" in text


def test_csv_keeps_numbers_whole() -> None:
    """All digits of a number, nothing for none, and no text that a spreadsheet would run."""
    sheet = Sheet("", words("model") + figures("value"), (("=1+1", 12.345678901234567), ("b", None)))
    assert list(csv.reader(io.StringIO(csv_of(sheet)))) == [
        ["model", "value"],
        ["'=1+1", "12.345678901234567"],
        ["b", ""],
    ]


@pytest.mark.parametrize(
    ("low", "high", "unit", "signed", "shown"),
    [
        (2.624, 5.531, "percent", False, "2.62 – 5.53"),
        (2.624, 5.531, "percent", True, "+2.62 to +5.53"),
        (-5.7, 4.9, "percent", False, "-5.70 to 4.90"),
        (-0.001, 4.9, "percent", False, "0.00 – 4.90"),
        (628.4, 718.5, "characters", False, "628 – 718"),
        (0.8261, 0.9984, "coefficient", False, "0.826 – 0.998"),
        (None, 1.0, "percent", False, ""),
    ],
)
def test_one_way_to_write_an_interval(
    low: float | None, high: float | None, unit: str, shown: str, *, signed: bool
) -> None:
    """Digits by the unit, as the number itself has them; a dash does not stand beside a sign."""
    assert interval(low, high, unit, signed=signed) == shown


def test_a_small_p_value_is_not_nought() -> None:
    """Below what three digits tell, only the bound is told."""
    assert [chance(p) for p in (0.0213, 0.001, 0.00099, 0.0, None)] == ["0.021", "0.001", "<0.001", "<0.001", ""]
    assert (p_value(0.5), p_value(1e-9)) == ("p = 0.500", "p < 0.001")
    assert figure(-0.0001, "percent", signed=True) == "+0.00"
