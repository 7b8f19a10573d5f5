"""The run folder: what it holds, and how it is appended to, resumed and closed.

    runs/<model>/<UTC time>-<8 hex>/manifest.json results.json
    runs/<model>/<UTC time>-<8 hex>/<task>/examples.jsonl generations.jsonl judgements.jsonl
                                           example_scores.jsonl scores.json [baselines.jsonl]

Lines are appended as items finish. A torn last line (the process was killed) is cut off and its work is done again. A
finished file is rewritten in the order of the examples, so that two runs can be diffed. Nothing here knows how answers
are generated, judged or scored.
"""

import fcntl
import os
import re
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain, compress, takewhile
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from judgebench.codec import (
    DOCUMENT_BYTES,
    PARTIAL,
    decode_json,
    decode_lines,
    encode,
    lines_at,
    placed_lines,
    read_json,
    sort_lines,
    write_json,
    write_lines,
)
from judgebench.display import printable, slug
from judgebench.errors import JudgebenchError, UsageError
from judgebench.files import near_path, read_bytes
from judgebench.judges.own_judges import OwnJudge
from judgebench.models.call_store import Spending
from judgebench.records import (
    ENDINGS,
    BridgeUsed,
    Cascade,
    Count,
    EarlyStop,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    Number,
    Sampling,
    Score,
    SourceUsed,
    StageCounts,
    TaskCode,
    Whole,
)
from judgebench.run.digests import key_digest, last_of_each
from judgebench.run.integrity import Finding
from judgebench.run.judge_marks import AuditMark

MANIFEST_VERSION = 1
KILLED = "killed"
"""Status of a run that no process works on, although none has said that it ended."""
LOCK = ".lock"
"""The file that a process locks while it works on a run folder."""
STATUS_FILE, TUNING_FILE = ".status.json", ".tuning.json"
"""How a run is, as the process that works on it says; and what another asks it to change."""
PASSING = (LOCK, STATUS_FILE, TUNING_FILE)
"""Files that are in a run folder only while a process works on it, or if one was killed."""
TIME = "%Y-%m-%dT%H:%M:%SZ"
VERIFIED_BY = "judgebench"
"""Name of the judge model in judgements that a verifier made."""
OF_A_RUN = re.compile(r"(?:manifest|results)\.json")
"""Names of a run folder's own files; other files in it are ignored."""


