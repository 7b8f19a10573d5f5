"""Addresses in a page that was written, for what refers to it: a table in a terminal, a comment on a change."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from judgebench.report.address import address
from judgebench.report.collect import Report, TaskReport

LARGEST = 5
"""How many of the samples that changed most are linked."""


@dataclass(frozen=True)
class Links:
    """A page, and what is in it."""

    place: Path
    report: Report

    def metric(self, task: str, metric: str) -> str:
        """Where the runs are compared by a metric of a task."""
        return f"{self.place}{address('compare', task, metric=metric)}"

    def sample(self, protocol_hash: str, example_id: str, first: str | Path, second: str | Path) -> str:
        """Where a sample is shown as two runs, by their folders, have it; ``""`` for what the page does not have."""
        task = next((one for one in self.report.tasks if one.protocol_hash == protocol_hash), None)
        places = {str(run.path): number for number, run in enumerate(self.report.runs)}
        sides = {name: places.get(str(path)) for name, path in (("run", first), ("vs", second))}
        if task is None or example_id not in task.examples:
            return ""
        known = {name: number for name, number in sides.items() if number is not None}
        return f"{self.place}{address('s', task.label, example_id, **known)}"


def largest_changes(task: TaskReport, count: int = LARGEST) -> list[tuple[str, float]]:
    """The samples that changed most from a task's first run to its second, with the change; losses first."""
    if len(task.runs) < 2:
        return []
    first, second = (measure.values if (measure := task.measure_of(run)) else {} for run in (0, 1))
    changes = [
        (name, after - before)
        for name, before in first.items()
        if before is not None and (after := second.get(name)) is not None and after != before
    ]
    return sorted(changes, key=lambda entry: (-abs(entry[1]), entry[1]))[:count]


def in_markdown(words: str, target: str) -> str:
    """A link, whose words are Markdown already; the target's path is taken as it lies."""
    path, mark, fragment = target.partition("#")
    safe = quote(path.encode("utf-8", "replace"), safe="/:") + mark + fragment
    return f"[{words}]({safe.replace('(', '%28').replace(')', '%29')})"
