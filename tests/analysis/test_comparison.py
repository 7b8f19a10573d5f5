"""Runs on the same items: differences, p-values and flips are what they should be, and only like is compared."""

import json
from math import inf
from pathlib import Path

import numpy as np
import pytest
from judgebench.tasks.alpacaeval.lengths import length_table

from judgebench import tasks
from judgebench.analysis.comparison import compare, greatest_difference, official_files
from judgebench.analysis.comparison_records import Comparison, Difference
from judgebench.errors import UsageError
from judgebench.exchange.importing import import_run
from judgebench.run.reading import Run, read_run
from judgebench.run.settings import Settings
from judgebench.task.metric import Metric
from tests.made_runs import PROTOCOL, write_run
from tests.tasks.alpacaeval_data import ALPACAEVAL, annotations, expected

MODELS = ("FuseChat-Gemma-2-9B-Instruct", "FuseChat-Llama-3.1-8B-Instruct", "gemma-2b-it")


def one(found: Comparison, metric: str = "exact_match_strict", second: int = 1, group: str | None = None) -> Difference:
    """A metric of one pair in the only task."""
    (task,) = found.tasks
    (row,) = (d for d in task.differences if (d.metric, d.group, d.second) == (metric, group, second))
    return row


@pytest.fixture(scope="module")
def real_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three models' real AlpacaEval 2 judgements as run folders."""
    folder = tmp_path_factory.mktemp("real")
    for model in MODELS:
        source = folder / "annotations.json"
        source.write_text(json.dumps(annotations(2, model)))
        settings = Settings(tasks="alpacaeval", out=folder / model, mirrors=(ALPACAEVAL.path,), offline=True)
        import_run(source, "alpaca_eval", settings)
    return [read_run(folder / model) for model in MODELS]


@pytest.fixture(scope="module")
def real(real_runs: list[Run]) -> Comparison:
    """Their comparison."""
    return compare(real_runs, flips=3, files=official_files([ALPACAEVAL.path], offline=True))


def test_differences_of_real_runs_are_those_of_the_published_scores(real: Comparison) -> None:
    """Win rates are upstream's to its digits, length-controlled ones within what its solver errs by, twice 0.05."""
    published = [expected("expected.csv")[model] for model in MODELS]
    columns = {"win_rate": "pub_win_rate", "discrete_win_rate": "pub_discrete_win_rate"}
    columns["lc_win_rate"] = "pub_length_controlled_winrate"
    for metric, column in columns.items():
        tolerance = 0.1 if metric == "lc_win_rate" else 1e-9
        for second in (1, 2):
            found = one(real, metric, second)
            wanted = float(published[second][column]) - float(published[0][column])
            assert found.difference == pytest.approx(wanted, abs=tolerance), metric
            assert found.low is not None
            assert found.high is not None
            assert found.low < wanted < found.high
            assert found.n == 805


def test_pairing_makes_the_interval_shorter_than_the_two_scores_errors(real: Comparison, real_runs: list[Run]) -> None:
    """Two models find the same instructions hard: the difference errs less than two independent scores would."""
    stderrs = [
        next(s.stderr for s in run.tasks["alpacaeval"].scores if (s.metric, s.group) == ("win_rate", None))
        for run in real_runs[:2]
    ]
    found = one(real, "win_rate")
    assert found.stderr is not None
    assert found.correlation is not None
    assert found.correlation > 0.1
    assert found.stderr < np.hypot(*(stderr or 0.0 for stderr in stderrs))


def test_real_ranks_are_certain_where_the_intervals_are(real: Comparison) -> None:
    """70, 63 and 3 per cent over 805 items: three ranks, each certain; a length ranks nothing."""
    ranks = {rank.run: (rank.low, rank.high) for rank in real.tasks[0].ranks if rank.metric == "win_rate"}
    assert ranks == {0: (1, 1), 1: (2, 2), 2: (3, 3)}
    assert "avg_length" not in {rank.metric for rank in real.tasks[0].ranks}


def test_real_flips_are_the_largest_changes(real: Comparison) -> None:
    """Three for each pair, the largest first, each with both answers and the judge's verdict on either side."""
    first = [flip for flip in real.tasks[0].flips if flip.runs[1].run == 1]
    assert len(first) == 3
    sizes = [abs(flip.change) for flip in first]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.99
    for flip in first:
        values = [shown.value or 0.0 for shown in flip.runs]
        assert flip.change == pytest.approx(values[1] - values[0])
        assert all(shown.answers and shown.verdicts for shown in flip.runs)
        assert flip.prompt


