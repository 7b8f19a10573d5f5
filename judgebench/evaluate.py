"""One whole run: what it is made of, where it lies, how it ends. The work itself is in ``stages``.

``Runner`` opens the models, settles the fingerprints and the run folder, runs the stages, scores, and keeps the
manifest true at every moment, so that a run that was killed can be told from one that finished.
"""

import dataclasses
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.answers import read_answers
from judgebench.cache import CallStore, default_cache_dir, default_store_path
from judgebench.codec import canonical_hash
from judgebench.errors import BudgetExceeded, Incomplete, UsageError
from judgebench.judges import Judge
from judgebench.models import Model
from judgebench.models.opening import ModelSpec, OpenSettings, open_model, parse_model, price_of, without_credentials
from judgebench.models.wrappers import Budget, Metered, Stored
from judgebench.outputs import read_rows
from judgebench.protocol import differing, inputs, protocol
from judgebench.records import Generation, Sampling, SourceUsed
from judgebench.sources import SourceFinder, read_sources
from judgebench.stages import Observer, Pipeline, TaskRun, score
from judgebench.store import Manifest, Results, RunFolder, Session, TaskManifest, new_run_folder, now
from judgebench.task import Generations, Imported, Task, TaskData

MISSING_LIMIT = 0.01
"""Share of the examples that may end without a verdict before the run counts as incomplete (exit 4)."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything a run is told; the flags of ``judgebench eval``."""

    tasks: str
    model: str | None = None
    judge: str | None = None
    out: Path | None = None
    runs: Path = Path("runs")
    limit: int | None = None
    ids: Path | None = None
    starter: bool = False
    baseline: str | None = None
    model_args: Mapping[str, str] = field(default_factory=dict)
    judge_args: Mapping[str, str] = field(default_factory=dict)
    gen: Mapping[str, str] = field(default_factory=dict)
    judge_gen: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    chat_template: str | None = None
    api_key_env: str | None = None
    concurrency: int | None = None
    judge_concurrency: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    budget: float | None = None
    offline: bool = False
    mirrors: tuple[Path, ...] = ()
    argv: tuple[str, ...] = ()


@dataclass(kw_only=True)
class LoadedTask:
    """A task with its data and the files they came from."""

    task: Task
    data: TaskData
    sources: list[SourceUsed]
    baselines: dict[str, str] = field(default_factory=dict)
    """Baselines that are not the benchmark's own, with the hash of their answers."""

    @property
    def key(self) -> str:
        """Names the task's folder in a run."""
        return self.task.name


def load_tasks(settings: Settings) -> list[LoadedTask]:
    """Find the tasks, fetch their files, cut them down to ``--limit`` and ``--ids``, put in ``--baseline``."""
    finder = SourceFinder(default_cache_dir(), settings.mirrors, offline=settings.offline)
    loaded = [load_task(spec, finder, starter=settings.starter) for spec in tasks.parse_specs(settings.tasks)]
    keys = [one.key for one in loaded]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(
                f"--tasks names {key} twice; run its versions one after the other, they are other protocols"
            )
    for one in loaded:
        if settings.baseline is not None:
            _replace_baseline(one, settings.baseline)
    return loaded


def load_task(spec: tasks.TaskSpec, finder: SourceFinder, *, starter: bool) -> LoadedTask:
    """One task with its official files fetched and verified."""
    task, place = tasks.load(spec, starter=starter)
    sources, used = read_sources(place), []

    def fetch(name: str) -> bytes:
        data, how = finder.fetch(sources[name])
        used.append(how)
        return data

    return LoadedTask(task=task, data=task.load(fetch), sources=used)


def _replace_baseline(one: LoadedTask, baseline: str) -> None:
    if baseline in one.data.baselines:
        one.data = dataclasses.replace(one.data, baselines={baseline: one.data.baselines[baseline]})
        return
    if not Path(baseline).is_file():
        known = ", ".join(one.data.baselines) or "none"
        raise UsageError(f"--baseline {baseline!r} is neither a file of outputs nor a baseline of {one.key} ({known})")
    imported = read_answers(read_rows(Path(baseline)), one.data)
    generations = {generation.example_id: generation for generation in imported.generations}
    _require_coverage(one, generations, f"the baseline {baseline}")
    set_baselines(one, {imported.candidate: generations})


