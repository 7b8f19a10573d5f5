"""What a number would be if every unread verdict had gone one way, or the other.

The verdicts that could not be read are put at either end of what their judge can say, and the scores are made again:
for plain means the bounds are exact, for a fit (length control, Bradley-Terry) each end is fitted anew.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from judgebench.judges import Judge
from judgebench.judges.lean import LeanJudgements
from judgebench.records import Judgement, Score, Verdict
from judgebench.task import Task, TaskData

DETAIL = "if_unread_all_one_way"
"""Key of a score's details: ``verdicts`` counts the unread ones of the run, ``low`` and ``high`` are the two values."""

Ends = tuple[Verdict, Verdict]
"""The lowest verdict of a judge and the highest: of a pair the share of the win of the answer shown first."""


def is_unread(judgement: Judgement) -> bool:
    """Whether a reply is there, and no verdict in it."""
    return judgement.verdict.value is None and not judgement.failed


def with_bounds(
    scores: Sequence[Score],
    judgements: LeanJudgements,
    task: Task,
    data: TaskData,
    made: Callable[[Iterable[Judgement]], Iterable[Score]],
) -> list[Score]:
    """Add bounds to the details of the scores that the unread verdicts can change; ``made`` makes them anew.

    Nothing is added if a judge is among them of which it is not known what it can say.
    """
    unread = judgements.unread
    ends = _ends(task, data, unread)
    if not unread or ends is None:
        return list(scores)
    worst, best = (
        {(s.metric, s.group): s.value for s in made(_settled(j, ends, best=best) for j in judgements)}
        for best in (False, True)
    )
    return [_bounded(score, len(unread), worst, best) for score in scores]


Values = Mapping[tuple[str, str | None], float | None]


def _bounded(score: Score, unread: int, worst: Values, best: Values) -> Score:
    key = score.metric, score.group
    low, high = worst.get(key), best.get(key)
    if low is None or high is None or low == high == score.value:
        return score
    bounds = {"verdicts": unread, "low": min(low, high), "high": max(low, high)}
    return msgspec.structs.replace(score, details={**score.details, DETAIL: bounds})


def _settled(judgement: Judgement, ends: Callable[[Judgement], Ends], *, best: bool) -> Judgement:
    """Put an unread verdict at the end that is best, or worst, for the candidate."""
    return msgspec.structs.replace(judgement, verdict=ends(judgement)[best]) if is_unread(judgement) else judgement


def _ends(task: Task, data: TaskData, unread: Sequence[Judgement]) -> Callable[[Judgement], Ends] | None:
    """The worst and the best verdict for the candidate, of every unread one; ``None`` if they are not known."""
    if (own := task.verdict_ends) is not None:
        return lambda judgement: own(data.by_id[judgement.example_id], judgement.case_id)
    kinds = {judgement.judge: len(judgement.answers) == 2 for judgement in unread}
    found = {name: _ends_of(data.judges.get(name), task, of_pairs=of_pairs) for name, of_pairs in kinds.items()}
    ends = {name: own for name, own in found.items() if own is not None}
    if len(ends) < len(found):
        return None

    def of_judge(judgement: Judgement) -> Ends:
        low, high = ends[judgement.judge]
        shown_second = len(judgement.answers) == 2 and judgement.candidate == 1
        return (high, low) if shown_second else (low, high)

    return of_judge


def _ends_of(judge: Judge | None, task: Task, *, of_pairs: bool) -> Ends | None:
    """The lowest and the highest verdict of a judge: by its labels, by its scale, or by the metric's bounds."""
    said = _verdicts(judge)
    if said:
        values = [verdict.value for verdict in said if verdict.value is not None]
        low, high = (
            _outermost([(place, v) for place, v in enumerate(said) if v.value == end], len(said))
            for end in (min(values), max(values))
        )
        return low, high
    if of_pairs:
        return Verdict(value=0.0), Verdict(value=1.0)
    scale = getattr(getattr(judge, "texts", None), "scale", None)
    rated = (metric.bounds for metric in task.metrics if metric.unit == "rating")
    scale = scale or next((bounds for bounds in rated if bounds), None)
    return scale and (Verdict(value=scale[0]), Verdict(value=scale[1]))


def _verdicts(judge: Judge | None) -> list[Verdict]:
    """What a judge says by each of its labels; nothing if it has none, or if they do not stand for themselves."""
    labels: Sequence[str] = getattr(judge, "labels", ())
    values: Sequence[float] | None = getattr(judge, "values", None)
    if values is not None:  # by probabilities: each label alone would be worth this
        return [Verdict(value=value, label=label) for value, label in zip(values, labels, strict=True)]
    read: Callable[[str], Verdict] | None = getattr(judge, "read_text", None)
    if read is None or len(labels) < 2:
        return []
    return [verdict for verdict in map(read, labels) if verdict.value is not None]


def _outermost(those: Sequence[tuple[int, Verdict]], count: int) -> Verdict:
    """Of verdicts of one value the one furthest from the middle: a clear win, which may weigh more than a win."""
    return max(those, key=lambda placed: abs(placed[0] - (count - 1) / 2))[1]
