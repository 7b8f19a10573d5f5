"""``judgebench arena --battles``: other programs' ratings of the same battles, and replays of adaptive pairing.

Expected files: ``ratings/*_expected.json`` (arena-rank 0.1.1 and FastChat on the same tables). Their solvers stop
early: arena-rank up to 0.02 points from the optimum, FastChat up to 0.06.
"""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from judgebench.arena.games import read_battles
from judgebench.arena.playing import SHARE, Rule
from judgebench.arena.replaying import Replays, replay
from tests.commands import judgebench
from tests.shared_data import SHARED

TABLES = ("official_gpt4turbo_2models", "gpt4turbo_8models", "gpt4o_16models")
SYNTHETIC, REAL = "synthetic_20x20000", "arena_hard_gpt4o_16models"
ORDERS = 5


def arena(*words: object) -> dict[str, Any]:
    """What the command finds."""
    found: dict[str, Any] = json.loads(judgebench(["arena", *words, "--json"]).stdout)
    return found


@cache
def on_table(name: str, *words: str) -> dict[str, Any]:
    """What it finds on a shared table, asked once."""
    return arena("--battles", table(name), *words)


def table(name: str) -> Path:
    """A table of battles."""
    if name == SYNTHETIC:
        return SHARED / "ratings" / f"{SYNTHETIC}.csv.gz"
    return SHARED / "arena_hard" / "battles" / "gpt4o_16models.csv.gz"


def expected(name: str) -> dict[str, Any]:
    """The other programs' numbers on it."""
    found: dict[str, Any] = json.loads((SHARED / "ratings" / f"{name}_expected.json").read_text())
    return found


def by_model(found: dict[str, Any], name: str) -> dict[str, float]:
    """One number of each model."""
    return {model["model"]: model[name] for model in found["models"]}


@pytest.mark.parametrize("name", [SYNTHETIC, REAL])
def test_ratings_are_those_of_arena_rank_and_fastchat(name: str) -> None:
    """Plain Bradley-Terry with mean 1000: within a tenth of a point of both, and at the converged optimum."""
    found, wanted = by_model(on_table(name), "rating"), expected(name)
    assert found == pytest.approx(wanted["converged_mle_reweighted_False"], abs=1e-3)
    assert found == pytest.approx(wanted["arena_rank_bt_reweighted_False"]["ratings"], abs=0.1)
    assert found == pytest.approx(wanted["fastchat_bt"]["ratings"], abs=0.1)


def test_intervals_are_arena_ranks_where_each_battle_has_its_own_question() -> None:
    """The synthetic battles have no questions, so that a battle is a cluster: bounds within 0.3 points. Ours have no
    ridge, and Student's t.
    """
    found, wanted = on_table(SYNTHETIC), expected(SYNTHETIC)["arena_rank_bt_reweighted_False"]
    for side in ("low", "high"):
        bounds = wanted[f"rating_{'lower' if side == 'low' else 'upper'}"]
        assert by_model(found, side) == pytest.approx(bounds, abs=0.3)


@pytest.mark.parametrize(
    ("preset", "key"),
    [("arena-rank", "arena_rank_contextual_reweighted_reg1.0"), ("arena2024", "fastchat_style_control")],
)
def test_style_controlled_ratings_are_those_of_the_preset(preset: str, key: str) -> None:
    """Ratings within 0.1 points, coefficients within 0.001, of arena-rank's contextual model and FastChat's."""
    found, wanted = on_table(SYNTHETIC, "--style-control", preset), expected(SYNTHETIC)[key]
    assert by_model(found, "style_rating") == pytest.approx(wanted["ratings"], abs=0.1)
    assert found["style"]["coefficients"] == pytest.approx(wanted["coeffs"], abs=1e-3)


@pytest.mark.parametrize("name", [SYNTHETIC, REAL])
def test_online_elo_is_fastchats(name: str) -> None:
    """One pass in the order of the table, K = 4."""
    found = by_model(on_table(name, "--elo"), "elo_in_order")
    assert found == pytest.approx(expected(name)["fastchat_online_elo_k4"], abs=1e-6)


def test_ranks_follow_intervals() -> None:
    """1 + the models whose interval lies wholly above: on battles without questions those of FastChat's intervals."""
    wanted = expected(SYNTHETIC)["fastchat_final_ranking"]
    found = by_model(on_table(SYNTHETIC), "rank")
    # Its bootstrap of 100 rounds moves bounds by a few points.
    assert sum(abs(found[model] - rank) <= 1 for model, rank in wanted.items()) >= 18


@cache
def replayed(name: str) -> Replays:
    """Replays of a real table."""
    return replay(read_battles(SHARED / "arena_hard" / "battles" / f"{name}.csv.gz"), Rule(), ORDERS)


