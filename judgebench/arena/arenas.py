"""An arena from what the user names to its ratings, and its dry run."""

import dataclasses
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from judgebench.arena.anchoring import MEAN, Given, require_shared
from judgebench.arena.games import Games, positions, read_battles
from judgebench.arena.judging import KEY, Judging, games_of_runs, loaded_of
from judgebench.arena.players import Entry, Field, entries_of, field_of
from judgebench.arena.playing import ADAPTIVE, Rule, Schedule, levelled, play, schedule
from judgebench.arena.rating import METHOD, Scale, Wishes, rate, scale_of
from judgebench.arena.records import Anchoring, Arena, Pairing
from judgebench.codec import canonical_hash, write_json
from judgebench.display import slug
from judgebench.errors import Incomplete, UsageError
from judgebench.files import sha256_of
from judgebench.kinds.items import FIELDS
from judgebench.models.call_store import CallStore, store_path
from judgebench.models.opening import expand, parse_model
from judgebench.run.dry_run import DryRun, summed
from judgebench.run.folder import RunFolder
from judgebench.run.loading import LoadedTask, load_tasks, read_candidate, too_many
from judgebench.run.pipeline import Observer
from judgebench.run.reading import read_run, read_runs, renamed
from judgebench.run.rehearsal import Rehearsal
from judgebench.run.runner import Runner
from judgebench.run.seats import every_judge_spec
from judgebench.run.selecting import select_examples
from judgebench.run.settings import Settings
from judgebench.task.answers import require_one_answer
from judgebench.tasks import task_files

RATINGS = "ratings.json"
ANSWERS = "answers"
OWN_TASK = "arena.toml"
FIELDS_HINT = 'fields = { instruction = "…" }'
ARENAS = Path("arenas")
"""The folder for arenas that the user did not name: not among the runs, which tables and searches take whole."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the user wants."""

    settings: Settings
    """``judges`` decide; how models answer, if they have to; ``out`` is the arena's folder."""
    runs: tuple[Path, ...] = ()
    models: tuple[str, ...] = ()
    """Models that answer ``prompts`` first."""
    prompts: Path | None = None
    task: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """Names for runs, by folder or name."""
    rule: Rule = field(default_factory=Rule)
    wishes: Wishes = field(default_factory=Wishes)
    given: Given | None = None

    def __post_init__(self) -> None:
        """Raise :class:`UsageError` unless there are runs, or models with prompts."""
        if run := next((name for name in self.models if (Path(name) / "manifest.json").is_file()), None):
            runs = " ".join(map(shlex.quote, self.models)) if len(self.models) > 1 else f"{shlex.quote(run)} OTHER"
            raise UsageError(
                f"--models {run} is a run folder, and --models names models that answer --prompts; runs are rated by "
                f"their answers, without a flag: `judgebench arena {runs}`"
            )
        if self.models and self.prompts is None:
            raise UsageError(
                "--models names who answers, and --prompts is missing; name the file of what they are asked"
            )
        if self.prompts is not None and not self.models:
            raise UsageError(f"--prompts {self.prompts} is what --models answer, and none is named; name them")
        if not self.runs and not self.models:
            raise UsageError(
                "an arena needs models: give the run folders of two or more, or --models A,B,C --prompts FILE"
            )


def hold(plan: Plan, observe: Observer) -> Arena:
    """Have the models answer, if they have not, and judged in pairs; return their ratings, which are kept.

    Raises :class:`Incomplete`, after the ratings are kept, if too many verdicts got no reply.
    """
    out, spent = _answered(plan, observe)
    found = _field(plan, out)
    folder = RunFolder(out or _default_out(plan, found))
    games_of = schedule(found, plan.rule.seed)
    settings = dataclasses.replace(plan.settings, budget=_left(plan, spent))
    with Judging(settings, found, folder).opened() as judging:
        pairing = play(judging, games_of, plan.rule, observe)
        games, _, unread, failed = judging.found()
        arena = _arena(
            plan,
            games,
            pairing,
            judge=_judge(judging),
            judges=judging.judges,
            protocol_hash=canonical_hash(judging.fingerprint),
            task=found.loaded.task.label,
            unread=unread,
            failed=failed,
            usd=judging.ledger.usd,
            calls=judging.calls,
            folder=str(folder.path),
            notes=found.notes,
        )
        write_json(folder.path / RATINGS, arena)
    if too_many(failed, failed + unread + len(games)):
        raise Incomplete(
            f"{failed} of {failed + unread + len(games)} judgements got no reply (less than 1 % may). The ratings "
            f"without them are in {folder.path / RATINGS}; run the same command again to ask again for what failed"
        )
    return arena


