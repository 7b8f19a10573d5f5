"""Shows on stderr how far a run is: a live display on a terminal, otherwise a line now and then.

The pipeline only names the stages that move. A thread of the display looks a few times a second at their tallies, at
what their models say they are working on (``Gauged``) and at what else is under way (``activity``), so that whatever
takes long is seen to take long. What the lines say is in ``progress_lines``.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from judgebench.activity import Activity, current
from judgebench.display import clock, printable
from judgebench.models import Gauge
from judgebench.models.wrappers import Wrapper
from judgebench.records import Generation, StageCounts
from judgebench.run.progress_lines import (
    ASCII,
    NAME_CELLS,
    UNICODE,
    Overall,
    Part,
    StageFacts,
    bar,
    cut,
    eta_of_all,
    fitting,
    overall_parts,
    parts,
    plain,
)
from judgebench.run.stages import RunningTask, under_way

if TYPE_CHECKING:
    from rich.text import Text

TICK_SECONDS = 0.25
"""Interval at which a terminal is drawn and numbers are sampled."""
FIRST_SECONDS = 2.0
"""Where there is no terminal: when the first line comes, and how long an activity takes before it gets one."""
LOG_SECONDS = 30.0
"""Where there is no terminal: time between two lines on the same stage."""
FLICKER_SECONDS = 0.3
"""An activity that takes less is not shown."""
WINDOW_SECONDS = 60.0
"""Speeds are those of the last minute."""
SAMPLE_SECONDS = 1.0
BAR_FROM_WIDTH = 80
NOTE_CHARACTERS = 400
STAGES = ("generate", "judge")

Key = tuple[str, str]
"""A task's key and a stage."""


class Progress:
    """An observer of the pipeline that shows the tally of each stage.

    ``title`` stands above a run that is one of several.
    """

    def __init__(self, *, shown: bool, title: str = "") -> None:
        self._watch = StageWatch()
        self._screen: _Screen | None = None
        self._title = title
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="judgebench-progress", daemon=True)
        if shown:
            live = sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
            self._screen = _Terminal() if live else _Log()

    def __enter__(self) -> "Progress":
        if self._screen is not None:
            self._screen.begin(self._title)
            self._thread.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._screen is None:
            return
        self._ended.set()
        self._thread.join()
        with suppress(OSError):  # nobody reads stderr any more
            self._screen.end(self._watch.look(), failed=error is not None)

    def update(self, run: RunningTask, stage: str) -> None:
        """Note that a stage has moved."""
        self._watch.stages[run.key, stage] = run

    def _work(self) -> None:
        assert self._screen is not None
        while not self._ended.wait(TICK_SECONDS):
            try:
                self._screen.show(self._watch.look())
            except Exception:  # noqa: BLE001 - a display that fails must not end a run that is paid for
                return


# -- what is looked at


