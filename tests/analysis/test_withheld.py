"""A number that is withheld says why, whatever command and form it is asked of: nothing is only blank."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from judgebench import api
from judgebench.analysis.comparison import compare, official_files
from judgebench.analysis.comparison_records import Difference
from judgebench.analysis.correlation import KINDS, correlate
from judgebench.analysis.explanation import explain
from judgebench.analysis.power_plan import Question, plan
from judgebench.cli import app
from judgebench.display import reasons
from judgebench.exchange.importing import import_run
from judgebench.gating.ci_reports import needed, sentence
from judgebench.gating.verdicts import Check
from judgebench.records import ExampleScore, Judgement, Score, Verdict
from judgebench.run.folder import RunFolder
from judgebench.run.reading import Run, read_run
from judgebench.run.settings import Settings
from tests.made_runs import write_run, write_totals
from tests.shared_data import SHARED
from tests.tasks.alpacaeval_data import ALPACAEVAL

FORMS = ("rich", "md", "csv", "html", "latex", "json")


def shown(*arguments: str, columns: int = 240) -> str:
    """What a command prints, on one line and without the escapes of its form."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.replace("\\", "").replace("&#x27;", "'").split())


def only(differences: Sequence[Difference], metric: str = "exact_match_strict") -> Difference:
    """The metric over all items."""
    (found,) = (one for one in differences if (one.metric, one.group) == (metric, None))
    return found


# -- compare


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models' real MT-Bench ratings."""
    out, mirror = tmp_path_factory.mktemp("rated"), SHARED / "mt_bench"
    settings = Settings(tasks="mtbench", out=out, mirrors=(mirror,), offline=True)
    import_run(mirror / "judgments" / "llama3_griffin_gpt-4_single.jsonl.gz", "fastchat", settings)
    return sorted(out.iterdir())[:2]


@pytest.mark.parametrize("form", FORMS)
def test_a_gain_of_grades_says_that_they_have_no_true_zero(form: str, rated: list[Path]) -> None:
    """MT-Bench's grades from 1 to 10: a gain in percent would mean nothing. Of 11 such rows three are named."""
    told = shown("compare", *map(str, rated), "--format", form)
    assert "no relative gain: points have no true zero" in told
    if form not in ("json", "csv"):
        assert "score, score turn=1, score turn=2 and 8 more: no relative gain" in told
        assert told.count("no true zero") == 1


def test_each_missing_number_of_a_difference_is_named(tmp_path: Path) -> None:
    """One item has no interval and no p-value; a first run that never won, no gain; one that hardly ever did, no
    interval of it; equal runs no interval; runs that vary have all.
    """

    def difference(name: str, before: list[float | None], after: list[float | None]) -> Difference:
        runs = [write_run(tmp_path / name / side, own) for side, own in (("a", before), ("b", after))]
        return only(compare(runs).tasks[0].differences)

    single = difference("single", [1.0], [0.0])
    assert (single.low, single.p) == (None, None)
    assert single.withheld["p-value"] == "one item cannot tell chance from a difference"
    assert single.withheld["interval"] in str(single.reason)
    never = difference("never", [0.0] * 20, [1.0, 0.0] * 10)
    assert never.relative_gain is None
    assert never.withheld == {
        "relative gain": "the denominator is 0", "correlation": "one of the runs does not vary"
    }  # fmt: skip
    assert str(never.reason) == "no relative gain: the denominator is 0; no correlation: one of the runs does not vary"
    hardly = difference("hardly", [1.0] + [0.0] * 19, [1.0, 0.0] * 10)
    assert (hardly.relative_gain is None, hardly.relative_low) == (False, None)
    assert "no interval of the gain: the denominator is not significantly different from 0" in str(hardly.reason)
    equal = difference("equal", [1.0, 0.0] * 10, [1.0, 0.0] * 10)
    assert "no interval: all values are equal" in str(equal.reason)
    whole = difference("whole", [1.0, 0.0] * 10, [1.0, 1.0, 0.0, 0.0] * 5)
    assert (whole.reason, whole.withheld) == (None, {})
    assert None not in (whole.low, whole.p, whole.relative_gain, whole.relative_low, whole.correlation)


