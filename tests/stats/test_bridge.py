"""Judge bridges: numbers of real second judges, the least squares of statsmodels, and invariants."""

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from judgebench.stats.bridge import (
    BridgeFit,
    ControlledMean,
    Line,
    controlled_mean,
    fit_bridge,
    leave_one_out,
    shrunk_line,
    spread_models,
)
from judgebench.stats.bridge_rules import WORDS, Findings, vendor_rule
from tests.shared_data import SHARED, each

JUDGED, OFFICIAL = [10.0, 20, 30, 40, 55, 70], [14.0, 22, 36, 41, 60, 68]
RULES = settings(max_examples=30, deadline=None)


@cache
def cases() -> dict[str, Any]:
    """The published bridges with their expected numbers."""
    read: dict[str, Any] = json.loads((SHARED / "bridge" / "expected.json").read_text())["cases"]
    return read


BRIDGES = each(lambda: [name for name, case in cases().items() if "fit" in case])


def fitted(case: dict[str, Any]) -> BridgeFit:
    """The bridge over the case's models, but for those that the rule of vendors leaves out."""
    models = [model for model in case["models"] if model["included"]]
    low, high = case["range"]
    return fit_bridge([m["judged"] for m in models], [m["official"] for m in models], low=low, high=high)


@pytest.mark.parametrize("name", BRIDGES)
def test_published_bridges(name: str) -> None:
    """Line, scatter and verdict of each bridge; logits to 1e-6 relative, which the fixture's ten digits bear."""
    case = cases()[name]
    fit, want = fitted(case), case["fit"]
    for field in ("n", "centre", "intercept", "slope", "tau", "df"):
        assert getattr(fit, field) == pytest.approx(want[field], rel=1e-6), field
    assert fit.covariance is not None
    assert np.array(fit.covariance) == pytest.approx(np.array(want["covariance"]), rel=1e-6, abs=1e-9)
    assert fit.judged_range == pytest.approx(tuple(want["judged_range"]))
    assert (fit.status, list(fit.reasons)) == (case["status"], case["reasons"])


@pytest.mark.parametrize("name", BRIDGES)
def test_published_bridges_left_out_one_at_a_time(name: str) -> None:
    """Every model predicted by the others, to 1e-4 points, and what that says of the bridge."""
    case = cases()[name]
    found = fitted(case).loo
    assert len(found.models) == len(case["loo"])
    for model, want in zip(found.models, case["loo"], strict=True):
        for field in ("stderr_logit", "df", "t"):
            assert getattr(model, field) == pytest.approx(want[field], rel=1e-6), (want["model"], field)
        for field in ("predicted", "low95", "high95", "low90", "high90", "official"):
            assert getattr(model, field) == pytest.approx(want[field], abs=1e-4), (want["model"], field)
        assert (model.covered95, model.covered90) == (want["covered95"], want["covered90"])
    for field, value in case["checks"].items():
        points = field.endswith(("error", "width95"))
        assert getattr(found, field) == pytest.approx(value, abs=1e-4 if points else 1e-6), field


@pytest.mark.parametrize("name", BRIDGES)
def test_published_predictions(name: str) -> None:
    """New models' numbers to 1e-4 points, with every reason against them; a refused one is given only by force."""
    case = cases()[name]
    fit = fitted(case)
    vendors = {model["name"]: model["vendor"] for model in case["models"]}
    for want in case["predictions"]:
        vendor = vendor_rule(vendors.get(want["model"]), case["judge_vendor"], case["official_vendor"])
        found = fit.predict(want["judged"], findings=vendor)
        assert found.status == want["status"]
        assert set(found.reasons) == set(want["reasons"])
        assert (found.value is None) == (found.interval is None) == (want["status"] == "refused")
        for level in (95, 90):
            forced = fit.predict(want["judged"], level / 100, findings=vendor, force=True)
            assert forced.value == pytest.approx(want["predicted"], abs=1e-4)
            assert forced.interval is not None
            bounds = (want[f"low{level}"], want[f"high{level}"])
            assert (forced.interval.low, forced.interval.high) == pytest.approx(bounds, abs=1e-4)
            assert forced.logit == pytest.approx(want["logit"], rel=1e-6)
            assert forced.stderr_logit == pytest.approx(want["stderr_logit"], rel=1e-6)
            assert forced.distance == pytest.approx(want["distance"], abs=1e-6)
            assert ("forced" in forced.marks) == (want["status"] == "refused")


