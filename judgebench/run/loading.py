"""Loads tasks with their data: fetches official files and chooses baselines.

It also loads the tasks of finished runs again. Models are not opened here; ``seats`` does that.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from judgebench import tasks
from judgebench.activity import doing
from judgebench.codec import canonical_hash
from judgebench.data.rows import FileRow, FileRows, json_rows, read_rows
from judgebench.data.sources import Source, SourceFinder, outputs_of
from judgebench.display import did_you_mean
from judgebench.errors import JudgebenchError, ShapeError, UsageError
from judgebench.files import near_path
from judgebench.grading.pool import require_place
from judgebench.judges.own_judges import OwnJudge
from judgebench.models import ModelSpec
from judgebench.models.call_store import default_cache_dir
from judgebench.models.opening import parse_model, scores_of
from judgebench.models.opening.backends import PUBLISHED
from judgebench.records import Example, Sampling, SourceUsed, TaskCode
from judgebench.run import presets
from judgebench.run.candidates import NO_LIKELIHOODS, fitted_specs
from judgebench.run.folder import Manifest, RunFolder, TaskFolder, TaskManifest
from judgebench.run.run_tasks import TaskFiles, find_task, judged_by_models
from judgebench.run.settings import Settings, baseline_of, override_sampling
from judgebench.task import UNSAFE, Generations, Imported, Task, TaskData, join_names
from judgebench.task.answers import import_answers, parse_fields, question_of, require_one_answer
from judgebench.task.best_of import selecting, with_selection
from judgebench.task.own_judging import judged_by, ordered, require_order
from judgebench.task.selection import Selection, all_facets, choose, example_facets
from judgebench.thinking import split_generation

Reader = Callable[[Sequence[FileRow], TaskData], Sequence[Imported]]
"""What a file's rows hold for a task."""
MISSING_LIMIT = 0.01
"""A run is incomplete (exit 4) if this share of its examples has no answer, or of its cases no verdict."""


def require_useful(spec: ModelSpec, settings: Settings) -> None:
    """Refuse a model that answers nothing, and settings that it would never see although somebody expects them to
    matter.
    """
    if spec.backend.scores is not None:
        raise UsageError(
            f"{spec.text} gives numbers to answers and writes none: it can be a judge (--judge), but not the model "
            "under test"
        )
    rendered = {"--chat-template": settings.chat_template not in (None, "auto")}
    asked = {
        "--model-arg": bool(settings.model_args),
        "--preset": settings.preset is not None,
        "--gen": bool(settings.gen),
        "--system": settings.system is not None,
        "--refine": bool(settings.refine),
        "--replicas": settings.replicas > 1,
        "--cluster": settings.cluster is not None and "replicas" not in {**settings.judge_args, **settings.dear_args},
    }
    if spec.backend.finished and settings.select is not None:
        raise UsageError(
            f"--select {settings.select} chooses among several answers that a model gives to an item, and {spec.text} "
            "holds finished ones; name a model that answers with --model, and how many answers with --repeats K"
        )
    idle = [name for name, given in {**asked, **rendered}.items() if given]
    if spec.backend.finished and settings.repeats > 1:
        raise UsageError(
            f"{spec.text} holds finished answers, and --repeats {settings.repeats} asks for more; leave it out. The "
            "file may hold several answers to each item, numbered from 0 in a field 'attempt' of each row"
        )
    if spec.backend.finished and idle:
        raise UsageError(
            f"{spec.text} holds finished answers, and {' and '.join(idle)} would change nothing; leave it out"
        )
    if rendered["--chat-template"] and not spec.backend.local:
        raise UsageError(
            f"--chat-template is for a checkpoint that runs here, and {spec.text} has its own template; leave it out"
        )


def too_many(missing: int, total: int) -> bool:
    """Whether so much is missing that a number cannot represent the whole."""
    return missing > 0 and missing >= MISSING_LIMIT * total


@dataclass(frozen=True, kw_only=True)
class LoadedTask:
    """A task with its data and the files they came from."""

    task: Task
    folder: Path = Path()
    """The folder of the task's files."""
    data: TaskData
    sources: list[SourceUsed]
    standins: dict[str, str] = field(default_factory=dict)
    """What the stand-ins among the files are, by the name of the source."""
    baselines: dict[str, str] = field(default_factory=dict)
    """Hash of the answers of each baseline that is not the benchmark's own."""
    code: TaskCode | None = None
    """The files of the task, if the user named it as a file."""
    notes: tuple[str, ...] = ()
    """What a reader should know about the file that the baselines came from."""
    own_judge: OwnJudge | None = None
    """The judge of the user's that stands in the place of the task's own."""
    selection: str | None = None
    """Which part of the benchmark's examples these are, in words; ``None`` if they are all of them."""

    @property
    def key(self) -> str:
        """Name of the task's folder in a run."""
        return self.task.name

    def with_examples(self, examples: tuple[Example, ...]) -> "LoadedTask":
        """Return the task with other examples, such as some of its own."""
        return dataclasses.replace(self, data=dataclasses.replace(self.data, examples=examples))