def rate_battles(path: Path, wishes: Wishes, given: Given | None = None) -> Arena:
    """Rate the models of a table of battles that was made elsewhere."""
    games = read_battles(path)
    pairing = Pairing(how="found", games=len(games), of=len(games), most=len(games), stopped="all")
    return _rated(games, wishes, given, pairing, judge=f"battles of {path.name}")


def rate_judged(plan: Plan) -> Arena:
    """Rate the models of runs, and their baselines, from the verdicts that the runs hold. Nothing is asked."""
    runs = list(read_runs(plan.runs, task_files(plan.settings.tasks)).readable) if plan.runs else []
    games, unread, failed, judges = games_of_runs(renamed(runs, plan.names) if plan.names else runs, plan.task)
    if not len(games):
        raise UsageError(
            "the runs hold no verdict on two answers; leave --judged out to have their answers compared with each other"
        )
    pairing = Pairing(how="found", games=len(games), of=len(games), most=len(games), stopped="all")
    judge = f"verdicts of {', '.join(judges)}"
    return _rated(games, plan.wishes, plan.given, pairing, judge=judge, judges=judges, unread=unread, failed=failed)


def _judge(judging: Judging) -> str:
    loaded = judging.field.loaded
    own = loaded.own_judge
    how = f"the {own.mark} of {own.name}" if own is not None and own.mark else f"the prompt of {loaded.task.label}"
    return f"{', '.join(judging.judges)} by {how}"


def _arena(plan: Plan, games: Games, pairing: Pairing, **about: Any) -> Arena:
    if not len(games):
        raise Incomplete(
            f"none of the {pairing.games} games has a verdict; see {about['folder']}/{KEY}/judgements.jsonl for what "
            "the judge said"
        )
    return _rated(games, plan.wishes, plan.given, pairing, **about)


def _rated(games: Games, wishes: Wishes, given: Given | None, pairing: Pairing, **about: Any) -> Arena:
    shared = {} if given is None else require_shared(given, games.models)
    scale = scale_of(games, shared) if shared else Scale(0.0, (), None, None)
    found = rate(games, wishes, scale.shift)
    models = sorted(
        (msgspec.structs.replace(model, published=shared.get(model.model)) for model in found.models),
        key=lambda model: (model.rating is None, -(model.rating or 0.0), model.model),
    )
    position, consistent = positions(games) if pairing.how != "found" else (None, None)
    notes = (*about.pop("notes", ()), *(given.notes if given else ()))
    return Arena(
        models=tuple(models),
        level=wishes.level,
        questions=games.n_questions,
        games=len(games),
        ties=int((games.outcome == 0.5).sum()),
        pairing=pairing,
        anchoring=Anchoring(
            by=MEAN if given is None else given.by,
            shared=scale.shared,
            shift=scale.shift,
            rmse=scale.rmse,
            spread=scale.spread,
        ),
        method=METHOD,
        separable=found.separable,
        told_apart=found.told_apart,
        pairs=found.pairs,
        position=position,
        consistent=consistent,
        style=found.style,
        circles=found.circles,
        elo_k=wishes.k if wishes.elo else None,
        notes=notes,
        **about,
    )


# -- who plays


