"""Reads what ``arena-hard-auto`` wrote: answers and judgements of the current and the legacy pipeline.

It reads a file, or a folder in which ``model_answer`` and ``model_judgment`` may lie together, and makes one record for
each judged model or, if nothing was judged, for each model that answered. Notes count what cannot be used.
Shapes: lmarena/arena-hard-auto@196f6b8, and the parent of 9a1d386 for the legacy ones.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, count_of, file_stem, inside
from judgebench.records import Completion, Example, Judgement, Verdict
from judgebench.task import Generations, Imported, TaskData
from judgebench.task.answers import failed_answer, failure_notes, import_answers, text_answers

from .battles import Rules
from .judges import GAMES, read_verdict, verdict_of
from .style import known_style

ERROR = "$ERROR$"
"""What upstream stores where an endpoint gave nothing."""
TEXT_FIELDS = {"messages", "choices", "answer"}
OTHER_EDITION = {32: "v0.1", 16: "v2.0"}
"""Editions by the length of their question ids."""


def read_answer_file(data: bytes) -> dict[str, tuple[str, dict[str, float]]]:
    """Read an official answer file: text and known style by question."""
    found = {}
    for number, line in enumerate(data.splitlines(), 1):
        row = FileRow("answers", number, msgspec.json.decode(line))
        text, styles = _answer(row)
        if text is not None:
            found[row.text("uid", "question_id")] = text, styles
    return found


def import_outputs(
    rows: Sequence[FileRow], data: TaskData, *, arena_hard: Callable[[Sequence[FileRow], TaskData], Sequence[Imported]]
) -> Sequence[Imported]:
    """Read answers in upstream's shape, or in a shape that every task reads."""
    upstream = any("uid" in row.fields or "question_id" in row.fields for row in rows)
    return arena_hard(rows, data) if upstream else import_answers(rows, data)


def read_arena_hard(
    rows: Sequence[FileRow], data: TaskData, *, baselines: Mapping[str, str], rules: Rules
) -> tuple[Imported, ...]:
    """Read every judged model, or every model that answered if nothing is judged.

    ``baselines`` are the official ones by category. Raise RecordError for a row that belongs to no question, or whose
    fields have the wrong type. If a row is there twice, the last one counts, and a note says so.
    """
    found = _Found({example.id: example for example in (*data.examples, *data.extras.set_aside)}, baselines, rules)
    for row in rows:
        found.add(row)
    candidates = [name for name, model in found.models.items() if model.judged] or list(found.models)
    return tuple(found.imported(model, data, candidates) for model in candidates)


@dataclass
class _Model:
    """What the rows hold of one model: its answers and their judgements."""

    texts: dict[str, str] = field(default_factory=dict)
    styles: dict[str, dict[str, float]] = field(default_factory=dict)
    failed: dict[str, list[FileRow]] = field(default_factory=dict)
    """Rows with a place for the text and nothing in it."""
    judged: dict[tuple[str, str], tuple[Judgement, ...]] = field(default_factory=dict)
    """By question and judge."""
    lacking: list[FileRow] = field(default_factory=list)
    """A row for each game that is missing in it."""
    counts: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)