def load_tasks(settings: Settings, *, ask: bool = True) -> list[LoadedTask]:
    """Find the tasks, fetch their files and add the baselines that ``--baseline`` names.

    If a task needs log-likelihoods, a served candidate may be asked whether it gives any, unless ``ask`` is false.
    """
    if settings.fields and not _names_files(settings):
        raise UsageError(
            "--fields names the columns of a file of answers, and neither --model file:F nor --baseline F is one here; "
            "leave it out"
        )
    finder = source_finder(settings)
    selection = tasks.read_selection(settings.where, "--where")
    named = tasks.parse_specs(settings.tasks)
    fitted = fitted_specs(named, settings, ask=ask)
    loaded = [
        dataclasses.replace(loaded_task, notes=(*loaded_task.notes, *(() if spec == given else (NO_LIKELIHOODS,))))
        for given, spec in zip(named, fitted, strict=True)
        for loaded_task in [_load_narrowed(spec, finder, settings, selection)]
    ]
    keys = [loaded_task.key for loaded_task in loaded]
    selection.require_tasks({*keys, *(loaded_task.task.label.partition(":")[0] for loaded_task in loaded)})
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(
                f"--tasks names {key} twice; run its versions one after the other, because each has its own protocol"
            )
    presets.require_use(settings, keys)
    loaded = with_own_judge(loaded, settings)
    loaded = [_rated_by(loaded_task, settings.judges) for loaded_task in loaded]
    if settings.select is not None:
        loaded = [_selecting(loaded_task, settings.select, settings.repeats) for loaded_task in loaded]
    return [_resampled(loaded_task, presets.answer_settings(settings, loaded_task.task.name)) for loaded_task in loaded]


def _names_files(settings: Settings) -> bool:
    """Whether the candidate or the baseline is a file."""
    lines = (settings.baseline or "").split("\n")
    given = {text for line in lines if line for text in (line, line.partition("=")[2]) if text}
    return _is_file(settings.model) or any(Path(text).exists() for text in given)


def _is_file(model: str | None) -> bool:
    if model is None:
        return False
    backend = parse_model(model, {})[0].backend
    return backend.finished and backend is not PUBLISHED


def with_own_judge(loaded: list[LoadedTask], settings: Settings) -> list[LoadedTask]:
    """Put the judge that the user brought, if any, in the place of the tasks' own."""
    own = settings.own_judge
    if own is None:
        return loaded
    if not any(loaded_task.data.judges for loaded_task in loaded):
        labels = ", ".join(loaded_task.task.label for loaded_task in loaded)
        raise UsageError(f"{own.name} says how to judge, but the answers to {labels} are verified, not judged")
    return [_judged_by(own, loaded_task, settings.judge_prompt_path) for loaded_task in loaded]


def _judged_by(own: OwnJudge, loaded_task: LoadedTask, where: str = "", *, stored: bool = False) -> LoadedTask:
    if not loaded_task.data.judges:
        return loaded_task
    require_order(own, loaded_task.task)
    if not own.mark:
        return loaded_task
    data = judged_by(own, loaded_task.task, loaded_task.data, where or None, stored=stored)
    return dataclasses.replace(loaded_task, data=data, own_judge=own)


def source_finder(settings: Settings) -> SourceFinder:
    """Return a finder that looks for official files where the settings say."""
    return SourceFinder(default_cache_dir(), settings.mirrors, offline=settings.offline)


def _rated_by(loaded_task: LoadedTask, judges: Sequence[str]) -> LoadedTask:
    """The task as its judges rate: those of the user, or its own."""
    task = loaded_task.task
    return dataclasses.replace(loaded_task, task=judged_by_models(task, judges or tuple(task.judge_models.values())))


