"""The kind ``verify``: answers that are run, by a command or by a function of a user's package, in a sandbox."""

import json
import platform
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from judgebench.data.rows import FileRow
from judgebench.display import did_you_mean
from judgebench.files import read_bytes, read_text
from judgebench.grading import programs
from judgebench.grading.own_functions import made_of, place_of
from judgebench.grading.pool import KILLED, Verifier
from judgebench.grading.programs import Command, Function, Sandbox
from judgebench.grading.sandbox import OVER_TIME, TIMEOUT
from judgebench.kinds.items import groups_of, read_examples
from judgebench.kinds.scores import GroupedMeans
from judgebench.kinds.task_files import FILE_BYTES, TaskFile, listed
from judgebench.kinds.verdicts import import_verdicts
from judgebench.records import Check, Example, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.task import Fetch, Generations, Ruling, Task, TaskData
from judgebench.task.accuracy import CUT_OFF, Accuracy
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, single_row

RULE = "program"
"""The name of the verifier."""
NO_VERDICT = Verdict(value=None)
RULES_VERSION = "1"
"""Raise it when the same program could get another verdict."""
PASS, SCORE = "pass@1", "score"
ANSWER_FILE, ITEM_FILE, TOKEN = "{answer_file}", "{item_file}", "token"
FILES_BYTES = 16 * 2**20
LABELS = (
    *(programs.FAILED, programs.NOT_FINISHED, programs.OTHER_OUTPUT, programs.ERROR),
    *(OVER_TIME, "over memory", "over output", "over files", *KILLED),
)
"""How answers fail, for counts."""
OURS = ("category", "label", "tags", "criteria")
"""Names of our own in an example's ``meta``."""
_SLOT = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[verify]``."""

    command: list[str] = []
    """A command whose exit status decides. Words that name files beside the TOML file stand for those."""
    function: str | None = None
    """Instead of a command: ``package.module:name``, called with the answer and the item."""
    program: str | None = None
    """What the answer's file holds: a text with slots, or a file of it; the answer alone by default."""
    file: str = "answer.py"
    """The name of the answer's file."""
    files: list[str] = []
    """Further files beside the TOML file that a command finds in its folder."""
    stdin: str | None = None
    """The column that a command gets as its standard input."""
    expected: str | None = None
    """The column that its standard output must be equal to, but for white space at the ends of lines."""
    extract: Literal["all", "code"] = "all"
    """``code``: of an answer with fenced blocks of code, only the first block counts."""
    k: list[int] = []
    """The k for which pass@k is reported."""
    seconds: float = 5.0
    memory_mb: int = 512
    processes: int = 32
    output_kb: int = 1024
    disk_mb: int = 64
    readable: list[str] = []
    """Further folders of this machine that the sandbox shows, read-only."""
    sandbox: bool = True

    @property
    def place(self) -> Sandbox:
        """Where the answers are run."""
        limits = {name: getattr(self, name) for name in LIMITS}
        return Sandbox(sandboxed=self.sandbox, readable=tuple(self.readable), **limits)


LIMITS = {
    "seconds": (0.1, 3600),
    "memory_mb": (16, 2**20),
    "processes": (1, 4096),
    "output_kb": (1, 2**16),
    "disk_mb": (1, 2**16),
}
"""The least and the greatest value of each limit."""


