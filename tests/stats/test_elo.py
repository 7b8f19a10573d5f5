"""Online Elo and WB-Elo against hand-worked votes, a plain loop, and the numbers of FastChat and WildBench.

Expected files: ``ratings/*_expected.json`` (FastChat) and ``wildbench/wb_elo_expected.csv`` (upstream's code on six
models, 600 rounds, with random orders that nobody can draw again).
"""

import gzip
import json
import random
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from judgebench.stats.arrays import FloatArray
from judgebench.stats.elo import Votes, online_elo, shuffled_elo, votes_from_scores
from tests.shared_data import SHARED


def one_cell(times: int, outcome: float = 1.0, n_items: int = 2) -> Votes:
    """The same vote between items 0 and 1 again and again: all orders are one."""
    return Votes(n_items, np.array([0]), np.array([1]), np.array([outcome]), np.array([times]), np.ones(1), times)


def plain_loop(
    votes: list[tuple[int, int, float]],
    anchors: list[float | None],
    *,
    dynamic: bool,
    interval: int,
    k: float = 4.0,
) -> list[float]:
    """WB-Elo along one order of votes, written down from its description."""
    ratings = [1000.0 if anchor is None else anchor for anchor in anchors]
    processed = [0] * len(anchors)
    for one, other, share in votes:
        if anchors[one] is not None and anchors[other] is not None:
            continue
        expected = 1 / (1 + 10 ** ((ratings[other] - ratings[one]) / 400))
        for item, change in ((one, k * (share - expected)), (other, k * (expected - share))):
            anchor = anchors[item]
            if anchor is None:
                ratings[item] += change
            elif dynamic:
                ratings[item] += change
                if interval > 0 and processed[item] % interval == 0:
                    ratings[item] = (ratings[item] + anchor) / 2
        processed[one] += 1
        processed[other] += 1
    return ratings


# Online Elo


def test_first_vote_moves_half_of_k() -> None:
    """Two items at 1000: the winner of the first vote gains K / 2, which the loser loses."""
    assert online_elo([0], [1], [1]).tolist() == [1002, 998]
    assert online_elo([0], [1], [0], k=32).tolist() == [984, 1016]
    assert online_elo([0], [1], [0.5], start=1500).tolist() == [1500, 1500]


def test_400_points_ahead_gain_a_tenth() -> None:
    """A winner 400 points ahead was expected to take 10/11 and gains K / 11."""
    a, b, outcome = [0] * 10_000, [1] * 10_000, [1.0] * 10_000
    ratings = online_elo(a, b, outcome, k=4)
    before = ratings[0] - ratings[1]
    after = online_elo([*a, 0], [*b, 1], [*outcome, 1], k=4)
    assert after[0] - ratings[0] == pytest.approx(4 / (1 + 10 ** (before / 400)), abs=1e-9)


def test_points_are_conserved() -> None:
    """What one gains the other loses: the mean stays 1000, and items without battles stay there."""
    rng = np.random.default_rng(0)
    a = rng.integers(4, size=300)
    ratings = online_elo(a, (a + 1) % 4, rng.choice([0, 0.5, 1], 300), n_items=5)
    assert ratings.mean() == pytest.approx(1000, abs=1e-9)
    assert ratings[4] == 1000


def test_order_matters() -> None:
    """A win then a loss is not a loss then a win: the last vote counts most."""
    assert online_elo([0, 0], [1, 1], [0, 1], k=32)[0] > online_elo([0, 0], [1, 1], [1, 0], k=32)[0]