def _selecting(loaded_task: LoadedTask, scorer: str, repeats: int) -> LoadedTask:
    """The task with a scoring model that chooses among several answers to an item."""
    task = loaded_task.task
    if scores_of(scorer) != "answers":
        raise UsageError(
            f"--select {scorer} is no model that scores single answers; give reward:ID or ratio:hf:STRONG/hf:WEAK"
        )
    if repeats < 2:
        raise UsageError(f"--select {scorer} chooses among several answers to an item; say how many with --repeats K")
    chosen = with_selection(task, scorer)
    if chosen is task:
        raise UsageError(f"--select {scorer}: {task.label} has no metric that is a mean over answers; leave it out")
    return dataclasses.replace(loaded_task, task=chosen, data=selecting(loaded_task.data))


def _load_narrowed(spec: tasks.TaskSpec, finder: SourceFinder, settings: Settings, selection: Selection) -> LoadedTask:
    """Load a task; where only some turns are selected, with the option that limits its numbers to them."""
    loaded_task = _load_against(spec, finder, settings)
    task, examples = loaded_task.task, loaded_task.data.examples
    known = all_facets(example_facets(task.groups, example) for example in examples)
    wanted = choose(selection, task, examples).wanted
    options = {
        option: "+".join(value for value in known[key] if value in wanted[key])
        for key, option in task.narrowed_by.items()
        if key in wanted and not wanted[key].issuperset(known[key])
    }
    if not options:
        return loaded_task
    return _load_against(msgspec.structs.replace(spec, options={**spec.options, **options}), finder, settings)


def _load_against(spec: tasks.TaskSpec, finder: SourceFinder, settings: Settings) -> LoadedTask:
    """Load a task with the baselines of ``--baseline``: some of its own, or the models of a file."""
    task, _ = tasks.load(spec, starter=settings.starter)
    options = ordered(settings.own_judge, task, spec.options)
    if settings.unsafe_local and UNSAFE[0] in task.option_help:
        options = {**options, UNSAFE[0]: UNSAFE[1]}
    if options != spec.options:
        spec = msgspec.structs.replace(spec, options=options)
        task, _ = tasks.load(spec, starter=settings.starter)
    baseline = baseline_of(settings, task.name)
    names = [name.strip() for name in (baseline or "").split(",")]
    if set(names) <= set(task.against):
        return load_task(_choosing(spec, names), finder, starter=settings.starter)
    loaded_task = load_task(spec, finder, starter=settings.starter)
    if baseline is None or [baseline] == list(loaded_task.data.baselines):
        return loaded_task
    places = [baseline] if Path(baseline).exists() else names
    own = [name for name in places if name in task.against]
    if len(places) > 1 and task.against:
        loaded_task = load_task(_choosing(spec, own), finder, starter=settings.starter) if own else loaded_task
    elif len(places) > 1:
        places = [baseline]
    baselines = {name: loaded_task.data.baselines[name] for name in own}
    notes: tuple[str, ...] = ()
    for place in places:
        if place not in own:
            found, about = _baselines_of_file(loaded_task, place, settings)
            if known := sorted(set(found) & set(baselines)):
                raise UsageError(f"--baseline {place} holds answers of {known[0]}, which is a baseline already")
            baselines, notes = {**baselines, **found}, (*notes, *about)
    if task.against:
        loaded_task = load_task(_choosing(spec, baselines), finder, starter=settings.starter)
    return with_baselines(dataclasses.replace(loaded_task, notes=notes), baselines)


def _choosing(spec: tasks.TaskSpec, baselines: Iterable[str]) -> tasks.TaskSpec:
    return msgspec.structs.replace(spec, options={**spec.options, "baselines": join_names(baselines)})


def _baselines_of_file(
    loaded_task: LoadedTask, path: str, settings: Settings
) -> tuple[dict[str, Generations], tuple[str, ...]]:
    """Read a file of baseline answers to the task's examples, by model, with notes about the file."""
    if not Path(path).exists():
        known = ", ".join(loaded_task.data.baselines) or "none"
        if path in loaded_task.data.baselines:
            raise UsageError(
                f"--baseline {path}: {loaded_task.task.label} compares each part of its examples with a baseline of "
                f"its own ({known}); choose a part by an option (`judgebench tasks info {loaded_task.task.name}`)"
            )
        raise UsageError(
            f"--baseline {path!r} is neither a file of outputs nor a baseline of {loaded_task.key} ({known})"
            f"{did_you_mean(path, loaded_task.data.baselines) or near_path(path)}"
        )
    baselines: dict[str, Generations] = {}
    notes: list[str] = []
    # A candidate's file has the fields that the user names; the baseline's may have ours.
    for imported in _read_given(loaded_task, Path(path), settings, some=_is_file(settings.model)):
        # A failed answer cannot be a baseline.
        require_one_answer(imported, path)
        generations = {own.example_id: own for own in imported.generations if not own.error}
        baselines[imported.candidate] = generations
        notes += [f"baseline {imported.candidate}: {note}" for note in imported.notes]
    return baselines, tuple(notes)


