"""Arena-Hard's numbers against upstream's, by both pipelines (lmarena/arena-hard-auto)."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from judgebench.tasks.arenahard import style
from judgebench.tasks.arenahard.battles import Rules
from judgebench.tasks.arenahard.controlled import (
    Controlled,
    StyleBattles,
    control_style,
    known_styles,
    over_categories,
    win_rates,
)
from judgebench.tasks.arenahard.estimates import UPSTREAM_LEVEL, one_sided
from judgebench.tasks.arenahard.judges import Pipeline

from judgebench import tasks
from judgebench.codec import sha256_hex
from judgebench.data.rows import FileRow, read_rows
from judgebench.data.sources import SourceFinder
from judgebench.exchange.importing import import_run
from judgebench.records import Generation
from judgebench.run.settings import Settings
from judgebench.stats.bradley_terry import SCALE, Anchor, bradley_terry, count_battles, predicted_win_rate
from judgebench.task import Task, TaskData
from tests.commands import judgebench
from tests.tasks import arenahard_data as files
from tests.tasks.arenahard_data import (
    ANSWERS,
    ARENA_HARD,
    JUDGEMENTS,
    JUDGES,
    REBUILT,
    TABLE,
    Load,
    judgement,
    mirrors,
    rows_against,
    rows_of,
)

PROMPT_HASHES = {
    "hard_prompt": "03f68010febd7a6405102ef882b4dd5a9700c56b2e1ff286d3b38f5d3a929bbf",
    "creative_writing": "171489efbca7f19fb520e1b3c23783c76af7c723e770fe897a55f391684aa358",
}
"""Of the system prompts, as the specification gives them."""


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Tasks by spec, each read once."""
    folder = tmp_path_factory.mktemp("sources")
    return lambda spec: files.loaded(spec, folder)


# -- legacy pipeline


VARIANTS = {"": "", '|{"first_game_only": true}': ",first_game_only=true", '|{"multiplier": 1}': ",weight=1"}


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("variant", VARIANTS, ids=["plain", "first game", "weight 1"])
def test_legacy_win_rates(judge: str, variant: str, load: Load) -> None:
    """Battles and winners are upstream's; rates are those of its Elo within 1e-6 of the exact share (upstream's own
    solver stops within 2e-4 of it, and it prints two decimals); bounds of the resampled battles are upstream's within
    the noise of 100 rounds. Where upstream raises, because one side won everything, ours are 0 or 100.
    """
    task, data = load("arenahard@v0.1:upstream_compat=false" + VARIANTS[variant])
    wanted = files.expected("legacy")[judge + variant]
    found = files.scores_of(task, data, rows_against("gpt-4-0314", JUDGEMENTS / judge))
    rates = {model: scores["win_rate", None] for model, scores in found.items()}
    battles = {model: score.details["battles"] for model, score in rates.items()}
    assert sum(sum(own.values()) for own in battles.values()) == wanted["n_battles"]
    winners = {"won": "model_b", "tied": "tie", "lost": "model_a"}
    for name, winner in winners.items():
        assert sum(own[name] for own in battles.values()) == wanted["winner_counts"].get(winner, 0)
    if "error" in wanted:
        assert [score.value for score in rates.values()] == [0.0]
        assert all(0 < score.high < 2.5 for score in rates.values() if score.high is not None)
        return
    assert rates.keys() == wanted["models"].keys() - {"gpt-4-0314"}
    for model, score in rates.items():
        own, upstream = battles[model], wanted["models"][model]
        exact = 100 * (own["won"] + own["tied"] / 2) / sum(own.values())
        assert score.value == pytest.approx(exact, abs=1e-9)
        assert score.value == pytest.approx(100 / (1 + 10 ** ((1000 - upstream["elo"]) / 400)), abs=2e-4)
        assert score.value == pytest.approx(upstream["win_rate"], abs=0.00501)
        # A bound of 100 rounds has a standard error of about a third of the rate's own.
        noise = max(0.6, (upstream["win_rate_q975"] - upstream["win_rate_q025"]) / 4 * 0.9)
        assert score.details["upstream"]["low"] == pytest.approx(upstream["win_rate_q025"], abs=noise)
        assert score.details["upstream"]["high"] == pytest.approx(upstream["win_rate_q975"], abs=noise)