def test_the_files_that_a_length_controlled_rate_needs_are_asked_for_alone() -> None:
    """Only AlpacaEval's official gamed rows are fetched to compare; starter runs and other tasks need no file."""
    assert length_table.__module__.endswith("lengths")
    task, _ = tasks.load(tasks.TaskSpec("gsm8k"))
    asked: list[str] = []

    def fetch(name: str) -> bytes:
        asked.append(name)
        return b""

    task.sums((), (), fetch)
    assert not asked


def test_a_worked_example(tmp_path: Path) -> None:
    """Twelve items, eight won anew and four alike: the chance of eight changes to one side is 2 / 2^8."""
    before = write_run(tmp_path / "a", [0.0] * 8 + [1.0] * 4)
    after = write_run(tmp_path / "b", [1.0] * 12)
    found = one(compare([before, after]))
    assert (found.first_value, found.second_value) == pytest.approx((100 / 3, 100.0))
    assert found.difference == pytest.approx(200 / 3)
    assert found.p == 2 / 2**8
    assert found.relative_gain == pytest.approx(200.0)
    # Student's t with 11 degrees of freedom, of twelve differences with deviation sqrt(8 / 33).
    half = 100 * 2.200985 * (8 / 33 / 12) ** 0.5
    assert (found.low, found.high) == pytest.approx((200 / 3 - half, 200 / 3 + half), rel=1e-6)


def test_the_other_way_round_is_the_mirror_image(tmp_path: Path) -> None:
    """B less A is minus A less B, with the same p-value."""
    rng = np.random.default_rng(0)
    runs = [write_run(tmp_path / name, (rng.random(60) < 0.5).astype(float).tolist()) for name in "ab"]
    there, back = one(compare(runs)), one(compare(runs[::-1]))
    assert there.difference is not None
    assert back.difference == pytest.approx(-there.difference)
    assert back.low == pytest.approx(-(there.high or 0.0))
    assert back.p == pytest.approx(there.p, abs=0.02)  # other random signs: 10,000 rounds have this noise


def test_a_run_beside_itself_differs_by_nothing(tmp_path: Path) -> None:
    """Difference 0 with p = 1, no interval, and the reason for that; nothing is NaN."""
    run = write_run(tmp_path / "a", [1.0, 0.0] * 20)
    found = one(compare([run, run]))
    assert (found.difference, found.p, found.low) == (0.0, 1.0, None)
    assert found.reason is not None


def test_what_one_run_lacks_is_left_out_of_both_and_counted(tmp_path: Path) -> None:
    """Items without a value in either run count for neither value, and are told."""
    before = write_run(tmp_path / "a", [1.0, 1.0, 0.0, 0.0, None, 1.0])
    after = write_run(tmp_path / "b", [1.0, 0.0, 0.0, 1.0, 1.0, None])
    found = compare([before, after])
    assert found.tasks[0].common == 4
    assert [(c.items, c.missing) for c in found.tasks[0].coverage] == [(6, 1), (6, 1)]
    assert (one(found).first_value, one(found).second_value, one(found).n) == (50.0, 50.0, 4)


def test_no_item_in_common(tmp_path: Path) -> None:
    """A message says what each run lacks."""
    before = write_run(tmp_path / "a", [1.0, 1.0, None, None])
    after = write_run(tmp_path / "b", [None, None, 0.0, 1.0])
    with pytest.raises(UsageError, match=r"no item has a value in all 2 runs .*lacks 2 of 4.*lacks 2 of 4"):
        compare([before, after])


def test_a_task_without_a_common_item_does_not_hide_another(tmp_path: Path) -> None:
    """Of two tasks, one of which the second run did not reach, the other is compared, and why the first is not."""
    runs = [
        write_run(tmp_path / name, {"gsm8k": [1.0, 0.0, 1.0], "ifeval": other})
        for name, other in (("a", [1.0, 0.0]), ("b", [None, None]))
    ]
    found = compare(runs)
    assert [task.task for task in found.tasks] == ["gsm8k@chat"]
    assert "ifeval@chat: no item has a value in all 2 runs" in found.notes[0]