@pytest.fixture(scope="module")
def phi_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published judgements of phi-2."""
    source, run = ALPACAEVAL / "annotations_full" / "phi-2.json.gz", tmp_path_factory.mktemp("phi-2") / "run"
    import_run(source, "alpaca_eval", Settings(tasks="alpacaeval", out=run, mirrors=(ALPACAEVAL.path,), offline=True))
    return run


@pytest.mark.parametrize("form", FORMS)
def test_what_is_not_compared_or_ranked_is_told(form: str, phi_2: Path) -> None:
    """AlpacaEval's spread of predictions is no sum over items; a length ranks nothing."""
    told = shown("compare", *[str(phi_2)] * 3, "--format", form, "--mirror", str(ALPACAEVAL.path), "--offline")
    assert "lc_standard_error" in told
    assert "it is not a sum over items" in told
    if form not in ("csv", "json"):
        assert "lc_standard_error not compared: it is not a sum over items" in told
    # LaTeX has the table of ranks only where it is asked for.
    if form not in ("csv", "json", "latex"):
        assert "avg_length not ranked: more of it is not better" in told
        assert "not told from some other run: " in told


def test_equal_runs_share_all_ranks(phi_2: Path) -> None:
    """Because nothing tells them apart, which each rank says."""
    found = compare([read_run(phi_2)] * 3, files=official_files([ALPACAEVAL.path], offline=True))
    assert all(rank.reason for rank in found.tasks[0].ranks)


# -- score and leaderboard


@pytest.mark.parametrize(
    ("score", "why"),
    [
        ({"value": None, "reason": "no example has a verdict"}, "no example has a verdict"),
        ({"value": None}, "no value, and no reason is given"),
        ({"value": 1.0, "low": 0.5, "high": 1.5}, None),
        ({"value": 1.0, "method": "mean; no interval: all equal; stderr: none"}, "no interval: all equal"),
        ({"value": 1.0, "method": "reported by lm-eval"}, "no interval: reported by lm-eval"),
        ({"value": 1.0}, "no interval: no reason is given"),
    ],
)
def test_a_score_says_what_is_withheld(score: dict[str, str | float | None], why: str | None) -> None:
    """No value, or no interval, with the words of its reason or method."""
    found = Score(**{"task": "t", "metric": "m", "unit": "percent", "n": 1, **score})  # type: ignore[arg-type]
    assert found.withheld == why


def test_names_with_one_reason_share_a_line() -> None:
    """Three of many, and how many more; names without reason have none."""
    assert reasons([(str(n), "w") for n in range(4)]) == ["0, 1, 2, 3: w"]
    assert reasons([(str(n), "w") for n in range(9)], " is not there: ") == ["0, 1, 2 and 6 more is not there: w"]
    assert reasons([("a", None), ("b", "x"), ("a", "x"), ("b", "x")]) == ["b, a: x"]


def test_a_run_says_why_of_groups_too(tmp_path: Path) -> None:
    """WildBench's games with one baseline of three: the headline's reason is that of its categories and margins."""
    name = "ref=claude-3-haiku-20240307__Qwen1.5-72B-Chat-greedy.jsonl.gz"
    source = SHARED / "wildbench" / "pairwise_records" / name
    run = tmp_path / "run"
    settings = Settings(tasks="wildbench", out=run, mirrors=(SHARED / "wildbench",), offline=True)
    import_run(source, "wildbench", settings)
    told = shown("score", str(run), "--mirror", str(SHARED / "wildbench"), "--offline", columns=400)
    dashes = told.count(" – │")
    assert dashes > 10
    assert "wb_reward, wb_reward_micro, wb_reward category=Creative Tasks and" in told
    assert "nothing was compared with gpt-4-turbo-2024-04-09, Llama-2-70b-chat-hf" in told


