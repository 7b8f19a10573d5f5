"""Parts of a benchmark that files of their own list: items with a requirement, and the criteria that are about it."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import structs

from judgebench.kinds.items import Criterion, criteria_texts, field_names
from judgebench.kinds.task_files import TaskFile
from judgebench.records import Example
from judgebench.task import Fetch

ITEMS, CRITERIA = "requirement", "requirement_criteria"
"""The keys of the groups of a subset's items, and of its criteria."""


class Subset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry of the table ``[rubric.subsets]``; each value is a file, or an entry of ``sources.toml``."""

    items: str
    """Rows of the items."""
    criteria: str | None = None
    """Rows of the items with those of their criteria alone that are about the requirement."""


def with_subsets(
    file: TaskFile, subsets: Mapping[str, Subset], examples: Sequence[Example], fetch: Fetch
) -> tuple[Example, ...]:
    """The examples with tags for the subsets that they, and their criteria, are in.

    An item or a criterion of a subset that is none of the benchmark's is passed over: it may be of a part that is not
    asked.
    """
    found = tuple(examples)
    for name, subset in subsets.items():
        listed = _criteria_by_id(file, subset.items, fetch)
        about = {} if subset.criteria is None else _criteria_by_id(file, subset.criteria, fetch)
        found = tuple(
            _tagged(example, name, about.get(example.id, ())) if example.id in listed else example for example in found
        )
    return found


def _criteria_by_id(file: TaskFile, name: str, fetch: Fetch) -> dict[str, tuple[str, ...]]:
    """The texts of the criteria of each row, by the row's id."""
    names = field_names(file)
    return {row.key(names["id"]): criteria_texts(row, names) for row in file.rows_of(name, fetch)}


def _tagged(example: Example, name: str, about: Sequence[str]) -> Example:
    criteria = [
        structs.replace(one, tags=(*one.tags, f"{CRITERIA}:{name}")) if one.text in about else one
        for one in msgspec.convert(example.meta.get("criteria", []), list[Criterion])
    ]
    tags = [*example.meta.get("tags", ()), f"{ITEMS}:{name}"]
    return structs.replace(example, meta={**example.meta, "tags": tags, "criteria": msgspec.to_builtins(criteria)})