def rows_from_battles(name: str) -> tuple[list[Any], dict[str, dict[str, str]]]:
    """A published list of battles as judgement rows, runs of three alike taken for one clear win, and upstream's rates.

    Which three of several equal battles of a question were one verdict does not matter to a share.
    """
    counted: dict[tuple[str, str], Counter[str]] = {}
    for row in files.read_table(ARENA_HARD / "battles" / f"{name}.csv.gz"):
        counted.setdefault((row["model_b"], row["question_id"]), Counter())[row["winner"]] += 1
    labels = {"model_a": ("A>B", "A>>B"), "model_b": ("B>A", "B>>A"), "tie": ("A=B", "A=B")}
    records = []
    for (model, uid), winners in counted.items():
        games: list[str] = []
        for winner, count in winners.items():
            narrow, clear = labels[winner]
            games += [clear] * (count // 3) + [narrow] * (count % 3) if winner != "tie" else [narrow] * count
        if len(games) == 2:
            mirrored = {"A>B": "B>A", "A>>B": "B>>A", "B>A": "A>B", "B>>A": "A>>B"}
            games[1] = mirrored.get(games[1], games[1])
        records.append(judgement(uid, games[:2], model=model))
    wanted = {row["model"]: row for row in files.read_table(ARENA_HARD / "battles" / f"{name}_expected.csv")}
    return rows_of(records), wanted


@pytest.mark.parametrize("name", ["official_gpt4turbo_2models", "gpt4turbo_8models", "gpt4o_16models"])
def test_official_battles(name: str, load: Load) -> None:
    """From the battles of the officially released judgements: exactly the published 37.90 and 23.34, bounds within 0.6
    points of upstream's (of the mean of its two draws, which differ by up to 0.86 among themselves); from the two
    larger lists every model's rate to 1e-6, bounds within 1.2 points (the largest of 50 draws' noise).
    """
    rows, wanted = rows_from_battles(name)
    task, data = load("arenahard@v0.1")
    found = files.scores_of(task, data, rows)
    assert found.keys() == wanted.keys() - {"gpt-4-0314"}
    draws = [wanted] if name == "gpt4o_16models" else [wanted, rows_from_battles("gpt4turbo_8models")[1]]
    for model, scores in found.items():
        score = scores["win_rate", None]
        assert sum(score.details["battles"].values()) == float(wanted[model]["n_battles"])
        assert score.value == pytest.approx(float(wanted[model]["weighted_mean_win"]), abs=1e-6)
        assert round(score.value or 0, 2) == float(wanted[model]["win_rate"])
        tolerance = 0.6 if name.startswith("official") else 1.2
        for bound, column in (("low", "win_rate_q025"), ("high", "win_rate_q975")):
            upstream = np.mean([float(draw[model][column]) for draw in draws])
            assert score.details["upstream"][bound] == pytest.approx(upstream, abs=tolerance)
    if name.startswith("official"):
        assert {model: round(scores["win_rate", None].value or 0, 2) for model, scores in found.items()} == {
            "gpt-4-0613": 37.90,
            "gpt-3.5-turbo-0125": 23.34,
        }


def test_the_share_is_bradley_terrys_optimum() -> None:
    """Against one baseline only, the fitted rating says the same as the plain share of battles won, to 1e-9."""
    battles = files.read_table(ARENA_HARD / "battles" / "official_gpt4turbo_2models.csv.gz")
    models = ["gpt-4-0314", "gpt-4-0613", "gpt-3.5-turbo-0125"]
    first, second = ([models.index(row[side]) for row in battles] for side in ("model_a", "model_b"))
    won = [{"model_a": 1.0, "model_b": 0.0, "tie": 0.5}[row["winner"]] for row in battles]
    fit = bradley_terry(count_battles(first, second, won), anchor=Anchor(0, 1000.0))
    for number, model in enumerate(models[1:], 1):
        own = [1 - share for share, row in zip(won, battles, strict=True) if row["model_b"] == model]
        rating = fit.ratings[number]
        assert rating is not None
        assert float(predicted_win_rate(rating, 1000.0)) == pytest.approx(np.mean(own), abs=1e-9)


@pytest.mark.parametrize(("variant", "control"), [("style", "both"), ("length", "length"), ("markdown", "markdown")])
def test_legacy_style_control(variant: str, control: str, load: Load) -> None:
    """Three models in one table: win rates as upstream prints them, coefficients within 5e-5 of scikit-learn's, which
    stops at a gradient of 1e-4.
    """
    wanted = files.expected("legacy")[f"{TABLE}|{variant}"]
    task, data = load("arenahard@v0.1")
    battles = files.joint_battles(task, data, rows_against("gpt-4-0314", JUDGEMENTS / TABLE, ANSWERS.path), REBUILT)
    fit = battles.fit("legacy", control)
    assert list(fit.coefficients) == pytest.approx(list(wanted["style_coefs"].values()), abs=5e-5)
    for model, rate, rating in zip(REBUILT, win_rates(fit), fit.ratings[1:], strict=True):
        assert rate == pytest.approx(wanted["models"][model]["win_rate"], abs=0.00501)
        assert rating is not None
        assert rating + 114 == pytest.approx(wanted["models"][model]["elo"], abs=0.01)


# -- current pipeline


@pytest.mark.parametrize("judge", JUDGES)
def test_current_win_rates(judge: str, load: Load) -> None:
    """Means, battles and questions are upstream's exactly (1e-9); its own score and interval, the mean and the 90 %
    range of resampled means, within the noise of 100 rounds.
    """
    wanted = files.expected("current")[judge]
    plain, compat = (
        load("arenahard@v0.1:pipeline=current"),
        load("arenahard@v0.1:pipeline=current,upstream_compat=true"),
    )
    rows = rows_against("gpt-4-0314", JUDGEMENTS / judge)
    found, upstream = files.scores_of(*plain, rows), files.scores_of(*compat, rows)
    assert found.keys() == wanted["mean"].keys()
    for model, scores in found.items():
        score = scores["win_rate", None]
        assert score.value == pytest.approx(100 * wanted["mean"][model], abs=1e-9)
        assert sum(score.details["battles"].values()) == wanted["n"][model]
        assert score.n == wanted["n_questions"][model]
        printed = upstream[model]["win_rate", None]
        noise = max(0.3, 25 * (wanted["q95"][model] - wanted["q05"][model]))
        assert printed.value == pytest.approx(100 * wanted["boot_mean"][model], abs=noise / 2)
        assert printed.low == pytest.approx(100 * wanted["q05"][model], abs=noise)
        assert printed.high == pytest.approx(100 * wanted["q95"][model], abs=noise)
        assert printed.level == 0.9


def test_current_style_control_converges(load: Load) -> None:
    """Three models in one table: strengths and coefficients within 1e-5 of the converged optimum on upstream's design;
    win rates within 0.4 points of upstream's own, which stop short of it.
    """
    wanted = files.expected("current")[f"{TABLE}|style"]
    task, data = load("arenahard@v0.1:pipeline=current")
    battles = files.joint_battles(task, data, rows_against("gpt-4-0314", JUDGEMENTS / TABLE, ANSWERS.path), REBUILT)
    assert len(battles.share) == wanted["n_rows"]
    assert_converged(battles, wanted, REBUILT, "gpt-4-0314", "upstream_winrate_fullfit")


def assert_converged(battles: Any, wanted: dict[str, Any], models: list[str], baseline: str, upstream: str) -> None:
    """Strengths, coefficients and win rates of a joint fit against the expected ones."""
    fit = battles.fit("current", "both")
    strengths = dict(zip(wanted["models"], wanted["converged_coefs"], strict=False))
    assert list(fit.coefficients) == pytest.approx(wanted["converged_coefs"][len(strengths) :], abs=1e-5)
    for model, rate, rating in zip(models, win_rates(fit), fit.ratings[1:], strict=True):
        assert rating is not None
        assert (rating - 1000) / SCALE == pytest.approx(strengths[model] - strengths[baseline], abs=1e-5)
        assert rate == pytest.approx(100 * wanted["converged_winrate"][model], abs=1e-4)
        assert rate == pytest.approx(100 * wanted[upstream][model], abs=0.4)


def synthetic_rows() -> list[Any]:
    """The synthetic verdicts on real questions as judgement rows, and the answers' real style as answer rows."""
    records: list[dict[str, Any]] = []
    for row in files.read_table(ARENA_HARD / "synthetic_v2" / "style_metadata.csv.gz"):
        counts = {name: int(row[name]) for name in style.FEATURES}
        records.append({"uid": row["uid"], "model": row["model"], "metadata": counts})
    for row in files.read_table(ARENA_HARD / "synthetic_v2" / "verdicts.csv.gz"):
        labels = [row["game1"], row["game2"]]
        records.append(judgement(row["uid"], labels, model=row["model"], category=row["category"]))
    return rows_of(records)


def test_synthetic_v2(load: Load) -> None:
    """Three models on v2.0's real questions and baseline styles: battles, means (1e-9) and the converged joint fit; the
    answers' style comes from their files, without any text.
    """
    wanted = json.loads((ARENA_HARD / "synthetic_v2" / "expected_hard_prompt_style.json").read_text())
    task, data = load("arenahard")
    rows = [row for row in synthetic_rows() if row.fields["uid"] in data.by_id]
    found = files.scores_of(task, data, rows)
    assert sum(sum(s["win_rate", None].details["battles"].values()) for s in found.values()) == wanted["n_rows"]
    models = sorted(wanted["raw_mean"])
    for model in models:
        group = found[model]["win_rate", "category=hard_prompt"]
        assert group.value == pytest.approx(100 * wanted["raw_mean"][model], abs=1e-9)
        alone = found[model]["win_rate_style_controlled", "category=hard_prompt"]
        assert alone.value is not None
        assert alone.n + alone.n_missing == 500
        assert alone.details["coefficients"].keys() == set(style.FEATURES)
    battles = files.joint_battles(task, data, rows, models)
    assert_converged(battles, wanted, models, "o3-mini-2025-01-31", "upstream_fullfit_winrate")


def test_the_style_bootstrap_is_upstreams(load: Load) -> None:
    """Bounds of 100 rounds of resampled battles, all models in one table, within a point of upstream's, whose solver
    leaves it 0.2 points high and whose noise is half a point.
    """
    from judgebench.stats.style_control import bootstrap_style_controlled

    wanted = json.loads((ARENA_HARD / "synthetic_v2" / "expected_hard_prompt_style.json").read_text())
    task, data = load("arenahard")
    models = sorted(wanted["raw_mean"])
    rows = [row for row in synthetic_rows() if row.fields["uid"] in data.by_id]
    battles = files.joint_battles(task, data, rows, models)
    fit = battles.fit("current", "both")
    drawn = bootstrap_style_controlled(fit, rng=np.random.default_rng(0), rounds=100).ratings.ratings
    for number, model in enumerate(models, 1):
        rates = predicted_win_rate(drawn[:, number], drawn[:, 0])
        assert np.quantile(rates, [0.05, 0.5, 0.95]) == pytest.approx(
            wanted["upstream_boot100_q05_q50_q95"][model], abs=0.01
        )


@pytest.mark.parametrize("models", [REBUILT, REBUILT[:1]], ids=["table", "alone"])
@pytest.mark.parametrize("pipeline", ["current", "legacy"])
def test_linearised_errors_are_those_of_refits(pipeline: Pipeline, models: list[str], load: Load) -> None:
    """Of 400 resamples of the questions, each standardised and fitted anew, in one table and alone: within 12 % (three
    standard errors of a standard deviation from 400 rounds are 11 %). Upstream's resampled battles give its interval
    where it is asked for.
    """
    task, data = load(f"arenahard@v0.1:pipeline={pipeline}")
    imported = files.imported(task, data, rows_against("gpt-4-0314", JUDGEMENTS / TABLE, ANSWERS.path))
    tables = {model: files.example_scores(task, data, imported[model])[1] for model in models}
    rules = Rules(pipeline=pipeline)
    found = control_style(tables, rules, upstream=True)
    if found[models[0]].value is None:
        pytest.skip(f"no lengths in tokens here: {found[models[0]].reason}")
    battles = StyleBattles.of([known_styles(scores, rules) for scores in tables.values()])
    for model, error in zip(models, files.resampled_errors(battles, pipeline, 400), strict=True):
        score = found[model].score(None, 500, rules)
        assert score.stderr == pytest.approx(error, rel=0.12)
        assert score.value is not None
        assert score.low is not None
        assert score.low < score.value < (score.high or 0)
        compat = found[model].score(None, 500, replace(rules, upstream_compat=True))
        assert compat.level == UPSTREAM_LEVEL[pipeline]
        assert "upstream's bootstrap" in str(compat.method)


def test_a_mix_of_categories_errs_as_its_parts_do(load: Load) -> None:
    """Two halves of real questions as categories, which are independent: the errors add up in squares, weighted with
    battles (to 1 %, as each half has its own correction for few questions). With a half that is all lost there is no
    interval, and with both all lost Wilson's.
    """
    task, data = load("arenahard@v0.1")
    imported = files.imported(task, data, rows_against("gpt-4-0314", JUDGEMENTS / TABLE, ANSWERS.path))
    _, scores = files.example_scores(task, data, imported[REBUILT[0]])
    rules = Rules(pipeline="current")
    halves = [control_style({"": scores[start::2]}, rules, upstream=False)[""] for start in (0, 1)]
    if halves[0].value is None:
        pytest.skip(f"no lengths in tokens here: {halves[0].reason}")
    parts = [half.score(None, 250, rules).stderr or 0.0 for half in halves]
    fought = [half.battles for half in halves]
    mixed = over_categories(halves).score(None, 500, rules)
    assert mixed.value == pytest.approx(np.average([half.value for half in halves], weights=fought))
    assert mixed.stderr == pytest.approx(np.hypot(*np.multiply(parts, fought)) / sum(fought), rel=0.01)
    lost = Controlled(0.0, n=20, battles=40, settled=0.0)
    mixed = over_categories([halves[0], lost]).score(None, 270, rules)
    assert mixed.value is not None
    assert mixed.low is None
    assert "every battle of a category ended alike" in str(mixed.method)
    both = over_categories([lost, lost]).score(None, 40, rules)
    assert both.value == both.low == 0.0
    assert both.high == one_sided(0.0, 40).high


# -- the run's own scores


def question_error(task: Task, data: TaskData, rows: list[FileRow]) -> float:
    """Of the share of battles won, in percent: statsmodels' regression weighted with battles, a question a row."""
    api = pytest.importorskip("statsmodels.api")
    _, scored = files.example_scores(task, data, files.imported(task, data, rows)[REBUILT[0]])
    own = [score for score in scored if score.value is not None]
    weights = [score.weight for score in own]
    return float(api.WLS([100 * s.value for s in own], np.ones(len(own)), weights=weights).fit(cov_type="HC1").bse[0])


def test_one_model_alone(load: Load) -> None:
    """The usual run is one model against its baseline: the fit has an intercept and the features, whose zero is the
    model's own mean difference; the rate at equal style stands beside it, and upstream's interval too.
    """
    task, data = load("arenahard@v0.1:pipeline=current")
    path = JUDGEMENTS / TABLE / f"{REBUILT[0]}.jsonl.gz"
    rows = [*read_rows(path), *files.rows_below(ANSWERS.path)]
    score = files.scores_of(task, data, rows)[REBUILT[0]]["win_rate_style_controlled", None]
    assert score.value is not None
    assert score.low is not None
    assert score.low < score.value < (score.high or 0)
    raw = files.scores_of(task, data, rows)[REBUILT[0]]["win_rate", None]
    assert raw.value is not None
    assert abs(score.value - raw.value) < 2
    assert abs(score.details["at_equal_style"] - score.value) > 0.1
    assert score.details["upstream"]["level"] == 0.9
    assert raw.low is not None
    assert raw.stderr == pytest.approx(question_error(task, data, rows), rel=1e-9)
    assert raw.details["upstream"]["low"] > raw.low, "games of one question go together, so single battles are too sure"


def test_style_is_null_with_its_reason_where_unknown(load: Load) -> None:
    """Judgements without answers have no style; the plain win rate does not need it."""
    task, data = load("arenahard@v0.1")
    scores = files.scores_of(task, data, rows_of([judgement(data.examples[0].id, ["A>B", "A>B"])]))["m"]
    styled = scores["win_rate_style_controlled", None]
    assert styled.value is None
    assert "without the model's answers" in str(styled.reason)
    assert scores["win_rate", None].value == 50.0


def test_the_current_pipeline_drops_a_question_the_legacy_one_a_game(load: Load) -> None:
    """With a failed and an unknown game, the legacy pipeline keeps the other games; both count all that happened."""
    uids = [example.id for example in load("arenahard@v0.1")[1].examples[:4]]
    rows = rows_of(
        [
            judgement(uids[0], ["A>B", "A>>B"]),
            judgement(uids[1], [None, "A>B"]),
            judgement(uids[2], ["A>>A", "B>A"]),
            judgement(uids[3], ["B<A", "A=B"]),
        ]
    )
    legacy = files.scores_of(*load("arenahard@v0.1"), rows)["m"]["win_rate", None]
    assert legacy.details["battles"] == {"won": 4.0, "tied": 1.0, "lost": 2.0}
    assert (legacy.n, legacy.n_missing) == (4, 496)
    assert legacy.details["unknown_labels"] == {"A>>A": 1, "B<A": 1}
    current = files.scores_of(*load("arenahard@v0.1:pipeline=current"), rows)["m"]["win_rate", None]
    assert current.details["battles"] == {"won": 3.0, "tied": 1.0, "lost": 2.0}
    assert (current.n, current.n_missing) == (2, 498)
    assert current.details["unknown_labels"] == {"A>>A": 1}
    for score, unread, dropped in ((legacy, 2, 0), (current, 1, 2)):
        assert score.details["failed_games"] == 1
        assert score.details["unread_games"] == unread
        assert score.details["dropped_games"] == dropped
        assert score.details["unjudged_games"] == 2 * 496
        low, high = score.details["if_missing_all_lost_or_won"]
        assert low < (score.value or 0) < high


@pytest.mark.parametrize(("label", "value"), [("A>>B", 0.0), ("B>>A", 100.0)])
@pytest.mark.parametrize("pipeline", ["current", "legacy"])
def test_nothing_or_everything_won(label: str, value: float, pipeline: str, load: Load) -> None:
    """0 and 100 are reported with Wilson's interval of 20 questions, no infinite Elo, with style control too."""
    task, data = load(f"arenahard@v0.1:pipeline={pipeline}")
    swapped = {"A>>B": "B>>A", "B>>A": "A>>B"}[label]
    uids = [example.id for example in data.examples[:20]]
    answers = [
        row.fields for row in files.rows_below(ANSWERS.path) if row.fields["model"] in (REBUILT[0], "gpt-4-0314")
    ]
    records = [judgement(uid, [label, swapped], model=REBUILT[0]) for uid in uids] + answers
    scores = files.scores_of(task, data, rows_of(records))[REBUILT[0]]
    plain, styled = scores["win_rate", None], scores["win_rate_style_controlled", None]
    assert plain.value == value
    square = NormalDist().inv_cdf(0.975) ** 2
    assert plain.low == pytest.approx(100 * 20 / (20 + square) if value else 0.0)
    assert plain.high == pytest.approx(100.0 if value else 100 * square / (20 + square))
    assert styled.value is not None
    # The legacy fit penalises ratings, so its style-controlled rate is never quite 0 or 100.
    assert abs(styled.value - value) < (0.0 if pipeline == "current" else 3.0) + 1e-12
    assert styled.low is not None
    assert styled.low <= styled.value


def test_two_judges_are_pooled_as_upstream_pools_them(tmp_path: Path, load: Load) -> None:
    """An ensemble's number is the share of both judges' battles together, whatever one of them failed to judge; each
    judge's own and the median stand beside it.
    """
    _, data = load("arenahard@v0.1")
    uids = [example.id for example in data.examples[:3]]
    records = [
        judgement(uids[0], ["A>>B", "B>>A"], judge="one"),
        judgement(uids[1], ["B>A", "A>B"], judge="one"),
        judgement(uids[2], [None, "A>B"], judge="one"),
        judgement(uids[0], ["A=B", "A=B"], judge="two"),
        judgement(uids[1], ["B>>A", "A>B"], judge="two"),
        judgement(uids[2], ["B>A", "A>>B"], judge="two"),
    ]
    path = tmp_path / "both.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    settings = Settings(tasks="arenahard@v0.1:pipeline=current", out=tmp_path / "run", mirrors=mirrors(), offline=True)
    (results,) = import_run(path, "arena_hard", settings)
    scores = {(s.metric, s.group): s for s in results.scores}
    # Battles: one 0:6 and 2:0 (its third question is dropped), two 1:1, 4:0 and 4:0.
    assert scores["win_rate", None].value == pytest.approx(100 * (0 + 2 + 1 + 4 + 4) / (6 + 2 + 2 + 4 + 4))
    assert scores["win_rate", None].n == 3
    assert scores["win_rate", "judge=one"].value == pytest.approx(100 * 2 / 8)
    assert scores["win_rate", "judge=two"].value == pytest.approx(100 * 9 / 10)
    assert ("win_rate", "judges=median") in scores
    assert scores["win_rate", None].details["judges"] == ["one", "two"]


def test_a_category_that_cannot_be_judged_says_why(load: Load) -> None:
    """Without its baseline's answers creative writing is left out with a reason, and hard prompts go on; asked for by
    itself it keeps its questions, for answers given by ``--baseline``.
    """
    task, data = load("arenahard")
    assert {example.meta["category"] for example in data.examples} == {"hard_prompt"}
    assert task.official_examples == 750
    scores = {(s.metric, s.group): s for s in task.summarise(data, [])}
    assert "gemini-2.0-flash-001" in str(scores["win_rate", "category=creative_writing"].reason)
    assert scores["win_rate", "category=creative_writing"].n_missing == 250
    task, data = load("arenahard:category=creative_writing")
    assert len(data.examples) == task.official_examples == 250
    assert task.needs_baseline
    assert not data.baselines


def test_both_categories_against_their_own_baselines(tmp_path: Path, load: Load) -> None:
    """With both baselines here, each category is judged by its own prompt against its own baseline and has its own
    rows; the run's number is over all battles.
    """
    questions = files.read_lines(ARENA_HARD / "question_v2.0.jsonl.gz")
    creative = [row["uid"] for row in questions if row["category"] == "creative_writing"]
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    with (mirror / "gemini-2.0-flash-001.jsonl").open("w") as file:
        for uid in creative:
            content = {"role": "assistant", "content": {"answer": f"A tale of {uid}."}}
            file.write(json.dumps({"uid": uid, "model": "g", "messages": [content]}) + "\n")
    (spec,) = tasks.parse_specs("arenahard")
    from judgebench.run.loading import load_task

    one = load_task(spec, SourceFinder(tmp_path / "cache", [*mirrors(), mirror], offline=True), starter=False)
    task, data = one.task, one.data
    assert len(data.examples) == task.official_examples == 750
    cases = {uid: task.cases(data, Generation(example_id=uid, model="m", outputs=("x",))) for uid in data.by_id}
    assert {case.answers[0].model for uid in creative for case in cases[uid][:1]} == {"gemini-2.0-flash-001"}
    for uid in (creative[0], data.examples[0].id):
        case = cases[uid][0]
        system = data.judges[case.judge].ask(case).messages[0].content
        assert sha256_hex(system.encode()) == PROMPT_HASHES[str(data.by_id[uid].meta["category"])]
    hard = next(uid for uid in data.by_id if uid not in creative)
    records = [judgement(hard, ["A>>B", "B>>A"]), judgement(creative[0], ["B>A", "A>B"])]
    scores = files.scores_of(task, data, rows_of(records))["m"]
    assert scores["win_rate", "category=hard_prompt"].value == 0.0
    assert scores["win_rate", "category=creative_writing"].value == 100.0
    assert scores["win_rate", None].value == 25.0


def test_the_order_of_rows_does_not_matter(load: Load) -> None:
    """Shuffled judgements give every number again, intervals too."""
    task, data = load("arenahard@v0.1")
    rows = rows_against("gpt-4-0314", JUDGEMENTS / "gpt-4o", ANSWERS.path)
    shuffled = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    assert files.scores_of(task, data, shuffled) == files.scores_of(task, data, rows)


def test_runs_of_one_protocol_are_controlled_in_one_table(tmp_path: Path) -> None:
    """A folder of three models becomes three runs, whose own numbers are each model's alone; ``leaderboard`` fits them
    together and gives upstream's table (within 0.4 points of its unconverged fit), with the converged coefficients.
    """
    (tmp_path / "in").mkdir()
    for path in [*(JUDGEMENTS / TABLE).iterdir(), *ANSWERS.path.iterdir()]:
        name = path.name.removesuffix(".jsonl.gz")
        if name in (*REBUILT, "gpt-4-0314"):
            (tmp_path / "in" / f"{path.parent.name}-{path.name}").symlink_to(path)
    settings = Settings(tasks="arenahard@v0.1:pipeline=current", out=tmp_path / "out", mirrors=mirrors(), offline=True)
    import_run(tmp_path / "in", "arena_hard", settings)
    wanted = files.expected("current")[f"{TABLE}|style"]
    (group,) = json.loads(judgebench(["leaderboard", tmp_path / "out", "--format", "json"]).stdout)
    assert {row["model"] for row in group["rows"]} == set(REBUILT)
    for row in group["rows"]:
        score = row["scores"]["win_rate_style_controlled"]
        assert "3 models in one table" in score["method"]
        assert score["value"] == pytest.approx(100 * wanted["converged_winrate"][row["model"]], abs=1e-4)
        assert score["value"] == pytest.approx(100 * wanted["upstream_winrate_fullfit"][row["model"]], abs=0.4)
        assert score["low"] < score["value"] < score["high"]
        assert score["n"] + score["n_missing"] == 500
        coefficients = list(score["details"]["coefficients"].values())
        assert coefficients == pytest.approx(wanted["converged_coefs"][4:], abs=1e-5)
