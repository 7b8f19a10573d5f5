"""Juries and repeated judging: members' scores combined for each example, with each member's own score beside.

A panel's headline is the mean over its members. Groups of scores show each member alone, the median verdict (for games
the majority) and the mean without each member. Who sits on a panel is settled in ``run/seats.py``.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, combinations
from math import fsum
from operator import attrgetter, eq
from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct

from judgebench.judges.lean import LeanJudgements
from judgebench.records import ExampleScore, Judgement, Score

if TYPE_CHECKING:
    from judgebench.judges.score_columns import ScoreColumns  # needs numpy, which listing the tasks does not

Summarise = Callable[[Sequence[ExampleScore]], list[Score]]
Fold = Callable[[Sequence["Member"]], list[ExampleScore]]
"""Several members' example scores as one."""
FoldNumbers = Callable[[Sequence[float], Sequence[float] | None], float]
"""Several members' numbers as one, with the weights of their example scores; without these, each weighs 1."""


class Member(Struct, frozen=True):
    """One judge model, or one repeat of it, with its example scores."""

    name: str
    scores: Collection[ExampleScore]
    judge: str = ""
    """The judge model."""


MANY = 64
"""From so many example scores on, a member's are kept as columns; fewer are folded faster as they are."""


class KeptScores:
    """Keeps the example scores of several members, and what is the same in them once."""

    def __init__(self) -> None:
        self._first: Collection[ExampleScore] | None = None

    def of(self, rows: list[ExampleScore]) -> Collection[ExampleScore]:
        """The same example scores."""
        if len(rows) < MANY:
            return rows
        from judgebench.judges.score_columns import ScoreColumns

        kept = ScoreColumns(rows, self._first if isinstance(self._first, ScoreColumns) else None)
        self._first = kept if self._first is None else self._first
        return kept


def panel_members(judgements: Collection[Judgement]) -> dict[str, Iterable[Judgement]]:
    """Sort judgements by panel member: the k-th model, and repeat, of each judge belong together.

    If every judge has one model, the panel has one member, whichever models those are.
    """
    seats = _seats(judgements)
    names = list(_judges_by_name(seats))
    if len(names) <= 1:
        return {"": judgements} if judgements else {}
    # A judge with fewer models than another plays them again, for the members that are left.
    played = {
        (judge, seat): names[position :: len(own)] for judge, own in seats.items() for position, seat in enumerate(own)
    }

    def plays(name: str, judgement: Judgement) -> bool:
        return name in played[judgement.judge, (judgement.judge_model, judgement.repeat)]

    if isinstance(judgements, LeanJudgements):
        return {name: judgements.of(partial(plays, name)) for name in names}
    return {name: [judgement for judgement in judgements if plays(name, judgement)] for name in names}


def judges_by_member(judgements: Iterable[Judgement]) -> dict[str, str]:
    """Return the judge model of each panel member; the repeats of one model are several members."""
    return _judges_by_name(_seats(judgements))


def _seats(judgements: Iterable[Judgement]) -> dict[str, list[tuple[str, int]]]:
    """Return the models and repeats that played each judge, in order."""
    found: dict[str, set[tuple[str, int]]] = {}
    for judgement in judgements.kinds if isinstance(judgements, LeanJudgements) else judgements:
        found.setdefault(judgement.judge, set()).add((judgement.judge_model, judgement.repeat))
    return {judge: sorted(own) for judge, own in found.items()}


def _judges_by_name(seats: Mapping[str, Sequence[tuple[str, int]]]) -> dict[str, str]:
    longest = max(seats.values(), key=len, default=())
    repeated = any(repeat for _, repeat in longest)
    return {f"{model}#{repeat + 1}" if repeated else model: model for model, repeat in longest}


def mean_of(members: Sequence[Member]) -> list[ExampleScore]:
    """Average example scores, by weight, over the members that have a value."""
    return list(members[0].scores) if len(members) == 1 else _fold(members, _weighted_mean)


def mean_with_covariates(members: Sequence[Member]) -> list[ExampleScore]:
    """The same, and the covariates averaged likewise: metrics are computed from them, too."""
    return list(members[0].scores) if len(members) == 1 else _fold(members, _weighted_mean, covariates=True)


def with_panel(
    scores: Sequence[Score], members: Sequence[Member], summarise: Summarise, fold: Fold = mean_of
) -> list[Score]:
    """Return the panel's scores, then each member's, the median's, and the panel's without each member.

    The details of the panel's rows say how often two members agree and how much the members' values spread. Upstream's
    rules know no mean over judges, so the score of several has no upstream number unless their verdicts are pooled.
    """
    pooled = fold not in (mean_of, mean_with_covariates)
    whole = {member.name: [s for s in summarise(list(member.scores)) if s.group is None] for member in members}
    apart = {name: {s.metric: s.value for s in own} for name, own in whole.items()}
    agreement = _agreement(members)
    extended = []
    for score in scores:
        if score.group is None:
            values = [value for own in apart.values() if (value := own.get(score.metric)) is not None]
            spread = pstdev(values) if len(values) > 1 else None
            panel = {"judges": list(apart), "judges_agree": agreement, "sd_over_judges": spread}
            score = msgspec.structs.replace(score, details={**score.details, **panel})
        extended.append(score if pooled else score.without_upstream())
    for name, own in whole.items():
        extended += [msgspec.structs.replace(s, group=f"judge={name}") for s in own]
    for group, scored in _foldings(members, fold):
        own = [msgspec.structs.replace(s, group=group) for s in summarise(scored) if s.group is None]
        extended += own if pooled else [s.without_upstream() for s in own]
    return extended


