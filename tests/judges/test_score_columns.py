"""A panel's members as columns are folded to the last bit as they are row by row."""

import random
import tracemalloc
from collections.abc import Callable, Sequence
from itertools import product

import msgspec
import pytest

from judgebench.judges.panel import KeptScores, Member, mean_of, mean_with_covariates, with_panel
from judgebench.judges.score_columns import ScoreColumns
from judgebench.records import ExampleScore, Score

COUNT = 200
Known = dict[str, float | str | None]


def shares(rng: random.Random) -> float:
    """What a jury of labels says."""
    return rng.choice((0.0, 0.5, 1.0))


def odd(rng: random.Random) -> float:
    """Numbers whose sum depends on the order of adding, such as probabilities beside large ones."""
    return rng.choice((rng.random(), rng.random() * 1e15, -rng.random() * 1e15, 1e-9, -0.0, 0.1))


def member(number: int, draw: Callable[[random.Random], float], lacking: float, weighted: float) -> list[ExampleScore]:
    """One member's example scores: some without a value, some weighted, some with other covariates."""
    rng, rows = random.Random(f"{number}"), []
    for place in range(COUNT):
        value = None if rng.random() < lacking else draw(rng)
        length: Known = {"length": 0.1 * place, "characters": float(place), "headers": None if place % 3 else 1.0}
        own: Known = {
            "wins": draw(rng),
            "label": rng.choice("ABC"),
            "tied": rng.choice((None, 0.5)),
            "count": place % 7,
        }
        mixed: Known = {"mixed": rng.choice((0.25, "B", None))}
        known = length if value is None else {**own, **length, **mixed} if place % 5 else {**length, **own}
        weight = rng.random() if rng.random() < weighted else 1.0
        rows.append(ExampleScore(example_id=f"e{place}", metric="m", value=value, weight=weight, covariates=known))
    return rows


def summarised(rows: Sequence[ExampleScore]) -> list[Score]:
    """A score that shows every number of every row."""
    text = msgspec.json.encode(rows).decode()
    value = sum(row.value or 0.0 for row in rows)
    return [Score(task="t", metric="m", value=value, unit="points", n=len(rows), method=text)]


@pytest.mark.parametrize(
    ("draw", "odds", "count", "fold"),
    list(product((shares, odd), ((0.0, 0.0), (0.2, 0.0), (0.1, 0.3)), (2, 3, 10), (mean_of, mean_with_covariates))),
)
def test_folded_columns_are_folded_rows(
    draw: Callable[[random.Random], float],
    odds: tuple[float, float],
    count: int,
    fold: Callable[[Sequence[Member]], list[ExampleScore]],
) -> None:
    """The mean of all, the median, the mean without each, and how often two agree."""
    rows = {f"j{number}": member(number, draw, *odds) for number in range(count)}
    kept = KeptScores()
    plain = [Member(name, own, name) for name, own in rows.items()]
    columns = [Member(name, kept.of(own), name) for name, own in rows.items()]
    assert all(isinstance(one.scores, ScoreColumns) for one in columns)
    expected, found = fold(plain), fold(columns)
    assert msgspec.json.encode(found) == msgspec.json.encode(expected)
    panels = [with_panel(summarised(expected), some, summarised, fold) for some in (plain, columns)]
    assert list(map(msgspec.json.encode, panels[1])) == list(map(msgspec.json.encode, panels[0]))


@pytest.mark.parametrize("change", [{"example_id": "other"}, {"metric": "other"}])
def test_members_out_of_step_are_folded_by_name(change: dict[str, str]) -> None:
    """One has an example, or a metric, that another lacks."""
    first, second = (member(number, odd, 0.0, 0.0) for number in range(2))
    second[3] = msgspec.structs.replace(second[3], **change)
    kept = KeptScores()
    columns = [Member(name, kept.of(own)) for name, own in (("a", first), ("b", second))]
    assert mean_with_covariates(columns) == mean_with_covariates([Member("a", first), Member("b", second)])


def test_what_was_kept_comes_back() -> None:
    """Numbers of their type, texts and what is absent, in the order of their names."""
    rows = member(0, odd, 0.2, 0.3)
    assert msgspec.json.encode(list(ScoreColumns(rows))) == msgspec.json.encode(rows)
    assert len(ScoreColumns(rows)) == COUNT
    assert rows[7] in ScoreColumns(rows)


@pytest.mark.parametrize("other", [{"length": 12}, {"more": 1.0, "length": 12.0}, {"length": 13.0, "more": 1.0}])
def test_only_the_same_columns_are_shared(other: Known) -> None:
    """Numbers of another type, and names in another order, would be written otherwise."""

    def rows(covariates: Known) -> list[ExampleScore]:
        return [ExampleScore(example_id="e", metric="wins", value=1.0, covariates=covariates)]

    first = ScoreColumns(rows({"length": 12.0, "more": 1.0}))
    same, apart = ScoreColumns(rows({"length": 12.0, "more": 1.0}), first), ScoreColumns(rows(other), first)
    assert all(same.covariates[name] is first.covariates[name] for name in first.covariates)
    assert msgspec.json.encode(list(apart)) == msgspec.json.encode(rows(other))


def test_a_further_member_takes_its_own_numbers() -> None:
    """And not again what is known of the examples."""
    kept = KeptScores()
    names = {f"known {number}": 0.5 * number for number in range(20)}

    def rows(number: int) -> list[ExampleScore]:
        return [
            ExampleScore(example_id=f"e{place}", metric="m", value=float(number), covariates={**names})
            for place in range(5000)
        ]

    kept.of(rows(0))
    tracemalloc.start()
    try:
        further = [kept.of(rows(number)) for number in range(1, 6)]
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size / sum(map(len, further)) < 48
