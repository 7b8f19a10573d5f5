"""Sets the scale of ratings: by the mean, by models whose ratings are given, or by a table of published ratings.

Only differences of ratings mean something, so a scale needs a shift and nothing else. Where several models have
published ratings, the shift is the one that leaves their mean difference 0, and how far they are apart then says
whether the scales agree. Every table tells its models' names in its own way, so they are matched without signs.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from judgebench.analysis.published import published_rows
from judgebench.data.rows import read_rows
from judgebench.display import shortened
from judgebench.errors import UsageError
from judgebench.stats.bradley_terry import CENTRE

MEAN = "mean"
DATED = re.compile(r"@\d{4}-\d\d-\d\d:category=overall$")
RATINGS = re.compile(r"rating|(\w+_)?elo")
"""The names of columns that hold ratings."""
FARTHEST = 1e6


@dataclass(frozen=True)
class Given:
    """Ratings that are given."""

    by: str
    """What they are called."""
    ratings: Mapping[str, float]
    """By the key of the model's name."""
    notes: tuple[str, ...] = ()

    def of(self, names: Sequence[str]) -> dict[str, float]:
        """Those of the models with these names."""
        return {name: self.ratings[key] for name in names if (key := key_of(name)) in self.ratings}


def key_of(name: str) -> str:
    """A model's name without signs and case.

    >>> key_of("Mixtral_8x7B-Instruct v0.1") == key_of("mixtral-8x7b-instruct-v0.1")
    True
    """
    return re.sub(r"[^a-z0-9]+", "", name.casefold()) or name


def read_anchors(texts: Sequence[str]) -> Given | None:
    """Read ``--anchor``: ``MODEL=RATING``, repeatable, or one file or name of a table. ``None`` for none."""
    if not texts:
        return None
    pairs = [text.rpartition("=") for text in texts]
    numbers = [_rating(value) if name else None for name, _, value in pairs]
    if all(number is not None for number in numbers):
        given = {
            key_of(name): number for (name, _, _), number in zip(pairs, numbers, strict=True) if number is not None
        }
        return Given(", ".join(name for name, _, _ in pairs), given)
    if len(texts) > 1:
        raise UsageError(
            f"--anchor {shortened(texts[0], 80)} and {shortened(texts[1], 80)}: several are of the form MODEL=RATING, "
            "such as gpt-4-0314=1000; a file or a published table stands alone"
        )
    (text,) = texts
    return _of_file(Path(text)) if Path(text).is_file() else _of_table(text)


def _rating(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= FARTHEST else None


def _of_file(path: Path) -> Given:
    """The ratings of a table with a column ``model`` and one of ratings."""
    rows = read_rows(path, "a table of ratings")
    column = next(filter(RATINGS.fullmatch, rows[0].fields), None)
    if column is None or "model" not in rows[0].fields:
        raise UsageError(f"--anchor {path} needs a column model and one called rating or elo; it has {rows[0].names}")
    found: dict[str, float] = {}
    for row in rows:
        key, value = key_of(row.text("model")), row.value(column)
        number = _rating(str(value)) if value not in (None, "", "-") else None
        if number is not None and found.setdefault(key, number) != number:
            raise row.error(f"{row.text('model')[:80]!r} has two ratings, {found[key]:g} and {number:g}")
    return Given(path.name, found)


def _of_table(name: str) -> Given:
    """The published ratings of a table that comes with the program; of several dates, the newest overall ones."""
    task = name.partition("@")[0]
    tables: dict[str, dict[str, float]] = {}
    for row in published_rows():
        found = next((score.value for name, score in row.scores.items() if RATINGS.fullmatch(name)), None)
        if found is not None:
            tables.setdefault(row.task, {})[key_of(row.model)] = found
    matching = [label for label in tables if name == label]
    matching = matching or sorted(label for label in tables if label.partition("@")[0] == task == name)
    if not matching:
        known = ", ".join(sorted({label.partition("@")[0] for label in tables} | set(tables)))
        raise UsageError(
            f"--anchor {shortened(name, 100)} is neither MODEL=RATING, such as gpt-4-0314=1000, nor a file, nor a "
            f"published table of ratings; there are {known}"
        )
    dated = [label for label in matching if DATED.search(label)]
    chosen = (dated or matching)[-1]
    others = [label for label in matching if label != chosen]
    note = (f"anchored to {chosen}; others, each on a scale of its own: {', '.join(others)}",) if others else ()
    return Given(chosen, tables[chosen], note)


def require_shared(given: Given, names: Sequence[str]) -> dict[str, float]:
    """The given ratings of the models; raise :class:`UsageError` if none of them has one."""
    found = given.of(names)
    if not found:
        raise UsageError(
            f"--anchor {given.by}: none of the models has a rating there ({shortened(', '.join(names), 200)}); give a "
            "run the name that the table has for its model (--name RUN=NAME), or leave --anchor out, which sets the "
            f"mean to {CENTRE:g}"
        )
    return found
