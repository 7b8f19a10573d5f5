"""Reads verdicts that were made elsewhere: rows of ``id``, ``value`` and, where a kind has them, what else they name.

They are scored as those of a judge of one's own are. The format is ``judgebench import FILE --from verdicts``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, file_stem
from judgebench.records import Example, Judgement, Verdict
from judgebench.task import Imported, TaskData
from judgebench.task.answers import attempt_of, repeated

ELSEWHERE = "verdicts"
"""What stands for the judge where a model is not judged, but verified, or says how likely options are."""
UNKNOWN_JUDGE = "verdicts made elsewhere"


def import_verdicts(
    rows: Sequence[FileRow],
    data: TaskData,
    *,
    case: Callable[[Example, FileRow], tuple[str, int]],
    value: Callable[[Example, FileRow, Any], Verdict],
    judge: str = ELSEWHERE,
) -> tuple[Imported, ...]:
    """Read one verdict per row: ``{"id": …, "value": …, "attempt": 0, "judge": …, "model": …}``.

    ``case`` says which case a row is about, and its turn; ``value`` what its value means; ``judge`` what the judge is
    called. A null value is a verdict that is missing. Several attempts at an item become several examples of
    it, as ``--repeats`` makes them.
    Raises :class:`~judgebench.errors.RecordError` for a row that is unknown, repeated or of the wrong type.
    """
    rows = [of_form(row, data) for row in rows]
    attempts = [attempt_of(row) for row in rows]
    examples = data.examples if not any(attempts) else repeated(data.examples, 1 + max(attempts))
    by_id = {example.id: example for example in examples}
    models = dict.fromkeys(row.text("model") for row in rows if row.value("model") is not None)
    if len(models) > 1:
        raise rows[0].error(f"the file holds verdicts on {len(models)} models ({', '.join(models)[:200]}); split it")
    candidate = next(iter(models), None) or file_stem(rows[0].path) or "verdicts"
    judgements: dict[str, tuple[FileRow, Judgement]] = {}
    for row, attempt in zip(rows, attempts, strict=True):
        key = row.key("id")
        item = data.find(key)
        if item is None:
            known = f"{len(data.examples)} items, whose ids are like {data.examples[0].id!r}"
            raise row.error(f"{key[:80]!r} is not one of this benchmark's {known}")
        example = item if len(examples) == len(data.examples) else by_id[f"{item.id}#{attempt}"]
        case_id, turn = case(example, row)
        if case_id in judgements:
            raise row.error(f"there is a verdict on the same case at {judgements[case_id][0].place}")
        given = row.value("value")
        verdict = Verdict(value=None, error="the file has no verdict") if given is None else value(example, row, given)
        judge_model = row.text("judge") if row.value("judge") is not None else UNKNOWN_JUDGE
        judgements[case_id] = (
            row,
            Judgement(
                case_id=case_id,
                example_id=example.id,
                judge=judge,
                judge_model=judge_model,
                answers=(candidate,),
                verdict=verdict,
                turn=turn,
            ),
        )
    return (
        Imported(
            candidate=candidate,
            examples=examples,
            generations=(),
            judgements=tuple(judgement for _, judgement in judgements.values()),
            unknown=("how the answers were sampled", "what the judge was asked"),
        ),
    )


def of_form(row: FileRow, data: TaskData) -> FileRow:
    """The row, about the form of its item that its attempt means, if items are asked in several forms."""
    key = row.key("id")
    if data.find(key) is not None or data.find(form := f"{key}-{attempt_of(row) + 1}") is None:
        return row
    return msgspec.structs.replace(row, fields={**row.fields, "id": form, "attempt": None})
