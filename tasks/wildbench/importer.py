"""Reads what WildBench's scripts wrote: score and pairwise result files, batch files, and model outputs.

A folder may hold several models and several shapes, which differ in their fields (``eval=<judge>/ref=<baseline>`` in a
path are upstream's names):

- converted records of the batch mode (``model_test, score, model_output`` or ``model_A, model_B, winner, extent,
  model_outputs``, both with ``parsed_result``), also without their answers;
- items of the instant mode (``generator, result, parsed_result, error``, in pairs with ``assignment``), also those of
  version 1, whose verdicts have no extent;
- lines of ``.batch_results.jsonl``, and of ``.batch-submit.jsonl`` for the answers that were judged;
- model outputs (``session_id, output, generator``).

Source: allenai/WildBench@d6b8dca:src/eval.py, src/openai_batch_eval/batch_results_format.py.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, count_of, file_stem, inside, text_or_none, where
from judgebench.errors import UsageError
from judgebench.records import Completion, Example, Judgement, Usage, Verdict
from judgebench.task import Imported, TaskData
from judgebench.task.answers import failure_notes, read_answers, text_answers

from .formulas import BASELINES
from .judges import EMPTY, JUDGES, Reading, choice_verdict, read_verdict, recovered, score_verdict

UNKNOWN_JUDGE = "unknown"
FLAGS = {"": "", "trunc": "truncated", "truncated": "truncated", "empty": "empty"}
LETTERS = ("A", "B")
JUDGED_FIELDS = {"score", "model_A", "assignment", "result", "custom_id"}
"""One of these is in every record of a judgement."""
Sides = tuple[str | None, int]
"""Name of the baseline, ``None`` for a score, and index of the candidate among the answers shown."""
ALONE: Sides = (None, 0)
TEXT_FIELDS = ("model_output", "ref_output", "model_outputs")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One judged answer or pair of a file."""

    row: FileRow
    judgement: Judgement
    """It has the judge's reply if the verdict can be read from that again."""
    own: str | None
    """The candidate's answer, as stored."""
    other: str | None = None
    lengths: tuple[tuple[int, str], ...] | None = None
    """Length and flag of the candidate's and the baseline's answer, where the record has them instead of texts."""
    contradicts: bool = False
    """The stored verdict is not the one that the stored reply gives; the stored one counts."""

    @property
    def session(self) -> str:
        """The task's id."""
        return self.judgement.example_id

    @property
    def baseline(self) -> str | None:
        """The model compared with; ``None`` for a score."""
        answers = self.judgement.answers
        return answers[1 - self.judgement.candidate] if len(answers) == 2 else None


def read_wildbench(
    rows: Sequence[FileRow], data: TaskData, *, judges: Sequence[str], reading: Reading
) -> tuple[Imported, ...]:
    """Make one run for each model under test, with all its scores and pairs.

    Raise RecordError for a row of another shape, or of a session that is not the benchmark's. Notes count repeated
    rows, verdicts that cannot be read and failed calls.
    """
    if any("output" in row.fields for row in rows) and all(_is_answer(row) for row in rows):
        return read_outputs(rows, data)
    prompts = {row.text("custom_id"): _prompt(row) for row in rows if "body" in row.fields}
    reader = _Reader(prompts, reading, frozenset(BASELINES) | frozenset(data.baselines))
    files: dict[str, _Model] = {}
    itself = 0
    for row in rows:
        if "body" in row.fields:
            continue
        try:
            record = reader.read(row)
        except _ComparedWithItself:
            itself += 1
            continue
        if record.session not in data.by_id:
            raise row.error(f"the session {record.session[:80]!r} is not one of this benchmark's {len(data.examples)}")
        candidate = record.judgement.answers[record.judgement.candidate]
        if record.judgement.judge in judges:
            files.setdefault(candidate, _Model(candidate)).add(record)
    if not files:
        wanted = " or ".join(judges)
        raise UsageError(f"{rows[0].path} holds no {wanted} record that this task could import")
    notes = [f"{itself} rows compare a model with itself, whose reward is 0 by definition"] if itself else []
    return tuple(model.imported(data, notes) for model in files.values())


