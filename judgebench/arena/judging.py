"""Has games judged, through the call store and within the budget, and keeps each judgement in the arena's folder.

The judgements of an arena are in one file, each written before anything else happens to it. Who starts the same arena
again, with more players or more games, buys nothing twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from judgebench.arena.games import Games
from judgebench.arena.players import Field, Meeting, verdicts_of
from judgebench.codec import canonical_hash, read_json, write_json
from judgebench.errors import UsageError
from judgebench.grading.pool import GradingPool
from judgebench.models.pricing import Price
from judgebench.records import Case, Generation, Judgement, StageCounts
from judgebench.run.folder import RunFolder, TaskFolder
from judgebench.run.loading import LoadedTask
from judgebench.run.pipeline import Observer, Pipeline
from judgebench.run.protocol import differing, played_by, verdict_arguments
from judgebench.run.reading import Run
from judgebench.run.seats import ModelPool
from judgebench.run.settings import Settings
from judgebench.run.stages import JudgeSeat, RunningTask
from judgebench.run.style_counts import FEATURES, style_counts
from judgebench.thinking import Thinking

KEY = "games"
"""The folder of the judgements, and what the progress calls them."""
PLAYED = "arena.json"
"""The file that says what an arena's judgements are of."""
STYLE = ("length", *FEATURES)

Game = tuple[Meeting, int]
"""A meeting in one of its orders."""


class Played(msgspec.Struct, kw_only=True):
    """What the judgements of a folder are of."""

    judge: dict[str, Any]
    """Everything about the judge that can change a verdict."""
    answers: dict[str, str]
    """Hash of each player's answers."""
    task: str


class Ledger(TaskFolder):
    """A folder of judgements that remembers what it holds, so that each batch of games need not read it again."""

    def __init__(self, folder: TaskFolder, prices: Mapping[str, Price | None]) -> None:
        super().__init__(folder.path)
        self._prices = prices
        self.usd: float | None = 0.0
        """What all the judgements cost, whoever paid; ``None`` if a price is not known."""
        self._found: dict[tuple[str, str, int], Judgement] = {}
        for judgement in folder.judgements():
            self._note(judgement)

    def append(self, record: Generation | Judgement) -> None:
        """Append to the file, and remember."""
        super().append(record)
        assert isinstance(record, Judgement)
        self._note(record)

    def judgements(self) -> Iterator[Judgement]:
        """All judgements, without the texts of replies."""
        return iter(list(self._found.values()))

    def _note(self, judgement: Judgement) -> None:
        price = self._prices.get(judgement.judge_model)
        if judgement.replies and (price is None or self.usd is None):
            self.usd = None
        elif price is not None and self.usd is not None:
            self.usd += sum(map(price.paid, judgement.replies))
        last = tuple(msgspec.structs.replace(reply, text="") for reply in judgement.replies[-1:])
        self._found[judgement.key] = msgspec.structs.replace(judgement, replies=last)


