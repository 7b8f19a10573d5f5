"""``ScoreColumns``: the example scores of a panel's members as columns, a few bytes for each number.

Members score the same examples, and most of what is known of an example, such as the length of its answer, is the same
for all of them. What is equal is kept once; members are folded column by column, to the last bit as row by row.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import fsum
from operator import is_
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from judgebench.records import ExampleScore

FloatArray = NDArray[np.float64]
Cell = float | str | None
Column = FloatArray | list[Cell]
"""Numbers, NaN where there is none; a list if something else is among them."""
FoldRow = Callable[[Sequence[ExampleScore]], ExampleScore]
"""Several members' scores of one example as one."""
FoldCells = Callable[[Sequence[Cell]], Cell]
"""What several members have under one name as one."""
FoldColumns = Callable[[Sequence[FloatArray]], FloatArray]
"""Several columns of numbers as one."""

T = TypeVar("T")
_FINEST = 2.0**16
_EXACT_BITS = 53 - 16


class ScoreColumns(Collection[ExampleScore]):
    """Example scores, which become records again while somebody looks at them."""

    def __init__(self, rows: Sequence[ExampleScore], like: "ScoreColumns | None" = None) -> None:
        """Keep the rows; what is equal to a column of ``like`` is that column."""
        known: Mapping[str, Column] = {} if like is None else like.covariates
        self._orders: dict[tuple[str, ...], int] = {} if like is None else like._orders
        """The names of covariates, in the orders in which rows have them."""
        self.names = [(row.example_id, row.metric) for row in rows]
        """Example and metric of each."""
        self.values = _numbers([row.value for row in rows])
        self.weights = np.array([row.weight for row in rows], dtype=float)
        orders = [tuple(row.covariates) for row in rows]
        self.order = np.array([self._orders.setdefault(own, len(self._orders)) for own in orders], dtype=np.int32)
        self.covariates: dict[str, Column] = {
            name: _shared(_column([row.covariates.get(name) for row in rows]), known.get(name))
            for name in dict.fromkeys(name for own in dict.fromkeys(orders) for name in own)
        }
        if like is not None:
            self.names = like.names if self.names == like.names else self.names
            self.weights = like.weights if np.array_equal(self.weights, like.weights) else self.weights
            self.order = like.order if np.array_equal(self.order, like.order) else self.order

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[ExampleScore]:
        return iter(self.rows())

    def __contains__(self, row: object) -> bool:
        return any(own == row for own in self)

    def rows(self, places: Sequence[int] | None = None) -> list[ExampleScore]:
        """The example scores, or those at some places."""
        return self.filled(self.values, {name: _cells(own) for name, own in self.covariates.items()}, places)

    def filled(
        self, values: FloatArray, covariates: Mapping[str, Sequence[Cell]], places: Sequence[int] | None = None
    ) -> list[ExampleScore]:
        """The example scores with these numbers in place of their own."""
        orders, every = list(self._orders), range(len(self))
        cells, weights, order = _cells(values), self.weights.tolist(), self.order.tolist()
        return [
            ExampleScore(
                example_id=self.names[place][0],
                metric=self.names[place][1],
                value=cells[place],  # type: ignore[arg-type]
                weight=weights[place],
                covariates={name: covariates[name][place] for name in orders[order[place]]},
            )
            for place in (every if places is None else places)
        ]


def in_step(members: Iterable[Collection[ExampleScore]]) -> list[ScoreColumns] | None:
    """The members, if all are columns and have the same examples in the same order, each once."""
    found = [own for own in members if isinstance(own, ScoreColumns)]
    if len(found) < len(list(members)) or any(own.names is not found[0].names for own in found):
        return None
    return found if len(set(found[0].names)) == len(found[0].names) else None


def folded(
    members: Sequence[ScoreColumns], numbers: FoldColumns, cell: FoldCells, row: FoldRow, *, covariates: bool
) -> list[ExampleScore]:
    """Fold members that are in step. Rows that lack a value, differ in names or are weighted are folded by ``row``."""
    first = members[0]
    odd = np.isnan(np.stack([own.values for own in members])).any(axis=0)
    for own in members:
        odd |= (own.weights != 1) | (own.order != first.order)
    cells: Mapping[str, Sequence[Cell]] = {
        name: _folded([own.covariates[name] for own in members], numbers, cell)
        if covariates and all(name in own.covariates for own in members)
        else _cells(column)
        for name, column in first.covariates.items()
    }
    values = numbers([own.values for own in members])
    rows, places = first.filled(values, cells), np.flatnonzero(odd).tolist()
    for place, *those in zip(places, *(own.rows(places) for own in members), strict=True):
        rows[place] = row(those)
    return rows


def values_by_row(members: Sequence[ScoreColumns]) -> Iterator[list[float]]:
    """The values of each row of members in step, where they have one."""
    for values in np.stack([own.values for own in members]).T:
        yield values[~np.isnan(values)].tolist()


def means(columns: Sequence[FloatArray]) -> FloatArray:
    """The mean of each row, to the last bit that of its exactly rounded sum."""
    count = len(columns)
    if _same(columns):
        return columns[0] * count / count
    stacked = np.stack(columns)
    # Sums of such numbers are exact in any order, which other numbers' are not.
    room = 2.0 ** (_EXACT_BITS - count.bit_length())
    plain = ((np.abs(stacked) < room) & (stacked * _FINEST == np.rint(stacked * _FINEST))).all(axis=0)
    found: FloatArray = stacked.sum(axis=0)
    found[~plain] = [fsum(own) for own in stacked[:, ~plain].T.tolist()]
    return found / count


def medians(columns: Sequence[FloatArray]) -> FloatArray:
    """The median of each row."""
    if _same(columns):
        return columns[0]
    stacked, half = np.sort(np.stack(columns), axis=0, kind="stable"), len(columns) // 2
    found: FloatArray = stacked[half] if len(columns) % 2 else (stacked[half - 1] + stacked[half]) / 2
    return found


def _same(columns: Sequence[T]) -> bool:
    return all(own is columns[0] for own in columns)


def _folded(columns: Sequence[Column], numbers: FoldColumns, cell: FoldCells) -> Sequence[Cell]:
    arrays = [own for own in columns if isinstance(own, np.ndarray)]
    if len(arrays) < len(columns):
        return list(map(cell, zip(*map(_cells, columns), strict=True)))
    found = _cells(numbers(arrays))
    if not _same(arrays):
        lacking = np.flatnonzero(np.isnan(np.stack(arrays)).any(axis=0)).tolist()
        for place in lacking:
            found[place] = cell([None if np.isnan(own[place]) else float(own[place]) for own in arrays])
    return found


def _column(cells: list[Cell]) -> Column:
    if not {float, type(None)}.issuperset(map(type, cells)):
        return cells
    numbers = _numbers(cells)
    return numbers if np.isnan(numbers).sum() == cells.count(None) else cells


def _numbers(cells: Sequence[Cell]) -> FloatArray:
    return np.array(cells, dtype=float)


def _cells(column: Column) -> list[Cell]:
    if not isinstance(column, np.ndarray):
        return column
    cells: list[Cell] = column.tolist()
    for place in np.flatnonzero(np.isnan(column)).tolist():
        cells[place] = None
    return cells


def _shared(column: Column, known: Column | None) -> Column:
    """The known column, if the new one is the same to the last bit; as a list, if types are the same, too."""
    if isinstance(column, np.ndarray):
        same = isinstance(known, np.ndarray) and column.tobytes() == known.tobytes()
    else:
        same = column == known and all(map(is_, map(type, column), map(type, known)))
    return known if same and known is not None else column
