"""Packs samples for the page: an index of all, in columns, and slices of JSON that the page unpacks one at a time.

What all runs share (prompt, references, baselines) is stored once; each run has a part of its own. A judge's prompt is
stored as pieces: texts of the sample that it quotes, and the words around them, which are those of every sample.
"""

import base64
import gzip
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from judgebench.analysis.item_records import Sample, SampleJudgement
from judgebench.records import Message
from judgebench.report.collect import DIGITS, LEVEL, PROMPT_SHOWN, Report, TaskReport, label_of
from judgebench.report.counting import Entry, entries, rules
from judgebench.task import Ruling

SLICE_BYTES = 192 * 1024
PACKERS = 2
LEFT_OUT = "(left out of this page)"
LONGEST_SPAN = 200
"""Longer texts that a verifier looked at are not marked in the answer."""
UNTHOUGHT, UNSENT = {"thinking", "answers"}, {"judge", "answers"}
LEAST_QUOTED = 24
"""Shorter texts are not looked for in prompts."""
LEARNT = 60
"""From so many samples it is learnt which words of prompts are those of every sample."""
OUTCOMES = {"": 0, "win": 1, "tie": 2, "loss": 3, "passed": 4, "failed": 5}
FAILED, UNREAD, ORDERS, CUT, JUDGES, EMPTY, THINKING, PAIRS, REVERSED, TIED = (1 << bit for bit in range(10))
CONSTANT, FILTERED, UNCLOSED, VERDICT, FRAGMENTS, UNFINISHED = (1 << bit for bit in range(10, 16))
BITS = {
    "empty_output": EMPTY,
    "constant_output": CONSTANT,
    "cut_off_output": CUT,
    "filtered_output": FILTERED,
    "unclosed_thinking": UNCLOSED,
    "verdict_like_output": VERDICT,
    "prompt_fragments": FRAGMENTS,
    "unfinished_grading": UNFINISHED,
}
"""Of the checks of a run's integrity."""
MOST_LABELS = 64
"""So many different labels of verdicts can be filtered by."""

Pieces = list[Any]


def packed(data: bytes, level: int = LEVEL) -> str:
    """Base64 of gzip, the same for the same bytes."""
    return base64.b64encode(gzip.compress(data, level, mtime=0)).decode("ascii")


def encoded(value: Any) -> bytes:
    """JSON in UTF-8; half a character, which a model's output may hold, as its number."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode("ascii")


@dataclass
class Slicer:
    """Collects rows until a slice is full; a full one is handed out."""

    number: int = 0
    rows: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, row: Any) -> tuple[int, int]:
        """Add a row, and return the slice and the place where it is."""
        data = encoded(row)
        self.rows.append(data)
        self.size += len(data)
        return self.number, len(self.rows) - 1

    def full(self) -> Iterator[tuple[int, bytes]]:
        """The slice with its number, if it is full."""
        if self.size >= SLICE_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """What there is, as the last slice."""
        if self.rows:
            yield self.number, b"[" + b",".join(self.rows) + b"]"
            self.number, self.rows, self.size = self.number + 1, [], 0


# -- one sample


@dataclass
class Texts:
    """The words that prompts of a task have in common, by which a prompt is stored as pieces."""

    known: dict[str, int] = field(default_factory=dict)

    def learn(self, found: Iterable[Sequence[Sample | None]]) -> None:
        """Keep the words around quoted texts that occur in more than one sample."""
        seen: Counter[str] = Counter()
        for parts in found:
            words = {
                piece[1]
                for sample in parts
                if sample is not None
                for judgement in sample.judgements
                for request in judgement.prompts
                for message in request
                for piece in self.pieces(message, quotable(sample, shared_of(parts)))
                if isinstance(piece, list) and piece[0] == "x" and piece[1]
            }
            seen.update(words)
        self.known = {text: number for number, text in enumerate(text for text, count in seen.items() if count > 1)}

    def pieces(self, message: Message, quotes: Sequence[tuple[str, Pieces]]) -> list[Any]:
        """A message as texts of the sample, words of the task by number, and other words."""
        whole: list[Any] = [message.content]
        for text, name in quotes:
            split: list[Any] = []
            for piece in whole:
                if not isinstance(piece, str) or text not in piece:
                    split.append(piece)
                    continue
                for number, between in enumerate(piece.split(text)):
                    split += ([name] if number else []) + ([between] if between else [])
            whole = split
        return [self.known.get(piece, ["x", piece]) if isinstance(piece, str) else piece for piece in whole]


def quotable(sample: Sample, shared: Sample) -> list[tuple[str, Pieces]]:
    """The texts of a sample that prompts may quote, the longest first, with how the page calls them."""
    named: list[tuple[str, Pieces]] = [
        *((message.content, ["m", n]) for n, message in enumerate(shared.messages)),
        *((text, ["f", n]) for n, text in enumerate(shared.followups)),
        *((text, ["r", n]) for n, text in enumerate(shared.references)),
        *((text, ["t", n]) for answer in sample.answers[:1] for n, text in enumerate(answer.turns)),
        *((text, ["b", b, n]) for b, answer in enumerate(shared.answers[1:]) for n, text in enumerate(answer.turns)),
    ]
    long = {text: name for text, name in reversed(named) if len(text) >= LEAST_QUOTED}
    return sorted(long.items(), key=lambda entry: -len(entry[0]))


def shared_of(parts: Iterable[Sample | None]) -> Sample:
    """The run's part from which what all runs share is taken: the one that knows most baselines."""
    there = [sample for sample in parts if sample is not None]
    return max(there, key=lambda sample: len(sample.answers))


