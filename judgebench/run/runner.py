"""Runs ``eval``, ``generate`` and ``judge`` from the settings to the results.

``Runner`` opens the models, determines the fingerprints and the run folder, runs the stages and scores. It keeps the
manifest true at every moment, so that a killed run can be told from a finished one. ``pipeline`` generates and judges,
``scoring`` computes the numbers.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial

import msgspec

from judgebench import tasks
from judgebench.activity import doing
from judgebench.errors import Incomplete, ModelError, SourceMissing, UsageError
from judgebench.grading.pool import GradingPool
from judgebench.models import Gauge, Model, ModelSpec
from judgebench.models.opening import parse_model
from judgebench.models.opening.backends import TINY
from judgebench.models.pricing import Price
from judgebench.records import Completion, EarlyStop, Example, Request, Sampling
from judgebench.run.cascades import (
    CascadePlan,
    asked,
    cascade_part,
    cascade_plan,
    dear_watch,
    prices_of,
    split_judgements,
    with_late,
)
from judgebench.run.controls import controls
from judgebench.run.folder import Manifest, Results, RunFolder, TaskFolder, TaskManifest, new_run_folder, now
from judgebench.run.kept_judges import as_before
from judgebench.run.labels import Labels, labels_for
from judgebench.run.loading import (
    LoadedTask,
    load_tasks,
    read_candidate,
    reload_tasks,
    require_answers,
    require_baseline,
    require_coverage,
    require_no_patterns,
    require_texts,
    require_useful,
    task_sampling,
)
from judgebench.run.manifests import (
    build_task_manifest,
    combined,
    ending,
    git_revision,
    hash_over_tasks,
    new_session,
    outputs_identity,
    package_versions,
    rejudged,
    require_same_run,
    something_failed,
    spent,
    status_of,
)
from judgebench.run.pipeline import Observer, Pipeline
from judgebench.run.predicting import NO_BRIDGES, open_bridges
from judgebench.run.protocol import NOT_JUDGED, differing
from judgebench.run.scoring import finish_tasks, results_of
from judgebench.run.seats import ModelPool, Opened, every_judge_spec
from judgebench.run.selecting import select_examples
from judgebench.run.settings import Settings
from judgebench.run.stages import JudgeSeat, RunningTask, generation_step
from judgebench.run.steering import Steering
from judgebench.run.stopping import DifferenceWatch, Known, StopRule, Watch, can_stop, stop_rule
from judgebench.task import Imported
from judgebench.task.best_of import SELECT
from judgebench.thinking import Thinking

STAND_IN = (
    f"{TINY} replies to prompts that it knows: those of the bundled benchmarks, and those that a tiny.toml beside your "
    'task lists. With a prompt of your own, read the probabilities of labels (reads = "logprob"), or take a real judge.'
)
"""What to do if the stand-in for a judge said nothing that can be read."""
CHECKPOINT_SECONDS = 2.0
"""Interval at which a run in progress updates its manifest."""
KEPT = {"generate": "answers", "judge": "verdicts"}
"""Words for what each stage produces."""


class Runner:
    """One run of ``eval``, ``generate`` or ``judge``."""

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._use(settings)
        self._observer = observer
        self._pool = GradingPool(unsafe_local=settings.unsafe_local)
        self._started = time.monotonic()
        self._labels: Labels | None = None
        self._bridges = NO_BRIDGES
        self._lost: list[Gauge] = []
        """What was under way when the work was broken off."""
        self._batches = 0
        """Batches that went on at their vendors when the work was broken off."""
        self._folders: list[TaskFolder] = []
        self._alone = ExitStack()
        """Holds the lock of the run folder."""
        self.folder: RunFolder | None = None
        """The run's folder, once it is known."""

    @property
    def spent(self) -> float:
        """USD that the run has cost over all its processes, as far as prices are known."""
        return self._models.budget.spent_usd

    @property
    def kept(self) -> str:
        """What the run folder holds, for the message to a user who stopped the run."""
        if self.folder is None:
            return "nothing was asked yet"
        parts = [
            f"{key}: {', '.join(f'{counts.done} of {counts.total} {KEPT[stage]}' for stage, counts in begun.items())}"
            for key, stages in self._session.counts.items()
            if (begun := {stage: counts for stage, counts in stages.items() if counts.done})
        ]
        kept = f"{self.folder.path} keeps {'; '.join(parts)}" if parts else f"nothing is finished in {self.folder.path}"
        if self._batches:
            kept += "; a batch goes on at its vendor" if self._batches == 1 else f"; {self._batches} batches go on"
        rows, tokens = (sum(getattr(gauge, name) for gauge in self._lost) for name in ("rows", "tokens"))
        if not rows:
            return kept
        begin, many = "begins" if rows == 1 else "begin", "token" if tokens == 1 else "tokens"
        return f"{kept}; {rows:,} under way {begin} again" + (f" ({tokens:,} {many})" if tokens else "")

    def evaluate(self, *, judge: bool = True) -> Results:
        """Generate the answers or read them from a file, judge them unless ``judge`` is false, and score them."""
        settings = self._settings
        if settings.model is None:
            raise UsageError("--model is missing; name the model under test")
        spec, arguments = parse_model(settings.model, settings.model_args)
        if not spec.backend.finished:
            self._models.require_settings(spec, arguments, candidate=True)
        for text in settings.judges if judge else ():
            parse_model(text, settings.judge_args)
        if settings.out is not None:
            _require_run_or_room(RunFolder(settings.out))
        begun = settings.out is not None and RunFolder(settings.out).manifest() is not None
        with self._closing():
            if judge and not begun:
                self._models.require_official_judges()
            loaded, given = self._load(spec, judge=judge)
            self._labels = labels_for(settings.labels, loaded)
            self._bridges = open_bridges(settings.bridge, settings.level, settings)
            self._bridges.require_tasks([f"{one.task.name}@{one.task.version}" for one in loaded])
            before = partial(_judged_by, RunFolder(settings.out)) if begun and settings.out else None
            asked = None if given else (spec, arguments)
            self._models.require_ready(asked, loaded if judge else (), judged_by=before)
            self._models.choose_way(asked, loaded, judge=judge)
            candidate = None if given else self._models.open(spec, arguments)
            return self._work(self._open(spec, candidate, loaded, given, judge=judge))

    def rejudge(self, folder: RunFolder) -> Results:
        """Judge what has not been judged yet in a run folder, and score the run.

        Without a judge of the user's, it goes on with that of the last session.
        """
        self._use(as_before(folder, folder.require_manifest(), self._settings))
        with self._reopened(folder) as (manifest, loaded):
            self._models.require_ready(None, loaded, judged_by=partial(_judged_by, folder))
            self._models.choose_way(None, loaded, judge=True)
            plans = [self._plan_answered(folder, manifest, loaded_task) for loaded_task in loaded]
            self._bridges = open_bridges(self._settings.bridge, self._settings.level, self._settings)
            self._bridges.require_fitting(plan.task_manifest for plan in plans)
            return self._work(self._continue(folder, manifest, plans))

    def judge_until_decided(
        self, folder: RunFolder, watches: Mapping[str, DifferenceWatch], like: Mapping[str, TaskManifest]
    ) -> None:
        """Judge what has not been judged yet in a run folder, until the watch of each task has decided.

        Tasks without a watch are left alone. Nothing is scored: the run is left as after an interruption. Raises
        :class:`UsageError` before the first call if a task would be judged by another protocol than that of ``like``.
        """
        with self._reopened(folder) as (manifest, loaded):
            watched = [loaded_task for loaded_task in loaded if loaded_task.key in watches]
            self._models.require_ready(None, watched, judged_by=partial(_judged_by, folder))
            plans = []
            for loaded_task in watched:
                key = loaded_task.key
                plan = self._plan_answered(folder, manifest, loaded_task)
                if plan.task_manifest.protocol_hash != like[key].protocol_hash:
                    names = differing(like[key].protocol, plan.task_manifest.protocol)
                    raise UsageError(
                        f"judging the rest of {key} in {folder.path} would follow another protocol than the "
                        f"baseline's: they differ in {', '.join(names[:6])}. Evaluate one of the two again with the "
                        f"settings of the other"
                    )
                plans.append(replace(plan, watch=watches[key]))
            run = self._continue(folder, manifest, plans)
            self._begin(run)
            with self._failure_recorded(run):
                self._stages(run)
            self._end(run, "interrupted")

    def _use(self, settings: Settings) -> None:
        """Work with these settings from now on; no model is open yet."""
        self._settings, self._models, self._session = settings, ModelPool(settings), new_session(settings)

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Close the models and the verifiers and unlock the run folder, however the work ends."""
        try:
            yield
        finally:
            with doing("closing the models"):
                self._models.close()
            self._pool.close()
            # After an early stop, programs that were still running left their verdicts until now.
            for folder in self._folders:
                folder.close()
            self._alone.close()

    @contextmanager
    def _reopened(self, folder: RunFolder) -> Iterator[tuple[Manifest, list[LoadedTask]]]:
        """Lock an existing run folder and read its manifest and tasks."""
        with self._closing():
            folder.require_manifest()
            self._alone.enter_context(folder.locked())
            manifest = folder.require_manifest()
            if self._settings.own_judge is None:
                require_no_patterns(folder, manifest)
            yield manifest, reload_tasks(folder, manifest, self._settings)

    def _load(self, spec: ModelSpec, *, judge: bool) -> tuple[list[LoadedTask], dict[str, Imported]]:
        """Load the tasks with the examples to run, and the finished answers by task if ``spec`` is a file of them.

        Everything that can be refused without a model is refused here.
        """
        settings = self._settings
        if spec.backend.finished and not judge:
            raise UsageError(f"{spec.text} holds finished answers: there is nothing to generate")
        require_useful(spec, settings)
        require_answers(spec, settings)
        with _with_starter_set(settings):
            loaded = load_tasks(settings)
        for loaded_task in loaded:
            require_texts(loaded_task, unsafe_local=self._settings.unsafe_local)
            if judge:
                every_judge_spec(loaded_task, settings)
        given: dict[str, Imported] = {}
        if spec.backend.finished:
            given = {loaded_task.key: read_candidate(loaded_task, spec, settings) for loaded_task in loaded}
        loaded = [select_examples(loaded_task, settings, given.get(loaded_task.key)) for loaded_task in loaded]
        for loaded_task in loaded:
            task_sampling(loaded_task, settings)
            rule = None
            if settings.stop_when is not None:
                rule = stop_rule(settings.stop_when, loaded_task.task, judged=can_stop(loaded_task.data))
            cascade_plan(settings, loaded_task.task, len(loaded_task.data.examples), rule)
            if loaded_task.key in given:
                known = {generation.example_id: generation for generation in given[loaded_task.key].generations}
                require_coverage(loaded_task, known, spec.text)
        return loaded, given

    def _plan_answered(self, folder: RunFolder, manifest: Manifest, loaded_task: LoadedTask) -> "_Plan":
        """Plan to judge a task whose answers are in a run folder."""
        before = manifest.tasks[loaded_task.key]
        require_texts(loaded_task, unsafe_local=self._settings.unsafe_local)
        task_folder = folder.task(loaded_task.key)
        if next(task_folder.generations(), None) is None:
            raise UsageError(f"{folder.path} holds no answers of {loaded_task.key}; run `judgebench generate` first")
        stop = before.protocol.get("stop_when") or before.protocol.get("cascade", {"rule": None})
        plan = self._plan(
            loaded_task,
            manifest.candidate_identity,
            judge=True,
            stop_when=stop.get("rule"),
            known=task_folder.known(),
            think_tags=before.think_tags,
        )
        asked = {seat.model.name for seats in plan.seats.values() for seat in seats}
        others = task_folder.judge_models() - asked
        if others:
            raise UsageError(
                f"{folder.path} was judged by {', '.join(sorted(others))}; another judge is another protocol. "
                f"Use `judgebench eval --model file:…` with its answers and another --out"
            )
        if before.cascade is not None and before.protocol["cascade"] != plan.task_manifest.protocol.get("cascade"):
            raise UsageError(
                f"{folder.path} has a cascade whose part was drawn before it was judged: {before.cascade.dear} judges "
                f"{before.cascade.rule or before.cascade.n} of {before.cascade.population}. A part that is changed "
                "once its verdicts are known is no random part; go on with the same --cascade and --dear, or evaluate "
                "the answers again with another --out"
            )
        return replace(plan, task_manifest=rejudged(before, plan.task_manifest))

    def _continue(self, folder: RunFolder, manifest: Manifest, plans: Sequence["_Plan"]) -> "_OpenRun":
        """Continue an existing run: put this session and its plans for the tasks into the manifest."""
        manifest.tasks |= {plan.key: plan.task_manifest for plan in plans}
        hash_over_tasks(manifest)
        manifest.sessions.append(self._session)
        tasks = [self._start(plan, folder) for plan in plans]
        return _OpenRun(
            folder,
            manifest,
            [plan.loaded_task for plan in plans],
            tasks,
            dear_rules=_dear_rules(plans),
            generate=False,
            judge=True,
        )

    def _open(
        self,
        spec: ModelSpec,
        candidate: Opened | None,
        loaded: Sequence[LoadedTask],
        given: Mapping[str, Imported],
        *,
        judge: bool,
    ) -> "_OpenRun":
        """Determine the folder and the manifest of a new run, or of an unfinished one with the same inputs."""
        name = candidate.model.name if candidate else next(iter(given.values())).candidate
        if self._settings.refine:
            name += f"+refine{len(self._settings.refine)}"
        identity = candidate.model.identity if candidate else outputs_identity(given)
        plans = [
            self._plan(
                loaded_task,
                identity,
                judge=judge,
                candidate=candidate,
                imported=given.get(loaded_task.key),
                stop_when=self._settings.stop_when,
                name=name,
            )
            for loaded_task in loaded
        ]
        task_manifests = {plan.key: plan.task_manifest for plan in plans}
        self._bridges.require_fitting(task_manifests.values())
        folder = self._folder(name, task_manifests)
        manifest = self._manifest(folder, spec, name, identity, task_manifests)
        # Written before any other file, so that a folder left by a killed process is recognised as a run.
        folder.write_manifest(manifest)
        price = candidate.price if candidate else None
        tasks = [self._start(plan, folder, given.get(plan.key), name, price) for plan in plans]
        rules = _dear_rules(plans)
        return _OpenRun(folder, manifest, loaded, tasks, candidate, dear_rules=rules, generate=not given, judge=judge)

    def _plan(
        self,
        loaded_task: LoadedTask,
        identity: str,
        *,
        judge: bool,
        candidate: Opened | None = None,
        imported: Imported | None = None,
        stop_when: str | None = None,
        name: str = "",
        known: Known | None = None,
        think_tags: Sequence[tuple[str, str]] = (),
    ) -> "_Plan":
        """Plan a task's part of the run. ``candidate`` is the model that answers; ``None`` if the answers exist.

        ``known`` is what the run knew of its examples before; a new run, of a candidate with this ``name``, asks the
        controls that the user names.
        """
        settings, task, data = self._settings, loaded_task.task, loaded_task.data
        thinking = Thinking(settings.thinking, tuple(dict.fromkeys([*think_tags, *settings.think_tags])))
        if judge:
            require_baseline(loaded_task)
        sampling = task_sampling(loaded_task, settings)
        seats = self._models.seats(loaded_task) if judge else {}
        rule = None if stop_when is None else stop_rule(stop_when, task, judged=can_stop(data))
        cascade = cascade_plan(settings, task, len(data.examples), rule) if judge else None
        if rule is not None and settings.controls:
            files = tasks.files_among(tasks.named(settings.tasks))
            known = controls(settings.controls, task, rule.metric, list(data.by_id), name, files)
        requests = generation_step(sampling, settings.system, thinking, settings.refine)
        task_manifest = build_task_manifest(
            loaded_task,
            {
                name: [(seat.judge, seat.model) for seat in seats[name] if not seat.dear]
                if seats
                else [(judge_rule, NOT_JUDGED)]
                for name, judge_rule in data.judges.items()
            },
            identity,
            settings,
            thinking,
            sampling=sampling if candidate else None,
            first_prompt=_first_prompt(candidate.model, data.examples, requests) if candidate else None,
            judge_models=[seat.spec for name, of_judge in seats.items() if name != SELECT for seat in of_judge],
            stop_rule=rule,
            known=known,
            cascade=cascade,
            dear={name: [(seat.judge, seat.model) for seat in own if seat.dear] for name, own in seats.items()},
            imported=imported,
        )
        watch = None
        if cascade is not None:
            task_manifest.cascade = cascade.record(seats, len(data.examples))
        elif rule is not None:
            watch = Watch(rule, [example.id for example in data.examples], known)
        return _Plan(loaded_task, sampling, thinking, seats, watch, task_manifest, cascade, known)

    def _start(
        self,
        plan: "_Plan",
        folder: RunFolder,
        given: Imported | None = None,
        candidate: str = "",
        price: Price | None = None,
    ) -> RunningTask:
        """Write what is known before the first call to the task's folder, and return the task ready to run."""
        loaded_task, task_folder = plan.loaded_task, folder.task(plan.key)
        data = loaded_task.data
        generations = {generation.example_id: generation for generation in task_folder.generations()}
        task_folder.write_examples(data.examples)
        if plan.known is not None:
            task_folder.write_known(plan.known)
        if loaded_task.baselines:
            task_folder.write_baselines(data.baselines)
        for generation in given.generations if given else ():
            if generation.example_id in data.by_id and generation.example_id not in generations:
                task_folder.append(generation)
                generations[generation.example_id] = generation
        return RunningTask(
            key=plan.key,
            task=loaded_task.task,
            data=data,
            folder=task_folder,
            sampling=plan.sampling,
            seats=plan.seats,
            judge_repeats=self._settings.judge_repeats,
            reasks=self._settings.reask,
            judge_epoch=self._settings.judge_epoch,
            generations=generations,
            price=price,
            thinking=plan.thinking,
            refine=self._settings.refine,
            candidate=candidate,
            dear_part=frozenset() if plan.cascade is None else plan.cascade.part(data.by_id),
            watch=plan.watch,
            few_ahead=can_stop(data) and not data.judges,
        )

    def _folder(self, name: str, task_manifests: Mapping[str, TaskManifest]) -> RunFolder:
        input_hash = combined({key: task_manifest.input_hash for key, task_manifest in task_manifests.items()})
        if self._settings.out is None:
            folder = RunFolder(new_run_folder(self._settings.runs, name, input_hash))
            self._alone.enter_context(folder.locked())
            return folder
        folder = RunFolder(self._settings.out)
        if folder.path.is_dir() or not folder.path.exists():
            self._alone.enter_context(folder.locked())
        existing = folder.manifest()
        if existing is not None:
            require_same_run(folder.path, existing, task_manifests)
        _require_run_or_room(folder)
        return folder

    def _manifest(
        self,
        folder: RunFolder,
        spec: ModelSpec,
        name: str,
        identity: str,
        task_manifests: dict[str, TaskManifest],
    ) -> Manifest:
        manifest = folder.manifest()
        if manifest is None:
            manifest = Manifest(
                run_id=folder.path.name,
                status="running",
                candidate=name,
                candidate_identity=identity,
                candidate_spec=spec.text,
                checkpoint_revision=git_revision(spec),
                versions=package_versions(),
                protocol_hash="",
                input_hash="",
                started_at=self._session.started_at,
                sessions=[],
                tasks=task_manifests,
            )
        manifest.name = self._settings.name or manifest.name
        manifest.status = "running"
        manifest.finished_at = None
        manifest.sessions.append(self._session)
        hash_over_tasks(manifest)
        return manifest

    def _work(self, run: "_OpenRun") -> Results:
        """Run the stages and score; the manifest says how this ended."""
        self._begin(run)
        with self._failure_recorded(run):
            self._stages(run)
            for task in run.tasks:
                if run.judge and isinstance(task.watch, Watch):
                    run.manifest.tasks[task.key].early_stop = _outcome(task, task.watch)
                if run.judge and (cascade := run.manifest.tasks[task.key].cascade) is not None:
                    if task.key in run.dear_watches:
                        cascade = msgspec.structs.replace(cascade, n=run.dear_watches[task.key].n)
                    run.manifest.tasks[task.key].cascade = asked(
                        cascade,
                        task.folder.judgements(),
                        prices_of(task.seats),
                        cascade_part(task.data.by_id, cascade.n, cascade.seed),
                    )
                _note_judges(run.manifest.tasks[task.key], task)
            self._note_late(run)
            scored = finish_tasks(run.folder, run.manifest, run.loaded, self._pool, self._labels, self._bridges)
            status, complaint = ending(run.manifest, judged=run.judge)
            results = results_of(run.folder, run.manifest, scored, status)
            run.folder.write_results(results)
        self._end(run, status)
        if refused := next((task.refused for task in scored.values() if task.refused), None):
            raise UsageError(f"{refused}. The run is kept in {run.folder.path}, with its judge's own numbers")
        if complaint:
            again = f"; {_way_on(run)}" if something_failed(run.manifest) else ""
            raise Incomplete(
                f"{complaint}{_most_often(run.tasks)} The run is kept in {run.folder.path}{again}"
                f"{self._about_unread(run)}"
            )
        return results

    def _note_late(self, run: "_OpenRun") -> None:
        """Note what was paid for replies of a dear judge that came when the rule had ended it; the books know."""
        manifest = run.manifest
        ended = {key: cascade for key in run.dear_watches if (cascade := manifest.tasks[key].cascade) is not None}
        if not ended or not run.judge:
            return
        (model,) = {cascade.dear_model for cascade in ended.values()}
        if model == manifest.candidate:  # its answers are in the same books
            return
        for key, cascade in with_late(ended, *self._models.store.bought(manifest.account, model)).items():
            manifest.tasks[key].cascade = cascade

    def _about_unread(self, run: "_OpenRun") -> str:
        """What to do about replies without a verdict, if there are any and the judge was asked once, or in vain."""
        if notes := [note for task in run.tasks for note in task.first_verdicts.notes.values()]:
            return f". {'. '.join(dict.fromkeys(notes))}"
        if self._settings.reask is not None or not any(
            task.counts.get("unread") and task.protocol.get("judges") for task in run.manifest.tasks.values()
        ):
            return ""
        return (
            ". Replies that hold no verdict are kept; a run of its own with --reask N asks for them up to N times more"
        )

    def _begin(self, run: "_OpenRun") -> None:
        """Write the manifest, and count what earlier sessions paid against the budget."""
        manifest, self.folder = run.manifest, run.folder
        manifest.account = manifest.account or uuid.uuid4().hex
        run.folder.write_manifest(manifest)
        # The call store may know of calls that the manifest does not, and the other way round if the store was moved.
        paid = self._models.charge(manifest.account)
        self._models.budget.begin(max(paid.usd, spent(manifest)), paid.lost_usd)
        self._session.counts = {task.key: task.counts for task in run.tasks}

    @contextmanager
    def _failure_recorded(self, run: "_OpenRun") -> Iterator[None]:
        """If an error ends the work, record that in the manifest."""
        try:
            yield
        except BaseException as error:
            self._lost = [gauge for task in run.tasks for gauge in task.lost.values()]
            if self._models.in_batches:
                self._batches = self._models.store.batches.running(run.manifest.account)
            self._end(run, status_of(error))
            raise

    def _stages(self, run: "_OpenRun") -> None:
        """Generate and judge what is missing. A dear judge that ends by a rule begins when the cheap ones are done."""
        if not run.dear_rules:
            self._ask(run)
            return
        self._ask(replace(run, tasks=[_of_seats(task, dear=False) for task in run.tasks]))
        for task in run.tasks:
            cascade = run.manifest.tasks[task.key].cascade
            assert cascade is not None
            cheap = split_judgements(task.folder.judgements(), cascade, dear=False)
            run.dear_watches[task.key] = dear_watch(
                run.dear_rules[task.key], task.task, task.data, task.generations, cheap
            )
        dear = [
            replace(_of_seats(task, dear=True), watch=run.dear_watches[task.key], few_ahead=True) for task in run.tasks
        ]
        self._ask(replace(run, tasks=dear, candidate=None, generate=False))

    def _ask(self, run: "_OpenRun") -> None:
        """Ask what is missing; the manifest is written again every few seconds."""
        checkpointed, begun = time.monotonic(), list[tuple[RunningTask, str]]()
        for task in run.tasks:
            # Before they begin, so that a display knows from the start how much there is to do.
            for stage, wanted in (("generate", run.generate), ("judge", run.judge and bool(task.seats))):
                if wanted:
                    self._observer(task, stage)
                    begun.append((task, stage))

        def observe(task: RunningTask, stage: str) -> None:
            nonlocal checkpointed
            self._observer(task, stage)
            steering.update(task, stage)
            if time.monotonic() - checkpointed >= CHECKPOINT_SECONDS:
                self._note_time(run.tasks)
                run.folder.write_manifest(run.manifest)
                checkpointed = time.monotonic()

        def pipeline(candidate: Model | None) -> Pipeline:
            in_flight = self._models.in_flight
            return Pipeline(run.tasks, candidate, self._settings.system, observe, self._pool, in_flight)

        model = run.candidate.model if run.candidate else None
        judges = [judge_model for task in run.tasks for judge_model in task.judge_models]
        asked = {"candidate": [model] if model and run.generate else [], "judge": judges if run.judge else []}
        with Steering(run.folder, asked, self._note_tuning) as steering:
            for task, stage in begun:
                steering.update(task, stage)
            self._pipelines(run, pipeline, model, judges)

    def _pipelines(
        self,
        run: "_OpenRun",
        pipeline: Callable[[Model | None], Pipeline],
        model: Model | None,
        judges: Sequence[Model],
    ) -> None:
        """Run one pipeline, or one for the candidate and one for the judges, if these work one after the other."""
        one_device = model is not None and model.local and any(judge_model.local for judge_model in judges)
        if model is None or not (one_device or self._models.in_batches):
            pipeline(model).run(generate=run.generate, judge=run.judge)
            return
        # Two local models share one device: they run one after the other, and the memory of the first is freed between.
        # A judge that is asked in batches is asked about all answers together.
        pipeline(model).run(generate=run.generate, judge=False)
        if all(judge_model is not model for judge_model in judges):
            model.close()
        if run.judge:
            pipeline(None).run(generate=False, judge=True)

    def _note_tuning(self, change: str) -> None:
        """Keep what was changed while the run went on; the manifest is written again within seconds."""
        before = self._session.tuned
        self._session.tuned = [change] if before is msgspec.UNSET else [*before, change]

    def _note_time(self, tasks: Sequence[RunningTask]) -> None:
        """Note in the session how long it and its tasks have taken so far."""
        self._session.seconds = round(time.monotonic() - self._started, 3)
        self._session.task_seconds = {task.key: round(task.seconds, 3) for task in tasks if task.seconds}

    def _end(self, run: "_OpenRun", status: str) -> None:
        """Close the files of the run and write its last manifest."""
        manifest = run.manifest
        for task in run.tasks:
            task.folder.close()
            self._folders.append(task.folder)
            _note_judges(manifest.tasks[task.key], task)
        session = self._session
        session.retries = self._models.retries()
        session.finished_at, session.status = now(), status
        self._note_time(run.tasks)
        manifest.status, manifest.finished_at = status, now()
        manifest.spending = self._models.store.spending(manifest.account)
        run.folder.write_manifest(manifest)


