"""What another terminal can see of a run that goes on, and change: two small files in the run's folder.

The process at work writes ``.status.json`` about once a second and looks for ``.tuning.json``, which ``judgebench
tune`` writes. Both are gone when the run ends. Anybody may have made a folder, so what the files say is read strictly
and within bounds, a tuning that lay there before the run began is not taken, and none can do more than change how many
requests are in flight.
"""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from judgebench.codec import read_json, write_json
from judgebench.display import printable
from judgebench.errors import UsageError
from judgebench.files import opened
from judgebench.models import Gauged, Model, Tunable
from judgebench.models.wrappers import Wrapper, innermost
from judgebench.run.folder import KILLED, LOCK, STATUS_FILE, TUNING_FILE, Manifest, RunFolder, now
from judgebench.run.stages import RunningTask

if TYPE_CHECKING:
    from judgebench.run.progress import StageWatch

LARGEST_STATUS, LARGEST_TUNING = 2**20, 4096
LOOK_SECONDS, STATUS_SECONDS = 0.25, 1.0
"""How often a run looks for a tuning, and says how it is."""
ANSWER_SECONDS = 10.0
"""How long a tuning is waited for; a run that computes scores takes none."""
MOST = 4096
"""The most requests in flight that a run can be tuned to."""
_HOLDER = re.compile(r"process (\d{1,10}) on (\S{1,255})")

Many = Annotated[int, Meta(ge=1, le=MOST)]
Text = Annotated[str, Meta(max_length=1000)]
Amount = Annotated[float, Meta(ge=0, le=1e15)]
Number = Annotated[int, Meta(ge=0, le=10**12)]


class StageStatus(Struct, frozen=True, kw_only=True):
    """How far a stage of a task is."""

    task: Text
    stage: Text
    done: Number
    total: Number
    """The likely number in all; a judge's is known only when all answers are."""
    failed: Number
    unread: Number
    calls_per_second: Amount | None
    usd: Amount


class ModelStatus(Struct, frozen=True, kw_only=True):
    """What a served model is doing."""

    model: Text
    roles: Annotated[list[Text], Meta(max_length=4)]
    """``candidate``, ``judge``, or both."""
    in_flight: Number
    concurrency: Number
    left_out: Annotated[list[Text], Meta(max_length=64)]
    """Its addresses that are left out for now, and why."""


class RunStatus(Struct, frozen=True, kw_only=True):
    """How a run is, whether it goes on or not."""

    run: Text
    state: Text
    """``running``, ``killed``, or how its last session ended."""
    pid: Number | None = None
    """The process that works on it, or did when it was killed."""
    host: Text | None = None
    alive: bool
    """Whether a process of this machine works on it now."""
    at: Text
    """When this was so, in UTC."""
    seconds: Amount
    """How long its last session has taken."""
    done: Number
    total: Number
    calls_per_second: Amount | None
    usd: Amount
    usd_expected: Amount | None = None
    """What it is likely to cost in all; ``None`` if nothing costs anything, or it does not go on."""
    eta_seconds: Amount | None = None
    stages: Annotated[list[StageStatus], Meta(max_length=1000)]
    models: Annotated[list[ModelStatus], Meta(max_length=100)] = []
    tuned: Annotated[list[Text], Meta(max_length=10_000)] = []
    """What was changed while it ran, in its last session."""
    tuning: Annotated[str, Meta(max_length=64)] = ""
    """The tuning that it took last."""