@pytest.mark.parametrize(
    ("battles", "numbers"),
    [
        ("ratings/synthetic_20x20000.csv.gz", "synthetic_20x20000_expected.json"),
        ("arena_hard/battles/gpt4o_16models.csv.gz", "arena_hard_gpt4o_16models_expected.json"),
    ],
)
def test_one_pass_equals_fastchat(battles: str, numbers: str) -> None:
    """FastChat's online Elo with K = 4 on the same battles in the same order: equal to 1e-8 (rounding)."""
    table = pd.read_csv(SHARED / battles)
    names = sorted({*table["model_a"], *table["model_b"]})
    a, b = (table[side].map(names.index).to_numpy(dtype=np.int64) for side in ("model_a", "model_b"))
    outcome = np.select([table["winner"] == "model_a", table["winner"] == "model_b"], [1.0, 0.0], 0.5)
    wanted = json.loads((SHARED / "ratings" / numbers).read_text())["fastchat_online_elo_k4"]
    assert online_elo(a, b, outcome) == pytest.approx(np.array([wanted[name] for name in names]), abs=1e-8)


# Votes from scores


def test_margins_make_votes() -> None:
    """Differences 0 to 4 with margin 3 and tie margin 1: a tie, a tie, no vote, a win, a win."""
    scores = [[5, 5], [6, 5], [7, 5], [8, 5], [5, 9]]
    votes = votes_from_scores(scores, margin=3, tie_margin=1, length_margin=None)
    assert (votes.n_battles, votes.n_decided) == (4, 2)
    assert dict(zip(votes.outcome.tolist(), votes.count.tolist(), strict=True)) == {0.0: 1, 0.5: 2, 1.0: 1}


def test_equal_margins_leave_no_gap() -> None:
    """With both margins 2, the official setting, every pair votes, and a difference of exactly 2 is a win."""
    votes = votes_from_scores([[7, 5], [6, 5]], length_margin=None)
    assert votes.outcome.tolist() == [0.5, 1.0]


def test_uneven_lengths_make_a_tie_whoever_is_longer() -> None:
    """Beyond the length margin, not at it, a vote is a tie; it still counts among the decided ones, as upstream."""
    scores = [[9, 5]] * 3
    votes = votes_from_scores(scores, [[100, 1600], [1601, 100], [100, 1601]])
    assert dict(zip(votes.outcome.tolist(), votes.count.tolist(), strict=True)) == {1.0: 1, 0.5: 2}
    assert votes.n_decided == 3


def test_missing_scores_make_no_votes() -> None:
    """NaN for one item takes it out of that question only."""
    votes = votes_from_scores([[9, np.nan, 5], [9, 5, 5]], length_margin=None)
    pairs = zip(votes.first.tolist(), votes.second.tolist(), votes.count.tolist(), strict=True)
    assert sorted(pairs) == [(0, 1, 1), (0, 2, 2), (1, 2, 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [1, 2]}, "table"),
        ({"scores": [[1, np.inf]], "length_margin": None}, "table"),
        ({"scores": [[1, 2]]}, "length"),
        ({"scores": [[1, 2]], "lengths": [[1]]}, "length"),
        ({"scores": [[1, 2]], "length_margin": None, "margin": 0}, "margin"),
    ],
)
def test_unusable_scores_are_named(arguments: dict[str, object], message: str) -> None:
    """Tables of another shape, infinities, and missing lengths are refused."""
    with pytest.raises(ValueError, match=message):
        votes_from_scores(**arguments)  # type: ignore[arg-type]


# Random orders


@pytest.mark.parametrize("anchors", [[None, None], [1200.0, None], [None, 1200.0]])
@pytest.mark.parametrize(("dynamic", "interval"), [(False, 16), (True, 16), (True, 1), (True, 0), (True, 100)])
@pytest.mark.parametrize("outcome", [0.0, 0.5, 1.0])
def test_equal_votes_equal_the_plain_loop(
    anchors: list[float | None], dynamic: bool, interval: int, outcome: float
) -> None:
    """Where order cannot matter, every round equals the plain loop: anchors, their pull and its interval included."""
    result = shuffled_elo(one_cell(250, outcome), anchors=anchors, dynamic=dynamic, interval=interval, rounds=3)
    wanted = plain_loop([(0, 1, outcome)] * 250, anchors, dynamic=dynamic, interval=interval)
    assert result.ratings == pytest.approx(np.array([wanted] * 3), abs=1e-9)


