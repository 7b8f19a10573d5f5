"""Reads the TOML file of a benchmark: the keys that all kinds share, and the table of its kind."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, TypeVar

import msgspec

from judgebench.codec import encode, sha256_hex
from judgebench.data.rows import FileRow, fetched_rows, keyed_rows, read_rows
from judgebench.data.sources import Source, read_sources
from judgebench.data.toml_errors import converted, fault, located, parse_toml
from judgebench.display import did_you_mean, is_plain_name
from judgebench.errors import UsageError
from judgebench.files import near_path, read_text, read_toml, sha256_of
from judgebench.judges.judge_files import JudgeFile, is_judge_file, read_judge_file
from judgebench.judges.slot_prompts import Filling, SlotPrompt
from judgebench.records import Sampling
from judgebench.task import UNSAFE, Fetch, one_of, parse_options, parse_version

T = TypeVar("T")
PROMPTS = "prompts"
"""The name of the prompts among a task's sources."""
DEFAULT_SAMPLING = Sampling(temperature=0.0, max_tokens=4096)
FILE_BYTES = 2**20
TASK_FILE, STARTER = "task.toml", "starter.jsonl"
"""The names that the file and its starter set have in a benchmark's folder."""
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


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[prompt]``: a published judge prompt, with what stands for its slots."""

    file: str
    """A file, or an entry of ``sources.toml``."""
    filling: Filling
    """``replace``: slots are tokens that are replaced; ``format``: it is a template of Python's ``str.format``."""
    slots: dict[str, str]
    """The texts of a case by slot; of ``format`` by the name of a field, or by its position from 0."""
    system: str | None = None
    """A system message before it."""
    system_file: str | None = None
    """A file, or an entry of ``sources.toml``, that holds the system message."""
    leaves_out: tuple[str, ...] = ()
    """What it leaves out on purpose: question, answer or labels."""
    starter_file: str | None = None
    """The file that takes its place with the starter set."""


class Variants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[variants]``: a slot of each prompt is filled with one text after another."""

    slot: str
    """The token that is replaced in the last message."""
    column: str
    """The column of the prompts with the list of texts."""
    count: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    """How many forms of each prompt there are; a shorter list begins anew."""


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table ``[options.NAME]``: a choice that ``--tasks name:NAME=VALUE`` makes."""

    about: str
    values: dict[str, dict[str, Any]]
    """The keys that each value changes, in the form of the file; the first is the default."""


class Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of the file."""

    kind: str
    name: str = ""
    """The file's own name by default, and of a ``task.toml`` its folder's."""
    about: str = ""
    version: str = "1"
    prompts: str | dict[str, str] | None = None
    """A file, or an entry of ``sources.toml``; or a table of several, such as one for each language."""
    part: str = "part"
    """The column that says from which of several files of prompts a row is, by its key in their table."""
    source: _Source | None = None
    fields: dict[str, str] = {}
    """The prompts' names of our fields, where they differ."""
    variants: Variants | None = None
    """Each item is asked in several forms."""
    groups: list[str] = []
    """Further columns of the prompts whose values are groups."""
    ask: Prompt | None = None
    """A published prompt in which the model is asked, with texts of the item's row in its slots."""
    prompt: str | Prompt | None = None
    """The judge's prompt, a file; the house prompt of the kind by default."""
    judge: str | None = None
    """Model spec of the judge, or a judge file."""
    reads: str | None = None
    """How a verdict is read: label, rating, json:KEY, logprob, or regex:PATTERN."""
    verdict: dict[str, Any] = {}
    """What else the rule says, with the keys of a judge file's ``[verdict]``."""
    judge_sampling: dict[str, Any] = {}
    reasks: int = 0
    """How often the judge of a published prompt is asked again after a reply without a verdict."""
    examples: int | None = None
    """The number of items of the whole benchmark, where the prompts are fetched."""
    other_judges: dict[str, str] = {}
    """Model specs of judges for the time when the official one is no longer served, each with a note."""
    editions: dict[str, dict[str, Any]] = {}
    """Versions of the benchmark, the default first, each with the keys that it changes."""
    options: dict[str, Option] = {}
    code: str | None = None
    """The Python module beside the file that holds what is truly its own; of bundled benchmarks only."""
    sampling: dict[str, Any] = {}
    """Settings of the candidate's sampling."""
    phrases: dict[str, list[str]] = {}
    """By the name of a metric: phrases of which an answer may hold one."""
    pairwise: dict[str, Any] = {}
    rating: dict[str, Any] = {}
    rubric: dict[str, Any] = {}
    classify: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    scored: dict[str, Any] = {}
    verify: dict[str, Any] = {}