@dataclass
class _Meter:
    """A number that grows, at some moments of the last minute."""

    samples: deque[tuple[float, float]] = field(default_factory=deque)
    begun: float = 0.0

    def add(self, now: float, value: float) -> None:
        if not self.samples:
            self.begun = now
        if not self.samples or now - self.samples[-1][0] >= SAMPLE_SECONDS:
            self.samples.append((now, value))
        while len(self.samples) > 2 and now - self.samples[1][0] > WINDOW_SECONDS:
            self.samples.popleft()

    def per_second(self, now: float, value: float) -> float | None:
        """Speed in the last minute, else since the beginning; ``None`` in the first second, or if nothing moved."""
        if not self.samples or now - self.begun < SAMPLE_SECONDS:
            return None
        then, before = self.samples[0]
        if value > before and now > then:
            return (value - before) / (now - then)
        return value / (now - self.begun) if value > 0 else None


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything at one moment."""

    now: float
    seconds: float
    """Since the display began."""
    stages: Mapping[Key, StageFacts]
    """Those that have begun."""
    overall: Overall | None
    several: bool
    """Whether there is more than one stage, begun or not."""
    name_cells: int
    """Width of the widest name of a stage."""
    activities: list[Activity]
    notes: Mapping[object, str]
    """What a user should know now, each once."""


class StageWatch:
    """Looks at the stages of a run, and remembers what their speeds need."""

    def __init__(self) -> None:
        self.stages: dict[Key, RunningTask] = {}
        self._began = time.monotonic()
        self._items: dict[object, _Meter] = {}
        self._tokens: dict[Key, _Meter] = {}
        self._calls_each: dict[str, int] = {}

    def look(self) -> View:
        """Return what is so now."""
        from rich.cells import cell_len

        now, stages = time.monotonic(), dict(self.stages)
        working = under_way(stages)
        facts = {key: self._facts(key, run, working.get(key, Gauge(0, 0)), now) for key, run in stages.items()}
        return View(
            now=now,
            seconds=now - self._began,
            stages={key: own for key, own in facts.items() if own.counts.done or own.rows},
            overall=self._overall(stages, facts, now) if facts else None,
            several=len(facts) > 1,
            name_cells=min(NAME_CELLS, max((cell_len(printable(own.name)) for own in facts.values()), default=0)),
            activities=current(),
            notes={
                (key[0], name): note for key, run in stages.items() for name, note in run.first_verdicts.notes.items()
            },
        )

    def _facts(self, key: Key, run: RunningTask, working: Gauge, now: float) -> StageFacts:
        counts = run.counts.get(key[1]) or StageCounts()
        flows = run.flows[key[1]]
        finished, tokens = _finished(run, key[1], counts), counts.usage.completion_tokens + working.tokens
        items_per_second, tokens_per_second = None, None
        if finished and counts.seconds > 0:
            items_per_second, tokens_per_second = counts.asked / counts.seconds, tokens / counts.seconds
        elif flows and not _batched(run, key[1]):
            items, meter = self._items.setdefault(key, _Meter()), self._tokens.setdefault(key, _Meter())
            items.add(now, counts.asked)
            meter.add(now, tokens)
            items_per_second, tokens_per_second = items.per_second(now, counts.asked), meter.per_second(now, tokens)
        return StageFacts(
            name=" ".join(key),
            counts=counts,
            expected=max(counts.done, self._expected(run, key[1], counts)),
            rows=working.rows,
            unfinished_tokens=working.tokens,
            most_tokens=working.limit,
            items_per_second=items_per_second,
            tokens_per_second=tokens_per_second,
            seconds=counts.seconds,
            finished=finished,
        )

    def _expected(self, run: RunningTask, stage: str, counts: StageCounts) -> int:
        """How many items a stage will have; calls of judges exist only once their answer does."""
        if stage == "generate":
            return len(run.data.examples)
        if run.key not in self._calls_each:
            self._calls_each[run.key] = _calls_each(run)
        return counts.total + self._calls_each[run.key] * (len(run.data.examples) - len(run.sent_to_judges))

    def _overall(self, stages: Mapping[Key, RunningTask], facts: Mapping[Key, StageFacts], now: float) -> Overall:
        eta: list[float] = []
        spent = expected = speed = 0.0
        usd_open = priced = False
        known = unknown = 0
        for stage in STAGES:
            own = [found for key, found in facts.items() if key[1] == stage]
            asked, left = sum(found.counts.asked for found in own), sum(found.left for found in own)
            usd = sum(found.counts.usd for found in own)
            meter = self._items.setdefault(stage, _Meter())
            if asked or any(run.flows[stage] for key, run in stages.items() if key[1] == stage):
                meter.add(now, asked)
            waits = any(_batched(run, stage) for key, run in stages.items() if key[1] == stage)
            per_second = None if waits else meter.per_second(now, asked)
            speed += per_second or 0.0 if left else 0.0
            seconds = _seconds_left([found for found in own if found.left])
            if seconds is None and left and per_second:
                seconds = left / per_second
            eta += [] if seconds is None else [seconds]
            known, unknown = (known, unknown + left) if seconds is None else (known + left, unknown)
            spent, expected = spent + usd, expected + usd + (left * usd / asked if asked else 0.0)
            costs = usd > 0 or any(_costs(run, stage) for key, run in stages.items() if key[1] == stage)
            priced |= costs
            usd_open |= costs and bool(left) and not asked
        return Overall(
            done=sum(found.counts.done for found in facts.values()),
            expected=sum(found.expected for found in facts.values()),
            items_per_second=speed or None,
            usd=spent,
            usd_expected=expected if priced else None,
            usd_open=usd_open,
            eta=eta_of_all(eta, known, unknown),
            eta_open=unknown > 0,
            seconds=now - self._began,
        )


def _seconds_left(open_stages: Iterable[StageFacts]) -> float | None:
    """Time until stages are done, from the tokens still to come; ``None`` if they or their speed are not known.

    Tokens of few long replies come steadily, while the replies themselves end by fits and starts.
    """
    left = [(facts.tokens_left, facts.tokens_per_second or 0.0) for facts in open_stages]
    speed = sum(per_second for _, per_second in left)
    if not speed or any(tokens is None for tokens, _ in left):
        return None
    return sum(tokens or 0.0 for tokens, _ in left) / speed


def _finished(run: RunningTask, stage: str, counts: StageCounts) -> bool:
    """Whether a stage has nothing more to do."""
    every = stage == "generate" or len(run.sent_to_judges) >= len(run.data.examples)
    return every and 0 < counts.total <= counts.done


def _batched(run: RunningTask, stage: str) -> bool:
    """Whether some of a stage's replies come when a vendor has done with a batch, so that there is no speed."""
    return any(isinstance(flow.model, Wrapper) and flow.model.batched for flow in run.flows[stage])


