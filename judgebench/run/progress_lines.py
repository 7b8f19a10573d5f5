"""How far a run is, in lines that fit a terminal: pure functions of numbers that ``progress`` has read.

A line is made of parts. What does not fit is left out, beginning with what is wanted least, so that no line wraps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from judgebench.display import clock, dollars, printable
from judgebench.records import StageCounts

BAR_CELLS = 16
NAME_CELLS = 28
"""The widest name of a stage; a longer one is cut."""


ROUGHLY_SECONDS = 5.0
"""Times left that differ by less are taken for the same."""


@dataclass(frozen=True)
class Glyphs:
    """The signs of a line."""

    done: str = "✓"
    stopped: str = "✗"
    filled: str = "━"
    empty: str = "─"
    between: str = " · "
    cut: str = "…"
    about: str = "≈"
    spinner: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


UNICODE = Glyphs()
ASCII = Glyphs(done="+", stopped="x", filled="#", empty="-", between=", ", cut="...", about="about ", spinner="|/-\\")
"""For terminals whose encoding lacks the others."""


class Part(NamedTuple):
    """Words of a line."""

    text: str
    rank: int = 0
    """What has the highest rank is left out first; what has rank 0 stays."""
    bad: bool = False


@dataclass(frozen=True, kw_only=True)
class StageFacts:
    """What is known of a stage at a moment."""

    name: str
    """Task and stage, such as ``alpacaeval judge``."""
    counts: StageCounts
    expected: int
    """The likely number of items in all; a judge's is known only when all answers are."""
    rows: int = 0
    """Requests that the model is answering."""
    unfinished_tokens: int = 0
    """Tokens of replies that are not complete yet."""
    most_tokens: int = 0
    """The most that these replies can have; 0 if that is not known."""
    items_per_second: float | None = None
    tokens_per_second: float | None = None
    """Of replies; ``None`` if too little is known."""
    seconds: float = 0.0
    finished: bool = False

    @property
    def left(self) -> int:
        """Items that are still to come."""
        return max(0, self.expected - self.counts.done)

    @property
    def seconds_at_most(self) -> float | None:
        """How long the last replies take at this speed if all are as long as they can be; ``None`` if others follow."""
        if not self.most_tokens or not self.tokens_per_second or self.rows < self.left:
            return None
        return (self.most_tokens - self.unfinished_tokens) / self.tokens_per_second

    @property
    def tokens_left(self) -> float | None:
        """Tokens that are likely to come; ``None`` if nothing limits the replies under way, or none is.

        A reply is likely to be as long as those that are finished. Replies under way that are longer already go half of
        the way that is left to their limit.
        """
        if not self.rows or not self.most_tokens:
            return None
        asked = self.counts.asked
        each = self.counts.usage.completion_tokens / asked if asked else self.most_tokens / self.rows / 2
        more = max(self.rows * each - self.unfinished_tokens, (self.most_tokens - self.unfinished_tokens) / 2, 0.0)
        return max(0, self.left - self.rows) * each + more


def speed(per_second: float | None, unit: str) -> str:
    """A speed; below one in ten seconds, how long one takes.

    >>> speed(12.34, "calls"), speed(0.05, "calls"), speed(1234.0, "tokens"), speed(None, "calls")
    ('12.3 calls/s', '20 s/call', '1,234 tokens/s', '')
    """
    if not per_second:
        return ""
    if per_second < 0.1:
        return f"{1 / per_second:.0f} s/{unit.removesuffix('s')}"
    return f"{per_second:,.0f} {unit}/s" if per_second >= 100 else f"{per_second:.1f} {unit}/s"


def parts(facts: StageFacts) -> list[Part]:
    """A stage's facts in their order: done of total, under way, speed, cost, where results came from, what is wrong."""
    counts, found = facts.counts, [Part(f"{facts.counts.done:,}/{facts.expected:,}")]

    def add(text: str, rank: int, *, bad: bool = False) -> None:
        if text:
            found.append(Part(text, rank, bad))

    if not facts.finished:
        add(f"{facts.rows:,} under way" if facts.rows else "", 1)
        bound = "" if facts.seconds_at_most is None else f" ({clock(facts.seconds_at_most)} at most)"
        add(f"{facts.unfinished_tokens:,} of max {facts.most_tokens:,} tokens{bound}" if facts.most_tokens else "", 2)
    add(speed(facts.tokens_per_second, "tokens"), 3)
    # Replies of one batch take long together: how long a call takes says nothing, and the tokens say how fast it goes.
    slow = not facts.finished and facts.most_tokens and (facts.items_per_second or 0.0) < 0.1
    add("" if slow else speed(facts.items_per_second, "calls"), 4)
    tokens = counts.usage.prompt_tokens + counts.usage.completion_tokens + facts.unfinished_tokens
    for label, count, rank in (
        ("failed", counts.failed, 1),
        ("unread", counts.unread, 1),
        ("re-asked", counts.reasked, 6),
        ("resumed", counts.resumed, 5),
        ("cached", counts.cached, 5),
        ("without a call", counts.skipped, 7),
    ):
        add(f"{count:,} {label}" if count else "", rank, bad=label in ("failed", "unread"))
    add(f"{tokens:,} tokens" if tokens else "", 8)
    add(dollars(counts.usd) if counts.usd else "", 4)
    add(clock(facts.seconds) if facts.finished and facts.seconds >= 1 else "", 6)
    add(f"tokens of {counts.estimated:,} calls not reported, estimated" if counts.estimated else "", 9)
    return found


