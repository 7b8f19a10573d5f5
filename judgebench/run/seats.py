"""Opens the models of a run, each once behind the call store and the meter, and assigns them to judges.

A judge is a prompt and a rule; a seat is a judge and a model that plays it.
"""

import dataclasses
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.codec import read_json
from judgebench.data.resources import resource
from judgebench.errors import ModelError, UsageError
from judgebench.judges import Judge
from judgebench.judges.scorers import ScoringJudge
from judgebench.models import IF_ANY, Model, ModelSpec, OpenSettings, Served
from judgebench.models.call_store import CallStore, Spending, store_path
from judgebench.models.http.endpoint import Endpoint
from judgebench.models.http.listing import ListedModel, listed_models
from judgebench.models.opening import (
    model_name,
    open_model,
    parse_model,
    price_of,
    require_checkpoint,
    require_settings,
    shutdown_of,
)
from judgebench.models.pricing import Price
from judgebench.models.trained_by import base_vendor_of, vendor_of
from judgebench.models.vendors import shutdown, vendors
from judgebench.models.wrappers import (
    MAX_IN_FLIGHT,
    MOST_IN_BATCHES,
    Account,
    Budget,
    Metered,
    NeverAsked,
    Stored,
    require_price,
)
from judgebench.records import Sampling
from judgebench.run.batches import batched, in_batches
from judgebench.run.loading import LoadedTask
from judgebench.run.settings import Settings, override_sampling
from judgebench.run.stages import JudgeSeat
from judgebench.task import Task
from judgebench.task.best_of import SELECT


@dataclass(frozen=True)
class Opened:
    """A model ready for use."""

    model: Model
    """The model behind the call store and the meter."""
    price: Price | None


