"""Asks a bridge's judge again about items that it judged before, to notice that it has changed (R9).

The answers come from the run of the bridge model that the drift items are of. An ordinary run, in a folder of its own,
makes the calls in an epoch of its own: replies from before are not taken, and a check that was stopped goes on.
"""

import secrets
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from judgebench.analysis.bridging import item_verdicts
from judgebench.codec import encode, replacing
from judgebench.display import shortened
from judgebench.errors import UsageError
from judgebench.models.opening import model_name, parse_model
from judgebench.models.vendors import today
from judgebench.run.bridge_files import SUFFIX, AskedAgain, Bridge, Drift
from judgebench.run.bridging import bridge_protocol, served_model
from judgebench.run.folder import RunFolder
from judgebench.run.kept_judges import TRUSTED_ARGUMENTS
from judgebench.run.protocol import differing
from judgebench.run.reading import Run, TaskRun, read_run
from judgebench.run.settings import Settings

ENDING = ".drift"
"""Of the folder beside the bridge's file, so that no table of runs has these."""
MOST_EPOCHS = 10**9
MOST_RUNS = 2_000
"""How many run folders are looked at for the answers."""


def drift_settings(bridge: Bridge, path: Path, runs: Sequence[Run], settings: Settings) -> Settings:
    """The settings of the run that asks the judge again, in a folder beside the bridge's file at ``path``.

    ``runs`` may hold the answers, else they are looked for.

    ``settings`` are the user's: which judge to ask and how to reach it, by default the bridge's. Raises
    :class:`UsageError` if there are no answers, or no judge that a file may choose.
    """
    drift = _drift(bridge)
    task_run = _answers(bridge, drift, path, runs, settings.runs)
    judges = settings.judges or _trusted_judges(bridge)
    _require_same_judge(bridge, judges, settings)
    folder = _folder(path)
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    answers, ids = (folder.path.parent / f"{folder.path.name}.{end}" for end in ("answers.jsonl", "ids.json"))
    generations = task_run.generations()
    with replacing(answers) as file:
        for item in drift.items:
            own = generations.get(item)
            output = list(own.outputs) if own and not own.error else None
            file.write(encode({"id": item, "generator": drift.model, "output": output}) + b"\n")
    with replacing(ids) as file:
        file.write(msgspec.json.encode(list(drift.items)))
    told = bridge.judge.told
    return replace(
        settings,
        model=f"file:{answers}",
        fields={"id": "id"},
        ids=ids,
        out=folder.path,
        judges=judges,
        judge_args={**_trusted_arguments(bridge, settings), **settings.judge_args},
        judge_repeats=told.judge_repeats,
        reask=told.reask,
        think_tags=told.think_tags,
        judge_epoch=int(folder.path.name),
    )


def task_spec(bridge: Bridge) -> str:
    """The bridge's task as ``--tasks`` takes it."""
    options = ",".join(f"{name}={value}" for name, value in bridge.options.items())
    return bridge.label + (f":{options}" if options else "")


def asked_again(bridge: Bridge, folder: Path) -> AskedAgain:
    """What the judge said in a finished run of :func:`drift_settings`.

    Raises :class:`UsageError`, which names the fields, if it was asked otherwise than for the bridge.
    """
    run = read_run(folder)
    (task_run,) = run.tasks.values()
    fields = differing(bridge.judge.protocol, bridge_protocol(task_run.task_manifest.protocol))
    if fields:
        raise UsageError(
            f"the judge was asked by another protocol than for the bridge {shortened(bridge.name, 80)}: they differ in "
            f"{', '.join(fields[:6])}. Name the judge, and its prompt and settings, as `judgebench bridge show` says"
        )
    verdicts = item_verdicts(task_run.task, task_run.example_scores())
    asked = tuple(verdicts.get(item) for item in _drift(bridge).items)
    return AskedAgain(date=today(), served_model=served_model(task_run.task_manifest), verdicts=asked)


def with_answer(bridge: Bridge, asked: AskedAgain) -> Bridge:
    """The bridge with what its judge said now. Raises :class:`UsageError` if it said nothing."""
    if all(verdict is None for verdict in asked.verdicts):
        raise UsageError("the judge gave no verdict that could be read, so nothing is known of its drift")
    drift = _drift(bridge)
    return msgspec.structs.replace(bridge, drift=msgspec.structs.replace(drift, asked=(*drift.asked, asked)))


