"""AlpacaFarm's human cross-annotations (Dubois et al. 2023, arXiv 2305.14387): some 650 pairs, four people each.

Source: tatsu-lab/alpaca_eval@cd543a149df89434d8a54582c0151c0b945c3d20: analyze.py, metrics/helpers.py, utils.py, whose
table of evaluators has these columns. A verdict is 1 for the first output, 2 for the second, 1.5 for a tie, or 1 + p.

Upstream's rule for "contains a list" takes a hyphenated word for a list, or the end of one sentence before another.
``prefer_lists_upstream`` follows it; ``prefer_lists`` wants items at the beginning of lines.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from judgebench.auditing.figures import Figure, correlated, share
from judgebench.auditing.items import TIE, Decision, Item, Label, cluster_of
from judgebench.auditing.pair_figures import LONGER_BY, position_figures
from judgebench.auditing.people_figures import MARGINS, people_figures
from judgebench.auditing.suite import Judged, Suite
from judgebench.data.rows import FileRow, json_rows
from judgebench.records import Message
from judgebench.stats.arrays import FloatArray, IntArray
from judgebench.stats.correlation import Kind, correlation, permutation_p
from judgebench.stats.cross_annotation import CrossAgreement, cross_agreement

PEOPLE = 4
"""Votes of an item; items with fewer are left out, further ones of an item too."""
CROSS, ALONE = "alpaca-crossannotations", "alpaca-annotations"
LEAST_VOTES = 100
"""People's votes that a model's outputs must exceed to be in the correlations."""
FEW_MODELS = 10
"""Models below which an interval of a correlation is rough."""
EVAL = "eval"
_LIST = re.compile(r"^[ \t]*(?:[*•-]|\d{1,3}[.)]|[A-Za-z][.)])[ \t]+\S", re.MULTILINE)
_UPSTREAM_LIST = re.compile(r"(?:[•*-]|\d[.)]|[A-Za-z][.)])\s*\w")
_LONGEST_GAP = re.compile(r"\s{2,}")


def has_list(text: str) -> bool:
    """Whether a line begins as an item of a list.

    >>> has_list("First:\\n- milk"), has_list("A well-known word. And more.")
    (True, False)
    """
    return _LIST.search(text) is not None


def has_list_upstream(text: str) -> bool:
    """Whether upstream's rule finds a list.

    >>> has_list_upstream("A well-known word. And more."), has_list_upstream("No")
    (True, False)
    """
    return _UPSTREAM_LIST.search(_LONGEST_GAP.sub(" ", text)) is not None


def read_items(files: Mapping[str, bytes]) -> tuple[Item, ...]:
    """The pairs with four votes, and which models wrote the second output."""
    writers: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for row in json_rows(files[ALONE], ALONE):
        generator = row.value("generator")
        if isinstance(generator, str):
            writers[_key(row)][generator] = None
    found: dict[tuple[str, str, str], list[FileRow]] = defaultdict(list)
    for row in json_rows(files[CROSS], CROSS):
        if row.value("preference") is not None:
            found[_key(row)].append(row)
    kept = [(key, rows[:PEOPLE]) for key, rows in found.items() if len(rows) >= PEOPLE]
    return tuple(_item(key, rows, tuple(writers.get(key, ()))) for key, rows in kept)


def _key(row: FileRow) -> tuple[str, str, str]:
    return row.text("instruction"), row.text("output_1"), row.text("output_2")


def _item(key: tuple[str, str, str], rows: list[FileRow], writers: tuple[str, ...]) -> Item:
    instruction, first, second = key
    return Item(
        id=cluster_of(*key),
        suite="alpaca-human",
        subset=str(rows[0].value("datasplit") or EVAL),
        cluster=cluster_of(instruction),
        messages=(Message(role="user", content=instruction),),
        responses=((first,), (second,)),
        models=("", writers[0]) if writers else (),
        also=writers[1:],
        gold=tuple(Label(annotator=name, label=_label(row)) for name, row in zip(_people(rows), rows, strict=True)),
    )


def _people(rows: list[FileRow]) -> list[str]:
    """Who voted, or the places of the votes if the rows do not tell their voters apart."""
    names = [str(row.value("annotator_index", "annotator")) for row in rows]
    return names if len(set(names)) == len(names) else [str(place) for place in range(len(rows))]


def _label(row: FileRow) -> str:
    preference = row.value("preference")
    if preference not in (0, 1, 1.5, 2):
        raise row.error(f"'preference' must be 1, 2, or 0 or 1.5 for a tie, found {str(preference)[:40]!r}")
    return TIE if preference in (0, 1.5) else str(int(preference))


def coded(item: Item) -> list[float]:
    """People's votes as upstream writes them."""
    return [label.vote or 1.5 for label in item.gold]