def left_out(turns: Sequence[str], without: Set[str], text: str = "answers") -> Sequence[str]:
    """Texts, or that they are left out of the page."""
    return [LEFT_OUT if turn else "" for turn in turns] if text in without else turns


def shared_row(sample: Sample, without: Set[str] = frozenset()) -> dict[str, Any]:
    """What all runs share of a sample."""
    return {
        "messages": [[message.role, message.content] for message in sample.messages],
        "followups": sample.followups,
        "references": sample.references,
        "checklist": sample.checklist,
        "baselines": [[answer.model, left_out(answer.turns, without)] for answer in sample.answers[1:]],
    }


def part_row(
    sample: Sample, shared: Sample, texts: Texts, without: Set[str] = frozenset(), scores: Sequence[Entry] = ()
) -> dict[str, Any]:
    """One run's part of a sample, with the ``scores`` by which it enters the metrics."""
    answer, quotes = sample.answers[0], quotable(sample, shared)
    return {
        "turns": left_out(answer.turns, without),
        "thinking": () if without & UNTHOUGHT else answer.thinking,
        "finish": answer.finish_reasons,
        "error": answer.error,
        "values": [[name, value] for name, value in sample.values.items()],
        "scores": scores,
        "judgements": [_judgement(one, quotes, texts, without) for one in sample.judgements],
        "rulings": [_ruling(one, without) for one in sample.rulings],
        "swapped": sample.swapped,
    }


def _ruling(ruling: Ruling, without: Set[str]) -> dict[str, Any]:
    left = "answers" in without
    found = LEFT_OUT if left else "; ".join(filter(None, (ruling.found, ruling.note)))
    spans = () if left else [span for span in ruling.spans or (ruling.found,) if 0 < len(span) <= LONGEST_SPAN]
    return {"rule": ruling.rule, "held": ruling.held, "wanted": ruling.wanted, "found": found, "spans": spans}


