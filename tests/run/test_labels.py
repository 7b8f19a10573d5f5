"""Human verdicts from a file, and win rates anchored in them."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.records import ExampleScore, Score
from judgebench.run.labels import Labels, anchored_scores, labels_for
from judgebench.run.loading import LoadedTask, load_tasks
from judgebench.run.settings import Settings
from judgebench.stats.prediction_powered import prediction_powered_mean
from judgebench.task import TaskData

Given = list[LoadedTask]


@pytest.fixture(scope="module")
def given() -> Given:
    """AlpacaEval's starter set."""
    return load_tasks(Settings(tasks="alpacaeval", starter=True))


def written(folder: Path, content: bytes) -> Path:
    """A file of labels."""
    path = folder / "humans.csv"
    path.write_bytes(content)
    return path


def test_words_and_numbers_are_shares_of_the_win(tmp_path: Path, given: Given) -> None:
    """A byte-order mark, capitals, blank lines and spaces do not matter; the file's hash is kept."""
    path = written(
        tmp_path, b"\xef\xbb\xbfexample_id,label\r\nstarter-01, Win\r\n\r\nstarter-02,loss\nstarter-03,0.25\n"
    )
    labels = labels_for(path, given)
    assert labels is not None
    assert labels.by_example == {"starter-01": 1.0, "starter-02": 0.0, "starter-03": 0.25}
    assert len(labels.sha256) == 64


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no rows; a table with the columns example_id,label was expected"),
        (b"id,label\nstarter-01,win\n", "humans.csv:2: its columns must be example_id,label; they are: id,label"),
        (b"example_id,label\n", "holds no rows"),
        (b"example_id,label\nnobody,win\n", "humans.csv:2: 'nobody' is no example of this run"),
        (b"example_id,label\nstarter-01,win\nstarter-01,win\n", "humans.csv:3: 'starter-01' has a label already"),
        (
            b"example_id,label\nstarter-01,better\n",
            "label 'better' of example_id 'starter-01'; expected win, tie, loss",
        ),
        (b"example_id,label\nstarter-01,nan\nstarter-02,\n", "holds no label"),
        (b"example_id,label\nstarter-01,inf\n", "label 'inf'"),
        (b"example_id,label\nstarter-01,1.5\n", "label '1.5'"),
        (b"example_id,label\nstarter-01,win,me\n", "humans.csv:2: the row has 3 cells for 2 columns"),
        (b'example_id,label\nstarter-01,"win\n', "not valid CSV"),
        (b"example_id,label\nstarter-01,\xff\n", "humans.csv:2: not UTF-8"),
        (b"example_id,label\n\x1b[31m,win\n", "is no example"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, given: Given, content: bytes, said: str) -> None:
    """Each is a usage error (exit 2) with the line."""
    with pytest.raises(UsageError) as refused:
        labels_for(written(tmp_path, content), given)
    assert said in str(refused.value)


def test_labels_are_of_one_task_with_a_win_rate(tmp_path: Path, given: Given) -> None:
    """A verified task, and a win rate weighted by the verdicts, cannot take them; a missing file is named."""
    path = written(tmp_path, b"example_id,label\nx,win\n")
    for name in ("gsm8k", "arenahard"):
        task = tasks.load(tasks.TaskSpec(name))[0]
        with pytest.raises(UsageError, match="is a plain mean over examples"):
            labels_for(path, [LoadedTask(task=task, data=TaskData(examples=(), baselines={}), sources=[])])
    with pytest.raises(UsageError, match="2 tasks could be meant"):
        labels_for(path, [*given, *given])
    with pytest.raises(UsageError, match=r"nothing\.csv is not a file; a table with the columns example_id,label"):
        labels_for(tmp_path / "nothing.csv", given)


def test_a_row_without_a_label_waits_for_one(tmp_path: Path, given: Given) -> None:
    """A list of all examples in which some are labelled is the usual way to work: the others are counted and named."""
    path = written(tmp_path, b"example_id,label\nstarter-01,win\nstarter-02,\nstarter-03,tie\nstarter-04,NaN\n")
    labels = labels_for(path, given)
    assert labels is not None
    assert labels.by_example == {"starter-01": 1.0, "starter-03": 0.5}
    assert labels.unlabelled == f"2 ({path}:3, 5)"


