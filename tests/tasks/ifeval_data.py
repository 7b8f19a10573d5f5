"""The shared real IFEval data as the tests use it."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from judgebench.tasks.ifeval.sentences import read_punkt
from judgebench.tasks.ifeval.tables import Tables

from judgebench import tasks
from judgebench.data.sources import SourceFinder
from judgebench.run.loading import load_task
from judgebench.task import Task, TaskData
from tests.shared_data import SHARED, SharedData

IFEVAL = SharedData("ifeval")


def mirrors() -> tuple[Path, ...]:
    """Where the official files are."""
    return IFEVAL.path, SHARED / "upstream"


def models() -> list[str]:
    """Those whose answers are here."""
    return sorted(path.name.removesuffix(".jsonl.gz") for path in (IFEVAL / "responses").glob("*.gz"))


def read_lines(name: str) -> list[dict[str, Any]]:
    """Records of a JSON-lines file, ``.gz`` or not."""
    path = IFEVAL / name
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.splitlines()]


@cache
def responses(model: str) -> dict[str, str]:
    """A model's answers by prompt."""
    return {str(row["key"]): row["response"] for row in read_lines(f"responses/{model}.jsonl.gz")}


@cache
def loaded(spec: str, cache_folder: Path) -> tuple[Task, TaskData]:
    """A task with the shared data as its mirror."""
    (parsed,) = tasks.parse_specs(spec)
    one = load_task(parsed, SourceFinder(cache_folder, mirrors(), offline=True), starter=False)
    return one.task, one.data


@cache
def punkt() -> Tables:
    """The English Punkt model as the only table."""
    names = ("abbrev_types.txt", "collocations.tab", "sent_starters.txt", "ortho_context.tab")
    return Tables(punkt=read_punkt(*((IFEVAL / "punkt_tab_english" / name).read_bytes() for name in names)))