@pytest.mark.parametrize("name", TABLES)
def test_adaptive_pairing_reaches_the_round_robins_ranking(name: str) -> None:
    """On every real table, in every order of the questions: at most 40 % of the games, and every pair that the whole
    table tells apart is in its order.
    """
    found = replayed(name)
    assert found.largest_share <= SHARE == 0.4
    assert found.agreeing == ORDERS
    assert found.told_apart >= 0.85 * found.pairs


def test_the_stop_ends_before_the_limit() -> None:
    """Eight models of different strengths are in order after a third of the games, and two after a sixth."""
    assert all(one.stopped == "decided" for name in TABLES[:2] for one in replayed(name).replays)
    assert max(one.share for one in replayed(TABLES[0]).replays) < 0.2


def test_a_replay_through_the_command(tmp_path: Path) -> None:
    """--replay says on one's own table how much would have been played, and what was lost."""
    path = SHARED / "arena_hard" / "battles" / f"{TABLES[0]}.csv.gz"
    ended = judgebench(["arena", "--battles", path, "--replay", 3])
    assert "3 of 3 replays order every pair" in " ".join(ended.stdout.split())


def battles(path: Path, rows: str) -> Path:
    """A table of battles."""
    with gzip.open(path, "wt") as file:
        file.write(f"model_a,model_b,winner\n{rows}")
    return path


def test_circles_are_named(tmp_path: Path) -> None:
    """Paper beats rock, scissors paper, rock scissors: the circle has its models, in order, and how sure it is."""
    rows = "".join("paper,rock,model_a\nscissors,paper,model_a\nrock,scissors,model_a\n" for _ in range(25))
    found = arena("--battles", battles(tmp_path / "games.csv.gz", rows))["circles"]
    assert found["found"] == [{"models": ["paper", "rock", "scissors"], "z": 5.0}]
    assert (found["triads"], found["possible"]) == (1, 1)
    printed = judgebench(["arena", "--battles", tmp_path / "games.csv.gz"]).stdout
    assert "paper > rock > scissors > paper" in " ".join(printed.split())


def test_a_model_that_never_lost_has_no_number(tmp_path: Path) -> None:
    """Its rating is not finite, and the reason is said instead."""
    rows = "a,b,model_a\nb,c,model_a\nc,b,model_a\nb,c,tie\na,c,model_a\n"
    models = {one["model"]: one for one in arena("--battles", battles(tmp_path / "games.csv.gz", rows))["models"]}
    assert models["a"]["rating"] is None
    assert "no rating is high enough" in models["a"]["reason"]
    assert models["b"]["rating"] is not None


def test_the_scale_is_anchored(tmp_path: Path) -> None:
    """A model's rating, a file of ratings, or a published table sets the shift; all differences stay."""
    rows = "gpt-4-0314,x,model_a\n" * 3 + "gpt-4-0314,x,model_b\n"
    path = battles(tmp_path / "games.csv.gz", rows)
    plain = by_model(arena("--battles", path), "rating")
    anchored = arena("--battles", path, "--anchor", "gpt-4-0314=1200")
    assert by_model(anchored, "rating")["gpt-4-0314"] == pytest.approx(1200)
    gap = plain["gpt-4-0314"] - plain["x"]
    assert gap == pytest.approx(190.85, abs=0.01)
    (tmp_path / "ratings.csv").write_text("model,rating\nGPT-4 0314,1100\nx,1000\n")
    both = arena("--battles", path, "--anchor", tmp_path / "ratings.csv")
    assert sum(by_model(both, "rating").values()) == pytest.approx(2100)
    assert both["anchoring"]["rmse"] == pytest.approx((gap - 100) / 2)
    published = arena("--battles", path, "--anchor", "arena_elo")
    assert published["anchoring"]["shared"] == ["gpt-4-0314"]
    assert by_model(published, "published")["gpt-4-0314"] == pytest.approx(by_model(published, "rating")["gpt-4-0314"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--anchor", "nobody=1000"], "none of the models has a rating there"),
        (["--anchor", "no_table"], "neither MODEL=RATING"),
        (["--style-control", "mine"], "is not one of"),
        (["--replay", "0"], "--replay 0: expected 1 or more"),
        (["--calls", "-1"], "--calls"),
        (["--pairs", "some"], "--pairs some is not one of adaptive, all"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    """In one paragraph, before anything is computed."""
    path = battles(tmp_path / "games.csv.gz", "a,b,model_a\nb,a,model_a\n")
    ended = judgebench(["arena", "--battles", path, *words], code=2)
    assert told in " ".join(ended.stderr.split())


def test_a_damaged_table_names_the_line(tmp_path: Path) -> None:
    """A model that plays itself."""
    ended = judgebench(["arena", "--battles", battles(tmp_path / "g.csv.gz", "a,b,tie\nc,c,tie\n")], code=2)
    assert "g.csv.gz:3: a battle is between two different models" in ended.stderr