class Judging:
    """One arena's judge, with its models and its folder."""

    def __init__(self, settings: Settings, field: Field, folder: RunFolder) -> None:
        self.settings, self.field, self.folder = settings, field, folder
        self._models = ModelPool(settings)
        self.seats: Mapping[str, tuple[JudgeSeat, ...]] = {}
        self._counts: dict[str, StageCounts] = {}
        self._asked: dict[str, Meeting] = {}
        self._styles: dict[tuple[int, int], list[float]] = {}

    @contextmanager
    def opened(self) -> Iterator["Judging"]:
        """Open the models and lock the folder; close them in the end.

        Raises :class:`UsageError` if the folder holds an arena of another judge, or of other answers.
        """
        try:
            self._models.require_ready(None, [self.field.loaded])
            self.seats = self._models.seats(self.field.loaded)
            with self.folder.locked():
                self._require_same()
                account = f"arena-{canonical_hash([self.fingerprint, self.field.loaded.task.label])[7:23]}"
                paid = self._models.charge(account)
                self._models.budget.begin(paid.usd, paid.lost_usd)
                self.ledger = Ledger(self.folder.task(KEY), self.prices)
                try:
                    yield self
                finally:
                    self.ledger.close()
        finally:
            self._models.close()

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Everything about the judge that can change a verdict: prompts, rules, models."""
        settings = self.settings
        return {
            "judges": {
                name: played_by([(seat.judge, seat.model) for seat in own]) for name, own in sorted(self.seats.items())
            },
            "arguments": verdict_arguments({**settings.judge_file_args, **settings.judge_args}),
            "think_tags": [list(pair) for pair in settings.think_tags],
            "task": self.field.loaded.task.label,
        }

    @property
    def prices(self) -> dict[str, Price | None]:
        """The price of each judge model."""
        return {seat.model.name: seat.price for seats in self.seats.values() for seat in seats}

    @property
    def judges(self) -> tuple[str, ...]:
        """The judge models, as the user named them."""
        return tuple(dict.fromkeys(seat.spec for seats in self.seats.values() for seat in seats))

    def play(self, games: Sequence[Game], observe: Observer) -> None:
        """Have games judged that are not judged yet."""
        self._asked |= {self.field.name_of(meeting): meeting for meeting, _ in games}
        loaded, answers = loaded_of(self.field, games)
        task = RunningTask(
            key=KEY,
            task=loaded.task,
            data=loaded.data,
            folder=self.ledger,
            sampling=loaded.task.sampling,
            seats=self.seats,
            judge_repeats=self.settings.judge_repeats,
            reasks=self.settings.reask,
            generations=answers,
            thinking=Thinking(tags=self.settings.think_tags),
            counts=self._counts,
        )
        Pipeline([task], None, None, observe, GradingPool()).run(generate=False, judge=True)

    @property
    def calls(self) -> int:
        """Replies that judgements of this arena are made of."""
        return sum(judgement.example_id in self._asked for judgement in self.ledger.judgements() if judgement.replies)

    # -- what was found

    def _style(self, player: int, question: int) -> list[float]:
        if (player, question) not in self._styles:
            answer = self.field.players[player].answers[self.field.questions[question].id]
            counts = style_counts("\n".join(answer.outputs))
            self._styles[player, question] = [counts[name] for name in STYLE]
        return self._styles[player, question]

    def found(self) -> tuple[Games, list[Game], int, int]:
        """The games that were asked about and have a verdict, what each is of, and how many are unread and failed."""
        place = {name: number for number, name in enumerate(self.field.names)}
        items = {question.id: question.item or question.id for question in self.field.questions}
        codes = {item: number for number, item in enumerate(dict.fromkeys(items.values()))}
        columns: list[tuple[int, int, float, int]] = []
        games: list[Game] = []
        styles: list[tuple[list[float], list[float]]] = []
        unread = failed = 0
        for judgement in self._sorted():
            meeting, value = self._asked[judgement.example_id], judgement.verdict.value
            if value is None:
                failed += judgement.failed
                unread += not judgement.failed
                continue
            first, second = (place[name] for name in judgement.answers)
            outcome = 0.5 if value == 0.5 else float(value > 0.5)
            columns.append((first, second, outcome, codes[items[self.field.questions[meeting.question].id]]))
            games.append((meeting, int(first != meeting.first)))
            styles.append((self._style(first, meeting.question), self._style(second, meeting.question)))
        one, other, outcome_of, question = (
            np.array(column) for column in (zip(*columns, strict=True) if columns else ([], [], [], []))
        )
        tables = [np.array([side[k] for side in styles]).reshape(len(styles), len(STYLE)) for k in (0, 1)]
        table = Games(
            self.field.names,
            one.astype(np.int64),
            other.astype(np.int64),
            outcome_of.astype(float),
            question.astype(np.int64),
            STYLE,
            *tables,
        )
        return table, games, unread, failed

    def _sorted(self) -> Iterable[Judgement]:
        """The judgements of what was asked about, in an order that does not depend on which reply came first."""
        own = (judgement for judgement in self.ledger.judgements() if judgement.example_id in self._asked)
        return sorted(own, key=lambda judgement: judgement.key)

    def _require_same(self) -> None:
        """Note what the judgements of the folder are of, or raise :class:`UsageError` if it holds others."""
        path = self.folder.path / PLAYED
        now = Played(
            judge=self.fingerprint,
            answers={player.name: player.digest for player in self.field.players},
            task=self.field.loaded.task.label,
        )
        before = _read(self.folder)
        if before is not None:
            changed = [name for name, digest in now.answers.items() if before.answers.get(name, digest) != digest]
            if before.judge != now.judge:
                names = ", ".join(differing(before.judge, now.judge)[:4])
                raise UsageError(
                    f"{self.folder.path} holds an arena of another judge (they differ in {names}); go on with the same "
                    "one, or choose another folder with --out"
                )
            if changed:
                raise UsageError(
                    f"{self.folder.path} holds games of other answers of {changed[0][:100]}; give that run another "
                    "name with --name RUN=NAME, or choose another folder with --out"
                )
            now.answers = {**before.answers, **now.answers}
        write_json(path, now)


def loaded_of(field: Field, games: Sequence[Game]) -> tuple[LoadedTask, dict[str, Generation]]:
    """The benchmark whose examples are these games' meetings, and whose cases are these games; and stand-ins for the
    answers, which the cases hold.
    """
    orders: dict[str, set[int]] = {}
    made: dict[str, dict[int, tuple[Case, ...]]] = {}
    for meeting, order in games:
        name = field.name_of(meeting)
        orders.setdefault(name, set()).add(order)
        made[name] = made.get(name) or field.cases(meeting)
    one = field.orders == 1

    def cases(data: object, generation: Generation) -> tuple[Case, ...]:
        name = generation.example_id
        return tuple(case for order, own in made[name].items() if one or order in orders[name] for case in own)

    examples = tuple(next(iter(own.values()))[0].example for own in made.values())
    task = replace(field.loaded.task, cases=cases, needs_baseline=False)
    data = replace(field.loaded.data, examples=examples, baselines={})
    answers = {name: Generation(example_id=name, model="", outputs=("",)) for name in made}
    return replace(field.loaded, task=task, data=data), answers


def games_of_runs(runs: Sequence[Run], task: str | None) -> tuple[Games, int, int, tuple[str, ...]]:
    """The games of runs' own verdicts; how many are unread and failed; and who judged."""
    rows: list[tuple[str, str, float, str, list[float], list[float]]] = []
    judges: dict[str, None] = {}
    unread = failed = 0
    unknown = [np.nan] * len(STYLE)
    for judgement, (first, second), question, answers in verdicts_of(runs, task):
        value = judgement.verdict.value
        if value is None:
            failed += judgement.failed
            unread += not judgement.failed
        elif first != second:
            judges[judgement.judge_model] = None
            item = judgement.example_id if question is None else question.item or question.id
            one, other = (
                unknown if (texts := answers.get(name)) is None else list(style_counts("\n".join(texts)).values())
                for name in (first, second)
            )
            rows.append((first, second, 0.5 if value == 0.5 else float(value > 0.5), item, one, other))
    names = tuple(sorted({name for row in rows for name in row[:2]}))
    place = {name: number for number, name in enumerate(names)}
    items = {item: number for number, item in enumerate(dict.fromkeys(row[3] for row in rows))}
    games = Games(
        names,
        np.array([place[row[0]] for row in rows], dtype=np.int64),
        np.array([place[row[1]] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=float),
        np.array([items[row[3]] for row in rows], dtype=np.int64),
        STYLE,
        *(np.array([row[side] for row in rows], dtype=float).reshape(len(rows), len(STYLE)) for side in (4, 5)),
    )
    return games, unread, failed, tuple(judges)


def _read(folder: RunFolder) -> Played | None:
    path = folder.path / PLAYED
    try:
        return read_json(path, Played)  # type: ignore[no-any-return]
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} is no arena of this version of judgebench ({error}); choose another --out") from error
