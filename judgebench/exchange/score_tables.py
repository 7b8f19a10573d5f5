"""Scores as a flat table, CSV or parquet: a row for each score, a column for each of its fields.

The tables that commands print are in ``sheets``.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from judgebench.data.csv_cells import original_text
from judgebench.data.rows import FileRow
from judgebench.records import Score
from judgebench.run.reading import Run
from judgebench.task import Task

ABOUT_THE_RUN = ("model", "run", "label", "protocol_hash", "starter")
FIELDS = (*ABOUT_THE_RUN, *Score.__struct_fields__, "kind")
NUMBERS = ("value", "stderr", "low", "high", "level")
COUNTS = ("n", "n_missing")


def score_rows(run: Run) -> Iterator[dict[str, Any]]:
    """The table's row for each score of a run."""
    for task in run.tasks.values():
        about = {
            "model": run.manifest.candidate,
            "run": run.manifest.run_id,
            "label": task.task_manifest.label,
            "protocol_hash": task.task_manifest.protocol_hash,
            "starter": task.task_manifest.starter,
        }
        for score in (*task.scores, *task.predictions):
            fields = msgspec.to_builtins(score)
            yield {**about, **fields, "details": json.dumps(fields["details"]), "kind": score.kind}


def to_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A parquet file of scores."""
    import pyarrow
    import pyarrow.parquet

    types = {**dict.fromkeys(NUMBERS, pyarrow.float64()), **dict.fromkeys(COUNTS, pyarrow.int64())}
    types["starter"] = pyarrow.bool_()
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in FIELDS])
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows], schema), sink)
    return sink.getvalue()


def read_scores(rows: Sequence[FileRow], task: Task) -> dict[str, tuple[str, list[Score]]]:
    """By model, who reports its scores on a task, and the scores; rows of other tasks or sets are skipped.

    Predicted numbers are nobody's report, and are skipped, too. Raises
    :class:`~judgebench.errors.RecordError` for a row that is not a score.
    """
    found: dict[str, tuple[str, list[Score]]] = {}
    for row in rows:
        fields = {name: _cell(name, value) for name, value in row.fields.items()}
        label = fields.get("label")
        if "metric" not in fields or not isinstance(label, str):
            raise row.error(f"a row of scores was expected, with the columns {', '.join(FIELDS)}")
        starter = str(fields.get("starter"))
        if label.partition(":")[0] != f"{task.name}@{task.version}" or starter != str(task.starter):
            continue
        try:
            fields["details"] = json.loads(fields.get("details") or "{}")
            score = msgspec.convert({name: fields.get(name) for name in Score.__struct_fields__}, Score, strict=False)
        except (msgspec.ValidationError, TypeError, ValueError, RecursionError) as error:
            raise row.error(f"it is not a score: {error}") from error
        if score.kind == "predicted":
            continue
        if score.value is None and score.reason is None:
            score = msgspec.structs.replace(score, reason="the file holds no number")
        reported_by = f"judgebench, protocol {fields.get('protocol_hash')}"
        found.setdefault(str(fields.get("model")), (reported_by, []))[1].append(score)
    return found


def _cell(name: str, value: Any) -> Any:
    """A cell's value: ``None`` for an empty cell, and a text as it was before it was made safe."""
    if not isinstance(value, str):
        return value
    if value == "" or (name in NUMBERS and value.strip().lower() == "nan"):
        return None
    return value if name in (*NUMBERS, *COUNTS) else original_text(value)
