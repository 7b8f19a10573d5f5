"""MT-Bench against FastChat's own numbers, prompts and readings (lm-sys/FastChat@0e6d3e4), and its whole path."""

import dataclasses
import gzip
import hashlib
import json
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from judgebench.tasks.mtbench.human import agreement_table, read_votes
from judgebench.tasks.mtbench.judges import read_rating, read_rating_strictly

from judgebench import tasks
from judgebench.analysis.published import published_rows
from judgebench.data.resources import resource
from judgebench.data.rows import FileRow, read_rows
from judgebench.data.sources import SourceFinder
from judgebench.errors import RecordError, UsageError
from judgebench.exchange.importing import import_run
from judgebench.judges.replies import bracketed_rating, first_label, pair_of_ratings
from judgebench.models.call_store import call_key
from judgebench.models.http.model import HttpChat
from judgebench.models.local.tiny import Program, build_tiny, read_programs
from judgebench.records import Completion, Example, Generation, Judgement, Message, Request, Score
from judgebench.run.dry_run import estimate
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_task, load_tasks
from judgebench.run.runner import Runner
from judgebench.run.scoring import score_run
from judgebench.run.seats import alternatives
from judgebench.run.settings import Settings
from judgebench.task import Imported, Task, TaskData
from tests.alpacaeval_server import committed, stored
from tests.commands import judgebench
from tests.patience import patience, wait_for
from tests.processes import kill, lines_of, manifest_of, scores_of, started
from tests.servers.launch import Server
from tests.shared_data import SharedData

MT_BENCH = SharedData("mt_bench")
SINGLE_FILES = ("mamba_dpo", "claude", "mistral_orpo", "llama3_griffin")
EXACT = 1e-12
"""Sums of at most 320 ratings: nothing but the last bits of one division may differ."""

Loaded = Callable[[str], tuple[Task, TaskData]]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a ``.jsonl.gz`` or ``.jsonl`` file."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def read_json(name: str) -> Any:
    """A JSON file of the shared data."""
    return json.loads((MT_BENCH / name).read_text())


def single_file(name: str) -> Path:
    """A real file of GPT-4's ratings."""
    return MT_BENCH / "judgments" / f"{name}_gpt-4_single.jsonl.gz"


def settings(task: str, **more: Any) -> Settings:
    """A run's settings with the shared data as mirror."""
    return Settings(tasks=task, mirrors=(MT_BENCH.path,), offline=True, **more)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Tasks by spec, each read once."""
    folder = tmp_path_factory.mktemp("sources")

    def load(text: str) -> tuple[Task, TaskData]:
        (spec,) = tasks.parse_specs(text)
        one = load_task(spec, SourceFinder(folder, [MT_BENCH.path], offline=True), starter=False)
        return one.task, one.data

    return cache(load)


def starter(text: str = "mtbench") -> tuple[Task, TaskData]:
    """The starter set, which needs no file."""
    (spec,) = tasks.parse_specs(text)
    task, _ = tasks.load(spec, starter=True)
    return task, task.load(lambda name: b"")


def imports(task: Task, data: TaskData, rows: list[dict[str, Any]]) -> dict[str, Imported]:
    """Records of FastChat's as the importer takes them, by model."""
    numbered = [FileRow("rows.jsonl", number, row) for number, row in enumerate(rows, 1)]
    return {imported.candidate: imported for imported in task.importers["fastchat"](numbered, data)}


def scores(task: Task, data: TaskData, imported: Imported) -> dict[tuple[str, str | None], Score]:
    """An imported model's scores by metric and group, without a run folder."""
    generations = {g.example_id: g for g in imported.generations}
    found = task.summarise(data, task.score(data, generations, imported.judgements))
    return {(score.metric, score.group): score for score in found}


def rating_row(question: int = 81, score: Any = 7, turn: int = 1, **more: Any) -> dict[str, Any]:
    """A record of a single-answer judgement file."""
    judge = ["gpt-4", "single-v1" if turn == 1 else "single-v1-multi-turn"]
    return {"question_id": question, "model": "m", "judge": judge, "score": score, "turn": turn, **more}


def game_row(question: int = 81, g1: Any = "model_1", g2: Any = "model_1", **more: Any) -> dict[str, Any]:
    """A record of a pairwise judgement file."""
    row = {"question_id": question, "model_1": "m", "model_2": "base", "judge": ["gpt-4", "pair-v2"], "turn": 1}
    return {**row, "g1_winner": g1, "g2_winner": g2, **more}


# -- questions, sampling, references


def test_questions_have_their_turns_temperature_and_references(loaded: Loaded) -> None:
    """80 questions of two turns, ten per category; temperatures by category; references for 101 to 130, all of them."""
    _, data = loaded("mtbench")
    assert [int(example.id) for example in data.examples] == list(range(81, 161))
    assert {len(example.followups) for example in data.examples} == {1}
    assert set(Counter(example.meta["category"] for example in data.examples).values()) == {10}
    temperatures = {example.meta["category"]: example.sampling.temperature for example in data.examples}
    assert temperatures == {
        "writing": 0.7,
        "roleplay": 0.7,
        "reasoning": 0.0,
        "math": 0.0,
        "coding": 0.0,
        "extraction": 0.0,
        "stem": 0.1,
        "humanities": 0.1,
    }
    assert {example.sampling.max_tokens for example in data.examples} == {1024}
    assert [int(e.id) for e in data.examples if e.references] == list(range(101, 131))
    assert {len(e.references) for e in data.examples} == {0, 2}


def test_the_vicuna_questions_have_one_turn(loaded: Loaded) -> None:
    """80 questions, one turn, temperature 0.7 but for math and coding, which alone are judged beside references."""
    task, data = loaded("mtbench@vicuna")
    assert [int(example.id) for example in data.examples] == list(range(1, 81))
    assert not any(example.followups for example in data.examples)
    assert set(data.judges) == {"single-v1", "single-math-v1"}
    for example in data.examples:
        guided = example.meta["category"] in ("math", "coding")
        assert example.sampling.temperature == (0.0 if guided else 0.7)
        generation = Generation(example_id=example.id, model="m", outputs=("x",))
        assert [case.judge for case in task.cases(data, generation)] == ["single-math-v1" if guided else "single-v1"]


def test_a_given_temperature_is_stronger_than_the_category_s() -> None:
    """``--gen`` holds for every question; what it does not name stays."""
    (one,) = load_tasks(settings("mtbench", gen={"temperature": "0.3"}))
    assert {example.sampling.temperature for example in one.data.examples} == {0.3}
    assert {example.sampling.max_tokens for example in one.data.examples} == {1024}


