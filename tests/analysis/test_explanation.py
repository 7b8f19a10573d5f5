"""What numbers are made of: variance, style, separability and circles, from run folders."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from judgebench import tasks
from judgebench.analysis.explanation import Explanation, Style, explain
from judgebench.codec import canonical_hash
from judgebench.exchange.importing import import_run
from judgebench.records import Completion, Example, ExampleScore, Judgement, Message, Score, Verdict
from judgebench.run.folder import VERIFIED_BY, Manifest, Results, RunFolder, TaskManifest
from judgebench.run.reading import Run, read_run
from judgebench.run.settings import Settings
from judgebench.run.style_counts import style_counts
from judgebench.stats.style_share import style_only_judge, style_report
from tests.shared_data import SharedData

SAID = (Message(role="user", content="?"),)


def run_of(
    folder: Path,
    model: str,
    judgements: Sequence[Judgement] = (),
    rows: Sequence[ExampleScore] = (),
    interval: tuple[float, float] = (40.0, 60.0),
) -> Run:
    """A run folder of AlpacaEval with these verdicts and example scores."""
    task, run = tasks.load(tasks.TaskSpec("alpacaeval"))[0], RunFolder(folder / model)
    own = run.task("alpacaeval")
    own.write_examples(Example(id=key, messages=SAID) for key in dict.fromkeys(row.example_id for row in rows))
    for judgement in judgements:
        own.append(judgement)
    own.close()
    own.write_scores(rows, [])
    fields = TaskManifest(
        label=task.label, name="alpacaeval", version="2", options={}, starter=False, examples=len(rows), sources=[],
        protocol={}, protocol_hash=canonical_hash({}), inputs={}, input_hash="",
    )  # fmt: skip
    run.write_manifest(
        Manifest(run_id=model, status="complete", candidate=model, candidate_identity="", candidate_spec="",
                 versions={}, protocol_hash="p", input_hash="", started_at="", sessions=[],
                 tasks={"alpacaeval": fields})
    )  # fmt: skip
    score = Score(task="alpacaeval", metric="lc_win_rate", value=50.0, unit="percent", low=interval[0],
                  high=interval[1], level=0.95, n=len(rows))  # fmt: skip
    run.write_results(Results(run=str(run.path), model=model, status="complete", scores=[score], integrity=[]))
    return read_run(run.path)


def game(item: int, pair: tuple[str, str], value: float, *, candidate: int = 0, repeat: int = 0) -> Judgement:
    """A verdict on two models' answers: the first-shown one's share."""
    return Judgement(
        case_id=f"{item}#{candidate}", example_id=f"{item}", judge="pairwise", judge_model="j", answers=pair,
        candidate=candidate, repeat=repeat, verdict=Verdict(value=value), replies=(Completion(text="x"),),
    )  # fmt: skip


def test_variance_is_split_in_its_sources(tmp_path: Path) -> None:
    """Items of standard deviation 0.15, a bias of 0.1 for the first-shown answer, and noise of 0.1 over three repeats:
    each is found again within its interval or a fifth.
    """
    draw = np.random.default_rng(7)
    skill = draw.normal(0.5, 0.15, 200)
    judgements = []
    for item, level in enumerate(skill):
        for candidate in (0, 1):
            for repeat in range(3):
                first = level if candidate == 0 else 1 - level
                shown = float(np.clip(first + 0.1 + draw.normal(0, 0.1), -5, 5))
                pair = ("m", "b") if candidate == 0 else ("b", "m")
                judgements.append(game(item, pair, shown, candidate=candidate, repeat=repeat))
    (found,) = explain([run_of(tmp_path, "m", judgements)]).runs[0].variance
    parts = {part.effect: part for part in found.parts}
    assert found.verdicts == 1200
    for effect, variance in (("item", float(skill.var(ddof=1))), ("residual", 0.1**2)):
        interval = parts[effect].interval
        assert interval is not None
        assert interval.low < variance < interval.high
    # The order's two levels are 0.2 apart: 0.02 as the variance of a random effect.
    assert parts["order"].variance == pytest.approx(0.02, rel=0.2)
    assert (parts["item x order"].share or 0) < 0.02


def test_one_verdict_per_item_tells_nothing_apart(tmp_path: Path) -> None:
    """The reason names the flags that would."""
    judgements = [game(item, ("m", "b"), item % 2) for item in range(30)]
    (found,) = explain([run_of(tmp_path, "m", judgements)]).runs[0].variance
    assert found.parts == ()
    assert "--judge-repeats" in (found.reason or "")


@pytest.fixture(scope="module")
def styled(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Style]:
    """The published judgements of phi-2 with their style."""
    folder, out = shared_data / "alpacaeval", tmp_path_factory.mktemp("runs") / "phi"
    settings = Settings(tasks="alpacaeval", mirrors=(folder,), offline=True, out=out)
    import_run(folder / "annotations_full" / "phi-2.json.gz", "alpaca_eval", settings)
    (style,) = explain([read_run(out)]).runs[0].style
    return RunFolder(out), style


def test_example_scores_store_both_answers_style(styled: tuple[RunFolder, Style]) -> None:
    """Counted from the answers of the run, and beside the task's own covariates."""
    own = styled[0].task("alpacaeval")
    texts = {generation.example_id: generation.outputs[-1] for generation in own.generations()}
    rows = own.example_scores()
    assert len(rows) == 803
    for row in rows:
        counts = style_counts(texts[row.example_id])
        assert {name: row.covariates[name] for name in counts} == counts
        assert {f"baseline_{name}" for name in counts} <= set(row.covariates)
        assert "difficulty" in row.covariates


