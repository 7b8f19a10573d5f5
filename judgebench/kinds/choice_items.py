"""The items of the kind ``choice``: their options, which of them are right, and what a model is asked."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Literal

import msgspec

from judgebench.data.resources import resource
from judgebench.data.rows import FileRow, read_rows
from judgebench.display import did_you_mean
from judgebench.errors import UnfilledPrompt, UsageError
from judgebench.files import read_text
from judgebench.judges.own_prompts import OwnPrompt
from judgebench.kinds.items import read_items, texts_of
from judgebench.kinds.task_files import FILE_BYTES, TaskFile
from judgebench.records import Example, Message, Sampling
from judgebench.task import Fetch

MOST_OPTIONS = 1000
"""Of one item."""
LABELS = "the right option's name, letter, number from 0 or text; several of them; or a 1 or 0 for each option"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[choice]``."""

    by: Literal["likelihood", "letter"] | None = None
    """How the model chooses: by how likely each option's text is after the context, or by a letter that it writes. By
    default by likelihood, if the model's backend gives log-likelihoods, else by letter."""
    context: str | None = None
    """A template of what stands before the options; ``prompt`` names a file of it."""
    option: str = " {{ option }}"
    """A template of an option as it follows the context."""
    chat: bool = False
    """Whether the context goes through the chat template; otherwise it is plain text."""
    shots: int = 0
    """How many examples with their right answers stand before each item."""
    shots_from: str | None = None
    """The file of these examples, whose first rows they are."""
    separator: str = "\n\n"
    """What stands between examples."""
    letters: str | None = None
    """The file of the prompt that asks for a letter."""
    order: Literal["seeded", "as_given"] = "seeded"
    """In which order the options get their letters."""
    headline: Literal["accuracy", "accuracy_norm", "accuracy_bytes", "mc2"] = "accuracy"
    """The metric that ranks."""


@dataclass(frozen=True)
class Options:
    """What an item offers."""

    texts: tuple[str, ...]
    names: tuple[str, ...]
    """What the file calls them: letters by default."""
    right: tuple[int, ...]
    """Places of the right ones."""


def _offered(row: FileRow, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: list(texts_of(row, names[name]))
        for name in ("options", "option_names")
        if row.value(names[name]) is not None
    }


def options_of(row: FileRow, example: Example) -> Options:
    """The options of an item. Raises :class:`~judgebench.errors.RecordError` if it has none, or no right one."""
    texts, label = example.meta.get("options", ()), example.meta.get("label")
    if not 2 <= len(texts) <= MOST_OPTIONS or not all(texts):
        raise row.error(
            f"an item needs a list of options, none of them empty, from 2 to {MOST_OPTIONS}; this one has "
            f'{len(texts)}. Say what it is called here with fields = {{ options = "…" }}'
        )
    names = example.meta.get("option_names") or letters(len(texts))
    if len(names) != len(texts) or len(set(names)) != len(names):
        raise row.error(f"there are {len(names)} names of {len(texts)} options; each has one of its own")
    if label is None:
        raise row.error(f'an item needs a label: {LABELS}. Say what it is called with fields = {{ label = "…" }}')
    right = _right(row, label, texts, names)
    if not 0 < len(right) < len(texts):
        raise row.error(f"{'all' if right else 'none'} of its options are right, so there is nothing to choose")
    return Options(tuple(texts), tuple(names), right)


def letters(count: int) -> tuple[str, ...]:
    """Letters for so many options, or numbers from 1 if there are too many.

    >>> letters(3), letters(30)[:2]
    (('A', 'B', 'C'), ('1', '2'))
    """
    return tuple(ascii_uppercase[:count] if count <= len(ascii_uppercase) else map(str, range(1, count + 1)))


