"""No test's outcome depends on how busy the machine is."""

import re
from pathlib import Path

import pytest
from hypothesis import settings

from tests import patience

ROOT = Path(__file__).parents[1]


def test_what_happened_is_not_waited_for() -> None:
    """It is looked at until it is so, and no longer."""
    answers = iter([False, False, True])
    patience.wait_for(lambda: next(answers), look_every=0)
    assert list(answers) == []


def test_a_hang_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is waited for, and of an expression that takes the square of its text."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(AssertionError, match="did not happen"):
        patience.wait_for(lambda: False)
    with pytest.raises(AssertionError, match="was not done"), patience.patience():
        re.search(r"(\[+)x", "[" * 10**6)


def test_no_other_test_looks_at_a_clock() -> None:
    """A test that measures how long something took asks how busy the machine is."""
    clock = re.compile(r"\b(monotonic|perf_counter|process_time|thread_time|getrusage)\b")
    files = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py") if clock.search(path.read_text())
    }
    assert files == {"tests/patience.py", "tests/test_patience.py"}


def test_an_example_may_take_long() -> None:
    """Hypothesis has a deadline of its own, in milliseconds, unless it is told otherwise."""
    assert settings().deadline is None
