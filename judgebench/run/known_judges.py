"""What is known of judges without asking any: those that tasks have by name, and what a judge file says.

``judgebench judges`` shows it. Facts about models come from the vendors' tables.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from judgebench import tasks
from judgebench.data.sources import read_sources
from judgebench.display import printable
from judgebench.errors import JudgebenchError, UsageError
from judgebench.files import read_toml
from judgebench.judges import Judge
from judgebench.judges.judge_files import JudgeFile, read_judge_file, read_prompt
from judgebench.judges.named import STARTER, NamedJudge
from judgebench.judges.own_prompts import CaseTexts, labels_told
from judgebench.models.opening import parse_model, price_of, shutdown_of
from judgebench.models.vendors import near, vendors
from judgebench.run.judge_marks import AuditMark, marks
from judgebench.run.published_judges import PublishedJudge, published_judge
from judgebench.task import Task, TaskData
from judgebench.task.own_judging import judged_by, require_order


class JudgeModel(Struct, frozen=True, kw_only=True):
    """A judge model, as far as the tables know it."""

    spec: str
    served: str
    """Until when its vendor serves it, in words; empty if no day is known."""
    over: bool
    """Whether its vendor serves it no longer."""
    usd_per_million: tuple[float, float] | None
    """USD for a million prompt and completion tokens; ``None`` if not known."""
    advice: str | None = None
    """The model that the vendor recommends in its place."""
    logprobs: bool
    """Whether its API returns log-probabilities, or it scores labels itself, as some judges need."""


class KnownJudge(Struct, frozen=True, kw_only=True):
    """A judge that a task has by name."""

    task: str
    name: str
    choose: str
    """What ``--tasks`` says to have answers judged by it."""
    model: JudgeModel | None
    """Upstream's judge model; ``None`` if the user names one."""
    cases: str
    reading: str
    labels: tuple[str, ...]
    """What the reading rule looks for in a reply, and a prompt has to name."""
    prompt: str
    """Where the prompt comes from."""
    unavailable: str
    """Why it cannot judge here; empty if it can."""
    about: str
    published: PublishedJudge | None = None
    """What upstream published of it as a judge."""
    audits: list[AuditMark] = []
    """What audits of this machine found about its model, the newest first."""

    @property
    def usable(self) -> bool:
        """Whether it can judge here."""
        return not self.unavailable

    @property
    def of_starter(self) -> bool:
        """Whether it judges with ``--starter``."""
        return self.about.startswith(STARTER)

    @property
    def default(self) -> bool:
        """Whether the task uses it without being told to."""
        return self.usable and self.choose == self.task and not self.of_starter

    @property
    def ended(self) -> bool:
        """Whether upstream's model is served no longer."""
        return self.model is not None and self.model.over

    @property
    def left_behind(self) -> bool:
        """Whether it is served no longer, and is not what the benchmark itself judges with."""
        return self.ended and ":judge=" in self.choose


class CheckedFile(Struct, frozen=True, kw_only=True):
    """A judge file that was read, and the tasks that it fits."""

    path: str
    replaces: str
    models: list[JudgeModel]
    prompt_sha256: str | None
    reading: str
    sampling: dict[str, object]
    order: str | None
    fits: list[str]
    """What ``--tasks`` may say with it."""
    reads: dict[str, str]
    """What is read in the judge's reply, by what ``--tasks`` may say together with ``--starter``."""
    misfits: dict[str, str]
    """Other tasks, and why it does not fit them."""
    reasons: dict[str, list[str]]
    """The reasons without what differs between tasks, each with the tasks that it keeps the judge from."""


def model_facts(spec: str, arguments: Mapping[str, str] | None = None) -> JudgeModel:
    """What the tables know of a model."""
    parsed, rest = parse_model(spec, arguments)
    end, price = shutdown_of(parsed, rest), price_of(parsed, rest)
    return JudgeModel(
        spec=parsed.text,
        served="" if end is None else end.short,
        over=end is not None and end.over,
        usd_per_million=None if price is None else (price.prompt, price.completion),
        advice=None if end is None else end.replaced_by,
        logprobs=parsed.local or parsed.backend.gives_logprobs,
    )


