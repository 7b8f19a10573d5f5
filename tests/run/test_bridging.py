"""Bridges applied to runs: the published predictions, and each of the rules R1 to R9 by a made-up case."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from judgebench.errors import UsageError
from judgebench.models.trained_by import base_vendor_of, vendor_of
from judgebench.models.vendors import today
from judgebench.run.bridge_files import AskedAgain, Bridge
from judgebench.run.bridging import (
    OfficialNumber,
    difference,
    drawn_items,
    predict,
    predict_all,
    unlike,
)
from tests.made_bridges import IDS, JUDGE, PROTOCOL, cases, made_bridge, made_run
from tests.shared_data import each

LONG_JUDGED = (5.0, 10, 15, 20, 25, 30, 40, 50, 60, 70)
LONG_OFFICIAL = (8.0, 13, 17, 24, 26, 33, 42, 48, 63, 66)
"""Ten models, so that the bridge is usable rather than weak."""


def good_bridge(**about: Any) -> Bridge:
    """A bridge with nothing against it."""
    bridge = made_bridge(LONG_JUDGED, LONG_OFFICIAL, **about)
    assert bridge.metrics["win_rate"].status == "usable"
    return bridge


def predicted(bridge: Bridge, **about: Any) -> OfficialNumber:
    """What a bridge says of a made-up run."""
    force = about.pop("force", False)
    return predict(bridge, made_run(**about), metric="win_rate", force=force)


def found(bridge: Bridge, **about: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Reasons and marks of a prediction; a refused one has no value, and has one by force."""
    number = predicted(bridge, **about)
    assert (number.prediction.value is None) == bool(number.prediction.reasons)
    if number.prediction.reasons and about.get("value", 35.0) is not None:
        forced = predicted(bridge, **about, force=True).prediction
        assert forced.value is not None
        assert forced.reasons == number.prediction.reasons
        assert forced.marks == (*number.prediction.marks, "forced")
    return number.prediction.reasons, number.prediction.marks


def test_the_worked_example() -> None:
    """35 by the judge of today is 38.5579 (30.2935 to 47.5392) officially, as the method's page says."""
    number = predicted(made_bridge())
    assert number.prediction.value == pytest.approx(38.5579, abs=1e-4)
    row = number.score("alpacaeval")
    assert (row.low, row.high) == pytest.approx((30.2935, 47.5392), abs=1e-4)
    assert (row.metric, row.method, row.n, row.n_missing, row.group) == (
        "win_rate_official_predicted",
        "judge bridge, logit, t",
        200,
        0,
        None,
    )
    assert row.reason is None
    assert (row.details["bridge"], row.details["status"], row.details["marks"]) == ("made", "ok", ["weak"])


@pytest.mark.parametrize("name", each(lambda: [name for name, case in cases().items() if case.get("predictions")]))
def test_published_predictions(name: str) -> None:
    """Every prediction of the published bridges through a run: value, interval, reasons, and all of it by force."""
    case = cases()[name]
    every = name.endswith("_all")
    bridge = made_bridge(
        [model["judged"] for model in case["models"]],
        [model["official"] for model in case["models"]],
        names=[model["name"] for model in case["models"]],
        limits=tuple(case["range"]),
        judge_vendor=None if every else case["judge_vendor"],
        official_vendor=None if every else case["official_vendor"],
    )
    for want in case["predictions"]:
        run = made_run(want["judged"], name=want["model"])
        free = predict(bridge, run, metric="win_rate").prediction
        assert (free.value is None) == bool(want["reasons"])
        for level, ends in ((0.95, ("low95", "high95")), (0.9, ("low90", "high90"))):
            number = predict(bridge, run, metric="win_rate", level=level, force=True).prediction
            assert (number.status, sorted(number.reasons)) == (want["status"], sorted(want["reasons"]))
            assert number.interval is not None
            assert number.value == pytest.approx(want["predicted"], abs=1e-4)
            assert (number.interval.low, number.interval.high) == pytest.approx([want[e] for e in ends], abs=1e-4)
            assert (number.logit, number.stderr_logit) == pytest.approx((want["logit"], want["stderr_logit"]), rel=1e-6)


def test_r1_models() -> None:
    """R1: four models refuse, five to seven are weak; by force three give a number, and two none."""
    assert found(made_bridge(LONG_JUDGED[3:7], LONG_OFFICIAL[3:7]))[0] == ("too_few_models",)
    assert "weak" in found(made_bridge())[1]
    assert found(good_bridge()) == ((), ())
    three = predicted(made_bridge(LONG_JUDGED[3:8:2], LONG_OFFICIAL[3:8:2]), force=True).prediction
    assert three.value is not None
    two = predicted(made_bridge(LONG_JUDGED[3:9:4], LONG_OFFICIAL[3:9:4]), force=True).prediction
    assert (two.value, two.reasons) == (None, ("too_few_models", "no_fit"))