def read_outputs(rows: Sequence[FileRow], data: TaskData) -> tuple[Imported, ...]:
    """Read answers: upstream's result files (``session_id``, a list whose first output counts), or our own shape."""
    return (read_answers([_as_answer(row) for row in rows], data),)


def _is_answer(row: FileRow) -> bool:
    """Say whether a row is of model outputs; it may lack the output."""
    return "session_id" in row.fields and ("output" in row.fields or not JUDGED_FIELDS & row.fields.keys())


def _as_answer(row: FileRow) -> FileRow:
    if "session_id" not in row.fields:
        return row
    output = row.value("output")
    first = (output or [None])[0] if isinstance(output, list) else output
    fields = {"id": row.fields["session_id"], "output": first}
    if isinstance(row.value("generator"), str):
        fields["generator"] = row.fields["generator"]
    return msgspec.structs.replace(row, fields=fields)


# -- one row


class _ComparedWithItself(Exception):
    """A row compares a model with itself, which says nothing."""


class _Reader:
    """Tells shapes apart and turns rows into records."""

    def __init__(self, prompts: Mapping[str, str | None], reading: Reading, baselines: frozenset[str]) -> None:
        self._prompts = prompts
        self._reading = reading
        self._baselines = baselines

    def read(self, row: FileRow) -> Record:
        """Make the row's record; raise _ComparedWithItself if it says nothing."""
        fields = row.fields
        if "custom_id" in fields and "response" in fields:
            return self._batch(row)
        if "assignment" in fields or ("result" in fields and "generator" in fields):
            return self._instant(row)
        if "model_A" in fields and "model_B" in fields:
            return self._converted_pair(row)
        if "session_id" in fields and "score" in fields:
            return self._converted_score(row)
        raise row.misshapen(f"it is no record of WildBench; its fields are: {row.names}")

    def _converted_score(self, row: FileRow) -> Record:
        verdict, reply, contradicts = self._stored(row, score_verdict(row.fields["score"]), "score")
        generator = row.text("model_test") if "model_test" in row.fields else None
        return Record(
            row=row,
            judgement=_judgement(row, row.text("session_id"), generator, ALONE, _judge_of(row), verdict, reply),
            contradicts=contradicts,
            own=_optional_text(row, "model_output"),
            lengths=_lengths(row, ("len", "truncated", "empty")),
        )

    def _converted_pair(self, row: FileRow) -> Record:
        ids = (row.text("model_A"), row.text("model_B"))
        sides = self._sides(row, ids)
        own, other = ids[sides[1]], ids[1 - sides[1]]
        verdict, reply, contradicts = self._stored(row, _winner_verdict(row, ids), "choice")
        texts = row.fields.get("model_outputs")
        if texts is not None and not (
            isinstance(texts, dict) and all(isinstance(texts.get(model), str | None) for model in ids)
        ):
            raise row.error("'model_outputs' must hold a text for each of the two models")
        return Record(
            row=row,
            judgement=_judgement(row, row.text("session_id"), own, sides, _judge_of(row), verdict, reply),
            contradicts=contradicts,
            own=inside(texts, own),
            other=inside(texts, other),
            lengths=_lengths(row, ("len_test", "flag_test"), ("len_ref", "flag_ref")),
        )

    def _instant(self, row: FileRow) -> Record:
        generator, reply = row.text("generator"), _instant_reply(row)
        sides = ALONE
        other = None
        if "assignment" in row.fields:
            ids = [inside(row.fields["assignment"], letter) for letter in LETTERS]
            if not all(isinstance(model, str) for model in ids):
                raise row.error("'assignment' must name the models shown as A and B")
            known = row.text("ref_generator") if "ref_generator" in row.fields else None
            sides = self._sides(row, (ids[0], ids[1]), known)
            other = _optional_text(row, "ref_output")
        verdict = self._read(reply, "score" if sides is ALONE else "choice")
        judge_model = _judge_of(row, text_or_none(inside(row.fields, "eval_config", "gpt")))
        return Record(
            row=row,
            judgement=_judgement(row, row.text("session_id"), generator, sides, judge_model, verdict, reply),
            own=_optional_text(row, "model_output"),
            other=other,
        )

    def _batch(self, row: FileRow) -> Record:
        custom_id = row.text("custom_id")
        session, *names = custom_id.split("||")
        reply = _batch_reply(row)
        prompt = self._prompts.get(custom_id)
        sides = ALONE
        judge = JUDGES["score"]
        if len(names) == 2 and names[0].startswith("A:") and names[1].startswith("B:"):
            names = [name[2:] for name in names]
            sides = self._sides(row, (names[0], names[1]))
            judge = JUDGES["pairwise"]
        elif len(names) != 1:
            raise row.error(f"the custom_id {custom_id[:80]!r} is not SESSION||MODEL or SESSION||A:MODEL||B:MODEL")
        texts = [prompt and recovered(prompt, marker) for marker in judge.markers]
        position, judge_model = sides[1], _judge_of(row, reply.model)
        verdict = self._read(reply, judge.key)
        return Record(
            row=row,
            judgement=_judgement(row, session, names[position], sides, judge_model, verdict, reply),
            own=texts[position],
            other=texts[1 - position] if len(texts) == 2 else None,
        )

    def _sides(self, row: FileRow, ids: tuple[str, str], baseline: str | None = None) -> Sides:
        """Return the baseline's name and the candidate's index."""
        if ids[0] == ids[1]:
            raise _ComparedWithItself
        named = baseline or _in_path(row, "ref")
        if named is not None:
            holding = [index for index, model in enumerate(ids) if named in model or model in named]
        else:
            # Upstream's rule: the baseline is the first id that contains its name.
            holding = [index for index, model in enumerate(ids) if any(name in model for name in self._baselines)]
        if len(holding) != 1:
            raise row.error(
                f"it cannot be told which of {ids[0]!r} and {ids[1]!r} is the baseline; put the file into a folder "
                f"'ref=<baseline>', as upstream does"
            )
        model = ids[holding[0]]
        return next((name for name in sorted(self._baselines) if name in model), named or model), 1 - holding[0]

    def _stored(self, row: FileRow, stored: Verdict, key: str) -> tuple[Verdict, Completion | None, bool]:
        """Read the stored verdict, with the judge's parsed words if they give the same one.

        Without words it has no label, by which cases are known that nobody was asked about.
        """
        bare = msgspec.structs.replace(stored, label=None)
        parsed = row.fields.get("parsed_result")
        if not isinstance(parsed, dict):
            return bare, None, False
        reply = Completion(text=json.dumps(parsed, ensure_ascii=False), usage=_usage(row))
        read = read_verdict(reply.text or "", key, "strict")
        agrees = read.value == stored.value
        return (read, reply, False) if agrees else (bare, None, True)

    def _read(self, reply: Completion, key: str) -> Verdict:
        if reply.error:
            return Verdict(value=None, error=reply.error)
        return read_verdict(reply.text or "", key, self._reading)


