"""The figures of docs/how-sure.md, drawn by the program's own plots from the published verdicts in the repository."""

from collections.abc import Callable, Mapping, Sequence
from csv import DictReader
from functools import cache
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from judgebench.report.figure_parts import (
    MARK,
    NAMES,
    PLOT,
    RULER,
    WIDTH,
    Panel,
    at,
    name,
    plotted,
    ruler,
    stacked,
    text,
)
from judgebench.report.plots import Mark, Place, Series, curves, forest, scale_of
from judgebench.stats.clustered import bounded_estimate, cluster_totals, clustered_estimate, difference
from judgebench.stats.margins import non_inferiority
from judgebench.stats.power import DifferenceVariance, detectable_difference
from judgebench.stats.sequential import betting_sequence

PUBLISHED = Path(__file__).parents[1] / "tests" / "fixtures" / "published"
ROW = 24.0
BEST, SECOND, THIRD, FOURTH = "FuseChat-Gemma-2-9B-Instruct", "claude", "Qwen-14B-Chat", "vicuna-13b-v1.5"
GAMES = {"A>>B": (1.0, 3), "A>B": (1.0, 1), "A=B": (0.5, 1), "B>A": (0.0, 1), "B>>A": (0.0, 3)}
"""By the judge's label: the share of the answer shown first, and how many battles it counts as."""
Floats = NDArray[np.float64]
Row = tuple[str, int, float, float, float]
"""Words, the run whose mark it has, a value and its interval."""


@cache
def table(file: str) -> list[dict[str, str]]:
    """The rows of one of the files of published verdicts."""
    with (PUBLISHED / f"{file}.csv").open(newline="") as opened:
        return list(DictReader(opened))


def wins(model: str) -> Floats:
    """AlpacaEval 2's judge: the share of the win of each of 805 answers."""
    return np.array([float(row["preference"]) - 1 for row in table("alpacaeval_judgements") if row["model"] == model])


def ratings(model: str) -> dict[tuple[str, str], float]:
    """MT-Bench's ratings by question and turn; of a turn that was judged twice the last."""
    rows = (row for row in table("mtbench_ratings") if row["model"] == model)
    return {(row["question"], row["turn"]): float(row["score"]) for row in rows}


def intervals() -> str:
    """What an interval says: four win rates."""
    rows = []
    for run, model in enumerate((BEST, SECOND, THIRD, FOURTH)):
        found = bounded_estimate(cluster_totals(wins(model)))
        rows.append((model, run, 100 * found.value, 100 * found.interval.low, 100 * found.interval.high))
    return _bars("win rate of four models on AlpacaEval 2", rows, "percent")


def clusters() -> str:
    """The same battles of Arena-Hard as if each were independent, and by question."""
    rows: list[Row] = []
    for run, model in enumerate(dict.fromkeys(row["model"] for row in table("arenahard_verdicts"))):
        shares, weights, questions = battles(model)
        short = f"model {run + 1}"
        for words, of in ((f"{short}, battles", None), (f"{short}, questions", questions)):
            each = np.repeat(shares, weights)
            found = bounded_estimate(cluster_totals(each, clusters=None if of is None else np.repeat(of, weights)))
            rows.append((words, run, 100 * found.value, 100 * found.interval.low, 100 * found.interval.high))
    return _bars("win rates with intervals over battles and over questions", rows, "percent")


def battles(model: str) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """The model's share of each game, how many battles it counts as, and its question. It is shown second first."""
    shares, weights, questions = [], [], []
    rows = (row for row in table("arenahard_verdicts") if row["model"] == model)
    for number, row in enumerate(rows):
        for label, shown_second in ((row["game_1"], True), (row["game_2"], False)):
            if label in GAMES:
                first, weight = GAMES[label]
                shares.append(1 - first if shown_second else first)
                weights.append(weight)
                questions.append(number)
    return np.array(shares), np.array(weights), np.array(questions)


def paired() -> str:
    """Two means of MT-Bench whose intervals overlap, and their difference question by question."""
    names = ("mistral-orpo-capybara", "mistral-orpo")
    first, second = (ratings(model) for model in names)
    shared = sorted(first.keys() & second.keys())
    questions = np.array([question for question, _ in shared])
    totals = [cluster_totals(np.array([one[key] for key in shared]), clusters=questions) for one in (first, second)]
    rows = []
    for run, (model, one) in enumerate(zip(names, totals, strict=True)):
        found = bounded_estimate(one, 1, 10)
        rows.append((model, run, found.value, found.interval.low, found.interval.high))
    gap = clustered_estimate(difference(totals[0], totals[1]))
    change = [("difference", 2, gap.value, gap.interval.low, gap.interval.high)]
    return _figure(
        "two models on MT-Bench and their difference",
        [("mean rating", _panel(rows, "rating")), ("the first less the second", _panel(change, "rating"))],
    )


def gates() -> str:
    """Three candidates against one baseline, with a margin of half a point."""
    baseline = ratings("mistral-orpo-trl")
    rows: list[Row] = []
    for run, model in enumerate(("Meta-Llama-3-8B-Instruct-Normal", "mistral-orpo-capybara", "mistral-orpo-mix")):
        candidate = ratings(model)
        shared = sorted(baseline.keys() & candidate.keys())
        questions = np.array([question for question, _ in shared])
        sides = [
            cluster_totals(np.array([side[key] for key in shared]), clusters=questions)
            for side in (candidate, baseline)
        ]
        gain = difference(*sides)
        found = clustered_estimate(gain, level=0.9)
        verdict = non_inferiority(gain, margin=MARGIN).verdict
        rows.append((f"{verdict}: {model}", run, found.value, found.interval.low, found.interval.high))
    return _bars("what a gate says of three candidates", rows, "candidate less baseline, rating", level=0.9)