def test_published_bridge_leaves_out_the_judges_own_vendors() -> None:
    """Which models of the Arena-Hard bridge are in it is what the rule of vendors says."""
    for name in ("ah2_gemini_from_gpt41", "ah2_gpt41_from_gemini", "ae2_win_rate_from_cot"):
        case = cases()[name]
        for model in case["models"]:
            found = vendor_rule(model["vendor"], case["judge_vendor"], case["official_vendor"])
            assert bool(found.reasons) == (not model["included"])


def test_published_difference() -> None:
    """Of two models judged 40 and 30 in the Arena-Hard bridge, to the fixture's digits."""
    case = cases()["ah2_gemini_from_gpt41"]
    want = case["difference"]
    found = fitted(case).difference(*want["judged"])
    for field in ("difference_logit", "stderr_logit", "df", "probability_first_better"):
        assert getattr(found, field) == pytest.approx(want[field], rel=1e-6), field
    assert found.interval is not None
    bounds = (want["low95_logit"], want["high95_logit"])
    assert (found.interval.low, found.interval.high) == pytest.approx(bounds, rel=1e-6)


def test_a_judged_number_is_the_mean_of_verdicts() -> None:
    """The win rates of the chain-of-thought judge that the published bridge is made from."""
    pd = pytest.importorskip("pandas")
    table = pd.read_parquet(SHARED / "bridge" / "ae2_other_judges.parquet")
    rates = 100 * (table[table.judge.str.contains("cot")].groupby("model").preference.mean() - 1)
    models = {model["name"]: model["judged"] for model in cases()["ae2_win_rate_from_cot"]["models"]}
    assert rates.to_dict() == pytest.approx(models, rel=1e-8)


def test_published_controlled_means() -> None:
    """WildBench's gpt-4-turbo on every eighth session, with gpt-4o's scores of all as control."""
    pd = pytest.importorskip("pandas")
    table = pd.read_parquet(SHARED / "bridge" / "wildbench_two_judges.parquet")
    sessions = sorted(set(table.session_id))[::8]
    rows = cases()["control_variate_wb"]["rows"]
    assert len(rows) == 4
    for model, want in rows.items():
        scores = table[table.model == model].pivot_table(index="session_id", columns="judge", values="score")
        drawn = scores.index.isin(sessions) & scores.notna().all(axis=1)
        judged, official = scores["gpt-4-turbo-2024-04-09"], scores["gpt-4o-2024-05-13"]
        found = controlled_mean(judged[drawn], official[drawn], official[~drawn].dropna())
        assert (found.k, found.n) == (want["k"], want["n"])
        assert found.weight == pytest.approx(want["weight"], rel=1e-8)
        assert (found.value, found.stderr) == pytest.approx((want["judged"], want["judged_stderr"]), rel=1e-8)
        plain = controlled_mean(judged[drawn], np.zeros(found.k), np.zeros(found.n - found.k))
        assert (plain.value, plain.stderr) == pytest.approx((want["plain"], want["plain_stderr"]), rel=1e-8)


def worked() -> BridgeFit:
    """The worked example: six models, of which nobody knows the vendor."""
    return fit_bridge(JUDGED, OFFICIAL)


def test_the_worked_example_by_hand() -> None:
    """The fixed point holds: the line from the scatter, and the scatter from the line, each by the matrix formula."""
    fit = worked()
    assert (fit.intercept, fit.slope) == pytest.approx((-0.4768415, 0.8834104), abs=1e-7)
    assert (fit.tau, fit.df) == pytest.approx((0.1226381, 4.00993), abs=1e-5)
    u, v = (np.log(np.array(x) / (100 - np.array(x))) for x in (JUDGED, OFFICIAL))
    design = np.stack([np.ones(6), u - u.mean()], axis=1)
    assert fit.tau is not None
    assert fit.df is not None
    precision = design.T @ design / fit.tau**2 + np.diag([0, 4])
    covariance = np.linalg.inv(precision)
    line = covariance @ (design.T @ v / fit.tau**2 + np.array([0, 4]))
    assert (fit.intercept, fit.slope) == pytest.approx(tuple(line), rel=1e-9)
    assert 6 - np.trace(covariance @ design.T @ design) / fit.tau**2 == pytest.approx(fit.df, rel=1e-9)
    assert np.square(v - design @ line).sum() / fit.df == pytest.approx(fit.tau**2, rel=1e-9)


