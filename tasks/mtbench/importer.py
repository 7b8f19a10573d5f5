"""Reads what FastChat wrote: ``model_answer``, ``model_judgment/*_single.jsonl`` and ``*_pair.jsonl``.

A file, or a folder of files, may hold answers and judgements of several models; each becomes a run. Shapes:
lm-sys/FastChat@0e6d3e4beaab66f4d3f93db72541a4abab8af28d:fastchat/llm_judge/{common.py,gen_model_answer.py}.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from judgebench.codec import sha256_hex
from judgebench.data.rows import FileRow, digits, identifier, inside
from judgebench.errors import UsageError
from judgebench.judges.orders import candidate_share
from judgebench.judges.replies import pair_of_ratings
from judgebench.records import Answer, Case, Completion, Example, Generation, Judgement, Verdict
from judgebench.task import Imported, TaskData
from judgebench.task.answers import failed_answer, failure_notes, import_answers, turns_of

from .judges import game_id, judged_turns, rating_id, read_label, read_rating
from .metrics import SUPERSEDED

FAILED = "$ERROR$"
"""What upstream stores for a call that failed 16 times."""
FAILED_ANSWER = "ERROR"
"""What upstream stores for an answer whose generation failed."""
WINNERS = {"model_1": 1.0, "model_2": 0.0, "tie": 0.5}
"""Share of the win of ``model_1``, by a game's stored result; ``error`` and anything else is none."""


def read_outputs(rows: Sequence[FileRow], data: TaskData) -> tuple[Imported, ...]:
    """Read answers in FastChat's shape, of one or several models, or one model's answers in our own shape."""
    if not all(_is_answer(row) for row in rows):
        return import_answers(rows, data)
    answers = _Answers(data)
    for row in rows:
        answers.add(row)
    return tuple(
        Imported(
            candidate=model,
            examples=data.examples,
            generations=tuple(answers.of(model).values()),
            unknown=("how the answers were sampled",),
            notes=tuple(answers.notes(model)),
        )
        for model in answers.models
    )


def read_fastchat(rows: Sequence[FileRow], data: TaskData, *, mode: str, baseline: str) -> tuple[Imported, ...]:
    """Read everything that the rows hold for the mode: one record per model, with its answers and judgements.

    Raise RecordError for a row that is no answer or judgement of this benchmark, or has fields of the wrong type.
    """
    answers, left_out = _Answers(data), Counter[str]()
    singles, pairs = [], []
    for row in rows:
        if "g1_winner" in row.fields or "g2_winner" in row.fields:
            pairs.append(row)
        elif "score" in row.fields or "judgment" in row.fields:
            singles.append(row)
        elif Path(row.path).parent.name == "reference_answer":
            left_out["are reference answers"] += 1
        elif _is_answer(row):
            answers.add(row)
        else:
            raise row.misshapen(
                f"the row is neither an answer nor a judgement of FastChat; its fields are: {row.names}"
            )
    judged, other = (singles, pairs) if mode == "single" else (pairs, singles)
    if not judged and other:
        kinds = ("single", "pairwise") if mode != "single" else ("pairwise", "single")
        raise UsageError(f"{rows[0].path} holds {kinds[0]} judgements; import them with the option mode={kinds[0]}")
    if not judged:
        return read_outputs([row for row in rows if _is_answer(row)], data)
    left_out["are judgements of another mode"] += len(other)
    judgements = _Judgements(data, answers)
    if mode == "single":
        for row in judged:
            judgements.add_rating(row)
    else:
        against = baseline if mode == "pairwise" else None
        for row in judged:
            judgements.add_games(row, against)
        if not judgements.by_model:
            named = sorted({str(row.fields.get(side)) for row in judged for side in ("model_1", "model_2")})
            raise UsageError(
                f"{rows[0].path} holds no game against {baseline}; name the baseline with the option baseline=…, out "
                f"of {', '.join(named)[:300]}, or take all pairs with mode=pairwise-all"
            )
    shared = [f"{count} rows of the file {what} and were left out" for what, count in left_out.items() if count]
    return tuple(judgements.imported(model, shared) for model in judgements.by_model)


def _is_answer(row: FileRow) -> bool:
    return "choices" in row.fields or ("turns" in row.fields and bool({"model", "model_id"} & row.fields.keys()))


def _example(row: FileRow, data: TaskData) -> Example:
    """Find the row's question; ``question_id`` may be a number or its digits."""
    key = row.key("question_id")
    example = data.find(key)
    if example is None:
        raise row.error(f"question_id {key[:80]!r} is not one of this benchmark's {len(data.examples)} questions")
    return example


def _turn(row: FileRow, example: Example) -> int:
    turn = row.value("turn")
    found = digits(identifier(turn) or "")
    if found is None or found not in judged_turns(example):
        valid = " or ".join(map(str, judged_turns(example)))
        raise row.error(f"'turn' must be {valid} for question {example.id}, found {str(turn)[:40]!r}")
    return found