def load_task(spec: tasks.TaskSpec, finder: SourceFinder, *, starter: bool) -> LoadedTask:
    """Load a task with its official files, fetched and verified."""
    with doing(f"loading the task {spec.name}"):
        origin = tasks.find(spec.name)
        task = origin.task(spec.version, spec.options, starter=starter)
        return _with_data(task, origin, finder)


def _with_data(task: Task, origin: tasks.Origin, finder: SourceFinder) -> LoadedTask:
    sources, used = origin.sources, []

    def fetch(name: str) -> bytes:
        data, how = finder.fetch(sources[name])
        used.append(how)
        return data

    try:
        data = task.load(fetch)
    except JudgebenchError:
        raise
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        read = f" The last official file read was {used[-1].name}, from the {used[-1].origin}." if used else ""
        raise UsageError(
            f"{task.label} cannot be loaded: {told}.{read} If that file differs from upstream's, replace "
            f"it; otherwise the task has a bug (-v shows where)"
        ) from error
    # Baselines that come with the user's own task are kept in the run, because nobody else publishes them.
    baselines = {} if origin.code is None else _hashes(data.baselines)
    standins = {one.name: _standin_words(sources[one.name]) for one in used if one.standin}
    return LoadedTask(
        task=task,
        folder=origin.folder,
        data=data,
        sources=used,
        standins=standins,
        baselines=baselines,
        code=origin.code,
    )


def _standin_words(source: Source) -> str:
    """What took the place of an official file, and what that means for the numbers."""
    standin = source.standin
    about = f"; {standin.about}" if standin and standin.about else ""
    return (
        f"a reconstructed stand-in ({standin.file if standin else ''}) was used, because the official file "
        f"{source.file.name} could not be had{about}"
    )


def _resampled(loaded_task: LoadedTask, gen: Mapping[str, str]) -> LoadedTask:
    """Let ``--gen`` and ``--preset`` override an example's own sampling, as they override the task's."""
    if not gen:
        return loaded_task
    return loaded_task.with_examples(
        tuple(
            msgspec.structs.replace(example, sampling=override_sampling(example.sampling, gen, "--gen"))
            if example.sampling and not example.sampling.continuations
            else example
            for example in loaded_task.data.examples
        )
    )


def task_sampling(loaded_task: LoadedTask, settings: Settings) -> Sampling:
    """Return how answers are sampled, except for examples that have a sampling of their own."""
    return override_sampling(
        loaded_task.task.sampling, presets.answer_settings(settings, loaded_task.task.name), "--gen"
    )


def require_shape(rows: FileRows, read: Reader, spec: tasks.TaskSpec) -> None:
    """Raise :class:`ShapeError` if rows are of another format than ``read`` reads, before an official file is fetched.

    Which items they belong to, only the official files say; the starter set shows whether they have the fields.
    """
    if not tasks.find(spec.name).sources:
        return
    try:
        read(rows, load_task(spec, SourceFinder(default_cache_dir(), offline=True), starter=True).data)
    except ShapeError:
        raise
    except JudgebenchError:
        return


def require_answers(candidate: ModelSpec, settings: Settings) -> None:
    """Raise :class:`UsageError` if the candidate's file is none of answers, before an official file is fetched."""
    if not candidate.backend.finished or candidate.backend is PUBLISHED:
        return
    rows = read_rows(Path(candidate.target))
    for spec in tasks.parse_specs(settings.tasks):
        task, _ = tasks.load(spec, starter=settings.starter)
        require_shape(rows, _reader(task, rows, settings), spec)


def _reader(task: Task, rows: FileRows, settings: Settings, *, some: bool = False) -> Reader:
    """What reads answers that were made elsewhere: any form that the task reads; ours if the user names fields.

    ``some`` of these fields suffice.
    """
    fields = parse_fields(settings.fields)
    if some:
        fields = {ours: theirs for ours, theirs in fields.items() if any(theirs in row.fields for row in rows)}
    return partial(import_answers, fields=fields) if fields else task.importers.get("outputs", import_answers)


def _read_given(loaded_task: LoadedTask, path: Path, settings: Settings, *, some: bool = False) -> list[Imported]:
    return _given_answers(loaded_task, read_rows(path), settings, some=some)


