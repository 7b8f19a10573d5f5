"""Reads what ``arena-hard-auto`` wrote: answers and judgements of the current and the legacy pipeline.

A file or a folder; the files of ``model_answer`` and ``model_judgment`` may lie together in it. One record comes out
for each model that was judged or, where nothing was, for each that answered. What cannot be used is counted in notes.
Shapes: lmarena/arena-hard-auto@196f6b8, and the parent of 9a1d386 for the legacy ones.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from judgebench.data.rows import FileRow, count_of
from judgebench.records import Completion, Example, Generation, Judgement, Verdict
from judgebench.task import Generations, Imported, TaskData
from judgebench.task.answers import failed_answer, failure_notes, import_answers

from .battles import Rules
from .judges import GAMES, read_verdict, verdict_of
from .style import known_style

ERROR = "$ERROR$"
"""What upstream stores where an endpoint gave nothing."""
TEXT_FIELDS = {"messages", "choices", "answer"}
OTHER_EDITION = {32: "v0.1", 16: "v2.0"}
"""Editions by the length of their question ids."""


def read_answer_file(data: bytes) -> dict[str, tuple[str, dict[str, float]]]:
    """An official answer file: text and known style by question."""
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
    """Answers in upstream's shape or in any that every task reads."""
    upstream = any("uid" in row.fields or "question_id" in row.fields for row in rows)
    return arena_hard(rows, data) if upstream else import_answers(rows, data)


def read_arena_hard(
    rows: Sequence[FileRow], data: TaskData, *, baselines: Mapping[str, str], rules: Rules
) -> tuple[Imported, ...]:
    """Every judged model, or every model that answered if nothing is judged.

    ``baselines`` are the official ones by category. A row that belongs to no question, or whose fields have the wrong
    type, is a ``RecordError``; doubled rows are counted, and of each the last one stands.
    """
    found = _Found({example.id: example for example in (*data.examples, *data.extras.set_aside)}, baselines, rules)
    for row in rows:
        found.add(row)
    candidates = [model for model in found.models if found.judged.get(model)] or list(found.models)
    return tuple(found.imported(model, data, candidates) for model in candidates)


@dataclass
class _Answers:
    """One model's answers: texts, and what is known of their style, by question."""

    texts: dict[str, str] = field(default_factory=dict)
    styles: dict[str, dict[str, float]] = field(default_factory=dict)
    failed: list[tuple[str, FileRow]] = field(default_factory=list)
    """Questions whose row has a place for the text and nothing in it."""