def known_judges(task: str | None = None) -> list[KnownJudge]:
    """The judges of one task, or of all tasks, by name; those that can judge here and are served come first."""
    found: list[KnownJudge] = []
    audits = marks()
    for name in tasks.names() if task is None else [task]:
        loaded, folder = tasks.load(tasks.parse_one_spec(name))
        places = {key: source.place for key, source in read_sources(folder).items()}
        known = [
            _known(loaded, named, places, audits) for named in _named(loaded) or (_of_starter(name) if task else ())
        ]
        found += sorted(known, key=lambda judge: (not judge.usable, judge.left_behind))
    if not found and task is not None:
        raise UsageError(f"the answers to {task} are verified, not judged, so it has no judges")
    return found


def _named(task: Task) -> tuple[NamedJudge, ...]:
    """The judges of a task; one that lists none has those that it judges with."""
    return task.named_judges or tuple(
        NamedJudge(name=name, model=model, reading="the task's own rule") for name, model in task.judge_models.items()
    )


def _of_starter(spec: str) -> tuple[NamedJudge, ...]:
    """The judges of a task of the user's that names none: those of its starter set."""
    _, data = _starter(spec)
    return tuple(
        NamedJudge(
            name=name,
            model=None,
            answers=getattr(getattr(judge, "texts", None), "answers", 2),
            reading=str(judge.fingerprint.get("reading", "the task's own rule")),
            labels=getattr(judge, "labels", ()),
        )
        for name, judge in data.judges.items()
    )


def audits_of(model: str, known: Sequence[AuditMark]) -> list[AuditMark]:
    """The audits of a model, alone or in a jury, as the user named it."""
    return [mark for mark in known if model in mark.judge.split("+")]


def _known(task: Task, named: NamedJudge, places: Mapping[str, str], audits: Sequence[AuditMark]) -> KnownJudge:
    model = None if named.model is None else model_facts(named.model)
    return KnownJudge(
        task=task.name,
        name=named.name,
        choose=f"{task.name}:{named.chosen_by}" if named.chosen_by else task.name,
        model=model,
        cases="single answers" if named.answers == 1 else "pairs of answers",
        reading=named.reading,
        labels=named.labels,
        prompt=places.get(named.prompt or "", named.prompt or ""),
        unavailable=named.unavailable,
        about=named.about,
        published=published_judge(task.name, named.name),
        audits=[] if model is None else audits_of(model.spec, audits),
    )


def is_task(name: str) -> bool:
    """Whether a name is that of a task, with its version and options if need be, or the path of one.

    A TOML file is a benchmark if it names its ``kind``, and else a judge file.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        try:
            return "kind" in read_toml(path, "a benchmark or a judge file")
        except UsageError:  # whoever reads it as a judge file says what is wrong
            return False
    return tasks.is_file(name) or name.partition(":")[0].partition("@")[0] in tasks.names()


def find_judges(name: str) -> list[KnownJudge]:
    """The judges of a name, or of a task; raise :class:`UsageError`, which names near ones, if there is none."""
    if is_task(name):
        return known_judges(name)
    judges = known_judges()
    found = [judge for judge in judges if name in (judge.name, f"{judge.task}/{judge.name}")]
    if found:
        return found
    likely = near(name, [judge.name for judge in judges])
    hint = f"near are {', '.join(likely)}. " if likely else ""
    sold = _sold_as(name)
    hint = f"as a judge's model it is {' or '.join(sold)}. " if sold else hint
    raise UsageError(
        f"no judge is called {printable(name)[:200]!r}; {hint}`judgebench judges list` shows all; a judge file ends in "
        ".toml or .yaml, and a prompt in .j2"
    )


def model_called(name: str) -> str | None:
    """The spec of the model that one vendor sells by this name, unless several do or a judge is so called."""
    sold = _sold_as(name)
    return sold[0] if len(sold) == 1 and all(judge.name != name for judge in known_judges()) else None


def _sold_as(name: str) -> list[str]:
    return [f"{vendor.prefix}:{name}" for vendor in vendors().values() if vendor.price(name) is not None]


def shown_texts(task: str) -> dict[str, dict[str, str]]:
    """What a judge prompt of the user's can show, by name, for each kind of cases of a task."""
    spec = tasks.parse_one_spec(task)
    found: dict[str, dict[str, str]] = {}
    for choice in _variants(tasks.load(spec)[0]) if not (spec.options or tasks.is_file(task)) else [task]:
        _, data = _starter(choice)
        for judge in data.judges.values():
            texts = getattr(judge, "texts", None) or CaseTexts(answers=2)
            found.setdefault(texts.words, texts.described)
    return found


