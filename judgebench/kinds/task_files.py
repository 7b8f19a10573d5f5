"""Reads the TOML file of a benchmark: the keys that all kinds share, and the table of its kind."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from judgebench.data.rows import FileRow, json_rows, parquet_rows, read_rows
from judgebench.data.sources import Source
from judgebench.data.toml_errors import converted, fault, parse_toml
from judgebench.display import did_you_mean, is_plain_name
from judgebench.errors import UsageError
from judgebench.files import read_text, sha256_of
from judgebench.judges.judge_files import JudgeFile, is_judge_file, read_judge_file
from judgebench.records import Sampling
from judgebench.task import Fetch, parse_options, parse_version

T = TypeVar("T")
PROMPTS = "prompts"
"""The name of the prompts among a task's sources."""
DEFAULT_SAMPLING = Sampling(temperature=0.0, max_tokens=4096)
FILE_BYTES = 2**20
STARTER_ITEMS = 12
"""How many items stand for the whole in a run with ``--starter``."""


class _Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[source]``: prompts that are fetched, and not beside the file."""

    repo: str | None = None
    dataset: str | None = None
    url: str | None = None
    revision: str
    path: str
    sha256: str
    licence: str = "licence not stated"


class Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of the file."""

    kind: str
    name: str = ""
    """The file's own name by default, and of a ``task.toml`` its folder's."""
    about: str = ""
    version: str = "1"
    prompts: str | None = None
    source: _Source | None = None
    fields: dict[str, str] = {}
    """The prompts' names of our fields, where they differ."""
    groups: list[str] = []
    """Further columns of the prompts whose values are groups."""
    prompt: str | None = None
    """The judge's prompt, a file; the house prompt of the kind by default."""
    judge: str | None = None
    """Model spec of the judge, or a judge file."""
    reads: str | None = None
    """How a verdict is read: label, rating, json:KEY, logprob, or regex:PATTERN."""
    verdict: dict[str, Any] = {}
    """What else the rule says, with the keys of a judge file's ``[verdict]``."""
    judge_sampling: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    """Settings of the candidate's sampling."""
    pairwise: dict[str, Any] = {}
    rating: dict[str, Any] = {}
    rubric: dict[str, Any] = {}
    classify: dict[str, Any] = {}
    scored: dict[str, Any] = {}


KINDS = ("pairwise", "rating", "rubric", "classify", "scored")
"""Each has a module of its name here, and its table in the file."""