def numbers(n: int, least: float = 1.0, most: float = 99.0) -> st.SearchStrategy[list[float]]:
    """Judged or official numbers away from the stops."""
    return st.lists(st.floats(least, most).map(lambda x: round(x, 3)), min_size=n, max_size=n)


def bridges() -> st.SearchStrategy[tuple[list[float], list[float]]]:
    """Judged and official numbers of five to twelve models that are not all alike."""
    drawn = st.integers(5, 12).flatmap(lambda n: st.tuples(numbers(n), numbers(n)))
    return drawn.filter(lambda pair: np.ptp(pair[0]) > 5)


def line_of(fit: BridgeFit) -> Line:
    """The line of a bridge that has one."""
    assert fit.line is not None
    return fit.line


@RULES
@given(bridges(), st.floats(1, 99))
def test_a_judge_that_is_the_official_one_predicts_its_own_number(pair: Any, new: float) -> None:
    """With y = x the slope is 1, the scatter at its floor and the prediction the judged number."""
    judged, _ = pair
    fit = fit_bridge(judged, judged)
    assert (fit.slope, fit.tau) == (pytest.approx(1, abs=1e-12), pytest.approx(1e-4))
    assert fit.predict(new, force=True).value == pytest.approx(new, rel=1e-9)


@RULES
@given(bridges(), st.floats(-1, 1))
def test_a_shift_on_logits_has_slope_one(pair: Any, shift: float) -> None:
    """With v = u + a exactly, the slope is 1 and the shift at the centre is a."""
    u = np.log(np.array(pair[0]) / (100 - np.array(pair[0])))
    line = shrunk_line(u, u + shift)
    assert (line.slope, line.intercept - line.centre) == (pytest.approx(1, abs=1e-9), pytest.approx(shift))


@RULES
@given(bridges(), st.randoms(use_true_random=False))
def test_the_order_of_models_is_immaterial(pair: Any, random: Any) -> None:
    """Models in another order give the same line and the same evidence."""
    order = list(range(len(pair[0])))
    random.shuffle(order)
    fits = [fit_bridge(*pair), fit_bridge(*(np.array(side)[order] for side in pair))]
    lines = [line_of(fit) for fit in fits]
    assert (lines[1].slope, lines[1].tau) == pytest.approx((lines[0].slope, lines[0].tau), rel=1e-6)
    assert [fits[0].loo.models[place].t for place in order] == pytest.approx(
        [model.t for model in fits[1].loo.models], rel=1e-5, abs=1e-6
    )
    assert fits[0].marks == fits[1].marks


@RULES
@given(bridges(), st.floats(1, 99), st.floats(-50, 50), st.floats(0.01, 20))
def test_a_linear_image_of_the_range_changes_no_logit(pair: Any, new: float, low: float, scale: float) -> None:
    """WB-Score and the mean grade it is made from have the same bridge."""
    judged, official = (low + scale * np.array(side) for side in pair)
    plain, image = fit_bridge(*pair), fit_bridge(judged, official, low=low, high=low + 100 * scale)
    assert (line_of(image).slope, line_of(image).tau) == pytest.approx(
        (line_of(plain).slope, line_of(plain).tau), rel=1e-6
    )
    one, other = plain.predict(new, force=True), image.predict(low + scale * new, force=True)
    assert other.logit == pytest.approx(one.logit, abs=1e-6)
    assert one.value is not None
    assert other.value == pytest.approx(low + scale * one.value, abs=1e-5 * scale)
    assert one.marks == other.marks


@RULES
@given(bridges(), st.floats(1, 99))
def test_losses_mirror_wins(pair: Any, new: float) -> None:
    """With 100 - x and 100 - y for x and y, prediction and interval are mirrored too."""
    mirrored = fit_bridge(*(100 - np.array(side) for side in pair)).predict(100 - new, force=True)
    plain = fit_bridge(*pair).predict(new, force=True)
    assert plain.interval
    assert mirrored.interval
    assert plain.value is not None
    assert mirrored.value == pytest.approx(100 - plain.value, abs=1e-5)
    assert mirrored.interval.low == pytest.approx(100 - plain.interval.high, abs=1e-5)
    assert mirrored.interval.high == pytest.approx(100 - plain.interval.low, abs=1e-5)