def _costs(run: RunningTask, stage: str) -> bool:
    """Whether the stage's calls have a price above nothing."""
    seats = [seat.price for seats in run.seats.values() for seat in seats]
    prices = [run.price] if stage == "generate" else seats
    return any(price is not None and (price.prompt or price.completion) for price in prices)


def _calls_each(run: RunningTask) -> int:
    """How many judge calls an answer leads to, as an invented one shows; 1 if the task makes nothing of it."""
    example = run.data.examples[0]
    answer = Generation(example_id=example.id, model="?", outputs=("?", *("?" for _ in example.followups)))
    with suppress(Exception):  # the first real answer shows what is wrong with the task
        return sum(1 for _ in run.judge_calls(answer))
    return 1


# -- where it is shown


class _Screen(Protocol):
    """Where lines are written."""

    def begin(self, title: str) -> None:
        """Show that something happens."""

    def show(self, view: View) -> None:
        """Show what is new."""

    def end(self, view: View, *, failed: bool) -> None:
        """Leave the last line of each stage."""


def _ended(view: View, done: set[Key]) -> Iterator[StageFacts]:
    """The stages that have ended since the last look."""
    for key, facts in view.stages.items():
        if facts.finished and key not in done:
            done.add(key)
            yield facts


def _new_notes(view: View, told: set[object]) -> Iterator[str]:
    """The notes since the last look."""
    for key, note in view.notes.items():
        if key not in told:
            told.add(key)
            yield printable(note, NOTE_CHARACTERS)


class _Log:
    """Lines in a file or pipe."""

    def __init__(self) -> None:
        self._told: set[object] = set()
        self._done: set[Key] = set()
        self._next: dict[object, float] = {}

    def begin(self, title: str) -> None:
        if title:
            self._write([title])

    def show(self, view: View) -> None:
        lines = [plain(facts) for facts in _ended(view, self._done)]
        lines += [
            f"{printable(activity.what)}: {clock(view.now - activity.since)} so far"
            for activity in view.activities
            if self._due(activity, activity.since, view.now)
        ]
        lines += _new_notes(view, self._told)
        running = [plain(facts) for facts in view.stages.values() if not facts.finished]
        if running and self._due("stages", view.now - view.seconds, view.now):
            lines += running
            if view.overall is not None and view.several:
                lines.append("all: " + ", ".join(part.text for part in overall_parts(view.overall, ASCII)))
        self._write(lines)

    def end(self, view: View, *, failed: bool) -> None:
        left = [
            replace(facts, rows=0) for key, facts in view.stages.items() if key not in self._done and facts.counts.total
        ]
        self._write(map(plain, left))

    def _due(self, what: object, since: float, now: float) -> bool:
        """Whether something that began at ``since`` gets a line now."""
        due = now >= self._next.setdefault(what, since + FIRST_SECONDS)
        if due:
            self._next[what] = now + LOG_SECONDS
        return due

    def _write(self, lines: Iterable[str]) -> None:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