def _drift(bridge: Bridge) -> Drift:
    if bridge.drift is None or not bridge.drift.items:
        raise UsageError(
            f"the bridge {shortened(bridge.name, 80)} keeps no items to ask its judge again about: it was made of "
            "published numbers, without runs. Make one from runs with `judgebench bridge make`"
        )
    return bridge.drift


def _answers(bridge: Bridge, drift: Drift, path: Path, given: Sequence[Run], runs: Path) -> TaskRun:
    """The run with the answers that the drift items are of: among those given, or below the folder of runs."""
    model = bridge.model(drift.model)
    for run in (*given, *_runs_below(runs, model.run_id if model else None)):
        manifest = run.manifest
        if model is not None and (
            manifest.run_id == model.run_id or manifest.candidate_identity == (model.answers_hash or "")
        ):
            for task_run in run.tasks.values():
                if bridge.label in task_run.names:
                    return task_run
    raise UsageError(
        f"the drift items are answers of {shortened(drift.model, 80)}, and no run among those given or below {runs} "
        f"holds them (run {model.run_id if model else 'unknown'}); add its folder: `judgebench bridge check "
        f"{shlex.quote(str(path))} --drift RUN`"
    )


def _runs_below(runs: Path, run_id: str | None) -> Iterator[Run]:
    """The run of that id below the folder of runs, if it is there."""
    for path in sorted(runs.glob("*/*/manifest.json"))[:MOST_RUNS]:
        try:
            manifest = RunFolder(path.parent).manifest()
            if manifest is not None and manifest.run_id == run_id:
                yield read_run(path.parent)
        except UsageError:
            continue


def _trusted_judges(bridge: Bridge) -> tuple[str, ...]:
    """The bridge's judge, if a file that anybody may have made can choose it."""
    judges = tuple(text.strip() for text in bridge.judge.spec.split(", "))
    for text in judges:
        spec, _ = parse_model(text)
        if not spec.backend.trusts(spec.target):
            raise UsageError(
                f"the bridge would have {shortened(text, 200)} asked, and a file may come from anyone, so it cannot "
                "choose a checkpoint or another host. If you want this judge, name it with --judge"
            )
    return judges


def _trusted_arguments(bridge: Bridge, settings: Settings) -> dict[str, str]:
    """The settings of the judge's backend that change verdicts, as the bridge's runs had them."""
    given = bridge.judge.told.judge_args
    if doubts := [name for name in given if name not in (*TRUSTED_ARGUMENTS, *settings.judge_args)]:
        raise UsageError(
            f"the bridge's judge was asked with {', '.join(f'{name}={given[name]}' for name in doubts)[:300]}; say so "
            "yourself with --judge-arg, because a file may come from anyone"
        )
    return given


def _require_same_judge(bridge: Bridge, judges: Sequence[str], settings: Settings) -> None:
    """Raise :class:`UsageError` before anything is paid if a served judge has another name than the bridge's."""
    parsed = [parse_model(text, settings.judge_args)[0] for text in judges]
    if any(spec.local for spec in parsed) or settings.own_judge is not None:
        return
    names = sorted({model_name(spec) for spec in parsed})
    if names != sorted(bridge.judge.identity.split(", ")):
        raise UsageError(
            f"the bridge {shortened(bridge.name, 80)} is of the judge {shortened(bridge.judge.identity, 100)}, and "
            f"{', '.join(names)} would be asked: judges.model differs. Name the same judge with --judge"
        )


def _folder(path: Path) -> RunFolder:
    """Where the run is: an unfinished one is continued, or else a new epoch begins."""
    folder = path.with_name(path.name.removesuffix(SUFFIX) + ENDING)
    for known in folder.glob("*/manifest.json"):
        manifest = RunFolder(known.parent).manifest()
        if manifest is not None and manifest.status != "complete" and known.parent.name.isdecimal():
            return RunFolder(known.parent)
    return RunFolder(folder / str(1 + secrets.randbelow(MOST_EPOCHS)))