def _judge(row: FileRow) -> tuple[str, str]:
    """Return the judge model and the prompt's name."""
    value = row.fields.get("judge")
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(part, str) for part in value):
        raise row.error("'judge' must be a list of the judge model and the prompt's name")
    return value[0], value[1]


class _Answers:
    """Answers by model and question. If there are two, the later one counts, as upstream has it."""

    def __init__(self, data: TaskData) -> None:
        self._data = data
        self._found: dict[str, dict[str, Generation]] = {}
        self._repeated: Counter[str] = Counter()
        self._failed: dict[str, list[FileRow]] = {}

    @property
    def models(self) -> list[str]:
        """The models that answered, in the order of the rows."""
        return list(self._found)

    def add(self, row: FileRow) -> None:
        """Take a row of ``model_answer``; only its first choice is ever judged."""
        example = _example(row, self._data)
        model = row.text("model_id", "model")
        turns = turns_of(row, self._turns(row), "turns", example)
        own = self._found.setdefault(model, {})
        if turns is None:
            self._failed.setdefault(model, []).append(row)
            own.setdefault(example.id, failed_answer(example, model))
            return
        self._repeated[model] += example.id in own and not own[example.id].error
        own[example.id] = Generation(example_id=example.id, model=model, outputs=turns)

    @staticmethod
    def _turns(row: FileRow) -> Any:
        """Return the turns as the row has them, or ``None``."""
        if "choices" not in row.fields:
            return row.value("turns")
        choices = row.value("choices")
        if choices in (None, [], [None]):
            return None
        turns = inside(choices, 0, "turns")
        if not isinstance(inside(choices, 0), dict) or not isinstance(turns, list | None):
            raise row.error("'choices' must be a list of objects with 'turns'")
        return turns

    def of(self, model: str) -> dict[str, Generation]:
        """Return a model's answers by question. Failed ones are among them, with ``error``."""
        return self._found.get(model, {})

    def texts(self, model: str) -> dict[str, Generation]:
        """Return a model's answers that did not fail."""
        return {key: own for key, own in self.of(model).items() if not own.error}

    def notes(self, model: str) -> list[str]:
        """Say what is odd about a model's answers."""
        broken = sum(FAILED_ANSWER in generation.outputs for generation in self.of(model).values())
        counts = {
            "answers are repeated; the last of each question counts": self._repeated[model],
            f"answers are upstream's mark of a failed generation ({FAILED_ANSWER}) and count as text": broken,
        }
        failed = self._failed.get(model, [])
        return [*(f"{count} {what}" for what, count in counts.items() if count), *failure_notes(failed)]