def test_r2_evidence() -> None:
    """R2: official numbers that do not follow the judge's are refused."""
    shuffled = (33.0, 8, 66, 17, 42, 26, 13, 63, 24, 48)
    assert found(made_bridge(LONG_JUDGED, shuffled))[0] == ("explains_too_little",)


PROTOCOLS: dict[str, dict[str, Any]] = {
    "judges.j.model": {"judges": {"j": {"prompt_and_rule": "p", "model": "another"}}},
    "judges.j.prompt_and_rule": {"judges": {"j": {"prompt_and_rule": "q", "model": JUDGE}}},
    "options.order": {"options": {"order": "both"}},
    "version": {"version": "1"},
    "baselines.b": {"baselines": {"b": "00"}},
    "sources.alpaca_eval": {"sources": {"alpaca_eval": "11"}},
    "judge_repeats": {"judge_repeats": 2},
    "think_tags": {"think_tags": [["<a>", "</a>"]]},
    "stop_when": {"stop_when": {"rule": "ci<1"}},
    "own_judge": {"own_judge": {"replaces": "prompt"}},
    "task": {"task": "mtbench"},
}


@pytest.mark.parametrize("field", PROTOCOLS)
def test_r3_another_protocol(field: str) -> None:
    """R3: a run that was judged otherwise is a mistake (exit 2), and the message names the field and both values."""
    run = made_run(protocol={**PROTOCOL, **PROTOCOLS[field]})
    assert unlike(good_bridge(), run.task_manifest) == [field]
    with pytest.raises(UsageError, match=rf"they differ in {field} \(.* in the bridge, .* in the run\)") as raised:
        predict(good_bridge(), run, metric="win_rate", force=True)
    assert "\n" not in str(raised.value)


def test_r3_another_model_served() -> None:
    """R3: the same name, served by another model, is another judge; nobody compares what nobody noted."""
    with pytest.raises(UsageError, match="served_model"):
        predicted(good_bridge(), served=("gpt-4.1-2026-01-01",))
    assert found(good_bridge(), served=()) == ((), ())
    assert found(good_bridge(served_model=None)) == ((), ())


def test_r3_alias() -> None:
    """R3: a judge whose name has no date is marked."""
    undated = {**PROTOCOL, "judges": {"j": {"prompt_and_rule": "p", "model": "gpt-4.1"}}}
    bridge = good_bridge(judge="gpt-4.1", served_model="gpt-4.1")
    assert found(bridge, protocol=undated, served=("gpt-4.1",)) == ((), ("alias",))


@pytest.mark.parametrize(
    ("name", "dated"),
    [
        ("gpt-4-0613", True),
        ("gpt-4-1106-preview", True),
        ("gpt-4-0125-preview", True),
        ("gemini-2.5-flash-preview-09-2025", True),
        ("gpt-4-turbo-preview", False),
        ("gpt-4-0613, gpt-4.1-2025-04-14", True),
        ("gpt-4.1, gpt-4.1-2025-04-14", False),
    ],
)
def test_r3_snapshots(name: str, dated: bool) -> None:
    """R3: a snapshot of four digits is a date, before ``preview`` too; each judge of a jury needs one of its own."""
    bridge = good_bridge(judge=name, served_model=None)
    judge = structs.replace(bridge.judge, spec="http://localhost:8000/v1#it")
    assert structs.replace(bridge, judge=judge).findings.marks == (() if dated else ("alias",))


def test_r4_vendor() -> None:
    """R4: a model of either judge's vendor is refused if the vendors differ, its fine-tunes are marked."""
    bridge = good_bridge(judge_vendor="openai", official_vendor="google")
    assert found(bridge, name="gemini-2.5-pro")[0] == ("vendor",)
    assert found(bridge, name="openai/gpt-oss-20b")[0] == ("vendor",)
    assert found(bridge, name="gemma-2-9b-it-SimPO") == ((), ("fine_tune",))
    assert found(bridge, name="claude-3-opus-20240229") == ((), ())
    assert found(good_bridge(), name="gpt-4o") == ((), ())


def test_r4_a_name_of_the_users_hides_nothing() -> None:
    """R4: a run that the user renamed is known by its model's own name, too."""
    bridge = good_bridge(judge_vendor="openai", official_vendor="google")
    run = made_run(name="my-run")
    both = replace(run, names=("my-run", "gemma-2-9b-it"))
    assert predict(bridge, both, metric="win_rate").prediction.reasons == ("vendor",)