@pytest.mark.parametrize("form", FORMS)
def test_a_table_says_why_of_values_intervals_and_ranks(form: str, tmp_path: Path) -> None:
    """A model without a value, one without an interval, and none with an error: each reason beside or below."""
    for model, rate in (("whole", 40.0), ("none", None), ("bare", 50.0)):
        path = write_totals(tmp_path / model, model, rate)
        results = json.loads((path / "results.json").read_text())
        for score in results["scores"]:
            if model == "bare":
                score |= {"low": None, "high": None, "method": "mean; no interval: all values are equal"}
        (path / "results.json").write_text(json.dumps(results))
    told = shown("leaderboard", str(tmp_path), "--format", form)
    assert "no verdict" in told
    assert "no interval: all values are equal" in told
    if form not in ("json", "csv"):
        assert "lc_win_rate of none: no verdict" in told
        assert "lc_win_rate of bare: no interval: all values are equal" in told
    if form == "csv":
        lines = list(csv.DictReader(io.StringIO(shown_csv(str(tmp_path)))))
        withheld = {line["model"]: line["withheld"] for line in lines if line["metric"] == "lc_win_rate"}
        assert withheld == {"whole": "", "none": "no verdict", "bare": "no interval: all values are equal"}
    frame = api.leaderboard(tmp_path).frame().set_index("model")["withheld"].to_dict()
    assert frame == {"whole": "", "bare": "", "none": "lc_win_rate: no verdict; win_rate: no verdict"}


def shown_csv(folder: str) -> str:
    """A leaderboard as CSV."""
    return CliRunner().invoke(app, ["leaderboard", folder, "--format", "csv"], catch_exceptions=False).stdout


def test_a_table_without_errors_or_whole_rows_says_so(tmp_path: Path) -> None:
    """Ranks that errors leave open need errors; a mean rank needs a rank in every table."""
    for model in ("a", "b"):
        path = write_totals(tmp_path / model, model, 40.0 if model == "a" else 50.0)
        text = (path / "results.json").read_text()
        results = json.loads(text)
        for score in results["scores"]:
            score |= {"low": None, "high": None, "level": None}
        (path / "results.json").write_text(json.dumps(results))
    write_totals(tmp_path / "c", "a", 1.0, task="mtbench", metrics=("score",))
    told = shown("leaderboard", str(tmp_path))
    assert "rank: which are certain is not known, as no lc_win_rate has an error" in told
    assert "no mean rank: the model has no rank in some table" in told


# -- gate


def test_an_inconclusive_check_says_where_no_number_of_items_decides() -> None:
    """The true difference found lies just where no verdict is: that is said, and not left out."""
    check = Check(
        task="t", metric="m", unit="percent", tier="block", verdict="INCONCLUSIVE", paired=True, starter=False,
        max_drop=2.0, baseline_value=50.0, candidate_value=50.0, difference=0.0, low=-3.0, high=3.0, level=0.9,
        p_pass=0.1, p_fail=0.5, p_fail_adjusted=0.5, n=100, n_to_decide=None, n_if_equal=None, items=100,
        candidate_missing=0, baseline_missing=0, if_lost=None, reason=None,
    )  # fmt: skip
    assert needed(check) == "no number of items would decide if this is the true difference"
    assert needed(check) in sentence(check)


# -- explain


def scored(path: Path, model: str, rows: list[ExampleScore], judgements: list[Judgement]) -> Run:
    """A run of two files."""
    write_totals(path, model, 50.0, example_scores=rows or [ExampleScore(example_id="0", metric="x", value=0.0)])
    own = RunFolder(path).task("alpacaeval")
    own.write_examples(())
    for judgement in judgements:
        own.append(judgement)
    own.close()
    return read_run(path)


def test_explain_says_what_several_runs_cannot_tell(tmp_path: Path) -> None:
    """No interval, no common example, no games among three models: each by name, in words and in JSON."""
    runs = []
    for model, example in (("a", "1"), ("b", "2")):
        rows = [ExampleScore(example_id=example, metric="preference", value=1.0)]
        verdict = Verdict(value=1.0)
        games = [
            Judgement(
                case_id="1", example_id=example, judge="j", judge_model="m", answers=(model, "base"), verdict=verdict
            )
        ]
        scored(tmp_path / model, model, rows, games)
        results = json.loads((tmp_path / model / "results.json").read_text())
        for score in results["scores"]:
            score |= {"low": None, "high": None}
        (tmp_path / model / "results.json").write_text(json.dumps(results))
        runs.append(read_run(tmp_path / model))
    (found,) = explain(runs).together
    assert (found.separable, found.paired_separable, found.cyclic_triads) == (None, None, None)
    reason = str(found.reason)
    assert "intervals: fewer than two runs have one of lc_win_rate" in reason
    assert "paired differences: fewer than two in common" in reason
    assert "circles: no three models have all met" in reason
    for extra in ((), ("--json",)):
        assert reason[:200] in shown("explain", str(tmp_path), *extra)