@dataclass(frozen=True)
class TaskFile:
    """A benchmark's file, read and checked as far as all kinds go."""

    path: Path
    text: str
    keys: Keys

    @property
    def name(self) -> str:
        """The benchmark's name: that of its folder for a ``task.toml`` without one."""
        return self.keys.name or (self.path.parent.name if self.path.name == "task.toml" else self.path.stem)

    def fault(self, key: str, problem: str) -> UsageError:
        """An error that names the file, the line of the key and the key."""
        return fault(self.path, self.text, key, problem)

    def table(self, kind: type[T]) -> T:
        """The table of the file's kind, as this struct; raise :class:`UsageError` if it does not fit."""
        name = self.keys.kind
        return converted(self.path, self.text, getattr(self.keys, name), kind, name)

    def beside(self, key: str, name: str) -> Path:
        """The file that a key names, relative to this one; raise :class:`UsageError` if it is not there."""
        place = self.path.parent / name
        if not place.is_file():
            raise self.fault(key, f"{name!r} is not a file; a path is relative to {self.path.name}")
        return place

    @cached_property
    def prompt(self) -> tuple[str, str] | None:
        """The judge's prompt and its path, if the file names one."""
        if self.keys.prompt is None:
            return None
        place = self.beside("prompt", self.keys.prompt)
        try:
            return read_text(place, FILE_BYTES), str(place)
        except (OSError, UnicodeDecodeError) as error:
            raise self.fault("prompt", f"{self.keys.prompt!r} cannot be read: {error}") from error

    @cached_property
    def judge_file(self) -> JudgeFile | None:
        """The judge file that the key ``judge`` names, if it is one."""
        if self.keys.judge is None or not is_judge_file(str(self.path.parent / self.keys.judge)):
            return None
        found = read_judge_file(self.path.parent / self.keys.judge)
        if found.model_args:
            raise self.fault("judge", f"{self.keys.judge} has model_args; give it by --judge, where they apply")
        if len(found.models) > 1:
            raise self.fault("judge", f"{self.keys.judge} names {len(found.models)} models; give it by --judge")
        return found

    @property
    def judge_model(self) -> str | None:
        """Model spec of the judge that is asked without ``--judge``."""
        if self.judge_file is not None:
            return next(iter(self.judge_file.models), None)
        return self.keys.judge

    @property
    def sampling(self) -> Sampling:
        """How the candidate is sampled."""
        try:
            given = msgspec.convert(self.keys.sampling, Sampling)
        except msgspec.ValidationError as error:
            raise self.fault("sampling", f"is not valid: {error}") from error
        changes = {name: getattr(given, name) for name in self.keys.sampling}
        return msgspec.structs.replace(DEFAULT_SAMPLING, **changes)

    def require_options(self, version: str | None, options: Mapping[str, str]) -> None:
        """Raise :class:`UsageError` unless the version asked for is the file's, and no option is given."""
        parse_version(version, (self.keys.version,), self.name)
        parse_options(options, {}, self.name)

    # -- the prompts

    @property
    def has_prompts(self) -> bool:
        """Whether there are prompts; scores that were made elsewhere need none."""
        return self.keys.prompts is not None or self.keys.source is not None

    @property
    def sources(self) -> dict[str, Source]:
        """What is fetched: the prompts, if they are not beside the file."""
        if self.keys.source is None:
            return {}
        return {PROMPTS: Source(name=PROMPTS, **msgspec.structs.asdict(self.keys.source))}

    def rows(self, fetch: Fetch) -> Sequence[FileRow]:
        """The rows of the prompts."""
        if self.keys.source is not None:
            data, name = fetch(PROMPTS), self.keys.source.path
            return parquet_rows(data, name) if name.endswith(".parquet") else json_rows(data, name)
        return self.local_rows

    @cached_property
    def local_rows(self) -> Sequence[FileRow]:
        """The rows of the prompts' file beside this one."""
        assert self.keys.prompts is not None
        return read_rows(self.beside(PROMPTS, self.keys.prompts), "a file of prompts")

    # -- the files whose content is part of the protocol

    def hashes(self, further: Sequence[str] = ()) -> dict[str, str]:
        """Hex digests of this file and of those it names, by their paths as it writes them."""
        found = {self.path.name: sha256_of(self.path)}
        for name in (*self._named(), *further):
            place = self.path.parent / name
            if place.is_file():
                found[name] = sha256_of(place)
        return dict(sorted(found.items()))

    def _named(self) -> Iterator[str]:
        keys = self.keys
        yield from filter(None, (keys.prompts, keys.prompt, keys.judge if self.judge_file else None))
        for table in KINDS:
            yield from (value for value in getattr(keys, table).values() if isinstance(value, str))


def read_task_file(path: Path) -> TaskFile:
    """Read the TOML file of a benchmark; raise :class:`UsageError`, which names file, line and key."""
    try:
        text = read_text(path, FILE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the benchmark {path} cannot be read: {error}") from error
    table = parse_toml(path, text)
    if "kind" not in table:
        raise UsageError(f"{path} is no benchmark: it has no key kind, which is one of {', '.join(KINDS)}")
    keys = converted(path, text, table, Keys)
    file = TaskFile(path, text, keys)
    if keys.kind not in KINDS:
        raise file.fault("kind", f"{keys.kind!r} is not one of {', '.join(KINDS)}{did_you_mean(keys.kind, KINDS)}")
    if not is_plain_name(file.name):
        raise file.fault("name", f"{file.name!r} does not consist of letters, digits, - and _")
    for other in KINDS:
        if other != keys.kind and getattr(keys, other):
            raise file.fault(other, f"is the table of another kind; this file's kind is {keys.kind}")
    if (keys.prompts is not None and keys.source is not None) or not (file.has_prompts or keys.kind == "scored"):
        raise file.fault(PROMPTS, "names the file of prompts, unless a table [source] says where they are fetched from")
    if keys.source is not None and sum(map(bool, (keys.source.repo, keys.source.dataset, keys.source.url))) != 1:
        raise file.fault("source", "names one of repo, dataset and url")
    if keys.prompts is not None:
        file.beside(PROMPTS, keys.prompts)
    return file
