"""The reading rules of judge files."""

from typing import Any

import pytest

from judgebench.judges import patterns
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.verdict_rules import VerdictRule, misfit, problem, problem_of_patterns, reader
from judgebench.records import Verdict

LABELS = {"[[A]]": 1.0, "[[B]]": 0.0, "[[C]]": 0.5}
PAIRS, RATINGS = CaseTexts(answers=2), CaseTexts(answers=1, scale=(1.0, 10.0))


def read(text: str, **rule: Any) -> Verdict:
    """Read a reply by a rule."""
    made = VerdictRule(**rule)
    assert problem(made) is None
    return reader(made, (1.0, 10.0))(text)


@pytest.mark.parametrize(
    ("text", "which", "value"),
    [
        ("[[A]] or rather [[B]]", "last", 0.0),
        ("[[A]] or rather [[B]]", "first", 1.0),
        ("[[A]] or rather [[B]]", "only", None),
        ("[[C]], as I said: [[C]]", "only", 0.5),
        ("neither", "last", None),
    ],
)
def test_a_label_is_read_where_it_stands(text: str, which: str, value: float | None) -> None:
    """The last label counts unless the file says otherwise."""
    assert read(text, read="label", labels=LABELS, which=which).value == value


def test_a_label_is_not_a_part_of_a_word() -> None:
    """A letter as a label is not found in other words, and the longest label wins."""
    assert read("Answer B beats A", read="label", labels={"A": 1.0, "B": 0.0}, which="first").value == 0.0
    assert read("A>>B", read="label", labels={"A>B": 0.75, "A>>B": 1.0}).value == 1.0


def test_a_verdict_has_the_label_without_brackets() -> None:
    """So that Arena-Hard counts a clear win as one, whatever the brackets."""
    assert read("[[A>>B]]", read="label", labels={"[[A>>B]]": 1.0, "[[B>>A]]": 0.0}).label == "A>>B"


def test_a_regex_says_where_the_label_stands() -> None:
    """Its group is the label; a text that is no label is no verdict."""
    rule: dict[str, Any] = {"read": "label", "labels": {"1": 1.0, "2": 0.0}, "regex": r"Winner: (\d)"}
    assert read("1 and 2. Winner: 2", **rule).value == 0.0
    assert read("Winner: 3", **rule).value is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("[[7]]", 7.0), ("[[ 7.5 ]]", 7.5), ("[[3]] no, [[4]]", 4.0), ("[[11]]", None), ("7", None), ("[[7/10]]", None)],
)
def test_a_rating_stands_in_double_brackets_and_on_its_scale(text: str, value: float | None) -> None:
    """A number that is not on the scale is no rating."""
    assert read(text, read="rating", scale=(1, 10)).value == value


def test_another_scale_is_mapped_if_the_file_says_so() -> None:
    """The middle of one scale is the middle of the other."""
    assert read("Score: 3", read="rating", scale=(1, 5), regex=r"Score: (\d)", rescale=True).value == 5.5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"why": "x", "score": 6}', 6.0),
        ('So:\n```json\n{"score": "6"}\n```', 6.0),
        ('I say {"score": 6}.', 6.0),
        ('{"score": true}', None),
        ('{"score": NaN}', None),
        ('{"score": 1e400}', None),
        ('{"points": 6}', None),
        ("[6]", None),
        ("[" * 100_000, None),
    ],
)
def test_a_key_of_json_is_read(text: str, value: float | None) -> None:
    """The object may be the reply, stand in a fenced block, or between other words."""
    assert read(text, read="json:score", scale=(1, 10)).value == value


def test_a_key_of_json_may_hold_a_label() -> None:
    """True and false are labels, too."""
    labels = {"true": 1.0, "false": 0.0}
    assert read('{"first_is_better": false}', read="json:first_is_better", labels=labels).value == 0.0


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ({"read": "vibes"}, "read"),
        ({"read": "json:"}, "read"),
        ({"read": "label"}, "labels"),
        ({"read": "logprob", "labels": {"A": 1.0}}, "labels"),
        ({"read": "rating"}, "scale"),
        ({"read": "rating", "scale": (5, 1)}, "scale"),
        ({"read": "json:x"}, "labels"),
        ({"read": "label", "labels": LABELS, "regex": "(" * 5}, "regex"),
        ({"read": "logprob", "labels": LABELS, "regex": "x"}, "regex"),
        ({"read": "label", "labels": LABELS, "binarise": True}, "binarise"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_its_key(rule: dict[str, Any], key: str) -> None:
    """Before anything is asked."""
    found = problem(VerdictRule(**rule))
    assert found is not None
    assert found[0] == key


@pytest.mark.parametrize(
    "pattern",
    [
        "Score: ((?:a|a)+)$",
        r"(\w+\s?)*x",
        "(?:a?){60}b",
        "Score: (a*a*a*a*a*a*a*a*b)",
    ],
)
def test_a_pattern_that_does_not_end_is_ended(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No look at a pattern tells how long it takes; a reply that keeps it busy has no verdict, and says why."""
    monkeypatch.setattr(patterns, "CPU_SECONDS", 0.1)
    stuck = read("Score: " + "a" * 60 + "!", read="label", labels=LABELS, regex=pattern)
    assert stuck.value is None
    assert "was ended after" in str(stuck.error)


def test_after_a_pattern_was_ended_it_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next reply is read by a fresh process."""
    monkeypatch.setattr(patterns, "CPU_SECONDS", 0.5)
    rule: dict[str, Any] = {"read": "label", "labels": {"1": 1.0, "2": 0.0}, "regex": r"(?:a|a)+!|Winner: (\d)"}
    judge = reader(VerdictRule(**rule), None)
    verdicts = [judge(text) for text in ("Winner: 2", "a" * 60, "Winner: 1")]
    assert [verdict.value for verdict in verdicts] == [0.0, None, 1.0]
    assert "was ended after" in str(verdicts[1].error)


@pytest.mark.parametrize(
    ("pattern", "why"), [(r"\d*", "matches the empty text"), ("(?:|(?!x))" * 45 + "(?=b)", "does not end")]
)
def test_a_pattern_that_finds_nothing_in_particular_is_refused(
    pattern: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried before anything is asked."""
    monkeypatch.setattr(patterns, "CPU_SECONDS", 0.5)
    found = problem_of_patterns(VerdictRule(read="rating", scale=(1, 5), regex=pattern))
    assert found is not None
    assert why in found[1]


@pytest.mark.parametrize(
    ("rule", "texts", "reason"),
    [
        ({"read": "rating", "scale": (1, 10)}, PAIRS, "pairs of answers"),
        ({"read": "label", "labels": {"A": 2.0, "B": 0.0}}, PAIRS, "not from 0 to 1"),
        ({"read": "rating", "scale": (1, 5)}, RATINGS, "rescale = true"),
        ({"read": "label", "labels": {"A": 1.0, "B": 0.0}}, RATINGS, "not a rating from 1 to 10"),
        ({"read": "logprob", "labels": {"9": 9.0, "1": 1.0}, "binarise": True}, RATINGS, "single answers"),
    ],
)
def test_a_rule_must_fit_the_cases(rule: dict[str, Any], texts: CaseTexts, reason: str) -> None:
    """Ratings are of single answers, shares of a win of pairs."""
    assert reason in str(misfit(VerdictRule(**rule), texts))


def test_labels_may_rate_single_answers() -> None:
    """If each is worth a rating on the benchmark's scale."""
    assert misfit(VerdictRule(read="logprob", labels={"good": 9.0, "bad": 2.0}), RATINGS) is None
