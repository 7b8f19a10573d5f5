"""What a task says a score is made of gives the score: the sums that runs are compared by, on real judgements."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from judgebench import tasks
from judgebench.data.sources import SourceFinder, read_sources
from judgebench.exchange.importing import import_run
from judgebench.records import Example, ExampleScore, Generation, Judgement, Message, Score, Verdict
from judgebench.run.reading import TaskRun, read_run
from judgebench.run.settings import Settings
from judgebench.task import TaskData, no_sums
from judgebench.task.metric import MetricSums
from tests.shared_data import SHARED
from tests.tasks import arenahard_data as arena
from tests.tasks import ifeval_data as ifeval
from tests.tasks import wildbench_data as wb
from tests.tasks.alpacaeval_data import ALPACAEVAL, annotations


def sums_of(run: TaskRun, cache: Path, mirrors: Sequence[Path]) -> MetricSums:
    """A run's sums, from what lies in its folder and the official files."""
    options = {name: str(value) for name, value in run.task_manifest.options.items()}
    task, place = tasks.load(
        tasks.TaskSpec(run.task_manifest.name, run.task_manifest.version, options), starter=run.task_manifest.starter
    )
    finder = SourceFinder(cache, mirrors, offline=True)
    rows = [row for row in run.example_scores() if row.value is not None]
    return task.sums(run.examples(), rows, lambda name: finder.fetch(read_sources(place)[name])[0])


def require_equal(found: MetricSums, scores: Sequence[Score], but: Sequence[str] = ()) -> None:
    """Every sum's value is the score's, and only scores without a value, and those of ``but``, have no sums."""
    by_name = {(score.metric, score.group): score for score in scores}
    for name, total in found.items():
        score = by_name[name]
        assert total.value == pytest.approx(score.value, abs=1e-8), name
    lacking = {name for name, score in by_name.items() if score.value is not None and name not in found}
    assert {metric for metric, _ in lacking} <= set(but), lacking


@pytest.mark.parametrize("model", ["gemma-2b-it", "alpaca-7b_verbose"])
def test_alpacaeval(model: str, tmp_path: Path) -> None:
    """Real judgements: all numbers agree, and the linearised length-controlled rate has the error that refits of 1,000
    resamples have (within 5 %: the noise of the resamples is 2 %, and the loosest penalty errs a little more).
    """
    source = tmp_path / "annotations.json"
    source.write_text(json.dumps(annotations(2, model)))
    import_run(
        source,
        "alpaca_eval",
        Settings(tasks="alpacaeval", out=tmp_path / "run", mirrors=(ALPACAEVAL.path,), offline=True),
    )
    run = read_run(tmp_path / "run").tasks["alpacaeval"]
    found = dict(sums_of(run, tmp_path, [ALPACAEVAL.path]))
    scores = {(score.metric, score.group): score for score in run.scores}
    length = found.pop(("avg_length", None))
    # Upstream cuts the mean to an integer.
    assert int(length.value or 0) == scores["avg_length", None].value
    require_equal(found, run.scores, ("avg_length", "lc_standard_error"))
    controlled = scores["lc_win_rate", None]
    assert found["lc_win_rate", None].stderr == pytest.approx(controlled.stderr, rel=0.05)
    # A mean's error is that of its 805 values.
    assert found["win_rate", None].stderr == pytest.approx(scores["win_rate", None].stderr, rel=1e-9)


def test_mtbench(tmp_path: Path) -> None:
    """Ratings of real answers, some of which failed: overall, by turn and by category."""
    mt_bench = SHARED / "mt_bench"
    settings = Settings(tasks="mtbench", mirrors=(mt_bench,), offline=True, out=tmp_path / "runs")
    import_run(mt_bench / "judgments" / "llama3_griffin_gpt-4_single.jsonl.gz", "fastchat", settings)
    for path in (tmp_path / "runs").iterdir():
        run = read_run(path).tasks["mtbench"]
        require_equal(sums_of(run, tmp_path, [mt_bench]), run.scores)


def test_mtbench_pairs(tmp_path: Path) -> None:
    """Win, loss, tie and adjusted rates of real games."""
    mt_bench = SHARED / "mt_bench"
    settings = Settings(tasks="mtbench:mode=pairwise-all", mirrors=(mt_bench,), offline=True, out=tmp_path / "run")
    import_run(mt_bench / "judgments" / "phi3_gpt-4_pair.jsonl.gz", "fastchat", settings)
    paths = [path.parent for path in (tmp_path / "run").rglob("manifest.json")]
    assert paths
    for path in paths:
        run = read_run(path).tasks["mtbench"]
        require_equal(sums_of(run, tmp_path, [mt_bench]), run.scores)


