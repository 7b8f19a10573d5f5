"""WildBench against some of its baselines, or another model's answers: the headline is over what was asked for."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from judgebench.analysis.comparison import compare
from judgebench.analysis.leaderboard import group_rows, headlines, in_one_table
from judgebench.analysis.power_plan import Question, plan
from judgebench.analysis.published import beside_published, published_rows
from judgebench.errors import UsageError
from judgebench.exchange.importing import import_run
from judgebench.gating.policy import Defaults, Policy, TaskPolicy
from judgebench.gating.verdicts import gate
from judgebench.judges.orders import candidate_share
from judgebench.records import Generation, Judgement, Score, Verdict
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_tasks, reload_tasks, require_baseline
from judgebench.run.reading import Run, read_run
from judgebench.run.runner import Runner
from judgebench.run.scoring import score_run
from judgebench.run.settings import Settings
from judgebench.run.stopping import stop_rule
from tests.tasks import wildbench_data as wb
from tests.tasks.arenahard_data import ARENA_HARD, mirrors, read_lines

GPT4, HAIKU, LLAMA = wb.BASELINES.values()
REWARDS = ("wb_reward", "wb_reward_micro")


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of the official files."""
    return wb.official_mirror(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upstream's result folders: scores of two models and their games with all three baselines."""
    folder = tmp_path_factory.mktemp("results")
    for model in ("reka-edge", "gemma-2b-it"):
        scored = folder / "v2.0625/score.v2/eval=gpt-4o-2024-05-13" / f"{model}.json"
        wb.write_records(scored, wb.score_records(wb.score_files("v0625-gpt4o")[model]))
        for short, name in wb.BASELINES.items():
            pairs = folder / "v2.0522/pairwise.v2/eval=gpt-4-turbo-2024-04-09" / f"ref={name}" / f"{model}.json"
            wb.write_records(pairs, wb.pair_records(short, "reka-edge"))
    return folder


def imported(results: Path, official: Path, task: str, out: Path) -> dict[str, Run]:
    """Both models' runs."""
    import_run(results, "wildbench", Settings(tasks=task, out=out, mirrors=(official,), offline=True))
    return {path.name: read_run(path) for path in out.iterdir()}


@pytest.fixture(scope="module")
def whole(results: Path, official: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One model against all three baselines."""
    return imported(results, official, "wildbench", tmp_path_factory.mktemp("whole") / "runs")["reka-edge"]


def rewards(run: Run) -> dict[tuple[str, str | None], Score]:
    """A run's rewards by metric and group."""
    scores = run.tasks["wildbench"].scores
    return {(score.metric, score.group): score for score in scores if score.metric in REWARDS}


def test_one_baseline_is_the_headline(results: Path, official: Path, whole: Run, tmp_path: Path) -> None:
    """Of real files of all three baselines, asked for one: the headline and its interval are those of the baseline's
    own group, whose numbers are the same as in a run over all three; categories and margins are over it too.
    """
    one = imported(results, official, f"wildbench:baselines={HAIKU}", tmp_path / "one")["reka-edge"]
    mixed, own = rewards(whole), rewards(one)
    for metric in REWARDS:
        group = own[metric, f"baseline={HAIKU}"]
        assert group.value == mixed[metric, f"baseline={HAIKU}"].value
        headline = own[metric, None]
        same = ("value", "stderr", "low", "high", "level", "n", "n_missing")
        assert [getattr(headline, name) for name in same] == pytest.approx([getattr(group, name) for name in same])
        assert headline.value != mixed[metric, None].value
        assert f"reward against {HAIKU}, K = 500" in str(headline.method)
        assert own[metric, "k=500"].value == headline.value
        assert own[metric, "k=-1"].value is not None
    assert all(own["wb_reward", f"category={name}"].value is not None for name in wb.GROUPS)
    assert whole.tasks["wildbench"].task_manifest.protocol_hash != one.tasks["wildbench"].task_manifest.protocol_hash


def test_two_baselines_are_meaned_and_scoring_again_gives_each_choice(
    whole: Run, official: Path, tmp_path: Path
) -> None:
    """Two of three: the mean of their groups. A stored run is scored so without a call, and back; the order in which
    the names are given changes nothing, and naming all three is the default's protocol.
    """
    run = read_run(shutil.copytree(whole.path, tmp_path / "run"))
    before = run.tasks["wildbench"].task_manifest.protocol_hash
    found = {}
    for names in (f"{LLAMA}+{GPT4}", f"{GPT4}+{LLAMA}", f"{LLAMA}+{HAIKU}+{GPT4}"):
        settings = Settings(tasks=f"wildbench:baselines={names}", mirrors=(official,), offline=True)
        score_run(RunFolder(run.path), settings)
        found[names] = read_run(run.path)
    two, swapped, three = found.values()
    for metric in REWARDS:
        parts = [rewards(two)[metric, f"baseline={name}"].value or 0.0 for name in (GPT4, LLAMA)]
        headline = rewards(two)[metric, None]
        assert headline.value == pytest.approx(sum(parts) / 2)
        assert headline.low is not None
        assert "mean over 2 baselines" in str(headline.method)
    hashes = [one.tasks["wildbench"].task_manifest.protocol_hash for one in (two, swapped, three)]
    assert hashes[0] == hashes[1] != before
    assert hashes[2] == before
    assert rewards(three) == rewards(run)


def test_without_asking_a_lacking_baseline_leaves_the_mix_blank_and_says_how_to_ask(
    results: Path, official: Path, tmp_path: Path
) -> None:
    """A file of games with one baseline is a part of the three: no mix, and the reason names the option for it."""
    source = results / "v2.0522/pairwise.v2/eval=gpt-4-turbo-2024-04-09" / f"ref={HAIKU}"
    place = tmp_path / "results/v2.0522/pairwise.v2/eval=gpt-4-turbo-2024-04-09" / f"ref={HAIKU}"
    wb.write_records(place / "reka-edge.json", json.loads((source / "reka-edge.json").read_text()))
    settings = Settings(tasks="wildbench", out=tmp_path / "run", mirrors=(official,), offline=True)
    import_run(tmp_path / "results", "wildbench", settings)
    headline = rewards(read_run(tmp_path / "run"))["wb_reward", None]
    assert headline.value is None
    assert f"score with wildbench:baselines={HAIKU} for the mean over the rest" in str(headline.reason)


def test_what_compares_runs_takes_the_choice_for_a_protocol(results: Path, official: Path, tmp_path: Path) -> None:
    """Two models against one baseline are compared, gated, ranked and planned by their headline; beside a run over all
    three they stand apart, with the field named, and beside no published number, which is over three.
    """
    task = f"wildbench:metrics=reward,baselines={HAIKU}"
    runs = imported(results, official, task, tmp_path / "one")
    whole = imported(results, official, "wildbench:metrics=reward", tmp_path / "whole")["reka-edge"]
    edge, gemma = runs["reka-edge"], runs["gemma-2b-it"]
    found = compare([edge, gemma])
    named = {(one.metric, one.group) for one in found.tasks[0].differences}
    assert {(metric, group) for metric in REWARDS for group in (None, f"baseline={HAIKU}")} <= named
    assert not {metric for metric, _ in found.tasks[0].not_compared} & set(REWARDS)
    policy = Policy(defaults=Defaults(max_drop=5.0))
    (check,) = gate(edge, gemma, policy).checks
    assert (check.metric, check.verdict) == ("wb_reward", "PASS")
    for refused in (lambda: compare([edge, whole]), lambda: gate(edge, whole, policy)):
        with pytest.raises(UsageError, match=r"option baselines"):
            refused()
    others = published_rows("wildbench@v2.0625")
    rows = in_one_table([edge, gemma, whole])
    groups = group_rows([*rows, *others], headlines({row.task for row in rows}))
    apart = [group for group in beside_published(groups, others) if not group.rows[0].published]
    assert [len(group.rows) for group in apart] == [2, 1]
    assert "options.baselines" in apart[1].differs
    assert {row.published_value for row in apart[0].rows} == {None}
    assert apart[1].rows[0].published_value is not None
    with pytest.raises(UsageError, match=r"no row of the model 'reka-edge' is published for .*baselines=claude"):
        gate("reka-edge", edge, Policy(tasks={"wildbench": TaskPolicy(max_drop=5.0)}))
    question = Question(task="wildbench", metric="wb_reward", baselines=[edge.path], delta=5.0)
    planned = plan(question, Settings(tasks="", mirrors=(official,), offline=True))
    assert planned.required is not None
    assert f"baselines={HAIKU}" in planned.task
    (loaded,) = load_tasks(Settings(tasks=task, mirrors=(official,), offline=True))
    with pytest.raises(UsageError, match="wb_reward is not a plain mean"):
        stop_rule("wb_reward ci<2", loaded.task, judged=True)


# -- --baseline


def starter(baseline: str, task: str = "wildbench") -> Settings:
    """Settings of a starter run."""
    return Settings(tasks=task, starter=True, baseline=baseline)


@pytest.mark.parametrize("names", ["starter_plain", "starter_thorough,starter_brief"])
def test_the_flag_asks_with_the_names_alone(names: str) -> None:
    """Only these are compared with, and the headline is their mean: made of wins against one, ties with the other."""
    (one,) = load_tasks(starter(names))
    chosen = [name for name in ("starter_brief", "starter_plain", "starter_thorough") if name in names.split(",")]
    assert list(one.data.baselines) == list(one.task.against) == chosen
    assert one.task.options == {"baselines": "+".join(chosen)}
    require_baseline(one)
    judgements, generations = [], {}
    for example in one.data.examples:
        own = Generation(example_id=example.id, model="m", outputs=("An answer.",))
        generations[example.id] = own
        for case in one.task.cases(one.data, own):
            if case.judge == "pairwise":
                other = case.answers[1 - case.candidate].model
                share = 1.0 if other == chosen[0] else 0.5
                verdict = Verdict(value=candidate_share(share, case.candidate))
                names_shown = tuple(answer.model for answer in case.answers)
                judgements.append(
                    Judgement(
                        case_id=case.id, example_id=example.id, judge=case.judge, judge_model="j",
                        answers=names_shown, candidate=case.candidate, verdict=verdict,
                    )
                )  # fmt: skip
    assert len(judgements) == len(chosen) * len(one.data.examples)
    scores = one.task.summarise(one.data, one.task.score(one.data, generations, judgements))
    headline = {score.metric: score.value for score in scores if score.group is None}
    assert headline["wb_reward_micro"] == pytest.approx(100 / len(chosen))


def test_all_names_are_no_choice() -> None:
    """In any order they are the default."""
    (one,) = load_tasks(starter("starter_thorough,starter_plain,starter_brief"))
    assert one.task.options == {}
    assert len(one.data.baselines) == 3


def test_answers_of_another_model_are_the_headline_too(tmp_path: Path) -> None:
    """A file of them, of whatever name, is the only baseline, also when the run is read again; a model against its own
    answers has 0.
    """
    (plain,) = load_tasks(Settings(tasks="wildbench", starter=True))
    name = "org/my+model, v2"
    path = tmp_path / "answers.jsonl"
    lines = [{"id": e.id, "output": "Another answer.", "generator": name} for e in plain.data.examples]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (one,) = load_tasks(starter(str(path)))
    assert (one.task.against, list(one.data.baselines), list(one.baselines)) == ((name,), [name], [name])
    settings = dataclasses.replace(
        starter(str(path)), model=f"file:{path}", judges=("builtin:tiny",), out=tmp_path / "run"
    )
    Runner(settings, lambda *_: None).evaluate()
    run = read_run(tmp_path / "run")
    assert rewards(run)["wb_reward", None].value == rewards(run)["wb_reward", f"baseline={name}"].value == 0
    folder = RunFolder(tmp_path / "run")
    (again,) = reload_tasks(folder, folder.require_manifest(), Settings(tasks=""))
    assert (again.task.options, list(again.data.baselines)) == (one.task.options, [name])
    assert again.baselines == one.baselines


@pytest.mark.parametrize(
    ("task", "baseline", "told"),
    [
        ("wildbench", "starter_brief,nobody", "neither a file of outputs nor a baseline of wildbench"),
        ("wildbench:metrics=score", "starter_brief", r"a baseline of wildbench \(none\)"),
        ("gsm8k", "starter_brief", r"a baseline of gsm8k \(none\)"),
    ],
)
def test_what_cannot_be_compared_with_is_refused(task: str, baseline: str, told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(UsageError, match=told):
        load_tasks(starter(baseline, task))


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("wildbench:baselines=nobody", "compares with nobody, whose answers do not come with it; name a file"),
        ("wildbench:baselines=", "expected printable names joined by"),
        ("wildbench:baselines=a%00", "expected printable names joined by"),
        ("wildbench:metrics=score,baselines=starter_brief", "metrics=score compares with no baseline"),
    ],
)
def test_an_option_that_names_nothing_is_refused(task: str, told: str) -> None:
    """Each with what to do."""
    with pytest.raises(UsageError, match=told):
        require_baseline(*load_tasks(Settings(tasks=task, starter=True)))


def test_a_part_with_a_baseline_of_its_own_is_chosen_by_an_option(tmp_path: Path) -> None:
    """Arena-Hard v2.0 compares each category with another model: one of the two names is no choice of baselines."""
    answers = tmp_path / "data/arena-hard-v2.0/model_answer/gemini-2.0-flash-001.jsonl"
    answers.parent.mkdir(parents=True)
    questions = read_lines(ARENA_HARD / "question_v2.0.jsonl.gz")
    told = [{"role": "user", "content": "?"}, {"role": "assistant", "content": {"answer": "A poem."}}]
    rows = [{"uid": one["uid"], "model": "gemini-2.0-flash-001", "messages": told} for one in questions]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    official_files = (tmp_path, *mirrors())
    settings = Settings(tasks="arenahard@v2.0", mirrors=official_files, offline=True)
    assert len(load_tasks(settings)[0].data.baselines) == 2
    with pytest.raises(UsageError, match="compares each part of its examples with a baseline of its own"):
        load_tasks(dataclasses.replace(settings, baseline="o3-mini-2025-01-31"))
    one = dataclasses.replace(settings, tasks="arenahard@v2.0:category=hard_prompt", baseline="o3-mini-2025-01-31")
    assert list(load_tasks(one)[0].data.baselines) == ["o3-mini-2025-01-31"]