@dataclass
class _Found:
    """Everything that the rows hold, texts and styles by question."""

    examples: Mapping[str, Example]
    official: Mapping[str, str]
    rules: Rules
    models: dict[str, _Model] = field(default_factory=dict)
    order: dict[str, None] = field(default_factory=dict)

    def add(self, row: FileRow) -> None:
        uid = row.key("uid", "question_id")
        example = self.examples.get(uid)
        if example is None:
            raise row.error(f"{uid[:80]!r} is no question of this edition{_hint(uid, self.examples)}")
        name = row.text("model", "model_id") if {"model", "model_id"} & row.fields.keys() else file_stem(row.path)
        self.order[uid] = None
        model = self.models.setdefault(name, _Model())
        if "games" in row.fields:
            self._add_judgement(row, example, name, model)
        else:
            self._add_answer(row, example, model)

    def _add_answer(self, row: FileRow, example: Example, own: _Model) -> None:
        text, style = _answer(row)
        if example.id in own.texts or (text is None and example.id in own.styles):
            own.counts["answers stand twice; the last one is taken"] += 1
        if text is not None:
            own.texts[example.id] = text
            own.counts[f"answers are the text {ERROR}"] += text.strip() == ERROR
        elif TEXT_FIELDS & row.fields.keys():
            own.failed.setdefault(example.id, []).append(row)
            return
        elif not style:
            raise row.misshapen("the row holds no answer: no 'messages', 'choices', 'answer' or 'metadata' with counts")
        own.styles[example.id] = style

    def _add_judgement(self, row: FileRow, example: Example, name: str, own: _Model) -> None:
        games = row.value("games") or []
        if not isinstance(games, list) or len(games) > len(GAMES):
            raise row.error(f"'games' must be a list of {len(GAMES)} games")
        own.counts["games are not in their row"] += len(GAMES) - len(games)
        own.lacking += [row] * (len(GAMES) - sum(_judged(game) for game in games))
        judge, category = _judge(row, own), str(example.meta["category"])
        baseline = row.text("baseline") if "baseline" in row.fields else self.official[category]
        if (example.id, judge) in own.judged:
            own.counts["judgements stand twice; the last one is taken"] += 1
        judgements = []
        for (suffix, model_first), game in zip(GAMES, games, strict=False):
            verdict, reply = self._game(row, game, own.counts)
            judgements.append(
                Judgement(
                    case_id=example.id + suffix,
                    example_id=example.id,
                    judge=category,
                    judge_model=judge,
                    answers=(name, baseline) if model_first else (baseline, name),
                    candidate=0 if model_first else 1,
                    verdict=verdict,
                    replies=() if reply is None else (reply,),
                )
            )
        own.judged[example.id, judge] = tuple(judgements)

    def _game(self, row: FileRow, game: Any, counts: Counter[str]) -> tuple[Verdict, Completion | None]:
        """Read a game: its stored score counts; the judge's words are kept if today's rule reads the same in them."""
        if game is None:
            counts["games are null: the judge's endpoint failed"] += 1
            return _failed("the game is null in the imported file")
        if not isinstance(game, dict):
            raise row.error("a game must be an object or null")
        label, text = game.get("score"), _judge_text(row, game)
        if label is not None and not isinstance(label, str):
            raise row.error("a game's 'score' must be a label or null")
        if text is not None and set(text.split()) == {ERROR}:
            counts[f"games are {ERROR}: the judge's endpoint failed"] += 1
            return _failed(f"{ERROR} in the imported file")
        if text is None and label is None:
            counts["games hold no judgement"] += 1
            return _failed("the game holds no judgement in the imported file")
        stored = verdict_of(label, self.rules.pipeline) if label is not None else None
        if stored is not None and stored.value is None:
            counts[f"labels are {str(label)[:40]}, which the {self.rules.pipeline} pipeline does not know"] += 1
        read = None if text is None else read_verdict(text, self.rules.pipeline)
        if read is not None and (stored is None) == (read.label is None) and (stored is None or stored == read):
            counts["games have no verdict in the judge's words"] += stored is None
            return read, Completion(text=text)
        if read is not None:
            counts["stored scores are not what the judge's words say today; the stored ones are kept"] += 1
        return stored or Verdict(value=None, error="no score in the imported file"), None

    def imported(self, name: str, data: TaskData, candidates: Sequence[str]) -> Imported:
        """Make one model's record, with the style of every baseline whose style the files hold."""
        own = self.models[name]
        judgements = [judgement for games in own.judged.values() for judgement in games]
        against = {judgement.answers[1 - judgement.candidate] for judgement in judgements}
        rows = own.texts.keys() | own.styles.keys() | own.failed.keys() | {uid for uid, _ in own.judged}
        mine = [uid for uid in self.order if uid in rows]
        categories = {self.examples[uid].meta["category"] for uid in mine}
        set_aside = [example for example in data.extras.set_aside if example.meta["category"] in categories]
        rest = [example for example in (*data.examples, *set_aside) if example.id not in rows]
        examples = (*(self.examples[uid] for uid in mine), *rest)
        answers = text_answers(name, own.texts)
        answers |= {
            uid: failed_answer(self.examples[uid], name)
            for uid in own.failed
            if uid not in own.texts and uid not in own.styles
        }
        return Imported(
            candidate=name,
            examples=tuple(self._with_styles(example, {name, *against}) for example in examples),
            generations=tuple(answers[uid] for uid in mine if uid in answers),
            baselines=self._baselines(against, data),
            judgements=tuple(judgements),
            unknown=tuple(sorted({*own.unknown, "when the judge was asked", "how the answers were sampled"})),
            notes=tuple(self._notes(own, len(mine), rest, against, candidates)),
        )

    def _with_styles(self, example: Example, models: set[str]) -> Example:
        styles = {
            name: self.models[name].styles[example.id]
            for name in sorted(models & self.models.keys())
            if self.models[name].styles.get(example.id)
        }
        return msgspec.structs.replace(example, meta={**example.meta, "styles": styles}) if styles else example

    def _baselines(self, against: set[str], data: TaskData) -> dict[str, Generations]:
        """Return the file's baselines, with the answers that it holds, if they are not the official ones."""
        given = {name: text_answers(name, self.models.get(name, _Model()).texts) for name in sorted(against)}
        official = {**{name: {} for name in self.official.values()}, **data.baselines}
        changed = any(
            name not in official or any(official[name].get(uid, own) != own for uid, own in answers.items())
            for name, answers in given.items()
        )
        return {name: {**official.get(name, {}), **answers} for name, answers in given.items()} if changed else {}

    def _notes(
        self, own: _Model, answered: int, rest: Sequence[Example], against: set[str], candidates: Sequence[str]
    ) -> list[str]:
        notes = [f"{count} {what}" for what, count in sorted(own.counts.items()) if count]
        failed = [row for rows in own.failed.values() for row in rows]
        notes += failure_notes(failed, answered=len(own.failed.keys() & own.texts.keys()))
        notes += failure_notes(own.lacking, "games")
        if rest:
            notes.append(f"{len(rest)} of {len(rest) + answered} questions have no row")
        if others := against - set(self.official.values()):
            notes.append(f"judged against {', '.join(sorted(others))}, which is not the official baseline")
        if left := [name for name in self.models if name not in candidates and name not in against]:
            notes.append(f"{len(left)} models of the files have answers but no judgements: {', '.join(left)[:200]}")
        return notes