def test_arenahard(tmp_path: Path) -> None:
    """Both win rates of real battles, with the errors of the run's own scores."""
    task, data = arena.loaded("arenahard@v0.1", tmp_path)
    rows = arena.rows_against("gpt-4-0314", arena.JUDGEMENTS / arena.TABLE, arena.ANSWERS.path)
    imported = arena.imported(task, data, rows)
    name = arena.REBUILT[2]
    data, example_scores = arena.example_scores(task, data, imported[name])
    valued = [row for row in example_scores if row.value is not None]
    found = task.sums(data.examples, valued, lambda source: b"")
    scores = task.summarise(data, example_scores)
    require_equal(found, scores)
    own = {(score.metric, score.group): score for score in scores}
    if own["win_rate_style_controlled", None].value is None:
        pytest.skip(f"no lengths in tokens here: {own['win_rate_style_controlled', None].reason}")
    for name in (("win_rate", None), ("win_rate_style_controlled", None)):
        assert found[name].stderr == pytest.approx(own[name].stderr, rel=1e-9)


def test_wildbench(tmp_path: Path) -> None:
    """Scores and rewards of real records: macro, micro, by category, margin and baseline, and the length."""
    official = wb.official_mirror(tmp_path / "official")
    results = tmp_path / "eval_results"
    scored = results / "v2.0625/score.v2/eval=gpt-4o-2024-05-13"
    wb.write_records(scored / "reka-edge.json", wb.score_records(wb.score_files("v0625-gpt4o")["reka-edge"]))
    for short, name in wb.BASELINES.items():
        folder = results / "v2.0522/pairwise.v2/eval=gpt-4-turbo-2024-04-09" / f"ref={name}"
        wb.write_records(folder / "reka-edge.json", wb.pair_records(short, "reka-edge"))
    settings = Settings(tasks="wildbench", out=tmp_path / "run", mirrors=(official,), offline=True)
    import_run(results, "wildbench", settings)
    run = read_run(tmp_path / "run").tasks["wildbench"]
    found = sums_of(run, tmp_path, [official])
    scores = [score for score in run.scores if not (score.metric == "length" and score.group)]
    require_equal(found, scores)
    overall = {score.metric: score for score in run.scores if score.group is None}
    # The scores' own errors come from 1,000 resamples, whose noise is 2 %.
    for metric in ("wb_score", "wb_reward"):
        assert found[metric, None].stderr == pytest.approx(overall[metric].stderr, rel=0.08), metric


def test_ifeval(tmp_path: Path) -> None:
    """The shares of lm-eval's own verdicts on real answers: by prompt, instruction and category."""
    task, data = ifeval.loaded("ifeval", tmp_path)
    rows = ifeval.read_lines(f"expected/{ifeval.models()[0]}.jsonl.gz")
    judgements = [
        Judgement(
            case_id=str(row["key"]),
            example_id=str(row["key"]),
            judge="ifeval",
            judge_model="lm-eval",
            answers=("m",),
            verdict=Verdict(value=1.0, details={"strict": row["strict"], "loose": row["loose"]}),
        )
        for row in rows
    ]
    generations = {j.example_id: Generation(example_id=j.example_id, model="m", outputs=("",)) for j in judgements}
    example_scores = task.score(data, generations, judgements)
    found = task.sums(data.examples, example_scores, lambda source: b"")
    require_equal(found, task.summarise(data, example_scores))
    assert len({group for _, group in found}) > 30


def test_gsm8k_with_repeats() -> None:
    """Three answers to each of 40 items: means, majorities and pass@k by each rule."""
    task, _ = tasks.load(tasks.TaskSpec("gsm8k"), starter=True)
    rng = np.random.default_rng(0)
    examples = tuple(
        Example(id=f"{item}#{k}", messages=(Message(role="user", content="?"),), item=str(item), repeat=k)
        for item in range(40)
        for k in range(3)
    )
    rows = [
        ExampleScore(example_id=e.id, metric=metric, value=float(right), covariates={"extracted": str(int(right))})
        for e in examples
        for metric in ("exact_match_strict", "exact_match_flexible", "numeric")
        for right in [rng.random() < 0.6]
    ]
    found = task.sums(examples, rows, lambda source: b"")
    require_equal(found, task.summarise(TaskData(examples=examples, baselines={}), rows))
    assert ("pass@2", None) in found
    assert ("maj@3", "metric=numeric") in found
    assert found["exact_match_strict", None].n_clusters == 40


def test_every_bundled_task_says_what_its_scores_are_made_of() -> None:
    """No task that ships here leaves its comparison to the plain means."""
    for name in tasks.names():
        task, _ = tasks.load(tasks.TaskSpec(name))
        assert task.metric_sums is not no_sums, name