def test_references_may_come_from_another_file(tmp_path: Path, loaded: Loaded) -> None:
    """A reference file of another judge's is shown to the judge and changes the protocol; one with gaps is refused."""
    rows = read_lines(MT_BENCH / "mt_bench_reference_gpt-4.jsonl")
    for row in rows:
        row["choices"][0]["turns"] = ["first solution", "second solution"]
    path = tmp_path / "other-judge.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, data = loaded(f"mtbench:references={path}")
    cases = task.cases(data, Generation(example_id="111", model="m", outputs=("a", "b")))
    prompts = [data.judges[case.judge].ask(case).messages[-1].content for case in cases]
    assert "first solution" in prompts[0]
    assert "second solution" not in prompts[0]
    assert all(part in prompts[1] for part in ("first solution", "second solution"))
    official = loaded("mtbench")[1].judges
    changed = {name for name, judge in data.judges.items() if judge.fingerprint != official[name].fingerprint}
    assert changed == {"single-math-v1", "single-math-v1-multi-turn"}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    with pytest.raises(UsageError, match="question 101"):
        loaded.__wrapped__(f"mtbench:references={path}")  # type: ignore[attr-defined]


# -- prompts and readings


@pytest.mark.parametrize(("name", "rebuilt"), [("claude", 320), ("llama3_griffin", 330), ("mamba_dpo", 160)])
def test_prompts_rebuild_to_their_hashes(name: str, rebuilt: int, loaded: Loaded) -> None:
    """Every stored prompt whose answers exist has the sha256 of ours: all kinds of prompt, references included."""
    task, data = loaded("mtbench")
    answers = [row for path in sorted((MT_BENCH / "answers").glob("*.gz")) for row in read_lines(path)]
    rows = read_lines(single_file(name))
    told = {(row["model"], row["question_id"], row["turn"]): row["prompt_sha256"] for row in rows}
    checked = Counter[str]()
    for model, imported in imports(task, data, answers + rows).items():
        assert not [note for note in imported.notes if "prompts" in note]
        for generation in imported.generations:
            for case in task.cases(data, generation):
                judge = data.judges[case.judge]
                system, user = judge.ask(case).messages
                digest = hashlib.sha256(user.content.encode()).hexdigest()
                assert digest == told[model, int(generation.example_id), case.turn]
                checked[case.judge] += sum(
                    (row["model"], row["question_id"], row["turn"]) == (model, int(generation.example_id), case.turn)
                    for row in rows
                )
                assert (system.role, user.role) == ("system", "user")
    assert checked.total() == rebuilt
    assert len(checked) == 4


def test_judge_requests_are_upstreams(loaded: Loaded) -> None:
    """Temperature 0, 2,048 tokens; six of the eight prompts put the instruction into the system message."""
    stored = {row["name"]: row for row in read_lines(MT_BENCH / "judge_prompts.jsonl")}
    seen = set()
    for mode in ("single", "pairwise"):
        task, data = loaded(f"mtbench:mode={mode}")
        for question in ("81", "111"):
            own = Generation(example_id=question, model="m", outputs=("a", "b"))
            other = {question: msgspec.structs.replace(own, model="base", outputs=("c", "d"))}
            data = dataclasses.replace(data, baselines={"base": other} if mode == "pairwise" else {})
            for case in task.cases(data, own):
                request = data.judges[case.judge].ask(case)
                system = Message(role="system", content=stored[case.judge]["system_prompt"])
                assert request.messages[0] == system
                assert len(request.messages) == 2
                assert (request.sampling.temperature, request.sampling.max_tokens) == (0.0, 2048)
                seen.add(case.judge)
    assert seen == set(stored)
    assert sum(row["system_prompt"] == "You are a helpful assistant." for row in stored.values()) == 2


def test_anthropic_judges_are_asked_as_upstream_asks_them(loaded: Loaded) -> None:
    """1,024 tokens; when comparing, the system text stands before the user's under its heading."""
    task, data = loaded("mtbench:mode=pairwise,anthropic_judge=true")
    answers = {"81": Generation(example_id="81", model="base", outputs=("c", "d"))}
    data = dataclasses.replace(data, baselines={"base": answers})
    case = task.cases(data, Generation(example_id="81", model="m", outputs=("a", "b")))[0]
    request = data.judges[case.judge].ask(case)
    prompt = {row["name"]: row for row in read_lines(MT_BENCH / "judge_prompts.jsonl")}[case.judge]
    (message,) = request.messages
    assert message.content.startswith(f"[Instruction]\n{prompt['system_prompt']}\n\n[User Question]\n")
    assert request.sampling.max_tokens == 1024


def test_answers_cannot_rewrite_the_prompt(loaded: Loaded) -> None:
    """Placeholders and braces in an answer stay text."""
    task, data = loaded("mtbench")
    hostile = "{question_2} {answer_2} {{x}} {0} {ref_answer_1}"
    for case in task.cases(data, Generation(example_id="111", model="m", outputs=(hostile, hostile))):
        content = data.judges[case.judge].ask(case).messages[-1].content
        assert content.count(hostile) == case.turn


def test_rating_readings_equal_upstreams() -> None:
    """Each made-up string reads as upstream's expression does; where upstream stops with an error, ours is unread."""
    cases = read_json("parser_cases.json")["rating"]
    assert len(cases) == 14
    for case in cases:
        verdict = read_rating(case["text"])
        if case["score"] == -1 or isinstance(case["score"], str):
            assert verdict.value is None
            assert verdict.error
        else:
            assert verdict.value == case["score"]


def test_verdict_readings_equal_upstreams() -> None:
    """Labels by upstream's order, and the older pair of ratings with its tie rule."""
    cases = read_json("parser_cases.json")
    winners = {"[[A]]": "A", "[[B]]": "B", "[[C]]": "tie", None: "error"}
    assert len(cases["pair_label"]) == 8
    for case in cases["pair_label"]:
        assert winners[first_label(case["text"], ["[[A]]", "[[B]]", "[[C]]"])] == case["winner"]
    assert len(cases["pair_two_scores"]) == 7
    for case in cases["pair_two_scores"]:
        share = pair_of_ratings(case["text"])
        assert {1.0: "A", 0.0: "B", 0.5: "tie"}.get(share, "error") == case["winner"]  # type: ignore[arg-type]


def test_1800_real_replies_read_as_upstream_reads_them() -> None:
    """GPT-4's texts, with brackets of code among them; read strictly, the three ratings off the scale are unread."""
    rows = read_lines(MT_BENCH / "judgments" / "arena_bench_v1_rating_texts.jsonl.gz")
    assert len(rows) == 1800
    off_scale = 0
    for row in rows:
        rating = read_rating(row["judgment"]).value
        assert (-1 if rating is None else rating) == row["upstream_rule_score"]
        strictly = read_rating_strictly(row["judgment"])
        off_scale += rating is not None and strictly.value is None
        if rating is not None and 1 <= rating <= 10:
            assert strictly.value == rating
    assert off_scale == sum(row["upstream_rule_score"] in (0, 100) for row in rows) == 3


@pytest.mark.parametrize(
    "text",
    ["[[" + "1" * 10**6, "[" * 10**6, "[[1" * 10**6, "[[" + "9" * 500 + ".]]", "[[٣]]"],
    ids=["digits", "brackets", "beginnings", "infinite", "foreign"],
)
def test_hostile_replies_are_unread_at_once(text: str) -> None:
    """Long runs of digits and brackets, infinite numbers and foreign digits are no rating, in linear time."""
    with patience():
        assert isinstance(bracketed_rating(text), str)
        assert isinstance(pair_of_ratings(text), str)


# -- upstream's files, upstream's numbers