class ModelPool:
    """Opens each model once. Closing it frees connections, memory and the store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[ModelSpec, Opened] = {}
        self._accounts: list[Account] = []
        self._store: CallStore | None = None
        self._lists: dict[ModelSpec, Mapping[str, ListedModel] | None] = {}
        self.budget = Budget(settings.budget)
        self.in_batches = False
        """Whether served models are asked in batches; set before any is opened."""

    @property
    def store(self) -> CallStore:
        """The call store, which is opened when it is first needed."""
        if self._store is None:
            self._store = CallStore(store_path(self._settings.cache))
        return self._store

    def charge(self, run: str) -> Spending:
        """Charge all calls from now on to a run, and return what the run has paid so far."""
        for account in self._accounts:
            account.run = run
        return self.store.spending(run)

    def require_ready(
        self,
        candidate: tuple[ModelSpec, Mapping[str, str]] | None,
        judged: Iterable[LoadedTask],
        *,
        judged_by: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """Raise an error for an unusable candidate or judge, or for impossible settings of one, before any engine is
        imported, which takes seconds.

        A model that its vendor serves no longer is refused here, before anybody is paid, except a judge of a run that
        has begun and holds verdicts of it: it may hold all that would be asked. ``judged_by`` names such judges, and is
        ``None`` for a new run. If no model needs an engine, nothing else is checked, because the first request fails as
        early.
        """
        judges = {
            spec: (loaded_task.task, arguments)
            for loaded_task in judged
            for played in every_judge_spec(loaded_task, self._settings).values()
            for _, spec, arguments in played
        }
        asked = [*([candidate[1]] if candidate else []), *(arguments for _, arguments in judges.values())]
        self._require_cluster_used(asked, engine=candidate is not None and candidate[0].local)
        for spec, arguments in [candidate] if candidate else []:
            self.require_settings(spec, arguments, candidate=True)
        for spec, (_, arguments) in judges.items():
            self.require_settings(spec, arguments, candidate=False)
        for spec, (task, arguments) in judges.items():
            self._require_served(spec, arguments, task, judged_by)
        if candidate and judged_by is None:
            self._require_served(*candidate, None)
        if not any(spec.local for spec in (*([candidate[0]] if candidate else []), *judges)):
            return
        if candidate:
            self._require_ready(*candidate, candidate=True)
        for spec, (task, arguments) in judges.items():
            with self._with_alternatives(task):
                self._require_ready(spec, arguments, candidate=False)

    def choose_way(
        self,
        candidate: tuple[ModelSpec, Mapping[str, str]] | None,
        loaded: Sequence[LoadedTask],
        *,
        judge: bool,
        watched: bool = False,
    ) -> None:
        """Decide, before any model is opened, whether served models are asked in batches."""
        specs = dict([candidate] if candidate else [])
        for loaded_task in loaded if judge else ():
            for played in every_judge_spec(loaded_task, self._settings).values():
                specs |= {spec: arguments for _, spec, arguments in played}
        examples = sum(len(loaded_task.data.examples) for loaded_task in loaded)
        self.in_batches = in_batches(self._settings, specs, examples, watched=watched)

    def require_official_judges(self) -> None:
        """Raise an error if an official judge that would be asked is gone, before any file of its task is fetched."""
        if self._settings.judges:
            return
        for task_spec in tasks.parse_specs(self._settings.tasks):
            task, _ = tasks.load(task_spec, starter=self._settings.starter)
            for text in sorted(set(task.judge_models.values())):
                try:
                    self._require_served(*parse_model(text, self._settings.judge_args), task)
                except ModelError as error:
                    known = _of_published(self._settings.model, task, text)
                    raise ModelError(known or f"{error}{_at_once(task)}") from error

    def seats(self, loaded_task: LoadedTask) -> dict[str, tuple[JudgeSeat, ...]]:
        """Open the models that play each of a task's judges; of a cascade, the dear judge's have ``dear`` set."""
        cheap, dear = judge_specs(loaded_task, self._settings), dear_specs(loaded_task, self._settings)
        return {
            name: (
                *(self._seat(loaded_task.task, *specified) for specified in played),
                *(
                    dataclasses.replace(self._seat(loaded_task.task, *specified), dear=True)
                    for specified in dear.get(name, ())
                ),
            )
            for name, played in cheap.items()
        }

    def retries(self) -> dict[str, dict[str, int]]:
        """Return the number of repeated attempts by model and cause."""
        return {one.model.name: dict(one.model.retries) for one in self._opened.values() if one.model.retries}

    def close(self) -> None:
        """Close every model and the store."""
        for opened in self._opened.values():
            opened.model.close()
        if self._store is not None:
            self._store.close()

    def _require_served(
        self,
        spec: ModelSpec,
        arguments: Mapping[str, str],
        task: Task | None,
        judged_by: Callable[[], Collection[str]] | None = None,
    ) -> None:
        """Raise :class:`ModelError` for a model that its vendor serves no longer, unless it has answered before: all
        its replies may be in the store or in the run, and :meth:`open` sees to it that it is asked nothing new.
        """
        gone = self._gone(spec, arguments, task)
        if not gone:
            return
        known = self._known(spec, arguments, candidate=task is None)
        if not self.store.answered(known.identity) and not (judged_by and known.name in judged_by()):
            raise ModelError(gone)

    def _gone(self, spec: ModelSpec, arguments: Mapping[str, str], task: Task | None) -> str | None:
        """Why a model cannot be asked: its vendor serves it no longer. ``task`` is what it judges, if it is a judge.

        The vendor's own list of models has the last word, if it can be had: days are postponed, and some customers
        are served for longer.
        """
        end = shutdown_of(spec, arguments)
        if end is None or not end.over:
            return None
        if end.answered_by is None and not self._settings.offline:
            listed = self._listed(spec, arguments, candidate=task is None)
            if listed is not None and model_name(spec) in listed:
                return None
        return (
            f"{'The judge ' if task else ''}{spec.text} cannot be asked: {end.sentence}. "
            f"{alternatives(task, spec.text) if task else 'Name another model with --model'}"
        )

    def _listed(
        self, spec: ModelSpec, arguments: Mapping[str, str], *, candidate: bool
    ) -> Mapping[str, ListedModel] | None:
        """The models that a model's endpoint lists; ``None`` if it cannot be asked, for want of a key or an answer."""
        if spec not in self._lists:
            try:
                opened = open_model(spec, self.open_settings(arguments, candidate=candidate))
            except UsageError:
                return None
            self._lists[spec] = listed_models(opened) if isinstance(opened, Endpoint) else None
        return self._lists[spec]

    def _known(self, spec: ModelSpec, arguments: Mapping[str, str], *, candidate: bool) -> Model:
        """A served model of which only name and identity are known, for which no key is needed."""
        settings = self.open_settings(arguments, candidate=candidate)
        return open_model(spec, msgspec.structs.replace(settings, only_identity=True))

    def _seat(self, task: Task, judge: Judge, spec: ModelSpec, arguments: Mapping[str, str]) -> JudgeSeat:
        with self._with_alternatives(task):
            opened = self.open(spec, arguments, task)
        return JudgeSeat(judge, opened.model, opened.price, spec.text)

    def require_settings(self, spec: ModelSpec, arguments: Mapping[str, str], *, candidate: bool) -> None:
        """Raise an error for settings or prices with which the model cannot be opened; nothing is read or imported."""
        require_settings(spec, self.open_settings(arguments, candidate=candidate))
        require_price(spec.text, price_of(spec, arguments), self.budget)

    def _require_cluster_used(self, asked: Iterable[Mapping[str, str]], *, engine: bool) -> None:
        """Raise :class:`UsageError` for a cluster to which no model goes. ``engine``: that of the candidate does."""
        cluster = self._settings.cluster
        if cluster is not None and not engine and not any("replicas" in arguments for arguments in asked):
            raise UsageError(
                f"--cluster {cluster} would change nothing: no model is spread over it. Add --judge-arg replicas=N, or "
                "leave it out"
            )

    def _require_ready(self, spec: ModelSpec, arguments: Mapping[str, str], *, candidate: bool) -> None:
        settings = self.open_settings(arguments, candidate=candidate)
        if spec.local:
            require_checkpoint(spec, settings)
            return
        model = open_model(spec, settings)
        # An address that answered before is right, and this run may not need it any more.
        if isinstance(model, Served) and not self.store.answered(model.identity):
            model.require_reachable()

    @contextmanager
    def _with_alternatives(self, task: Task) -> Iterator[None]:
        """If an official judge cannot be opened, add to the message which judges can take its place."""
        try:
            yield
        except UsageError as error:
            if self._settings.judges:
                raise
            raise UsageError(f"{str(error).rstrip('.')}. {alternatives(task)}") from error

    @cached_property
    def _template(self) -> str | None:
        """The candidate's chat template if the user names none: where all prompts are plain text, it needs none."""
        loaded = [
            tasks.load(spec, starter=self._settings.starter)[0] for spec in tasks.parse_specs(self._settings.tasks)
        ]
        return IF_ANY if all(task.plain_prompts for task in loaded) else None

    def open_settings(self, arguments: Mapping[str, str], *, candidate: bool) -> OpenSettings:
        """How the model under test, or a judge model, is opened."""
        settings = self._settings
        addresses = settings.endpoint if candidate else settings.judge_endpoint
        return OpenSettings(
            arguments={**arguments, **({"endpoint": "|".join(addresses)} if addresses else {})},
            api_key_env=settings.api_key_env,
            concurrency=settings.concurrency if candidate else settings.judge_concurrency,
            rpm=settings.rpm,
            tpm=settings.tpm,
            chat_template=(settings.chat_template or self._template) if candidate else None,
            thinking=settings.thinking if candidate else "auto",
            think_tags=settings.think_tags,
            offline=settings.offline,
            replicas=settings.replicas if candidate else 1,
            cluster=settings.cluster if candidate or "replicas" in arguments else None,
            task_folders=tasks.folders_elsewhere(settings.tasks),
        )

    def open(self, spec: ModelSpec, arguments: Mapping[str, str], task: Task | None = None) -> Opened:
        """Open the model under test, or a judge model of a task, or return it if it is open."""
        if spec in self._opened:
            return self._opened[spec]
        gone = self._gone(spec, arguments, task)
        settings = self.open_settings(arguments, candidate=task is None)
        opened = open_model(spec, msgspec.structs.replace(settings, only_identity=gone is not None))
        if gone is not None:
            opened = NeverAsked(opened, gone)
        if isinstance(opened, Served):
            opened.answered_before = self.store.answered(opened.identity)
        price = price_of(spec, arguments)
        account = Account(price, billed=not spec.local)
        self._accounts.append(account)
        inner = opened
        if isinstance(opened, Endpoint) and (self.in_batches or self.store.batches.holds(opened.identity)):
            begins = self.in_batches
            inner = batched(opened, spec, settings, self.store, account, self.budget, begins=begins)
        meter = Metered(inner, price, self.budget, batched=self.in_batches and inner is not opened)
        stored = Stored(meter, self.store, self.in_flight, account=account)
        self._opened[spec] = Opened(stored, price)
        return self._opened[spec]

    @property
    def in_flight(self) -> int:
        """The most requests pulled and not yet answered: more if a batch is to hold them."""
        return MOST_IN_BATCHES if self.in_batches else MAX_IN_FLIGHT


