"""The gate's verdicts: what passes, what fails, what cannot be told, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.analysis.comparison import official_files
from judgebench.errors import UsageError
from judgebench.exchange.importing import import_run
from judgebench.gating.ci_reports import sentence
from judgebench.gating.policy import Defaults, Policy, TaskPolicy, read_policy
from judgebench.gating.verdicts import Check, Gate, decide, exit_code, gate
from judgebench.run.reading import read_run
from judgebench.run.settings import Settings
from judgebench.stats.clustered import cluster_totals
from tests.made_runs import PROTOCOL, write_run
from tests.tasks import wildbench_data as wb
from tests.tasks.alpacaeval_data import ALPACAEVAL, annotations, read_json


def drop(points: float, **defaults: Any) -> Policy:
    """A policy for the headline."""
    return Policy(defaults=Defaults(max_drop=points, **defaults))


def verdict(
    folder: Path, before: list[float | None], after: list[float | None], policy: Policy, **more: Any
) -> tuple[Gate, Check]:
    """The gate of two runs of one task."""
    runs = [write_run(folder / name, values, **more) for name, values in (("a", before), ("b", after))]
    found = gate(*runs, policy)
    return found, found.checks[0]


def changed(n: int, lost: int, won: int = 0) -> tuple[list[float | None], list[float | None]]:
    """Values of n items, half of them right, of which the candidate loses and wins some."""
    before: list[float | None] = [1.0] * (n // 2) + [0.0] * (n - n // 2)
    after: list[float | None] = [0.0] * lost + before[lost:]
    after[n - won :] = [1.0] * won
    return before, after


# -- policies


def write_policy(path: Path, text: str) -> Path:
    """A policy file."""
    path.write_text(text)
    return path


def test_a_policy_says_what_is_checked(tmp_path: Path) -> None:
    """Defaults, and for each task its metric, tier and drop."""
    path = write_policy(
        tmp_path / "gate.toml",
        "[defaults]\nmax_drop = 1.5\nalpha = 0.1\nadjust = 'bh'\nmin_n = 10\nmax_unread = 0.2\n"
        "[tasks.gsm8k]\nmetric = 'numeric'\ntier = 'warn'\nmax_drop = 3\n",
    )
    assert read_policy(path) == Policy(
        defaults=Defaults(max_drop=1.5, alpha=0.1, adjust="bh", min_n=10, max_unread=0.2),
        tasks={"gsm8k": TaskPolicy(metric="numeric", tier="warn", max_drop=3.0)},
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[defaults]\nmax_drops = 1\n", "max_drops"),
        ("[defaults]\nmax_drop = '1'\n", "defaults.max_drop"),
        ("[defaults]\nmax_drop = -1\n", "defaults.max_drop"),
        ("[defaults]\nmax_drop = nan\n", "defaults.max_drop"),
        ("[defaults]\nalpha = 0.5\n", "defaults.alpha"),
        ("[defaults]\nalpha = true\n", "defaults.alpha"),
        ("[defaults]\nadjust = 'fdr'\n", "defaults.adjust"),
        ("[defaults]\nmin_n = 1\n", "defaults.min_n"),
        ("[defaults]\nmax_unread = 1.5\n", "defaults.max_unread"),
        ("[tasks.gsm8k]\ntier = 'nightly'\n", "tasks"),
        ("[tasks.gsm8k]\nmax_drop = -2\n", "tasks.gsm8k.max_drop"),
        ("[task.gsm8k]\nmax_drop = 2\n", "task"),
        ("tasks = 3\n", "tasks"),
        ("[defaults\n", "not TOML"),
    ],
)
def test_a_wrong_policy_is_named_by_file_and_key(tmp_path: Path, text: str, named: str) -> None:
    """Typing errors do not pass for defaults."""
    path = write_policy(tmp_path / "gate.toml", text)
    with pytest.raises(UsageError) as error:
        read_policy(path)
    assert str(path) in str(error.value)
    assert named in str(error.value)
    assert "\n" not in str(error.value).strip()


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    """A missing file, and one that is no text."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_policy(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_policy(tmp_path / "bytes.toml")