def _given_answers(
    loaded_task: LoadedTask, rows: FileRows, settings: Settings, *, some: bool = False
) -> list[Imported]:
    """Read answers that were made elsewhere, one record for each model of the file."""
    found = _reader(loaded_task.task, rows, settings, some=some)(rows, loaded_task.data)
    return [
        dataclasses.replace(
            imported,
            generations=tuple(split_generation(g, settings.splitting) for g in imported.generations),
            notes=(*rows.notes, *imported.notes),
        )
        for imported in found
    ]


def read_candidate(loaded_task: LoadedTask, spec: ModelSpec, settings: Settings) -> Imported:
    """Read the finished answers that a model spec names: those of a file, or a model's published ones."""
    if spec.backend is PUBLISHED:
        return _published_answers(loaded_task, spec.target, settings)
    found = _of_one_model(loaded_task, Path(spec.target), settings)
    require_attempts(loaded_task.task, found, spec.target)
    return found


def require_attempts(task: Task, found: Imported, path: str) -> None:
    """Raise :class:`UsageError` if a file holds several answers to an item, and the task can make nothing of them."""
    if found.repeats > 1 and not task.repeats:
        raise UsageError(
            f"{path} holds {found.repeats} answers to each item, and {task.label} has no metric over several answers "
            "to one item; keep one of each item's"
        )


def _published_answers(loaded_task: LoadedTask, model: str, settings: Settings) -> Imported:
    """Fetch a model's published answers, and read them under the name that the published table has for it."""
    task = loaded_task.task
    version = "" if task.starter else f"{task.name}@{task.version}"
    source = outputs_of(loaded_task.key, loaded_task.folder, model, version)
    data, used = source_finder(settings).fetch(source)
    (imported,) = _given_answers(loaded_task, json_rows(data, source.place), settings)
    return dataclasses.replace(
        imported,
        candidate=model,
        generations=tuple(msgspec.structs.replace(own, model=model) for own in imported.generations),
        notes=(*imported.notes, f"the answers are published ones: {source.place}, sha256 {used.sha256}"),
    )


def _of_one_model(loaded_task: LoadedTask, path: Path, settings: Settings) -> Imported:
    """Read the answers of a file that holds those of one model."""
    found = _read_given(loaded_task, path, settings)
    if len(found) != 1:
        names = ", ".join(imported.candidate for imported in found)
        raise UsageError(
            f"{path} holds answers of {len(found)} models ({names[:200]}); split it into one file for each model"
        )
    return found[0]


def require_texts(loaded_task: LoadedTask, *, unsafe_local: bool) -> None:
    """Raise :class:`UsageError` if a task's official texts are not available, before any model is asked.

    So it does if there is no place to run answers as programs, where that is what verifies them.
    """
    if loaded_task.data.lacks:
        raise UsageError(f"{loaded_task.task.label} cannot be asked: {loaded_task.data.lacks}")
    for verifier in loaded_task.data.verifiers.values():
        require_place(verifier, unsafe_local=unsafe_local)


def require_baseline(loaded_task: LoadedTask) -> None:
    """Raise :class:`UsageError` if a task lacks the answers to compare with, before any model is asked."""
    task, baselines = loaded_task.task, loaded_task.data.baselines
    unknown = [name for name in task.against if name not in baselines]
    if unknown or (task.needs_baseline and not baselines):
        raise UsageError(
            f"{task.label} compares with {', '.join(unknown) or 'another model'}, whose answers do not come with it; "
            f"name a file of them with --baseline"
        )


def with_baselines(
    loaded_task: LoadedTask, baselines: Mapping[str, Generations], *, keep_equal: bool = True
) -> LoadedTask:
    """Replace the task's baselines; with ``keep_equal``, answers equal to the official ones change nothing."""
    official = loaded_task.data.baselines
    if keep_equal and all(
        name in official and all(official[name].get(key) == generation for key, generation in generations.items())
        for name, generations in baselines.items()
    ):
        return loaded_task
    data = dataclasses.replace(loaded_task.data, baselines=dict(baselines))
    return dataclasses.replace(loaded_task, data=data, baselines=_hashes(baselines))


def _hashes(baselines: Mapping[str, Generations]) -> dict[str, str]:
    return {
        name: canonical_hash([generations[key].outputs for key in sorted(generations)])
        for name, generations in baselines.items()
    }