@RULES
@given(bridges(), st.floats(-3, 3))
def test_a_free_slope_is_least_squares(pair: Any, new: float) -> None:
    """Without a prior, the prediction interval is statsmodels' with M - 2 degrees of freedom."""
    api = pytest.importorskip("statsmodels.api")
    u, v = (np.log(np.array(side) / (100 - np.array(side))) for side in pair)
    assume(np.ptp(v) > 0.1)
    line = shrunk_line(u, v, slope_sd=1e6)
    # At the floor of the scatter, least squares has a smaller one.
    assume(line.tau > 1e-3)
    want = api.OLS(v, api.add_constant(u)).fit().get_prediction([[1.0, new]])
    z, stderr = line.at(new)
    assert line.df == pytest.approx(len(u) - 2, abs=1e-6)
    assert z == pytest.approx(want.predicted_mean[0], abs=1e-6)
    assert stderr == pytest.approx(want.se_obs[0], rel=1e-6)


def test_of_two_solutions_the_wider_one_is_taken() -> None:
    """Four models on a line of slope 3: no scatter solves the equations, and so does a lower slope with a large one."""
    u = np.array([-1.5, -0.5, 0.5, 1.5])
    line = shrunk_line(u, 3 * u)
    assert line.tau > 1
    assert line.slope == pytest.approx(1.45, abs=0.01)
    spread = u @ u
    weight = spread / (spread + 4 * line.tau**2)
    assert (line.slope, line.df) == pytest.approx((1 + 2 * weight, 3 - weight), rel=1e-9)
    assert line.tau**2 == pytest.approx((3 - line.slope) ** 2 * spread / line.df, rel=1e-9)
    # Up to slopes that real judges have there is one solution.
    assert shrunk_line(u, 1.7 * u).tau == pytest.approx(1e-4)


@RULES
@given(bridges(), st.floats(-3, 3))
def test_a_fixed_slope_is_a_shift(pair: Any, new: float) -> None:
    """With the slope held at 1: the mean difference, and a t interval of M - 1 degrees of freedom."""
    u, v = (np.log(np.array(side) / (100 - np.array(side))) for side in pair)
    assume((v - u).std() > 1e-2)
    line = shrunk_line(u, v, slope_sd=1e-6)
    n = len(u)
    z, stderr = line.at(new)
    assert line.df == pytest.approx(n - 1, abs=1e-5)
    assert z == pytest.approx(new + (v - u).mean(), abs=1e-6)
    assert stderr == pytest.approx((v - u).std(ddof=1) * np.sqrt(1 + 1 / n), rel=1e-5)


@RULES
@given(bridges(), st.floats(1, 99), st.floats(0, 10), st.floats(0, 10))
def test_widths(pair: Any, new: float, error: float, more: float) -> None:
    """90 % lies within 95 %; the wider, the further from the centre and the fewer items were judged."""
    fit = fit_bridge(*pair)
    wide, narrow = (fit.predict(new, level, force=True) for level in (0.95, 0.9))
    assert wide.interval
    assert narrow.interval
    assert wide.value is not None
    assert (
        0 <= wide.interval.low <= narrow.interval.low <= wide.value <= narrow.interval.high <= wide.interval.high <= 100
    )
    noisy = [fit.predict(new, judged_stderr=s, force=True).stderr_logit for s in (0, error, error + more)]
    assert noisy == sorted(noisy)
    centre = line_of(fit).centre
    errors = [line_of(fit).at(centre + sign * away)[1] for sign in (-1, 1) for away in (0.0, 0.5, 1.0, 4.0)]
    assert errors[:4] == sorted(errors[:4])
    assert errors[:4] == pytest.approx(errors[4:])


@RULES
@given(bridges(), st.floats(1, 99), st.floats(1, 99))
def test_differences(pair: Any, first: float, second: float) -> None:
    """Equal numbers differ by 0 give or take two scatters; exchanged ones by the opposite."""
    fit = fit_bridge(*pair)
    same, there, back = (fit.difference(*two, force=True) for two in ((first, first), (first, second), (second, first)))
    assert (same.difference_logit, same.probability_first_better) == (0, pytest.approx(0.5))
    assert same.stderr_logit == pytest.approx(np.sqrt(2) * line_of(fit).tau)
    assert there.difference_logit is not None
    assert back.difference_logit is not None
    assert there.difference_logit == pytest.approx(-back.difference_logit)
    assert there.probability_first_better is not None
    assert back.probability_first_better is not None
    assert there.probability_first_better + back.probability_first_better == pytest.approx(1)