def _winner_verdict(row: FileRow, ids: tuple[str, str]) -> Verdict:
    """Read the winner's id and the extent of the win."""
    winner, extent = row.fields.get("winner"), row.fields.get("extent")
    if winner == "tie":
        return choice_verdict("A=B")
    if isinstance(winner, str) and winner in ids and extent in (1, 2) and not isinstance(extent, bool):
        return choice_verdict(LETTERS[ids.index(winner)] + "+" * int(extent))
    if extent is None and isinstance(winner, str) and winner in ids:
        return Verdict(value=None, error="the record has a winner, but not by how much")
    return Verdict(value=None, error=f"winner {str(winner)[:40]!r} with extent {str(extent)[:10]!r} is no verdict")


def _lacks_text(row: FileRow) -> bool:
    """Say whether a place for an answer is empty."""
    values = [row.fields[name] for name in TEXT_FIELDS if name in row.fields]
    texts = [text for value in values for text in (value.values() if isinstance(value, dict) else [value])]
    return any(text is None or text == [] or text == [None] for text in texts)


def _candidate(row: FileRow, generator: str | None) -> str:
    """Name the model after the generator without its owner; in upstream's folders, or without one, after the file."""
    if generator is None or _in_path(row, "eval") is not None:
        return file_stem(row.path).removesuffix(".batch_results").rpartition("__")[2]
    return generator.rpartition("/")[2]


def _in_path(row: FileRow, name: str) -> str | None:
    """Find the value of ``name=value`` in the row's path."""
    found = re.search(rf"(?:^|/){name}=([^/]+?)(?:__[^/]*)?(?:/|$)", row.path)
    return found[1] if found else None