@dataclass
class _Found:
    """Everything that the rows hold."""

    examples: Mapping[str, Example]
    official: Mapping[str, str]
    rules: Rules
    models: dict[str, None] = field(default_factory=dict)
    order: dict[str, None] = field(default_factory=dict)
    answers: dict[str, _Answers] = field(default_factory=dict)
    judged: dict[str, dict[tuple[str, str], tuple[Judgement, ...]]] = field(default_factory=dict)
    """Per model, by question and judge."""
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    unknown: dict[str, set[str]] = field(default_factory=dict)
    lacking: dict[str, list[FileRow]] = field(default_factory=dict)
    """Per model, a row for each game that is missing in it."""

    def add(self, row: FileRow) -> None:
        uid = row.key("uid", "question_id")
        example = self.examples.get(uid)
        if example is None:
            raise row.error(f"{uid[:80]!r} is no question of this edition{_hint(uid, self.examples)}")
        model = row.text("model", "model_id") if {"model", "model_id"} & row.fields.keys() else _stem(row.path)
        self.models[model] = self.order[uid] = None
        self.counts.setdefault(model, Counter())
        self.unknown.setdefault(model, set())
        if "games" in row.fields:
            self._add_judgement(row, example, model)
        else:
            self._add_answer(row, example, model)

    def _add_answer(self, row: FileRow, example: Example, model: str) -> None:
        own = self.answers.setdefault(model, _Answers())
        text, style = _answer(row)
        if example.id in own.texts or (text is None and example.id in own.styles):
            self.counts[model]["answers stand twice; the last one is taken"] += 1
        if text is not None:
            own.texts[example.id] = text
            self.counts[model][f"answers are the text {ERROR}"] += text.strip() == ERROR
        elif TEXT_FIELDS & row.fields.keys():
            own.failed.append((example.id, row))
            return
        elif not style:
            raise row.error("the row holds no answer: no 'messages', 'choices', 'answer' or 'metadata' with counts")
        own.styles[example.id] = style

    def _add_judgement(self, row: FileRow, example: Example, model: str) -> None:
        games = row.value("games") or []
        if not isinstance(games, list) or len(games) > len(GAMES):
            raise row.error(f"'games' must be a list of {len(GAMES)} games")
        self.counts[model]["games are not in their row"] += len(GAMES) - len(games)
        lacking = len(GAMES) - sum(isinstance(game, dict) and _judged(game) for game in games)
        self.lacking.setdefault(model, []).extend([row] * lacking)
        judge, category = self._judge(row, model), str(example.meta["category"])
        baseline = row.text("baseline") if "baseline" in row.fields else self.official[category]
        own = self.judged.setdefault(model, {})
        if (example.id, judge) in own:
            self.counts[model]["judgements stand twice; the last one is taken"] += 1
        own[example.id, judge] = tuple(
            self._game(
                row,
                game,
                model,
                baseline,
                Judgement(
                    case_id=example.id + suffix,
                    example_id=example.id,
                    judge=category,
                    judge_model=judge,
                    answers=(model, baseline) if model_first else (baseline, model),
                    candidate=0 if model_first else 1,
                    verdict=Verdict(value=None),
                ),
            )
            for (suffix, model_first), game in zip(GAMES, games, strict=False)
        )

    def _judge(self, row: FileRow, model: str) -> str:
        if "judge" in row.fields:
            return row.text("judge")
        folder = Path(row.path).parent
        if folder.parent.name == "model_judgment":
            return folder.name
        self.unknown[model].add("which judge was asked")
        return "unknown"

    def _game(self, row: FileRow, game: Any, model: str, baseline: str, empty: Judgement) -> Judgement:
        """A game as its file has it: its score stands, and the judge's words if today's rule reads them alike."""
        counts = self.counts[model]
        if game is None:
            counts["games are null: the judge's endpoint failed"] += 1
            return _failed(empty, "the game is null in the imported file")
        if not isinstance(game, dict):
            raise row.error("a game must be an object or null")
        label, text = game.get("score"), _judge_text(row, game)
        if label is not None and not isinstance(label, str):
            raise row.error("a game's 'score' must be a label or null")
        if text is not None and set(text.split()) == {ERROR}:
            counts[f"games are {ERROR}: the judge's endpoint failed"] += 1
            return _failed(empty, f"{ERROR} in the imported file")
        if text is None and label is None:
            counts["games hold no judgement"] += 1
            return _failed(empty, "the game holds no judgement in the imported file")
        stored = verdict_of(label, self.rules.pipeline) if label is not None else None
        if stored is not None and stored.value is None:
            counts[f"labels are {str(label)[:40]}, which the {self.rules.pipeline} pipeline does not know"] += 1
        read = None if text is None else read_verdict(text, self.rules.pipeline)
        if read is not None and (stored is None) == (read.label is None) and (stored is None or stored == read):
            counts["games have no verdict in the judge's words"] += stored is None
            return msgspec.structs.replace(empty, verdict=read, replies=(Completion(text=text),))
        if read is not None:
            counts["stored scores are not what the judge's words say today; the stored ones are kept"] += 1
        return msgspec.structs.replace(
            empty, verdict=stored or Verdict(value=None, error="no score in the imported file")
        )

    def imported(self, model: str, data: TaskData, candidates: Sequence[str]) -> Imported:
        """One model's answers and judgements, with every baseline's style that the files tell."""
        judged = self.judged.get(model, {})
        own = self.answers.get(model, _Answers())
        against = {judgement.answers[1 - judgement.candidate] for games in judged.values() for judgement in games}
        failed = {uid for uid, _ in own.failed}
        rows = own.texts.keys() | own.styles.keys() | failed | {uid for uid, _ in judged}
        mine = [uid for uid in self.order if uid in rows]
        categories = {self.examples[uid].meta["category"] for uid in mine}
        set_aside = [example for example in data.extras.set_aside if example.meta["category"] in categories]
        rest = [example for example in (*data.examples, *set_aside) if example.id not in rows]
        examples = [
            self._with_styles(example, {model, *against}) for example in (*(self.examples[uid] for uid in mine), *rest)
        ]
        unknown = {*self.unknown[model], "when the judge was asked", "how the answers were sampled"}
        return Imported(
            candidate=model,
            examples=tuple(examples),
            generations=tuple(
                Generation(example_id=uid, model=model, outputs=(own.texts[uid],))
                if uid in own.texts
                else failed_answer(self.examples[uid], model)
                for uid in mine
                if uid in own.texts or uid in failed - own.styles.keys()
            ),
            baselines=self._baselines(against, data),
            judgements=tuple(judgement for games in judged.values() for judgement in games),
            unknown=tuple(sorted(unknown)),
            notes=tuple(self._notes(model, len(mine), rest, against, candidates)),
        )

    def _with_styles(self, example: Example, models: set[str]) -> Example:
        styles = {
            model: self.answers[model].styles[example.id]
            for model in sorted(models & self.answers.keys())
            if self.answers[model].styles.get(example.id)
        }
        return msgspec.structs.replace(example, meta={**example.meta, "styles": styles}) if styles else example

    def _baselines(self, against: set[str], data: TaskData) -> dict[str, Generations]:
        """The file's baselines if they are not the official ones, with such answers as it holds of them."""
        given = {name: self._generations(name) for name in sorted(against)}
        official = {**{name: {} for name in self.official.values()}, **data.baselines}
        changed = any(
            name not in official or any(official[name].get(uid, own) != own for uid, own in answers.items())
            for name, answers in given.items()
        )
        return {name: {**official.get(name, {}), **answers} for name, answers in given.items()} if changed else {}

    def _generations(self, model: str) -> dict[str, Generation]:
        texts = self.answers.get(model, _Answers()).texts
        return {uid: Generation(example_id=uid, model=model, outputs=(text,)) for uid, text in texts.items()}

    def _notes(
        self, model: str, answered: int, rest: Sequence[Example], against: set[str], candidates: Sequence[str]
    ) -> list[str]:
        notes = [f"{count} {what}" for what, count in sorted(self.counts[model].items()) if count]
        own = self.answers.get(model, _Answers())
        again = len({uid for uid, _ in own.failed} & own.texts.keys())
        notes += failure_notes([row for _, row in own.failed], answered=again)
        notes += failure_notes(self.lacking.get(model, []), "games")
        if rest:
            notes.append(f"{len(rest)} of {len(rest) + answered} questions have no row")
        if others := against - set(self.official.values()):
            notes.append(f"judged against {', '.join(sorted(others))}, which is not the official baseline")
        if left := [name for name in self.models if name not in candidates and name not in against]:
            notes.append(f"{len(left)} models of the files have answers but no judgements: {', '.join(left)[:200]}")
        return notes


