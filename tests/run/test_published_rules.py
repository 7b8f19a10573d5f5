"""Where upstream's rule and ours make different numbers of the same verdicts, both are seen, and a published row is
held against the number of the rule that it was made by.
"""

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from judgebench import api, tasks
from judgebench.analysis.leaderboard import group_rows, headlines, rows_of
from judgebench.analysis.published import beside_published, published_rows
from judgebench.cli import app
from judgebench.data.rows import read_rows
from judgebench.errors import UsageError
from judgebench.exchange import hub_results
from judgebench.exchange.exporting import export_run
from judgebench.exchange.importing import import_run
from judgebench.exchange.trackers import measures
from judgebench.gating.ci_reports import junit, sentence
from judgebench.gating.policy import Defaults, Policy, TaskPolicy
from judgebench.gating.verdicts import gate
from judgebench.records import EarlyStop, Score, Upstream
from judgebench.run.folder import RunFolder
from judgebench.run.reading import Run, read_run
from judgebench.run.scoring import score_run
from judgebench.run.settings import Settings
from judgebench.run.stopping import early_stop_scores, stop_rule
from tests.shared_data import SharedData
from tests.tasks import arenahard_data as arena
from tests.tasks import wildbench_data as wb
from tests.tasks.alpacaeval_data import ALPACAEVAL, annotations, expected, read_json

DROPPED = {"alpaca-7b_concise": 804, "alpaca-7b_verbose": 802, "gpt35_turbo_instruct": 804, "phi-2": 803}
"""The models whose published judgements lack rows, with how many are there; upstream's table is made of these files."""
HEADLINE = Policy(defaults=Defaults(max_drop=4.0))


def imported(source: Path, form: str, task: str, out: Path, *mirrors: Path) -> Run:
    """A result file as a run."""
    import_run(source, form, Settings(tasks=task, out=out, mirrors=mirrors, offline=True))
    return read_run(out)


