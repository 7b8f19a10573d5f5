"""Builds the manifest of a run: fingerprints, versions, sessions, and how the run ended.

The records themselves are defined in ``folder``, and the content of the fingerprints in ``protocol``.
"""

import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from judgebench.codec import canonical_hash
from judgebench.errors import DISTRIBUTION, BudgetExceeded, UsageError
from judgebench.models import ModelSpec
from judgebench.models.opening.backends import without_credentials
from judgebench.records import Sampling
from judgebench.run.cascades import CascadePlan
from judgebench.run.folder import Manifest, Session, TaskManifest, now
from judgebench.run.judge_marks import marks_of
from judgebench.run.loading import MISSING_LIMIT, LoadedTask, too_many
from judgebench.run.protocol import Seat, differing, inputs, protocol
from judgebench.run.settings import SETTINGS, Settings
from judgebench.run.stopping import Known, StopRule
from judgebench.task import Imported
from judgebench.task.best_of import SELECT
from judgebench.thinking import Thinking


def new_session(settings: Settings) -> Session:
    """Record the process that starts now, with the settings that are not defaults and without credentials."""
    config = {
        name: _without_credentials(msgspec.to_builtins(getattr(settings, name), enc_hook=str))
        for name in SETTINGS
        if name not in ("argv", "own_judge", "judge_prompt_path") and getattr(settings, name)
    }
    return Session(argv=_without_credentials(settings.argv), config=config, started_at=now())