class Tuning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run is asked to change. ``id`` tells it from others."""

    id: Annotated[str, Meta(max_length=64)]
    concurrency: Many | None = None
    judge_concurrency: Many | None = None


class Steering:
    """Says how a run is and takes what it is asked to change, in a thread, until the block ends."""

    def __init__(
        self,
        folder: RunFolder,
        models: Mapping[str, Sequence[Model]],
        log: Callable[[str], None],
    ) -> None:
        """``models`` are those that are asked, by role; ``log`` keeps what was changed."""
        self._folder, self._log = folder, log
        self._models = {role: _served(several) for role, several in models.items()}
        self._stages: dict[tuple[str, str], RunningTask] = {}
        self._tuned: list[str] = []
        self._taken = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="judgebench-steering", daemon=True)

    def __enter__(self) -> "Steering":
        for name in (STATUS_FILE, TUNING_FILE):
            _remove(self._folder.path / name)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for name in (STATUS_FILE, TUNING_FILE):
            _remove(self._folder.path / name)

    def update(self, run: RunningTask, stage: str) -> None:
        """Note that a stage has moved."""
        self._stages[run.key, stage] = run

    def _work(self) -> None:
        from judgebench.run.progress import StageWatch

        watch, due = StageWatch(), 0.0
        while not self._ended.wait(LOOK_SECONDS):
            # A display that fails must not end a run that is paid for.
            with suppress(Exception):
                taken = self._take()
                watch.stages.update(self._stages)
                if taken or time.monotonic() >= due:
                    due = time.monotonic() + STATUS_SECONDS
                    write_json(self._folder.path / STATUS_FILE, self._status(watch))

    def _take(self) -> bool:
        """Take a tuning, if there is a new one that makes sense."""
        path = self._folder.path / TUNING_FILE
        if not path.exists():
            return False
        tuning = read_tuning(path)
        _remove(path)
        if tuning is None:
            return False
        self._taken = tuning.id
        for role, many in (("candidate", tuning.concurrency), ("judge", tuning.judge_concurrency)):
            for name, model in self._models.get(role, {}).items() if many is not None else ():
                served = innermost(model)
                assert isinstance(served, Tunable)
                assert many is not None
                change = f"{now()} {role} {name}: {served.concurrency} → {many} in flight"
                tune(model, many)
                self._tuned.append(change)
                self._log(change)
        return True

    def _status(self, watch: "StageWatch") -> RunStatus:
        view = watch.look()
        overall = view.overall
        return RunStatus(
            run=self._folder.path.name,
            state="running",
            pid=os.getpid(),
            host=socket.gethostname(),
            alive=True,
            at=now(),
            seconds=round(view.seconds, 1),
            done=overall.done if overall else 0,
            total=overall.expected if overall else 0,
            calls_per_second=_rounded(overall.items_per_second) if overall else None,
            usd=overall.usd if overall else 0.0,
            usd_expected=overall.usd_expected if overall else None,
            eta_seconds=_rounded(overall.eta) if overall else None,
            stages=[
                StageStatus(
                    task=key[0],
                    stage=key[1],
                    done=facts.counts.done,
                    total=facts.expected,
                    failed=facts.counts.failed,
                    unread=facts.counts.unread,
                    calls_per_second=_rounded(facts.items_per_second),
                    usd=facts.counts.usd,
                )
                for key, facts in view.stages.items()
            ],
            models=self._asked(),
            tuned=self._tuned[-100:],
            tuning=self._taken,
        )

    def _asked(self) -> list[ModelStatus]:
        roles: dict[int, tuple[Model, list[str]]] = {}
        for role, models in self._models.items():
            for model in models.values():
                roles.setdefault(id(model), (model, []))[1].append(role)
        found = []
        for model, played in roles.values():
            served = innermost(model)
            gauge = model.gauge() if isinstance(model, Gauged) else None
            assert isinstance(served, Tunable)
            found.append(
                ModelStatus(
                    model=model.name[:1000],
                    roles=played,
                    in_flight=gauge.rows if gauge else 0,
                    concurrency=served.concurrency,
                    left_out=[text[:1000] for text in served.left_out()],
                )
            )
        return found


def _served(models: Sequence[Model]) -> dict[str, Model]:
    """The models whose concurrency can change, by their names."""
    return {model.name: model for model in models if isinstance(innermost(model), Tunable)}


def tune(model: Model, many: int) -> None:
    """Have at most so many requests to a served model in flight from now on."""
    if isinstance(model, Wrapper):
        model.set_concurrency(many)


def read_tuning(path: Path) -> Tuning | None:
    """What a file asks for; ``None`` if it is no plain file, too large or nonsense."""
    try:
        tuning: Tuning = read_json(path, Tuning, LARGEST_TUNING)
    except (OSError, ValueError, UsageError):
        return None
    return None if path.is_symlink() else tuning


def run_status(folder: RunFolder) -> RunStatus:
    """How a run is: as its process says, or as its manifest says. Raises :class:`UsageError` for what is no run."""
    manifest = folder.require_manifest()
    alive = folder.at_work
    state = folder.status(manifest)
    if alive and (told := _told(folder)) is not None:
        return told
    return _recorded(folder, manifest, state, alive=alive)


def _told(folder: RunFolder) -> RunStatus | None:
    """What the process at work says of itself."""
    try:
        told: RunStatus = read_json(folder.path / STATUS_FILE, RunStatus, LARGEST_STATUS)
    except (OSError, ValueError, UsageError):
        return None
    return told if told.state == "running" else None


def _recorded(folder: RunFolder, manifest: Manifest, state: str, *, alive: bool) -> RunStatus:
    """What the manifest says of the last session, and the lock of who works on the run, or did when it was killed."""
    session = manifest.sessions[-1] if manifest.sessions else None
    counts = session.counts if session else {}
    holder = _holder(folder.path / LOCK) if alive or state == KILLED else None
    stages = [
        StageStatus(
            task=task,
            stage=stage,
            done=own.done,
            total=max(own.total, own.done),
            failed=own.failed,
            unread=own.unread,
            calls_per_second=_rounded(own.asked / own.seconds) if own.seconds else None,
            usd=own.usd,
        )
        for task, stages in counts.items()
        for stage, own in stages.items()
    ]
    asked = sum(own.asked for several in counts.values() for own in several.values())
    seconds = session.seconds if session else 0.0
    spent = manifest.spending.usd if manifest.spending else sum(stage.usd for stage in stages)
    return RunStatus(
        run=folder.path.name,
        state=state,
        pid=int(holder[1]) if holder else None,
        host=holder[2] if holder else None,
        alive=alive,
        at=manifest.finished_at or now(),
        seconds=seconds,
        done=sum(stage.done for stage in stages),
        total=sum(stage.total for stage in stages),
        calls_per_second=_rounded(asked / seconds) if seconds else None,
        usd=spent,
        stages=stages,
        tuned=list(session.tuned) if session and session.tuned is not msgspec.UNSET else [],
    )


def _holder(lock: Path) -> re.Match[str] | None:
    """The process and the machine that a lock's file names."""
    try:
        with opened(lock) as file:
            return _HOLDER.search(printable(file.read(400).decode(errors="replace")))
    except OSError:
        return None


def ask_to_tune(folder: RunFolder, tuning: Tuning) -> RunStatus | None:
    """Ask a run that goes on for a change and wait until it says that it has taken it; ``None`` if it does not say.

    Raises :class:`UsageError` for a run that does not go on.
    """
    manifest = folder.require_manifest()
    if not folder.at_work:
        raise UsageError(
            f"{folder.path} is {folder.status(manifest)}: no process of this machine works on it, so there is nothing "
            "to change. Start it again with the --concurrency and --judge-concurrency that it is to have"
        )
    write_json(folder.path / TUNING_FILE, tuning)
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end and folder.at_work:
        if (told := _told(folder)) is not None and told.tuning == tuning.id:
            return told
        time.sleep(LOOK_SECONDS / 2)
    _remove(folder.path / TUNING_FILE)
    return None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
