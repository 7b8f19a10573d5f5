"""How often a judge agrees with people, and people with each other, on pairs of answers.

Source: lm-sys/FastChat@0e6d3e4beaab66f4d3f93db72541a4abab8af28d:fastchat/llm_judge/compute_agreement.py. Votes are rows
of ``{question_id, model_a, model_b, winner, judge, turn}``, as the dataset lmsys/mt_bench_human_judgments has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgebench.data.rows import FileRow
from judgebench.stats.agreement import Agreement, agreement_between, agreement_within, orient
from judgebench.stats.arrays import IntArray

VOTES = {"model_a": 1, "model_b": -1}
SEED = 0


@dataclass(frozen=True)
class Votes:
    """Votes as columns, each of shape (n,)."""

    games: tuple[tuple[int, int, str, str], ...]
    """Question, turn, and the two models in alphabetical order."""
    votes: IntArray
    """1 for the first of the two, -1 for the second, 0 for a tie."""


def read_votes(rows: Sequence[FileRow]) -> Votes:
    """Read the votes of experts or of a judge model, without those of the authors, which upstream leaves out too.

    Raise RecordError for a winner that is neither a model nor any kind of tie.
    """
    read: list[tuple[int, int, str, str, int]] = []
    for row in rows:
        judge, winner = row.fields.get("judge"), row.text("winner")
        if isinstance(judge, str) and judge.startswith("author"):
            continue
        if "tie" not in winner and winner not in VOTES:
            raise row.error(f"'winner' must be model_a, model_b or a tie, found {winner[:40]!r}")
        question, turn = row.number("question_id"), row.number("turn")
        if question is None or turn is None:
            raise row.error("the vote lacks its 'question_id' or 'turn'")
        vote = 0 if "tie" in winner else VOTES[winner]
        read.append((int(question), int(turn), row.text("model_a"), row.text("model_b"), vote))
    if not read:
        return Votes((), np.zeros(0, dtype=np.int64))
    questions, turns, first, second, votes = zip(*read, strict=True)
    pairs, turned = orient(first, second, votes)
    named = zip(questions, turns, *(pairs[:, side].tolist() for side in (0, 1)), strict=True)
    return Votes(tuple(named), turned)


def agreement_table(human: Votes, judge: Votes) -> dict[tuple[str, int, bool], Agreement]:
    """Return the agreement by kind (``judge`` with people, or ``human``: people with each other), turn, and whether
    ties count.

    Intervals are over questions.
    """
    codes = {game: code for code, game in enumerate(sorted({*human.games, *judge.games}))}
    table = {}
    for turn in (1, 2):
        (people, votes), (judged, verdicts) = (_of_turn(those, codes, turn) for those in (human, judge))
        clusters = np.array([game[0] for game in human.games if game[1] == turn])
        for ties in (True, False):
            table["judge", turn, ties] = agreement_between(
                people, votes, judged, verdicts, ties=ties, clusters=clusters, rng=np.random.default_rng(SEED)
            )
            table["human", turn, ties] = agreement_within(
                people, votes, ties=ties, clusters=clusters, rng=np.random.default_rng(SEED)
            )
    return table


def _of_turn(those: Votes, codes: dict[tuple[int, int, str, str], int], turn: int) -> tuple[IntArray, IntArray]:
    inside = np.array([game[1] == turn for game in those.games], dtype=bool)
    return np.array([codes[game] for game in those.games], dtype=np.int64)[inside], those.votes[inside]