class Table(NamedTuple):
    """Scores of models on questions."""

    names: list[str]
    scores: FloatArray
    lengths: FloatArray


def made_up(seed: int = 0) -> Table:
    """Scores from 1 to 10 of five models on 60 questions."""
    rng = np.random.default_rng(seed)
    scores = np.clip(np.round(rng.normal(5, 2, (60, 5)) + np.linspace(-1, 1, 5)), 1, 10)
    return Table([str(k) for k in range(5)], scores, rng.integers(100, 4000, (60, 5)).astype(float))


@pytest.mark.parametrize("dynamic", [False, True])
def test_random_orders_equal_the_plain_loop_on_average(dynamic: bool) -> None:
    """Means over 400 orders agree with 400 orders of the plain loop within 4.5 standard errors; spreads within 20 %."""
    table = made_up()
    votes = votes_from_scores(table.scores, table.lengths)
    anchors = [900.0, None, 1050.0, None, None]
    result = shuffled_elo(votes, anchors=anchors, dynamic=dynamic, interval=10, rounds=400)
    single = [
        vote
        for *vote, times in zip(votes.first, votes.second, votes.outcome, votes.count, strict=True)
        for _ in range(times)
    ]
    draw = random.Random(0)
    plain = np.array(
        [
            plain_loop(draw.sample(single, len(single)), anchors, dynamic=dynamic, interval=10)  # type: ignore[arg-type]
            for _ in range(400)
        ]
    )
    deviation = plain.std(axis=0)
    assert (np.abs(result.ratings.mean(axis=0) - plain.mean(axis=0)) <= 4.5 * deviation * (2 / 400) ** 0.5 + 1e-9).all()
    assert result.ratings.std(axis=0) == pytest.approx(deviation, rel=0.2, abs=1e-9)


def test_rounds_are_seeded_one_by_one() -> None:
    """Equal seeds give equal ratings to the last bit, more rounds keep the earlier ones, another seed changes them."""
    table = made_up()
    votes = votes_from_scores(table.scores, table.lengths)
    some, more = shuffled_elo(votes, rounds=5).ratings, shuffled_elo(votes, rounds=9).ratings
    assert np.array_equal(shuffled_elo(votes, rounds=5).ratings, some)
    assert more[:5] == pytest.approx(some, abs=1e-9)
    assert not np.allclose(shuffled_elo(votes, rounds=5, seed=43).ratings, some, atol=1e-3)


def test_mirrored_scores_mirror_ratings() -> None:
    """Scores turned around (11 - s) reflect mean ratings about 1000, within the noise of 200 orders."""
    table = made_up()
    there = shuffled_elo(votes_from_scores(table.scores, table.lengths), rounds=200)
    back = shuffled_elo(votes_from_scores(11 - table.scores, table.lengths), rounds=200)
    error = 4.5 * there.ratings.std(axis=0) * (2 / 200) ** 0.5
    assert (np.abs(there.ratings.mean(axis=0) + back.ratings.mean(axis=0) - 2000) < error).all()


def test_anchors_that_stay_and_items_without_votes() -> None:
    """Votes between anchors are left out; who has no vote keeps its start, and is marked."""
    result = shuffled_elo(one_cell(20, n_items=3), anchors=[1100, 1200, None], rounds=2)
    assert result.ratings == pytest.approx(np.array([[1100, 1200, 1000]] * 2), abs=1e-9)
    assert result.voted.tolist() == [False] * 3
    summary = result.summary(0)
    assert (summary.mean, summary.std, summary.median) == pytest.approx((1100, 0, 1100), abs=1e-9)


def test_one_round_has_no_interval() -> None:
    """The spread over orders needs two of them."""
    assert shuffled_elo(one_cell(3), rounds=1).summary(0).interval is None