@dataclass
class _Run:
    """What the rows hold of one model."""

    judgements: list[Judgement] = field(default_factory=list)
    baselines: dict[str, None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    missing: list[FileRow] = field(default_factory=list)
    """Rows with neither a verdict nor the judge's words; of a pair, once for each game."""


class _Judgements:
    """Judgements by the model under test."""

    def __init__(self, data: TaskData, answers: _Answers) -> None:
        self._data, self._answers = data, answers
        self.by_model: dict[str, _Run] = {}

    def add_rating(self, row: FileRow) -> None:
        """Take a row of a single-answer judgement file."""
        example = _example(row, self._data)
        stored, problem = row.number("score"), "no rating was stored"
        if stored == -1:
            stored, problem = None, "stored as -1: no rating in the reply"
        elif row.value("score") is None and row.value("judgment") is not None:
            stored = read_rating(row.text("judgment")).value
        verdict = Verdict(value=stored, error=problem if stored is None else None)
        case_id = rating_id(example, _turn(row, example))
        self._add(row, example, case_id, (row.text("model"),), 0, verdict, read_rating)

    def add_games(self, row: FileRow, baseline: str | None) -> None:
        """Take both games of a row, for each of its models that is not the baseline."""
        example = _example(row, self._data)
        turn, models = _turn(row, example), (row.text("model_1"), row.text("model_2"))
        if baseline is not None and baseline not in models:
            return
        for place, candidate in enumerate(models):
            if candidate == baseline and models[1 - place] != baseline:
                continue
            if models[0] == models[1] and place:
                continue
            for game, shown in (("g1", models), ("g2", models[::-1])):
                # Who is shown first is told by the place, not the name: a model may have met itself.
                index = place if game == "g1" else 1 - place
                case_id = game_id(example, turn, models[1 - place], candidate_first=index == 0)
                self._add(row, example, case_id, shown, index, _stored_game(row, game), _reread_game, f"{game}_")

    def _answer(self, model: str, example: Example, turn: int) -> Answer:
        """Return the answer. If the file has none, it is empty: then only the model's name matters."""
        generation = self._answers.of(model).get(example.id)
        return Answer(model=model, turns=generation.outputs[:turn] if generation else ())

    def _add(
        self,
        row: FileRow,
        example: Example,
        case_id: str,
        shown: Sequence[str],
        candidate: int,
        verdict: Verdict,
        reread: Callable[[str], Verdict],
        prefix: str = "",
    ) -> None:
        """Take a verdict, with the judge's words if they give the same one. Its fields begin with ``prefix``."""
        turn, (judge_model, judge) = _turn(row, example), _judge(row)
        run = self.by_model.setdefault(shown[candidate], _Run())
        if len(shown) == 2:
            run.baselines[shown[1 - candidate]] = None
        text = row.text(f"{prefix}judgment") if row.value(f"{prefix}judgment") is not None else None
        replies: tuple[Completion, ...] = ()
        if text is None and row.value(f"{prefix}winner" if prefix else "score") is None:
            run.missing.append(row)
        if text == FAILED:
            error = f"the call failed ({FAILED} in the imported file)"
            replies, verdict = (Completion(error=error),), Verdict(value=None, error=error)
        elif text is not None:
            again = reread(text)
            if again.value == verdict.value:
                replies, verdict = (Completion(text=text),), again
            else:
                run.counts["replies do not give the stored verdict; the stored one is kept, without the reply"] += 1
        answers = tuple(self._answer(name, example, turn) for name in shown)
        case = Case(id=case_id, judge=judge, example=example, answers=answers, candidate=candidate, turn=turn)
        self._check_prompt(run, row, case, prefix)
        run.judgements.append(
            Judgement(
                case_id=case_id,
                example_id=example.id,
                judge=judge,
                judge_model=judge_model,
                answers=tuple(shown),
                candidate=candidate,
                turn=turn,
                verdict=verdict,
                replies=replies,
            )
        )

    def _check_prompt(self, run: _Run, row: FileRow, case: Case, prefix: str) -> None:
        """Count the row if its prompt is not the one that its answers give."""
        told = row.fields.get(f"{prefix}prompt_sha256")
        asked = row.fields.get(f"{prefix}user_prompt")
        if isinstance(asked, str):
            told = sha256_hex(asked.encode())
        judge = self._data.judges.get(case.judge)
        if told is None or judge is None or not all(answer.turns for answer in case.answers):
            return
        if sha256_hex(judge.ask(case).messages[-1].content.encode()) != told:
            run.counts["prompts are not the ones that the answers beside them give"] += 1

    def imported(self, model: str, shared: Iterable[str]) -> Imported:
        """Make one model's run."""
        run = self.by_model[model]
        judgements = _mark_superseded(run.judgements)
        superseded = sum(SUPERSEDED in judgement.case_id for judgement in judgements)
        wanted = sum(len(judged_turns(example)) for example in self._data.examples) * max(2 * len(run.baselines), 1)
        latest = [judgement for judgement in judgements if SUPERSEDED not in judgement.case_id]
        run.counts |= Counter(
            {
                "judgements are replaced by a later one of the same case; upstream_compat=true counts all": superseded,
                f"of {wanted} cases have no judgement in the file": wanted - len({j.case_id for j in latest}),
                f"judge calls failed ({FAILED})": sum(judgement.failed for judgement in judgements),
                "judgements hold no verdict": sum(j.verdict.value is None and not j.failed for j in judgements),
            }
        )
        generations = tuple(self._answers.of(model).values())
        return Imported(
            candidate=model,
            examples=self._data.examples,
            generations=generations,
            baselines={name: own for name in run.baselines if (own := self._answers.texts(name))},
            judgements=tuple(judgements),
            unknown=("when the judge was asked", "how the answers were sampled"),
            notes=(
                *(f"{count} {what}" for what, count in run.counts.items() if count),
                *failure_notes(run.missing, "verdicts"),
                *self._answers.notes(model),
                *shared,
                *(() if generations else ("the file holds judgements without the answers",)),
            ),
        )


def _stored_game(row: FileRow, game: str) -> Verdict:
    """Read a game's stored result as the share of the answer shown first. A word that is not upstream's is unread."""
    winner: Any = row.value(f"{game}_winner")
    if winner is not None and not isinstance(winner, str):
        raise row.error(f"'{game}_winner' must be a string or null")
    if winner not in WINNERS:
        problem = "null" if winner is None else repr(winner[:40])
        return Verdict(value=None, error=f"stored as {problem}: no verdict")
    return Verdict(value=candidate_share(WINNERS[winner], 0 if game == "g1" else 1))


def _reread_game(text: str) -> Verdict:
    """Read a label or, since an older prompt asked for those, two ratings."""
    verdict, ratings = read_label(text), pair_of_ratings(text)
    return verdict if verdict.value is not None or isinstance(ratings, str) else Verdict(value=ratings)


def _mark_superseded(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Let the last record of a case and judge model keep the case's id; earlier ones get a number behind it."""
    left = Counter((judgement.case_id, judgement.judge_model) for judgement in judgements)
    seen: Counter[tuple[str, str]] = Counter()
    marked = []
    for judgement in judgements:
        key = judgement.case_id, judgement.judge_model
        seen[key] += 1
        if seen[key] < left[key]:
            judgement = msgspec.structs.replace(judgement, case_id=f"{judgement.case_id}{SUPERSEDED}{seen[key]}")
        marked.append(judgement)
    return marked