@RULES
@given(numbers(8), st.floats(1, 99))
def test_models_that_the_judge_cannot_tell_apart(official: Any, same: float) -> None:
    """One judged number for all of them: slope 1, nothing explained, refused; no other number lies within."""
    fit = fit_bridge([same] * 8, official)
    assert fit.slope == pytest.approx(1, abs=1e-12)
    assert fit.reasons == ("explains_too_little",)
    if np.ptp(official) > 0.1:
        assert fit.loo.explained == pytest.approx(0, abs=1e-12)
    assert fit.loo.spearman is None
    assert fit.predict(same).distance == 0
    assert fit.predict(60 if same < 50 else 40).reasons == ("explains_too_little", "out_of_range")


def test_official_numbers_that_are_all_alike_explain_nothing() -> None:
    """There is nothing to explain, and so no evidence that the judge could."""
    fit = fit_bridge([10, 20, 30, 40, 50, 60, 70, 80], [40] * 8)
    assert (fit.loo.explained, fit.reasons) == (None, ("explains_too_little",))


@pytest.mark.parametrize(("n", "status"), [(3, "refused"), (4, "refused"), (5, "weak"), (7, "weak"), (8, "usable")])
def test_how_many_models(n: int, status: str) -> None:
    """R1: below five a bridge is refused and below eight weak; force works from three on."""
    judged = np.linspace(10, 80, n)
    fit = fit_bridge(judged, judged + 2)
    assert fit.status == status
    assert fit.reasons == (("too_few_models",) if n < 5 else ())
    assert (fit.predict(30).value is None) == (n < 5)
    forced = fit.predict(30, force=True)
    assert forced.value == pytest.approx(32, abs=2)
    assert ("forced" in forced.marks) == (n < 5)


def test_three_models_are_not_left_out_in_turn() -> None:
    """Two models are no fit, so that three have no evidence; the reason says so."""
    found = leave_one_out([10, 40, 70], [12, 42, 73])
    assert (found.models, found.explained, found.coverage95) == ((), None, None)
    assert found.reason == "leaving one of 3 models out leaves too few for a line"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_models_predict_nothing_even_by_force(n: int) -> None:
    """No line with a scatter goes through them: no number, and the reasons."""
    fit = fit_bridge([10, 70][:n], [12, 73][:n])
    assert (fit.line, fit.slope, fit.tau, fit.df, fit.covariance, fit.centre, fit.intercept) == (None,) * 7
    found = fit.predict(30, force=True)
    assert (found.value, found.interval, found.reasons) == (None, None, ("too_few_models", "no_fit"))
    assert fit.difference(30, 40, force=True).difference_logit is None
    assert fit.forecast(8) is None


def test_permuted_official_numbers_are_refused() -> None:
    """R2: a judge that follows chance; with 34 models none of 50 permutations passes."""
    rng = np.random.default_rng(0)
    judged = np.linspace(5, 90, 34)
    for _ in range(50):
        assert fit_bridge(judged, rng.permutation(judged)).reasons == ("explains_too_little",)


def test_weak_evidence_marks_the_bridge() -> None:
    """R2: between half and four fifths explained."""
    errors = np.array([1, -1] * 6) * 0.7
    u = np.linspace(-2, 2, 12)
    judged, official = (100 / (1 + np.exp(-logits)) for logits in (u, u + errors))
    fit = fit_bridge(judged, official)
    assert fit.loo.explained is not None
    assert 0.5 < fit.loo.explained < 0.8
    assert (fit.status, fit.marks) == ("weak", ("weak",))


def test_beyond_the_range() -> None:
    """R5: a number beyond the bridge's range is marked up to a quarter of it, and refused from there on."""
    fit = worked()
    assert (fit.predict(70).status, fit.predict(10).status) == ("ok", "ok")
    beyond = fit.predict(75)
    assert (beyond.status, beyond.marks) == ("extrapolated", ("weak", "extrapolated"))
    far = fit.predict(4.9)
    assert far.distance is not None
    assert far.distance > 0.25
    assert (far.status, far.value, far.reasons, far.logit) == ("refused", None, ("out_of_range",), None)