def _note_judges(task_manifest: TaskManifest, task: RunningTask) -> None:
    """Note the models that judged, as their endpoints reported them."""
    task_manifest.judge_models_returned = sorted({*task_manifest.judge_models_returned, *task.judge_models_returned})


@dataclass(frozen=True)
class _OpenRun:
    """A run whose folder and manifest are known, with the stages that this session runs."""

    folder: RunFolder
    manifest: Manifest
    loaded: Sequence[LoadedTask]
    tasks: Sequence[RunningTask]
    candidate: Opened | None = None
    """The model that answers; ``None`` if the answers exist."""
    _: KW_ONLY
    generate: bool
    judge: bool
    dear_rules: Mapping[str, StopRule] = field(default_factory=dict)
    """By task: when the dear judge of a cascade ends, if it ends by a rule."""
    dear_watches: dict[str, Watch] = field(default_factory=dict)
    """By task: those that follow these rules, once they do."""


@dataclass(frozen=True)
class _Plan:
    """A task's part of a run, before the run's folder is known."""

    loaded_task: LoadedTask
    sampling: Sampling
    thinking: Thinking
    seats: Mapping[str, tuple[JudgeSeat, ...]]
    watch: Watch | DifferenceWatch | None
    task_manifest: TaskManifest
    cascade: CascadePlan | None = None
    known: Known | None = None
    """What is known of each example beforehand, for a watch that uses it."""

    @property
    def key(self) -> str:
        """Name of the task's folder."""
        return self.loaded_task.key


