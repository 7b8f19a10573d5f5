"""The tables that some instructions need: which there are, from what official files, and how they are read.

None of them is part of this repository.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from judgebench.codec import sha256_hex
from judgebench.errors import ModelError, SourceMissing
from judgebench.task import Fetch

from .sentences import Punkt, read_punkt
from .syllables import read_syllables
from .tagger import Tagger, read_json_tagger, read_zipped_tagger


@dataclass(frozen=True)
class Tables:
    """The tables that were fetched. Instructions name those that they need by these names."""

    punkt: Punkt | None = None
    """Where English sentences end."""
    stop_words: frozenset[str] | None = None
    """English stop words, if they have no apostrophe."""
    syllables: Mapping[str, int] | None = None
    """How many syllables words have."""
    tagger: Tagger | None = None
    """What part of speech a first word is."""


TABLES = tuple(field.name for field in fields(Tables))
OPTIONAL = tuple(name for name in TABLES if name != "punkt")
"""Few prompts need them, so a run may do without those prompts."""


def read_stop_words(data: bytes) -> frozenset[str]:
    """The words of NLTK's list without those that have an apostrophe, which no word of an answer has.

    So its editions of 179 and of 198 words are one.
    """
    return frozenset(word for word in data.decode().split() if "'" not in word)


_Reader = tuple[Callable[..., Any], tuple[str, ...]]
_READERS: Mapping[str, tuple[_Reader, ...]] = {
    "punkt": ((read_punkt, ("punkt-abbreviations", "punkt-collocations", "punkt-starters", "punkt-contexts")),),
    "stop_words": ((read_stop_words, ("stop-words",)), (read_stop_words, ("stop-words-179",))),
    "syllables": ((read_syllables, ("syllables",)),),
    "tagger": (
        (read_json_tagger, ("tagger-weights", "tagger-words", "tagger-tags")),
        (read_zipped_tagger, ("tagger-archive",)),
    ),
}
"""Of each table the official files that it is read from; if some are not to be had, others of the same content."""


def read_tables(fetch: Fetch, names: Iterable[str]) -> tuple[Tables, tuple[str, ...]]:
    """Fetch these tables, and say which they are.

    Raises :class:`SourceMissing` or :class:`ModelError` for one that is nowhere to be had.
    """
    found, named = {}, []
    for name in (name for name in TABLES if name in set(names)):
        found[name], told = _read(fetch, name)
        named.append(told)
    return Tables(**found), tuple(named)


def _read(fetch: Fetch, name: str) -> tuple[Any, str]:
    first: SourceMissing | ModelError | None = None
    for read, sources in _READERS[name]:
        try:
            files = [fetch(source) for source in sources]
        except (SourceMissing, ModelError) as error:
            first = first or error
        else:
            table = read(*files)
            return table, _named(name, table, files)
    assert first is not None
    if name in OPTIONAL:
        raise type(first)(f"{first}. Or leave out the prompts that need it: ifeval@ifbench:without={name}") from first
    raise first


def _named(name: str, table: Any, files: list[bytes]) -> str:
    """A table as the protocol knows it: what content it has, wherever it came from."""
    match name:
        case "punkt":
            return f"Punkt tables {sha256_hex(b''.join(files))[:12]} as nltk 3.9.1"
        case "stop_words":
            return f"stop words {sha256_hex(' '.join(sorted(table)).encode())[:12]}"
        case "syllables":
            return f"syllables {sha256_hex(files[0])[:12]} as syllapy 0.7.2"
        case _:
            return "averaged_perceptron_tagger_eng as nltk 3.9.1"