def test_r4_bridge_models_of_either_are_left_out() -> None:
    """R4: the bridge stands on the others, and lists those with the reason."""
    names = ("gpt-4.1", *(f"m{number}" for number in range(9)))
    bridge = made_bridge(LONG_JUDGED, LONG_OFFICIAL, names=names, official_vendor="google")
    assert [model.name for model in bridge.models if not model.included] == ["gpt-4.1"]
    assert bridge.fits["win_rate"].n == 9


def test_r5_range() -> None:
    """R5: beyond the judged range is marked, and refused from a quarter of it."""
    assert found(good_bridge(), value=75.0) == ((), ("extrapolated",))
    assert found(good_bridge(), value=95.0)[0] == ("out_of_range",)


def test_r6_incomplete() -> None:
    """R6: half a per cent of missing verdicts is counted and allowed, one per cent refused, as of a run's answers."""
    assert found(good_bridge(), missing=1) == ((), ("missing",))
    assert found(good_bridge(), missing=2) == (("incomplete",), ("missing",))
    assert found(good_bridge(), counts={"examples": 200, "without_answer": 5})[0] == ("incomplete",)
    nothing = predicted(good_bridge(), value=None).prediction
    assert (nothing.value, nothing.reasons) == (None, ("incomplete",))


CHOSEN = {
    "the first half": IDS[:100],
    "one less": IDS[:199],
    "others": [f"other-{number}" for number in range(200)],
    "one": IDS[:1],
    "more": (*IDS, "another"),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_r3_other_items(name: str) -> None:
    """R3: a run on items that somebody chose is another protocol, and the message says on how many each is."""
    for population in (None, IDS):
        with pytest.raises(UsageError, match=r"examples \(200 items in the bridge, .* in the run\)"):
            predicted(good_bridge(), ids=CHOSEN[name], population=population)


def test_r6_a_random_part() -> None:
    """R6: the part that the bridge's seed draws is allowed; its sampling widens the interval, less than its own
    standard error does, because the items left are finite.
    """
    bridge = good_bridge()
    drawn = drawn_items(IDS, 0)[:72]
    assert found(bridge, ids=drawn, population=IDS, stderr=5.0) == ((), ())
    whole, part = predicted(bridge), predicted(bridge, ids=drawn, population=IDS, stderr=5.0)
    wide = bridge.fits["win_rate"].predict(35.0, judged_stderr=5.0)
    widths = [
        number.interval.high - number.interval.low
        for number in (whole.prediction, part.prediction, wide)
        if number.interval
    ]
    assert widths[0] < widths[1] < widths[2]
    expected = bridge.fits["win_rate"].predict(35.0, judged_stderr=5.0 * 0.8)
    assert part.prediction.interval == expected.interval


def test_r6_a_part_gives_no_fit() -> None:
    """R6: a metric that is no plain mean, as a length-controlled rate, is not had from a part of the items."""
    run = replace(made_run(ids=drawn_items(IDS, 0)[:72], population=IDS), means=())
    assert predict(good_bridge(), run, metric="win_rate").prediction.reasons == ("incomplete",)


def test_r7_saturated() -> None:
    """R7: a judge that lets everybody win is refused, for the bridge and for the new model."""
    stuck = (99.9, 99.9, 99.9, 60, 70, 75, 80, 85, 90, 95)
    assert "saturated" in found(made_bridge(stuck, sorted(LONG_OFFICIAL)), value=80.0)[0]
    assert "saturated" in found(good_bridge(), value=100.0)[0]


def test_r8_an_outlier_is_named_and_kept() -> None:
    """R8: a model that the others do not predict is marked in the file, and the fit keeps it."""
    official = (*LONG_OFFICIAL[:5], 55, *LONG_OFFICIAL[6:])
    bridge = made_bridge(LONG_JUDGED, official)
    loo = bridge.metrics["win_rate"].loo
    assert [left.model for left in loo if left.outlier] == ["m6"]
    assert bridge.fits["win_rate"].n == 10


def test_r9_drift() -> None:
    """R9: a judge that changed since refuses every prediction; a bridge older than 180 days is marked."""
    verdicts, now = (1.0,) * 10, (0.0,) * 9 + (1.0,)
    asked = [AskedAgain(date=today(), served_model=None, verdicts=now)]
    assert found(good_bridge(verdicts=verdicts, asked=asked))[0] == ("stale",)
    assert found(good_bridge(created=today() - timedelta(days=181))) == ((), ("old",))


def test_several_rules_at_once() -> None:
    """All reasons are told together."""
    bridge = made_bridge(LONG_JUDGED[3:7], LONG_OFFICIAL[3:7], official_vendor="google")
    reasons, _ = found(bridge, name="gpt-4o", value=90.0, missing=3)
    assert set(reasons) == {"too_few_models", "out_of_range", "vendor", "incomplete"}
    words = predicted(bridge, name="gpt-4o", value=90.0, missing=3).reason
    assert words is not None
    assert words.count("; ") == 3


def test_differences() -> None:
    """Two runs share the bridge's errors: equal ones differ by 0 with the scatter of two models."""
    bridge = good_bridge()
    same = difference(bridge, made_run(30.0), made_run(30.0), metric="win_rate")
    tau = bridge.fits["win_rate"].tau
    assert tau is not None
    assert (same.difference_logit, same.stderr_logit) == (0.0, pytest.approx(2**0.5 * tau))
    better = difference(bridge, made_run(60.0), made_run(30.0), metric="win_rate")
    assert better.probability_first_better is not None
    assert better.probability_first_better > 0.99
    refused = difference(bridge, made_run(60.0, missing=5), made_run(30.0), metric="win_rate")
    assert (refused.difference_logit, refused.reasons) == (None, ("incomplete",))
    none = difference(bridge, made_run(None), made_run(30.0), metric="win_rate", force=True)
    assert none.difference_logit is None
    with pytest.raises(UsageError, match="another protocol"):
        difference(bridge, made_run(30.0, protocol={**PROTOCOL, "version": "1"}), made_run(1.0), metric="win_rate")


def test_metrics_of_a_bridge() -> None:
    """All metrics of a bridge are predicted; another one is a mistake."""
    assert [number.metric for number in predict_all(good_bridge(), made_run())] == ["win_rate"]
    with pytest.raises(UsageError, match="has no lc_win_rate; it has win_rate"):
        predict(good_bridge(), made_run(), metric="lc_win_rate")
    with pytest.raises(UsageError, match="which no number on the bridge's scale can be"):
        predicted(good_bridge(), value=1e9)


VENDORS = {
    "openai": "gpt-4.1 gpt4_1106_preview gpt35_turbo_instruct chatgpt-4o-latest o1-2024-12-17-high o3-mini "
    "text_davinci_003 gpt-oss-20b openai/anything GPT-3.5-Turbo-0314 gpt-6-luna gpt4_0613_verbose",
    "anthropic": "claude claude-2 claude-2.1_concise claude-instant-1.2 claude-3-5-sonnet-20241022 claude-opus-5-5",
    "google": "gemini-pro gemini-2.5 gemma-2b-it gemma-2-9b-it gemma-1.1-7b-it gemma-3-27b-it google/x",
    "mistral": "Mistral-7B-Instruct-v0.2 Mixtral-8x7B-Instruct-v0.1_concise mistral-large-2402 mistral-medium "
    "Mistral-Large-2 mixtral-8x22b-instruct-v0.1",
    "meta": "llama-2-70b-chat-hf Meta-Llama-3.1-405B-Instruct-Turbo llama-3.1-405b-instruct-fp8 Llama-2-7b-chat-hf "
    "llama4-maverick-instruct-basic",
    "alibaba": "Qwen1.5-72B-Chat Qwen3-235B-A22B QwQ-32B Qwen1.5-72B-Chat-greedy qwen2.5-72b-instruct",
    "nvidia": "Llama-3.1-Nemotron-70B-Instruct-HF NV-Llama2-70B-SteerLM-Chat",
}
NOBODYS = (
    "claude2-alpaca-13b gemma-2-9b-it-SimPO SelfMoA_gemma-2-9b-it-WPO-HB alpaca-7b vicuna-13b-v1.5 my-checkpoint "
    "step_100 aligner-2b_gpt-4-turbo-2024-04-09 phi-2-dpo Mistral-7B-ReMax-v0.1 gpt4all gpt-neo-x openchat-13b "
    "FuseChat-Gemma-2-9B-Instruct Samba-CoE-v0.1 oasst-sft-pythia-12b"
)


def test_names_of_vendors() -> None:
    """Published names tell their vendor; a model made from a vendor's weights is not the vendor's."""
    for vendor, names in VENDORS.items():
        assert {name: vendor_of(name) for name in names.split()} == dict.fromkeys(names.split(), vendor)
    assert {name: vendor_of(name) for name in NOBODYS.split()} == dict.fromkeys(NOBODYS.split())
    assert base_vendor_of("SelfMoA_gemma-2-9b-it-WPO-HB") == "google"
    assert base_vendor_of("gemma-2-9b-it") is None
    assert vendor_of("my-checkpoint", {"my-checkpoint": "google"}) == "google"


@pytest.mark.parametrize("name", each(lambda: [name for name, case in cases().items() if "fit" in case]))
def test_vendors_of_the_published_bridges(name: str) -> None:
    """Every model that the published bridges give a vendor has that vendor here, or was trained from its weights."""
    for model in cases()[name]["models"]:
        if model["vendor"] is not None:
            own, base = vendor_of(model["name"]), base_vendor_of(model["name"])
            assert (base if own is None else own) == model["vendor"], model["name"]