def test_style_of_published_judgements(styled: tuple[RunFolder, Style]) -> None:
    """Every number is that of the procedures in ``stats/`` on the stored covariates; phi-2 writes little Markdown and
    short answers, so that its win rate at equal style is higher than the plain 2.35 %.
    """
    run, style = styled
    names = ("length", "headers", "lists", "bold")
    assert style.features == names
    rows = run.task("alpacaeval").example_scores()
    table = [
        [[float(row.covariates[side + name] or 0) for name in names] for row in rows] for side in ("", "baseline_")
    ]
    values, items = [row.value or 0.0 for row in rows], [row.example_id for row in rows]
    report = style_report(values, *table, clusters=items, rng=np.random.default_rng(0), rounds=500)
    assert [rate.win_rate for rate in style.rates] == [rate.win_rate for rate in report.rates]
    assert style.explained_by_style == report.explained_by_style
    assert style.style_only_judge == style_only_judge(values, *table, clusters=items).accuracy.value
    plain, length, both = (rate.win_rate or 0.0 for rate in style.rates)
    assert plain == pytest.approx(2.35, abs=0.005)
    assert plain < length < both
    assert style.rates[2].explained_interval is not None
    assert style.rates[2].explained_interval.high < 0


def test_a_task_without_an_official_control_is_controlled_alike(shared_data: SharedData, tmp_path: Path) -> None:
    """WildBench's rewards of Qwen1.5-72B against Llama-2-70b: the plain rate is the mean reward as a share, and length
    and style are held equal by the same procedures.
    """
    source = (
        shared_data / "wildbench" / "pairwise_records" / "ref=Llama-2-70b-chat-hf__Qwen1.5-72B-Chat-greedy.jsonl.gz"
    )
    settings = Settings(tasks="wildbench", mirrors=(shared_data / "wildbench",), offline=True, out=tmp_path / "run")
    import_run(source, "wildbench", settings)
    run = RunFolder(tmp_path / "run")
    (style,) = explain([read_run(run.path)]).runs[0].style
    rewards = [
        r.value for r in run.task("wildbench").example_scores() if r.metric == style.comparison and r.value is not None
    ]
    assert style.n == len(rewards) > 1000
    assert style.rates[0].win_rate == pytest.approx(50 * (1 + sum(rewards) / len(rewards)), abs=1e-9)
    assert [rate.held_equal for rate in style.rates] == ["nothing", "length", "style"]
    assert all(rate.interval is not None for rate in style.rates)
    assert style.features[0] == "length"


def together(runs: Sequence[Run]) -> Explanation:
    """Several runs explained."""
    return explain(runs)


def preferences(values: Sequence[float]) -> list[ExampleScore]:
    """Shares of the win by example."""
    return [ExampleScore(example_id=f"{n}", metric="preference", value=value) for n, value in enumerate(values)]


def test_circles_are_found_across_runs(tmp_path: Path) -> None:
    """Three models that beat each other in a circle on every item: one triad, in all items, that no rating fits."""
    runs = []
    for one, other in (("a", "b"), ("b", "c"), ("c", "a")):
        runs.append(
            run_of(tmp_path, one, [game(item, (one, other), 1.0) for item in range(40)], preferences([1.0] * 40))
        )
    (found,) = together(runs).together
    assert (found.cyclic_triads, found.possible_triads, found.cycles_by_chance) == (1, 1, 0.25)
    assert found.item_cycles == 1.0
    assert found.strongest_cycle_z == pytest.approx(40**0.5)
    assert found.ratings_fit_p is not None
    assert found.ratings_fit_p < 1e-6


def test_runs_against_one_baseline_cannot_show_circles(tmp_path: Path) -> None:
    """The reason says what to do; separability is of the intervals, and of paired differences."""
    draw = np.random.default_rng(1)
    hard = draw.normal(0, 0.3, 200)
    runs = []
    for model, lift, interval in (("a", 0.0, (40.0, 50.0)), ("b", 0.1, (45.0, 55.0)), ("c", 0.4, (70.0, 80.0))):
        shares = np.clip(0.3 + lift + hard + draw.normal(0, 0.02, 200), 0, 1).tolist()
        games = [game(item, (model, "base"), value) for item, value in enumerate(shares)]
        runs.append(run_of(tmp_path, model, games, preferences(shares), interval))
    (found,) = together(runs).together
    assert found.models == ("a", "b", "c")
    assert (found.pairs, found.separable, found.paired_separable) == (3, pytest.approx(2 / 3), 1.0)
    assert found.cyclic_triads is None
    assert "no three models have all met" in (found.reason or "")
    # What was verified has no games to wait for.
    verified = [msgspec.structs.replace(game(0, ("a", "base"), 1.0), answers=(), judge_model=VERIFIED_BY)]
    alone = [run_of(tmp_path / "verified", model, verified, preferences([1.0] * 4)) for model in "ab"]
    assert "circles" not in (together(alone).together[0].reason or "")


def test_judgements_without_answers_have_no_style(tmp_path: Path) -> None:
    """No covariates, no control: a reason instead."""
    (style,) = explain([run_of(tmp_path, "m", (), preferences([1.0, 0.0]))]).runs[0].style
    assert style.rates == ()
    assert style.n_without_style == 2
    assert "without the answers" in (style.reason or "")
