"""Reads what ``alpaca_eval`` wrote: annotations.json (with judgements) and model_outputs.json (answers only).

Both spellings of the judge's columns are read: plain, and with the ``preference_`` prefix of versions after 0.6.3.
Spec of the fields: tatsu-lab/alpaca_eval@cd543a1 ``results/*/*/annotations.json``.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from judgebench.data.rows import FileRow, count_of, inside, text_or_none
from judgebench.judges.orders import candidate_share
from judgebench.records import LARGEST, Case, Completion, Example, Judgement, Message, TokenLogprob, Usage, Verdict
from judgebench.task import Imported, TaskData
from judgebench.task.answers import failure_notes, import_answers, text_answers

from .judges import Evaluator, evaluator

RAW_TOLERANCE = 1e-9
"""A stored preference has ten decimals, so one read again from its raw completion may differ by 5e-11."""


def read_alpaca_eval(rows: Sequence[FileRow], data: TaskData, *, switch: Callable[[str], bool]) -> tuple[Imported, ...]:
    """Read annotations if the rows have a ``preference``, else model outputs.

    Raise RecordError for a row whose instruction is unknown or repeated, or whose fields have the wrong type.
    """
    if not any("preference" in row.fields for row in rows):
        return import_answers(rows, data)
    examples = {example.instruction: example for example in data.examples}
    found: dict[str, FileRow] = {}
    names: dict[str, set[str]] = {"generator_1": set(), "generator_2": set(), "annotator": set()}
    for row in rows:
        instruction = row.text("instruction")
        if instruction not in examples:
            raise row.error(f"the instruction {instruction[:80]!r} is not one of this benchmark's")
        if instruction in found:
            raise row.error(f"the instruction {instruction[:80]!r} already stands at line {found[instruction].line}")
        found[instruction] = row
        for name, values in names.items():
            if name in row.fields:
                values.add(row.text(name))
    candidate = _only(names["generator_2"], "generator_2", rows[0]) or "unknown"
    baseline = _only(names["generator_1"], "generator_1", rows[0]) or next(iter(data.baselines))
    annotator = _only(names["annotator"], "annotator", rows[0])
    reader = _Annotations(candidate, baseline, annotator, switch)
    judgements = tuple(reader.judgement(row, examples[instruction]) for instruction, row in found.items())
    rest = [example for example in data.examples if example.instruction not in found]
    answers = {
        field: {examples[key].id: row.text(field) for key, row in found.items() if _said(row, field)}
        for field in ("output_1", "output_2")
    }
    notes = []
    if reader.disagreeing:
        notes.append(f"{reader.disagreeing} raw completions do not give the stored preference; the stored one is kept")
    notes += failure_notes([row for row in rows if row.number("preference") is None], "preferences")
    notes += failure_notes([row for row in rows for name in answers if name in row.fields and not _said(row, name)])
    if rest:
        notes.append(f"{len(rest)} of {len(data.examples)} instructions have no row")
    return (
        Imported(
            candidate=candidate,
            examples=(*(examples[instruction] for instruction in found), *rest),
            generations=tuple(text_answers(candidate, answers["output_2"]).values()),
            baselines={baseline: text_answers(baseline, answers["output_1"])},
            judgements=judgements,
            unknown=(
                "when the judge was asked",
                "how the answers were sampled",
                *(("which judge and prompt were used",) if annotator is None else ()),
            ),
            notes=tuple(notes),
        ),
    )


def _only(values: set[str], field: str, row: FileRow) -> str | None:
    if len(values) > 1:
        raise row.error(
            f"the file mixes {len(values)} values of {field!r}: {', '.join(sorted(values))[:200]}; split it"
        )
    return next(iter(values), None)


class _Annotations:
    """Turns one file's rows into judgements."""

    def __init__(self, candidate: str, baseline: str, annotator: str | None, switch: Callable[[str], bool]) -> None:
        self._candidate, self._baseline, self._switch = candidate, baseline, switch
        self._annotator = annotator or "unknown"
        self._evaluator = evaluator(self._annotator)
        self.disagreeing = 0
        """Rows whose raw completion does not give the stored preference."""
        self._judge = self._evaluator.judge(name=self._annotator, messages=_no_messages, prompt_sha256="")

    def judgement(self, row: FileRow, example: Example) -> Judgement:
        """Make the row's judgement, with the judge's reply if the reply gives the stored preference."""
        preference = row.number("preference")
        if preference == 0:  # legacy code for a tie
            preference = 1.5
        problem = "null in the imported file"
        if preference is not None and not 1 <= preference <= 2:
            # metrics/winrate.py leaves such rows out; here they are unread, so that they are counted.
            problem, preference = f"a preference of {preference} lies outside [1, 2]", None
        stored = None if preference is None else preference - 1
        raw = row.value("raw_completion", "preference_raw_completion")
        reply = None if raw is None else _reply(raw, row, self._evaluator)
        # The baseline is always output_1; in a raw completion the seeded order decides who was shown first.
        candidate, reread = 1, None
        if reply is not None:
            candidate = 0 if self._switch(example.instruction) else 1
            case = Case(id=example.id, judge=self._annotator, example=example, answers=())
            share = self._judge.read(case, (reply,)).value
            reread = None if share is None else candidate_share(share, candidate)
        agrees = _close(reread, stored)
        self.disagreeing += raw is not None and not agrees
        if reply is None or not agrees:
            reply, candidate, reread = None, 1, stored
        first_share = None if reread is None else candidate_share(reread, candidate)
        shown = (self._candidate, self._baseline) if candidate == 0 else (self._baseline, self._candidate)
        return Judgement(
            case_id=example.id,
            example_id=example.id,
            judge=self._evaluator.like or self._annotator,
            judge_model=self._evaluator.model or f"annotator:{self._annotator}",
            answers=shown,
            candidate=candidate,
            verdict=Verdict(value=first_share, error=None if first_share is not None else problem),
            replies=() if reply is None else (reply,),
        )