def _field(plan: Plan, out: Path | None, rehearsal: Rehearsal | None = None) -> Field:
    """The players with their answers; in a rehearsal, with stand-ins for those that are not there yet."""
    runs = list(read_runs(plan.runs, task_files(plan.settings.tasks)).readable) if plan.runs else []
    if not plan.models or out is None:
        entries, load = entries_of(renamed(runs, plan.names) if plan.names else runs, plan.settings, plan.task)
        return field_of(entries, load, plan.settings)
    entries, generating = [], _generating(plan, out)
    own = task_files(str(_task_path(plan, out)))
    for model, settings in generating.items():
        spec, _ = parse_model(model, settings.model_args)
        if spec.backend.finished or rehearsal is not None:
            entries.append(_entry(plan, settings, rehearsal))
        else:
            runs.append(read_run(settings.out or out, own, unfinished=True))
    if not runs:
        return field_of(entries, partial(_loaded, plan, out), plan.settings)
    made, load = entries_of(renamed(runs, plan.names) if plan.names else runs, plan.settings, plan.task)
    return field_of([*made, *entries], load, plan.settings)


def _entry(plan: Plan, settings: Settings, rehearsal: Rehearsal | None) -> Entry:
    """A model that is a file of answers; in a rehearsal any model."""
    assert settings.model is not None
    spec, _ = parse_model(settings.model, settings.model_args)
    if rehearsal is not None and not spec.backend.finished:
        name, loaded, answers = rehearsal.play_answering(settings)
        return Entry(plan.names.get(name, name), settings.model, loaded.data.examples, answers)
    (whole,) = load_tasks(settings)
    given, loaded = read_candidate(whole, spec, settings), select_examples(whole, settings)
    require_one_answer(given, spec.target)
    answers = {own.example_id: own for own in given.generations}
    name = given.candidate
    return Entry(plan.names.get(name, name), spec.text, loaded.data.examples, answers)


def _loaded(plan: Plan, out: Path) -> LoadedTask:
    return load_tasks(_answering(plan, out))[0]


def _answered(plan: Plan, observe: Observer) -> tuple[Path | None, float]:
    """Have the models answer; return the arena's folder, if it is known by now, and the USD that the answers cost.

    The judge is looked at before anybody is paid.
    """
    if not plan.models:
        return plan.settings.out, 0.0
    out, spent = plan.settings.out or _out_of_prompts(plan), 0.0
    generating = _generating(plan, out)
    every_judge_spec(_loaded(plan, out), plan.settings)
    for model, settings in generating.items():
        spec, _ = parse_model(model, settings.model_args)
        if spec.backend.finished:
            continue
        manifest = RunFolder(settings.out or out).manifest()
        if manifest is not None and manifest.status == "complete":
            spent += 0.0 if manifest.spending is None else manifest.spending.usd
            continue
        runner = Runner(dataclasses.replace(settings, budget=_left(plan, spent)), observe)
        runner.evaluate(judge=False)
        spent += runner.spent
    return out, spent


def _left(plan: Plan, spent: float) -> float | None:
    """What is left of the budget for the whole arena."""
    return None if plan.settings.budget is None else max(0.0, plan.settings.budget - spent)


def _generating(plan: Plan, out: Path) -> dict[str, Settings]:
    """The settings of each model's answers."""
    path = _task_path(plan, out)
    if path.parent == out:
        _require_prompts(plan)
        _write_task(plan, out)
    answering = _answering(plan, out)
    return {
        model: dataclasses.replace(answering, model=model, judges=(), own_judge=None, judge_prompt=None, out=folder)
        for model, folder in _folders(plan, out).items()
    }


def _answering(plan: Plan, out: Path) -> Settings:
    """The settings of answers to the prompts. Of a benchmark made of prompts, ``--fields`` names those columns."""
    path = _task_path(plan, out)
    fields = {} if path.parent == out else plan.settings.fields
    return dataclasses.replace(plan.settings, tasks=str(path), fields=fields)


def _folders(plan: Plan, out: Path) -> dict[str, Path]:
    """Where each model's answers are."""
    models = [name for text in plan.models for name in expand(text)]
    found = {model: out / ANSWERS / slug(model) for model in models}
    if len(set(found.values())) < len(models):
        raise UsageError(
            f"--models {', '.join(models)[:200]}: two of them would have the same folder; name runs instead"
        )
    return found


def _task_path(plan: Plan, out: Path) -> Path:
    """The benchmark that the models answer: the user's own file, or one that is made of the prompts."""
    assert plan.prompts is not None
    return plan.prompts if plan.prompts.suffix in (".toml", ".py") else out / OWN_TASK


