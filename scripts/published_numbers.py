"""``make published``: published scores, computed anew from the published verdicts in ``tests/fixtures/published``.

It needs no download, key or model. Each row shows our number with its interval beside the one that upstream published.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.analysis.published import published_rows  # noqa: E402 - the checkout's own
from judgebench.cli.rendering import print_sheets  # noqa: E402
from judgebench.display import figure, interval  # noqa: E402
from judgebench.exchange.sheets import Cell, Sheet, figures, words  # noqa: E402
from judgebench.records import Score  # noqa: E402
from judgebench.task.metric import grouped  # noqa: E402
from scripts.make_published_fixtures import ALPACAEVAL, WILDBENCH  # noqa: E402
from tests import published_numbers as numbers  # noqa: E402

Row = tuple[str, str, Score, float]
"""Benchmark, model, our score and the published number."""


def rows() -> Iterator[Row]:
    """Each score of which both numbers are in this repository."""
    for model in ALPACAEVAL:
        found = numbers.alpacaeval_scores("alpacaeval", model)
        for metric in ("lc_win_rate", "win_rate"):
            yield "alpacaeval@2", model, found[metric, None], published("alpacaeval@2", model, metric)
    for row in numbers.table("mtbench_expected"):
        found = numbers.mtbench_scores("mtbench", row["model"])
        yield "mtbench@1", row["model"], found["score", None], float(row["average_of_last"])
    for model in WILDBENCH:
        found = numbers.wildbench_score(model)
        metric = "wb_score_micro"
        yield "wildbench@v2.0625", model, found[metric, None], published("wildbench@v2.0625", model, metric)
    task, data = numbers.arenahard()
    for model in ("gpt-4-0613", "gpt-3.5-turbo-0125"):
        (one,) = numbers.imported(task, data, "arena_hard", numbers.arenahard_battle_rows(model)).values()
        found = numbers.scores(task, data, one)
        label = "arenahard@v0.1:date=2024-07-31"
        yield "arenahard@v0.1", model, found["win_rate", None], published(label, model, "win_rate")


def published(label: str, model: str, metric: str) -> float:
    """A figure of the published table."""
    (row,) = (row for row in published_rows(label) if (row.task, row.model) == (label, model))
    value = row.scores[metric].value
    assert value is not None
    return value


def _cells(model: str, score: Score, there: float) -> tuple[Cell, ...]:
    bounds = interval(score.low, score.high, score.unit)
    ours, theirs = figure(score.value, score.unit), figure(there, score.unit)
    return model, ours if ours == theirs else f"{ours} *", bounds, score.n, theirs


def main() -> int:
    """Print the table; return 1 if a number differs that should not."""
    found = list(rows())
    differing = [(score.metric, model) for _, model, score, there in found if figure(score.value) != figure(there)]
    columns = words("model") + figures("ours", "95 % interval", "n", "published")
    sheets = [
        Sheet(title, columns, tuple(_cells(model, score, there) for _, model, score, there in own))
        for title, own in grouped(found, lambda row: f"{row[0]}: {row[2].metric}").items()
    ]
    notes = [f"{len(found) - len(differing)} of {len(found)} numbers are the published ones, to the digit"]
    notes += [f"* {metric} of {model}: {EXPLAINED.get((metric, model), 'differs')}" for metric, model in differing]
    notes += [
        "published: the benchmarks' own leaderboards and result files, sources in leaderboards/*.csv and in "
        "tests/fixtures/published/README.md, where the verdicts lie"
    ]
    print_sheets([*sheets, Sheet("", notes=tuple(notes))])
    return int(any(key not in EXPLAINED for key in differing))


EXPLAINED = {
    ("lc_win_rate", ALPACAEVAL[3]): (
        "upstream's cross-validation, which draws its folds by an unstable sort, chose another C; at that C we get the "
        "published number"
    )
}


if __name__ == "__main__":
    sys.exit(main())
