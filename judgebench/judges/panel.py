"""Juries and repeated judging: members' scores combined for each example, with each member's own score beside.

A panel's headline is the mean over its members. Groups of scores show each member alone, the median verdict (for games
the majority) and the mean without each member. Who sits on a panel is settled in ``run/seats.py``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean, median, pstdev

import msgspec
from msgspec import Struct

from judgebench.records import ExampleScore, Judgement, Score

Summarise = Callable[[Sequence[ExampleScore]], list[Score]]
Fold = Callable[[Sequence["Member"]], list[ExampleScore]]
"""Several members' example scores as one."""


class Member(Struct, frozen=True):
    """One judge model, or one repeat of it, with its example scores."""

    name: str
    scores: list[ExampleScore]
    judge: str = ""
    """The judge model."""


def panel_members(judgements: Iterable[Judgement]) -> dict[str, list[Judgement]]:
    """Sort judgements by panel member: the k-th model, and repeat, of each judge belong together.

    If every judge has one model, the panel has one member, whichever models those are.
    """
    listed = list(judgements)
    seats = _seats(listed)
    names = list(_judges_by_name(seats))
    if len(names) <= 1:
        return {"": listed} if listed else {}
    members: dict[str, list[Judgement]] = {name: [] for name in names}
    # A judge with fewer models than another plays them again, for the members that are left.
    played = {
        (judge, seat): names[position :: len(own)] for judge, own in seats.items() for position, seat in enumerate(own)
    }
    for judgement in listed:
        for name in played[judgement.judge, (judgement.judge_model, judgement.repeat)]:
            members[name].append(judgement)
    return members


def judges_by_member(judgements: Iterable[Judgement]) -> dict[str, str]:
    """Return the judge model of each panel member; the repeats of one model are several members."""
    return _judges_by_name(_seats(judgements))


def _seats(judgements: Iterable[Judgement]) -> dict[str, list[tuple[str, int]]]:
    """Return the models and repeats that played each judge, in order."""
    found: dict[str, set[tuple[str, int]]] = {}
    for judgement in judgements:
        found.setdefault(judgement.judge, set()).add((judgement.judge_model, judgement.repeat))
    return {judge: sorted(own) for judge, own in found.items()}


def _judges_by_name(seats: Mapping[str, Sequence[tuple[str, int]]]) -> dict[str, str]:
    longest = max(seats.values(), key=len, default=())
    repeated = any(repeat for _, repeat in longest)
    return {f"{model}#{repeat + 1}" if repeated else model: model for model, repeat in longest}


def mean_of(members: Sequence[Member]) -> list[ExampleScore]:
    """Average example scores, by weight, over the members that have a value."""
    return members[0].scores if len(members) == 1 else _fold(members, _weighted_mean)


def mean_with_covariates(members: Sequence[Member]) -> list[ExampleScore]:
    """The same, and the covariates averaged likewise: metrics are computed from them, too."""
    return members[0].scores if len(members) == 1 else _fold(members, _weighted_mean, covariates=True)


def with_panel(
    scores: Sequence[Score], members: Sequence[Member], summarise: Summarise, fold: Fold = mean_of
) -> list[Score]:
    """Return the panel's scores, then each member's, the median's, and the panel's without each member.

    The details of the panel's rows say how often two members agree and how much the members' values spread. Upstream's
    rules know no mean over judges, so the score of several has no upstream number unless their verdicts are pooled.
    """
    pooled = fold not in (mean_of, mean_with_covariates)
    whole = {member.name: [s for s in summarise(member.scores) if s.group is None] for member in members}
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


def _foldings(members: Sequence[Member], fold: Fold) -> list[tuple[str, list[ExampleScore]]]:
    """Of several members: their median, and the panel without each."""
    foldings = [("judges=median", _fold(members, _median, covariates=fold is mean_with_covariates))]
    if len(members) > 2:
        for left_out in members:
            rest = [member for member in members if member is not left_out]
            foldings.append((f"judges=without {left_out.name}", fold(rest)))
    return foldings


def _fold(
    members: Sequence[Member], fold: Callable[[Sequence[ExampleScore]], float], *, covariates: bool = False
) -> list[ExampleScore]:
    """Fold the members' values, where they have one, into one score per example and metric."""
    folded = []
    for those in _alike(members):
        valued = [scored for scored in those if scored.value is not None]
        folded.append(
            msgspec.structs.replace(
                those[0],
                value=fold(valued) if valued else None,
                weight=fmean(scored.weight for scored in valued or those),
                covariates=_covariates(valued or those, fold) if covariates else those[0].covariates,
            )
        )
    return folded


def _covariates(
    scores: Sequence[ExampleScore], fold: Callable[[Sequence[ExampleScore]], float]
) -> dict[str, float | str | None]:
    """Fold the covariates that are numbers; of texts, such as labels, the one of most members counts, of several such
    the first member's.
    """
    found: dict[str, float | str | None] = {}
    for name in dict.fromkeys(name for scored in scores for name in scored.covariates):
        known = [(scored, value) for scored in scores if (value := scored.covariates.get(name)) is not None]
        numbers = [
            msgspec.structs.replace(scored, value=value) for scored, value in known if not isinstance(value, str)
        ]
        texts = [value for _, value in known]
        found[name] = fold(numbers) if numbers else max(texts, key=texts.count, default=None)
    return found


def _alike(members: Sequence[Member]) -> Iterable[list[ExampleScore]]:
    """Put together the members' scores of each example and metric."""
    found: dict[tuple[str, str], list[ExampleScore]] = {}
    for member in members:
        for scored in member.scores:
            found.setdefault((scored.example_id, scored.metric), []).append(scored)
    return found.values()


def _values(scores: Sequence[ExampleScore]) -> list[float]:
    return [scored.value for scored in scores if scored.value is not None]


def _weighted_mean(scores: Sequence[ExampleScore]) -> float:
    return fmean(_values(scores), weights=[scored.weight for scored in scores])


def _median(scores: Sequence[ExampleScore]) -> float:
    return median(_values(scores))


def _agreement(members: Sequence[Member]) -> float | None:
    """Return how often two members agree on an example: equal values or, for shares of a win, the same winner."""
    agreeing = [
        one == other or (max(one, other) <= 1 and (one - 0.5) * (other - 0.5) > 0)
        for those in _alike(members)
        for one, other in combinations(_values(those), 2)
    ]
    return fmean(agreeing) if agreeing else None