def require_coverage(loaded_task: LoadedTask, generations: Generations, what: str) -> None:
    """Raise :class:`UsageError` if too many of a task's examples have no answer; ``what`` names the answers.

    A failed answer is not missing: the run continues without it, as it does if a model fails.
    """
    examples = loaded_task.data.examples
    missing = [example for example in examples if example.id not in generations]
    if too_many(len(missing), len(examples)):
        failed = sum(example.id in generations and generations[example.id].error is not None for example in examples)
        raise UsageError(
            f"{what} answers {len(examples) - len(missing) - failed} of the {len(examples)} examples of "
            f"{loaded_task.key}{f' and says of {failed} that they failed' if failed else ''}; the first without an "
            f"answer is {missing[0].id}: {question_of(missing[0])[:80]!r}. Less than {MISSING_LIMIT:.0%} may be "
            f"missing (a row whose output is null counts as an answer that failed); evaluate a part with --ids or "
            f"--limit"
        )


def reload_tasks(folder: RunFolder, manifest: Manifest, settings: Settings) -> list[LoadedTask]:
    """Load all tasks of an existing run, with the examples and baselines of the run.

    ``settings.tasks`` may give other options for some of them, and names the files of those that are files.
    """
    finder = source_finder(settings)
    given = tasks.named(settings.tasks)
    files = tasks.files_among(given)
    for name, spec in given.items():
        if name not in manifest.tasks:
            raise UsageError(f"{folder.path} holds no task {name!r}; it holds {', '.join(manifest.tasks)}")
        if spec.version not in (None, manifest.tasks[name].version):
            raise UsageError(f"{folder.path} holds {manifest.tasks[name].label}, not {name}@{spec.version}")
    loaded = []
    for key, task_manifest in manifest.tasks.items():
        options, own = (given[key].options if key in given else None), settings.own_judge
        if own is not None:
            require_same_judge(folder.task(key), task_manifest, own)
            task, _ = find_task(task_manifest, folder.path, files, options)
            options = ordered(own, task, {name: str(value) for name, value in task.options.items()})
        loaded.append(reload_task(folder.task(key), task_manifest, folder.path, finder, files, options, own))
    return loaded


def require_same_judge(folder: TaskFolder, task_manifest: TaskManifest, own: OwnJudge) -> None:
    """Raise :class:`UsageError` if the task of a run was judged otherwise than by this judge of the user's."""
    before = task_manifest.own_judge
    if (before is not None and before.identity == own.identity) or (before is None and not own.mark):
        return
    if before is None and not folder.judge_models():
        return
    other = "the benchmark's own judge" if before is None else f"{before.name}, whose prompt or rule is another"
    raise UsageError(
        f"{folder.path} was to be judged by {own.name}, but it is judged by {other}; each is a protocol of its own. Go "
        "on with the same judge, or evaluate the answers again with `judgebench eval --model file:…` and another --out"
    )


def require_no_patterns(folder: RunFolder, manifest: Manifest) -> None:
    """Raise :class:`UsageError` if a run's verdicts are read by regular expressions: nobody vouches for them."""
    for own in (task_manifest.own_judge for task_manifest in manifest.tasks.values()):
        if own is not None and own.verdict is not None and own.verdict.own_patterns:
            raise UsageError(
                f"{folder.path} is judged by {own.name}, which reads verdicts by regular expressions. Those are not "
                f"taken from a run folder; name that file again: --judge {own.name}"
            )


def load_whole(task_manifest: TaskManifest, run: Path, finder: SourceFinder, files: TaskFiles) -> LoadedTask:
    """Load the task of a run with all examples of the benchmark, whichever the run was on."""
    return _with_data(*find_task(task_manifest, run, files), finder)


def reload_task(
    folder: TaskFolder,
    task_manifest: TaskManifest,
    run: Path,
    finder: SourceFinder,
    files: TaskFiles,
    options: Mapping[str, str] | None = None,
    own_judge: OwnJudge | None = None,
) -> LoadedTask:
    """Load one task of an existing run, with the examples and baselines of the run.

    The user's ``options`` override those of the run. A judge of the user's that judged the run is in the manifest; for
    answers that nobody judged, the user may bring it now.
    """
    task, origin = find_task(task_manifest, run, files, options)
    loaded_task = _with_data(task, origin, finder).with_examples(folder.examples())
    baselines = folder.baselines()
    if baselines:
        loaded_task = with_baselines(loaded_task, baselines, keep_equal=origin.code is None)
    own = own_judge or task_manifest.own_judge
    return loaded_task if own is None else _judged_by(own, loaded_task, stored=own_judge is None)
