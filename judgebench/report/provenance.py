"""Where runs come from: their own facts, and how those of unlike protocol differ."""

from collections.abc import Iterator
from dataclasses import dataclass

from judgebench.display import printable
from judgebench.report.collect import Report
from judgebench.report.places import masked


def facts(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    """Where each run comes from, as names and values."""
    return [(name, list(_facts(report, number))) for number, name in enumerate(report.names)]


def _facts(report: Report, number: int) -> Iterator[tuple[str, str]]:
    run = report.runs[number]
    manifest = run.manifest
    yield "model", manifest.candidate
    yield "model spec", manifest.candidate_spec or ""
    yield "folder", run.path.name
    yield "status", run.status
    yield "started", str(manifest.started_at)
    if manifest.sessions:
        yield "command", " ".join(masked(manifest.sessions[-1].argv))
    yield "versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    for task in run.tasks.values():
        yield f"{task.task_manifest.label}: protocol", task.task_manifest.protocol_hash


@dataclass(frozen=True)
class Unlike:
    """Runs that are not compared with the first one of their task."""

    task: str
    first: str
    other: str
    rows: tuple[tuple[str, str, str], ...]
    """Field, its value in the first run, and in the other."""


def unlike(report: Report) -> list[Unlike]:
    """How protocols differ, for each run that is left out of a comparison."""
    if report.comparison is None:
        return []
    return [
        Unlike(
            task=printable(key, 200),
            first=report.names[next(n for n, run in enumerate(report.runs) if key in run.tasks)],
            other=report.names[one.run],
            rows=tuple(
                (field, printable(first, 300), printable(second, 300))
                for field, (first, second) in zip(one.fields, one.values, strict=True)
            ),
        )
        for key, mismatches in report.comparison.unlike.items()
        for one in mismatches
    ]