KINDS = ("pairwise", "rating", "rubric", "classify", "choice", "scored", "verify")
"""Each has a module of its name here, and its table in the file."""
OPTIONS = {
    "choice": {
        "by": Option(
            about="likelihood of the options, or a letter that the model writes",
            values={way: {"choice": {"by": way}} for way in ("likelihood", "letter")},
        )
    },
    "verify": {
        UNSAFE[0]: Option(
            about="no runs answers without a sandbox; needs --unsafe-local, which sets it",
            values={"yes": {"verify": {UNSAFE[0]: True}}, UNSAFE[1]: {"verify": {UNSAFE[0]: False}}},
        )
    },
}
"""The options of kinds that have any: each sets a key of the kind's table, as ``--tasks mine.toml:by=letter`` does."""


@dataclass(frozen=True)
class TaskFile:
    """A benchmark's file, read and checked as far as all kinds go."""

    path: Path
    text: str
    keys: Keys
    whole: Mapping[str, Any]
    """The file's content, without the choice of an edition or of options."""
    chosen: Mapping[str, str] = field(default_factory=dict)
    """The options that were given."""
    bundled: bool = False
    """Whether it is a benchmark of this program or of an installed package, which may have code beside it."""

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions, the default first."""
        return tuple(self.keys.editions) or (self.keys.version,)

    @property
    def name(self) -> str:
        """The benchmark's name: that of its folder for a ``task.toml`` without one."""
        return self.keys.name or (self.path.parent.name if self.path.name == TASK_FILE else self.path.stem)

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
            raise self.fault(
                key, f"{name!r} is not a file{near_path(place, name)}; a path is relative to {self.path.name}"
            )
        return place

    def prompt(self, fetch: Fetch | None) -> tuple[str, str] | None:
        """The text of the judge's prompt and where it is, if the file names one."""
        if self.keys.prompt is None:
            return None
        name = self.keys.prompt if isinstance(self.keys.prompt, str) else self.keys.prompt.file
        return self.words_of("prompt", name, fetch), name if name in self.pinned else str(self.path.parent / name)

    def slot_prompt(self, fetch: Fetch | None) -> SlotPrompt | None:
        """The published prompt that the table ``[prompt]`` describes, if there is one."""
        table = self.keys.prompt
        return self._slotted("prompt", table, fetch) if isinstance(table, Prompt) else None

    def question(self, fetch: Fetch) -> SlotPrompt | None:
        """The prompt that the table ``[ask]`` describes, if there is one."""
        return self._slotted("ask", self.keys.ask, fetch) if self.keys.ask is not None else None

    def _slotted(self, key: str, table: Prompt, fetch: Fetch | None) -> SlotPrompt:
        text = self.words_of(key, table.file, fetch)
        system = table.system if table.system_file is None else self.words_of(key, table.system_file, fetch)
        try:
            return SlotPrompt(
                text, table.file, filling=table.filling, slots=table.slots, system=system, omits=table.leaves_out
            )
        except UsageError as error:
            raise self.fault(key, f"does not do: {error}") from error

    def words_of(self, key: str, name: str, fetch: Fetch | None) -> str:
        """The text of an official file, or of a file beside this one."""
        try:
            if name in self.pinned:
                assert fetch is not None
                return fetch(name).decode()
            return read_text(self.beside(key, name), FILE_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            raise self.fault(key, f"{name!r} cannot be read: {error}") from error

    @cached_property
    def pinned(self) -> dict[str, Source]:
        """The official files of ``sources.toml`` beside this file."""
        return read_sources(self.path.parent) if self.path.name == TASK_FILE else {}

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
            key, why = located(error)
            raise self.fault("sampling" if key == "it" else f"sampling.{key}", why) from error
        changes = {name: getattr(given, name) for name in self.keys.sampling}
        return msgspec.structs.replace(DEFAULT_SAMPLING, **changes)

    def with_choice(self, version: str | None, options: Mapping[str, str], *, starter: bool) -> "TaskFile":
        """Return the file in a version and with options; raise :class:`UsageError` if there is no such one.

        With ``starter``, the starter set beside it and the kind's prompt take the place of what is fetched.
        """
        known = self.keys.options
        every = {name: one_of(*option.values) for name, option in self.all_options.items()}
        chosen = parse_options(options, every, self.name)
        parts = [self.whole]
        if self.keys.editions:
            edition = parse_version(version, tuple(self.keys.editions), self.name)
            parts += [{"version": edition}, self.keys.editions[edition]]
        else:
            parse_version(version, (self.keys.version,), self.name)
        parts += [option.values[chosen.get(name, self.usual_options[name])] for name, option in known.items()]
        parts += [option.values[chosen[name]] for name, option in self._of_kind.items() if name in chosen]
        table: dict[str, Any] = {}
        for part in parts:
            table = merged(table, part)
        keys = _checked(self.path, self.text, table, bundled=self.bundled)
        file = replace(self, keys=keys, chosen=chosen)
        return file.as_starter() if starter and file.has_starter else file

    @property
    def all_options(self) -> Mapping[str, Option]:
        """The options of the file and those of its kind."""
        return {**self._of_kind, **self.keys.options}

    @property
    def usual_options(self) -> dict[str, str]:
        """The value of each of the file's own options that holds if none is chosen."""
        return {name: next(iter(option.values)) for name, option in self.keys.options.items()}

    @property
    def _of_kind(self) -> Mapping[str, Option]:
        own = OPTIONS.get(self.keys.kind, {})
        return {name: option for name, option in own.items() if name not in self.keys.options}

    @cached_property
    def code(self) -> ModuleType:
        """The module that the key ``code`` names, which only a bundled benchmark has."""
        return importlib.import_module(f"judgebench.tasks.{self.name}.{self.keys.code}")

    @property
    def code_hashes(self) -> dict[str, str]:
        """Hex digests of the Python files beside this one, if the key ``code`` names one of them."""
        files = sorted(self.path.parent.glob("*.py")) if self.keys.code is not None else []
        return {file.name: sha256_of(file) for file in files if file.name != "__init__.py"}

    @property
    def has_starter(self) -> bool:
        """Whether a starter set in our own words lies beside the file."""
        return self.path.name == TASK_FILE and (self.path.parent / STARTER).is_file()

    def as_starter(self) -> "TaskFile":
        """The file with its starter set; what is read of a prompt that has to be fetched is not read then, either."""
        keys = msgspec.structs.replace(self.keys, prompts=STARTER, source=None, judge=None, variants=None, code=None)
        if isinstance(keys.prompt, Prompt) and keys.prompt.starter_file is not None:
            own = msgspec.structs.replace(keys.prompt, file=keys.prompt.starter_file)
            keys = msgspec.structs.replace(keys, prompt=own)
        prompt = keys.prompt if isinstance(keys.prompt, str | None) else keys.prompt.file
        if prompt in self.pinned:
            keys = msgspec.structs.replace(keys, prompt=None, reads=None, verdict={}, judge_sampling={}, reasks=0)
        if keys.ask is not None and keys.ask.starter_file is not None:
            keys = msgspec.structs.replace(keys, ask=msgspec.structs.replace(keys.ask, file=keys.ask.starter_file))
        return replace(self, keys=keys)

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

    @property
    def prompt_files(self) -> dict[str, str]:
        """The files of prompts, and entries of ``sources.toml``, by their keys; the only one has none."""
        prompts = self.keys.prompts
        return prompts if isinstance(prompts, dict) else {} if prompts is None else {"": prompts}

    @property
    def fetches_prompts(self) -> bool:
        """Whether some prompts are official files."""
        return any(name in self.pinned for name in self.prompt_files.values())

    def rows(self, fetch: Fetch) -> Sequence[FileRow]:
        """The rows of the prompts."""
        if self.keys.source is not None:
            return fetched_rows(fetch(PROMPTS), self.keys.source.path)
        if not self.fetches_prompts:
            return self.local_rows
        return self._together({key: self.rows_of(name, fetch) for key, name in self.prompt_files.items()})

    def _together(self, parts: Mapping[str, Sequence[FileRow]]) -> Sequence[FileRow]:
        """The rows of all files of prompts; of several, each says from which it is."""
        if not isinstance(self.keys.prompts, dict):
            return next(iter(parts.values()))
        return [
            msgspec.structs.replace(row, fields={**row.fields, self.keys.part: key})
            for key, rows in parts.items()
            for row in rows
        ]

    def rows_of(self, name: str, fetch: Fetch) -> Sequence[FileRow]:
        """The rows of an official file, or of a file beside this one."""
        if name not in self.pinned:
            return read_rows(self.beside(self.keys.kind, name), "a list of items")
        return keyed_rows(fetched_rows(fetch(name), str(self.pinned[name].file)))

    @property
    def official_examples(self) -> int:
        """How many items the whole benchmark has; 0 if nobody says."""
        if self.keys.examples is not None:
            return self.keys.examples
        return len(self.local_rows) if self.prompt_files and not self.fetches_prompts else 0

    @cached_property
    def local_rows(self) -> Sequence[FileRow]:
        """The rows of the prompts beside this file."""
        files = {key: self.beside(PROMPTS, name) for key, name in self.prompt_files.items()}
        return self._together({key: read_rows(file, "a file of prompts") for key, file in files.items()})

    # -- the files whose content is part of the protocol

    def hashes(self, further: Sequence[str] = ()) -> dict[str, str]:
        """Hex digests of this file and of those it names, by their paths as it writes them."""
        found = {self.path.name: content_hash(self.path)}
        for name in (*self._named(), *further):
            place = self.path.parent / name
            if _is_file(place):
                found[name] = content_hash(place)
        return dict(sorted(found.items()))

    def _named(self) -> Iterator[str]:
        keys = self.keys
        prompt = keys.prompt if isinstance(keys.prompt, str | None) else keys.prompt.file
        asked = keys.ask.file if keys.ask is not None else None
        yield from filter(None, (*self.prompt_files.values(), prompt, asked, keys.judge if self.judge_file else None))
        yield from ("sources.toml", STARTER) if self.path.name == TASK_FILE else ()
        for table in KINDS:
            yield from (value for value in getattr(keys, table).values() if isinstance(value, str))
        yield from self.among(listed(keys.verify.get("command")) + listed(keys.verify.get("files")))
        for subset in keys.rubric.get("subsets", {}).values():
            yield from subset.values()

    def among(self, words: Sequence[str]) -> list[str]:
        """Those of some words that name files beside this one, or in folders beside it."""
        folder = self.path.parent
        inner = [word for word in dict.fromkeys(words) if _is_inner(word) and _is_file(folder / word)]
        # A link may lead out of the folder.
        return [word for word in inner if (folder / word).resolve().is_relative_to(folder.resolve())]


def content_hash(path: Path) -> str:
    """Hex digest of what a TOML file says, whatever its comments, spaces and the order of its keys; of any other file,
    and of one that is not TOML, that of its bytes.
    """
    try:
        table = read_toml(path, "the file") if path.suffix == ".toml" else None
    except UsageError:
        table = None
    return sha256_of(path) if table is None else sha256_hex(encode(_without_order(table)))


def _without_order(table: Mapping[str, Any]) -> dict[str, Any]:
    """A file's keys and those of its tables in one order. Further in, as of labels and of an option's values, the first
    of some keys may mean something.
    """
    return {
        key: dict(sorted(value.items())) if isinstance(value, dict) else value for key, value in sorted(table.items())
    }


def _is_file(place: Path) -> bool:
    """Whether a text of the file is the path of another one; many are none."""
    try:
        return place.is_file()
    except (OSError, ValueError):  # too long, for one
        return False


def read_task_file(path: Path, *, bundled: bool = False) -> TaskFile:
    """Read the TOML file of a benchmark; raise :class:`UsageError`, which names file, line and key."""
    try:
        text = read_text(path, FILE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the benchmark {path} cannot be read: {error}") from error
    table = parse_toml(path, text)
    if "kind" not in table:
        raise UsageError(f"{path} is no benchmark: it has no key kind, which is one of {', '.join(KINDS)}")
    keys = converted(path, text, table, Keys)
    file = TaskFile(path, text, keys, table, bundled=bundled)
    for name, option in keys.options.items():
        if not option.values:
            raise file.fault(f"options.{name}", "has no values")
    return file.with_choice(None, {}, starter=False)


def _is_inner(word: str) -> bool:
    """Whether a word may be the path of a file below a folder."""
    parts = Path(word).parts
    return bool(parts) and not Path(word).is_absolute() and ".." not in parts


def listed(value: Any) -> list[str]:
    """A text, or the texts of a list."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with some of its keys changed; of a table in it, only the keys that are named.

    >>> merged({"a": 1, "rubric": {"clip": True, "macro": "axis"}}, {"rubric": {"clip": False}})
    {'a': 1, 'rubric': {'clip': False, 'macro': 'axis'}}
    """
    return {
        **table,
        **{
            key: merged(table[key], value) if isinstance(value, dict) and isinstance(table.get(key), dict) else value
            for key, value in changes.items()
        },
    }


def _checked(path: Path, text: str, table: dict[str, Any], *, bundled: bool) -> Keys:
    """The keys of a file, an edition and options; raise :class:`UsageError` if they do not make sense together."""
    keys = converted(path, text, table, Keys)
    file = TaskFile(path, text, keys, table)
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
    for name in file.prompt_files.values():
        if name not in file.pinned:
            file.beside(PROMPTS, name)
    if keys.prompts == {}:
        raise file.fault(PROMPTS, "names no file")
    if keys.code is not None and not bundled:
        raise file.fault("code", "names a module, and a TOML file runs no code; only bundled benchmarks have some")
    return keys
