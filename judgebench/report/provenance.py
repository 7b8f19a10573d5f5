"""Where runs come from: their own facts, and how those of unlike protocol differ."""

from collections.abc import Iterator
from dataclasses import dataclass

from judgebench.analysis.comparison_records import ProtocolMismatch
from judgebench.display import printable
from judgebench.report.collect import Report
from judgebench.report.places import masked
from judgebench.run.protocol import in_words


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
    """A setting as people call it, its value in the first run, and in the other."""


def unlike(report: Report) -> list[Unlike]:
    """How protocols differ, for each run that is left out of a comparison."""
    if report.comparison is None:
        return []
    found = report.comparison.unlike.items()
    return [_unlike(report, key, one) for key, mismatches in found for one in mismatches]


def _unlike(report: Report, key: str, mismatch: ProtocolMismatch) -> Unlike:
    fields = [(name, *both) for name, both in zip(mismatch.fields, mismatch.values, strict=True)]
    return Unlike(
        task=printable(key, 200),
        first=report.names[next(n for n, run in enumerate(report.runs) if key in run.tasks)],
        other=report.names[mismatch.run],
        rows=tuple((printable(a, 300), printable(b, 300), printable(c, 300)) for a, b, c in in_words(fields)),
    )