def test_style_says_what_is_not_known(tmp_path: Path) -> None:
    """All ties: rates have no spread to be drawn from, deviance is not there, and no verdict is decided."""
    rows = [
        ExampleScore(
            example_id=str(n), metric="preference", value=0.5, covariates={"length": 10.0 + n, "baseline_length": 20.0}
        )
        for n in range(20)
    ]
    (style,) = explain([scored(tmp_path / "a", "a", rows, [])]).runs[0].style
    assert style.explained_by_style is None
    assert "what style explains: all verdicts are alike" in str(style.reason)
    assert "a judge that sees only style: cross-validation needs decided verdicts" in str(style.reason)


# -- correlate and plan


def table(path: Path, columns: dict[str, list[float]]) -> Path:
    """A leaderboard."""
    models = [f"m{n}" for n in range(len(next(iter(columns.values()))))]
    lines = [",".join(["model", *columns])]
    lines += [",".join([model, *(repr(column[n]) for column in columns.values())]) for n, model in enumerate(models)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_correlation_says_of_which_coefficient_a_number_is_missing(tmp_path: Path) -> None:
    """In order but not on a line: the rank coefficients are at their limit, Pearson's is not; the difference from
    another metric has no interval then, and Kendall's coefficients no test.
    """
    human = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    path = table(
        tmp_path / "t.csv", {"human": human, "a": [1.0, 2.0, 3.0, 4.0, 5.0, 9.0], "b": [2.0, 1.0, 4.0, 3.0, 6.0, 5.0]}
    )
    told = shown("correlate", str(path), "--against", "human")
    assert "a spearman, a kendall: the coefficient is at its limit, where no interval is known" in told
    assert "(no interval: the coefficient is at its limit, where no interval is known), Williams p" in told
    assert "kendall: metrics are not compared in pairs, because there is no such test" in told
    assert "no such test" not in shown("correlate", str(path), "--against", "human", "--metric", "a")


@pytest.mark.parametrize("scale", [1e14, 1e-308, -1e14, 3.0])
def test_the_scale_of_a_column_is_no_matter(scale: float, tmp_path: Path) -> None:
    """Numbers of 1e14 and 1e-308 have the coefficients and tests of those between 0 and 1, without a warning."""
    human, a = [0.1, 0.5, 0.2, 0.9, 0.7], [0.3, 0.4, 0.1, 0.8, 0.95]
    b = [0.9, 0.2, 0.5, 0.1, 0.3]
    plain, scaled = (
        correlate([str(table(tmp_path / name, {"human": human, "a": a, "b": own}))], "human", (), KINDS)
        for name, own in (("plain.csv", b), ("scaled.csv", [scale * value for value in b]))
    )
    found = {(row.metric, row.kind): row for row in scaled.rows}
    for row in plain.rows:
        sign = -1 if scale < 0 and row.metric == "b" else 1
        other = found[row.metric, row.kind]
        assert other.value == pytest.approx(sign * (row.value or 0.0), abs=1e-9)
        assert other.p == pytest.approx(row.p)


@pytest.mark.parametrize(
    ("task", "metric", "told"),
    [
        ("alpacaeval", "win_rate", "judge calls are not counted: a stored run (--baseline) shows how many"),
        ("gsm8k", "numeric", "judge calls are not counted: answers are verified, not judged"),
    ],
)
def test_a_plan_says_why_it_counts_no_judge_calls(task: str, metric: str, told: str) -> None:
    """Where a difference is asked about and no run says what it takes."""
    question = Question(task=task, metric=metric, delta=2.0)
    assert any(told in note for note in plan(question, Settings(tasks="", offline=True)).notes)
    assert told in shown("plan", "--task", task, "--metric", metric, "--delta", "2")