@pytest.mark.parametrize("name", SINGLE_FILES)
def test_ratings_equal_upstreams(name: str, loaded: Loaded) -> None:
    """Per turn, per category and on average, all records counted as upstream counts them, for every model of a file."""
    wanted = read_json("expected_single_and_pair.json")[name]
    task, data = loaded("mtbench:upstream_compat=true")
    found = imports(task, data, read_lines(single_file(name)))
    assert set(found) == set(wanted["average"])
    records = 0
    for model, imported in found.items():
        own = scores(task, data, imported)
        assert not [note for note in imported.notes if "stored verdict" in note]
        assert own["score", None].value == wanted["average"][model]
        assert own["score", "turn=1"].value == wanted["turn1"][model]
        assert own["score", "turn=2"].value == wanted["turn2"][model]
        for category, average in wanted["by_category_average"][model].items():
            assert own["score", f"category={category}"].value == pytest.approx(average, abs=EXACT)
        records += own["score", None].n + own["score", None].n_missing
        assert own["score", "turn=1"].n + own["score", "turn=2"].n == own["score", None].n
        assert own["score", None].low < own["score", None].value < own["score", None].high
    assert records == wanted["n_records"]


@pytest.mark.parametrize("name", SINGLE_FILES)
def test_the_last_record_counts_by_default(name: str, loaded: Loaded) -> None:
    """One rating for each of 160 turns, the file's last; replaced ones are kept and counted, not used."""
    wanted = read_json("expected_single_and_pair.json")[name]
    task, data = loaded("mtbench")
    rows = read_lines(single_file(name))
    for model, imported in imports(task, data, rows).items():
        overall = scores(task, data, imported)["score", None]
        assert overall.value == wanted["average_dedup_last"][model]
        assert overall.n + overall.n_missing == 160
        own = sum(row["model"] == model for row in rows)
        assert len(imported.judgements) == own
        replaced = [note for note in imported.notes if "replaced" in note]
        assert [int(note.split()[0]) for note in replaced] == ([own - 160] if own > 160 else [])


def test_a_run_folder_holds_both_readings(tmp_path: Path) -> None:
    """An import of several models is a folder for each; scored again with the other option it gives the other number,
    and the words of every reply are there.
    """
    wanted = read_json("expected_single_and_pair.json")["llama3_griffin"]
    results = import_run(single_file("llama3_griffin"), "fastchat", settings("mtbench", out=tmp_path))
    assert {result.model for result in results} == set(wanted["average"])
    name = "Meta-Llama-3-8B-Instruct-Normal"
    folder = RunFolder(tmp_path / name)
    assert overall(folder.results().scores).value == wanted["average_dedup_last"][name]
    again = score_run(folder, settings("mtbench:upstream_compat=true"))
    assert overall(again.scores).value == wanted["average"][name]
    assert overall(again.scores).details["failed"] == 4
    judgements = list(folder.task("mtbench").judgements())
    assert len(judgements) == 170
    assert sum(judgement.failed for judgement in judgements) == 4
    assert all(judgement.reply is not None for judgement in judgements)
    counts = folder.require_manifest().tasks["mtbench"].counts
    assert (counts["read"], counts["failed"], counts["unread"], counts["without_answer"]) == (166, 4, 0, 0)


def overall(found: list[Score], metric: str = "score") -> Score:
    """A metric over all questions."""
    (score,) = (score for score in found if (score.metric, score.group) == (metric, None))
    return score


def test_games_equal_upstreams() -> None:
    """75 real rows: 20 wins, 18 losses, 35 ties, two rows with a failed game counted as missing, either way round."""
    wanted = read_json("expected_single_and_pair.json")["phi3_pair"]
    rows = read_rows(MT_BENCH / "judgments" / "phi3_gpt-4_pair.jsonl.gz")
    for mode, models in (("pairwise-all", ("phi-3", "phi-3-dpo")), ("pairwise,baseline=phi-3", ("phi-3-dpo",))):
        (one,) = load_tasks(settings(f"mtbench:mode={mode}"))
        found = {imported.candidate: imported for imported in one.task.importers["fastchat"](rows, one.data)}
        assert set(found) == set(models)
        for model, imported in found.items():
            own = scores(one.task, one.data, imported)
            expected = wanted["pairwise_all"][model]
            for metric, name in (
                ("win_rate", "win_rate"),
                ("loss_rate", "loss_rate"),
                ("adjusted_win_rate", "win_rate_adjusted"),
            ):
                assert own[metric, None].value == pytest.approx(100 * expected[name], abs=1e-10)
            details = own["win_rate", None].details
            assert {name: details[name] for name in ("win", "loss", "tie")} == {
                name: expected[name] for name in ("win", "loss", "tie")
            }
            assert own["win_rate", None].n == wanted["n_records"] - wanted["n_error_rows_dropped"] == 73
            assert own["win_rate", "turn=1"].n_missing == 80 - 73
            assert details["failed"] == 2
            total = sum(own[metric, None].value for metric in ("win_rate", "loss_rate", "tie_rate"))
            assert total == pytest.approx(100, abs=EXACT)
            assert sum(judgement.failed for judgement in imported.judgements) == 3
            assert not [note for note in imported.notes if "stored verdict" in note]


def test_the_interval_is_over_questions(loaded: Loaded) -> None:
    """A question's two turns are drawn together: the standard error is that of 80 question means, and with both turns
    rated alike it is not smaller than one turn's.
    """
    task, data = loaded("mtbench")
    (imported,) = imports(
        task, data, [rating_row(q, 1 + q % 9, turn) for q in range(81, 161) for turn in (1, 2)]
    ).values()
    own = scores(task, data, imported)
    both, first = own["score", None], own["score", "turn=1"]
    means = np.array([1 + q % 9 for q in range(81, 161)])
    assert both.stderr == pytest.approx(means.std(ddof=1) / np.sqrt(80))
    assert (both.low, both.high, both.stderr) == (first.low, first.high, first.stderr)
    assert both.n == 2 * first.n == 160
    assert "questions" in str(both.method)
    assert both.level == 0.95


def test_ratings_off_the_scale_are_flagged_and_strictly_unread(loaded: Loaded) -> None:
    """A 100 from ``buf[100]`` counts as upstream counts it, is told in the details, and is missing under ``strict``."""
    rows = [rating_row(81, 100, judgment="char buf[100]"), rating_row(82, 6), rating_row(83, 8)]
    task, data = loaded("mtbench")
    (imported,) = imports(task, data, rows).values()
    lax = scores(task, data, imported)["score", None]
    assert (lax.value, lax.details["outside_1_to_10"], lax.n) == (38.0, 1, 3)
    strict, strict_data = loaded("mtbench:strict=true")
    checked = scores(strict, strict_data, imported)["score", None]
    assert (checked.value, checked.n, checked.n_missing, checked.details["unread"]) == (7.0, 2, 158, 1)
    low, high = checked.details["if_missing_all_rated_1_or_10"]
    assert (low, high) == ((14 + 158) / 160, (14 + 1580) / 160)
    with pytest.raises(UsageError, match="contradict"):
        loaded("mtbench:strict=true,upstream_compat=true")


# -- agreement with people