def make(file: TaskFile, starter: bool) -> Task:
    """The benchmark of such a file."""
    settings = _settings(file)
    groups = partial(groups_of, file.keys.groups)
    accuracy = Accuracy(
        task=file.name,
        verifiers={PASS: RULE},
        read=lambda metric, verdict: (verdict.label, verdict.value),
        votes={PASS: str},
        groups=groups,
        majority=False,
        ks=tuple(sorted(set(settings.k))),
        counted=LABELS,
    )
    # A command passes or does not; a function may say how much of an answer is right.
    graded = (Metric(name=SCORE, value_of=single_row(SCORE)),) if settings.function else ()
    means = GroupedMeans(task=file.name, metrics=graded, groups=groups)
    fill = _Filling(file, settings)

    def load(fetch: Fetch) -> TaskData:
        columns = {name for row in file.rows(fetch) for name in row.fields} - set(OURS)
        examples = read_examples(file, fetch, starter=starter, columns=sorted(columns))
        for example in examples:
            fill.require(example)
        return TaskData(examples=examples, baselines={}, verifiers={RULE: _verifier(file, settings)})

    def score(data: TaskData, generations: Generations, judgements: Iterable[Judgement]) -> list[ExampleScore]:
        judged = by_example(judgements)
        firsts = {name: own[0].verdict for name, own in judged.items()}
        pairs = [(example.id, firsts.get(example.id, NO_VERDICT)) for example in data.examples]
        rows = [_row(PASS, name, verdict, generations.get(name)) for name, verdict in pairs]
        return [*rows, *(_row(SCORE, name, verdict, generations.get(name)) for name, verdict in pairs if graded)]

    def summarise(data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        return [*accuracy.summarise(data, rows), *means.scores(data, rows)]

    def sums(examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        return {**accuracy.metric_sums(examples, rows, fetch), **means.sums(examples, rows)}

    return Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=(*accuracy.metrics, *graded),
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=load,
        checks=partial(_checks, settings, fill),
        rulings=partial(_rulings, settings),
        score=score,
        groups=groups,
        summarise=summarise,
        metric_sums=sums,
        repeats=True,
        importers={"outputs": import_answers, "verdicts": partial(import_verdicts, case=_case_of, value=_value_of)},
        about=file.keys.about or "How many answers pass when they are run.",
    )


def _settings(file: TaskFile) -> Settings:
    settings = file.table(Settings)
    if bool(settings.command) == (settings.function is not None):
        raise file.fault("verify", 'names a command, as in command = ["python3", "{answer_file}"], or a function')
    if settings.function is not None and not _FUNCTION.fullmatch(settings.function):
        raise file.fault("verify.function", f"{settings.function!r} is not of the form package.module:name")
    for name in ("program", "stdin", "expected", "files"):
        if settings.function is not None and getattr(settings, name):
            raise file.fault(f"verify.{name}", "is for a command; a function is given the answer and the item")
    for word in settings.command:
        for slot in re.findall(r"\{\w+_file\}", word):
            if slot not in (ANSWER_FILE, ITEM_FILE):
                raise file.fault("verify.command", f"{slot} is neither {ANSWER_FILE} nor {ITEM_FILE}")
    if settings.command and not any(ANSWER_FILE in word for word in settings.command):
        raise file.fault("verify.command", f"does not say where the answer goes: write {ANSWER_FILE} for its file")
    if PurePosixPath(settings.file).name != settings.file or settings.file in ("", "item.json"):
        raise file.fault("verify.file", f"{settings.file!r} is not the plain name of a file")
    for name, (low, high) in LIMITS.items():
        if not low <= getattr(settings, name) <= high:
            raise file.fault(f"verify.{name}", f"{getattr(settings, name):g} is not between {low:g} and {high:g}")
    if any(k < 1 for k in settings.k):
        raise file.fault("verify.k", "holds numbers of answers, from 1")
    for word in settings.readable:
        if not word.startswith("/"):
            raise file.fault("verify.readable", f"{word!r} is not the whole path of a folder")
        if Path.home().resolve().is_relative_to(Path(word).resolve()):
            raise file.fault("verify.readable", f"{word!r} would show your home to every answer; name a folder in it")
    for word in settings.files:
        if not file.among([word]):
            raise file.fault("verify.files", f"{word!r} is not a file in or below the folder of {file.path.name}")
    return settings


def _verifier(file: TaskFile, settings: Settings) -> Verifier:
    python = ".".join(platform.python_version_tuple()[:2])
    fingerprint = f"{RULE} {RULES_VERSION}, {'sandbox' if settings.sandbox else 'no sandbox'}, python {python}"
    about: dict[str, Any] = {
        "fingerprint": fingerprint,
        "runs_programs": "sandbox" if settings.sandbox else "no sandbox",
        # Of the process that watches; it has twelve times as long on the clock.
        "cpu_seconds": settings.place.longest / 4,
    }
    if settings.function is not None:
        place = place_of(settings.function, file.path.parent)
        about["fingerprint"] += f", {settings.function} {made_of(settings.function, place)}"
        shared = Function(sandbox=settings.place, name=settings.function, place=place)
        return Verifier(function=programs.run_function, shared=shared, **about)
    words = [word.replace(ANSWER_FILE, settings.file).replace(ITEM_FILE, "item.json") for word in settings.command]
    command = Command(sandbox=settings.place, words=tuple(words), files=_own_files(file, settings))
    return Verifier(function=programs.run_command, shared=command, **about)


def _own_files(file: TaskFile, settings: Settings) -> dict[str, bytes]:
    """The files beside the TOML file that each program finds in its folder."""
    found = {}
    for name in file.among([*settings.command, *settings.files]):
        try:
            found[name] = read_bytes(file.path.parent / name, FILES_BYTES)
        except OSError as error:
            raise file.fault("verify.files", f"{name!r} cannot be read: {error}") from error
    return found


# -- what a program gets


class _Filling:
    """Fills the text of a program with an answer and the fields of its item, in one pass."""

    def __init__(self, file: TaskFile, settings: Settings) -> None:
        self._file, self._settings = file, settings
        self._parts = _SLOT.split(self._template())
        """Texts and the names of slots, by turns."""

    def _template(self) -> str:
        given = self._settings.program
        if given is None:
            return "{{ answer }}"
        if "\n" in given:
            return given
        try:
            return read_text(self._file.beside("verify.program", given), FILE_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            raise self._file.fault("verify.program", f"{given!r} cannot be read: {error}") from error

    def require(self, example: Example) -> None:
        """Raise an error that names a slot or a column which this item does not have."""
        known = _values(example)
        for name in self._parts[1::2]:
            if name not in known and name not in ("answer", TOKEN):
                raise self._file.fault(
                    "verify.program",
                    f"has the slot {{{{ {name} }}}}, and item {example.id:.60} has no such field"
                    f"{did_you_mean(name, known)}; there are answer, {TOKEN}, {', '.join(known)}",
                )
        for key in ("stdin", "expected"):
            name = getattr(self._settings, key)
            if name is not None and name not in known:
                raise self._file.fault(f"verify.{key}", f"{name!r} is not a column of item {example.id:.60}")

    def files(self, example: Example, answer: str) -> dict[str, list[str]]:
        """The texts of the answer's file and, where it is asked for, the item's, in parts around the token."""
        values = _values(example)
        parts = [""]
        for place, text in enumerate(self._parts):
            if place % 2 and text == TOKEN:
                parts.append("")
            else:
                parts[-1] += text if place % 2 == 0 else answer if text == "answer" else _text(values[text])
        item = any(ITEM_FILE in word for word in self._settings.command)
        return {self._settings.file: parts, **({"item.json": [json.dumps(values)]} if item else {})}

    def column(self, example: Example, name: str | None) -> str | None:
        """The text of a column that the table names."""
        return None if name is None else _text(_values(example)[name])

    def values(self, example: Example) -> dict[str, Any]:
        """The item's fields."""
        return _values(example)


def _values(example: Example) -> dict[str, Any]:
    """The fields of an item by our names and by the file's."""
    ours: dict[str, Any] = {"id": example.asked_once, "instruction": example.instruction}
    if example.references:
        ours["reference"] = example.references[0] if len(example.references) == 1 else list(example.references)
    if len(example.messages) > 1:
        ours["messages"] = [{"role": message.role, "content": message.content} for message in example.messages]
    return {**example.meta, **ours}


def _text(value: Any) -> str:
    """A field as text: lists of texts by lines, everything else that is no text as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(listed(value)) == len(value):
        return "\n".join(value)
    return json.dumps(value)


def _extracted(settings: Settings, answer: str) -> str:
    """The part of an answer that counts.

    >>> _extracted(Settings(extract="code"), "Here:\\n```python\\nx = 1\\n```\\nDone.")
    'x = 1\\n'
    """
    block = _FENCE.search(answer) if settings.extract == "code" else None
    return answer if block is None else block[1]


def _checks(settings: Settings, fill: _Filling, data: TaskData, generation: Generation) -> tuple[Check, ...]:
    example = data.by_id.get(generation.example_id)
    if example is None or generation.error or not generation.outputs:
        return ()
    answer = _extracted(settings, generation.outputs[-1])
    arguments: dict[str, Any]
    if settings.function is not None:
        arguments = {"answer": answer, "item": fill.values(example)}
    else:
        arguments = {"files": fill.files(example, answer), "stdin": fill.column(example, settings.stdin) or ""}
        if settings.expected is not None:
            arguments["expected"] = fill.column(example, settings.expected)
    return (Check(id=f"{example.id}#{RULE}", example_id=example.id, verifier=RULE, arguments=arguments),)


# -- verdicts and scores


def _rulings(
    settings: Settings, example: Example, generation: Generation | None, judgement: Judgement
) -> tuple[Ruling, ...]:
    """How the program ended, its exit status and the end of what it wrote."""
    verdict, details = judgement.verdict, judgement.verdict.details
    found = [f"exit status {details['exit_status']}"] if details.get("exit_status") is not None else []
    if isinstance(details.get("seconds"), int | float):
        waited = f" (limit {settings.seconds:g} s, in which waiting for a core is not counted)"
        found.append(f"{details['seconds']:g} s{waited if verdict.label in (OVER_TIME, TIMEOUT) else ''}")
    outputs = [f"{name}:\n{details[name]}" for name in ("stdout", "stderr") if details.get(name)]
    held = None if verdict.value is None else verdict.value == 1
    label = "" if verdict.label in (programs.PASSED, programs.FAILED) else verdict.label
    note = verdict.error or str(details.get("error") or label or "")
    return (Ruling(rule=RULE, held=held, found="\n".join([", ".join(found), *outputs]).strip(), note=note),)


def _row(metric: str, example_id: str, verdict: Verdict, generation: Generation | None) -> ExampleScore:
    """Whether an answer passed, or how much of it a function found right; nothing without a verdict.

    Verdicts that were made elsewhere have no answer here.
    """
    if verdict.value is None:
        return ExampleScore(example_id=example_id, metric=metric, value=None)
    cut_off = generation is not None and CUT_OFF in generation.finish_reasons
    covariates: dict[str, float | str | None] = {"label": verdict.label, "cut_off": float(cut_off)}
    value = float(verdict.value == 1) if metric == PASS else verdict.value
    return ExampleScore(example_id=example_id, metric=metric, value=value, covariates=covariates)


def _case_of(example: Example, row: FileRow) -> tuple[str, int]:
    return f"{example.id}#{RULE}", 1


def _value_of(example: Example, row: FileRow, value: Any) -> Verdict:
    """Whether an answer passed elsewhere, or which share of it."""
    if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
        raise row.error(f"'value' must be true, false or a number from 0 to 1, found {value!r:.40}")
    return Verdict(value=float(value), label=programs.PASSED if value == 1 else programs.FAILED)
