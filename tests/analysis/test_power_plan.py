"""Power before it is paid for: from stored runs, and in the worst case."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from judgebench import tasks
from judgebench.analysis.power_plan import Plan, Question, plan
from judgebench.codec import canonical_hash
from judgebench.errors import UsageError
from judgebench.exchange.importing import import_run
from judgebench.run.folder import RunFolder
from judgebench.run.settings import Settings
from judgebench.stats.power import DifferenceVariance, detectable_difference, required_prompts
from tests.shared_data import SharedData

NOWHERE = Settings(tasks="", offline=True)
WIN_RATE = Question(task="alpacaeval", metric="win_rate")


def made(question: Question, settings: Settings = NOWHERE, **changes: object) -> Plan:
    """The plan of a question with some things changed."""
    return plan(dataclasses.replace(question, **changes), settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def imported(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The published judgements of two models as runs."""
    folder, found = shared_data / "alpacaeval", {}
    for name in ("phi-2", "NullModel"):
        out = tmp_path_factory.mktemp("runs") / name
        settings = Settings(tasks="alpacaeval", mirrors=(folder,), offline=True, out=out)
        import_run(folder / "annotations_full" / f"{name}.json.gz", "alpaca_eval", settings)
        found[name] = out
    return found


def shares(run: Path) -> dict[str, float]:
    """The stored share of the win by example."""
    rows = RunFolder(run).task("alpacaeval").example_scores()
    return {row.example_id: 100 * row.value for row in rows if row.value is not None}


def test_the_worst_case_is_half_of_the_examples_won() -> None:
    """By hand: two independent runs of variance 1/4 each, (1.96 + 0.84)^2 / 2 / 0.02^2 = 9,812 examples."""
    found = made(WIN_RATE, delta=2.0)
    assert found.required == 9812
    assert found.n == 805
    assert found.detectable == pytest.approx(100 * detectable_difference(DifferenceVariance(0.5), 805))
    assert (found.unit, found.alpha, found.power, found.source) == ("percent", 0.05, 0.8, "worst case")
    assert "equally often" in found.notes[0]
    assert made(WIN_RATE, n=3220).detectable == pytest.approx(found.detectable / 2)


def test_a_fit_has_no_worst_case() -> None:
    """The length-controlled win rate needs a run, and the message names what does not."""
    with pytest.raises(UsageError, match=r"Give a run of this task with --baseline, or --metric \(win_rate"):
        made(WIN_RATE, metric=None)


def test_a_stored_run_gives_its_own_variance(imported: dict[str, Path]) -> None:
    """phi-2 loses nearly always, so its win rate varies little: far fewer examples than in the worst case."""
    run = imported["phi-2"]
    found = made(WIN_RATE, baselines=[run], delta=2.0)
    spread = np.var(list(shares(run).values()), ddof=1)
    assert found.variance["prompts"] == pytest.approx(2 * spread, rel=1e-9)
    assert found.required == required_prompts(DifferenceVariance(2 * spread), 2.0)
    assert found.required is not None
    assert found.required < 1000
    assert found.n == 805
    assert found.judge_calls_per_example == pytest.approx(1, abs=0.02)
    related = made(WIN_RATE, baselines=[run], delta=2.0, correlation=0.5)
    assert related.required == pytest.approx(found.required / 2, abs=1)
    assert any("--correlation" in note for note in found.notes)


def test_two_stored_runs_give_that_of_their_differences(imported: dict[str, Path]) -> None:
    """Paired by example."""
    runs = [imported["phi-2"], imported["NullModel"]]
    found = made(WIN_RATE, baselines=runs)
    one, other = (shares(run) for run in runs)
    differences = [one[key] - other[key] for key in one if key in other]
    assert found.variance["prompts"] == pytest.approx(np.var(differences, ddof=1), rel=1e-9)
    assert "paired differences" in found.source


def test_a_fit_is_planned_by_its_standard_error(imported: dict[str, Path]) -> None:
    """lc_win_rate: detectable is (1.96 + 0.84) sqrt 2 times its standard error at the run's own n."""
    run = imported["phi-2"]
    (score,) = (s for s in RunFolder(run).results().scores if (s.metric, s.group) == ("lc_win_rate", None))
    assert score.stderr is not None
    found = made(WIN_RATE, metric=None, baselines=[run], n=score.n)
    assert found.detectable == pytest.approx(2.8015852 * 2**0.5 * score.stderr, rel=1e-6)
    with pytest.raises(UsageError, match="give one --baseline"):
        made(WIN_RATE, metric=None, baselines=list(imported.values()))