def _said(row: FileRow, field: str) -> bool:
    """Say whether the row has an answer under that name."""
    return row.value(field) not in (None, [], [None])


def _close(reread: float | None, stored: float | None) -> bool:
    if reread is None or stored is None:
        return reread is stored
    return abs(reread - stored) <= RAW_TOLERANCE


def _no_messages(case: Case) -> tuple[Message, ...]:
    """Ask nothing: the judge only reads replies."""
    return ()


def _reply(raw: Any, row: FileRow, evaluator: Evaluator) -> Completion:
    """Turn a raw completion into a reply: it is a choice object, a text or a parsed ranking."""
    if isinstance(raw, str):
        return Completion(text=raw)
    if isinstance(raw, list) or (isinstance(raw, dict) and "ordered_models" in raw and "logprobs" not in raw):
        return Completion(text=json.dumps(raw) if evaluator.replies_in_json else repr(raw))
    if not isinstance(raw, dict):
        raise row.error("'raw_completion' must be an object, a list, text or null")
    total = count_of(raw.get("total_tokens"))
    message = raw.get("message")
    return Completion(
        text=text_or_none(inside(message, "content") if isinstance(message, dict) else raw.get("text")),
        finish_reason=text_or_none(raw.get("finish_reason")),
        usage=Usage(prompt_tokens=total - 1, completion_tokens=1) if total else Usage(),
        top_logprobs=_top_logprobs(inside(raw, "logprobs", "content")),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _top_logprobs(content: Any) -> tuple[tuple[TokenLogprob, ...], ...] | None:
    if not isinstance(content, list):
        return None
    return tuple(
        tuple(
            (entry["token"], float(entry["logprob"]))
            for entry in _listed(position.get("top_logprobs"))
            if isinstance(entry, dict)
            and isinstance(entry.get("token"), str)
            and isinstance(entry.get("logprob"), int | float)
            and abs(entry["logprob"]) <= LARGEST
        )
        for position in content
        if isinstance(position, dict)
    )