def test_unlike_protocols_are_named_and_not_compared(tmp_path: Path) -> None:
    """Two runs of one judge are compared; the third, of another, stands apart with what differs in it."""
    ours = {**PROTOCOL, "judges": {"grade": {"model": "judge-1"}}}
    theirs = {**PROTOCOL, "judges": {"grade": {"model": "judge-2"}}}
    runs = [
        write_run(tmp_path / name, [1.0, 0.0, 1.0], protocol=protocol)
        for name, protocol in (("a", ours), ("b", theirs), ("c", ours))
    ]
    found = compare(runs)
    assert found.tasks[0].runs == (0, 2)
    (apart,) = found.unlike["gsm8k"]
    assert (apart.run, apart.fields, apart.values) == (1, ("judges.grade.model",), (("judge-1", "judge-2"),))
    with pytest.raises(UsageError, match=r"different protocols.*model of the judge grade \(judge-1 and judge-2\)"):
        compare(runs[:2])


def test_other_item_sets_are_another_protocol(tmp_path: Path) -> None:
    """A run of a part is not compared with one of the whole: the field says how many items each has."""
    runs = [write_run(tmp_path / name, [1.0, 0.0] * n) for name, n in (("a", 5), ("b", 6))]
    with pytest.raises(UsageError, match=r"number of items \(10 and 12\)"):
        compare(runs)


def test_no_task_in_common(tmp_path: Path) -> None:
    """What each run holds is told."""
    runs = [write_run(tmp_path / "a", [1.0, 0.0]), write_run(tmp_path / "b", [1.0, 0.0], task="ifeval")]
    with pytest.raises(UsageError, match=r"a holds gsm8k; .*b holds ifeval"):
        compare(runs)
    with pytest.raises(UsageError, match="at least two runs"):
        compare(runs[:1])


def test_p_values_are_adjusted_over_metrics_and_models(tmp_path: Path) -> None:
    """Two models by three metrics are six tests: Holm's smallest is six times as large, Benjamini-Hochberg's less."""
    base = [0.0] * 8 + [1.0] * 4
    runs = [write_run(tmp_path / "a", base), write_run(tmp_path / "b", [1.0] * 12), write_run(tmp_path / "c", base)]
    holm, bh, none = (one(compare(runs, adjust=adjust)) for adjust in ("holm", "bh", "none"))
    assert holm.p == bh.p == none.p == 2 / 2**8
    assert holm.p_adjusted == pytest.approx(6 * 2 / 2**8)
    assert bh.p_adjusted == pytest.approx(6 / 3 * 2 / 2**8)
    assert none.p_adjusted is None


def test_a_task_that_says_nothing_of_its_totals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics that are the plain mean of their example scores are compared; one that is not is left out, and told."""
    task = tmp_path / "bench" / "task.py"
    task.parent.mkdir()
    task.write_text(
        "from judgebench.task.metric import Metric\n"
        "from judgebench.records import Sampling\n"
        "from judgebench.task import Task, TaskData\n"
        "def task(version=None, options=None, *, starter=False):\n"
        "    return Task(name='mine', version='1', options={}, metrics=(Metric(name='accuracy'),),\n"
        "        sampling=Sampling(), official_examples=2, starter=starter,\n"
        "        load=lambda fetch: TaskData(examples=(), baselines={}),\n"
        "        score=lambda *a: [])\n"
    )
    origin = tasks.from_file(task)
    monkeypatch.setattr(tasks, "find_registered", lambda name: origin)
    before, after = (
        write_run(tmp_path / name, values, task="mine", metrics=("accuracy",))
        for name, values in (("a", [1.0, 0.0, 1.0, 0.0]), ("b", [1.0, 1.0, 1.0, 0.0]))
    )
    assert one(compare([before, after]), "accuracy").difference == 25.0
    for run in (before, after):
        results = json.loads((run.path / "results.json").read_text())
        results["scores"].append({**results["scores"][0], "metric": "other"})
        results["scores"][0]["value"] += 1
        (run.path / "results.json").write_text(json.dumps(results))
    with_others = compare([read_run(before.path), read_run(after.path)])
    assert [metric for metric, _ in with_others.tasks[0].not_compared] == ["accuracy", "other"]


def test_two_numbers_differ_by_no_more_than_the_scale() -> None:
    """A number beyond the scale, or no scale, leaves the difference open."""
    rating = Metric(name="score", unit="rating", bounds=(1.0, 10.0))
    length = Metric(name="length", unit="characters")
    assert greatest_difference(Metric(name="win_rate"), [99.0, 2.0]) == 100
    assert greatest_difference(rating, [9.0, 2.0]) == 9
    assert greatest_difference(rating, [9.0, 0.5]) == greatest_difference(length, [9.0, 2.0]) == inf