def _judge_of(row: FileRow, model: str | None = None) -> str:
    return model or _in_path(row, "eval") or UNKNOWN_JUDGE


def _optional_text(row: FileRow, name: str) -> str | None:
    """Return a text that may be absent; the first one if it is a list."""
    value = row.value(name)
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, str):
        return value
    raise row.error(f"{name!r} must be a string")


def _lengths(row: FileRow, *names: tuple[str, ...]) -> tuple[tuple[int, str], ...] | None:
    """Read the length and flag of each answer from fields that stand in for texts."""
    found = []
    for length_name, *flag_names in names:
        length = count_of(row.value(length_name))
        if length is None:
            return None
        flag = ""
        for name in flag_names:
            value = row.fields.get(name)
            if value is True:
                flag = flag or name
            elif isinstance(value, str):
                flag = flag or FLAGS.get(value, "")
        found.append((length, flag))
    return tuple(found)


def _usage(row: FileRow) -> Usage:
    meta = row.fields.get("meta_data")
    return _tokens(inside(meta, "usage") if isinstance(meta, dict) else row.fields)


def _tokens(usage: Any) -> Usage:
    prompt, completion = (count_of(inside(usage, name)) or 0 for name in ("prompt_tokens", "completion_tokens"))
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def _instant_reply(row: FileRow) -> Completion:
    """Read what the judge said. After an error upstream stores the *previous* item's reply, which is not taken."""
    error = row.fields.get("error")
    if error not in (None, "N/A"):
        return Completion(error=f"the call failed: {str(error)[:200]}")
    result = row.fields.get("result")
    if not isinstance(result, str) or result == "N/A":
        return Completion(error="the item was never judged")
    return Completion(text=result)


def _batch_reply(row: FileRow) -> Completion:
    """Read the service's answer to one request of a batch."""
    response = row.fields.get("response")
    response = response if isinstance(response, dict) else {}
    body = response.get("body")
    if row.fields.get("error") or not isinstance(body, dict) or response.get("status_code", 200) != 200:
        return Completion(error=f"the request failed: {str(row.fields.get('error') or response)[:200]}")
    message = inside(body, "choices", 0, "message")
    return Completion(
        text=text_or_none(inside(message, "content")),
        finish_reason=text_or_none(inside(body, "choices", 0, "finish_reason")),
        model=text_or_none(body.get("model")),
        usage=_tokens(body.get("usage")),
        error=None if isinstance(message, dict) else "the response holds no message",
    )


def _prompt(row: FileRow) -> str | None:
    return text_or_none(inside(row.fields["body"], "messages", -1, "content"))


def _judgement(
    row: FileRow,
    session: str,
    generator: str | None,
    sides: Sides,
    judge_model: str,
    verdict: Verdict,
    reply: Completion | None,
) -> Judgement:
    candidate, (baseline, position) = _candidate(row, generator), sides
    answers = (candidate,) if baseline is None else (candidate, baseline) if position == 0 else (baseline, candidate)
    return Judgement(
        case_id=f"{session}#{baseline or 'score'}",
        example_id=session,
        judge="score" if baseline is None else "pairwise",
        judge_model=judge_model,
        answers=answers,
        candidate=position,
        verdict=verdict,
        replies=() if reply is None else (reply,),
    )


# -- one model