def test_unusable_votes_are_named() -> None:
    """No votes, no rounds, and anchors of another number of items are refused."""
    with pytest.raises(ValueError, match="votes and rounds"):
        shuffled_elo(votes_from_scores(np.full((3, 2), np.nan), length_margin=None))
    with pytest.raises(ValueError, match="votes and rounds"):
        shuffled_elo(one_cell(3), rounds=0)
    with pytest.raises(ValueError, match="one rating or None"):
        shuffled_elo(one_cell(3), anchors=[1000.0])


# WildBench's numbers


@cache
def wildbench() -> tuple[Table, list[float | None]]:
    """Scores of the six models judged by gpt-4o, and their anchors."""
    folder = SHARED / "wildbench"
    rows: dict[str, dict[str, tuple[float, float]]] = {}
    for path in sorted((folder / "score_records").glob("v0625-gpt4o__*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        rows[path.name.removesuffix(".jsonl.gz").split("__")[1]] = {
            record["session_id"]: (
                np.nan if record["truncated"] or record["empty"] else int(record["score"]),
                record["len"],
            )
            for record in records
        }
    names, sessions = list(rows), sorted({session for scored in rows.values() for session in scored})
    cells = [[rows[name].get(session, (np.nan, 0)) for name in names] for session in sessions]
    scores, lengths = np.array(cells, dtype=float).transpose(2, 0, 1)
    external = pd.read_csv(folder / "published" / "external.csv", index_col="model").iloc[:, 0]
    given = {name.replace("@together", ""): elo for name, elo in external.items() if elo != "-"}
    return Table(names, scores, lengths), [float(given[name]) if name in given else None for name in names]


@pytest.mark.parametrize("config", ["A", "B", "C"])
def test_wb_elo_of_six_models(config: str) -> None:
    """Vote counts exact; means within 4 standard errors of 128 rounds and 0.6; spreads within 25 percent.

    The means' tolerance is the one stated beside the expected file; the standard deviation of 128 rounds has an error
    of 6 percent and upstream's one of 3. Percentiles: four standard errors of a 2.5 % quantile, 0.24 deviations each.
    """
    table, anchors = wildbench()
    expected = pd.read_csv(SHARED / "wildbench" / "wb_elo_expected.csv")
    expected = expected[expected["config"] == config]
    setting = expected.iloc[0]
    votes = votes_from_scores(
        table.scores,
        table.lengths,
        margin=setting["margin"],
        tie_margin=setting["tie_margin"],
        length_margin=setting["length_margin"],
    )
    assert (votes.n_battles, votes.n_decided) == (setting["votes"], setting["non_tie_votes"])
    rounds = 128
    dynamic, interval = bool(setting["dynamic"]), int(setting["interval"])
    result = shuffled_elo(votes, anchors=anchors, dynamic=dynamic, interval=interval, rounds=rounds)
    for row in expected.to_dict("records"):
        at = table.names.index(row["model"])
        assert anchors[at] == (None if row["init_elo"] == "-" else float(row["init_elo"]))
        summary, std = result.summary(at), row["std"]
        assert summary.mean == pytest.approx(row["avg"], abs=4 * std / rounds**0.5 + 0.6)
        assert summary.std == pytest.approx(std, rel=0.25)
        assert summary.median == pytest.approx(row["median"], abs=5 * std / rounds**0.5 + 0.6)
        assert summary.interval is not None
        assert summary.interval.low == pytest.approx(row["ci_low"], abs=std)
        assert summary.interval.high == pytest.approx(row["ci_high"], abs=std)


def test_anchors_of_config_c_do_not_move() -> None:
    """Without ``dynamic`` the five anchors stay where they were given; only reka-edge is rated."""
    table, anchors = wildbench()
    votes = votes_from_scores(table.scores, table.lengths, margin=3, tie_margin=1, length_margin=None)
    ratings = shuffled_elo(votes, anchors=anchors, dynamic=False, rounds=3).ratings
    for column, anchor in zip(ratings.T, anchors, strict=True):
        assert anchor is None or column == pytest.approx(anchor, abs=1e-9)