class Session(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One process that worked on a run. ``finished_at`` stays null if the process was killed."""

    argv: list[str]
    config: dict[str, Any] = {}
    """Every setting that differs from its default, as resolved from flags and files."""
    started_at: str
    finished_at: str | None = None
    status: str = "running"
    """``running``, ``complete``, ``incomplete``, ``interrupted``, ``failed`` or ``budget``."""
    counts: dict[str, dict[str, StageCounts]] = {}
    """Task → stage (``generate``, ``judge``) → how its items ended."""
    retries: dict[str, dict[str, int]] = {}
    """Model → cause → attempts that were made again."""
    seconds: Number = 0.0
    task_seconds: dict[str, Number] = {}
    """Task → seconds from its first request to its latest answer or verdict. Those of several tasks may overlap."""
    tuned: list[str] | msgspec.UnsetType = msgspec.UNSET
    """What ``judgebench tune`` changed while it ran; absent if nothing was."""


class TaskManifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that one task of a run was made from."""

    label: str
    name: str
    version: str
    options: dict[str, Any]
    starter: bool
    examples: Count
    selection: str | None = None
    """Which part of the benchmark's examples these are, in words; ``None`` if the user selected none."""
    sources: list[SourceUsed]
    code: TaskCode | None = None
    """The files of a task that the user named as a file; ``None`` if the task is bundled or installed."""
    protocol: dict[str, Any]
    """Everything that must be equal for two rows to be ranked together."""
    protocol_hash: str
    inputs: dict[str, Any]
    """The protocol and everything else that can change a number: the model under test and how it was sampled."""
    input_hash: str
    sampling: Sampling | None = None
    """How the answers were sampled; ``None`` if they came from a file. An example's own sampling overrides it."""
    system: str | None = None
    thinking: str = "auto"
    """How replies were split into thinking and answer; see ``thinking.py``."""
    think_tags: list[tuple[str, str]] = []
    """Pairs of tags that the user named, for the candidate and the judges."""
    refine: list[str] = []
    """Refinement prompts that each answer went through."""
    first_prompt: str | None = None
    """The prompt of the first example as the model reads it; ``None`` if an endpoint or a file produced the answers."""
    seeds: dict[str, Whole] = {}
    """Seeds of the random parts of the task's own computations."""
    judge_models: list[str] = []
    """Judge models as the user or the task named them."""
    judge_models_returned: list[str] = []
    """Names of the models that judged, as their endpoints reported them."""
    judge_repeats: Count = 1
    select: str | None = None
    """The scoring model that chose among the answers to each item, as the user named it."""
    own_judge: OwnJudge | None = None
    """The judge of the user's that judged in place of the benchmark's, with its prompt; ``None`` if none did."""
    early_stop: EarlyStop | None = None
    """How judging ended, if the run had ``--stop-when`` and was completed."""
    cascade: Cascade | None = None
    """What was asked of whom, if the run had ``--cascade``."""
    bridge: BridgeUsed | None = None
    """What the official numbers were predicted by, if the run was scored with ``--bridge``."""
    interval_covers: list[str] = []
    """The sources of noise that the intervals of judged scores hold, such as items, orders, repeats and judges."""
    interval_lacks: list[str] = []
    """Those that they lack."""
    counts: dict[str, Count] = {}
    """How all cases of the run ended, over all sessions: read, unread, failed, skipped or missing."""
    notes: list[str] = []
    judge_audits: list[AuditMark] = []
    """What audits of this machine had found about the judges, in short."""
    unknown: list[str] = []
    """What an imported file does not state."""


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that is needed to say where a number comes from."""

    version: int = MANIFEST_VERSION
    run_id: str
    status: str
    candidate: str
    name: str = ""
    """What the user calls the run in tables; empty for the candidate's name."""
    candidate_identity: str
    candidate_spec: str
    imported_from: str | None = None
    """Format of the files that the run was imported from; ``None`` if judgebench made the run."""
    imported_hash: str | None = None
    """Hash of everything that was read from those files."""
    checkpoint_revision: str | None = None
    """Git commit of the checkpoint's folder, if the folder is in a repository."""
    versions: dict[str, str]
    protocol_hash: str
    input_hash: str
    started_at: str
    finished_at: str | None = None
    sessions: list[Session]
    tasks: dict[str, TaskManifest]
    account: str = ""
    """The run's name in the accounts of the call store; empty if it never made a call."""
    spending: Spending | None = None
    """What all sessions together paid, according to those accounts."""

    @property
    def shown_name(self) -> str:
        """The run's name in tables."""
        return self.name or self.candidate

    @property
    def ended(self) -> datetime:
        """When the run ended, or began if it did not end. Raises :class:`UsageError` if that is not a valid time."""
        text = self.finished_at or self.started_at
        try:
            return datetime.strptime(text, TIME).replace(tzinfo=UTC)
        except ValueError as error:
            raise UsageError(f"the manifest of {self.run_id} is damaged: {text!r:.100} is no time") from error


class _StopWhen(msgspec.Struct):
    rule: str


class _Protocol(msgspec.Struct):
    """The parts of a protocol that are read back. Each may be absent."""

    options: dict[str, Any] = {}
    examples: dict[str, Any] = {}
    baselines: dict[str, str] = {}
    judges: dict[str, dict[str, Any]] = {}
    reported_by: str | None = None
    stop_when: _StopWhen | None = None
    own_judge: dict[str, Any] = {}
    cascade: dict[str, Any] = {}


class _Versioned(msgspec.Struct):
    """The part of a manifest that every version has."""

    version: int


class Results(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``results.json``, and what ``--json`` prints."""

    run: str
    model: str
    status: str
    scores: list[Score]
    integrity: list[Finding]
    early_stops: dict[str, EarlyStop] = {}
    """Early stops by task, for tasks that were judged with ``--stop-when``."""


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).strftime(TIME)


def new_run_folder(root: Path, model: str, input_hash: str) -> Path:
    """The path ``<root>/<model>/<UTC time>-<8 hex>`` for a new run, or the newest unfinished one of the same inputs."""
    parent = root / slug(model)
    suffix = input_hash.removeprefix("sha256:")[:8]
    for folder in sorted(parent.glob(f"*-{suffix}"), reverse=True):
        manifest = RunFolder(folder).manifest()
        if manifest is not None and manifest.input_hash == input_hash and manifest.status != "complete":
            return folder
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return parent / f"{stamp}-{suffix}"


@contextmanager
def usable(what: str) -> Iterator[None]:
    """Guard computations with the records of a run, which may come from anybody.

    The shape of records is checked when they are read, but not what a task keeps in their free fields. If a
    computation fails because of those, this raises a :class:`UsageError` about ``what``.
    """
    try:
        yield
    except (JudgebenchError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UsageError(
            f"{what} holds something that cannot be used ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}): its files were changed or damaged, or its task has a bug (-v "
            f"shows where)"
        ) from error


class RunFolder:
    """A run folder, new or old."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def manifest_path(self) -> Path:
        """Path of the manifest."""
        return self.path / "manifest.json"

    @property
    def occupied(self) -> bool:
        """Whether the path is a file, or a folder that holds more than what a killed process left behind."""
        if not self.path.is_dir():
            return self.path.exists()
        return any(path.suffix != PARTIAL and path.name not in PASSING for path in self.path.iterdir())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process, and remove partial files that killed processes left.

        Raises :class:`UsageError` if another process holds the lock; the message names it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / LOCK
        file = _lock(path)
        try:
            for folder, _, names in os.walk(self.path):
                for name in names:
                    if name.endswith(PARTIAL):
                        Path(folder, name).unlink(missing_ok=True)
            yield
        finally:
            path.unlink(missing_ok=True)
            file.close()
            with suppress(OSError):  # not empty, as is usual
                self.path.rmdir()

    @property
    def at_work(self) -> bool:
        """Whether a process of this machine works on the run now."""
        return _locked(self.path / LOCK)

    def status(self, manifest: Manifest) -> str:
        """What the manifest says; ``killed`` if it says that the run goes on and no process of this machine does."""
        return KILLED if manifest.status == "running" and not self.at_work else manifest.status

    def manifest(self) -> Manifest | None:
        """Read the manifest, or return ``None``. Raises :class:`UsageError` if it is broken or of another version.

        The folder may come from anybody: anything in it that is not a plain file is an error before it is read.
        """
        try:
            _require_plain_files(self.path, OF_A_RUN.fullmatch)
            data = read_bytes(self.manifest_path, DOCUMENT_BYTES)
            version = decode_json(data, _Versioned).version
            if version == MANIFEST_VERSION:
                return self._sound(decode_json(data, Manifest))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, OSError) as error:
            raise UsageError(
                f"{self.manifest_path} is not a manifest of this version of judgebench: {error}"
            ) from error
        raise UsageError(
            f"{self.manifest_path} has version {version}, but this judgebench reads version {MANIFEST_VERSION}; use "
            f"the judgebench that made the run"
        )

    def _sound(self, manifest: Manifest) -> Manifest:
        """Return the manifest; raise :class:`UsageError` if one of its tasks, or the task's folder, is damaged."""
        for key, task_manifest in manifest.tasks.items():
            if key != task_manifest.name:
                raise UsageError(
                    f"{self.manifest_path} is damaged: its task {key!r:.100} has the name {task_manifest.name!r:.100}"
                )
            try:
                msgspec.convert(task_manifest.protocol, _Protocol)
            except msgspec.ValidationError as error:
                raise UsageError(
                    f"{self.manifest_path} is damaged: the protocol of {key} is not valid ({error})"
                ) from error
            _require_plain_files(self.path, slug(key).__eq__)
            _require_plain_files(self.task(key).path)
        return manifest

    def require_manifest(self) -> Manifest:
        """Read the manifest; raise :class:`UsageError` if this is not a run folder."""
        manifest = self.manifest()
        if manifest is None:
            found = "it has no manifest.json" if self.path.exists() else "there is no such folder"
            raise UsageError(f"{self.path} is not a run folder: {found}{near_path(self.path)}")
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.manifest_path, manifest)

    def write_results(self, results: Results) -> None:
        """Replace ``results.json``."""
        write_json(self.path / "results.json", results)

    def results(self, named: str = "") -> Results:
        """Read ``results.json``; raise :class:`UsageError` if it is missing or broken.

        ``named`` is how a command names the run, if more than its path is needed.
        """
        path = self.path / "results.json"
        try:
            return read_json(path, Results)  # type: ignore[no-any-return]
        except FileNotFoundError as error:
            if self.at_work:
                raise UsageError(
                    f"{self.path} has no results yet: a process works on it now, and writes them when it ends. "
                    f"`judgebench show {named or self.path}` shows what is there"
                ) from error
            raise UsageError(
                f"{self.path} has no results yet: its run did not end. Start the same command again to continue, or "
                f"run `judgebench score {named or self.path}` to score what is there"
            ) from error
        except (ValueError, OSError) as error:
            raise UsageError(f"{path} is not a results file of this version of judgebench: {error}") from error

    def task(self, key: str) -> "TaskFolder":
        """Return the folder of one task."""
        return TaskFolder(self.path / slug(key))