def _without_credentials(value: Any) -> Any:
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, list | tuple):
        return [_without_credentials(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _without_credentials(inner) for name, inner in value.items()}
    return value


def build_task_manifest(
    loaded_task: LoadedTask,
    judges: Mapping[str, Sequence[Seat]],
    candidate_identity: str,
    settings: Settings,
    thinking: Thinking,
    *,
    judge_models: Sequence[str],
    sampling: Sampling | None = None,
    first_prompt: str | None = None,
    stop_rule: StopRule | None = None,
    known: Known | None = None,
    cascade: CascadePlan | None = None,
    dear: Mapping[str, Sequence[Seat]] | None = None,
    imported: Imported | None = None,
) -> TaskManifest:
    """Build a task's part of the manifest and compute both fingerprints.

    ``judges`` are those of :func:`protocol`; ``judge_models`` are their models as the user or the task named them. With
    a ``cascade``, ``dear`` are the judges of its part.
    """
    task, system, refine, repeats = loaded_task.task, settings.system, settings.refine, settings.judge_repeats
    protocol_fields = protocol(
        loaded_task,
        judges,
        judge_repeats=repeats,
        reask=settings.reask,
        stop_rule=stop_rule,
        known=known,
        think_tags=thinking.tags,
        judge_args={**settings.judge_file_args, **settings.judge_args},
        cascade=None if cascade is None else cascade.protocol(),
        dear=dear,
        dear_args=settings.dear_args,
    )
    if imported and imported.reported:
        protocol_fields["reported_by"] = imported.reported_by
    everything = inputs(protocol_fields, candidate_identity, sampling, system, thinking, refine)
    return TaskManifest(
        label=task.label,
        name=task.name,
        version=task.version,
        options=dict(task.options),
        starter=task.starter,
        examples=len(loaded_task.data.examples),
        selection=loaded_task.selection,
        sources=loaded_task.sources,
        code=loaded_task.code,
        protocol=protocol_fields,
        protocol_hash=canonical_hash(protocol_fields),
        inputs=everything,
        sampling=sampling,
        system=system,
        thinking=thinking.policy,
        think_tags=list(thinking.tags),
        refine=list(refine),
        first_prompt=first_prompt,
        seeds=dict(task.seeds),
        input_hash=canonical_hash(everything),
        judge_models=sorted(set(judge_models)),
        judge_repeats=repeats,
        select=task.judge_models.get(SELECT),
        own_judge=loaded_task.own_judge,
        notes=[*_source_notes(loaded_task), *loaded_task.notes, *(imported.notes if imported else ())],
        judge_audits=marks_of(protocol_fields),
        unknown=list(imported.unknown) if imported else [],
    )


def outputs_identity(given: Mapping[str, Imported]) -> str:
    """The identity of a candidate whose finished answers come from a file, by task."""
    return "outputs:" + canonical_hash(
        {key: [[g.example_id, *g.outputs] for g in imported.generations] for key, imported in given.items()}
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that compute the numbers; heavy ones only if they are loaded."""
    found = {"python": platform.python_version()}
    for name in ("judgebench", "numpy", "msgspec", "aiohttp"):
        try:
            found[name] = version(DISTRIBUTION if name == "judgebench" else name)
        except PackageNotFoundError:
            continue
    for name in ("torch", "transformers", "vllm"):
        if name in sys.modules:
            found[name] = str(sys.modules[name].__version__)
    return found


def git_revision(spec: ModelSpec) -> str | None:
    """Return the commit of the repository that holds a checkpoint's folder; ``None`` if there is none."""
    folder = Path(spec.target)
    if not spec.backend.checkpoint or not folder.is_dir():
        return None
    try:
        asked = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None if asked.returncode == 0 else None


def combined(hashes: Mapping[str, str]) -> str:
    """Combine the hashes of several tasks into one; a single task's hash stays as it is."""
    return next(iter(hashes.values())) if len(hashes) == 1 else canonical_hash(dict(hashes))


def hash_over_tasks(manifest: Manifest) -> None:
    """Set the run's hashes from those of its tasks."""
    tasks = manifest.tasks.items()
    manifest.protocol_hash = combined({key: task_manifest.protocol_hash for key, task_manifest in tasks})
    manifest.input_hash = combined({key: task_manifest.input_hash for key, task_manifest in tasks})


def _source_notes(loaded_task: LoadedTask) -> list[str]:
    own = loaded_task.own_judge
    judged = (
        f"judged with a {own.mark} of the user's own ({own.name}): no published number is comparable" if own else ""
    )
    return ([judged] if judged else []) + [f"{name}: {words}" for name, words in loaded_task.standins.items()]


def rejudged(before: TaskManifest, task_manifest: TaskManifest) -> TaskManifest:
    """Add to a task's new manifest what the session that generated the answers recorded about them."""
    names = ("sampling", "system", "thinking", "think_tags", "refine")
    made = {name: before.inputs[name] for name in names if name in before.inputs}
    task_manifest.inputs = {**task_manifest.inputs, **made}
    task_manifest.input_hash = canonical_hash(task_manifest.inputs)
    task_manifest.notes = list(dict.fromkeys([*before.notes, *task_manifest.notes]))
    task_manifest.selection = before.selection
    task_manifest.unknown, task_manifest.judge_models_returned = before.unknown, before.judge_models_returned
    return task_manifest


def missing(manifest: Manifest, *, judged: bool) -> str | None:
    """Return a sentence about each task in which too many examples or cases have no answer or verdict."""
    sentences = [
        f"{key}: {text} ({_limit(text)})."
        for key, task_manifest in manifest.tasks.items()
        for what, text in lacking(task_manifest.counts).items()
        if judged or what == "answer"
    ]
    return " ".join(sentences) or None


def something_failed(manifest: Manifest) -> bool:
    """Whether some answer or verdict did not come, so that it can be asked for again."""
    return any(
        task.counts.get(what) for task in manifest.tasks.values() for what in ("without_answer", "failed", "missing")
    )


def lacking(counts: Mapping[str, int]) -> dict[str, str]:
    """Say of a task's counts where too many examples have no answer, or too many cases no verdict: what is left then
    is a choice, and its number is not that of the whole.
    """
    found = {}
    examples, unanswered = counts.get("examples", 0), counts.get("without_answer", 0)
    if too_many(unanswered, examples):
        found["answer"] = f"{unanswered} of {examples} examples have no answer"
    ended = sum(count for name, count in counts.items() if name not in ("examples", "without_answer"))
    without = {what: counts.get(what, 0) for what in ("failed", "unread", "missing")}
    if too_many(sum(without.values()), ended):
        (first, count), *rest = ((what, count) for what, count in without.items() if count)
        further = "".join(f", {more} {_ended_so(what, more)}" for what, more in rest)
        found["verdict"] = f"{count} of {ended} verdicts {_ended_so(first, count)}{further}"
    return found


def _ended_so(how: str, count: int) -> str:
    """What became of some verdicts, as a verb: they failed, or are unread or missing."""
    return how if how == "failed" else f"{'is' if count == 1 else 'are'} {how}"


def _limit(text: str) -> str:
    """How many may be lacking, with the verb that the sentence on those that are ends with."""
    return f"less than {MISSING_LIMIT:.0%} may{' be' if text.endswith(('unread', 'missing')) else ''}"


def ending(manifest: Manifest, *, judged: bool) -> tuple[str, str | None]:
    """Return the status of a run that reached its end, and what it lacks if it is incomplete."""
    complaint = missing(manifest, judged=judged)
    return "incomplete" if complaint else "complete" if judged else "generated", complaint


def spent(manifest: Manifest) -> float:
    """Return the USD that the run's earlier sessions paid; for a killed session, up to its last checkpoint."""
    return sum(
        stage.usd for session in manifest.sessions for stages in session.counts.values() for stage in stages.values()
    )


def status_of(error: BaseException) -> str:
    """Return the status of a session that ended with this error."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "budget" if isinstance(error, BudgetExceeded) else "failed"


def require_same_run(path: Path, existing: Manifest, task_manifests: Mapping[str, TaskManifest]) -> None:
    """Raise :class:`UsageError` if a folder's run differs from the one that these tasks would make."""
    input_hash = combined({key: task_manifest.input_hash for key, task_manifest in task_manifests.items()})
    if (existing.input_hash, {*existing.tasks}) == (input_hash, {*task_manifests}):
        return
    first = {key: task_manifest.inputs for key, task_manifest in existing.tasks.items()}
    second = {key: task_manifest.inputs for key, task_manifest in task_manifests.items()}
    way_on = "run `judgebench judge`" if existing.status == "generated" else "repeat its command"
    raise UsageError(
        f"{path} holds another run, which differs in {', '.join(differing(first, second)[:6])}; choose another --out, "
        f"or continue that one: {way_on}"
    )