def plain(facts: StageFacts) -> str:
    """The line of a stage where there is no terminal."""
    return f"{printable(facts.name)}: {', '.join(part.text for part in parts(facts))}"


@dataclass(frozen=True, kw_only=True)
class Overall:
    """What is known of all stages together at a moment."""

    done: int
    expected: int
    items_per_second: float | None
    usd: float
    usd_expected: float | None
    """``None`` if no call costs anything, as far as prices are known."""
    usd_open: bool
    """Whether some stage that costs something has made no call yet, so that more must be expected."""
    eta: float | None
    eta_open: bool
    """Whether the speed of some stage is not known yet, so that it takes longer."""
    seconds: float
    """Since the command began to work."""


def eta_of_all(seconds: Sequence[float], known: int, unknown: int) -> float | None:
    """Time until all stages are done, by that of each whose speed is known; ``None`` if those are the smaller part.

    ``known`` and ``unknown`` count the items left of stages with a known speed and of the others. A time for nine
    answers, when six slow verdicts must follow, would be taken for that of the whole.

    >>> eta_of_all([5.0, 40.0], 900, 100), eta_of_all([5.0], 9, 6), eta_of_all([], 0, 6)
    (40.0, None, None)
    """
    return max(seconds, default=None) if 2 * unknown <= known else None


def overall_parts(overall: Overall, glyphs: Glyphs, *, ended: bool = False) -> list[Part]:
    """The facts on all stages, in their order; nothing is to be expected of what has ``ended``."""
    found = [Part(f"{overall.done:,}/{overall.expected:,}")]
    if overall.items_per_second and (ended or _agrees(overall, overall.items_per_second)):
        found.append(Part(speed(overall.items_per_second, "calls"), 3))
    if overall.usd_expected:
        more = "+" if overall.usd_open else ""
        of = f" of {glyphs.about}{dollars(overall.usd_expected)}{more}"
        found.append(
            Part(dollars(overall.usd) + ("" if ended or (overall.usd_expected == overall.usd and not more) else of), 1)
        )
    if overall.eta is not None and not ended:
        found.append(Part(f"ETA {clock(overall.eta)}{'+' if overall.eta_open else ''}", 2))
    found.append(Part(clock(overall.seconds), 2))
    return found


def _agrees(overall: Overall, per_second: float) -> bool:
    """Whether the time left follows from this speed, as readers expect.

    Stages that overlap have speeds of their own in their lines, and long replies are timed by their tokens.
    """
    if overall.eta is None:
        return True
    seconds = (overall.expected - overall.done) / per_second
    return abs(seconds - overall.eta) <= max(ROUGHLY_SECONDS, overall.eta / 4)


def fitting(found: Sequence[Part], width: int, glyphs: Glyphs = UNICODE) -> list[Part]:
    """The parts that fit into ``width`` cells when they are joined; what is wanted least goes first.

    >>> [part.text for part in fitting([Part("6/24"), Part("16 under way", 1), Part("2,299 tokens", 8)], 20)]
    ['6/24', '16 under way']
    """
    kept = list(found)
    while cell_len(joined(kept, glyphs)) > width and any(part.rank for part in kept):
        kept.remove(max(reversed(kept), key=lambda part: part.rank))
    return kept


def joined(found: Sequence[Part], glyphs: Glyphs = UNICODE) -> str:
    """The parts in one text."""
    return glyphs.between.join(part.text for part in found)


def cut(text: str, width: int, glyphs: Glyphs = UNICODE) -> str:
    """Cut a text to ``width`` cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - cell_len(glyphs.cut))) + glyphs.cut[: max(0, width)]


def bar(done: int, total: int, glyphs: Glyphs, cells: int = BAR_CELLS) -> tuple[str, str]:
    """The filled and the empty part of a bar."""
    filled = cells * min(done, total) // total if total else 0
    return glyphs.filled * filled, glyphs.empty * (cells - filled)