def _judged_by(folder: RunFolder) -> set[str]:
    """The names of the models that a run holds verdicts of."""
    return {name for key in folder.require_manifest().tasks for name in folder.task(key).judge_models()}


def _dear_rules(plans: "Sequence[_Plan]") -> dict[str, StopRule]:
    return {plan.key: plan.cascade.rule for plan in plans if plan.cascade is not None and plan.cascade.rule is not None}


def _of_seats(task: RunningTask, *, dear: bool) -> RunningTask:
    """The task with its dear judge alone, or without it."""
    seats = {name: tuple(seat for seat in own if seat.dear == dear) for name, own in task.seats.items()}
    return replace(task, seats=seats)


def _require_run_or_room(folder: RunFolder) -> None:
    """Raise :class:`UsageError` if ``--out`` is neither a run folder nor a place for one."""
    if folder.occupied and folder.manifest() is None:
        found = "is not empty and not a run folder" if folder.path.is_dir() else "is a file and not a folder"
        raise UsageError(f"{folder.path} {found}; choose another --out")


def _first_prompt(
    model: Model,
    examples: Sequence[Example],
    step: Callable[[Example, tuple[Completion, ...]], Request | None],
) -> str | None:
    """Return the first prompt as the model reads it. All prompts are checked, so that a bad one is reported at once."""
    requests = [request for example in examples if (request := step(example, ())) is not None]
    model.check(requests)
    return model.render(requests[0]) if requests else None