def _judgement(
    one: SampleJudgement, quotes: Sequence[tuple[str, Pieces]], texts: Texts, without: Set[str]
) -> dict[str, Any]:
    # What a judge was sent quotes the answers.
    requests = () if without & UNSENT else one.prompts
    return {
        "judge": one.judge,
        "judge_model": one.judge_model,
        "turn": one.turn,
        "repeat": one.repeat,
        "shown": one.shown,
        "candidate": one.candidate,
        "about": list(one.about.items()),
        "state": one.state,
        "value": one.value,
        "label": one.label,
        "reason": one.reason,
        "share": one.share,
        "outcome": one.outcome,
        "told": one.prompt_told,
        "replies": [
            {
                "text": left_out([reply.text], without, "judge")[0],
                "thinking": None if without & {"thinking", "judge"} else reply.thinking,
                "finish": reply.finish_reason,
                "error": reply.error,
                "likely": reply.likely,
            }
            for reply in one.replies
        ],
        "prompts": [[[message.role, texts.pieces(message, quotes)] for message in request] for request in requests],
    }


# -- the columns of a task


@dataclass
class Columns:
    """What the page knows of all samples of a task before it unpacks one."""

    task: TaskReport
    texts: Texts
    without: Set[str] = frozenset()
    groups: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    asked: bool = False
    """Whether any of the prompts is known. An import may hold answers alone, which are shown in their place."""
    inside: list[list[int]] = field(default_factory=list)
    items: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Empty columns for each run."""
        runs = range(len(self.task.runs))
        self.parts: list[list[tuple[int, int] | None]] = [[] for _ in runs]
        self.values: list[list[float | None]] = [[] for _ in runs]
        self.outcomes: list[list[int]] = [[] for _ in runs]
        self.flags: list[list[int]] = [[] for _ in runs]
        self.lengths: list[list[int | None]] = [[] for _ in runs]
        self.said: list[list[list[int]]] = [[] for _ in runs]
        self.turned: list[dict[int, list[tuple[int, int]]]] = [{} for _ in runs]

    def add(self, name: str, parts: Sequence[Sample | None], shared: Sample) -> None:
        """A sample, but for where its rows are."""
        self.ids.append(name)
        # An import may hold no prompt: then the answer says what the sample is.
        asked = next((m.content for m in reversed(shared.messages) if m.content.strip()), "")
        said = next((turn for answer in shared.answers for turn in answer.turns), "")
        self.asked |= bool(asked)
        self.prompts.append(
            " ".join((asked or left_out([said], self.without)[0])[: 4 * PROMPT_SHOWN].split())[:PROMPT_SHOWN]
        )
        self.inside.append([self.groups.setdefault(group, len(self.groups)) for group in shared.groups])
        for run, sample in enumerate(parts):
            value = None if sample is None or self.task.measure is None else sample.values.get(self.task.measure)
            self.values[run].append(None if value is None else round(value, DIGITS))
            self.outcomes[run].append(OUTCOMES[self.task.outcomes(run).get(name, "")])
            doubted = sum(BITS[check] for check, names in self.task.doubted[run].items() if name in names)
            self.flags[run].append(FAILED if sample is None else flags(sample) | doubted)
            turns = () if sample is None else sample.answers[0].turns
            self.lengths[run].append(sum(map(len, turns)) if turns else None)
            self.said[run].append([] if sample is None else self._labels_of(sample))
            if sample is not None and (games := _turned(sample)):
                self.turned[run][len(self.ids) - 1] = games

    def _labels_of(self, sample: Sample) -> list[int]:
        """The labels of a sample's verdicts, by number; of those that are counted."""
        found = {label_of(one.label, one.value) for one in sample.judgements if one.value is not None}
        for label in sorted(found):
            if len(self.labels) < MOST_LABELS:
                self.labels.setdefault(label, len(self.labels))
        return sorted(self.labels[label] for label in found if label in self.labels)

    def _out(self, run: int) -> dict[str, list[int]]:
        """The places of the samples that metrics leave out."""
        places = {name: place for place, name in enumerate(self.ids)}
        return {
            metric: sorted(places[name] for name in names if name in places)
            for metric, names in self.task.left_out[run].items()
        }

    def index(self) -> dict[str, Any]:
        """The columns as the page reads them."""
        return {
            "label": self.task.label,
            "measure": self.task.measure,
            "runs": self.task.runs,
            "groups": list(self.groups),
            "texts": list(self.texts.known),
            "ids": self.ids,
            "prompts": self.prompts,
            "asked": self.asked,
            "in": self.inside,
            "items": self.items,
            "parts": self.parts,
            "values": self.values,
            "out": [self._out(run) for run in range(len(self.task.runs))],
            "outcomes": self.outcomes,
            "flags": self.flags,
            "lengths": self.lengths,
            "labels": list(self.labels),
            "said": self.said,
            "turned": self.turned,
            "rules": rules(self.task),
            "tenths": [
                [own[name] for name in self.ids] for own in map(self.task.tenths_of, range(len(self.task.runs)))
            ],
        }