def judge_specs(
    loaded_task: LoadedTask, settings: Settings
) -> dict[str, list[tuple[Judge, ModelSpec, dict[str, str]]]]:
    """Find the models that play each of a task's judges: those the user named, else the official one. Opens none."""
    task, specs = loaded_task.task, {}
    for name, judge in loaded_task.data.judges.items():
        official = task.judge_models.get(name)
        texts = settings.judges or ((official,) if official else ())
        if name == SELECT:
            texts = (_selector(official, settings),)
        if not texts:
            what = f"the starter set of {task.name}" if task.starter else task.label
            other = (
                ", because judge=NAME chooses among those of the official set" if "judge" in task.option_help else ""
            )
            raise UsageError(
                f"{what} has no official judge{other if task.starter else ''}; name one with --judge, such as --judge "
                "builtin:tiny"
            )
        parsed = [parse_model(text, {**settings.judge_file_args, **settings.judge_args}) for text in texts]
        _require_alike(task, judge, [spec for spec, _ in parsed])
        specs[name] = [(judge_for(judge, spec, settings=settings), spec, arguments) for spec, arguments in parsed]
    return specs


def dear_specs(loaded_task: LoadedTask, settings: Settings) -> dict[str, list[tuple[Judge, ModelSpec, dict[str, str]]]]:
    """The model that plays the dear one of each of a task's judges; empty without ``--cascade``."""
    text = settings.cascade
    if text is None:
        return {}
    if text.endswith((".toml", ".yaml", ".yml")):
        raise UsageError(
            f"--cascade {text}: the dear judge is asked with the same prompt as the cheap one, so it is named as a "
            "model (openai:NAME); a judge file is given with --judge"
        )
    spec, arguments = parse_model(text, {**settings.judge_file_args, **settings.judge_args, **settings.dear_args})
    return {
        name: [(judge_for(judge, spec, settings=settings), spec, arguments)]
        for name, judge in loaded_task.data.judges.items()
        if name != SELECT
    }