def _outcome(run: RunningTask, watch: Watch) -> EarlyStop:
    """Return how the watched run ended, with the judge's calls or, where answers are verified, the answers."""
    looked_at = set(watch.order[: watch.n])
    if run.data.judges:
        calls = [(one.example_id, len(one.replies)) for one in run.folder.judgements()]
    else:
        calls = [(example_id, 1) for example_id in run.generations]
    so_far = sum(count for example_id, count in calls if example_id in looked_at)
    return watch.outcome(sum(count for _, count in calls), so_far)


def _way_on(run: "_OpenRun") -> str:
    """What brings what is missing: a file of answers has to be completed first, and is then another run."""
    unanswered = any(one.error for task in run.tasks for one in task.generations.values())
    kind, _, file = (run.manifest.candidate_spec or "").partition(":")
    if unanswered and kind == "file":
        return f"write the missing answers into {file}, and give another --out"
    return "run the same command again to ask again for what failed"


def _most_often(runs: Sequence[RunningTask]) -> str:
    """Return a sentence with the commonest reason why an answer or verdict is missing; empty if none is known."""
    errors: Counter[str] = Counter()
    for run in runs:
        errors.update(generation.error for generation in run.generations.values() if generation.error)
        errors.update(j.verdict.error for j in run.folder.judgements() if j.verdict.error)
    if not errors:
        return ""
    error, count = errors.most_common(1)[0]
    unread = (j.judge_model for run in runs for j in run.folder.judgements() if j.verdict.error and not j.failed)
    about = f" {STAND_IN}" if TINY in unread else ""
    return f" Most often ({count} times): {error.rstrip('.')}.{about}"


@contextmanager
def _with_starter_set(settings: Settings) -> Iterator[None]:
    """If an official file cannot be had, say that the tasks can be tried without it, where all have a starter set."""
    try:
        yield
    except (ModelError, SourceMissing) as error:
        specs = tasks.parse_specs(settings.tasks)
        if settings.starter or not all((tasks.folder(spec.name) / "starter.jsonl").is_file() for spec in specs):
            raise
        raise type(error)(f"{error}. To try it without official files: add --starter") from error