def test_a_saturated_judge() -> None:
    """R7: a clipped number is refused, and so is a bridge of which more than a fifth of the judged numbers are."""
    judged, official = [0.1, 5, 20, 50, 80, 90, 95, 96, 97, 98], [2.0, 6, 22, 48, 70, 80, 82, 85, 86, 90]
    fit = fit_bridge(judged, official)
    assert fit.reasons == ()
    assert fit.predict(0.1).reasons == ("saturated",)
    assert fit.predict(100).reasons == ("saturated",)
    logits = [fit.predict(new, force=True).logit for new in (0.0, 0.25, 0.26)]
    assert logits[0] == logits[1] != logits[2]
    assert "saturated" not in fit.predict(0.25).reasons
    clipped = fit_bridge([0.1, 0.2, 0.0, *judged[3:]], official)
    assert "saturated" in clipped.reasons
    assert "saturated" in clipped.predict(50).reasons
    # Official numbers at a stop say nothing of the judge.
    assert "saturated" not in fit_bridge(judged, [0.0, 0, 0, *official[3:]]).reasons


def test_an_outlier_is_named_and_kept() -> None:
    """R8: one model of a vendor that the judge favours; the fit is that of all models."""
    u = np.linspace(-2, 2, 14)
    v = u + 0.1 * np.array([1, -1] * 7)
    v[10] += 1.5
    judged, official = (100 / (1 + np.exp(-logits)) for logits in (u, v))
    fit = fit_bridge(judged, official)
    assert [place for place, model in enumerate(fit.loo.models) if model.outlier] == [10]
    assert fit.n == 14
    # The threshold is that of 14 tests together: at 5 % each, one with a smaller effect would be beyond it.
    v[10] -= 1.32
    found = fit_bridge(judged, 100 / (1 + np.exp(-v))).loo.models
    beyond = [[abs(m.t) > stats.t.ppf(1 - share, m.df) for m in found] for share in (0.025, 0.025 / 14)]
    assert sum(beyond[0]) > sum(beyond[1])
    assert [m.outlier for m in found] == beyond[1]


def test_findings_of_other_rules_refuse_a_prediction() -> None:
    """What the caller's rules found joins the bridge's own, each code once."""
    found = worked().predict(95, findings=Findings(("vendor",), ("old", "weak")))
    assert (found.value, found.reasons, found.marks) == (None, ("out_of_range", "vendor"), ("weak", "old"))
    gap = worked().difference(40, 30, findings=Findings(("stale",)))
    assert (gap.difference_logit, gap.interval, gap.reasons) == (None, None, ("stale",))
    assert set(found.reasons + found.marks + gap.reasons) <= WORDS.keys()


def test_judged_on_few_items() -> None:
    """The noise of the bridge models' numbers is part of the scatter; more of it widens a prediction."""
    fit = fit_bridge(JUDGED, OFFICIAL, judged_stderr=[2.0] * 6)
    assert fit.sampling == pytest.approx(np.mean([(0.02 / (x / 100 * (1 - x / 100))) ** 2 for x in JUDGED]))
    assert line_of(fit) == line_of(worked())
    assert fit.predict(35, judged_stderr=1.0).stderr_logit == worked().predict(35).stderr_logit
    noisy = fit.predict(35, judged_stderr=8.0)
    assert fit.slope is not None
    assert noisy.stderr_logit is not None
    extra = (0.08 / (0.35 * 0.65)) ** 2 - fit.sampling
    plain = fit.predict(35).stderr_logit
    assert plain is not None
    assert noisy.stderr_logit**2 == pytest.approx(plain**2 + fit.slope**2 * extra)


def test_a_model_judged_on_fewer_items_than_the_others_is_left_out_with_its_noise() -> None:
    """Its prediction from the others is as wide as that of a new model judged on so few items."""
    errors = [0.0, 0, 6, 0, 0, 0]
    others = fit_bridge(JUDGED[:2] + JUDGED[3:], OFFICIAL[:2] + OFFICIAL[3:])
    found = leave_one_out(JUDGED, OFFICIAL, judged_stderr=errors).models[2]
    want = others.predict(JUDGED[2], judged_stderr=6.0)
    assert (found.predicted, found.stderr_logit) == pytest.approx((want.value, want.stderr_logit))
    assert found.stderr_logit > 1.5 * worked().loo.models[2].stderr_logit


def test_a_slope_flattened_by_noise_is_marked() -> None:
    """Where the judged numbers' noise is more than a tenth of their variance."""
    assert "flattened" not in fit_bridge(JUDGED, OFFICIAL, judged_stderr=[3.0] * 6).marks
    assert "flattened" in fit_bridge(JUDGED, OFFICIAL, judged_stderr=[9.0] * 6).marks