def preference(decision: Decision | None) -> float:
    """A verdict as upstream writes it; NaN for a null."""
    if decision is None or decision.winner is None:
        return np.nan
    return 1 + decision.p if decision.p is not None else decision.winner or 1.5


def figures(judged: Judged) -> Iterator[Figure]:
    """Upstream's columns for the judge and for people, and the judge beside each person."""
    votes = verdicts(judged)
    repeats = votes.shape[1]
    people = np.array([coded(item) for item in judged.items], dtype=float)
    people = people if len(people) else np.zeros((0, PEOPLE))
    yield from _agreements(votes, people, judged.clusters)
    yield from _preferences(judged, votes[:, 0], people)
    given = ~np.isnan(votes)
    clusters = np.broadcast_to(judged.clusters[:, None], votes.shape)[given]
    policy = "2 less the mean preference, of all verdicts; a tie is half, nulls left out"
    yield share("prefer_1", 2 - votes[given], clusters, policy)
    yield from _correlations(judged, votes, people)
    first = judged.drawn()
    yield share("unparsed", np.isnan(votes).ravel(), np.repeat(judged.clusters, repeats), "of all verdicts")
    yield from people_figures(judged.items, first, judged.clusters, MARGINS[judged.options["people"]])
    both = np.array([all((i.id, order, 0) in judged.decisions for order in ("12", "21")) for i in judged.items])
    if both.any():
        yield from position_figures(judged.part(both))


def verdicts(judged: Judged) -> FloatArray:
    """The judge's verdicts, shape (items, verdicts): one for each repeat, or, if asked once in both orders, those two.

    Upstream asks four times, in an order that is drawn each time; both orders are two of such draws, without the luck.
    """
    asked = 1 + max((repeat for _, _, repeat in judged.decisions), default=0)
    keys = [(judged.orders[item.id][0][0], item.id) for item in judged.items]
    other = [(item, "21" if order == "12" else "12", 0) for order, item in keys]
    if asked == 1 and other and all(key in judged.decisions for key in other):
        swapped = [preference(judged.decisions[key]) for key in other]
        return np.array([[preference(judged.decision(i)) for i in judged.items], swapped], dtype=float).T
    repeats = min(asked, PEOPLE)
    rows = [[preference(judged.decision(item, repeat)) for repeat in range(repeats)] for item in judged.items]
    return np.array(rows, dtype=float).reshape(len(judged.items), repeats)


def _agreements(votes: FloatArray, people: FloatArray, clusters: NDArray[np.str_]) -> Iterator[Figure]:
    rule = "1 less the distance of preferences; centres are modes, or medians of shares; items with a null left out"
    rows: tuple[tuple[str, CrossAgreement, bool, str], ...] = (
        ("human_agreement", _compared(votes, people, clusters, 1), False, "one verdict and the mode of all people"),
        ("one_person_agreement", _compared(votes, people, clusters, 1, 1), False, "one verdict and one person"),
        ("bias", _compared(votes, people, clusters, None), True, "the centre of all verdicts and the mode of people"),
        ("variance", _compared(votes, None, clusters, 1), True, "one verdict and the centre of the judge's others"),
        ("people_agreement", _compared(people, None, clusters, 1), False, "one person and the mode of the others"),
        ("people_variance", _compared(people, None, clusters, 1), True, "one person and the mode of the others"),
    )
    for name, found, error, what in rows:
        value, interval = found.score, found.interval
        reason = found.reason
        if name in ("bias", "variance") and votes.shape[1] < 2:
            value, interval, reason = None, None, "it needs several verdicts on each item"
        if error and value is not None:
            value = 1 - value
            interval = (
                None
                if interval is None
                else type(interval)(1 - interval.high, 1 - interval.low, interval.level, interval.method)
            )
        policy = f"of {what}, expected over choices: {'distance' if error else rule}"
        if error:
            policy += "; centres are modes, or medians of shares; items with a null left out"
        yield Figure(name=name, value=value, n=found.n, policy=policy, interval=interval, reason=reason)