@dataclass
class _Model:
    """One model's records, and what is wrong with them."""

    name: str
    records: dict[str, Record] = field(default_factory=dict)
    """By the id of the case."""
    repeated: int = 0
    repeated_otherwise: int = 0

    def add(self, record: Record) -> None:
        """Keep the first record of each session and judge; count the others."""
        first = self.records.setdefault(record.judgement.case_id, record)
        if first is record:
            return
        other_verdict = first.judgement.verdict.value != record.judgement.verdict.value
        if other_verdict and first.row.path != record.row.path:
            raise record.row.error(
                f"{self.name} has another verdict on session {record.session} in {first.row.path}: these are two "
                f"protocols, import them one by one"
            )
        self.repeated += 1
        self.repeated_otherwise += other_verdict

    def imported(self, data: TaskData, notes: Iterable[str]) -> Imported:
        """Make the model's run."""
        judge_models = self._judge_models()
        records = list(self.records.values())
        seen = dict.fromkeys(record.session for record in records)
        rest = [example for example in data.examples if example.id not in seen]
        baselines: dict[str, dict[str, str]] = {}
        for record in records:
            if record.baseline is not None and record.other is not None:
                baselines.setdefault(record.baseline, {})[record.session] = _as_written(record.other)
        unknown = ["when the judge was asked", "how the answers were sampled"]
        if UNKNOWN_JUDGE in judge_models.values():
            unknown.append("which model judged")
        judgements = [record.judgement for record in records]
        return Imported(
            candidate=self.name,
            examples=(*self._with_lengths(data.by_id[session] for session in seen), *rest),
            generations=tuple(text_answers(self.name, self._answers()).values()),
            baselines={name: text_answers(name, texts) for name, texts in baselines.items()},
            judgements=tuple(msgspec.structs.replace(j, judge_model=judge_models[j.judge]) for j in judgements),
            unknown=tuple(unknown),
            notes=(*notes, *self._notes(data)),
        )

    def _judge_models(self) -> dict[str, str]:
        """Return the model that played each judge. Verdicts of two models are two protocols and never mixed."""
        found: dict[str, dict[str, Record]] = {}
        for record in self.records.values():
            own = found.setdefault(record.judgement.judge, {})
            if record.judgement.judge_model != UNKNOWN_JUDGE:
                own.setdefault(record.judgement.judge_model, record)
        for own in found.values():
            if len(own) > 1:
                (one, first), (other, second), *_ = own.items()
                raise second.row.error(
                    f"{self.name} was judged by {other} here and by {one} in {first.row.path}: these are two "
                    f"protocols, import them one by one"
                )
        return {judge: next(iter(own), UNKNOWN_JUDGE) for judge, own in found.items()}

    def _answers(self) -> dict[str, str]:
        """Return the model's answers: whole ones from scores if there are any, else as shown in pairs."""
        texts: dict[str, str] = {}
        for record in sorted(self.records.values(), key=lambda record: record.baseline is not None):
            if record.own is not None:
                texts.setdefault(record.session, _as_written(record.own))
        order = dict.fromkeys(record.session for record in self.records.values())
        return {session: texts[session] for session in order if session in texts}

    def _with_lengths(self, examples: Iterable[Example]) -> Iterable[Example]:
        """Add the lengths that stand in for texts to the examples, by judge (``score``, or the baseline's name)."""
        texts = self._answers()
        found: dict[str, dict[str, list[list[int | str]]]] = {}
        for record in self.records.values():
            if record.lengths is not None and record.session not in texts:
                lengths: list[list[int | str]] = [list(pair) for pair in record.lengths]
                found.setdefault(record.session, {})[record.baseline or "score"] = lengths
        for example in examples:
            meta = {**example.meta, "stored": found[example.id]} if example.id in found else example.meta
            yield msgspec.structs.replace(example, meta=meta)

    def _notes(self, data: TaskData) -> Iterable[str]:
        by_judge: dict[str, list[Record]] = {}
        for record in self.records.values():
            by_judge.setdefault(record.baseline or "score", []).append(record)
        for judge, those in by_judge.items():
            if missing := len(data.examples) - len(those):
                what = "score" if judge == "score" else f"verdict against {judge}"
                yield f"{missing} of {len(data.examples)} tasks have no {what} in the file"
        unread: dict[str, list[FileRow]] = {}
        for record in self.records.values():
            if error := record.judgement.verdict.error:
                unread.setdefault(error, []).append(record.row)
        for reason, rows in sorted(unread.items(), key=lambda item: -len(item[1]))[:5]:
            yield f"{len(rows)} verdicts cannot be read: {reason} ({where(rows)})"
        yield from failure_notes([record.row for record in self.records.values() if _lacks_text(record.row)])
        if self.repeated:
            yield (
                f"{self.repeated} rows repeat a session, {self.repeated_otherwise} of them with another verdict; the "
                f"first of each is kept"
            )
        if disagreeing := sum(record.contradicts for record in self.records.values()):
            yield f"{disagreeing} stored verdicts are not those of the stored replies; the stored ones are kept"


def _as_written(text: str) -> str:
    """Return an answer as the model gave it, not as the judge was shown it."""
    return "" if text.strip() == EMPTY else text
