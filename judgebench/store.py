"""The run folder: what lies in it, how it grows line by line, how it is resumed and closed.

    runs/<model>/<UTC time>-<8 hex>/manifest.json results.json
    runs/<model>/<UTC time>-<8 hex>/<task>/examples.jsonl generations.jsonl judgements.jsonl
                                           example_scores.jsonl scores.json [baselines.jsonl]

Lines are appended as they finish. A torn last line (the process was killed) is cut off and its work redone; a finished
file is rewritten in example order, so that two runs can be diffed.
"""

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from judgebench.codec import decode_lines, encode, write_json, write_lines
from judgebench.display import slug
from judgebench.errors import UsageError
from judgebench.integrity import Finding
from judgebench.records import (
    EarlyStop,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    Sampling,
    Score,
    SourceUsed,
    StageCounts,
)

MANIFEST_VERSION = 1


class Session(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One process that worked on a run. ``finished_at`` stays null in a session that was killed."""

    argv: list[str]
    config: dict[str, Any] = {}
    """Every setting that is not the default, as resolved from flags and files."""
    started_at: str
    finished_at: str | None = None
    status: str = "running"
    """``running``, ``complete``, ``incomplete``, ``interrupted``, ``failed`` or ``budget``."""
    counts: dict[str, dict[str, StageCounts]] = {}
    """Task → stage (``generate``, ``judge``) → how its items ended."""
    retries: dict[str, dict[str, int]] = {}
    """Model → cause → attempts that were made again."""
    seconds: float = 0.0


class TaskManifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What one task of a run was made of."""

    label: str
    name: str
    version: str
    options: dict[str, Any]
    starter: bool
    examples: int
    sources: list[SourceUsed]
    protocol: dict[str, Any]
    """Everything that must be equal for two rows to be ranked together."""
    protocol_hash: str
    inputs: dict[str, Any]
    """The protocol, and what else can change a number: the model under test and how it was sampled."""
    input_hash: str
    sampling: Sampling | None = None
    """How the answers were drawn; ``None`` if they came from a file. An example's own sampling overrides it."""
    system: str | None = None
    thinking: str = "auto"
    """How replies were split in thinking and answer; see ``thinking.py``."""
    refine: list[str] = []
    """Prompts that each answer went through before it counted."""
    first_prompt: str | None = None
    """The prompt of the first example as the model reads it; ``None`` if an endpoint or a file made it."""
    seeds: dict[str, int] = {}
    """Seeds of what is random in the task's own computations."""
    judge_models: list[str] = []
    """Judges as asked for."""
    judge_models_returned: list[str] = []
    """Model strings that the judge's endpoint said answered."""
    judge_repeats: int = 1
    early_stop: EarlyStop | None = None
    """How judging ended, of a run with ``--stop-when`` that came to its end."""
    counts: dict[str, int] = {}
    """How all cases of the run ended, over all sessions: read, unread, failed, skipped, and missing."""
    notes: list[str] = []
    unknown: list[str] = []
    """What an imported file does not say."""


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything needed to say where a number comes from."""

    version: int = MANIFEST_VERSION
    run_id: str
    status: str
    candidate: str
    candidate_identity: str
    candidate_spec: str
    imported_from: str | None = None
    """Format of the files that the run was imported from; ``None`` if judgebench made it."""
    checkpoint_revision: str | None = None
    """Git commit of the checkpoint's folder, if it is in a repository."""
    versions: dict[str, str]
    protocol_hash: str
    input_hash: str
    started_at: str
    finished_at: str | None = None
    sessions: list[Session]
    tasks: dict[str, TaskManifest]


class _Versioned(msgspec.Struct):
    """What can be read of a manifest of any version."""

    version: int


class Results(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """``results.json``, and what ``--json`` prints."""

    run: str
    model: str
    status: str
    scores: list[Score]
    integrity: list[Finding]
    early_stops: dict[str, EarlyStop] = {}
    """By task, of those that were judged with ``--stop-when``."""


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_run_folder(root: Path, model: str, input_hash: str) -> Path:
    """``<root>/<model>/<UTC time>-<8 hex>`` for a new run, or the newest unfinished folder of the same inputs."""
    parent = root / slug(model)
    suffix = input_hash.removeprefix("sha256:")[:8]
    for folder in sorted(parent.glob(f"*-{suffix}"), reverse=True):
        manifest = RunFolder(folder).manifest()
        if manifest is not None and manifest.input_hash == input_hash and manifest.status != "complete":
            return folder
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return parent / f"{stamp}-{suffix}"


class RunFolder:
    """A run folder, new or old."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def manifest_path(self) -> Path:
        """Where the manifest lies."""
        return self.path / "manifest.json"

    @property
    def occupied(self) -> bool:
        """Something is there already: a file, or a folder that holds more than what a killed process half wrote."""
        if not self.path.is_dir():
            return self.path.exists()
        return any(path.suffix != ".partial" for path in self.path.iterdir())

    def manifest(self) -> Manifest | None:
        """The manifest; ``None`` if there is none. A broken one or one of another version is a :class:`UsageError`."""
        try:
            data = self.manifest_path.read_bytes()
            version = msgspec.json.decode(data, type=_Versioned).version
            if version == MANIFEST_VERSION:
                return msgspec.json.decode(data, type=Manifest)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
            raise UsageError(
                f"{self.manifest_path} is not a manifest of this version of judgebench: {error}"
            ) from error
        raise UsageError(
            f"{self.manifest_path} is of version {version}, and this judgebench reads version {MANIFEST_VERSION}; "
            f"use the judgebench that made the run"
        )

    def require_manifest(self) -> Manifest:
        """The manifest, or a :class:`UsageError` saying that this is no run folder."""
        manifest = self.manifest()
        if manifest is None:
            raise UsageError(f"{self.path} is not a run folder: it has no manifest.json")
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.manifest_path, manifest)

    def write_results(self, results: Results) -> None:
        """Replace ``results.json``."""
        write_json(self.path / "results.json", results)

    def results(self) -> Results:
        """``results.json``, or a :class:`UsageError`."""
        path = self.path / "results.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Results)
        except FileNotFoundError as error:
            raise UsageError(
                f"{self.path} has no results yet: its run did not end. Start the same command again to go on, or run "
                f"`judgebench score {self.path}` to score what is there"
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
            raise UsageError(f"{path} is not a results file of this version of judgebench: {error}") from error

    def task(self, key: str) -> "TaskFolder":
        """The folder of one task."""
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

    def write_baselines(self, generations: Iterable[Generation]) -> None:
        """Keep baseline answers that are not the benchmark's own."""
        write_lines(self.path / "baselines.jsonl", generations)

    def baselines(self) -> dict[str, dict[str, Generation]]:
        """The run's own baseline answers by model and example; empty if it used the benchmark's."""
        found: dict[str, dict[str, Generation]] = {}
        for generation in self._read("baselines.jsonl", Generation):
            found.setdefault(generation.model, {})[generation.example_id] = generation
        return found

    def append(self, record: Generation | Judgement) -> None:
        """Add a finished generation or judgement; the line is handed to the system before this returns."""
        name = "generations.jsonl" if isinstance(record, Generation) else "judgements.jsonl"
        file = self._appending.get(name)
        if file is None:
            self.path.mkdir(parents=True, exist_ok=True)
            _cut_torn_line(self.path / name)
            file = self._appending[name] = (self.path / name).open("ab", buffering=0)
        file.write(encode(record) + b"\n")

    def generations(self) -> Iterator[Generation]:
        """Generations so far; of two for one example the later one counts, and is the only one given."""
        return iter(_last_of_each(self._read("generations.jsonl", Generation), lambda g: g.example_id))

    def judgements(self) -> Iterator[Judgement]:
        """Judgements so far; of two with one key the later one counts, and is the only one given."""
        return iter(_last_of_each(self._read("judgements.jsonl", Judgement), lambda j: j.key))

    def write_judgements(self, judgements: Iterable[Judgement]) -> None:
        """Replace ``judgements.jsonl``: of answers that were verified, which costs nothing to do again."""
        write_lines(self.path / "judgements.jsonl", judgements)

    def write_scores(self, example_scores: Iterable[ExampleScore], scores: Iterable[Score]) -> None:
        """Replace ``example_scores.jsonl`` and ``scores.json``."""
        write_lines(self.path / "example_scores.jsonl", example_scores)
        write_json(self.path / "scores.json", list(scores))

    def example_scores(self) -> list[ExampleScore]:
        """The example scores of the last scoring; none before the first."""
        return list(self._read("example_scores.jsonl", ExampleScore))

    def finish(self, examples: Iterable[Example]) -> None:
        """Close the appended files and rewrite them in example order."""
        self.close()
        order = {example.id: number for number, example in enumerate(examples)}
        generations, judgements = list(self.generations()), list(self.judgements())
        if generations:
            generations.sort(key=lambda g: order.get(g.example_id, len(order)))
            write_lines(self.path / "generations.jsonl", generations)
        if judgements:
            judgements.sort(key=lambda j: (order.get(j.example_id, len(order)), j.turn, j.judge, *j.key))
            write_lines(self.path / "judgements.jsonl", judgements)

    def close(self) -> None:
        """Close the appended files."""
        for file in self._appending.values():
            file.close()
        self._appending.clear()

    def _read(self, name: str, kind: type[Any]) -> Iterator[Any]:
        path = self.path / name
        return decode_lines(path, kind) if path.exists() else iter(())


def _last_of_each(records: Iterable[Any], key: Any) -> list[Any]:
    return list({key(record): record for record in records}.values())


def _cut_torn_line(path: Path) -> None:
    """Make a file end with a newline again, so that the next line does not join a torn one."""
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
