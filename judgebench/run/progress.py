"""Shows on stderr how far each stage is: a live display on a terminal, otherwise a line now and then."""

import sys
import time
from typing import TYPE_CHECKING

from judgebench.records import StageCounts
from judgebench.run.stages import RunningTask

if TYPE_CHECKING:
    from rich.progress import TaskID

TERMINAL_SECONDS = 0.1
LOG_SECONDS = 30.0


class Progress:
    """An observer of the pipeline that shows the tally of each stage."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._seconds = LOG_SECONDS
        self._last: dict[tuple[str, str], float] = {}
        self._latest: dict[tuple[str, str], RunningTask] = {}
        self._rows: dict[tuple[str, str], TaskID] = {}
        self._display = None
        if shown and sys.stderr.isatty():
            self._seconds = TERMINAL_SECONDS
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Display

            self._display = Display(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[facts]}"),
                console=Console(stderr=True),
                transient=False,
            )

    def __enter__(self) -> "Progress":
        if self._display is not None:
            self._display.start()
        return self

    def __exit__(self, *ended: object) -> None:
        for key in self._latest:
            self._show(key)
        if self._display is not None:
            self._display.stop()

    def update(self, run: RunningTask, stage: str) -> None:
        """Note one finished item; the display is updated with a short delay."""
        if not self._shown:
            return
        key, now = (run.key, stage), time.monotonic()
        self._latest[key] = run
        if now - self._last.setdefault(key, 0.0 if self._display else now) >= self._seconds:
            self._last[key] = now
            self._show(key)

    def _show(self, key: tuple[str, str]) -> None:
        run = self._latest[key]
        counts = run.count(key[1])
        name, words = f"{key[0]} {key[1]}", facts(counts)
        if self._display is None:
            sys.stderr.write(f"{name}: {words}\n")
            return
        if key not in self._rows:
            self._rows[key] = self._display.add_task(name, total=counts.total, facts=words)
        self._display.update(self._rows[key], completed=counts.done, total=counts.total, facts=words)


def facts(counts: StageCounts) -> str:
    """Write a stage's tally in words: done of total, where results came from, speed, tokens, USD."""
    parts = [f"{counts.done}/{counts.total}"]
    for label, count in (
        ("resumed", counts.resumed),
        ("cached", counts.cached),
        ("without a call", counts.skipped),
        ("failed", counts.failed),
        ("unread", counts.unread),
        ("re-asked", counts.reasked),
    ):
        if count:
            parts.append(f"{count} {label}")
    if counts.asked and counts.seconds > 0:
        parts.append(f"{counts.asked / counts.seconds:.1f} calls/s")
    tokens = counts.usage.prompt_tokens + counts.usage.completion_tokens
    if tokens:
        parts.append(f"{tokens:,} tokens")
    if counts.usd:
        parts.append(f"${counts.usd:.4f}")
    if counts.estimated:
        parts.append(f"tokens of {counts.estimated} calls not reported, estimated")
    return ", ".join(parts)
