"""AlpacaEval's agreement: its figures on PandaLM's people, and its rules for centres."""

import numpy as np
import pytest
from numpy.typing import NDArray

from judgebench.stats.cross_annotation import centre, cross_agreement
from tests.stats.judge_meta import expected, lines


def votes(*keys: str) -> NDArray[np.float64]:
    """PandaLM's labels as AlpacaEval codes them, a tie as 1.5."""
    table = np.array(
        [[np.nan if row[key] is None else row[key] for key in keys] for row in lines("pandalm/cross_annotations")]
    )
    return np.where(table == 0, 1.5, table)


PEOPLE = ("annotator1", "annotator2", "annotator3")


def test_people_among_each_other() -> None:
    """One person against another, and against the mode of two others, as upstream's analyzer has them."""
    wanted = expected("stats", "pandalm")["alpaca_eval_analyzer"]
    people = votes(*PEOPLE)
    one = cross_agreement(people, against=1)
    assert one.score == pytest.approx(wanted["humans_1_vs_rest_agreement"]["score"], abs=1e-12)
    assert (one.n, one.comparisons) == (666, 6)
    assert cross_agreement(people).error == pytest.approx(wanted["humans_variance_1_vs_2"], abs=1e-12)


@pytest.mark.parametrize("judge", ["judge_gpt35", "judge_pandalm"])
def test_judges_against_people(judge: str) -> None:
    """A judge's one vote against one person at a time; items without its vote are left out."""
    wanted = expected("stats", "pandalm")["alpaca_eval_analyzer"][f"{judge}_human_agreement"]
    found = cross_agreement(votes(judge), votes(*PEOPLE), against=1)
    assert found.score == pytest.approx(wanted["score"], abs=1e-12)
    assert (found.n, found.comparisons) == (wanted["counts"], 3)
    assert found.interval is not None
    assert found.interval.low < wanted["score"] < found.interval.high


def test_centres() -> None:
    """Mode of whole votes, median of shares, mean for squares; of several modes always the same one is drawn."""
    assert centre([[1, 2, 2], [1.5, 1.5, 2], [1.2, 1.9, 1.4], [np.nan, 2, np.nan]]).tolist() == [2, 1.5, 1.4, 2]
    assert centre([[1, 2, 2]], "squared").tolist() == [pytest.approx(5 / 3)]
    drawn = set(centre([[1, 2]] * 5).tolist())
    assert len(drawn) == 1
    # What pandas gives for Series([1.0, 2.0]).sample(1, random_state=123), and for [1.0, 1.5, 2.0].
    assert drawn == {2.0}
    assert centre([[1, 1.5, 2]]).tolist() == [1.0]


def test_rules_differ_on_shares_alone() -> None:
    """The loss of 1.75 against 2 is a quarter, a sixteenth, or nothing, because it rounds to 2."""
    for rule, score in (("absolute", 0.75), ("squared", 1 - 1 / 16), ("zero_one", 1.0)):
        found = cross_agreement([[1.75], [1.75]], [[2], [2]], rule=rule)  # type: ignore[arg-type]
        assert found.score == pytest.approx(score)


def test_more_votes_than_there_are() -> None:
    """One vote has no variance: a reason, not an error."""
    found = cross_agreement([[1], [2]])
    assert found.score is None
    assert found.reason is not None


def test_malformed_votes_are_named() -> None:
    """Votes outside 1 to 2 and tables of other items are refused."""
    with pytest.raises(ValueError, match="a vote lies"):
        cross_agreement([[0.0]])
    with pytest.raises(ValueError, match="same items"):
        cross_agreement([[1.0]], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="at most"):
        cross_agreement([[1.0] * 13])