MARGIN = 0.5
"""Points of MT-Bench's rating that a candidate may be worse."""
LONGER = (-2400, 1600)
"""Characters that an answer may be longer than the baseline's, in the figure."""


def lengths() -> str:
    """How often an answer wins by how much longer it is than the baseline's."""
    series, shown = [], (BEST, SECOND, THIRD)
    for run, model in enumerate(shown):
        rows = [row for row in table("alpacaeval_judgements") if row["model"] == model]
        longer = np.array([int(row["length"]) - int(row["baseline_length"]) for row in rows])
        won = 100 * wins(model)
        points = [
            (_place(longer[part].mean(), *LONGER), won[part].mean()) for part in np.array_split(longer.argsort(), 10)
        ]
        series.append((run, model, [(x, float(y), None, None) for x, y in points]))
    ticks = [Place(_place(value, *LONGER), f"{value:+,}") for value in range(-2000, 1501, 1000)]
    return _lines("win rate by length", series, ticks, "percent", "characters more than the baseline")


def stopping() -> str:
    """An interval that holds however often it is looked at, and one for a size that is fixed beforehand."""
    values = np.random.default_rng(1).permutation(wins(BEST))
    sequence = betting_sequence(values, population=len(values))
    sizes = np.arange(40, len(values) + 1, 45)
    widths = {"may be looked at after each": 50 * (sequence.high - sequence.low)[sizes - 1], "for one size alone": []}
    for size in sizes:
        found = bounded_estimate(cluster_totals(values[:size]))
        widths["for one size alone"] = [*widths["for one size alone"], 50 * (found.interval.high - found.interval.low)]
    series = [
        (run, words, [(_place(size, 0, 860), float(half), None, None) for size, half in zip(sizes, own, strict=True)])
        for run, (words, own) in enumerate(widths.items())
    ]
    ticks = [Place(_place(value, 0, 860), f"{value}") for value in (0, 200, 400, 600, 800)]
    return _lines("half the width of the interval", series, ticks, "points", "examples judged")


def power() -> str:
    """The difference that so many examples can detect, if both models are asked about the same ones and if not."""
    first, second = wins(THIRD), wins(FOURTH)
    same, other = np.var(first - second, ddof=1), np.var(first, ddof=1) + np.var(second, ddof=1)
    sizes = np.arange(50, 2001, 150)
    series = [
        (run, words, [(_place(n, 0, 2150), 100 * detectable_difference(of, int(n)), None, None) for n in sizes])
        for run, (words, of) in enumerate(
            (
                ("both models on the same examples", DifferenceVariance(float(same))),
                ("each model on examples of its own", DifferenceVariance(float(other))),
            )
        )
    ]
    ticks = [Place(_place(value, 0, 2150), f"{value:,}") for value in range(0, 2001, 500)]
    return _lines("smallest difference that is detected", series, ticks, "points", "examples")


FIGURES: Mapping[str, Callable[[], str]] = {
    "intervals": intervals,
    "clusters": clusters,
    "length": lengths,
    "paired": paired,
    "gate": gates,
    "stopping": stopping,
    "power": power,
}
"""By the name of the file."""


def _bars(title: str, rows: Sequence[Row], unit: str, *, level: float = 0.95) -> str:
    return _figure(title, [("", _panel(rows, unit, level=level))])


def _panel(rows: Sequence[Row], unit: str, *, level: float = 0.95) -> Panel:
    """Values with their intervals under each other, above a scale."""
    scale, width = scale_of(end for _, _, *ends in rows for end in ends), WIDTH - NAMES - 8
    inner = []
    for place, (words, run, value, low, high) in enumerate(rows):
        drawn = forest([Mark(run, value, low, high, "")], scale, "", row=ROW, size=MARK)
        inner += [name(words, 4 + ROW * (place + 0.5)), at(NAMES, 4 + ROW * place, drawn, ROW, width)]
    bottom = 4 + ROW * len(rows)
    body = [*ruler(scale, unit, 4, bottom, NAMES, width), *inner]
    return Panel(body, bottom + RULER, ("row", "value", "low", "high"), [], intervals=frozenset({level}))


def _lines(
    title: str,
    drawn: Sequence[tuple[int, str, Sequence[tuple[float, float, None, None]]]],
    ticks: Sequence[Place],
    unit: str,
    across: str,
) -> str:
    """Lines over a quantity that grows to the right."""
    series = [Series(run, words, points) for run, words, points in drawn]
    scale = scale_of((value for _, _, points in drawn for _, value, *_ in points), (0.0, 100.0))

    def drawn_at(width: float) -> Markup:
        return curves(series, scale, title, "", height=PLOT, size=MARK, places=ticks, width=width)

    body = [
        text(4, 12, f"{title} ({unit})"),
        *plotted(18, drawn_at),
        text(WIDTH - 4, PLOT + 52, across, "faint", anchor="end"),
    ]
    panel = Panel(body, PLOT + 58, ("x", "value"), [], legend=tuple(run for run, *_ in drawn))
    return stacked([(title, panel)], [words for _, words, _ in drawn], "figure", ()).svg


def _figure(title: str, panels: Sequence[tuple[str, Panel]]) -> str:
    return stacked([(heading or title, panel) for heading, panel in panels], (), "figure", ()).svg


def _place(value: float, low: float, high: float) -> float:
    return float(min(max((value - low) / (high - low), 0), 1))
