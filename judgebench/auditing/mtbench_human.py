"""MT-Bench's human judgements (Zheng et al. 2023, arXiv 2306.05685): votes of people on pairs of models' answers.

Source: the data set lmsys/mt_bench_human_judgments, and lm-sys/FastChat: fastchat/llm_judge/compute_agreement.py. Setup
S1 keeps all votes, S2 leaves out every comparison in which either side is a tie: the same verdicts look far better in
S2, so that both are always given.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from judgebench.auditing.figures import ALL, Figure, compared, share
from judgebench.auditing.items import TIE, Item, Label
from judgebench.auditing.pair_figures import longer_figures, position_figures
from judgebench.auditing.people_figures import MARGINS, people_figures
from judgebench.auditing.suite import BOTH, NULL, Judged, Suite
from judgebench.data.rows import FileRow, json_rows, parquet_rows
from judgebench.records import Message
from judgebench.stats.agreement import agreement_within
from judgebench.stats.arrays import IntArray

TURNS = ("turn1", "turn2")
EXPERT, AUTHOR = "expert", "author"
_VOTE = np.array([0, 1, -1])
"""Of a tie and of the two responses, as ``stats.agreement`` has them."""


@dataclass
class _Game:
    """The votes on one pair of models and one turn of a question."""

    first: list[dict[str, Any]]
    second: list[dict[str, Any]]
    votes: list[Label] = field(default_factory=list)


def read_items(files: Mapping[str, bytes]) -> tuple[Item, ...]:
    """One item for each question, turn and pair of models, the models in alphabetical order, with all votes on it."""
    found: dict[tuple[str, str, str, int], _Game] = {}
    for name, data in files.items():
        for row in parquet_rows(data, name) if data.startswith(b"PAR1") else json_rows(data, name):
            turn, first, second = row.number("turn"), row.text("model_a"), row.text("model_b")
            if turn not in (1, 2):
                raise row.error(f"'turn' must be 1 or 2, found {str(row.value('turn'))[:40]!r}")
            turned = first > second
            sides = [_conversation(row, side, int(turn)) for side in ("conversation_a", "conversation_b")]
            names = (second, first) if turned else (first, second)
            game = found.setdefault(
                (row.key("question_id"), names[0], names[1], int(turn)), _Game(sides[turned], sides[not turned])
            )
            game.votes.append(Label(annotator=row.text("judge"), label=_winner(row, turned=turned)))
    return tuple(_item(key, game) for key, game in found.items())


def _winner(row: FileRow, *, turned: bool) -> str:
    winner = row.text("winner")
    if TIE in winner:
        return TIE
    if winner not in ("model_a", "model_b"):
        raise row.error(f"'winner' must be model_a, model_b or a tie, found {winner[:40]!r}")
    return "1" if (winner == "model_a") != turned else "2"


def _conversation(row: FileRow, name: str, turn: int) -> list[dict[str, Any]]:
    """The messages up to the judged answer, which take turns."""
    given = row.value(name)
    messages = given if isinstance(given, list) else []
    wanted = ["user", "assistant"] * turn
    if len(messages) < len(wanted) or not all(
        isinstance(message, dict) and message.get("role") == role and isinstance(message.get("content"), str)
        for message, role in zip(messages, wanted, strict=False)
    ):
        raise row.error(f"{name!r} must begin with {len(wanted)} messages of user and assistant in turns")
    return messages[: len(wanted)]


def _item(key: tuple[str, str, str, int], game: _Game) -> Item:
    question, first, second, turn = key
    asked = [message["content"] for message in game.first[::2]]
    return Item(
        id=f"{question}/{first}/{second}/{turn}",
        suite="mtbench-human",
        subset=f"turn{turn}",
        cluster=question,
        messages=(Message(role="user", content=asked[0]),),
        followups=tuple(asked[1:]),
        responses=tuple(tuple(message["content"] for message in side[1::2]) for side in (game.first, game.second)),
        models=(first, second),
        gold=tuple(game.votes),
        turn=turn,
    )


def combined(judged: Judged) -> IntArray:
    """The verdict of both orders: what they agree on, a tie if they do not, a null if either is one."""
    one, other = (judged.winners(order) for order in BOTH)
    agreed = np.where(one == other, one, 0)
    return np.where((one == NULL) | (other == NULL), NULL, agreed)


def figures(judged: Judged) -> Iterator[Figure]:
    """Agreement in both setups, by turn and over both, the ceiling of people, the order and lengths."""
    kept = judged
    if judged.options["voters"] == "experts":
        keep = [tuple(label for label in item.gold if label.annotator.startswith(EXPERT)) for item in judged.items]
        items = tuple(_with_gold(item, gold) for item, gold in zip(judged.items, keep, strict=True))
        kept = Judged(items, judged.decisions, judged.orders, judged.options)
    for turn, part in kept.by_subset(TURNS):
        yield from _group(part, turn)
    yield from _group(kept, ALL)
    verdicts = combined(kept)
    yield from people_figures(kept.items, verdicts, kept.clusters, MARGINS[judged.options["people"]])
    yield from position_figures(kept)
    gold = np.array([-2 if item.majority is None else item.majority for item in kept.items], dtype=np.int64)
    yield from longer_figures(kept, (verdicts,), gold)


def _with_gold(item: Item, gold: tuple[Label, ...]) -> Item:
    from msgspec.structs import replace

    return replace(item, gold=gold)


def _group(judged: Judged, group: str) -> Iterator[Figure]:
    verdicts = combined(judged)
    row = np.array([place for place, item in enumerate(judged.items) for _ in item.gold], dtype=np.int64)
    votes = np.array([label.vote for item in judged.items for label in item.gold], dtype=np.int64)
    said, clusters = verdicts[row], judged.clusters[row]
    rng = np.random.default_rng
    drop = judged.options["null_as"] == "drop"
    null = "left out" if drop else "agrees with nobody"
    order = "the judge's orders that disagree are a tie"
    for setup, ties in (("s1", True), ("s2", False)):
        counted = np.ones(len(row), dtype=bool) if ties else (said != 0) & (votes != 0)
        counted &= (said != NULL) | (not drop)
        rule = "ties are a label of their own" if ties else "without comparisons in which either is a tie"
        policy = f"comparisons of the judge with each person's vote; {rule}; {order}; a null {null}"
        agree = (said == votes)[counted]
        yield share(f"agreement_{setup}", agree, clusters[counted], policy, group=group)
        among = agreement_within(row, _VOTE[votes], ties=ties, clusters=clusters, rng=rng(0))
        policy = f"comparisons of every two people's votes on an item; {rule}"
        yield compared(f"human_agreement_{setup}", among, policy, group=group)
    yield share("tie_rate", verdicts == 0, judged.clusters, f"of the judge's verdicts; {order}", group=group)
    yield share("human_tie_rate", votes == 0, clusters, "of people's votes", group=group)
    yield share("unparsed", verdicts == NULL, judged.clusters, "of verdicts, missing in either order", group=group)


SUITE = Suite(
    name="mtbench-human",
    about="answers of six models to MT-Bench's questions, judged by experts, ties allowed",
    paper="arXiv 2306.05685",
    files=("mtbench-votes",),
    read=read_items,
    figures=figures,
    headline=("agreement_s2", ALL),
    choices={
        "null_as": ("wrong", "drop"),
        "people": ("experts", "skilled", "crowd"),
        "voters": ("experts", "all"),
    },
)