class TaskFolder:
    """One task's files within a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._appending: dict[str, BinaryIO] = {}

    def write_examples(self, examples: Iterable[Example]) -> None:
        """Replace ``examples.jsonl``."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_lines(self.path / "examples.jsonl", examples)

    def examples(self) -> tuple[Example, ...]:
        """The examples of the run, in its order."""
        return tuple(self._read("examples.jsonl", Example))

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Generation]]) -> None:
        """Write baseline answers that are not the benchmark's own."""
        answers = chain.from_iterable(generations.values() for generations in baselines.values())
        write_lines(self.path / "baselines.jsonl", answers)

    def baselines(self) -> dict[str, dict[str, Generation]]:
        """Read the run's own baseline answers by model and example; empty if it used the benchmark's."""
        found: dict[str, dict[str, Generation]] = {}
        for generation in self._read("baselines.jsonl", Generation):
            found.setdefault(generation.model, {})[generation.example_id] = generation
        return found

    def append(self, record: Generation | Judgement) -> None:
        """Append a finished generation or judgement; the operating system has the line before this returns."""
        name = "generations.jsonl" if isinstance(record, Generation) else "judgements.jsonl"
        file = self._appending.get(name)
        if file is None:
            self.path.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(self.path / name)
            file = self._appending[name] = (self.path / name).open("ab", buffering=0)
        file.write(encode(record) + b"\n")

    def generations(self) -> Iterator[Generation]:
        """Read the generations so far. If an example has two, only the later one is returned."""
        latest = {generation.example_id: generation for generation in self._read("generations.jsonl", Generation)}
        return map(_ended, latest.values())

    def judgements(self) -> Iterator[Judgement]:
        """Read the judgements so far, one at a time, so that memory does not grow with their replies.

        If two have the same key, only the later one is returned.
        """
        latest = last_of_each(key_digest(place.key) for place in self._read("judgements.jsonl", _Place))
        every: Iterator[Judgement] = self._read("judgements.jsonl", Judgement)
        # A run that is at work may have written more since.
        return compress(every, latest)

    def judgement_places(self) -> dict[str, list[tuple[int, int]]]:
        """Where the file has the judgements of each example; of two with the same key, the later one."""
        path = self.path / "judgements.jsonl"
        latest: dict[int, tuple[str, tuple[int, int]]] = {}
        for record, at in placed_lines(path, _Place) if path.exists() else ():
            digest = key_digest(record.key)
            # The later one comes later in the order, too.
            latest.pop(digest, None)
            latest[digest] = record.example_id, at
        found: dict[str, list[tuple[int, int]]] = {}
        for example_id, at in latest.values():
            found.setdefault(example_id, []).append(at)
        return found

    def judgements_at(self, places: Sequence[tuple[int, int]]) -> Iterator[Judgement]:
        """Read the judgements at some places."""
        return lines_at(self.path / "judgements.jsonl", Judgement, places) if places else iter(())

    def judge_models(self) -> set[str]:
        """Return the names of the models that made judgements in this folder."""
        places: Iterator[_Place] = self._read("judgements.jsonl", _Place)
        return {place.judge_model for place in places} - {VERIFIED_BY}

    def judged(self) -> Iterator[Judgement]:
        """Read the judgements that models made. In a finished folder each occurs once, before all verified ones."""
        every: Iterator[Judgement] = self._read("judgements.jsonl", Judgement)
        return takewhile(lambda judgement: judgement.judge_model != VERIFIED_BY, every)

    def write_known(self, known: Mapping[str, Sequence[float]]) -> None:
        """Replace ``known.json``: what was known of each example before an early stop."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "known.json", {name: list(values) for name, values in known.items()})

    def known(self) -> dict[str, tuple[float, ...]] | None:
        """Read what was known of each example beforehand; ``None`` if nothing was."""
        path = self.path / "known.json"
        try:
            return read_json(path, dict[str, tuple[Number, ...]]) if path.exists() else None
        except (ValueError, OSError) as error:
            raise UsageError(f"{path} is damaged: it does not hold numbers of each example ({error})") from error

    def write_dear_scores(self, example_scores: Iterable[ExampleScore]) -> None:
        """Replace ``dear_scores.jsonl``: a cascade's example scores by the dear judge, of its part."""
        write_lines(self.path / "dear_scores.jsonl", example_scores)

    def dear_scores(self) -> list[ExampleScore]:
        """Read the example scores of a cascade's dear judge; empty if there was none."""
        return list(self._read("dear_scores.jsonl", ExampleScore))

    def write_scores(self, example_scores: Iterable[ExampleScore], scores: Iterable[Score]) -> None:
        """Replace ``example_scores.jsonl`` and ``scores.json``."""
        write_lines(self.path / "example_scores.jsonl", example_scores)
        write_json(self.path / "scores.json", list(scores))

    def example_scores(self) -> list[ExampleScore]:
        """Read the example scores of the last scoring; empty before the first one."""
        return list(self._read("example_scores.jsonl", ExampleScore))

    def finish(self, examples: Iterable[Example], verified: Sequence[Judgement] | None = None) -> None:
        """Close the appended files and rewrite them in the order of the examples, with the last record of each key.

        ``verified`` judgements replace all earlier verified ones, which cost nothing to make again.
        """
        self.close()
        order = {example.id: number for number, example in enumerate(examples)}

        def place(record: _Place) -> tuple[Any, ...]:
            return order.get(record.example_id, len(order)), record.turn, record.judge, *record.key

        def kept(record: _Place) -> bool:
            return verified is None or record.judge_model != VERIFIED_BY

        if (self.path / "generations.jsonl").exists():
            sort_lines(self.path / "generations.jsonl", _Place, place)
        if (self.path / "judgements.jsonl").exists() or verified is not None:
            sort_lines(self.path / "judgements.jsonl", _Place, place, keep=kept, then=verified or ())

    def close(self) -> None:
        """Close the appended files."""
        for file in self._appending.values():
            file.close()
        self._appending.clear()

    def _read(self, name: str, kind: type[Any]) -> Iterator[Any]:
        path = self.path / name
        return decode_lines(path, kind) if path.exists() else iter(())


