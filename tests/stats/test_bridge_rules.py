"""The rules of a bridge, each by a made-up case, and the test of a changed judge against scipy's."""

import ast
import inspect

import numpy as np
import pytest
from scipy import stats

from judgebench.stats import bridge, bridge_rules
from judgebench.stats.bridge_rules import (
    WORDS,
    Findings,
    completeness_rule,
    drift_p_value,
    drift_rule,
    evidence_rule,
    models_rule,
    range_rule,
    saturation_rule,
    vendor_rule,
)

NOTHING = Findings()


def test_findings_add_up() -> None:
    """Each code once, in the order they were found."""
    assert Findings(("a",), ("m",)) + Findings(("b", "a"), ("m", "n")) == Findings(("a", "b"), ("m", "n"))


def test_every_code_has_words() -> None:
    """No rule has a code that nobody can explain."""
    codes = {
        node.value
        for module in (bridge, bridge_rules)
        for call in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("Findings", "_either")
        for node in ast.walk(call)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert codes == WORDS.keys() - {"no_fit", "alias"}


@pytest.mark.parametrize(
    ("vendor", "judge", "official", "refused"),
    [
        ("google", "openai", "google", True),
        ("openai", "openai", "google", True),
        ("anthropic", "openai", "google", False),
        ("openai", "openai", "openai", False),
        (None, "openai", "google", False),
        (None, None, "google", False),
        ("google", None, "google", True),
        ("google", None, None, False),
    ],
)
def test_vendors(vendor: str | None, judge: str | None, official: str | None, refused: bool) -> None:
    """R4: a model of either judge's vendor if these differ; nobody's vendor is nobody's."""
    assert vendor_rule(vendor, judge, official) == (Findings(("vendor",)) if refused else NOTHING)


def test_a_fine_tune_of_a_judges_vendor_is_marked() -> None:
    """R4: Gemma, trained further by somebody else, where Gemini is one of the judges."""
    assert vendor_rule("nobody", "openai", "google", base_vendor="google") == Findings((), ("fine_tune",))
    assert vendor_rule("nobody", "google", "google", base_vendor="google") == NOTHING


def test_thresholds_belong_to_the_better_side() -> None:
    """A number at the threshold passes."""
    assert models_rule(5) == models_rule(7) == Findings((), ("weak",))
    assert evidence_rule(0.5) == Findings((), ("weak",))
    assert evidence_rule(0.8) == NOTHING
    assert evidence_rule(None) == evidence_rule(-3) == Findings(("explains_too_little",))
    assert range_rule(0) == NOTHING
    assert range_rule(0.25) == Findings((), ("extrapolated",))
    assert range_rule(None) == Findings(("out_of_range",))
    assert saturation_rule(2, 10) == NOTHING
    assert saturation_rule(3, 10) == Findings(("saturated",))


def test_incomplete_runs() -> None:
    """R6: more missing than the task allows, or other items; any missing verdict is marked."""
    assert completeness_rule(0, 100, 0.05) == NOTHING
    assert completeness_rule(5, 100, 0.05) == Findings((), ("missing",))
    assert completeness_rule(6, 100, 0.05) == Findings(("incomplete",), ("missing",))
    assert completeness_rule(29, 100, 0.29).reasons == ()  # 0.29 * 100 is less than 29 for a computer
    assert completeness_rule(0, 100, 0.05, same_items=False) == Findings(("incomplete",))
    for missing, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="cannot be missing"):
            completeness_rule(missing, n, 0.05)


def test_drift() -> None:
    """R9: a judge found changed is refused, an old bridge is marked."""
    assert drift_rule(None, 180) == drift_rule(0.01, 0) == NOTHING
    assert drift_rule(0.0099, 181) == Findings(("stale",), ("old",))


def test_changed_wins_are_tested_exactly() -> None:
    """McNemar's test: of the verdicts that changed, how many went each way."""
    stored = np.array([1] * 30 + [0] * 20)
    asked = stored.copy()
    asked[:9] = 0
    asked[30] = 1
    assert drift_p_value(stored, asked) == pytest.approx(stats.binomtest(1, 10).pvalue)
    assert drift_p_value(stored, stored) == 1.0


def test_changed_grades_are_compared_in_pairs() -> None:
    """A paired t-test, also where all grades moved by the same amount; nothing from a single item."""
    stored, asked = np.array([7, 6, 8, 5, 9, 7.0]), np.array([6, 6, 7, 5, 7, 7.0])
    assert drift_p_value(stored, asked) == pytest.approx(stats.ttest_rel(asked, stored).pvalue)
    assert drift_p_value(stored, stored - 0.5) == 0.0
    assert drift_p_value([7.0], [8.0]) is None