def _variants(task: Task) -> list[str]:
    """What ``--tasks`` says for each kind of cases that a task has."""
    kinds = {named.answers: named.chosen_by for named in reversed(_named(task)) if not named.unavailable}
    return [f"{task.name}:{chosen}" if chosen else task.name for _, chosen in sorted(kinds.items())]


def _starter(spec: str) -> tuple[Task, TaskData]:
    """A task with its starter set, which needs no files."""
    task, _ = tasks.load(tasks.parse_one_spec(spec), starter=True)
    return task, task.load(_no_files)


def _no_files(name: str) -> bytes:
    raise UsageError(f"the starter set asked for the official file {name!r}")


def check_file(path: Path, asked: str | None = None) -> CheckedFile:
    """Read a judge file or a prompt, and try which tasks it fits: those ``asked`` for, or the bundled ones."""
    file = JudgeFile(judge=read_prompt(path)) if path.suffix == ".j2" else read_judge_file(path)
    where = file.prompt_path or str(path)
    own, fits, misfits, reads = file.judge, [], {}, {}
    reasons: dict[str, list[str]] = {}
    for spec in _tried(asked):
        names: list[str] = []
        try:
            task, data = _starter(spec)
            names = [f"{task.name} ({judge})" for judge in data.judges]
            if not names:
                raise UsageError(f"the answers to {task.label} are verified, not judged")
            require_order(own, task)
            played = judged_by(own, task, data, where)
            fits.append(spec)
            reads[spec] = _read_of(played.judges)
        except JudgebenchError as error:
            misfits[spec] = str(error)
            reason = str(error).removeprefix("" if file.prompt_path else f"the judge prompt {where} ")
            reasons.setdefault(_without_task(reason, names), []).append(spec)
    return CheckedFile(
        path=str(path),
        replaces=own.mark,
        models=[model_facts(model, file.model_args) for model in file.models],
        prompt_sha256=own.prompt_sha256,
        reading="the benchmark's own rule" if own.verdict is None else own.verdict.words,
        sampling=dict(own.sampling),
        order=own.order,
        fits=fits,
        reads={spec: told for spec, told in reads.items() if told},
        misfits=misfits,
        reasons=reasons,
    )


SEE_TASK = "which the cases do not have; `judgebench judges info TASK` lists what they have"


def _tried(asked: str | None) -> list[str]:
    """What ``--tasks`` says for each kind of cases of the tasks asked for, or of all that are bundled."""
    if asked is None:
        return [spec for name in tasks.names() for spec in _variants(tasks.load(tasks.parse_one_spec(name))[0])]
    found: list[str] = []
    for spec in tasks.parse_specs(asked):
        task, _ = tasks.load(spec, starter=True)
        plain = not (spec.options or spec.version or tasks.is_file(spec.name))
        found += (_variants(task) if plain else []) or [spec.text]
    return found


def _without_task(why: str, names: Sequence[str]) -> str:
    """A reason without the names of the task and its judges, the example that shows it, and all that cases have."""
    for name in names:
        why = why.replace(name, "it")
    why = re.sub(r" \([^()]*, turn \d+, of it\)", "", why)
    why = re.sub(r"^.{1,200}? cannot judge \S+, because ", "", why)
    return re.sub(r"which cases of it do not have\. They have .*", SEE_TASK, why, flags=re.DOTALL)


def _read_of(judges: Mapping[str, Judge]) -> str:
    told = dict.fromkeys(labels_told(labels) for judge in judges.values() if (labels := getattr(judge, "labels", ())))
    return "; ".join(told)