def every_judge_spec(
    loaded_task: LoadedTask, settings: Settings
) -> dict[str, list[tuple[Judge, ModelSpec, dict[str, str]]]]:
    """The cheap and the dear judges' models, without distinction. Raises :class:`UsageError` if two are the same."""
    cheap, dear = judge_specs(loaded_task, settings), dear_specs(loaded_task, settings)
    for played in cheap.values():
        texts = [spec.text for _, spec, _ in played]
        if twice := next((text for text in texts if texts.count(text) > 1), None):
            raise UsageError(
                f"--judge {twice} is given twice, and a jury tells its members apart by their models; name different "
                "ones, or let one judge several times with --judge-repeats"
            )
    for name, played in dear.items():
        if played[0][1] in [spec for _, spec, _ in cheap[name]]:
            raise UsageError(
                f"--cascade {settings.cascade} is the judge of all examples, too, and says nothing new about itself; "
                "name two different models, the cheap one with --judge"
            )
    return {name: [*played, *dear.get(name, ())] for name, played in cheap.items()}


def judge_for(judge: Judge, spec: ModelSpec, *, settings: Settings) -> Judge:
    """Adapt the judge to its model and to the user's sampling; a local model scores the labels directly.

    Raises :class:`UsageError` if the judge reads log-probabilities and the model cannot give them.
    """
    if isinstance(judge, ScoringJudge):
        return judge
    if spec.backend.scores is not None:
        if settings.judge_gen:
            raise UsageError(f"--judge-gen is for judges that write, and {spec.text} writes nothing; leave it out")
        if settings.own_judge is not None and settings.own_judge.prompt is not None:
            raise UsageError(
                f"{spec.text} reads no prompt, it gives numbers to answers, so that of {settings.own_judge.name} would "
                "change nothing; leave it out"
            )
        return ScoringJudge(judge, spec.backend.scores)
    if spec.local:
        judge = judge.constrained()
    if getattr(judge, "sampling", Sampling()).top_logprobs and not spec.backend.gives_logprobs:
        raise UsageError(
            f"the judge {judge.name} reads its verdict from token log-probabilities, but the API of {spec.text} does "
            "not return any. Use openai:NAME with a model that returns them, http://HOST:PORT/v1#NAME (vLLM "
            "does), or a local judge (hf:…), which scores the labels itself. To ask this model all the same, give a "
            'judge file (judge.toml) of it with read = "label", which reads a written label; another judge is '
            "another protocol"
        )
    if not settings.judge_gen:
        return judge
    changed: Any = judge
    settled: Judge = dataclasses.replace(
        changed, sampling=override_sampling(changed.sampling, settings.judge_gen, "--judge-gen")
    )
    return settled