def _write_task(plan: Plan, out: Path) -> None:
    """Make a benchmark of the prompts, beside a copy of them, unless it is there."""
    assert plan.prompts is not None
    copy = out / f"prompts{''.join(plan.prompts.suffixes[-2:])}"
    out.mkdir(parents=True, exist_ok=True)
    if copy.is_file() and sha256_of(copy) != sha256_of(plan.prompts):
        raise UsageError(
            f"{out} holds an arena of other prompts than {plan.prompts}; choose another folder with --out, or go "
            "on with the same prompts"
        )
    if not copy.is_file():
        shutil.copyfile(plan.prompts, copy)
    (out / OWN_TASK).write_text(_task_text(plan, copy.name), encoding="utf-8")


def _task_text(plan: Plan, prompts: str) -> str:
    fields = ", ".join(f"{ours} = {_quoted(theirs)}" for ours, theirs in plan.settings.fields.items())
    return f'kind = "pairwise"\nname = "arena"\nprompts = {_quoted(prompts)}\nfields = {{ {fields} }}\n'


def _require_prompts(plan: Plan) -> None:
    """Raise :class:`UsageError`, about the user's own file, if it holds no prompts; nothing is left behind then."""
    assert plan.prompts is not None
    if not plan.prompts.is_file():
        raise UsageError(f"--prompts {plan.prompts} is not a file; it is json, jsonl, csv, parquet or a TOML file")
    unknown = [name for name in plan.settings.fields if name not in FIELDS]
    if unknown:
        raise UsageError(
            f"--fields {unknown[0]}={plan.settings.fields[unknown[0]]}: it names columns of --prompts, of which ours "
            f"are {', '.join(FIELDS)}; write one of them on the left, as in --fields instruction=question"
        )
    try:
        with TemporaryDirectory() as folder:
            task = Path(folder, OWN_TASK)
            task.write_text(_task_text(plan, str(plan.prompts.absolute())), encoding="utf-8")
            load_tasks(Settings(tasks=str(task), mirrors=plan.settings.mirrors, offline=True))
    except UsageError as error:
        told = str(error).replace(str(plan.prompts.absolute()), str(plan.prompts))
        raise UsageError(told.replace(FIELDS_HINT, "--fields instruction=NAME")) from error


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _default_out(plan: Plan, found: Field) -> Path:
    """A folder that the same players and judge lead to again."""
    digest = canonical_hash([sorted(found.names), plan.settings.judges, found.loaded.task.label])
    return ARENAS / digest[7:15]


def _out_of_prompts(plan: Plan) -> Path:
    assert plan.prompts is not None
    content = sha256_of(plan.prompts) if plan.prompts.is_file() else str(plan.prompts)
    digest = canonical_hash([sorted(plan.models), plan.settings.judges, content])
    return ARENAS / digest[7:15]


# -- the dry run


def estimate(plan: Plan) -> DryRun:
    """Estimate an arena: which calls it would make at most, what they may cost. Nothing is asked.

    Answers that are not there yet count as typical ones; adaptive pairing may stop earlier.
    """
    store = CallStore(store_path(plan.settings.cache))
    rehearsal = Rehearsal(store)
    # The benchmark that is made of the prompts lies elsewhere: a dry run leaves nothing behind.
    with TemporaryDirectory() as folder:
        try:
            games = _rehearse(rehearsal, plan, _field(plan, Path(folder), rehearsal))
        finally:
            store.close()
    for stage in rehearsal.stages:
        # Both orders of a pair are one call of a model that scores, and the second is no reply that is stored.
        stage.tally.shared = 0
    made = summed(rehearsal, [plan.settings])
    return msgspec.structs.replace(made, at_most=plan.rule.how == ADAPTIVE, games=games)


def _rehearse(rehearsal: Rehearsal, plan: Plan, found: Field) -> int:
    """Play an arena through; return the number of games."""
    games: Schedule = schedule(found, plan.rule.seed)
    counts = levelled(games.robin.games, plan.rule.most(games.total))
    listed = [game for pair, count in enumerate(counts.tolist()) for game in games.part(pair, 0, count)]
    loaded, answers = loaded_of(found, listed)
    rehearsal.play_judging(loaded, answers, plan.settings, repeats=plan.settings.judge_repeats)
    return len(listed)