def _foldings(members: Sequence[Member], fold: Fold) -> Iterator[tuple[str, list[ExampleScore]]]:
    """Of several members: their median, and the panel without each; one after the other is in memory."""
    yield "judges=median", _fold(members, _median, covariates=fold is mean_with_covariates)
    if len(members) > 2:
        for left_out in members:
            rest = [member for member in members if member is not left_out]
            yield f"judges=without {left_out.name}", fold(rest)


def _fold(members: Sequence[Member], fold: FoldNumbers, *, covariates: bool = False) -> list[ExampleScore]:
    """Fold the members' values, where they have one, into one score per example and metric."""
    one = partial(_fold_row, fold=fold, covariates=covariates)
    columns = _columns(members)
    if columns is None:
        return list(map(one, _alike(members)))
    from judgebench.judges.score_columns import folded, means, medians

    numbers = medians if fold is _median else means
    return folded(columns, numbers, partial(_fold_cells, weights=None, fold=fold), one, covariates=covariates)


def _columns(members: Sequence[Member]) -> "list[ScoreColumns] | None":
    """The members' columns, if all of them are kept so, and are in step."""
    if any(isinstance(member.scores, list) for member in members):
        return None
    from judgebench.judges.score_columns import in_step

    return in_step([member.scores for member in members])


def _fold_row(those: Sequence[ExampleScore], *, fold: FoldNumbers, covariates: bool) -> ExampleScore:
    valued = [scored for scored in those if scored.value is not None] or those
    values, weights = _values(valued), [scored.weight for scored in valued]
    given = None if weights.count(1.0) == len(weights) else weights
    return msgspec.structs.replace(
        those[0],
        value=fold(values, given) if values else None,
        weight=1.0 if given is None else fmean(given),
        covariates=_fold_covariates(valued, given, fold) if covariates else those[0].covariates,
    )


def _fold_covariates(
    scores: Sequence[ExampleScore], weights: Sequence[float] | None, fold: FoldNumbers
) -> dict[str, float | str | None]:
    given = [scored.covariates for scored in scores]
    names = dict.fromkeys(chain.from_iterable(given))
    return {name: _fold_cells([own.get(name) for own in given], weights, fold) for name in names}


def _fold_cells(
    values: Sequence[float | str | None], weights: Sequence[float] | None, fold: FoldNumbers
) -> float | str | None:
    """Fold what members know under one name, where it is a number; of texts, such as labels, the one of most members
    counts, of several such the first member's.
    """
    if _TEXT_OR_NONE.isdisjoint(map(type, values)):
        return fold(cast("Sequence[float]", values), weights)
    pairs = zip(values, weights or [1.0] * len(values), strict=True)
    numbers = [(value, weight) for value, weight in pairs if value is not None and not isinstance(value, str)]
    texts = [value for value in values if value is not None]
    return fold(*zip(*numbers, strict=True)) if numbers else max(texts, key=texts.count, default=None)


_TEXT_OR_NONE = frozenset((str, type(None)))


def _alike(members: Sequence[Member]) -> Iterable[Sequence[ExampleScore]]:
    """Put together the members' scores of each example and metric."""
    if _in_step([member.scores for member in members]):
        return zip(*(member.scores for member in members), strict=True)
    found: dict[tuple[str, str], list[ExampleScore]] = {}
    for member in members:
        for scored in member.scores:
            found.setdefault((scored.example_id, scored.metric), []).append(scored)
    return found.values()


def _in_step(rows: Sequence[Collection[ExampleScore]]) -> bool:
    """Whether all have the same example scores in the same order, each once."""
    names = list(map(_NAMES, rows[0]))
    return len(set(names)) == len(names) and all(
        len(own) == len(names) and all(map(eq, names, map(_NAMES, own))) for own in rows[1:]
    )


_NAMES = attrgetter("example_id", "metric")


def _values(scores: Sequence[ExampleScore]) -> list[float]:
    return [scored.value for scored in scores if scored.value is not None]


def _values_by_row(members: Sequence[Member]) -> Iterable[list[float]]:
    """The members' values of each example and metric, where they have one."""
    columns = _columns(members)
    if columns is None:
        return map(_values, _alike(members))
    from judgebench.judges.score_columns import values_by_row

    return values_by_row(columns)


def _weighted_mean(values: Sequence[float], weights: Sequence[float] | None) -> float:
    return fsum(values) / len(values) if weights is None else fmean(values, weights=weights)


def _median(values: Sequence[float], weights: Sequence[float] | None) -> float:
    return median(values)


def _agreement(members: Sequence[Member]) -> float | None:
    """Return how often two members agree on an example: equal values or, for shares of a win, the same winner."""
    agreeing = pairs = 0
    for values in _values_by_row(members):
        counts = Counter(values)
        many = counts.total()
        pairs += many * (many - 1) // 2
        agreeing += sum(count * (count - 1) // 2 for count in counts.values())
        agreeing += sum(
            counts[one] * counts[other]
            for one, other in combinations(counts, 2)
            if max(one, other) <= 1 and (one - 0.5) * (other - 0.5) > 0
        )
    return agreeing / pairs if pairs else None