def _right(row: FileRow, label: Any, texts: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    several = label if isinstance(label, list) else [label]
    marks = [str(int(mark) if isinstance(mark, bool | float) else mark) for mark in several]
    if isinstance(label, list) and len(marks) == len(texts) and set(marks) <= {"0", "1"}:
        return tuple(place for place, mark in enumerate(marks) if mark == "1")
    places = {place_of(mark, texts, names): mark for mark in marks}
    if None in places:
        raise row.error(f"the label {places[None][:60]!r} is none of its {len(texts)} options; it is {LABELS}")
    return tuple(sorted(place for place in places if place is not None))


def place_of(mark: str, texts: Sequence[str], names: Sequence[str]) -> int | None:
    """The option with this name, letter, number from 0 or text; ``None`` if there is none.

    >>> [place_of(mark, ("red", "blue"), ("1", "2")) for mark in ("2", "0", "blue", "B", "7")]
    [1, 0, 1, 1, None]
    """
    for known in (names, letters(len(texts)) if len(texts) <= len(ascii_uppercase) else (), texts):
        if mark in known:
            return list(known).index(mark)
    return int(mark) if mark.isascii() and mark.isdigit() and int(mark[:6]) < len(texts) else None


# -- what is asked


class Prompts:
    """The templates of a benchmark, and the examples with answers that stand before each item."""

    def __init__(self, file: TaskFile, settings: Settings, fetch: Fetch) -> None:
        """Raises :class:`UsageError`, which names file and key, for a template or a file that does not fit."""
        self._file, self._settings, self._fetch = file, settings, fetch
        if settings.context is not None and file.keys.prompt is not None:
            raise file.fault("choice.context", "says the same as the key prompt; leave one out")
        if not isinstance(file.keys.prompt, str | None):
            raise file.fault("prompt", "names a file here: what stands before the options has no slots")
        if settings.shots < 0 or (settings.shots > 0) != (settings.shots_from is not None):
            raise file.fault("choice.shots", "is how many examples of the file shots_from are shown; give both")
        text, name = file.prompt(fetch) or (_house("choice"), "of the kind choice")
        if settings.context is not None:
            text, name = settings.context, f"choice.context of {file.path.name}"
        # Editors end a file by a newline, after which no answer follows.
        self._context = _template(text if settings.context is not None else text.removesuffix("\n"), name)
        self._option = _template(settings.option, f"choice.option of {file.path.name}")
        self._letters = _template(*self._letters_file())
        if "option" not in self._option.names:
            raise file.fault("choice.option", "does not show {{ option }}")
        if not {"options"} <= self._letters.names:
            raise file.fault("choice.letters", "does not show {{ options }}")

    def _letters_file(self) -> tuple[str, str]:
        if self._settings.letters is None:
            return _house("choice_letters"), "of the kind choice"
        place = self._file.beside("choice.letters", self._settings.letters)
        try:
            return read_text(place, FILE_BYTES), str(place)
        except (OSError, UnicodeDecodeError) as error:
            raise self._file.fault("choice.letters", f"{self._settings.letters!r} cannot be read: {error}") from error

    def examples(self, *, starter: bool, by: str) -> Iterator[Example]:
        """The items as a model is asked them, with their options in ``meta``."""
        shots = self._shots()
        for row, example in read_items(self._file, self._fetch, starter=starter, more=_offered):
            options = options_of(row, example)
            asked = self._by_likelihood if by == "likelihood" else self._by_letter
            yield asked(row, example, options, shots)

    def _shots(self) -> str:
        """The examples with their right answers, as they stand before each item."""
        name, count = self._settings.shots_from, self._settings.shots
        if name is None:
            return ""
        rows = read_rows(self._file.beside("choice.shots_from", name), "a file of examples")
        if len(rows) < count:
            raise self._file.fault("choice.shots", f"is {count}, and {name} has {len(rows)} rows")
        shown = []
        for row, example in read_items(self._file, self._fetch, starter=False, more=_offered, given=rows[:count]):
            options = options_of(row, example)
            first = options.texts[options.right[0]]
            shown.append(self._fill(self._context, row, example) + self._fill(self._option, row, example, option=first))
        return "".join(text + self._settings.separator for text in shown)

    def _by_likelihood(self, row: FileRow, example: Example, options: Options, shots: str) -> Example:
        context = shots + self._fill(self._context, row, example)
        texts = tuple(self._fill(self._option, row, example, option=text) for text in options.texts)
        return msgspec.structs.replace(
            example,
            messages=_ending_with(example, context),
            references=(options.texts[options.right[0]],),
            sampling=Sampling(continuations=texts, raw=not self._settings.chat),
            meta=_meta(example, options),
        )

    def _by_letter(self, row: FileRow, example: Example, options: Options, shots: str) -> Example:
        if len(options.texts) > len(ascii_uppercase):
            raise row.error(f"its {len(options.texts)} options are too many for letters")
        order = list(range(len(options.texts)))
        if self._settings.order == "seeded":
            random.Random(f"{ORDER_SEED} {example.id}").shuffle(order)
        names = letters(len(order))
        listed = "\n".join(f"{name}. {options.texts[place]}" for name, place in zip(names, order, strict=True))
        asked = self._fill(self._letters, row, example, options=listed)
        right = tuple(sorted(order.index(place) for place in options.right))
        shown = Options(tuple(options.texts[place] for place in order), names, right)
        return msgspec.structs.replace(
            example,
            messages=_ending_with(example, asked.strip()),
            references=(", ".join(names[place] for place in right),),
            meta={**_meta(example, shown), "order": order, "named": list(options.names)},
        )

    def _fill(self, template: OwnPrompt, row: FileRow, example: Example, **further: str) -> str:
        texts = {name: text for name, value in row.fields.items() if (text := _text(value)) is not None}
        own = {"instruction": example.instruction, "category": str(example.meta.get("category", ""))}
        texts |= {**own, **further}
        unknown = sorted(template.names - set(texts))
        if unknown:
            near = did_you_mean(unknown[0], texts)
            raise row.error(
                f"{template.name}: there is no text {unknown[0]!r}{near}; there are {', '.join(texts)[:300]}"
            )
        try:
            return template.filled(texts)
        except UnfilledPrompt as error:
            raise row.error(str(error)) from error


ORDER_SEED = 0
"""Seed of the order in which options get their letters."""


def _house(name: str) -> str:
    return (resource("templates") / "kinds" / f"{name}.j2").read_text("utf-8")


def _template(text: str, name: str) -> OwnPrompt:
    template = OwnPrompt(text, name, what="the template")
    if any(f"{{% block {block}" in text for block in ("system", "user")):
        raise UsageError(f"the template {name}: it has blocks, and it is one text")
    return template


def _ending_with(example: Example, text: str) -> tuple[Message, ...]:
    """The item's messages with this text in the place of the last one."""
    return (*example.messages[:-1], Message(role="user", content=text))


def _meta(example: Example, options: Options) -> dict[str, Any]:
    kept = {name: value for name, value in example.meta.items() if name not in ("label", "option_names")}
    return {**kept, "options": list(options.texts), "option_names": list(options.names), "right": list(options.right)}


def _text(value: Any) -> str | None:
    """A value of a row as a template shows it."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
