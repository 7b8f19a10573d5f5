"""What is said on stderr."""

import io
import sys

import pytest

from judgebench.cli.aliases import say
from judgebench.cli.remarks import remark
from judgebench.cli.rendering import print_beside


class Terminal(io.StringIO):
    """A stderr that somebody looks at."""

    def isatty(self) -> bool:
        """As a terminal answers."""
        return True


WORDS = "weighted_alpaca_eval_gpt4_turbo_new is --tasks alpacaeval:judge=weighted_alpaca_eval_gpt4_turbo_new here"


@pytest.mark.parametrize("terminal", [True, False])
def test_no_remark_is_broken_within_a_word(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> None:
    """A notice of what was understood, a note beside a result and a message alike; a pipe gets one line."""
    monkeypatch.setenv("COLUMNS", "40")
    said = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    say([WORDS])
    print_beside("note", [WORDS])
    remark(f"{WORDS}; `judgebench judges info weighted_alpaca_eval_gpt4_turbo_new` says more")
    lines = said.getvalue().splitlines()
    assert (len(lines) == 3) is not terminal
    words = {*WORDS.split(), "judgebench:", "note:"}
    for line in lines[:6] if terminal else lines[:2]:
        assert set(line.split()) <= words
    assert any("`judgebench judges info weighted_alpaca_eval_gpt4_turbo_new`" in line for line in lines)