def set_baselines(one: LoadedTask, baselines: Mapping[str, Generations]) -> None:
    """Compare with these answers instead of the benchmark's own; equal ones change nothing."""
    official: tuple[str | None, Generations] = next(iter(one.data.baselines.items()), (None, {}))
    for name, generations in baselines.items():
        if all(official[1].get(key) == generation for key, generation in generations.items()) and name == official[0]:
            return
    one.data = dataclasses.replace(one.data, baselines=dict(baselines))
    one.baselines = {
        name: canonical_hash([generations[key].outputs for key in sorted(generations)])
        for name, generations in baselines.items()
    }


def subset(data: TaskData, limit: int | None, ids: Path | None) -> TaskData:
    """The first ``limit`` examples, or those whose ids stand in a file, one per line."""
    examples = data.examples
    if ids is not None:
        try:
            wanted = {line.strip() for line in ids.read_text().splitlines() if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--ids {ids} cannot be read: {error}") from error
        unknown = sorted(wanted - {example.id for example in examples})
        if unknown:
            raise UsageError(f"--ids {ids} names examples that do not exist: {', '.join(unknown[:5])}")
        examples = tuple(example for example in examples if example.id in wanted)
    if limit is not None:
        examples = examples[:limit]
    return data if examples == data.examples else dataclasses.replace(data, examples=examples)


def override_sampling(sampling: Sampling, given: Mapping[str, str], flag: str) -> Sampling:
    """The sampling with ``k=v`` settings changed; a :class:`UsageError` names the valid ones."""
    names = [name for name in Sampling.__struct_fields__ if name not in ("choices", "top_logprobs")]
    changes: dict[str, Any] = {}
    for key, text in given.items():
        if key not in names:
            raise UsageError(f"{flag} {key}={text}: there is no such setting; there are {', '.join(names)}")
        try:
            changes[key] = (text,) if key == "stop" else int(text) if key in ("max_tokens", "seed") else float(text)
        except ValueError as error:
            raise UsageError(f"{flag} {key}={text} is not valid: {error}") from error
    return msgspec.structs.replace(sampling, **changes)


def judge_spec(task: Task, settings: Settings) -> tuple[ModelSpec, dict[str, str]]:
    """The judge model to use for a task: the one asked for, else the official one."""
    if settings.judge is not None:
        return parse_model(settings.judge, settings.judge_args)
    if task.starter or task.judge_model is None:
        what = f"the starter set of {task.name}" if task.starter else task.label
        raise UsageError(f"{what} has no official judge; name one with --judge, such as --judge builtin:tiny")
    return parse_model(task.judge_model, settings.judge_args)


def settled_judge(judge: Judge, *, local: bool, settings: Settings) -> Judge:
    """The judge as it will be used: labels scored directly by a local model, sampling as the user says."""
    if local:
        judge = judge.constrained()
    if not settings.judge_gen:
        return judge
    changed: Any = judge
    settled: Judge = dataclasses.replace(
        changed, sampling=override_sampling(changed.sampling, settings.judge_gen, "--judge-gen")
    )
    return settled


def _require_coverage(one: LoadedTask, generations: Generations, what: str) -> None:
    missing = [example for example in one.data.examples if example.id not in generations]
    if len(missing) > MISSING_LIMIT * len(one.data.examples):
        raise UsageError(
            f"{what} answers {len(one.data.examples) - len(missing)} of the {len(one.data.examples)} examples of "
            f"{one.key}; the first without an answer is {missing[0].id}: {missing[0].instruction[:80]!r}. At most "
            f"{MISSING_LIMIT:.0%} may be missing; evaluate a part with --ids or --limit"
        )


@dataclass
class Opened:
    """A model ready for use, with what was asked for."""

    spec: ModelSpec
    model: Model
    """Behind the call store and the meter."""
    meter: Metered


class Runner:
    """One run of ``eval``, ``generate`` or ``judge``."""

    def __init__(self, settings: Settings, observer: Observer) -> None:
        self._settings = settings
        self._observer = observer
        self._store: CallStore | None = None
        self._budget = Budget(settings.budget)
        self._opened: dict[ModelSpec, Opened] = {}
        self._session = new_session(settings)
        self._started = time.monotonic()
        self.folder: RunFolder | None = None
        """Where the run lies, once that is settled."""

    # -- the three commands

    def evaluate(self, *, generate: bool = True, judge: bool = True) -> Results:
        """Make the answers (or take them from a file), have them judged, score them."""
        settings = self._settings
        if settings.model is None:
            raise UsageError("--model is missing; name the model under test")
        spec, arguments = parse_model(settings.model, settings.model_args)
        loaded = load_tasks(settings)
        for one in loaded:
            if judge and one.data.judges:
                judge_spec(one.task, settings)  # a judge that is not named is missed before a checkpoint is opened
        given: dict[str, Imported] = {}
        if spec.kind == "file":
            if not generate:
                raise UsageError(f"{spec.text} holds finished answers: there is nothing to generate")
            given = {one.key: self._answers_of(spec, one) for one in loaded}
        for one in loaded:
            one.data = subset(one.data, settings.limit, settings.ids)
            if one.key in given:
                known = {generation.example_id: generation for generation in given[one.key].generations}
                _require_coverage(one, known, spec.target)
        try:
            return self._run(spec, arguments, loaded, given, generate=generate, judge=judge)
        finally:
            self._close()

    def _answers_of(self, spec: ModelSpec, one: LoadedTask) -> Imported:
        return read_answers(read_rows(Path(spec.target)), one.data)

    def _run(
        self,
        spec: ModelSpec,
        arguments: Mapping[str, str],
        loaded: Sequence[LoadedTask],
        given: Mapping[str, Imported],
        *,
        generate: bool,
        judge: bool,
    ) -> Results:
        candidate = None if given else self._open(spec, arguments, candidate=True)
        name = candidate.model.name if candidate else next(iter(given.values())).candidate
        identity = candidate.model.identity if candidate else _file_identity(given)
        runs: list[TaskRun] = []
        manifests: dict[str, TaskManifest] = {}
        for one in loaded:
            run, fields = self._prepare(one, spec, identity, given.get(one.key), judge=judge)
            runs.append(run)
            manifests[one.key] = fields
        folder = self._folder(name, manifests)
        manifest = self._manifest(folder, spec, name, identity, manifests, candidate)
        # Before any other file, so that a folder left by a killed process is known for a run.
        folder.write_manifest(manifest)
        for run, one in zip(runs, loaded, strict=True):
            run.folder = folder.task(run.key)
            run.prices["generate"] = candidate.meter.price if candidate else None
            self._fill(run, one, given.get(run.key))
        return self._work(folder, manifest, runs, candidate, generate=generate and not given, judge=judge)

    def rejudge(self, folder: RunFolder) -> Results:
        """Judge what a run folder holds and is not judged yet."""
        manifest = folder.require_manifest()
        try:
            loaded = reload_tasks(folder, manifest, self._settings)
            runs = []
            for one in loaded:
                given = {g.example_id: g for g in folder.task(one.key).generations()}
                if not given:
                    raise UsageError(f"{folder.path} holds no answers of {one.key}; run `judgebench generate` first")
                run, fields = self._prepare(one, None, manifest.candidate_identity, None, judge=True)
                _forbid_second_judge(folder, run)
                run.folder, run.generations = folder.task(one.key), given
                run.folder.write_examples(one.data.examples)
                manifest.tasks[one.key] = _rejudged(manifest.tasks[one.key], fields)
                runs.append(run)
            _hash_over_tasks(manifest)
            manifest.sessions.append(self._session)
            return self._work(folder, manifest, runs, None, generate=False, judge=True)
        finally:
            self._close()

    # -- parts of a run

    def _open(self, spec: ModelSpec, arguments: Mapping[str, str], *, candidate: bool) -> Opened:
        settings = self._settings
        if spec in self._opened:
            return self._opened[spec]
        opened = open_model(
            spec,
            OpenSettings(
                arguments=dict(arguments),
                api_key_env=settings.api_key_env,
                concurrency=settings.concurrency if candidate else settings.judge_concurrency,
                rpm=settings.rpm,
                tpm=settings.tpm,
                chat_template=settings.chat_template if candidate else None,
                offline=settings.offline,
            ),
        )
        meter = Metered(opened, price_of(spec, arguments), self._budget)
        if self._store is None:
            self._store = CallStore(default_store_path())
        self._opened[spec] = Opened(spec, Stored(meter, self._store), meter)
        return self._opened[spec]

    def _open_judge(self, task: Task) -> Opened:
        spec, arguments = judge_spec(task, self._settings)
        try:
            return self._open(spec, arguments, candidate=False)
        except UsageError as error:
            if self._settings.judge is not None:
                raise
            raise UsageError(f"{str(error).rstrip('.')}. {alternatives(task)}") from error

    def _prepare(
        self, one: LoadedTask, spec: ModelSpec | None, identity: str, given: Imported | None, *, judge: bool
    ) -> tuple[TaskRun, TaskManifest]:
        """A task's part of the run, and its part of the manifest; the folder is settled later."""
        settings, task = self._settings, one.task
        sampling = override_sampling(task.sampling, settings.gen, "--gen")
        opened = self._open_judge(task) if judge and one.data.judges else None
        local = opened is not None and opened.model.local
        judges = {name: settled_judge(rule, local=local, settings=settings) for name, rule in one.data.judges.items()}
        models = dict.fromkeys(judges, opened.model) if opened else {}
        fields = protocol(
            task,
            one.data.examples,
            one.sources,
            {name: (rule, models.get(name, "not judged yet")) for name, rule in judges.items()},
            one.baselines,
        )
        generated = None if given is not None or spec is None else sampling
        everything = inputs(fields, identity, generated, settings.system)
        manifest = TaskManifest(
            label=task.label,
            name=task.name,
            version=task.version,
            options=dict(task.options),
            starter=task.starter,
            examples=len(one.data.examples),
            sources=one.sources,
            protocol=fields,
            protocol_hash=canonical_hash(fields),
            inputs=everything,
            input_hash=canonical_hash(everything),
            judge_models=[opened.spec.text] if opened else [],
            notes=_source_notes(one) + list(given.notes if given else ()),
            unknown=list(given.unknown) if given else [],
        )
        run = TaskRun(
            key=one.key,
            task=task,
            data=one.data,
            folder=RunFolder(Path()).task(one.key),
            sampling=sampling,
            judges=judges,
            judge_models=models,
            prices={"judge": opened.meter.price if opened else None},
        )
        return run, manifest

    def _folder(self, name: str, tasks_of_run: Mapping[str, TaskManifest]) -> RunFolder:
        input_hash = _combined({key: manifest.input_hash for key, manifest in tasks_of_run.items()})
        if self._settings.out is None:
            return RunFolder(new_run_folder(self._settings.runs, name, input_hash))
        folder = RunFolder(self._settings.out)
        existing = folder.manifest()
        if existing is not None and existing.input_hash != input_hash:
            first = {key: manifest.inputs for key, manifest in existing.tasks.items()}
            second = {key: manifest.inputs for key, manifest in tasks_of_run.items()}
            raise UsageError(
                f"{folder.path} holds another run, which differs in {', '.join(differing(first, second)[:6])}; "
                f"choose another --out, or repeat that run's command to go on with it"
            )
        if existing is None and folder.occupied:
            raise UsageError(f"{folder.path} is not empty and not a run folder; choose another --out")
        return folder

    def _manifest(
        self,
        folder: RunFolder,
        spec: ModelSpec,
        name: str,
        identity: str,
        tasks_of_run: dict[str, TaskManifest],
        candidate: Opened | None,
    ) -> Manifest:
        manifest = folder.manifest()
        if manifest is None:
            manifest = Manifest(
                run_id=folder.path.name,
                status="running",
                candidate=name,
                candidate_identity=identity,
                candidate_spec=spec.text,
                sampling=override_sampling(Sampling(), self._settings.gen, "--gen") if candidate else None,
                system=self._settings.system,
                checkpoint_revision=_git_revision(spec),
                versions=package_versions(),
                protocol_hash="",
                input_hash="",
                started_at=self._session.started_at,
                sessions=[],
                tasks=tasks_of_run,
            )
        manifest.status = "running"
        manifest.finished_at = None
        manifest.sessions.append(self._session)
        _hash_over_tasks(manifest)
        return manifest

    def _fill(self, run: TaskRun, one: LoadedTask, given: Imported | None) -> None:
        """Put into the folder what is known before the first call."""
        run.generations = {generation.example_id: generation for generation in run.folder.generations()}
        wanted = {example.id for example in run.data.examples}
        run.folder.write_examples(run.data.examples)
        if one.baselines:
            run.folder.write_baselines(g for answers in run.data.baselines.values() for g in answers.values())
        for generation in given.generations if given else ():
            if generation.example_id in wanted and generation.example_id not in run.generations:
                run.folder.append(generation)
                run.generations[generation.example_id] = generation

    def _work(
        self,
        folder: RunFolder,
        manifest: Manifest,
        runs: Sequence[TaskRun],
        candidate: Opened | None,
        *,
        generate: bool,
        judge: bool,
    ) -> Results:
        """Run the stages; whatever happens, the manifest says how it ended."""
        self.folder = folder
        folder.write_manifest(manifest)
        self._budget.settle(0.0, _spent(manifest))
        try:
            self._stages(runs, candidate, generate=generate, judge=judge)
        except BaseException as error:
            self._end(folder, manifest, runs, _status_of(error))
            raise
        results = finish_run(folder, manifest, runs)
        missing = _missing(manifest, judged=judge)
        self._end(folder, manifest, runs, "incomplete" if missing else "complete" if judge else "generated")
        results.status = manifest.status
        folder.write_results(results)
        if missing:
            raise Incomplete(f"{missing} The run is kept in {folder.path}; the same command asks again for what failed")
        return results

    def _stages(self, runs: Sequence[TaskRun], candidate: Opened | None, *, generate: bool, judge: bool) -> None:
        model = candidate.model if candidate else None
        system = self._settings.system
        judges = [judge_model for run in runs for judge_model in run.judge_models.values()]
        shares_device = model is not None and model.local and any(judge_model.local for judge_model in judges)
        if not shares_device:
            Pipeline(runs, model, system, self._observer).run(generate=generate, judge=judge)
            return
        # Two local models on one device run one after the other, the first one's memory freed between them.
        Pipeline(runs, model, system, self._observer).run(generate=generate, judge=False)
        if model is not None and all(judge_model is not model for judge_model in judges):
            model.close()
        Pipeline(runs, None, system, self._observer).run(generate=False, judge=judge)

    def _end(self, folder: RunFolder, manifest: Manifest, runs: Sequence[TaskRun], status: str) -> None:
        for run in runs:
            run.folder.close()
            fields = manifest.tasks[run.key]
            fields.judge_models_returned = sorted({*fields.judge_models_returned, *run.judge_models_returned})
        session = self._session
        session.counts = {run.key: run.counts for run in runs}
        session.retries = {o.model.name: dict(o.model.retries) for o in self._opened.values() if o.model.retries}
        session.finished_at, session.status = now(), status
        session.seconds = round(time.monotonic() - self._started, 3)
        manifest.status, manifest.finished_at = status, now()
        folder.write_manifest(manifest)

    def _close(self) -> None:
        for opened in self._opened.values():
            opened.model.close()
        if self._store is not None:
            self._store.close()


def reload_tasks(folder: RunFolder, manifest: Manifest, settings: Settings) -> list[LoadedTask]:
    """The tasks of a finished run, with the examples and baselines that the run has."""
    finder = SourceFinder(default_cache_dir(), settings.mirrors, offline=settings.offline)
    given = {spec.name: spec for spec in tasks.parse_specs(settings.tasks)} if settings.tasks else {}
    for name, spec in given.items():
        if name not in manifest.tasks:
            raise UsageError(f"{folder.path} holds no task {name!r}; it holds {', '.join(manifest.tasks)}")
        if spec.version not in (None, manifest.tasks[name].version):
            raise UsageError(f"{folder.path} holds {manifest.tasks[name].label}, not {name}@{spec.version}")
    loaded = []
    for key, fields in manifest.tasks.items():
        if given and key not in given:
            continue
        options = {name: str(value) for name, value in fields.options.items()}
        spec = tasks.TaskSpec(fields.name, fields.version, {**options, **(given[key].options if key in given else {})})
        one = load_task(spec, finder, starter=fields.starter)
        own = folder.task(key)
        one.data = dataclasses.replace(one.data, examples=own.examples())
        if baselines := own.baselines():
            set_baselines(one, baselines)
        loaded.append(one)
    return loaded


def new_session(settings: Settings) -> Session:
    """What the manifest says of the process that begins now; credentials in its command are left out."""
    return Session(argv=[without_credentials(argument) for argument in settings.argv], started_at=now())


def finish_run(folder: RunFolder, manifest: Manifest, runs: Sequence[TaskRun]) -> Results:
    """Score all tasks of a run, tidy their files, write ``results.json``. Makes no call."""
    results = Results(run=str(folder.path), model=manifest.candidate, status=manifest.status, scores=[], integrity=[])
    for run in runs:
        run.folder.finish(run.data.examples)
        scores, findings, counts = score(run.task, run.data, run.folder)
        manifest.tasks[run.key].counts = counts
        results.scores += scores
        results.integrity += findings
    folder.write_results(results)
    return results


def score_run(folder: RunFolder, settings: Settings) -> Results:
    """Read a run's replies again with today's rules. ``settings.tasks`` may give other options for its tasks."""
    manifest = folder.require_manifest()
    runs = []
    for one in reload_tasks(folder, manifest, settings):
        fields = manifest.tasks[one.key]
        before = fields.protocol
        fields.options, fields.label = dict(one.task.options), one.task.label
        fields.protocol = {**before, "options": dict(sorted(one.task.options.items()))}
        fields.inputs = {**fields.inputs, "options": fields.protocol["options"]}
        fields.protocol_hash, fields.input_hash = canonical_hash(fields.protocol), canonical_hash(fields.inputs)
        runs.append(
            TaskRun(
                key=one.key,
                task=one.task,
                data=one.data,
                folder=folder.task(one.key),
                sampling=one.task.sampling,
                judges={},
                judge_models={},
            )
        )
    _hash_over_tasks(manifest)
    results = finish_run(folder, manifest, runs)
    folder.write_manifest(manifest)
    return results


def import_run(path: Path, form: str, settings: Settings) -> Results:
    """Turn somebody else's result file into a run folder, and score it."""
    tasks.parse_one_spec(settings.tasks)
    (one,) = load_tasks(settings)
    reader = one.task.importers.get(form)
    if reader is None:
        known = ", ".join(sorted(one.task.importers)) or "none"
        raise UsageError(f"--from {form!r} is not a format that {one.key} can import; it can import: {known}")
    imported = reader(read_rows(path), one.data)
    if not imported.judgements:
        _require_coverage(one, {generation.example_id: generation for generation in imported.generations}, str(path))
    if settings.out is None:
        raise UsageError("--out is missing; name the run folder to make")
    folder = RunFolder(settings.out)
    if folder.occupied:
        raise UsageError(f"{folder.path} is not empty; an import makes a new run folder")
    if imported.baselines:
        set_baselines(one, _completed(one, imported.baselines))
    one.data = dataclasses.replace(one.data, examples=imported.examples)
    manifest = _imported_manifest(folder, one, imported, form, settings)
    folder.write_manifest(manifest)
    own = folder.task(one.key)
    own.write_examples(imported.examples)
    if one.baselines:
        own.write_baselines(g for answers in one.data.baselines.values() for g in answers.values())
    for generation in imported.generations:
        own.append(generation)
    for judgement in imported.judgements:
        own.append(judgement)
    run = TaskRun(
        key=one.key, task=one.task, data=one.data, folder=own, sampling=one.task.sampling, judges={}, judge_models={}
    )
    own.close()
    results = finish_run(folder, manifest, [run])
    results.status = manifest.status = "complete" if imported.judgements or not one.data.judges else "generated"
    manifest.finished_at = now()
    folder.write_results(results)
    folder.write_manifest(manifest)
    return results


def _completed(one: LoadedTask, baselines: Mapping[str, Generations]) -> dict[str, dict[str, Generation]]:
    """A file's baseline answers; where it has no row, the benchmark's own, so that such rows can still be judged."""
    official = next(iter(one.data.baselines.values()), {})
    return {name: {**official, **generations} for name, generations in baselines.items()}


def _imported_manifest(
    folder: RunFolder, one: LoadedTask, imported: Imported, form: str, settings: Settings
) -> Manifest:
    used = {judgement.judge: judgement.judge_model for judgement in imported.judgements}
    judges = used or dict.fromkeys(one.data.judges, "not judged yet")
    fields = protocol(
        one.task,
        imported.examples,
        one.sources,
        {name: (one.data.judges.get(name), model) for name, model in judges.items()},
        one.baselines,
    )
    identity = "outputs:" + canonical_hash([g.outputs for g in imported.generations])
    everything = inputs(fields, identity, None, None)
    session = new_session(settings)
    session.finished_at, session.status = session.started_at, "complete"
    manifest = Manifest(
        run_id=folder.path.name,
        status="running",
        candidate=imported.candidate,
        candidate_identity=identity,
        candidate_spec=f"{form} file",
        sampling=None,
        imported_from=form,
        versions=package_versions(),
        protocol_hash="",
        input_hash="",
        started_at=session.started_at,
        sessions=[session],
        tasks={
            one.key: TaskManifest(
                label=one.task.label,
                name=one.task.name,
                version=one.task.version,
                options=dict(one.task.options),
                starter=one.task.starter,
                examples=len(imported.examples),
                sources=one.sources,
                protocol=fields,
                protocol_hash=canonical_hash(fields),
                inputs=everything,
                input_hash=canonical_hash(everything),
                judge_models=sorted(set(used.values())),
                notes=_source_notes(one) + list(imported.notes),
                unknown=list(imported.unknown),
            )
        },
    )
    _hash_over_tasks(manifest)
    return manifest


def alternatives(task: Task) -> str:
    """What to do when a task's official judge cannot be used: the judges that are known to do, as one sentence."""
    import tomllib

    from judgebench.resources import resource

    table = tomllib.loads((resource("templates") / "judges.toml").read_text())
    known = [f"{entry['spec']} ({entry['note']})" for entry in table["judge"] if task.name in entry["tasks"]]
    return (
        f"The official judge of {task.label} is {task.judge_model}. Other judges (list of {table['as_of']}): "
        f"{'; '.join(known)}. Another judge is another protocol: its numbers are not comparable with published ones"
    )


def package_versions() -> dict[str, str]:
    """Versions of what computes the numbers; of heavy libraries only if they are loaded."""
    found = {"python": platform.python_version()}
    for name in ("judgebench", "numpy", "msgspec", "aiohttp"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    for name in ("torch", "transformers"):
        if name in sys.modules:
            found[name] = str(sys.modules[name].__version__)
    return found


def _git_revision(spec: ModelSpec) -> str | None:
    folder = Path(spec.target)
    if spec.kind != "hf" or not folder.is_dir():
        return None
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None if asked.returncode == 0 else None


def _file_identity(given: Mapping[str, Imported]) -> str:
    return "outputs:" + canonical_hash(
        {key: [[g.example_id, *g.outputs] for g in imported.generations] for key, imported in given.items()}
    )


def _combined(hashes: Mapping[str, str]) -> str:
    return next(iter(hashes.values())) if len(hashes) == 1 else canonical_hash(dict(hashes))


def _hash_over_tasks(manifest: Manifest) -> None:
    manifest.protocol_hash = _combined({key: fields.protocol_hash for key, fields in manifest.tasks.items()})
    manifest.input_hash = _combined({key: fields.input_hash for key, fields in manifest.tasks.items()})


def _source_notes(one: LoadedTask) -> list[str]:
    return [
        f"{source.name}: a reconstructed stand-in was used, because the official file could not be had"
        for source in one.sources
        if source.standin
    ]


def _forbid_second_judge(folder: RunFolder, run: TaskRun) -> None:
    asked = {model.name for model in run.judge_models.values()}
    before = {judgement.judge_model for judgement in folder.task(run.key).judgements()} - asked
    if before:
        raise UsageError(
            f"{folder.path} was judged by {', '.join(sorted(before))}; another judge is another protocol. "
            f"Use `judgebench eval --model file:…` with its answers and another --out"
        )


def _rejudged(before: TaskManifest, fields: TaskManifest) -> TaskManifest:
    """A task's new fields, with what the session that made the answers knew of them."""
    made = {name: before.inputs.get(name) for name in ("sampling", "system")}
    fields.inputs = {**fields.inputs, **made}
    fields.input_hash = canonical_hash(fields.inputs)
    fields.notes = list(dict.fromkeys([*before.notes, *fields.notes]))
    fields.unknown, fields.judge_models_returned = before.unknown, before.judge_models_returned
    return fields


def _missing(manifest: Manifest, *, judged: bool) -> str | None:
    """A sentence about each task in which too many examples ended without a verdict or an answer."""
    sentences = []
    for key, fields in manifest.tasks.items():
        counts = fields.counts
        parts = {"without an answer": counts["without_answer"]}
        if judged:
            parts |= {"failed at the judge": counts["failed"], "unread": counts["unread"]}
        if sum(parts.values()) > MISSING_LIMIT * counts["examples"]:
            listed = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
            sentences.append(f"{key}: of {counts['examples']} examples {listed} (limit {MISSING_LIMIT:.0%}).")
    return " ".join(sentences) or None


def _spent(manifest: Manifest) -> float:
    """USD that the run's earlier sessions paid. A session that was killed could not say what it had paid."""
    return sum(
        stage.usd or 0.0
        for session in manifest.sessions
        for stages in session.counts.values()
        for stage in stages.values()
    )


def _status_of(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, BudgetExceeded):
        return "budget"
    return "failed"