def test_agreement_with_people_equals_the_paper_s() -> None:
    """GPT-4 against people, and people among themselves: totals and agreements by turn, with ties and without."""
    wanted = read_json("human/expected_agreement.json")["this_split (question_id % 3 != 0)"]
    human = read_votes(read_rows(MT_BENCH / "human" / "human_votes.jsonl.gz"))
    judge = read_votes(read_rows(MT_BENCH / "human" / "gpt4_pair_votes.jsonl.gz"))
    assert len(read_lines(MT_BENCH / "human" / "human_votes.jsonl.gz")) == wanted["n_human"]
    assert (len(human.games), len(judge.games)) == (1850, wanted["n_gpt4"])  # without the authors' 474
    table = agreement_table(human, judge)
    for kind, name in (("judge", "gpt4-pair_vs_human"), ("human", "human_vs_human")):
        for turn in (1, 2):
            for ties in (True, False):
                expected = wanted[name][f"turn {turn} {'with' if ties else 'without'} tie"]
                found = table[kind, turn, ties]
                assert (found.total, found.agree) == (expected["total"], expected["agree"])
                assert found.ratio == pytest.approx(expected["ratio"], abs=EXACT)
                assert found.interval is not None
                assert found.interval.low < found.ratio < found.interval.high


# -- what an importer may meet


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"question_id": 80}, "not one of this benchmark's 80 questions"),
        ({"question_id": "2edbb5f36f5b42be8"}, "not one of this benchmark's"),
        ({"question_id": True}, "must be an id"),
        ({"turn": 3}, "'turn' must be 1 or 2"),
        ({"turn": None}, "'turn' must be 1 or 2"),
        ({"turn": [1]}, "'turn' must be 1 or 2"),
        ({"judge": "gpt-4"}, "list of the judge model"),
        ({"model": 7}, "must be a string"),
        ({"score": "7"}, "must be a number"),
        ({"score": True}, "must be a number"),
        ({"judgment": 5}, "must be a string"),
    ],
)
def test_a_broken_row_is_named_by_its_line(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    """What cannot be a record of this benchmark stops the import with file and line, and no folder is made."""
    rows = [rating_row(question) for question in range(81, 91)]
    rows[4] |= change
    path = tmp_path / "gpt-4_single.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RecordError, match=re.escape(complaint)) as raised:
        import_run(path, "fastchat", settings("mtbench", out=tmp_path / "run"))
    assert f"{path}:5:" in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_truncated_file_is_refused_by_line(tmp_path: Path) -> None:
    """A line that was cut off is named, never dropped."""
    path = tmp_path / "gpt-4_single.jsonl"
    path.write_text(json.dumps(rating_row(81)) + "\n" + json.dumps(rating_row(82))[:50])
    with pytest.raises(RecordError, match=":2:"):
        import_run(path, "fastchat", settings("mtbench", out=tmp_path / "run"))
    whole = single_file("claude").read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="cannot be read"):
        import_run(tmp_path / "cut.jsonl.gz", "fastchat", settings("mtbench", out=tmp_path / "run"))


def test_files_of_other_benchmarks_are_refused(loaded: Loaded) -> None:
    """Rows of Arena-Hard, of the Vicuna questions, or of the other mode: each with what is wrong."""
    task, data = loaded("mtbench")
    with pytest.raises(RecordError, match="neither an answer nor a judgement"):
        imports(task, data, [{"uid": "1", "games": []}])
    with pytest.raises(RecordError, match="not one of this benchmark"):
        imports(task, data, [rating_row(12)])
    with pytest.raises(UsageError, match="mode=pairwise"):
        imports(task, data, [game_row()])
    pairwise, pair_data = loaded("mtbench:mode=pairwise")
    with pytest.raises(UsageError, match="mode=single"):
        imports(pairwise, pair_data, [rating_row()])
    with pytest.raises(UsageError, match="baseline=…, out of base, m"):
        imports(pairwise, pair_data, [game_row()])
    vicuna, vicuna_data = loaded("mtbench@vicuna")
    with pytest.raises(RecordError, match="'turn' must be 1 for question 5"):
        imports(vicuna, vicuna_data, [rating_row(5, turn=2)])


def test_games_without_a_verdict_are_counted(loaded: Loaded) -> None:
    """Unknown labels, nulls, errors and failed calls leave the rates and stand beside them; nothing crashes."""
    task, data = loaded("mtbench:mode=pairwise,baseline=base")
    rows = [
        game_row(81),
        game_row(82, "model_2", "model_2"),
        game_row(83, "model_1", "model_2"),
        game_row(84, "tie", "model_1"),
        game_row(85, "A>>B", "model_1"),
        game_row(86, None, None),
        game_row(87, "error", "tie", g1_judgment="no idea", g2_judgment="[[C]]"),
        game_row(88, "error", "error", g1_judgment="$ERROR$", g2_judgment="$ERROR$"),
        game_row(81, "model_2", "model_2", model_2="somebody else"),
    ]
    (imported,) = imports(task, data, rows).values()
    assert imported.candidate == "m"
    rate = scores(task, data, imported)["win_rate", None]
    assert (rate.n, rate.n_missing, rate.value) == (4, 156, 25.0)
    assert {name: rate.details[name] for name in ("win", "loss", "tie", "unread", "failed")} == {
        "win": 1,
        "loss": 1,
        "tie": 2,
        "unread": 3,
        "failed": 1,
    }
    assert rate.details["without_judgement"] == 152
    assert len(imported.judgements) == 16
    assert any("failed" in note and note.startswith("2 ") for note in imported.notes)


def test_each_model_meets_all_others(loaded: Loaded) -> None:
    """In mode ``pairwise-all`` every model of a file becomes a run, over all its pairs and against each other model."""
    task, data = loaded("mtbench:mode=pairwise-all")
    rows = [
        game_row(81),
        game_row(81, "model_2", "model_2", model_2="other"),
        game_row(81, "tie", "tie", model_1="base", model_2="other"),
        game_row(82, model_1="other", model_2="m"),
    ]
    found = {model: scores(task, data, imported) for model, imported in imports(task, data, rows).items()}
    rates = {model: own["adjusted_win_rate", None].value for model, own in found.items()}
    assert rates == pytest.approx({"m": 100 / 3, "base": 25.0, "other": 250 / 3})
    assert found["m"]["win_rate", "baseline=base"].value == 100
    assert found["m"]["loss_rate", "baseline=other"].value == 100
    assert found["m"]["win_rate", None].n == 3