@pytest.mark.parametrize("name", ["humans.jsonl", "humans.tsv", "humans.parquet", "humans.csv.gz"])
def test_labels_may_come_in_any_form(tmp_path: Path, given: Given, name: str) -> None:
    """The columns are the same, and a number is a number."""
    rows = [{"example_id": "starter-01", "label": "win"}, {"example_id": "starter-02", "label": "0.5"}]
    text = "\n".join("\t".join(row) for row in (["example_id", "label"], *(row.values() for row in rows)))
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    contents = {
        "humans.jsonl": json.dumps(rows[0]).encode() + b'\n{"example_id": "starter-02", "label": 0.5}',
        "humans.tsv": text.encode("utf-16"),
        "humans.parquet": sink.getvalue(),
        "humans.csv.gz": gzip.compress(text.replace("\t", ",").encode()),
    }
    (tmp_path / name).write_bytes(contents[name])
    labels = labels_for(tmp_path / name, given)
    assert labels is not None
    assert labels.by_example == {"starter-01": 1.0, "starter-02": 0.5}


def test_a_correction_whose_interval_is_the_whole_scale_has_no_value() -> None:
    """Of eight labels, a judge right in five: the formula says 100, and its interval everything."""
    judged: list[float | None] = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, *[1.0, 1.0, 1.0, 0.0] * 10]
    human = dict(enumerate([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]))
    _, corrected = anchored(judged, human)
    assert corrected.value is None
    assert corrected.low is not None
    assert corrected.high is not None
    assert corrected.high - corrected.low >= 99
    assert corrected.reason is not None
    assert "its interval is the whole scale" in corrected.reason


def anchored(judged: list[float | None], human: dict[int, float]) -> tuple[Score, Score]:
    """Both scores of a run with these shares of the win."""
    task = tasks.load(tasks.TaskSpec("alpacaeval"), starter=True)[0]
    rows = [ExampleScore(example_id=f"{n}", metric="preference", value=value) for n, value in enumerate(judged)]
    powered, corrected = anchored_scores(task, rows, Labels("alpacaeval", {f"{n}": y for n, y in human.items()}, "0"))
    assert (powered.metric, corrected.metric) == ("win_rate_ppi", "win_rate_rogan_gladen")
    return powered, corrected


def test_the_numbers_are_those_of_the_procedures() -> None:
    """A judge that calls 30 % of the human losses wins, on 400 examples with 100 labels."""
    draw = np.random.default_rng(5)
    human = (draw.random(400) < 0.5).astype(float)
    judged = np.where(human == 1, draw.random(400) < 0.9, draw.random(400) < 0.3).astype(float)
    powered, corrected = anchored(judged.tolist(), {n: float(human[n]) for n in range(100)})
    expected = prediction_powered_mean(human[:100], judged[:100], judged[100:], bounds=(0, 1))
    assert expected.value is not None
    assert expected.interval is not None
    assert powered.value == pytest.approx(100 * expected.value, rel=1e-12)
    assert (powered.low, powered.high) == pytest.approx((100 * expected.interval.low, 100 * expected.interval.high))
    assert powered.details["effective_labels"] > 100
    right, wrong = judged[:100][human[:100] == 1].mean(), judged[:100][human[:100] == 0].mean()
    by_hand = 100 * (judged[100:].mean() - wrong) / (right - wrong)
    assert corrected.value == pytest.approx(by_hand, rel=1e-9)
    assert corrected.low is not None
    assert corrected.high is not None
    assert corrected.low < 100 * human.mean() < corrected.high
    assert abs(corrected.value - 100 * human.mean()) < abs(100 * judged.mean() - 100 * human.mean())


@pytest.mark.parametrize(
    ("judged", "human"),
    [
        ([None, None, None], {0: 1.0}),
        ([1.0, 0.0, 1.0], {0: 1.0}),
        ([1.0, 0.0], {0: 1.0, 1: 0.0}),
        ([0.5] * 20, dict.fromkeys(range(10), 0.5)),
        ([1.0] * 20, dict.fromkeys(range(10), 1.0)),
        ([1.0] * 20, {n: float(n % 2) for n in range(10)}),
    ],
)
def test_where_there_is_nothing_to_say_there_is_a_reason(judged: list[float | None], human: dict[int, float]) -> None:
    """No verdict, one label, all labelled, all ties, all wins, a constant judge: a reason for every missing number."""
    for score in anchored(judged, human):
        assert score.value is None or 0 <= score.value <= 100
        if score.value is None or score.low is None:
            assert score.reason
        if score.low is not None and score.high is not None:
            assert 0 <= score.low <= score.high <= 100
            assert score.high - score.low > 1, "no false certainty"


def test_labels_without_a_verdict_are_missing() -> None:
    """Two of five labelled examples have no verdict."""
    judged: list[float | None] = [None, None, 1.0, 0.0, 1.0, *([1.0, 0.0] * 20)]
    powered, _ = anchored(judged, {0: 1.0, 1: 0.0, 2: 1.0, 3: 0.0, 4: 0.0})
    assert (powered.n_missing, powered.details["n_labelled"], powered.n) == (2, 3, 43)