def test_repeats_are_told_apart_where_there_are_some(tmp_path: Path) -> None:
    """Four answers to each item of a verified task: the noise of answers is seen, and what repeats buy."""
    from judgebench.records import Example, ExampleScore, Message, Score
    from judgebench.run.folder import Manifest, Results, TaskManifest

    task = tasks.load(tasks.TaskSpec("gsm8k"))[0]
    draw = np.random.default_rng(2)
    skill = draw.uniform(0.2, 0.9, 300)
    folder = RunFolder(tmp_path / "run")
    own = folder.task("gsm8k")
    said = (Message(role="user", content="?"),)
    ids = [(f"{item}", repeat) for item in range(300) for repeat in range(4)]
    own.write_examples(Example(id=f"{i}#{r}", messages=said, item=i, repeat=r) for i, r in ids)
    values = {f"{i}#{r}": float(draw.random() < skill[int(i)]) for i, r in ids}
    rows = [ExampleScore(example_id=key, metric=task.headline[0], value=value) for key, value in values.items()]
    own.write_scores(rows, [])
    fields = TaskManifest(
        label=task.label, name="gsm8k", version=task.version, options={}, starter=False, examples=1200, sources=[],
        protocol={}, protocol_hash=canonical_hash({}), inputs={}, input_hash="",
    )  # fmt: skip
    folder.write_manifest(
        Manifest(run_id="r", status="complete", candidate="m", candidate_identity="", candidate_spec="", versions={},
                 protocol_hash="", input_hash="", started_at="", sessions=[], tasks={"gsm8k": fields})
    )  # fmt: skip
    headline = Score(task="gsm8k", metric=task.headline[0], value=55.0, unit="percent", n=300)
    folder.write_results(Results(run="r", model="m", status="complete", scores=[headline], integrity=[]))
    found = plan(Question(task="gsm8k", baselines=[tmp_path / "run"], delta=5.0), NOWHERE)
    # A Bernoulli draw with share p has the variance p (1 - p); the rest is that of the p.
    assert found.variance["answers"] == pytest.approx(2e4 * (skill * (1 - skill)).mean(), rel=0.1)
    assert found.variance["prompts"] == pytest.approx(2e4 * skill.var(), rel=0.35)
    once, _, four, _ = found.repeats
    assert (once.answers, four.answers, four.calls) == (1, 4, 4 * found.n)
    assert once.detectable > four.detectable
    assert found.n < four.equivalent_examples < four.calls


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"delta": 0.0}, "--delta 0"),
        ({"delta": -1.0}, "--delta -1"),
        ({"correlation": 2.0}, "--correlation 2"),
        ({"alpha": 0.0}, "--alpha 0"),
        ({"power": 1.0}, "--power 1"),
        ({"power": 0.1, "alpha": 0.4}, "no more than half of --alpha 0.4"),
        ({"n": 0}, "--n 0"),
        ({"correlation": float("nan")}, "--correlation nan"),
        ({"correlation": 1.0}, "--correlation 1: two runs whose scores correlate perfectly"),
        ({"correlation": 1.0, "delta": 2.0}, "so one example is enough"),
        ({"task": "gsm8k", "metric": "numeric", "correlation": 1.0}, "so one example is enough"),
        ({"delta": 100.5}, "two runs differ in win_rate by at most 100 percent"),
        ({"delta": 1e308}, "two runs differ in win_rate by at most 100 percent"),
        ({"delta": 1e-300}, "no plan can be made for a difference of that size"),
        ({"task": "mtbench", "metric": "score", "delta": 9.5}, "two runs differ in score by at most 9 points"),
        ({"task": "arenahard", "metric": None}, "Give a run of this task with --baseline"),
        ({"metric": "elo"}, "elo is unknown"),
        ({"task": "alpacaeval,gsm8k"}, "one task at a time"),
        ({"baselines": [Path("nowhere")]}, "expected a run folder, but nowhere is not there"),
        ({"baselines": [Path("a"), Path("b"), Path("c")]}, "was given 3 times"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(changes: dict[str, object], said: str) -> None:
    """Each is a usage error (exit 2) that names the flag."""
    with pytest.raises(UsageError) as refused:
        made(WIN_RATE, **changes)
    assert said in str(refused.value)


@pytest.mark.parametrize("correlation", [-1.0, 0.0, 1 - 2**-53])
@pytest.mark.parametrize("delta", [1e-9, 2.0, 100.0])
@pytest.mark.parametrize("n", [1, 805, 10**30])
def test_the_ends_of_what_can_be_asked_have_answers(correlation: float, delta: float, n: int) -> None:
    """Any correlation below 1, any difference that there can be, any number of examples: numbers by the formula; what
    only a difference beyond the scale would show is null, and a note says by how much.
    """
    found = made(WIN_RATE, correlation=correlation, delta=delta, n=n)
    variance = DifferenceVariance(5000 * (1 - correlation))
    assert found.required == required_prompts(variance, delta)
    seen = detectable_difference(variance, n)
    told = [note for note in found.notes if "by at most 100" in note]
    if seen <= 100:
        assert found.detectable == pytest.approx(seen)
        assert not told
    else:
        assert found.detectable is None
        assert f"it would have to be {seen:.3g} percent" in told[0]


def test_a_run_beside_itself_is_no_plan(imported: dict[str, Path]) -> None:
    """Two equal runs differ by nothing on every example, a run with correlation 1 by the same: each is told as such."""
    run = imported["phi-2"]
    with pytest.raises(UsageError, match="differ in win_rate by the same on every example"):
        made(WIN_RATE, baselines=[run, run])
    for metric in ("win_rate", "lc_win_rate"):
        with pytest.raises(UsageError, match="--correlation 1: "):
            made(WIN_RATE, metric=metric, baselines=[run], correlation=1.0, delta=1.0)
    with pytest.raises(UsageError, match="differ in lc_win_rate by at most 100 percent"):
        made(WIN_RATE, metric="lc_win_rate", baselines=[run], delta=101.0)
    # A length has no bounds: any difference is one.
    assert made(WIN_RATE, metric="avg_length", baselines=[run], delta=1e5).required == 1


def test_a_run_of_another_task_or_metric_is_refused(imported: dict[str, Path]) -> None:
    """The message says what the run holds."""
    run = imported["phi-2"]
    with pytest.raises(UsageError, match="has no task 'mtbench'; it has alpacaeval"):
        plan(Question(task="mtbench", baselines=[run]), NOWHERE)
    with pytest.raises(UsageError, match="has alpacaeval@2, not alpacaeval@1"):
        plan(Question(task="alpacaeval@1", baselines=[run]), NOWHERE)
    with pytest.raises(UsageError, match="has no metric 'elo'"):
        made(WIN_RATE, metric="elo", baselines=[run])