class _Terminal:
    """Live lines at the bottom of a terminal; what has ended stays above them."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True, highlight=False)
        self._glyphs = UNICODE if self._console.encoding.startswith("utf") else ASCII
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            # What is printed meanwhile goes above the lines, but a pipe behind stdout must get it as it is.
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        self._done: set[Key] = set()
        self._told: set[object] = set()
        self._name_cells = 0
        """Width of the widest name of a stage."""

    def begin(self, title: str) -> None:
        from rich.text import Text

        if title:
            self._print(Text(cut(title, self._console.width, self._glyphs), style="bold"))
        self._live.start()
        # rich hides the cursor, and a process that is killed cannot bring it back.
        self._console.show_cursor(True)
        self._live.update(self._moving("starting", 0.0, time.monotonic()), refresh=True)

    def show(self, view: View) -> None:
        from rich.console import Group
        from rich.text import Text

        for note in _new_notes(view, self._told):
            self._console.print(Text(note, style="yellow"))
        self._name_cells = view.name_cells
        for facts in _ended(view, self._done):
            self._print(self._stage(facts, self._glyphs.done, "green"))
        self._live.update(Group(*self._lines(view)), refresh=True)

    def end(self, view: View, *, failed: bool) -> None:
        self._live.stop()
        self._name_cells = view.name_cells
        for key, facts in view.stages.items():
            if key not in self._done and facts.counts.total:
                stopped = failed and not facts.finished
                sign, style = (self._glyphs.stopped, "red") if stopped else (self._glyphs.done, "green")
                # Nothing is under way any more.
                self._print(self._stage(replace(facts, rows=0), sign, style))
        if view.overall is not None and len(view.stages) > 1:
            self._print(self._joined("  all ", overall_parts(view.overall, self._glyphs, ended=True)))

    def _lines(self, view: View) -> "list[Text]":
        """The live lines: running stages, other activities, and all stages together, as many as the screen has."""
        stages = [self._stage(facts) for facts in view.stages.values() if not facts.finished]
        others = [
            self._moving(activity.what, view.now - activity.since, view.now)
            for activity in view.activities
            if view.now - activity.since >= FLICKER_SECONDS
        ]
        if view.overall is not None:
            found = overall_parts(view.overall, self._glyphs)
            others.append(self._joined(f"{self._spinning(view.now)} all ", found))
        elif not others:
            others.append(self._moving("starting", view.seconds, view.now))
        room = max(0, self._console.height - 2 - len(others))
        if len(stages) > room:
            more = len(stages) - max(0, room - 1)
            stages = [*stages[: max(0, room - 1)], self._joined("  ", [Part(f"{more} more stages")])]
        return [*stages, *others]

    def _stage(self, facts: StageFacts, sign: str = " ", style: str = "") -> "Text":
        from rich.cells import set_cell_size
        from rich.text import Text

        name = set_cell_size(cut(printable(facts.name), NAME_CELLS, self._glyphs), self._name_cells)
        line = Text(f"{sign} ", style=style)
        line.append(f"{name} ", style="default")
        if self._console.width >= BAR_FROM_WIDTH and not facts.finished and sign == " ":
            filled, empty = bar(facts.counts.done, facts.expected, self._glyphs)
            line.append(filled, style="cyan")
            line.append(f"{empty} ", style="bright_black")
        return self._joined(line, parts(facts))

    def _joined(self, before: "Text | str", found: Iterable[Part]) -> "Text":
        """The parts that fit behind what stands before them."""
        from rich.text import Text

        line = Text(before) if isinstance(before, str) else before
        for place, part in enumerate(fitting(list(found), self._console.width - line.cell_len, self._glyphs)):
            if place:
                line.append(self._glyphs.between, style="default")
            line.append(part.text, style="red" if part.bad else "default")
        return self._whole(line)

    def _moving(self, what: str, seconds: float, now: float) -> "Text":
        from rich.text import Text

        time_ = f" {clock(seconds)}"
        words = cut(printable(what), self._console.width - len(time_) - 2, self._glyphs)
        return self._whole(Text(f"{self._spinning(now)} {words}{time_}"))

    def _whole(self, line: "Text") -> "Text":
        """The line, which must never wrap."""
        line.no_wrap, line.overflow = True, "crop"
        return line

    def _spinning(self, now: float) -> str:
        return self._glyphs.spinner[int(now / TICK_SECONDS) % len(self._glyphs.spinner)]

    def _print(self, line: "Text") -> None:
        self._console.print(self._whole(line), crop=True, soft_wrap=False)