# -- verdicts


def test_pass_fail_and_inconclusive(tmp_path: Path) -> None:
    """Of 400 items, 2 lost of a margin of 5 points pass, 60 lost fail, and 20 lost and 16 won cannot be told."""
    found, check = verdict(tmp_path / "pass", *changed(400, 2), drop(5.0))
    assert (found.verdict, exit_code(found, "fail")) == ("PASS", 0)
    assert check.difference == pytest.approx(-0.5)
    found, check = verdict(tmp_path / "fail", *changed(400, 60), drop(5.0))
    assert (found.verdict, exit_code(found, "pass")) == ("FAIL", 1)
    assert check.difference == -15.0
    found, check = verdict(tmp_path / "unclear", *changed(400, 20, 16), drop(1.0))
    assert [exit_code(found, how) for how in ("fail", "warn", "pass")] == [3, 0, 0]
    assert check.verdict == "INCONCLUSIVE"
    assert check.n_to_decide is not None
    assert check.n_to_decide > 400


def test_the_items_named_would_decide(tmp_path: Path) -> None:
    """The same differences on as many items as were said to decide do decide (by the t test, without luck)."""
    before, after = changed(400, 22, 20)
    _, check = verdict(tmp_path / "few", before, after, drop(2.0))
    assert check.verdict == "INCONCLUSIVE"
    assert check.n_to_decide is not None
    times = -(-check.n_to_decide // 400)
    _, again = verdict(tmp_path / "many", before * times, after * times, drop(2.0))
    assert again.verdict == "PASS"


def test_the_margin_that_is_named_would_pass(tmp_path: Path) -> None:
    """The least ``max_drop``, to three digits, with which the same items pass; a little less does not."""
    before, after = changed(400, 22, 20)
    _, check = verdict(tmp_path / "few", before, after, drop(2.0))
    least = check.drop_to_pass
    assert least is not None
    assert sentence(check).endswith(f"or max drop >= {least:g}")
    assert verdict(tmp_path / "wider", before, after, drop(least))[0].verdict == "PASS"
    assert verdict(tmp_path / "less", before, after, drop(0.98 * least))[0].verdict == "INCONCLUSIVE"


def test_the_same_run_passes_where_there_are_enough_items(tmp_path: Path) -> None:
    """No item of 300 differs: the loss is below 1 - 0.05^(1/300), a point. None of 40 differs: it may be seven."""
    found, check = verdict(tmp_path / "many", *changed(300, 0), drop(1.0))
    assert found.verdict == "PASS"
    assert check.low == pytest.approx(-100 * (1 - 0.05 ** (1 / 300)))
    assert "every item differs by the same amount, so their spread gives no interval" in sentence(check)
    found, check = verdict(tmp_path / "few", *changed(40, 0), drop(1.0))
    assert found.verdict == "INCONCLUSIVE"
    assert check.n_to_decide == 299
    assert check.reason is not None


def test_equal_grades_are_judged_by_their_scale() -> None:
    """MT-Bench's grades lie between 1 and 10: none of 80 alike ones tells a loss of 9 * (1 - 0.05^(1/80)), a third."""
    task, _ = tasks.load(tasks.TaskSpec("mtbench"))
    assert task.metric("score").limits == (1.0, 10.0)
    grades = cluster_totals([7.0] * 40 + [8.0] * 40)
    for drop_in_points, wanted in ((0.3, "INCONCLUSIVE"), (0.4, "PASS")):
        assert decide(grades, grades, drop_in_points, 0.05, task.metric("score").limits).verdict == wanted
    assert decide(grades, grades, 5.0, 0.05, None).verdict == "INCONCLUSIVE"


def test_too_few_items_decide_nothing(tmp_path: Path) -> None:
    """Below ``min_n`` even a clear loss is inconclusive, and the check says that nothing else is in the way."""
    before, after = changed(20, 10)
    _, check = verdict(tmp_path / "few", before, after, drop(1.0))
    assert (check.verdict, check.n_to_decide, check.n_if_equal) == ("INCONCLUSIVE", None, None)
    said = "min_n is 30, and that alone stands against FAIL: compare 30 items (there are 20), or set a lower min_n"
    assert said in sentence(check)
    assert "needs about" not in sentence(check)
    assert verdict(tmp_path / "enough", before, after, drop(1.0, min_n=20))[1].verdict == "FAIL"


def test_items_that_would_decide_are_at_least_those_of_the_policy(tmp_path: Path) -> None:
    """One of 20 lost, one won and 18 alike decide nothing by themselves, and fewer than ``min_n`` never do."""
    _, check = verdict(tmp_path, *changed(20, 1, 1), drop(90.0, min_n=50))
    assert check.verdict == "INCONCLUSIVE"
    _, check = verdict(tmp_path / "wide", *changed(20, 3, 3), drop(20.0, min_n=500))
    assert check.verdict == "INCONCLUSIVE"
    assert (check.reason, check.n_to_decide, check.n_if_equal) == ("min_n is 500", 500, 500)
    assert check.drop_to_pass is None
    assert sentence(check).endswith("min_n is 500; needs about 500 items (there are 20)")


def test_more_items_are_not_promised_where_answers_are_missing(tmp_path: Path) -> None:
    """What passes but for its missing answers lacks those answers, and not items."""
    before, after = changed(500, 0)
    after[:10] = [None] * 10
    for name, limit in (("unread", 0.01), ("lost", 0.1)):
        _, check = verdict(tmp_path / name, before, after, drop(1.5, max_unread=limit))
        assert check.verdict == "INCONCLUSIVE"
        assert "needs about" not in sentence(check)


def test_failing_hard_items_gains_nothing(tmp_path: Path) -> None:
    """A candidate without 2 % of the answers does not pass; with the limit raised, they count as lost."""
    before, after = changed(500, 0)
    after[:10] = [None] * 10
    _, check = verdict(tmp_path / "limit", before, after, drop(1.5))
    assert check.verdict == "INCONCLUSIVE"
    assert check.candidate_missing == 10
    assert "max_unread" in str(check.reason)
    _, check = verdict(tmp_path / "lost", before, after, drop(1.5, max_unread=0.1))
    assert check.verdict == "INCONCLUSIVE"
    assert check.if_lost == pytest.approx(-2.0)
    assert check.difference == 0.0
    _, check = verdict(tmp_path / "allowed", before, after, drop(5.0, max_unread=0.1))
    assert check.verdict == "PASS"


def test_what_the_baseline_lacks_is_no_gain_either(tmp_path: Path) -> None:
    """A baseline above the limit passes nothing; a loss on what is there still fails."""
    before, after = changed(500, 0)
    before[:10] = [None] * 10
    _, check = verdict(tmp_path / "same", before, after, drop(5.0))
    assert check.verdict == "INCONCLUSIVE"
    assert "baseline lacks 10 of 500" in str(check.reason)
    after[50:150] = [0.0] * 100
    assert verdict(tmp_path / "worse", before, after, drop(5.0))[1].verdict == "FAIL"


def test_a_run_that_is_not_complete_is_told(tmp_path: Path) -> None:
    """A gate on a run that was interrupted says so beside its verdict."""
    before, after = changed(400, 0)
    runs = [
        write_run(tmp_path / name, values, status=status)
        for name, values, status in (("a", before, "complete"), ("b", after, "interrupted"))
    ]
    assert any("b is interrupted" in note for note in gate(*runs, drop(2.0)).notes)


def test_a_check_that_warns_decides_nothing(tmp_path: Path) -> None:
    """One task fails in the tier ``warn``, another passes in ``block``: the gate passes and shows both."""
    before, after = changed(400, 80)
    runs = [write_run(tmp_path / name, {"gsm8k": own, "ifeval": before}) for name, own in (("a", before), ("b", after))]
    for run in runs:  # IFEval's headline, of which each instruction is one here
        _rename(run.path, "ifeval", "exact_match_strict", "prompt_level_strict_acc")
    policy = Policy(defaults=Defaults(max_drop=2.0), tasks={"gsm8k": TaskPolicy(tier="warn")})
    found = gate(*(read_run(run.path) for run in runs), policy)
    assert {check.task: check.verdict for check in found.checks} == {"gsm8k@chat": "FAIL", "ifeval@chat": "PASS"}
    assert found.verdict == "PASS"


def _rename(run: Path, task: str, metric: str, name: str) -> None:
    for path in (run / "results.json", run / task / "example_scores.jsonl"):
        text = path.read_text()
        lines = text.splitlines()
        if path.suffix == ".jsonl":
            path.write_text("".join(line.replace(f'"{metric}"', f'"{name}"') + "\n" for line in lines))
            continue
        results = json.loads(text)
        for score in results["scores"]:
            if score["task"] == task and score["metric"] == metric:
                score["metric"] = name
        path.write_text(json.dumps(results))
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["tasks"][task]["version"] = "1"
    (run / "manifest.json").write_text(json.dumps(manifest))


def test_holm_takes_back_a_fail_among_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tasks of one small loss each: Holm's p is three times as large, so nothing fails; unadjusted, all do."""
    before, after = changed(400, 26, 14)
    names = ("gsm8k", "two", "three")
    gsm8k = tasks.find_registered("gsm8k")
    assert gsm8k is not None

    def found(name: str) -> tasks.Origin:
        return replace(gsm8k, name=name, factory=lambda **options: replace(gsm8k.factory(**options), name=name))

    monkeypatch.setattr(tasks, "find_registered", found)
    runs = [write_run(tmp_path / name, dict.fromkeys(names, own)) for name, own in (("a", before), ("b", after))]
    adjusted, raw = (gate(*runs, drop(0.5, adjust=how)) for how in ("holm", "none"))
    assert {check.verdict for check in raw.checks} == {"FAIL"}
    assert {check.verdict for check in adjusted.checks} == {"INCONCLUSIVE"}
    assert "among 3 checks" in str(adjusted.checks[0].reason)
    assert adjusted.checks[0].p_fail_adjusted == pytest.approx(3 * (raw.checks[0].p_fail or 0.0))


# -- refusals


def test_unlike_protocols_are_refused(tmp_path: Path) -> None:
    """The message names the field and both values: another judge, another prompt."""
    for field, values in (("model", ("judge-1", "judge-2")), ("prompt_and_rule", ("prompt-1", "prompt-2"))):
        runs = [
            write_run(tmp_path / field / name, [1.0, 0.0], protocol={**PROTOCOL, "judges": {"j": {field: value}}})
            for name, value in zip("ab", values, strict=True)
        ]
        with pytest.raises(UsageError) as error:
            gate(*runs, drop(1.0))
        called = {"model": "model of the judge j", "prompt_and_rule": "prompt and rule of the judge j"}[field]
        assert f"{called} ({values[0]} and {values[1]})" in str(error.value)


def test_other_items_are_refused(tmp_path: Path) -> None:
    """A candidate evaluated on a part of the items is no candidate."""
    runs = [write_run(tmp_path / name, [1.0, 0.0] * n) for name, n in (("a", 30), ("b", 20))]
    with pytest.raises(UsageError, match=r"number of items \(60 and 40\)"):
        gate(*runs, drop(1.0))


def test_what_is_not_evaluated_cannot_pass(tmp_path: Path) -> None:
    """A task that only the baseline has, one that only the policy names, and none in common."""
    values = [1.0, 0.0] * 20
    both = write_run(tmp_path / "a", {"gsm8k": values, "ifeval": values})
    part = write_run(tmp_path / "b", values)
    with pytest.raises(UsageError, match="what is not evaluated cannot pass"):
        gate(both, part, drop(1.0))
    with pytest.raises(UsageError, match="the policy names the task 'mtbench'"):
        gate(both, part, Policy(tasks={"mtbench": TaskPolicy(max_drop=1.0)}))
    with pytest.raises(UsageError, match=r"the baseline .* has gsm8k"):
        gate(part, both, Policy(tasks={"ifeval": TaskPolicy(max_drop=1.0)}))
    assert gate(both, part, Policy(tasks={"gsm8k": TaskPolicy(max_drop=8.0)})).verdict == "PASS"
    assert "not gated" in " ".join(gate(part, both, drop(8.0)).notes)


def test_metrics_that_cannot_be_gated(tmp_path: Path) -> None:
    """One that is not there, and one of which more is not better."""
    values = [1.0, 0.0] * 20
    metrics = ("win_rate", "avg_length")
    runs = [write_run(tmp_path / name, values, task="alpacaeval", version="2", metrics=metrics) for name in ("a", "b")]
    for metric, said in (("none", "which has win_rate"), ("avg_length", "more of it is not better")):
        with pytest.raises(UsageError, match=said):
            gate(*runs, Policy(tasks={"alpacaeval": TaskPolicy(metric=metric, max_drop=1.0)}))


def test_a_task_without_values_is_inconclusive_and_the_others_are_gated(tmp_path: Path) -> None:
    """One of two tasks has no item with a value in both runs: it passes nothing, and says why; the other passes."""
    values: list[float | None] = [1.0, 0.0] * 20
    halves: tuple[list[float | None], ...] = ([*values[:20], *[None] * 20], [*[None] * 20, *values[20:]])
    runs = [
        write_run(tmp_path / name, {"gsm8k": values, "ifeval": half}, version="")
        for name, half in zip("ab", halves, strict=True)
    ]
    found = gate(*runs, drop(8.0))
    assert [check.verdict for check in found.checks] == ["PASS", "INCONCLUSIVE"]
    assert (found.verdict, exit_code(found, "fail")) == ("INCONCLUSIVE", 3)
    assert found.checks[1].n == 0
    said = sentence(found.checks[1])
    assert "no item has a value in both runs (the baseline lacks 20 of 40; the candidate lacks 20 of 40)" in said
    assert "would" not in said  # no number of items helps


def test_a_metric_without_any_value_is_inconclusive_with_its_reason(tmp_path: Path) -> None:
    """Every verdict of both runs is missing, as where none could be read."""
    nothing: list[float | None] = [None] * 40
    found = gate(*(write_run(tmp_path / name, nothing) for name in ("a", "b")), drop(1.0))
    assert found.verdict == "INCONCLUSIVE"
    assert "the baseline lacks 40 of 40" in sentence(found.checks[0])


def test_tasks_that_a_policy_does_not_name_are_listed_in_one_note(tmp_path: Path) -> None:
    """A policy of one task of three says in a line which two are not gated."""
    values: list[float | None] = [1.0, 0.0] * 20
    run = write_run(tmp_path / "a", dict.fromkeys(("gsm8k", "ifeval", "math"), values), version="")
    notes = gate(run, run, Policy(tasks={"gsm8k": TaskPolicy(max_drop=8.0)})).notes
    assert [note for note in notes if "not gated" in note] == [
        "not gated, because the policy has no max_drop for them: ifeval@, math@"
    ]


def test_a_gate_without_a_drop_is_refused(tmp_path: Path) -> None:
    """A policy that says nothing of a drop gates nothing."""
    runs = [write_run(tmp_path / name, [1.0, 0.0]) for name in ("a", "b")]
    with pytest.raises(UsageError, match="how much may be lost"):
        gate(*runs, Policy())


# -- real runs, and published rows


def test_a_real_candidate_against_real_and_published_baselines(tmp_path: Path) -> None:
    """Upstream's judgements of a model with the official baseline's answers: it passes against its own published row,
    unpaired and said so, and fails against a better model's, item by item and by the published number.
    """
    official = {
        row["instruction"]: row["output"]
        for row in read_json(ALPACAEVAL / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz")
    }
    runs = []
    for model in ("FuseChat-Gemma-2-9B-Instruct", "FuseChat-Llama-3.1-8B-Instruct"):
        rows = [{**row, "output_1": official[row["instruction"]]} for row in annotations(2, model)]
        source = tmp_path / "annotations.json"
        source.write_text(json.dumps(rows))
        settings = Settings(tasks="alpacaeval", out=tmp_path / model, mirrors=(ALPACAEVAL.path,), offline=True)
        import_run(source, "alpaca_eval", settings)
        runs.append(read_run(tmp_path / model))
    better, candidate = runs
    files = official_files([ALPACAEVAL.path], offline=True)
    paired = gate(better, candidate, drop(2.0), files=files)
    assert (paired.verdict, paired.checks[0].metric, paired.checks[0].paired) == ("FAIL", "lc_win_rate", True)
    own = gate("FuseChat-Llama-3.1-8B-Instruct", candidate, drop(4.0))
    assert own.verdict == "PASS"
    assert own.checks[0].difference == pytest.approx(0.0, abs=0.1)
    assert not own.checks[0].paired
    assert any("unpaired" in note for note in own.notes)
    published = gate("FuseChat-Gemma-2-9B-Instruct", candidate, drop(1.0))
    assert published.verdict == "FAIL"
    with pytest.raises(UsageError, match=r"no row of the model 'FuseChat-Gema' is published.*FuseChat-Gemma-2-9B"):
        gate("FuseChat-Gema", candidate, drop(1.0))


def test_a_run_that_is_not_the_benchmark_is_not_held_against_published_rows(tmp_path: Path) -> None:
    """Another baseline's answers, or a part of the items: the fields are named."""
    source = tmp_path / "annotations.json"
    source.write_text(json.dumps(annotations(2, "gemma-2b-it")))
    settings = Settings(tasks="alpacaeval", out=tmp_path / "run", mirrors=(ALPACAEVAL.path,), offline=True)
    import_run(source, "alpaca_eval", settings)
    with pytest.raises(UsageError, match=r"not evaluated as the published rows were.*baselines \(gpt4_1106_preview"):
        gate("gemma-2b-it", read_run(tmp_path / "run"), drop(1.0))


def test_what_another_metric_lacks_is_no_matter(tmp_path: Path) -> None:
    """A WildBench run of scores alone has no rewards at all, and its scores are gated as if nothing else was asked."""
    official = wb.official_mirror(tmp_path / "official")
    runs = []
    for model in ("reka-edge", "reka-core-20240501"):
        source = wb.WILDBENCH / "score_records" / f"v0625-gpt4o__{model}.jsonl.gz"
        settings = Settings(tasks="wildbench", out=tmp_path / model, mirrors=(official,), offline=True)
        import_run(source, "wildbench", settings)
        runs.append(read_run(tmp_path / model))
    policy = Policy(tasks={"wildbench": TaskPolicy(metric="wb_score", max_drop=2.0)})
    found = gate(*runs, policy)
    assert found.verdict == "PASS"
    scores = [next(s for s in run.tasks["wildbench"].scores if s.metric == "wb_score") for run in runs]
    assert found.checks[0].difference == pytest.approx((scores[1].value or 0) - (scores[0].value or 0), abs=0.3)
    assert gate(*runs[::-1], policy).verdict == "FAIL"
    # The metric that nothing is known of is refused with the reason that the run itself gives.
    with pytest.raises(UsageError, match=r"wb_reward cannot be compared item by item: no example has a verdict"):
        gate(*runs, Policy(tasks={"wildbench": TaskPolicy(metric="wb_reward", max_drop=2.0)}))