def _selector(known: str | None, settings: Settings) -> str:
    """The model that chooses among answers. A run folder may come from anyone, and does not choose a checkpoint."""
    if settings.select is None:
        raise UsageError(
            f"the answers of this run are chosen by {known}, and a run folder cannot choose a checkpoint; name it with "
            "--select"
        )
    return settings.select


def _require_alike(task: Task, judge: Judge, specs: Sequence[ModelSpec]) -> None:
    """Raise :class:`UsageError` for scoring models that cannot play a judge, or not beside the others.

    A pair has a winner, whoever names it; a rating is a number on somebody's scale.
    """
    scoring = [spec for spec in specs if spec.backend.scores is not None]
    texts = getattr(judge, "texts", None)
    if not scoring or texts is None or texts.answers == 2:
        return
    first = scoring[0]
    if first.backend.scores == "pairs":
        raise UsageError(
            f"{first.text} compares two answers, and the judge {judge.name} of {task.label} sees one; name a judge of "
            "single answers, such as reward:ID"
        )
    if task.on_rewards is None:
        raise UsageError(
            f"{first.text} rates on a scale of its own, and {task.label} needs another judge for {judge.name}: its "
            "numbers are made of that judge's labels or scale. Compare answers with a baseline's instead, or rate them "
            'by a benchmark of kind = "rating"'
        )
    if len(scoring) < len(specs):
        other = next(spec for spec in specs if spec.backend.scores is None)
        raise UsageError(
            f"{first.text} and {other.text} rate on different scales, so they cannot be one jury; make a run with each"
        )


def judge_texts(settings: Settings) -> list[str]:
    """The judge models of a run's tasks, as the user or the tasks name them, each once."""
    texts: dict[str, None] = {}
    for spec in tasks.parse_specs(settings.tasks):
        task, _ = tasks.load(spec, starter=settings.starter)
        if task.judge_models or settings.judges:
            texts |= dict.fromkeys(settings.judges or task.judge_models.values())
            texts |= dict.fromkeys(filter(None, [settings.cascade]))
    return list(texts)


def of_one_family(settings: Settings) -> list[str]:
    """Say which judges would judge a model of their own vendor, or one made from its weights: they may favour it."""
    if settings.model is None:
        return []
    try:
        candidate = model_name(parse_model(settings.model)[0])
        names = {text: model_name(parse_model(text)[0]) for text in judge_texts(settings)}
    except UsageError:  # the run says it
        return []
    made = {vendor_of(candidate), base_vendor_of(candidate)} - {None}
    return [
        f"the judge {text} and {settings.model} are both of {vendor}: a judge may favour answers of its own family; "
        f"`judgebench judges audit {text}` measures by how much"
        for text, name in names.items()
        if (vendor := vendor_of(name)) in made
    ]