class _Place(msgspec.Struct, gc=False):
    """The fields of a generation or judgement that determine its place in the file."""

    example_id: str
    case_id: str = ""
    judge: str = ""
    judge_model: str = ""
    turn: int = 1
    repeat: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """The key of the judgement; all generations of an example share one key."""
        return self.case_id, self.judge_model, self.repeat


def _ended(generation: Generation) -> Generation:
    """Mark a generation whose reply broke off as failed; earlier versions stored it as an answer."""
    broken = [reason for reason in generation.finish_reasons if reason not in (None, *ENDINGS)]
    if generation.error or not broken:
        return generation
    return msgspec.structs.replace(generation, error=f"the reply broke off ({broken[0]!r})")


def _opened_lock(path: Path) -> BinaryIO:
    """Open the lock file. The folder may come from anybody, so anything but a plain file is an error."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except IsADirectoryError as error:
        raise UsageError(f"{path} is no file; remove it to work in {path.parent}") from error
    except OSError as error:
        if path.is_symlink():
            raise UsageError(f"{path} is a link; remove it to work in {path.parent}") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path} is no plain file; remove it to work in {path.parent}")
    return os.fdopen(descriptor, "r+b")


def take_lock(path: Path) -> BinaryIO | None:
    """Open and lock a file, and write into it who holds it; ``None`` if another process does.

    The lock ends with the process. Whoever is done removes the file and closes it, in this order.
    """
    while True:
        file = _opened_lock(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        # The previous holder may have removed the file in the meantime, so that ours has no name any more.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()} since {now()}".encode())
                file.flush()
                return file
        file.close()


def holder_of(path: Path) -> str:
    """Who holds a lock, as far as its file says."""
    try:
        with path.open("rb") as file:
            return printable(file.read(200).decode(errors="replace")) or "another process"
    except OSError:
        return "another process"


def _lock(path: Path) -> BinaryIO:
    """Open and lock the file. Raises :class:`UsageError` that names the process which holds the lock."""
    file = take_lock(path)
    if file is None:
        raise UsageError(
            f"{path.parent} is locked: {holder_of(path)} is at work there. Nothing was changed. Wait until it has "
            "ended and start the same command again, or choose another folder with --out"
        )
    return file


def _locked(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        # What is no plain file is nobody's lock; opening a pipe would wait for ever.
        if not stat.S_ISREG(path.lstat().st_mode):
            return False
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _require_plain_files(folder: Path, called: Callable[[str], object] = bool) -> None:
    """Raise :class:`UsageError` if a name that ``called`` accepts is a link, a pipe or a device.

    Through such a thing, another file would be read or written instead of the run's own.
    """
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            plain = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
            if called(entry.name) and not plain:
                raise UsageError(
                    f"{entry.path} is a link, a pipe or a device, but a run folder holds only plain files. If you "
                    f"trust it, replace it by the file itself"
                )


def _cut_torn_line(path: Path) -> None:
    """Cut off a torn last line, so that the next line does not join it."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 2**16)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)