def _judged(game: Mapping[str, Any]) -> bool:
    return game.get("score") is not None or game.get("judgment") is not None


def _failed(empty: Judgement, reason: str) -> Judgement:
    return msgspec.structs.replace(
        empty, verdict=Verdict(value=None, error=reason), replies=(Completion(error=reason),)
    )


def _judge_text(row: FileRow, game: Mapping[str, Any]) -> str | None:
    """The judge's words: text (legacy) or an object that holds them (current)."""
    judgement = game.get("judgment")
    text = judgement.get("answer") if isinstance(judgement, dict) else judgement
    if text is not None and not isinstance(text, str):
        raise row.error("a game's 'judgment' must be text, an object with 'answer', or null")
    return text


def _answer(row: FileRow) -> tuple[str | None, dict[str, float]]:
    """An answer's text, in any of the three shapes, and the style that the row tells, lengths by encoding."""
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
        try:
            turn = fields["choices"][0]["turns"][-1]
        except (TypeError, KeyError, IndexError):
            turn = None
        text = _text(row, turn and (turn.get("content") if isinstance(turn, dict) else ()), "choices")
        style = known_style(fields.get("conv_metadata"))
        lengths["cl100k_base"] = style.pop("token_len", turn.get("token_len") if isinstance(turn, dict) else None)
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
    """Which edition an id of that length belongs to, if it is another."""
    length = len(next(iter(examples), ""))
    other = OTHER_EDITION.get(len(uid))
    return f"; it looks like one of arenahard@{other}" if other and length != len(uid) else ""


def _stem(path: str) -> str:
    return Path(path).name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")
