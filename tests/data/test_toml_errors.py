"""Errors in a user's TOML file, in words of TOML."""

from pathlib import Path

import msgspec
import pytest

from judgebench.data.toml_errors import converted, parse_toml
from judgebench.errors import UsageError
from judgebench.kinds.pairwise import Settings


class Wanted(msgspec.Struct, kw_only=True):
    """A table of a file."""

    must: str
    ratio: float | None = None
    names: list[str] = []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('must = "x"\nratio = "half"', "line 2: ratio has to be a number, and is a text"),
        ("must = 1", "line 1: must has to be a text, and is a whole number"),
        ('must = "x"\nnames = true', "line 2: names has to be a list, and is true or false"),
        ("ratio = 1", "has no key must"),
        ("mst = 1\nratoi = 2\nq = 3", "line 1: mst is not a key of this file (did you mean must?); nor is ratoi (did"),
    ],
)
def test_types_are_told_in_plain_words(text: str, said: str) -> None:
    """What has to stand there and what does, without the words of a library."""
    with pytest.raises(UsageError) as caught:
        converted(Path("mine.toml"), text, parse_toml(Path("mine.toml"), text), Wanted)
    assert said in str(caught.value)
    assert not [word for word in ("Expected", "null", "Object", "`") if word in str(caught.value)]


def test_a_word_that_is_not_known_comes_with_those_that_are() -> None:
    """The three orders of a pair."""
    with pytest.raises(UsageError, match=r"orders holds a word .*'sideways'; it is one of both, seeded, as_given"):
        converted(Path("mine.toml"), 'orders = "sideways"', {"orders": "sideways"}, Settings, "pairwise")
