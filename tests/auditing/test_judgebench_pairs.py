"""JudgeBench: the published accuracies of four judges from their replies and scores."""

from collections.abc import Iterator
from typing import Any

import pytest

from judgebench.auditing.items import Decision
from judgebench.auditing.judgebench_pairs import CATEGORIES, read_label
from judgebench.auditing.suites import get_suite
from tests.auditing.published import items_of, judgebench_lines
from tests.auditing.test_llmbar import figure
from tests.shared_data import each
from tests.stats.judge_meta import expected

JUDGES = each(lambda: list(expected("judges", "judgebench")))
BREAKDOWN = {
    "n_correct": "accuracy",
    "n_incorrect": "incorrect",
    "n_tie": "undecided",
    "n_both_correct": "both_correct",
    "n_both_wrong_label": "none_correct",
    "n_inconsistent": "inconsistent",
    "n_null_any": "null_any",
    "n_first_position_both": "first_both",
    "n_second_position_both": "second_both",
}


def decided(judge: dict[str, Any]) -> Iterator[Decision]:
    """What our readers make of a judge's raw replies or scores, each decision compared with the stored one."""
    suite, items = get_suite("judgebench"), {item.id: item for item in items_of("judgebench")}
    for line in judgebench_lines(judge):
        if "raw" in line:
            labels = [read_label(reply)[0] for reply in line["raw"]]
            made = tuple(
                Decision(item=line["pair_id"], order=order, shown=label, error=None if label else "no label")  # type: ignore[arg-type]
                for order, label in zip(("12", "21"), labels, strict=True)
            )
        else:
            made = suite.decide(items[line["pair_id"]], line["scores"][0])
        assert [decision.shown for decision in made] == line["decisions"]
        yield from made


@pytest.mark.parametrize("judge", JUDGES)
def test_published_accuracies(judge: str) -> None:
    """Accuracies by category and over all, and the counts behind them; no raw reply is read otherwise than upstream."""
    wanted = expected("judges", "judgebench")[judge]
    report = get_suite("judgebench").report(items_of("judgebench"), decided(wanted))
    assert (report.judged, report.items) == (wanted["n"], 620)
    for key, name in (
        ("upstream_pair_accuracy_pct", "accuracy"),
        ("upstream_single_game_accuracy_pct", "single_game_accuracy"),
    ):
        for category, value in wanted[key].items():
            found = figure(report, name, CATEGORIES.get(category, "all"))
            assert found.value is not None
            assert found.interval is not None
            assert 100 * found.value == pytest.approx(value, abs=1e-9)
            assert found.interval.low < found.value < found.interval.high
    for key, count in wanted["breakdown"].items():
        assert figure(report, BREAKDOWN[key], "all").successes == count, key


def test_once_right_and_once_a_tie_is_right() -> None:
    """The pair is right if more verdicts name the right response; one null leaves the other to decide."""
    items = items_of("judgebench")[:4]
    rights = {"1": ("A>B", "B>A"), "2": ("B>A", "A>B")}
    made = []
    for item, second in zip(items, ("right", "A=B", None, "wrong"), strict=True):
        first, swapped = rights[item.gold[0].label]
        wrong = {"A>B": "B>A", "B>A": "A>B"}[swapped]
        shown = {"right": swapped, "wrong": wrong}.get(second or "", second)
        made += [
            Decision(item=item.id, shown=first),  # type: ignore[arg-type]
            Decision(item=item.id, order="21", shown=shown, error=None if shown else "cut off"),  # type: ignore[arg-type]
        ]
    report = get_suite("judgebench").report(items, made)
    counts = [figure(report, name, "all").successes for name in ("accuracy", "incorrect", "undecided", "null_any")]
    assert counts == [3, 0, 1, 1]
    assert (report.nulls, report.ties, report.judged) == (1, 1, 4)
