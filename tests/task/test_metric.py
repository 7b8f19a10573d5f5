"""A metric is defined once, in its task: whatever shows or uses a number takes the definition from there."""

import ast
from pathlib import Path

import pytest

import judgebench
from judgebench import api, tasks
from judgebench.analysis.power_plan import Question, plan
from judgebench.errors import UsageError
from judgebench.gating.policy import Defaults, Policy, TaskPolicy
from judgebench.gating.verdicts import gate
from judgebench.records import Example, ExampleScore, Message
from judgebench.run.reading import Run, read_run
from judgebench.run.settings import Settings
from judgebench.task.metric import UNITS, Metric, single_row
from tests.own_tasks import own_task, sums_answers

LISTED = "metrics=ACCURACY.metrics,"
WITH_TWO_MORE = """metrics=(
            *ACCURACY.metrics,
            Metric(name="digits", unit="points", bounds=(0.0, 9.0), value_of=_digits),
            Metric(name="cut_off", direction="none", value_of=_cut_off),
        ),"""
THEIR_VALUES = """

from judgebench.task.metric import Metric


def _digits(rows):
    return next((float(len(str(row.covariates["extracted"]).strip("[]"))) for row in rows), None)


def _cut_off(rows):
    return next((row.covariates["cut_off"] for row in rows if row.value is not None), None)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GSM8K's folder under another name, with two lines more in its list of metrics."""
    file = own_task("gsm8k", "sums", tmp_path_factory.mktemp("own") / "sums")
    text = file.read_text()
    assert text.count(LISTED) == 1
    file.write_text(text.replace(LISTED, WITH_TWO_MORE) + THEIR_VALUES)
    return file


@pytest.fixture(scope="module")
def runs(file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two runs of it: half of the answers are right, and three quarters."""
    place = tmp_path_factory.mktemp("runs")
    for name, right in (("a", 2), ("b", 3)):
        api.evaluate(
            f"file:{sums_answers(place / f'{name}.jsonl', right)}", str(file), out=place / name, progress=False
        )
    return [read_run(place / name, {"sums": file}) for name in "ab"]


def test_a_metric_is_added_in_one_place(runs: list[Run], file: Path) -> None:
    """It has scores with an interval, differences, a column of the leaderboard and a plan, each in its unit."""
    for run in runs:
        scores = {score.metric: score for score in run.tasks["sums"].scores if score.group is None}
        for name, unit in (("digits", "points"), ("cut_off", "percent")):
            assert (scores[name].unit, scores[name].n, scores[name].n_missing) == (unit, 16, 0)
            assert scores[name].low is not None
    first, second = (run.tasks["sums"].scores for run in runs)
    digits = [next(score.value for score in scores if score.metric == "digits") for scores in (first, second)]
    differences = {
        one.metric: one
        for one in api.compare(*(str(run.path) for run in runs), tasks=str(file)).record.tasks[0].differences
    }
    assert differences["digits"].unit == "points"
    assert differences["digits"].difference == pytest.approx(digits[1] - digits[0])
    assert differences["digits"].relative_gain == pytest.approx(100 * (digits[1] / digits[0] - 1))
    (group,) = api.leaderboard(*(str(run.path) for run in runs), tasks=str(file)).groups
    assert group.headline[-2:] == ("digits", "cut_off")
    assert [row.scores["digits"].unit for row in group.rows] == ["points", "points"]
    planned = plan(Question(task=str(file), metric="digits"), Settings(tasks=str(file)))
    assert (planned.unit, planned.variance["prompts"]) == ("points", pytest.approx(2 * 4.5**2))


def test_a_gate_knows_its_unit_and_direction(runs: list[Run]) -> None:
    """What has a direction is gated in its unit; of what has none, more is not better."""
    policies = [
        Policy(defaults=Defaults(min_n=2), tasks={"sums": TaskPolicy(metric=metric, max_drop=8.0)})
        for metric in ("digits", "cut_off")
    ]
    (check,) = gate(*runs, policies[0]).checks
    assert (check.metric, check.unit, check.verdict) == ("digits", "points", "PASS")
    with pytest.raises(UsageError, match=r"cut_off.*more of it is not better"):
        gate(*runs, policies[1])


@pytest.mark.parametrize("name", tasks.names())
def test_the_metrics_of_a_bundled_task(name: str) -> None:
    """Names are distinct, units known; a plain mean in percent lies between 0 and 1."""
    metrics = tasks.load(tasks.TaskSpec(name))[0].metrics
    assert len({metric.name for metric in metrics}) == len(metrics)
    assert {metric.unit for metric in metrics} <= set(UNITS)
    assert all((metric.lower, metric.upper) == (0, 1) for metric in metrics if metric.unit == "percent")


def test_answers_to_one_item_are_one_cluster() -> None:
    """Three items with two answers each: a mean over answers, whose error is that of three item means."""
    examples = [
        Example(id=f"{item}#{k}", messages=(Message(role="user", content="?"),), item=str(item), repeat=k)
        for item in range(3)
        for k in range(2)
    ]
    rows = [
        ExampleScore(example_id=example.id, metric="right", value=float(example.item == "0")) for example in examples
    ]
    metric = Metric(name="right", value_of=single_row("right"))
    score = metric.mean_score("t", examples, rows[:-1])
    assert (score.n, score.n_missing) == (5, 1)
    assert score.value == pytest.approx(40.0)
    assert metric.mean_sums(examples, rows).n_clusters == 3
    assert metric.mean_score("t", examples, []).reason == "no example has a value"


def test_the_core_names_no_metric_of_a_benchmark() -> None:
    """No text in ``judgebench/`` is the name of a metric, but for two words that mean other things there, too, and the
    metrics that ``accuracy.py`` and the kinds of benchmarks define for whoever uses them.
    """
    own = [name for name in tasks.names() if (tasks.folder(name) / "task.py").is_file()]
    names = {metric.name for name in own for metric in tasks.load(tasks.TaskSpec(name))[0].metrics}
    core = Path(judgebench.__file__).parent
    texts = {
        node.value
        for path in core.rglob("*.py")
        if path.parent.name != "kinds"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert names & texts <= {"score", "length", "maj@*", "pass@*"}