def alpacaeval_run(model: str, folder: Path, task: str = "alpacaeval", rows: list[dict[str, Any]] | None = None) -> Run:
    """Upstream's judgements of a model, with the official baseline's answers, as a run."""
    official = {
        row["instruction"]: row["output"]
        for row in read_json(ALPACAEVAL / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz")
    }
    given = annotations(2, model) if rows is None else rows
    source = folder / f"{model}.json"
    source.write_text(json.dumps([{**row, "output_1": official[row["instruction"]]} for row in given]))
    return imported(source, "alpaca_eval", task, folder / f"{model}-{len(list(folder.iterdir()))}", ALPACAEVAL.path)


def overall(run: Run, metric: str) -> Score:
    """A score over all examples of a run's only task."""
    (one,) = run.tasks.values()
    return next(score for score in one.scores if (score.metric, score.group) == (metric, None))


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The models whose files lack rows, as runs of the default rule."""
    folder = tmp_path_factory.mktemp("dropped")
    return {model: alpacaeval_run(model, folder) for model in DROPPED}


@pytest.fixture(scope="module")
def phi_2(dropped: dict[str, Run]) -> Run:
    """The published judgements of phi-2: 803 of 805."""
    return dropped["phi-2"]


@pytest.fixture(scope="module")
def compat(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same, scored by upstream's rule."""
    return alpacaeval_run("phi-2", tmp_path_factory.mktemp("compat"), "alpacaeval:upstream_compat=true")


# -- AlpacaEval: difficulties by instruction (ours) and by row (upstream's)


@pytest.mark.parametrize("model", DROPPED)
def test_a_file_that_lacks_rows_has_both_numbers(model: str, dropped: dict[str, Run]) -> None:
    """The rate by instruction and, beside it, the one by row with its own error and interval: within 0.1 of upstream's
    code by either rule, which is what its choice of C moves, and of the published row; the length is published exactly.
    """
    wanted = expected("expected.csv")[model]
    score = overall(dropped[model], "lc_win_rate")
    assert score.n == DROPPED[model]
    assert score.value == pytest.approx(float(wanted["up_lc_true_index"]), abs=0.1)
    upstream = score.upstream
    assert upstream is not None
    assert upstream.value == pytest.approx(float(wanted["up_length_controlled_winrate"]), abs=0.1)
    assert upstream.value == pytest.approx(float(wanted["pub_length_controlled_winrate"]), abs=0.15)
    assert upstream.stderr is not None
    assert (upstream.low or 100) < upstream.value < (upstream.high or 0)
    assert f" of {DROPPED[model]} answers another instruction's" in upstream.reason
    (published,) = (row for row in published_rows("alpacaeval@2") if row.model == model)
    length = overall(dropped[model], "avg_length")
    if length.upstream is None:
        assert length.value == published.scores["avg_length"].value
    else:
        assert length.upstream.value == published.scores["avg_length"].value != length.value


def test_upstreams_number_is_that_of_its_switch(phi_2: Run, compat: Run) -> None:
    """What stands beside the default is the score that ``upstream_compat=true`` gives, which has nothing beside it."""
    for metric in ("lc_win_rate", "lc_standard_error"):
        own, other = overall(phi_2, metric).upstream, overall(compat, metric)
        assert own is not None
        same = ("value", "stderr", "low", "high", "level", "method")
        assert [getattr(own, name) for name in same] == [getattr(other, name) for name in same]
        assert other.upstream is None
    assert {score.metric for score in phi_2.tasks["alpacaeval"].scores if score.upstream} == {
        "lc_win_rate", "lc_standard_error", "avg_length"
    }  # fmt: skip


def test_a_whole_file_in_official_order_has_one_number(tmp_path: Path) -> None:
    """Shuffled, upstream's rule makes another one of the same verdicts, and ours the same."""
    rows = annotations(2, "gemma-2b-it")
    whole = alpacaeval_run("gemma-2b-it", tmp_path)
    assert not [score for score in whole.tasks["alpacaeval"].scores if score.upstream]
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = overall(alpacaeval_run("gemma-2b-it", tmp_path, rows=[rows[i] for i in order]), "lc_win_rate")
    assert shuffled.value == pytest.approx(overall(whole, "lc_win_rate").value, abs=0.1)
    assert shuffled.upstream is not None
    assert abs(shuffled.upstream.value - (shuffled.value or 0.0)) > 1
    assert "gives 80" in shuffled.upstream.reason


def test_a_part_judged_in_random_order_has_no_number_by_upstreams_rule(phi_2: Run) -> None:
    """After an early stop rows stand where chance put them, which upstream's rule would read something into."""
    (one,) = phi_2.tasks.values()
    task, rows = tasks.load(tasks.TaskSpec("alpacaeval"))[0], one.example_scores()
    rule = stop_rule("win_rate ci<50", task, judged=True)
    stop = EarlyStop(
        rule=rule.text, metric="win_rate", half_width=50.0, level=0.95, seed=0, population=805, n=803,
        early_stopped=True, judge_calls=803, judge_calls_saved=2,
    )  # fmt: skip
    scores = early_stop_scores(one.scores, rows, [row.example_id for row in rows], rule, stop)
    assert len(scores) == len(one.scores)
    assert not [score for score in scores if score.upstream]


def test_a_jury_has_no_number_by_upstreams_rule(tmp_path: Path, phi_2: Run) -> None:
    """Which knows one judge; each judge's own number has it."""
    run = shutil.copytree(phi_2.path, tmp_path / "run")
    folder = RunFolder(run).task("alpacaeval")
    for judgement in list(folder.judgements()):
        folder.append(msgspec.structs.replace(judgement, judge_model="another"))
    folder.close()
    results = score_run(RunFolder(run), Settings(tasks="", mirrors=(ALPACAEVAL.path,), offline=True))
    with_upstream = {score.group for score in results.scores if score.metric == "lc_win_rate" and score.upstream}
    assert with_upstream == {"judge=another", "judge=gpt-4-1106-preview"}


# -- both are seen


def shown(*arguments: str, columns: int = 200) -> str:
    """What a command prints, on one line."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(columns)}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.replace("\\_", "_").split())


BOTH = "lc_win_rate: 3.89 (2.62 – 5.53) by our rule, 4.40 (2.90 – 6.42) by upstream's: upstream looks an instruction's"


def test_a_run_prints_both_in_one_line_with_the_reason(phi_2: Run) -> None:
    """Below its scores; ``--json`` and ``scores.json`` have it in the details."""
    told = shown("score", str(phi_2.path), "--mirror", str(ALPACAEVAL.path), "--offline", columns=400)
    assert BOTH in told
    assert "avg_length: 628 (538 – 718) by our rule, 626 by upstream's" in told
    scores = json.loads((phi_2.path / "alpacaeval" / "scores.json").read_text())
    assert scores[0]["details"]["upstream"]["value"] == pytest.approx(4.3988, abs=1e-3)


@pytest.mark.parametrize("form", ["rich", "md", "html", "latex"])
@pytest.mark.parametrize("columns", [80, 200])
def test_a_table_has_both_beside_the_published_number(form: str, columns: int, phi_2: Run) -> None:
    """4.40 by upstream's rule ranks beside the published 4.40; 3.89 by ours and the reason are shown."""
    arguments = ("leaderboard", str(phi_2.path), "--published", "--task", "alpacaeval@2", "--filter", "phi-2")
    told = shown(*arguments, "--format", form, columns=columns)
    assert "3.89 (2.62" in told
    assert "2.90" in told
    assert told.count("4.40") >= 3
    assert "measured" in told
    assert "difficulty up by its row in the file" in told


def test_programs_get_both(phi_2: Run, tmp_path: Path) -> None:
    """CSV and JSON of the table, the Python table, a tracker's measures, the Hub's notes: value and reason or name."""
    lines = csv.DictReader(io.StringIO(shown_raw("leaderboard", str(phi_2.path), "--format", "csv")))
    line = next(line for line in lines if line["metric"] == "lc_win_rate")
    assert float(line["upstream_value"]) == pytest.approx(4.3988, abs=1e-3)
    assert float(line["upstream_low"]) < 4.4 < float(line["upstream_high"])
    assert "by its row in the file" in line["upstream_reason"]
    (group,) = json.loads(shown_raw("leaderboard", str(phi_2.path), "--format", "json"))
    upstream = group["rows"][0]["scores"]["lc_win_rate"]["details"]["upstream"]
    assert upstream["value"] == float(line["upstream_value"])
    (row,) = api.leaderboard(phi_2.path).frame().to_dict("records")
    assert (row["lc_win_rate_by_upstream"], row["avg_length_by_upstream"]) == (upstream["value"], 626.0)
    assert measures(phi_2.tasks["alpacaeval"].scores)["alpacaeval/lc_win_rate/by_upstream"] == upstream["value"]
    (content,) = hub_results.to_yaml(phi_2).values()
    assert f"by_upstream={upstream['value']}" in " ".join(content.decode().split())


def shown_raw(*arguments: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("model", ["phi-2", "NullModel"])
def test_an_exported_row_of_upstreams_table_is_made_by_its_rules(model: str, tmp_path: Path) -> None:
    """Every column of the published row, also of the file that lacks rows; the spread is upstream's, no error of ours.

    The length-controlled rate depends on the choice of C (0.15).
    """
    source = ALPACAEVAL / "annotations_full" / f"{model}.json.gz"
    run = imported(source, "alpaca_eval", "alpacaeval", tmp_path / "run", ALPACAEVAL.path)
    export_run(
        RunFolder(run.path), "alpaca_eval", tmp_path, Settings(tasks="", mirrors=(ALPACAEVAL.path,), offline=True)
    )
    (mine,) = read_rows(tmp_path / "leaderboard.csv")
    rows = read_rows(ALPACAEVAL / "published" / "ae2_leaderboard.csv")
    (theirs,) = (row for row in rows if row.fields[""] == model)
    for name in set(theirs.fields) - {"", "mode"}:
        if theirs.fields[name] != "":
            close = {"length_controlled_winrate": 0.15, "lc_standard_error": 0.01}.get(name, 1e-9)
            assert float(mine.fields[name]) == pytest.approx(float(theirs.fields[name]), abs=close), name


# -- the gate meets the published row


@pytest.mark.parametrize("model", DROPPED)
def test_a_published_row_is_met_by_the_rule_that_made_it(model: str, dropped: dict[str, Run]) -> None:
    """Against its own published row a model's difference is what the choice of C makes (0.15), not what another rule
    makes; the report says which number was taken, which one is ours, and why they differ.
    """
    found = gate(model, dropped[model], HEADLINE)
    (check,) = found.checks
    ours = overall(dropped[model], "lc_win_rate")
    assert check.difference == pytest.approx(0.0, abs=0.15)
    assert ours.upstream is not None
    assert check.candidate_value == ours.upstream.value != ours.value
    told = (
        f"{ours.upstream.value:.2f} is by upstream's rule, as the published row was made, and {ours.value:.2f} by ours"
    )
    assert told in sentence(check)
    assert told in junit(found, "fail", "2026-01-01T00:00:00Z").decode()
    assert msgspec.json.decode(msgspec.json.encode(found))["checks"][0]["rule"] == check.rule


def test_every_form_of_the_gate_says_which_rule(phi_2: Run, tmp_path: Path) -> None:
    """On the terminal, in JSON and Markdown, also where the check passes."""
    arguments = ("gate", "--baseline", "published:phi-2", "--candidate", str(phi_2.path), "--max-drop", "4")
    report = tmp_path / "gate.md"
    for told in (
        shown(*arguments),
        shown(*arguments, "--json"),
        shown(*arguments, "--md", str(report)),
        report.read_text(),
    ):
        assert "by upstream's rule, as the published row was made, and 3.89 by ours" in told.replace("\\", "")
        assert "compare RUN published:phi-2" in " ".join(told.replace("\\", "").split())
    assert "PASS" in report.read_text()


def test_the_switch_for_upstreams_rule_does_not_bar_from_the_published_rows(
    tmp_path: Path, phi_2: Run, compat: Run
) -> None:
    """A run scored by upstream's rule is the one that the published rows are like; other options are still refused."""
    one, other = (gate("phi-2", run, HEADLINE).checks[0] for run in (phi_2, compat))
    assert (one.difference, one.low, one.high) == (other.difference, other.low, other.high)
    assert other.rule is None
    both_orders = alpacaeval_run("phi-2", tmp_path, "alpacaeval:order=both")
    with pytest.raises(UsageError, match=r"options \({'order': 'both'}, and {} in the published rows\)"):
        gate("phi-2", both_orders, HEADLINE)


def test_a_run_that_stopped_early_is_not_held_against_published_rows(phi_2: Run) -> None:
    """Its protocol is one of its own, and the field is named."""
    (one,) = phi_2.tasks.values()
    stop = {**one.task_manifest.protocol, "stop_when": {"rule": "win_rate ci<2.5"}}
    task_manifest = msgspec.structs.replace(one.task_manifest, protocol=stop)
    run = dataclasses.replace(phi_2, tasks={"alpacaeval": dataclasses.replace(one, task_manifest=task_manifest)})
    with pytest.raises(UsageError, match=r"stop_when \({'rule': 'win_rate ci<2.5'}, and None"):
        gate("phi-2", run, HEADLINE)


# -- MT-Bench: records that are replaced, ratings off the scale


MT_BENCH = SharedData("mt_bench")


def test_a_turn_that_was_judged_twice_has_both_means(tmp_path: Path) -> None:
    """In a real file one model was judged twice: ours is the mean of the last ratings, upstream's that of all, for the
    whole, the turns and the categories, as upstream's script printed them.
    """
    source = MT_BENCH / "judgments" / "mistral_orpo_gpt-4_single.jsonl.gz"
    wanted = json.loads((MT_BENCH / "expected_single_and_pair.json").read_text())["mistral_orpo"]
    settings = Settings(tasks="mtbench", out=tmp_path / "runs", mirrors=(MT_BENCH.path,), offline=True)
    import_run(source, "fastchat", settings)
    twice = 0
    for path in (tmp_path / "runs").iterdir():
        run = read_run(path)
        score, model = overall(run, "score"), run.manifest.candidate
        assert score.value == wanted["average_dedup_last"][model]
        if score.upstream is None:
            assert score.value == wanted["average"][model]
            continue
        twice += 1
        assert score.upstream.value == pytest.approx(wanted["average"][model], abs=1e-12)
        assert "records that a later one of the same turn replaces too" in score.upstream.reason
        by_group = {s.group: s.upstream.value for s in run.tasks["mtbench"].scores if s.upstream}
        for name in ("turn1", "turn2"):
            assert by_group[f"turn={name[-1]}"] == pytest.approx(wanted[name][model], abs=1e-12)
        assert "by our rule" in shown("score", str(path), "--mirror", str(MT_BENCH.path), "--offline")
    assert twice == 1


def test_strict_ratings_have_upstreams_mean_beside_them(tmp_path: Path) -> None:
    """With ``strict=true`` ratings off the scale are unread; what upstream makes of the same replies is the default's
    score, and that is held against the published row, in a run that was judged and in one that was imported.
    """
    rows = []
    for question in range(81, 161):
        for turn in (1, 2):
            judge = "single-math-v1" if 101 <= question <= 130 else "single-v1"
            text = "see buf[100]" if (question, turn) in ((85, 1), (90, 2)) else "Rating: [[8]]"
            name = judge + ("-multi-turn" if turn == 2 else "")
            row = {"question_id": question, "model": "gpt4_0613", "judge": ["gpt-4", name], "turn": turn}
            rows.append({**row, "judgment": text, "score": 100 if "buf" in text else 8})
    source = arena.write(tmp_path / "single.jsonl", *rows)
    lax, strict = (
        imported(source, "fastchat", task, tmp_path / str(place), MT_BENCH.path)
        for place, task in enumerate(("mtbench", "mtbench:strict=true"))
    )
    default, score = overall(lax, "score"), overall(strict, "score")
    assert default.value == (158 * 8 + 2 * 100) / 160
    assert default.upstream is None
    assert (score.value, score.n, score.n_missing) == (8.0, 158, 2)
    assert score.upstream is not None
    assert score.upstream.value == default.value
    assert score.upstream.reason == "upstream counts 2 ratings outside 1 to 10 too"
    one, other = (
        gate("gpt4_0613", run, Policy(defaults=Defaults(max_drop=1.0, max_unread=1.0))) for run in (lax, strict)
    )
    assert one.checks[0].candidate_value == other.checks[0].candidate_value == default.value
    assert "8.00 by ours" in sentence(other.checks[0])


# -- Arena-Hard: published intervals, and numbers that need a table


def test_an_arena_hard_row_is_met_with_its_interval(tmp_path: Path) -> None:
    """The published 21.3 has an interval from 19.4 to 23.5, whose error adds to the candidate's: nothing is taken as
    exact. A style-controlled rate, which upstream fits to a whole table, is refused. In a run's own numbers upstream's
    interval, of resampled battles, stands beside ours, over questions.
    """
    source = arena.JUDGEMENTS / arena.TABLE / "Meta-Llama-3.1-8B-Instruct.jsonl.gz"
    run = imported(source, "arena_hard", "arenahard@v0.1", tmp_path / "run", *arena.mirrors())
    own = overall(run, "win_rate")
    policy = Policy(defaults=Defaults(max_drop=1.0, max_unread=1.0))
    found = gate("llama-3.1-8b-instruct", run, policy)
    (check,) = found.checks
    assert own.stderr is not None
    published = (23.5 - 19.4) / (2 * 1.959964)
    assert check.high is not None
    assert check.low is not None
    assert check.high - check.low == pytest.approx(2 * 1.644854 * (own.stderr**2 + published**2) ** 0.5, rel=1e-5)
    assert not any("taken as exact" in note for note in found.notes)
    assert own.upstream is not None
    assert (own.low or 0) < (own.upstream.low or 0) < (own.upstream.high or 0) < (own.high or 0)
    assert f"win_rate: {own.value:.2f} (" in shown("leaderboard", str(run.path))
    assert "upstream resamples single battles" in shown("leaderboard", str(run.path))
    style = Policy(tasks={"arenahard": TaskPolicy(metric="win_rate_style_controlled", max_drop=1.0)})
    with pytest.raises(UsageError, match="upstream fits it to all models of a table together"):
        gate("llama-3.1-8b-instruct", run, style)
    with pytest.raises(UsageError, match=r"options \({'weight': 1}"):
        gate(
            "llama-3.1-8b-instruct",
            imported(source, "arena_hard", "arenahard@v0.1:weight=1", tmp_path / "w", *arena.mirrors()),
            policy,
        )


def test_tables_of_other_options_are_named_where_none_is_a_runs_own(tmp_path: Path) -> None:
    """Arena-Hard v2.0 is published by category and judge: a run over all categories is told so."""
    rows = [
        arena.judgement(question["uid"], ["A>B", "A>B"])
        for question in arena.read_lines(arena.ARENA_HARD / "question_v2.0.jsonl.gz")[:4]
    ]
    source = arena.write(tmp_path / "m.jsonl", *rows)
    run = imported(source, "arena_hard", "arenahard@v2.0", tmp_path / "run", *arena.mirrors())
    with pytest.raises(
        UsageError, match=r"for arenahard@v2\.0; the published tables are .*category=hard_prompt,judge=gpt-4\.1"
    ):
        gate("o3-2025-04-16", run, HEADLINE)


# -- WildBench: a table for each length margin


def test_a_length_margin_meets_the_table_of_its_own(tmp_path: Path) -> None:
    """A run with ``reward_k=1000`` stands beside and is held against the published rows of that margin; one with the
    default, given or not, against the main table's.
    """
    official = wb.official_mirror(tmp_path / "official")
    results = tmp_path / "v2.0625"
    records = wb.score_records(wb.score_files("v0625-gpt4o")["reka-edge"])
    wb.write_records(results / "score.v2/eval=gpt-4o-2024-05-13/reka-edge.json", records)
    others = published_rows("wildbench")
    policy = Policy(tasks={"wildbench": TaskPolicy(metric="wb_score_micro", max_drop=3.0)})
    for task, table in (("wildbench", "500"), ("wildbench:reward_k=500", "500"), ("wildbench:reward_k=1000", "1000")):
        run = imported(results, "wildbench", task, tmp_path / f"run-{len(task)}", official)
        found = gate("reka-edge", run, policy)
        assert found.checks[0].difference == pytest.approx(0.0, abs=1e-9)
        assert f"all_stat_wildbench.{table}.json" in found.notes[0]
        # As if rewards had been judged too: they are what the margins change.
        (row,) = rows_of(run)
        reward = Score(task="wildbench", metric="wb_reward", value=1.0, unit="points", n=1)
        row = msgspec.structs.replace(row, scores={"wb_reward": reward})
        (group,) = beside_published(group_rows([row], headlines({row.task})), others)
        (wanted,) = (
            other.scores["wb_reward"].value
            for other in others
            if other.model == "reka-edge"
            and other.task == task.replace("wildbench", "wildbench@v2.0625").replace(":reward_k=500", "")
        )
        assert group.rows[0].published_value == wanted


# -- the record itself


@pytest.mark.parametrize("given", [None, 3, "x", [], {}, {"value": None}, {"value": "4"}, {"value": 1.0, "low": []}])
def test_details_that_are_no_number_by_upstreams_rule_are_none(given: Any) -> None:
    """Details come from folders that anybody wrote."""
    assert Score(task="t", metric="m", value=1.0, unit="percent", n=1, details={"upstream": given}).upstream is None


def test_a_number_that_is_ours_has_no_other_beside_it() -> None:
    """Equal value and interval are one number, however they were made; another interval is told."""
    score = Score(task="t", metric="m", value=1.0, unit="percent", low=0.5, high=1.5, n=1)
    assert score.beside(score.as_upstream("same")).upstream is None
    wider = Upstream(value=1.0, low=0.0, high=2.0, reason="wider")
    assert score.beside(wider).upstream == wider
    assert score.beside(wider).without_upstream() == score
