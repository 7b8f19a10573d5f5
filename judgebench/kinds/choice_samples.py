"""lm-eval's samples of multiple choice (``samples_<task>_<date>.jsonl``), as answers whose log-likelihoods are known.

The format is that of 0.4.13 (``lm_eval/loggers/evaluation_tracker.py``): ``doc_id``, ``doc``, and under
``filtered_resps`` a log-likelihood for each option. We score them again, and only compare lm-eval's own values.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from judgebench.data.rows import FileRow, file_stem, identifier, inside
from judgebench.records import Example, Generation
from judgebench.task import Imported, TaskData

THEIRS = {"acc": "accuracy", "acc_norm": "accuracy_norm", "acc_bytes": "accuracy_bytes"}
"""Our metrics by lm-eval's names."""


def import_samples(rows: Sequence[FileRow], data: TaskData, *, id_field: str, headline: str) -> tuple[Imported, ...]:
    """Read the samples of one model. An item is found by its id in the document, or by the document's number.

    Raises :class:`~judgebench.errors.RecordError` for a row that is not a sample of one of the items.
    """
    candidate = file_stem(rows[0].path) or "lm-eval"
    found: dict[str, Generation] = {}
    names = {**THEIRS, "acc": headline if headline == "mc2" else "accuracy"}
    stored: dict[str, dict[str, float]] = {name: {} for name in names.values()}
    for row in rows:
        example = _example(row, data, id_field)
        if example.id in found:
            raise row.error(f"there is a sample of the item {example.id[:80]!r} already")
        values = _values(row, len(example.meta["options"]))
        best = max(range(len(values)), key=values.__getitem__)
        found[example.id] = Generation(
            example_id=example.id, model=candidate, outputs=(example.meta["options"][best],), likelihoods=values
        )
        for theirs, ours in names.items():
            if isinstance(value := row.fields.get(theirs), int | float) and math.isfinite(value):
                stored[ours][example.id] = float(value)
    return (
        Imported(
            candidate=candidate,
            examples=data.examples,
            generations=tuple(found.values()),
            stored={name: values for name, values in stored.items() if values},
            unknown=("how the prompts were put into tokens",),
        ),
    )


def _example(row: FileRow, data: TaskData, id_field: str) -> Example:
    document = row.fields.get("doc")
    if not isinstance(document, Mapping) or row.value("doc_id") is None:
        raise row.error("expected a row of lm-eval's samples, with 'doc_id', 'doc' and 'filtered_resps'")
    key = identifier(inside(document, *id_field.split("."))) or row.key("doc_id")
    example = data.find(key)
    if example is None:
        raise row.error(f"its document {key[:80]!r} is not one of this benchmark's {len(data.examples)} items")
    return example


def _values(row: FileRow, count: int) -> tuple[float, ...]:
    """The log-likelihoods of a sample, which lm-eval writes as texts."""
    replies: Any = row.fields.get("filtered_resps")
    if not isinstance(replies, list) or len(replies) != count:
        raise row.error(f"'filtered_resps' must hold a log-likelihood for each of the item's {count} options")
    try:
        values = tuple(float(one[0]) for one in replies)
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise row.error(f"'filtered_resps' holds something else than log-likelihoods: {error}") from error
    if not all(-1e15 < value <= 0 for value in values):
        raise row.error("'filtered_resps' holds something else than log-likelihoods, which are 0 at most")
    return values