def test_forecast() -> None:
    """At one half with a scatter of 0.1 and 0.2: half-widths of 6.7 and 13.3 points with 8 models, 4.9 at best."""
    u = np.linspace(-1, 1, 9)
    signs = np.array([1, -1, -1, 1, 0, 1, -1, -1, 1.0])
    for tau, eight, best in ((0.1, 6.7, 4.9), (0.2, 13.3, 9.8)):
        errors = signs * tau * np.sqrt((9 - 2) / 8)
        fit = fit_bridge(*(100 / (1 + np.exp(-logits)) for logits in (u, u + errors)))
        assert fit.tau == pytest.approx(tau, rel=0.01)
        assert fit.median_official == pytest.approx(50)
        assert fit.forecast(8) == pytest.approx(eight, rel=0.02)
        assert fit.forecast(np.inf) == pytest.approx(best, rel=0.02)
    with pytest.raises(ValueError, match="at least 3 models"):
        fit.forecast(2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: fit_bridge([1, 2, 3], [1, 2]), "one number per item"),
        (lambda: fit_bridge([1, 2, np.nan], [1, 2, 3]), "finite"),
        (lambda: fit_bridge([1, 2, 101], [1, 2, 3]), "outside the metric's range, 0 to 100"),
        (lambda: fit_bridge([1, 2, 3], [-1, 2, 3]), "outside the metric's range"),
        (lambda: fit_bridge([1, 2, 3], [1, 2, 3], low=5, high=5), "least and the greatest"),
        (lambda: fit_bridge([1, 2, 3], [1, 2, 3], judged_stderr=[1, 1, -1]), "not negative"),
        (lambda: worked().predict(120), "outside the metric's range"),
        (lambda: worked().predict(np.nan), "finite"),
        (lambda: worked().predict(30, 95), "level is a share"),
        (lambda: worked().difference(30, 130), "outside the metric's range"),
        (lambda: shrunk_line([1, 2], [1, 2]), "at least 3 models"),
        (lambda: spread_models([1, 2], 3), "cannot be chosen from 2 candidates"),
    ],
)
def test_wrong_input(call: Any, words: str) -> None:
    """Numbers that no metric has are errors that say what is wrong."""
    with pytest.raises(ValueError, match=words):
        call()


@RULES
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
def test_all_items_judged_leave_no_sampling_error(verdicts: Any) -> None:
    """With k = n the control changes nothing."""
    judged, official = np.array(verdicts).T
    found = controlled_mean(judged, official, [])
    assert (found.value, found.stderr) == (pytest.approx(judged.mean()), 0)


def test_controlled_mean_of_too_few() -> None:
    """One judged item has a mean and no standard error; none has neither."""
    assert controlled_mean([], [], [1, 0]) == ControlledMean(None, None, None, 0, 2, "no item was judged")
    reason = "a standard error needs at least two judged items"
    assert controlled_mean([1], [1], [0, 1]) == ControlledMean(1.0, None, None, 1, 3, reason)


def test_controlled_mean_is_unbiased_and_its_error_is_honest() -> None:
    """Over 2,000 random parts: the mean is right within three standard errors, the variance within a tenth."""
    rng = np.random.default_rng(1)
    official = rng.beta(2, 3, 400)
    judged = np.clip(0.7 * official + rng.normal(0.2, 0.1, 400), 0, 1)
    means, variances = [], []
    for _ in range(2000):
        order = rng.permutation(400)
        drawn, rest = order[:80], order[80:]
        found = controlled_mean(judged[drawn], official[drawn], official[rest])
        assert found.value is not None
        assert found.stderr is not None
        means.append(found.value)
        variances.append(found.stderr**2)
    assert abs(np.mean(means) - judged.mean()) < 3 * np.std(means) / np.sqrt(2000)
    assert np.mean(variances) == pytest.approx(np.var(means), rel=0.1)


def test_spread_models_takes_one_of_each_part_of_the_range() -> None:
    """In five groups of ten: the middle ones, whatever the order; equally near ones by standard error, then place."""
    official = np.arange(50.0)
    assert spread_models(official, 5, official_stderr=[1.0, 0.5] * 25) == (5, 15, 25, 35, 45)
    assert spread_models(official, 5) == (4, 14, 24, 34, 44)
    assert spread_models(official[::-1], 50) == tuple(range(49, -1, -1))
