"""Text of others is shown, never obeyed."""

import sys
import unicodedata

import pytest

from judgebench.display import cell, markdown, printable

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "a\rb",
    "a\bb",
    "\u202egnirts\u202c",
    "\u2066isolate\u2069",
    "zero\u200bwidth",
    "\u2028line",
    "\ud800",
    "\ue000",
    "\U000e0041tag",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_does_not_show_is_escaped(text: str) -> None:
    """Control, bidirectional, private and half characters come out as ASCII escapes, the rest as it is."""
    shown = printable(text)
    assert all(unicodedata.category(character)[0] not in "CZ" or character == " " for character in shown)
    assert shown.encode()
    assert shown.encode("ascii").decode("unicode_escape") == text


@pytest.mark.parametrize("text", ["plain", "naïve café", "日本語", "مرحبا", "a\tb", "🙂", ""])
def test_ordinary_text_stays(text: str) -> None:
    """Letters of any script, signs and tabs are not touched."""
    assert printable(text) == text


def test_no_character_gets_through_that_could_steer_a_terminal() -> None:
    """Over all of Unicode, nothing of the categories Cc, Cf, Cs, Zl and Zp is left but the tab."""
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    left = {c for c in set(printable(everything)) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert left == {"\t"}


def test_a_limit_cuts_with_an_ellipsis() -> None:
    """The limit counts characters of the text, before any is escaped."""
    assert printable("abcdef", 4) == "abc…"
    assert printable("abcd", 4) == "abcd"
    assert printable("\x1b" * 9, 3) == "\\x1b\\x1b…"


def test_a_cell_is_one_line() -> None:
    """Line breaks become a sign, and long text is cut."""
    assert cell("one\ntwo") == "one⏎two"
    assert cell("one\r\ntwo") == "one\\r⏎two"
    assert len(cell("x" * 1000)) == 60


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@octocat", "@<!-- -->octocat"),
        ("tuned-by-@org/team and @me", "tuned-by-@<!-- -->org/team and @<!-- -->me"),
        ("\\@me", "\\\\@<!-- -->me"),
        ("@@me", "@<!-- -->@<!-- -->me"),
        ("é@me", "é@<!-- -->me"),
        ("me@host.example", "me@<!-- -->host.example"),
        ("arenahard@v2.0", "arenahard@<!-- -->v2.0"),
        ("alpacaeval@2", "alpacaeval@2"),
        ("&#64;me <!-- @me -->", "\\&\\#64;me \\<\\!-- @<!-- -->me --\\>"),
    ],
)
def test_a_name_in_markdown_notifies_nobody(text: str, shown: str) -> None:
    """What GitHub would take for a mention, or for an address, has an empty comment after its @; a version has not."""
    assert markdown(text) == shown