def flags(sample: Sample) -> int:
    """What to doubt about a sample, as bits."""
    answer = sample.answers[0]
    ends = {one.outcome for one in sample.judgements if one.outcome is not None}
    by_judge = {(one.judge, one.judge_model) for one in sample.judgements}
    judged = any(one.value is not None for one in sample.judgements)
    # An import may hold verdicts without the answers.
    found = FAILED if (answer.error is not None or not answer.turns) and not judged else 0
    found |= UNREAD if any(one.value is None and one.state != "skipped" for one in sample.judgements) else 0
    found |= ORDERS if any(game.changes for game in sample.swapped) else 0
    found |= PAIRS if sample.swapped else 0
    found |= REVERSED if any(game.reverses for game in sample.swapped) else 0
    found |= TIED if any(game.changes and not game.reverses for game in sample.swapped) else 0
    found |= JUDGES if len(by_judge) > 1 and _disagree(sample) and len(ends) > 1 else 0
    return found | (THINKING if any(answer.thinking) else 0)


def _turned(sample: Sample) -> list[tuple[int, int]]:
    """How games ended whose verdict depends on the order: with the candidate shown first, and second."""
    games = (game for game in sample.swapped if game.changes)
    return [(OUTCOMES[game.candidate_first], OUTCOMES[game.baseline_first]) for game in games]


def _disagree(sample: Sample) -> bool:
    """Whether judges, each over its own games, see other winners."""
    means: dict[str, list[float]] = {}
    for one in sample.judgements:
        if one.share is not None:
            means.setdefault(f"{one.judge}/{one.judge_model}", []).append(one.share)
    sides = {sum(shares) / len(shares) > 0.5 for shares in means.values()}
    return len(sides) > 1


def packed_samples(report: Report) -> Iterator[tuple[int, str] | dict[str, Any]]:
    """The slices with their numbers and, at the end, the index."""
    waiting = deque[tuple[int, "Future[str]"]]()
    # Compression takes half of the time, and other threads run meanwhile.
    with ThreadPoolExecutor(PACKERS) as packers:
        for found in _slices(report):
            if isinstance(found, dict):
                yield from ((number, text.result()) for number, text in waiting)
                yield found
                return
            waiting.append((found[0], packers.submit(packed, found[1], report.level)))
            if len(waiting) > 2 * PACKERS:
                number, text = waiting.popleft()
                yield number, text.result()


def _slices(report: Report) -> Iterator[tuple[int, bytes] | dict[str, Any]]:
    slicer, indexes = Slicer(), []
    for task in report.tasks:
        texts = Texts()
        texts.learn(task.samples(task.listed[:LEARNT]))
        columns, scored = Columns(task, texts, report.without), [entries(opened) for opened in task.opened]
        for name, parts in task.in_chunks():
            shared = shared_of(parts)
            columns.add(name, parts, shared)
            columns.items.append(slicer.add(shared_row(shared, report.without)))
            for run, sample in enumerate(parts):
                if sample is None:
                    columns.parts[run].append(None)
                    continue
                row = part_row(sample, shared, texts, report.without, scored[run].get(name, ()))
                columns.parts[run].append(slicer.add(row))
            yield from slicer.full()
        indexes.append(columns.index())
    yield from slicer.rest()
    runs = [{"name": name, "path": brief_path(report, number)} for number, name in enumerate(report.names)]
    yield {"runs": runs, "tasks": indexes}


def brief_path(report: Report, number: int) -> str:
    """The folder of a run, without the folders above it."""
    return report.runs[number].path.name
