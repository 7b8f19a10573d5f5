"""When a bridge's prediction must be refused, and what must stand beside one that is given.

Each rule takes plain numbers or names and returns :class:`Findings`: codes of reasons to refuse, and of marks.
:mod:`judgebench.stats.bridge` applies those that follow from its numbers. The others are for its caller, who knows who
made a model and whether the judge is still the same, and hands what they find to ``BridgeFit.predict``. ``WORDS`` says
each code in words.

The thresholds were chosen on bridges between real pairs of judges of AlpacaEval, Arena-Hard, WildBench and MT-Bench.
The largest effect found there is the vendor's: between gpt-4.1 and gemini-2.5 as judges of Arena-Hard v2.0, bridges
over 14 models of other vendors held 3 of 13 models of OpenAI and Google in their 95 % intervals. Of bridges whose
official numbers were permuted, 0 to 5 % pass the rule of evidence.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from judgebench.stats.arrays import columns

LEAST_MODELS, WEAK_MODELS = 5, 8
LEAST_EXPLAINED, WEAK_EXPLAINED = 0.5, 0.8
FARTHEST = 0.25
"""Distance beyond the judged range, in units of that range on the logit scale."""
MOST_CLIPPED = 0.2
"""Share of the bridge models whose judged number is clipped."""
MOST_NOISE = 0.1
"""Mean sampling variance of the judged numbers over their variance: beyond it the slope is visibly flattened."""
OLD_DAYS = 180
CHANGED_P = 0.01

WORDS = {
    "too_few_models": f"the bridge has fewer than {LEAST_MODELS} models",
    "no_fit": "fewer than three models give no line with a scatter",
    "explains_too_little": (
        f"left out one at a time, less than {LEAST_EXPLAINED:g} of the models' differences is explained: the judge "
        "does not follow the official one, or the models are too alike and should be spread over the official range"
    ),
    "vendor": "the two judges' vendors differ and one of them trained the model",
    "out_of_range": f"the judge's number lies more than {FARTHEST:g} of the bridge's range beyond it",
    "incomplete": "too many verdicts are missing, or other items were judged",
    "saturated": "the judge runs into the ends of its range",
    "stale": "the judge has changed since it judged the bridge",
    "weak": f"fewer than {WEAK_MODELS} models, or less than {WEAK_EXPLAINED:g} explained",
    "extrapolated": "the judge's number lies beyond those of the bridge models",
    "fine_tune": "the model was trained from open weights of a judge's vendor",
    "missing": "some verdicts are missing",
    "flattened": "the bridge models were judged on so few items that the slope is too flat",
    "old": f"the bridge is older than {OLD_DAYS} days",
    "alias": "the judge's name has no date: its vendor may change what it stands for",
    "own_model": "one of the bridge's own models, to which it was fitted: this says nothing about new ones",
    "forced": "given although it is refused",
}
"""What each code means."""


@dataclass(frozen=True)
class Findings:
    """What rules found; two of them add up."""

    reasons: tuple[str, ...] = ()
    """Why a number is refused."""
    marks: tuple[str, ...] = ()
    """What must be shown beside it."""

    def __add__(self, other: "Findings") -> "Findings":
        """Both, each code once, in order."""
        reasons, marks = (*self.reasons, *other.reasons), (*self.marks, *other.marks)
        return Findings(tuple(dict.fromkeys(reasons)), tuple(dict.fromkeys(marks)))


def models_rule(n: int) -> Findings:
    """R1: five bridge models at least, and eight for a bridge that is not weak.

    >>> models_rule(4).reasons, models_rule(5).marks, models_rule(8)
    (('too_few_models',), ('weak',), Findings(reasons=(), marks=()))
    """
    return _either(n < LEAST_MODELS, "too_few_models", n < WEAK_MODELS, "weak")


def evidence_rule(explained: float | None) -> Findings:
    """R2: what predictions of the bridge's own models, each left out in turn, explain; ``None`` explains nothing.

    >>> evidence_rule(0.49).reasons, evidence_rule(0.5).marks, evidence_rule(0.8).marks
    (('explains_too_little',), ('weak',), ())
    """
    worth = -np.inf if explained is None else explained
    return _either(worth < LEAST_EXPLAINED, "explains_too_little", worth < WEAK_EXPLAINED, "weak")


def vendor_rule(
    vendor: str | None,
    judge_vendor: str | None,
    official_vendor: str | None,
    *,
    base_vendor: str | None = None,
) -> Findings:
    """R4: a model that one of the two judges' vendors trained, if these differ; ``None`` is nobody's.

    Leave bridge models out for which this refuses. ``base_vendor`` is who trained the open weights that the model was
    fine-tuned from: a mark.

    >>> vendor_rule("google", "openai", "google").reasons
    ('vendor',)
    >>> vendor_rule("openai", "openai", "openai")
    Findings(reasons=(), marks=())
    """
    judges = {judge_vendor, official_vendor} - {None} if judge_vendor != official_vendor else set()
    return _either(vendor in judges, "vendor", base_vendor in judges, "fine_tune")


def own_model_rule(*, fitted: bool) -> Findings:
    """Whether the bridge was fitted to the very model that is predicted."""
    return Findings((), ("own_model",) if fitted else ())


def range_rule(distance: float | None) -> Findings:
    """R5: how far beyond the bridge's range the judge's number lies; ``None`` without a range.

    >>> range_rule(0.25), range_rule(0.26).reasons, range_rule(0.0).marks
    (Findings(reasons=(), marks=('extrapolated',)), ('out_of_range',), ())
    """
    far = np.inf if distance is None else distance
    return _either(far > FARTHEST, "out_of_range", far > 0, "extrapolated")


def completeness_rule(missing: int, n: int, limit: float, *, same_items: bool = True) -> Findings:
    """R6: ``missing`` of ``n`` verdicts, of which the task allows the share ``limit``.

    ``same_items`` says whether the items are the bridge's; a random part of them counts as such.

    >>> completeness_rule(3, 100, 0.02).reasons, completeness_rule(2, 100, 0.02).marks
    (('incomplete',), ('missing',))
    """
    if n < 1 or not 0 <= missing <= n:
        raise ValueError(f"of {n} verdicts {missing} cannot be missing")
    return Findings(("incomplete",) if missing / n > limit or not same_items else (), ("missing",) if missing else ())


def saturation_rule(clipped: int, n: int) -> Findings:
    """R7: how many of ``n`` judged numbers lie at the ends of the range.

    >>> saturation_rule(1, 5).reasons, saturation_rule(2, 9).reasons
    ((), ('saturated',))
    """
    return Findings(("saturated",)) if clipped > 0 and clipped / n > MOST_CLIPPED else Findings()


def drift_rule(p_value: float | None, age_days: float) -> Findings:
    """R9: the p-value of :func:`drift_p_value`, ``None`` if nobody asked the judge again, and the bridge's age.

    >>> drift_rule(0.009, 200)
    Findings(reasons=('stale',), marks=('old',))
    """
    return Findings(
        ("stale",) if p_value is not None and p_value < CHANGED_P else (), ("old",) if age_days > OLD_DAYS else ()
    )


def drift_p_value(stored: ArrayLike, asked: ArrayLike) -> float | None:
    """Two-sided p-value of "the judge is the same", from its verdicts on the same items then and now, shapes (n,).

    Wins and losses, 1 and 0, are compared by McNemar's exact test (1947), other verdicts by a paired t-test. ``None``
    with fewer than two items.

    >>> drift_p_value([1, 1, 1, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 1])  # six changed, all one way
    0.03125
    """
    from scipy.stats import binomtest, ttest_rel

    before, after = columns(stored, asked)
    changed = after - before
    if len(changed) < 2:
        return None
    up, down = int((changed > 0).sum()), int((changed < 0).sum())
    if not up and not down:
        return 1.0
    if np.isin([before, after], (0, 1)).all():
        return float(binomtest(up, up + down).pvalue)
    # All changed by the same amount: the t-test divides by 0.
    return 0.0 if np.ptp(changed) < 1e-12 else float(ttest_rel(after, before).pvalue)


def _either(refused: bool, reason: str, marked: bool, mark: str) -> Findings:
    """The reason, or else the mark."""
    if refused:
        return Findings((reason,))
    return Findings((), (mark,)) if marked else Findings()