def _compared(
    votes: FloatArray,
    others: FloatArray | None,
    clusters: NDArray[np.str_],
    take: int | None,
    against: int | None = None,
) -> CrossAgreement:
    if not votes.size:
        return CrossAgreement(None, None, 0, 0, "there are no items")
    return cross_agreement(votes, others, take=take, against=against, clusters=clusters)


def _preferences(judged: Judged, votes: FloatArray, people: FloatArray) -> Iterator[Figure]:
    """What the first verdict on each item prefers, and what people's first vote does."""
    gap = judged.lengths[:, 0] - judged.lengths[:, 1]
    longer = np.where(np.abs(gap) > LONGER_BY, np.where(gap > 0, 1, 2), 0)
    sides: list[tuple[str, IntArray, str]] = [
        ("prefer_longer", longer, f"differ by more than {LONGER_BY} characters"),
        ("prefer_lists", _only(judged, has_list), "are such that only one has lines that begin as items of a list"),
        (
            "prefer_lists_upstream",
            _only(judged, has_list_upstream),
            "are such that only one has a list by upstream's rule",
        ),
    ]
    first = people[:, 0] if people.size else np.zeros(len(votes))
    for name, wanted, what in sides:
        policy = f"of first verdicts that are no tie and no null, on outputs that {what}"
        for suffix, column in (("", votes), ("_gold", first)):
            rows = np.flatnonzero((wanted > 0) & ~np.isnan(column) & (column != 1.5))
            won = np.where(column[rows] < 1.5, 1, 2) == wanted[rows]
            about = policy if not suffix else policy.replace("verdicts", "votes of people")
            yield share(f"{name}{suffix}", won, judged.clusters[rows], about)
        rows = np.flatnonzero((wanted > 0) & ~np.isnan(votes) & (votes != 1.5) & (first != 1.5))
        side = wanted[rows]
        excess = (np.where(votes[rows] < 1.5, 1, 2) == side).astype(float) - (np.where(first[rows] < 1.5, 1, 2) == side)
        yield share(
            f"{name}_excess",
            excess,
            judged.clusters[rows],
            f"verdicts less votes, {policy}",
            bounds=(-1, 1),
            unit="number",
        )


def _only(judged: Judged, test: Callable[[str], bool]) -> IntArray:
    """Which of the two outputs alone passes: 1, 2, or 0 if both or none do."""
    found = [tuple(test(turns[-1]) for turns in item.responses) for item in judged.items]
    return np.array([0 if one == other else 1 if one else 2 for one, other in found], dtype=np.int64)


def _correlations(judged: Judged, votes: FloatArray, people: FloatArray) -> Iterator[Figure]:
    """Win rates of models under the judge and under people."""
    rates: dict[str, list[Any]] = defaultdict(list)
    for number, item in enumerate(judged.items):
        if item.subset == EVAL and item.models:
            for writer in (item.models[-1], *item.also):
                rates[writer].append(number)
    pairs = []
    for numbers in rates.values():
        mine, theirs = votes[numbers], people[numbers]
        if theirs.size > LEAST_VOTES and not np.isnan(mine).all():
            pairs.append((float(np.nanmean(mine)), float(theirs.mean())))
    policy = f"of models' win rates under judge and people, over models with more than {LEAST_VOTES} of people's votes"
    columns = np.array(pairs, dtype=float).reshape(-1, 2)
    for kind in ("spearman", "pearson"):
        few = _few(columns, kind)
        yield correlated(kind, correlation(columns[:, 0], columns[:, 1], kind), policy + few)


def _few(columns: FloatArray, kind: Kind) -> str:
    """With few models, the p-value of orders drawn at random, which needs no normal approximation."""
    if len(columns) >= FEW_MODELS:
        return ""
    p = permutation_p(columns[:, 0], columns[:, 1], kind, rng=np.random.default_rng(0))
    return "" if p is None else f"; few models: an order drawn at random does as well with p = {p:.3g}"


SUITE = Suite(
    name="alpaca-human",
    about="outputs of 20 models against text-davinci-003's, judged by four people each",
    paper="arXiv 2305.14387",
    files=(CROSS, ALONE),
    read=read_items,
    figures=figures,
    headline=("human_agreement", "all"),
    orders="one",
    repeats=PEOPLE,
    choices={"people": ("crowd", "skilled", "experts")},
)
