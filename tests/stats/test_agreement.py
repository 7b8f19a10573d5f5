"""Agreement of votes: by hand, by identities, and where there is too little."""

from itertools import combinations

import numpy as np
import pytest

from judgebench.stats.agreement import agreement_between, agreement_within, orient


def random_votes(seed: int, n: int = 400, games: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Votes of many on few games."""
    rng = np.random.default_rng(seed)
    return rng.integers(games, size=n), rng.integers(-1, 2, size=n)


@pytest.mark.parametrize("ties", [True, False])
def test_counts_equal_a_plain_loop(ties: bool) -> None:
    """Every comparison counted one by one gives the same totals."""
    games, votes = random_votes(0)
    single, verdicts = np.arange(10, 70), random_votes(1, 60)[1]
    wanted = [
        (vote, verdict)
        for game, vote in zip(games, votes, strict=True)
        for other, verdict in zip(single, verdicts, strict=True)
        if game == other and (ties or (vote and verdict))
    ]
    found = agreement_between(games, votes, single, verdicts, ties=ties)
    assert (found.total, found.agree) == (len(wanted), sum(a == b for a, b in wanted))
    pairs = [
        (votes[i], votes[j])
        for i, j in combinations(range(len(games)), 2)
        if games[i] == games[j] and (ties or (votes[i] and votes[j]))
    ]
    within = agreement_within(games, votes, ties=ties)
    assert (within.total, within.agree) == (len(pairs), sum(a == b for a, b in pairs))


def test_turning_all_votes_changes_nothing() -> None:
    """Which answer is called the first does not matter, as long as it is the same for all."""
    games, votes = random_votes(2)
    assert agreement_within(games, -votes) == agreement_within(games, votes)


def test_names_are_ordered_and_votes_turned_with_them() -> None:
    """A vote for the second of two names in reverse order is one for the first in order; a tie stays."""
    pairs, votes = orient(["b", "a", "b"], ["a", "b", "a"], [1, 1, 0])
    assert pairs.tolist() == [["a", "b"]] * 3
    assert votes.tolist() == [-1, 1, 0]


def test_the_interval_is_over_clusters() -> None:
    """Copying every vote within its cluster leaves the interval as it is; one cluster has none."""
    games, votes = random_votes(3)
    once = agreement_between(
        games, votes, np.arange(60), np.ones(60), clusters=games // 6, rng=np.random.default_rng(0)
    )
    twice = agreement_between(
        np.tile(games, 2),
        np.tile(votes, 2),
        np.arange(60),
        np.ones(60),
        clusters=np.tile(games // 6, 2),
        rng=np.random.default_rng(0),
    )
    assert once.interval is not None
    assert twice.interval is not None
    assert (once.interval.low, once.interval.high) == (twice.interval.low, twice.interval.high)
    assert once.ratio is not None
    assert once.interval.low < once.ratio < once.interval.high
    alone = agreement_between([1, 1], [1, 1], [1], [1], clusters=[5, 5], rng=np.random.default_rng(0))
    assert (alone.ratio, alone.interval) == (1.0, None)


def test_nothing_in_common_is_no_ratio() -> None:
    """No comparison gives ``None``, not zero."""
    assert agreement_between([1], [1], [2], [1]).ratio is None
    assert agreement_within([], []).ratio is None
    assert agreement_within([1, 2], [1, 1]).total == 0


def test_what_cannot_be_votes_is_refused() -> None:
    """Two verdicts on one game, other numbers, unlike lengths, an interval without a generator."""
    with pytest.raises(ValueError, match="one vote on each game"):
        agreement_between([1], [1], [1, 1], [1, -1])
    with pytest.raises(ValueError, match="1, -1 or 0"):
        agreement_within([1], [2])
    with pytest.raises(ValueError, match="shapes"):
        agreement_within([1, 2], [1])
    with pytest.raises(ValueError, match="rng"):
        agreement_within([1, 1], [1, 1], clusters=[1, 1])