def ending_soon(settings: Settings, *, judge: bool) -> list[str]:
    """Say of each model that a run would ask until when its vendor serves it, if that is within two months."""
    texts = dict.fromkeys([settings.model] if settings.model else [])
    try:
        texts |= dict.fromkeys(judge_texts(settings) if judge else [])
        ends = {text: shutdown_of(*parse_model(text)) for text in texts}
    except UsageError:  # the run says it
        return []
    return [
        f"{end.vendor} serves {text} until {end.day}, for {end.days_left} more days"
        + (f"; it recommends {end.replaced_by}" if end.replaced_by else "")
        for text, end in ends.items()
        if end and end.soon and not end.over
    ]


def _at_once(task: Task) -> str:
    """What needs no key, server or official file; empty for a task without a starter set of its own."""
    if not (tasks.folder(task.name) / "starter.jsonl").is_file():
        return ""
    return f". To try it now: add {'' if task.starter else '--starter '}--judge builtin:tiny"


def _of_published(model: str | None, task: Task, judge: str) -> str:
    """What is known of published answers whose judge is gone; empty for any other model."""
    name = (model or "").removeprefix("published:")
    if name == (model or "") or task.starter or not (resource("leaderboards") / f"{task.name}.csv").is_file():
        return ""
    row = f"judgebench leaderboard --task {task.name} --published --filter {shlex.quote(name)}"
    return (
        f"{judge}, the official judge of {task.label}, is served no longer, but what it said of these answers is "
        f"published: `{row}` shows the row, `judgebench compare RUN {shlex.quote(f'published:{name}')}` compares a run "
        f"with it. Another judge for the answers is named with --judge"
    )


def alternatives(task: Task, gone: str = "") -> str:
    """Name a task's official judge, unless it is the one just said to be ``gone``, and judges to take its place."""

    def described(text: str, *notes: str) -> str:
        """Describe a model with its notes, and its last day if that is known."""
        end = shutdown_of(*parse_model(text))
        facts = [*([end.short] if end else []), *notes]
        return f"{text} ({'; '.join(facts)})" if facts else text

    def served(text: str) -> bool:
        end = shutdown_of(*parse_model(text))
        return end is None or not end.over

    official = sorted(set(task.judge_models.values()))
    named = "" if official == [gone] else ", ".join(map(described, official))
    known = f"The official judge of {task.label} is {named}. " if named else ""
    others = "; ".join(described(text, _gist(note)) for text, note in task.other_judges.items() if served(text))
    return (
        f"{known}Other judges today: {others or 'none is known'}. "
        f"Their numbers are not comparable with published ones{_by_bridge(task)}"
    )


def _gist(note: str) -> str:
    """The first thing that a note says."""
    return re.split("[;:]", note, maxsplit=1)[0]


def _by_bridge(task: Task) -> str:
    """How an official number can still be had of a task whose numbers are published; empty for any other."""
    if not (resource("leaderboards") / f"{task.name}.csv").is_file():
        return ""
    ready = sorted(_ready_bridges(task))
    there = f" (ready: {', '.join(ready)})" if ready else ""
    return (
        ", but a bridge predicts the official number from them: `judgebench bridge make --task "
        f"{task.label} --plan 12 --judge J` plans one, and --bridge FILE{there} of eval and score uses it"
    )


class _ReadyJudge(msgspec.Struct):
    identity: str
    vendor: str | None = None


class _ReadyBridge(msgspec.Struct):
    """What of a bridge that comes with the program says whether it is of use for a new model."""

    task: str
    task_version: str
    judge: _ReadyJudge


def _ready_bridges(task: Task) -> Iterator[str]:
    """The names of the bridges that come with the program for a task, but for those whose own judge is gone."""
    for path in (resource("leaderboards") / "bridges").glob("*.bridge.json"):
        bridge = read_json(path, _ReadyBridge)
        vendor = vendors().get(bridge.judge.vendor or "")
        end = None if vendor is None else shutdown(vendor, bridge.judge.identity)
        if (bridge.task, bridge.task_version) == (task.name, task.version) and not (end and end.over):
            yield path.name.removesuffix(".bridge.json")
