"""The lines of a run's progress: what they say, and what a narrow terminal leaves out."""

from rich.cells import cell_len

from judgebench.records import StageCounts, Usage
from judgebench.run.progress_lines import (
    ASCII,
    UNICODE,
    Overall,
    Part,
    StageFacts,
    bar,
    cut,
    fitting,
    joined,
    overall_parts,
    parts,
    plain,
    speed,
)


def facts(**changes: object) -> StageFacts:
    """A judge's stage with some of everything."""
    counts = StageCounts(
        total=40,
        resumed=3,
        cached=2,
        asked=11,
        failed=1,
        unread=4,
        reasked=2,
        usage=Usage(prompt_tokens=2000, completion_tokens=299),
        usd=0.0421,
        estimated=7,
        seconds=30.0,
    )
    given = {"name": "alpacaeval judge", "counts": counts, "expected": 48, "rows": 16, **changes}
    return StageFacts(**given)  # type: ignore[arg-type]


def test_a_stage_says_what_is_under_way_how_fast_and_what_went_wrong() -> None:
    """16 long answers at once look alive: their rows and their tokens count before any of them is complete."""
    alive = StageFacts(
        name="gsm8k generate",
        counts=StageCounts(total=24),
        expected=24,
        rows=16,
        unfinished_tokens=2299,
        tokens_per_second=38.2,
    )
    assert plain(alive) == "gsm8k generate: 0/24, 16 under way, 38.2 tokens/s, 2,299 tokens"
    assert plain(facts(items_per_second=0.37)) == (
        "alpacaeval judge: 17/48, 16 under way, 0.4 calls/s, 1 failed, 4 unread, 2 re-asked, 3 resumed, 2 cached, "
        "2,299 tokens, $0.0421, tokens of 7 calls not reported, estimated"
    )


def test_long_replies_of_a_batch_are_measured_against_their_limit() -> None:
    """Three replies of at most 2,048 tokens each: what is written so far moves while none of them ends, and the seconds
    that a call of a batch takes are left out.
    """
    counts = StageCounts(total=6, asked=2, usage=Usage(completion_tokens=1000))
    given = {"name": "math generate", "counts": counts, "expected": 6, "rows": 3, "most_tokens": 6144}
    early, late = (
        StageFacts(**given, unfinished_tokens=tokens, tokens_per_second=10.0, items_per_second=0.01)  # type: ignore[arg-type]
        for tokens in (1200, 5000)
    )
    assert plain(early) == "math generate: 2/6, 3 under way, 1,200 of max 6,144 tokens, 10.0 tokens/s, 2,200 tokens"
    # One that has not begun, as long as the finished ones are on average, and half of what the others may still write.
    assert early.tokens_left == 500 + (6144 - 1200) / 2
    assert late.tokens_left == 500 + (6144 - 5000) / 2
    assert facts().tokens_left is None
    last = StageFacts(**{**given, "expected": 5}, unfinished_tokens=1200, tokens_per_second=10.0)  # type: ignore[arg-type]
    assert "1,200 of max 6,144 tokens (8:14 at most)" in plain(last)


def test_no_line_is_wider_than_its_terminal() -> None:
    """What is wanted least goes first; how much is done stays as long as it fits."""
    for width in range(4, 130):
        for glyphs in (UNICODE, ASCII):
            kept = fitting(parts(facts(items_per_second=0.37, tokens_per_second=1234.0)), width, glyphs)
            line = cut(joined(kept, glyphs), width, glyphs)
            assert cell_len(line) <= width
            assert width < 5 or line.startswith("17/48")


def test_parts_go_in_the_order_of_their_rank() -> None:
    """A failure outlives a sum of tokens, and what is cut by force ends in an ellipsis of the terminal's encoding."""
    kept = [part.text for part in fitting(parts(facts()), 52)]
    assert kept == ["17/48", "16 under way", "1 failed", "4 unread", "$0.0421"]
    assert (cut("loading the weights", 10), cut("loading the weights", 10, ASCII)) == ("loading t…", "loading...")
    assert cut("模型模型模型", 7) == "模型模…"


def test_a_slow_endpoint_is_not_at_zero_calls_a_second() -> None:
    """One call in 45 seconds is said so."""
    assert speed(1 / 45, "calls") == "45 s/call"


def test_a_bar_is_full_only_at_the_end() -> None:
    """And a stage of nothing has an empty one."""
    assert [len(bar(done, 24, UNICODE)[0]) for done in (0, 1, 23, 24, 30)] == [0, 0, 15, 16, 16]
    assert bar(0, 0, ASCII, 4) == ("", "----")


def overall(**changes: object) -> Overall:
    """All stages at a moment."""
    given = {
        "done": 45,
        "expected": 96,
        "items_per_second": 3.21,
        "usd": 0.42,
        "usd_expected": 1.9,
        "usd_open": False,
        "eta": 17.0,
        "eta_open": False,
        "seconds": 34.0,
        **changes,
    }
    return Overall(**given)  # type: ignore[arg-type]


def test_all_stages_together() -> None:
    """USD so far and expected, time left and passed; a plus stands for what cannot be known yet."""
    assert joined(overall_parts(overall(), UNICODE)) == "45/96 · 3.2 calls/s · $0.4200 of ≈$1.90 · ETA 0:17 · 0:34"
    unknown = overall_parts(overall(usd_open=True, eta_open=True), ASCII)
    assert joined(unknown, ASCII) == "45/96, 3.2 calls/s, $0.4200 of about $1.90+, ETA 0:17+, 0:34"
    free = overall_parts(overall(usd=0.0, usd_expected=None, eta=None, items_per_second=None), UNICODE)
    assert joined(free) == "45/96 · 0:34"
    assert joined(overall_parts(overall(), UNICODE, ended=True)) == "45/96 · 3.2 calls/s · $0.4200 · 0:34"
    assert fitting(overall_parts(overall(), UNICODE), 10)[0] == Part("45/96")
    # From that speed another time would follow: the stages' lines have speeds of their own.
    assert "calls/s" not in joined(overall_parts(overall(eta=83.0), UNICODE))