def _judge(row: FileRow, own: _Model) -> str:
    if "judge" in row.fields:
        return row.text("judge")
    folder = Path(row.path).parent
    if folder.parent.name == "model_judgment":
        return folder.name
    own.unknown.add("which judge was asked")
    return "unknown"


def _judged(game: Any) -> bool:
    return inside(game, "score") is not None or inside(game, "judgment") is not None


def _failed(reason: str) -> tuple[Verdict, Completion]:
    return Verdict(value=None, error=reason), Completion(error=reason)


def _judge_text(row: FileRow, game: Mapping[str, Any]) -> str | None:
    """Return the judge's words: a text (legacy), or in an object (current)."""
    judgement = game.get("judgment")
    text = judgement.get("answer") if isinstance(judgement, dict) else judgement
    if text is not None and not isinstance(text, str):
        raise row.error("a game's 'judgment' must be text, an object with 'answer', or null")
    return text


def _answer(row: FileRow) -> tuple[str | None, dict[str, float]]:
    """Read an answer's text, in any of the three shapes, and its style in the row, with lengths by encoding."""
    fields, text = row.fields, None
    style = known_style(fields.get("metadata"))
    lengths = {"o200k_base": style.pop("token_len", None), "cl100k_base": fields.get("token_len_cl100k")}
    if "messages" in fields:
        turns = row.value("messages") or []
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            raise row.error("'messages' holds no answer text: it must be a list of objects")
        replies = [turn for turn in turns if turn.get("role") == "assistant"]
        content = replies[-1].get("content") if replies else None
        text = _text(row, content.get("answer") if isinstance(content, dict) else content, "messages")
    elif "choices" in fields:
        turn = inside(fields, "choices", 0, "turns", -1)
        text = _text(row, turn and (turn.get("content") if isinstance(turn, dict) else ()), "choices")
        style = known_style(fields.get("conv_metadata"))
        lengths["cl100k_base"] = style.pop("token_len", inside(turn, "token_len"))
    elif row.value("answer") is not None:
        text = row.text("answer")
    for encoding, length in lengths.items():
        if (count := count_of(length)) is not None:
            style[encoding] = float(count)
    return text, style


def _text(row: FileRow, value: Any, field: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise row.error(f"{field!r} holds no answer text")
    return value


def _hint(uid: str, examples: Mapping[str, Example]) -> str:
    """Say which other edition has ids of that length, if one does."""
    length = len(next(iter(examples), ""))
    other = OTHER_EDITION.get(len(uid))
    return f"; it looks like one of arenahard@{other}" if other and length != len(uid) else ""