def test_models_whose_folders_would_be_one_are_told(tmp_path: Path) -> None:
    """Names that differ only in what a path cannot hold never overwrite each other."""
    path = tmp_path / "both.jsonl"
    path.write_text("".join(json.dumps(rating_row(model=name)) + "\n" for name in ("a/b", "a-b")))
    with pytest.raises(UsageError, match="would share a folder"):
        import_run(path, "fastchat", settings("mtbench", out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_repeated_games_count_once_or_all(loaded: Loaded) -> None:
    """The last row of a question and pair counts; with ``upstream_compat`` every row does."""
    rows = [game_row(81, "model_2", "model_2"), game_row(81), game_row(81)]
    for options, wins, n in (("", 1, 1), (",upstream_compat=true", 2, 3)):
        task, data = loaded(f"mtbench:mode=pairwise,baseline=base{options}")
        rate = scores(task, data, imports(task, data, rows)["m"])["win_rate", None]
        assert (rate.details["win"], rate.n) == (wins, n)
        assert rate.value == pytest.approx(100 * wins / n)


def test_a_reply_that_contradicts_its_score_is_told(loaded: Loaded) -> None:
    """The stored score counts, as upstream's does, and a note says how many replies say otherwise."""
    task, data = loaded("mtbench")
    rows = [rating_row(81, 3, judgment="Rating: [[8]]"), rating_row(82, 4, judgment="Rating: [[4]]")]
    (imported,) = imports(task, data, rows).values()
    assert scores(task, data, imported)["score", None].value == 3.5
    assert [judgement.reply is None for judgement in imported.judgements] == [True, False]
    assert "1 replies do not give the stored verdict; the stored one is kept, without the reply" in imported.notes


def test_prompts_of_other_answers_are_told(loaded: Loaded) -> None:
    """Where a row says what the judge was shown, answers that do not lead to it are noticed; stored prompts too."""
    task, data = loaded("mtbench")
    answers = read_lines(MT_BENCH / "answers" / "claude-3-opus-20240229.jsonl.gz")
    rows = [row for row in read_lines(single_file("claude")) if row["model"] == "claude-3-opus-20240229"]
    answers[0]["turns"][1] += " And more."
    (imported,) = imports(task, data, answers + rows).values()
    assert "1 prompts are not the ones that the answers beside them give" in imported.notes
    given = rating_row(81, model="claude-3-opus-20240229", user_prompt="something else")
    (imported,) = imports(task, data, [*answers, given]).values()
    assert any("prompts are not" in note for note in imported.notes)


def test_a_folder_of_fastchat_s_is_one_import(tmp_path: Path) -> None:
    """Answers and judgements beside each other become runs that hold both; references are left out and that is said."""
    source = tmp_path / "mt_bench"
    answers = source / "model_answer" / "claude-3-opus-20240229.jsonl"
    references = source / "reference_answer" / "gpt-4.jsonl"
    judgements = source / "model_judgment" / "gpt-4_single.jsonl"
    for path in (answers, references, judgements):
        path.parent.mkdir(parents=True)
    rows = read_lines(MT_BENCH / "answers" / "claude-3-opus-20240229.jsonl.gz")
    answers.write_text("".join(json.dumps(fastchat_answer(row)) + "\n" for row in rows))
    references.write_bytes((MT_BENCH / "mt_bench_reference_gpt-4.jsonl").read_bytes())
    judgements.write_bytes(gzip.decompress(single_file("claude").read_bytes()))
    chosen = settings("mtbench", out=tmp_path / "run", model="claude-3-opus-20240229")
    (result,) = import_run(source, "fastchat", chosen)
    assert overall(result.scores).value == 8.675
    folder = RunFolder(tmp_path / "run")
    assert len(list(folder.task("mtbench").generations())) == 80
    manifest = folder.require_manifest()
    assert (manifest.status, manifest.imported_from) == ("complete", "fastchat")
    assert "30 rows of the file are reference answers and were left out" in manifest.tasks["mtbench"].notes
    assert overall(score_run(folder, settings("")).scores).value == 8.675


def fastchat_answer(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the shared answers in the shape of upstream's ``model_answer``."""
    choices = [{"index": 0, "turns": row["turns"]}, {"index": 1, "turns": ["never judged", "never judged"]}]
    return {"question_id": row["question_id"], "answer_id": "x", "model_id": row["model"], "choices": choices}


def test_answers_alone_are_a_run_to_be_judged(tmp_path: Path) -> None:
    """``model_answer`` is imported by either format name; a file with a failed answer or a repeated one says so."""
    rows = read_lines(MT_BENCH / "answers" / "claude-3-opus-20240229.jsonl.gz")
    rows = [fastchat_answer(row) for row in rows]
    rows.append(rows[0] | {"choices": [{"turns": ["ERROR", "ERROR"]}]})
    path = tmp_path / "claude.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for form in ("fastchat", "outputs"):
        (result,) = import_run(path, form, settings("mtbench", out=tmp_path / form))
        manifest = RunFolder(tmp_path / form).require_manifest()
        assert (result.status, manifest.candidate) == ("generated", "claude-3-opus-20240229")
        notes = manifest.tasks["mtbench"].notes
        assert "1 answers are repeated; the last of each question counts" in notes
        assert any("mark of a failed generation" in note for note in notes)
        assert overall(result.scores).n_missing == 160


@pytest.mark.parametrize(
    ("turns", "complaint"),
    [(["one"], "1 of the 2 turns"), (["a", 2], "a list of strings"), ("one", "list of objects"), (7, "objects")],
)
def test_answers_have_an_output_for_each_turn(turns: object, complaint: str, loaded: Loaded) -> None:
    """Fewer, more or other than strings: the row is named."""
    task, data = loaded("mtbench")
    row = {"question_id": 81, "model_id": "m", "choices": [{"turns": turns}]}
    with pytest.raises(RecordError, match=complaint):
        imports(task, data, [row])


def test_plain_outputs_have_an_output_for_each_turn(tmp_path: Path) -> None:
    """``--model file:`` takes a list of strings, one per turn; a single string for two turns is refused by line."""
    task, data = starter()
    read = task.importers["outputs"]
    rows = [FileRow("outputs.json", n, {"id": e.id, "output": ["a", "b"]}) for n, e in enumerate(data.examples, 1)]
    (imported,) = read(rows, data)
    assert {generation.outputs for generation in imported.generations} == {("a", "b")}
    with pytest.raises(RecordError, match=r"outputs.json:1: .*1 of the 2 turns"):
        read([FileRow("outputs.json", 1, {"id": "starter-01", "output": "a"})], data)


# -- pairwise runs


def test_a_comparison_needs_a_baseline_before_anything_is_asked() -> None:
    """The message names the flag; a dry run says the same."""
    for run in (lambda s: Runner(s, lambda *_: None).evaluate(), lambda s: estimate([s])):
        with pytest.raises(UsageError, match="--baseline"):
            run(settings("mtbench:mode=pairwise", model="http://127.0.0.1:9/v1#m", judges=("http://127.0.0.1:9/v1#j",)))


def test_both_games_of_each_turn_are_played(tmp_path: Path) -> None:
    """Against each baseline of a file: two turns, two orders, only the turns judged so far shown."""
    path = tmp_path / "baselines.jsonl"
    rows = [
        fastchat_answer({"question_id": q, "model": model, "turns": [f"{model} first {q}", f"{model} second {q}"]})
        for model in ("base", "other")
        for q in range(81, 161)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (one,) = load_tasks(settings("mtbench:mode=pairwise-all", baseline=str(path)))
    cases = one.task.cases(one.data, Generation(example_id="81", model="m", outputs=("own 1", "own 2")))
    assert len({case.id for case in cases}) == len(cases) == 8
    assert {case.judge for case in cases} == {"pair-v2", "pair-v2-multi-turn"}
    for case in cases:
        user = one.data.judges[case.judge].ask(case).messages[-1].content
        shown = [user.index(answer.turns[-1]) for answer in case.answers]
        assert shown == sorted(shown)
        assert case.answers[case.candidate].model == "m"
        assert ("own 2" in user) == (case.turn == 2)


def test_ties_of_the_starter_s_comparison(tmp_path: Path) -> None:
    """The tiny judge prefers whatever is shown first, so each pair of games disagrees: 24 ties, no win."""
    results = Runner(tiny_run("mtbench:mode=pairwise", tmp_path / "run"), lambda *_: None).evaluate()
    found = {score.metric: score for score in results.scores if score.group is None}
    assert [found[name].value for name in ("win_rate", "loss_rate", "tie_rate", "adjusted_win_rate")] == [0, 0, 100, 50]
    assert found["win_rate"].n == 24


# -- with nothing: the starter set and the tiny model


def tiny_run(task: str, out: Path, **more: Any) -> Settings:
    """Candidate and judge are the built-in model."""
    return Settings(tasks=task, model="builtin:tiny", starter=True, out=out, **{"judges": ("builtin:tiny",), **more})


def test_the_starter_set_covers_all_categories() -> None:
    """Twelve items of two turns; math, reasoning and coding with a reference for each; a baseline for all."""
    _, data = starter("mtbench:mode=pairwise")
    categories = Counter(example.meta["category"] for example in data.examples)
    assert len(categories) == 8
    assert categories.total() == 12
    for example in data.examples:
        assert len(example.followups) == 1
        assert len(example.references) == (2 if example.meta["category"] in ("math", "reasoning", "coding") else 0)
    assert all(len(generation.outputs) == 2 for generation in data.baselines["starter_baseline"].values())


def test_the_starter_score_is_the_one_on_paper(tmp_path: Path) -> None:
    """Six of twelve items have references and rate 6 in both turns; the others 7, then 4: 6.5, 5 and 5.75."""
    likeliest = {p.name: max(p.texts, key=p.texts.__getitem__) for p in read_programs()}
    guided, plain, second = (
        float(likeliest[name].strip("[]")) for name in ("judge-reference", "judge-rating", "judge-second-turn")
    )
    results = Runner(tiny_run("mtbench", tmp_path / "run"), lambda *_: None).evaluate()
    found = {score.group: score for score in results.scores}
    assert found["turn=1"].value == (6 * guided + 6 * plain) / 12 == 6.5
    assert found["turn=2"].value == (6 * guided + 6 * second) / 12 == 5.0
    assert found[None].value == 5.75
    assert found["category=coding"].value == guided
    assert found["category=stem"].value == (plain + second) / 2
    assert (found[None].n, found[None].n_missing, found[None].unit) == (24, 0, "points")
    generations = list(RunFolder(tmp_path / "run").task("mtbench").generations())
    assert all(first != second for first, second in (generation.outputs for generation in generations))
    assert not [finding for finding in results.integrity if finding.flagged]
    manifest = RunFolder(tmp_path / "run").require_manifest()
    counts = manifest.sessions[0].counts["mtbench"]["generate"]
    assert (counts.total, counts.asked, counts.reasked) == (12, 12, 0)


def test_the_tiny_judge_answers_the_official_prompts_too(loaded: Loaded, tmp_path: Path) -> None:
    """Every official prompt routes to a rating or verdict of the written odds: the rating of a guided question, a plain
    one, a plain second turn; and the verdict, whatever the category.
    """
    from judgebench.models.local.hf import HfModel

    build_tiny(tmp_path, read_programs())
    model = HfModel(tmp_path)
    asked: list[Request] = []
    wanted: list[str] = []
    for mode in ("single", "pairwise"):
        task, data = loaded(f"mtbench:mode={mode}")
        for question in ("81", "111"):
            own = Generation(example_id=question, model="m", outputs=("a", "b"))
            baselines = {"base": {question: msgspec.structs.replace(own, model="base", outputs=("c", "d"))}}
            data = dataclasses.replace(data, baselines=baselines if mode == "pairwise" else {})
            for case in task.cases(data, own):
                asked.append(data.judges[case.judge].ask(case))
                plain = "judge-rating" if case.turn == 1 else "judge-second-turn"
                single = "judge-reference" if question == "111" else plain
                wanted.append(single if mode == "single" else "judge-verdict")
    programs = {program.name: program for program in read_programs()}
    for index, reply in model.complete(asked):
        texts = programs[wanted[index]].texts
        assert reply.text == max(texts, key=texts.__getitem__)


OFFICIAL_TEXTS = (
    "judge_prompts.jsonl",
    "mt_bench_question.jsonl",
    "mt_bench_reference_gpt-4.jsonl",
    "vicuna_question.jsonl",
    "vicuna_reference_gpt-4.jsonl",
)


def test_no_official_sentence_is_in_the_repository() -> None:
    """Nowhere twelve words in a row of the official questions, references or judge prompts."""
    official = "".join((MT_BENCH / name).read_text() for name in OFFICIAL_TEXTS)
    known = set(runs_of_words(official))
    folder = resource("tasks") / "mtbench"
    ours = [*folder.iterdir(), Path(__file__)]
    for path in (path for path in ours if path.is_file()):
        assert not known & set(runs_of_words(path.read_text())), path


def runs_of_words(text: str) -> Iterator[tuple[str, ...]]:
    """Every twelve words that follow each other."""
    words = re.findall(r"[a-z0-9']+", text.replace("\\n", " ").lower())
    return (tuple(words[start : start + 12]) for start in range(len(words) - 11))


def test_a_dry_run_counts_both_turns(tmp_path: Path) -> None:
    """24 requests for answers and 24 ratings for twelve items, before any answer exists."""
    made = Settings(
        tasks="mtbench",
        starter=True,
        model="http://127.0.0.1:9/v1#m",
        judges=("http://127.0.0.1:9/v1#j",),
        offline=True,
    )
    stages = {one.stage: one.calls for one in estimate([made]).stages}
    assert stages == {"generate": 24, "judge": 24}


def test_the_official_judge_is_gpt_4() -> None:
    """For every prompt, with judges that work today beside it."""
    task, _ = tasks.load(tasks.TaskSpec("mtbench"))
    assert set(task.judge_models.values()) == {"openai:gpt-4"}
    assert "gpt-4.1" in alternatives(task)


def test_published_figures_are_points() -> None:
    """33 models, between 1 and 10, each with its source."""
    rows = published_rows("mtbench")
    assert len(rows) == 33
    for row in rows:
        assert row.scores["score"].unit == "points"
        assert 1 <= row.scores["score"].value <= 10
        assert row.origin.startswith("tatsu-lab/alpaca_eval@")


# -- a model's own first answer


def test_the_second_turn_is_asked_with_the_own_first_answer(tmp_path: Path) -> None:
    """Through ``hf:`` and the checkpoint's own chat template: the second reply is one that only the words of the first
    call forth, and the tokens of both prompts are those of the template with that answer in it.
    """
    from transformers import AutoTokenizer

    programs = (
        Program(name="second", trigger="Zebra", replies={("I said that before",): 1.0}),
        Program(name="default", trigger=None, replies={("My animal is the ", "Zebra"): 1.0}),
    )
    build_tiny(tmp_path / "checkpoint", programs)
    run = Settings(tasks="mtbench", model=f"hf:{tmp_path / 'checkpoint'}", starter=True, out=tmp_path / "run")
    Runner(run, lambda *_: None).evaluate(judge=False)
    folder = RunFolder(tmp_path / "run").task("mtbench")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "checkpoint")

    def prompt_tokens(*turns: str) -> int:
        roles = ("user", "assistant", "user")
        messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return len(tokenizer(text, add_special_tokens=False).input_ids)

    examples: dict[str, Example] = {example.id: example for example in folder.examples()}
    generations = list(folder.generations())
    assert len(generations) == 12
    for generation in generations:
        first, second = generation.outputs
        assert (first, second) == ("My animal is the Zebra", "I said that before")
        example = examples[generation.example_id]
        wanted = prompt_tokens(example.instruction) + prompt_tokens(example.instruction, first, example.followups[0])
        assert generation.usage.prompt_tokens == wanted


# -- several judges


def test_two_judges_of_one_file_are_a_panel(tmp_path: Path) -> None:
    """Each judge's number stands beside their mean; an unread verdict of one leaves the other's."""
    rows = []
    for judge, ratings in (("gpt-4", (4, 6, 8)), ("gpt-4-turbo", (6, -1, 10))):
        for question, rating in zip((81, 82, 83), ratings, strict=True):
            rows.append(rating_row(question, rating) | {"judge": [judge, "single-v1"]})
    path = tmp_path / "panel.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (result,) = import_run(path, "fastchat", settings("mtbench", out=tmp_path / "run"))
    found = {score.group: score for score in result.scores}
    assert found[None].value == (5 + 6 + 9) / 3
    assert found["judge=gpt-4"].value == 6
    assert found["judge=gpt-4-turbo"].value == 8
    assert (found["judge=gpt-4-turbo"].n, found["judge=gpt-4-turbo"].n_missing) == (2, 158)
    assert found[None].details["judges"] == ["gpt-4", "gpt-4-turbo"]


def test_a_jury_and_its_repeats(tmp_path: Path, start_chat_server: Callable[..., Server]) -> None:
    """The tiny judge and a server that always gives 9, each asked twice: the mean of both, each one's own number, and
    repeats that do not differ.
    """
    replies = tmp_path / "replies.jsonl"
    task, data = starter()
    answers = Runner(tiny_run("mtbench", tmp_path / "first"), lambda *_: None).evaluate()
    assert overall(answers.scores).value == 5.75
    lines = []
    for generation in RunFolder(tmp_path / "first").task("mtbench").generations():
        for case in task.cases(data, generation):
            lines.append(reply_line(data.judges[case.judge].ask(case), "Rating: [[9]]"))
    replies.write_text("".join(lines))
    server = start_chat_server(replies=replies)
    jury = ("builtin:tiny", f"{server.base_url}#kind")
    made = tiny_run("mtbench", tmp_path / "jury", judges=jury, judge_repeats=2)
    found = {score.group: score for score in Runner(made, lambda *_: None).evaluate().scores}
    assert found[None].value == (5.75 + 9) / 2
    assert found["turn=2"].value == (5 + 9) / 2
    members = {name: score.value for name, score in found.items() if (name or "").startswith("judge=")}
    assert sorted(members.values()) == [5.75, 5.75, 9, 9]
    assert server.seen().total() == 48
    assert found[None].details["sd_over_judges"] == pytest.approx((9 - 5.75) / 2)
    judgements = list(RunFolder(tmp_path / "jury").task("mtbench").judgements())
    assert len(judgements) == 4 * 24
    assert all(judgement.reply is not None and judgement.reply.text for judgement in judgements)


# -- end to end: real stored texts through a server


def reply_line(request: Request, text: str | None) -> str:
    """A line of the chat server's replies; without text, a prompt that is always refused."""
    key = hashlib.sha256(request.messages[-1].content.encode()).hexdigest()
    if text is None:
        return json.dumps({"key": key, "status": 400}) + "\n"
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"key": key, "choice": choice, "model": "gpt-4-0613"}) + "\n"


@dataclasses.dataclass(frozen=True)
class Published:
    """What GPT-4 said of one model, as a server's replies and as a file to import."""

    answers: Path
    replies: Path
    judgements: Path
    requests: tuple[Request, ...]

    def eval(self, server: Server, out: Path, *more: str) -> list[str]:
        """Arguments that evaluate the published answers with the server as judge."""
        judge = ["--judge", f"{server.base_url}#gpt-4", "--mirror", str(MT_BENCH.path), "--offline", "--json"]
        return ["eval", "--model", f"file:{self.answers}", "--tasks", "mtbench", *judge, "--out", str(out), *more]


UNREAD, FAILED = (91, 2), (117, 1)
"""Question and turn of the reply that holds no rating (a real one), and of the call that fails."""


@pytest.fixture(scope="module")
def published(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The last judgement of each turn of a real model; one reply is another real one without a rating, one fails."""
    return publish(loaded, tmp_path_factory.mktemp("published"), failing=True)


def publish(loaded: Loaded, folder: Path, *, failing: bool) -> Published:
    """Write the replies, the answers and the file to import into ``folder``."""
    name = "Meta-Llama-3-8B-Instruct-Normal"
    rows = {(r["question_id"], r["turn"]): r for r in read_lines(single_file("llama3_griffin")) if r["model"] == name}
    (unread,) = (row["judgment"] for row in read_lines(single_file("mistral_orpo")) if row["score"] == -1)
    rows[UNREAD] |= {"judgment": unread, "score": -1}
    if failing:
        rows[FAILED] |= {"judgment": "$ERROR$", "score": -1}
    answers = folder / f"{name}.jsonl"
    answers.write_bytes(gzip.decompress((MT_BENCH / "answers" / f"{name}.jsonl.gz").read_bytes()))
    judgements = folder / "gpt-4_single.jsonl"
    judgements.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    task, data = loaded("mtbench")
    requests, lines = [], []
    for generation in task.importers["outputs"](read_rows(answers), data)[0].generations:
        for case in task.cases(data, generation):
            request = data.judges[case.judge].ask(case)
            text = rows[int(generation.example_id), case.turn]["judgment"]
            requests.append(request)
            lines.append(reply_line(request, None if text == "$ERROR$" else text))
    (folder / "replies.jsonl").write_text("".join(lines))
    return Published(answers, folder / "replies.jsonl", judgements, tuple(requests))


def imported_scores(published: Published, out: Path) -> list[dict[str, Any]]:
    """Every field of every score of the import of the same judgements."""
    (result,) = import_run(published.judgements, "fastchat", settings("mtbench", out=out))
    return msgspec.to_builtins(result.scores)  # type: ignore[no-any-return]


def test_replies_through_a_server_give_the_imported_result(
    published: Published, tmp_path: Path, start_chat_server: Callable[..., Server]
) -> None:
    """Every field of every score is the import's, with one call per turn; the unread and the failed one are counted
    (exit 4), and the same command asks again for the failed one only.
    """
    server = start_chat_server(replies=published.replies)
    wanted = imported_scores(published, tmp_path / "imported")
    arguments = published.eval(server, tmp_path / "run")
    first = judgebench(arguments, code=4)
    results = RunFolder(tmp_path / "run").results()
    assert msgspec.to_builtins(results.scores) == wanted
    overall_score = overall(results.scores)
    assert (overall_score.n, overall_score.n_missing) == (158, 2)
    assert (overall_score.details["unread"], overall_score.details["failed"]) == (1, 1)
    manifest = manifest_of(tmp_path / "run")
    counts = manifest.tasks["mtbench"].counts
    assert (counts["read"], counts["unread"], counts["failed"], counts["without_answer"]) == (158, 1, 1, 0)
    assert manifest.tasks["mtbench"].judge_models_returned == ["gpt-4-0613"]
    imported = manifest_of(tmp_path / "imported")
    assert manifest.protocol_hash == imported.protocol_hash
    assert len(server.seen()) == 160
    assert "1 unread" in first.stderr
    asked = server.seen().total()
    server.set(choices={})  # from now on it says something without a rating
    judgebench(arguments, code=4)
    assert server.seen().total() == asked + 1
    counts = manifest_of(tmp_path / "run").tasks["mtbench"].counts
    assert (counts["read"], counts["unread"], counts["failed"]) == (158, 2, 0)


def test_a_part_of_the_questions_has_scores_per_turn(
    published: Published, tmp_path: Path, start_chat_server: Callable[..., Server]
) -> None:
    """``--ids``: the means of exactly those questions' ratings, by turn and category."""
    server = start_chat_server(replies=published.replies)
    chosen = ["81", "92", "105", "126", "160"]
    (tmp_path / "ids").write_text("\n".join(chosen))
    ended = judgebench(published.eval(server, tmp_path / "run", "--ids", str(tmp_path / "ids")))
    rows = read_lines(published.judgements)
    found = {(score["metric"], score["group"]): score for score in scores_of(ended)}
    for turn in (1, 2):
        ratings = [row["score"] for row in rows if str(row["question_id"]) in chosen and row["turn"] == turn]
        assert found["score", f"turn={turn}"]["value"] == sum(ratings) / 5
        assert found["score", f"turn={turn}"]["n"] == 5
    assert found["score", None]["n"] == 10
    assert server.seen().total() == 10


@pytest.mark.parametrize(
    ("where", "group", "calls"), [("turn=2", "turn=2", 80), ("category=writing", "category=writing", 20)]
)
def test_published_judgements_of_a_group_give_its_score(
    published: Published,
    tmp_path: Path,
    start_chat_server: Callable[..., Server],
    where: str,
    group: str,
    calls: int,
) -> None:
    """``--where``: the judge is asked about the group alone, and the score is the whole run's score of that group."""
    server = start_chat_server(replies=published.replies)
    ended = judgebench(published.eval(server, tmp_path / "run", "--where", where), code=None)
    found = {(score["metric"], score["group"]): score for score in scores_of(ended)}
    whole = {(score["metric"], score["group"]): score for score in imported_scores(published, tmp_path / "imported")}
    told = ("value", "n", "n_missing", "low", "high")
    for one in (found["score", group], found["score", None]):
        assert {name: one[name] for name in told} == {name: whole["score", group][name] for name in told}
    assert server.seen().total() == calls
    selection = manifest_of(tmp_path / "run").tasks["mtbench"].selection
    assert (
        selection == f"{'80 of 80 examples, turns=2' if where == 'turn=2' else '10 of 80 examples'} (--where {where})"
    )


def test_killed_five_times_the_result_is_the_same(
    loaded: Loaded, tmp_path: Path, start_chat_server: Callable[..., Server]
) -> None:
    """``kill -9`` at random moments: the final result is the import's, and no reply that was committed is asked for
    again.
    """
    draw = random.Random(20240612)
    published = publish(loaded, tmp_path, failing=False)
    server = start_chat_server(replies=published.replies, delay_ms=150)
    wanted = imported_scores(published, tmp_path / "imported")
    arguments = published.eval(server, tmp_path / "run", "--judge-concurrency", "8")
    identity = HttpChat("gpt-4", server.base_url, "gpt-4").identity
    keys = {
        call_key(identity, request): hashlib.sha256(msgspec.json.encode(request.messages)).hexdigest()
        for request in published.requests
    }
    safe: set[str] = set()

    def asked_since(seen: int) -> set[str]:
        return {event["key"] for event in server.events()[seen:] if event["event"] == "start"}

    for _ in range(5):
        seen, enough = len(server.events()), len(safe) + draw.randint(1, 25)
        with started(arguments) as process:
            wait_for(lambda enough=enough: stored() >= enough)
            kill(process)
            assert process.returncode == -signal.SIGKILL
        assert not asked_since(seen) & safe
        safe |= {keys[key] for key in committed()}
    seen = len(server.events())
    judgebench(arguments)
    assert not asked_since(seen) & safe
    assert msgspec.to_builtins(RunFolder(tmp_path / "run").results().scores) == wanted
    judgements = lines_of(tmp_path / "run" / "mtbench" / "judgements.jsonl")
    assert len({judgement["case_id"] for judgement in judgements}) == len(judgements) == 160
    assert len(server.seen()) == 160


def test_saved_replies_are_read_again_under_other_rules(loaded: Loaded) -> None:
    """A reply's own words are kept, so a stricter reading needs no call."""
    task, data = loaded("mtbench:strict=true")
    judge = data.judges["single-v1"]
    (case, _) = task.cases(data, Generation(example_id="81", model="m", outputs=("a", "b")))
    assert judge.read(case, (Completion(text="see x[0]"),)).error == "the rating 0 lies outside 1 to 10"
    assert judge.read(case, (Completion(text="[[8]]"),)).value == 8
    lax = loaded("mtbench")[1].judges["single-v1"]
    assert lax.read(case, (Completion(text="see x[0]"),)).value == 0
    assert lax.ask_again(case, (Completion(text="hm"),)) is None
    assert lax.fingerprint != judge.fingerprint


def test_an_unread_judgement_never_counts_as_zero() -> None:
    """A starter run with one verdict missing has one rating less, and says so with both bounds."""
    task, data = starter()
    judgements = [
        Judgement(
            case_id=case.id,
            example_id=case.example.id,
            judge=case.judge,
            judge_model="j",
            answers=("m",),
            turn=case.turn,
            verdict=data.judges[case.judge].read(case, (Completion(text="" if number == 3 else "[[8]]"),)),
            replies=(Completion(text="" if number == 3 else "[[8]]"),),
        )
        for number, case in enumerate(
            case
            for example in data.examples
            for case in task.cases(data, Generation(example_id=example.id, model="m", outputs=("a", "b")))
        )
    ]
    found = overall(task.summarise(data, task.score(data, {}, judgements)))
    assert (found.value, found.n, found.n_missing) == (8.0, 23, 1)
    assert found.details["if_missing_all_rated_1_or_10"] == [(8 * 23 + 1) / 24, (8 * 23 + 10) / 24]
