"""Arena-Hard's prompts and readings against upstream's (lmarena/arena-hard-auto), its starter set and tables."""

import json
import re
from pathlib import Path

import pytest
from judgebench.tasks.arenahard.judges import category_system_prompt as category_prompt
from judgebench.tasks.arenahard.judges import current_label, follow_up_message, legacy_labels, read_verdict

from judgebench import tasks
from judgebench.analysis.published import published_rows
from judgebench.codec import sha256_hex
from judgebench.errors import UsageError
from judgebench.models.local.tiny import read_programs
from judgebench.records import Answer, Case, Completion, Example, Generation, Message
from tests.commands import judgebench
from tests.processes import scores_of as printed_scores
from tests.tasks import arenahard_data as files
from tests.tasks.arenahard_data import (
    ANSWERS,
    ARENA_HARD,
    JUDGEMENTS,
    REBUILT,
    SHARED,
    TABLE,
    Load,
)

ROOT = Path(__file__).parents[2]

PROMPT_HASHES = {
    "hard_prompt": "03f68010febd7a6405102ef882b4dd5a9700c56b2e1ff286d3b38f5d3a929bbf",
    "creative_writing": "171489efbca7f19fb520e1b3c23783c76af7c723e770fe897a55f391684aa358",
}
"""Of the system prompts, as the specification gives them."""


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Tasks by spec, each read once."""
    folder = tmp_path_factory.mktemp("sources")
    return lambda spec: files.loaded(spec, folder)


def a_case(judge: str, instruction: str = "hello", first: str = "x", second: str = "y") -> Case:
    """Two answers to one question."""
    example = Example(id="1", messages=(Message(role="user", content=instruction),), meta={"category": judge})
    answers = (Answer(model="a", turns=(first,)), Answer(model="b", turns=(second,)))
    return Case(id="1", judge=judge, example=example, answers=answers)


# -- prompts and reading


def test_prompts_rebuild_to_their_hash(load: Load) -> None:
    """All 880 judge prompts whose answers are here have the sha256 and length that the real runs stored."""
    task, data = load("arenahard@v0.1")
    (judge,) = data.judges.values()
    checked = 0
    for model in REBUILT:
        answers = {row["uid"]: row["answer"] for row in files.read_lines(ANSWERS / f"{model}.jsonl.gz")}
        for row in files.read_lines(JUDGEMENTS / TABLE / f"{model}.jsonl.gz"):
            generation = Generation(example_id=row["uid"], model=model, outputs=(answers[row["uid"]],))
            cases = task.cases(data, generation)
            for case, game in zip(cases, row["games"], strict=True):
                system, user = judge.ask(case).messages
                assert sha256_hex(system.content.encode()) == PROMPT_HASHES["hard_prompt"]
                assert sha256_hex(user.content.encode()) == game["prompt_sha256"]
                assert len(user.content) == game["prompt_chars"]
                checked += 1
    assert checked == 880


def test_the_baseline_is_a_in_the_first_game(load: Load) -> None:
    """Two games per question with the sides swapped; ``first_game_only`` leaves the first; identical answers are tied
    without asking.
    """
    for spec, baseline in (("arenahard", "o3-mini-2025-01-31"), ("arenahard@v0.1", "gpt-4-0314")):
        task, data = load(spec)
        first, second = task.cases(data, Generation(example_id=data.examples[0].id, model="m", outputs=("x",)))
        assert [answer.model for answer in first.answers] == [baseline, "m"]
        assert [answer.model for answer in second.answers] == ["m", baseline]
        assert (first.candidate, second.candidate) == (1, 0)
        text = data.baselines[baseline][data.examples[0].id].outputs
        same = task.cases(data, Generation(example_id=data.examples[0].id, model="m", outputs=text))
        assert {case.verdict.value for case in same if case.verdict} == {0.5}
    task, data = load("arenahard@v0.1:first_game_only=true")
    assert len(task.cases(data, Generation(example_id=data.examples[0].id, model="m", outputs=("x",)))) == 1


def test_an_answer_cannot_rewrite_the_prompt(load: Load) -> None:
    """Placeholders and braces in questions and answers stay as they are."""
    (judge,) = load("arenahard@v0.1")[1].judges.values()
    asked = judge.ask(a_case(judge.name, "{ANSWER_A}", "{ANSWER_B} {}", "{QUESTION} {0}")).messages[-1].content
    assert asked.count("{ANSWER_A}") == asked.count("{ANSWER_B} {}") == asked.count("{QUESTION} {0}") == 1


def test_creative_writing_has_a_prompt_of_its_own(load: Load) -> None:
    """It is read from a stand-in as from the Python file, which is parsed and not run; both system prompts have the
    hashes of upstream's strings.
    """
    _, data = load("arenahard:category=creative_writing")
    asked = data.judges["creative_writing"].ask(a_case("creative_writing")).messages[0].content
    assert sha256_hex(asked.encode()) == PROMPT_HASHES["creative_writing"]
    source = (
        b'raise SystemExit\nP = "one"\nJUDGE_SETTINGS = {"a": {"system_prompt": P}, "b": {"system_prompt": "two"}}\n'
    )
    assert [category_prompt(source, name) for name in "ab"] == ["one", "two"]
    asked_again = b'def f(conv):\n    conv.append({"role": "user", "content": conv})\n'
    asked_again += b'    conv.append({"role": "user", "content": "go on"})\n'
    assert follow_up_message(asked_again) == "go on"


def test_official_judges_and_their_settings(load: Load) -> None:
    """Model, temperature and token limit by version and option."""
    for spec, model, temperature, tokens in (
        ("arenahard@v0.1", "openai:gpt-4-1106-preview", 0.0, 4096),
        ("arenahard@v2.0", "openai:gpt-4.1", 0.0, 16000),
        ("arenahard:judge=gemini-2.5", "gemini-2.5-pro-preview-03-25", 1.0, 32000),
    ):
        task, data = load(spec)
        for name, judge in data.judges.items():
            sampling = judge.ask(a_case(name)).sampling
            assert task.judge_models[name].endswith(model)
            assert (sampling.temperature, sampling.max_tokens) == (temperature, tokens)


def test_all_parser_cases() -> None:
    """Both rules give upstream's label, and the legacy one asks again exactly where upstream does."""
    for case in json.loads((ARENA_HARD / "parser_cases.json").read_text()):
        labels = legacy_labels(case["text"])
        assert current_label(case["text"]) == case["current_rule"], case
        assert (labels[0] if len(labels) == 1 else None) == case["legacy_rule"], case
        assert (not labels) == case["legacy_try_again"], case


def test_all_real_judge_texts_are_read_as_upstream_reads_them() -> None:
    """Each of 2,134 stored texts gives upstream's label by both rules, and the label that its run stored."""
    texts = {
        (row["judge"], path.name.removesuffix(".jsonl.gz"), row["uid"], number): game["judgment"]
        for path in JUDGEMENTS.path.rglob("*.jsonl.gz")
        for row in files.read_lines(path)
        for number, game in enumerate(row["games"])
    }
    rows = files.read_table(ARENA_HARD / "expected_parse.csv")
    for row in rows:
        text = texts[row["judge"], row["model"], row["uid"], int(row["game"])]
        labels = legacy_labels(text)
        assert (labels[0] if len(labels) == 1 else "") == row["legacy_rule_score"] == row["stored_score"]
        assert (current_label(text) or "") == row["current_rule_score"]
        assert str(not labels) == row["legacy_rule_try_again"]
    assert len(rows) == len(texts) == 2134


def test_labels_that_name_no_winner_are_unread() -> None:
    """``A>>A`` is kept as the label of a verdict without value; mirrored spellings count in the current rule only."""
    verdict = read_verdict("[[A>>A]]", "current")
    assert (verdict.value, verdict.label) == (None, "A>>A")
    assert "A>>A" in str(verdict.error)
    mirrored = {"B<<A": 1.0, "B<A": 1.0, "B=A": 0.5, "A<B": 0.0, "A<<B": 0.0}
    assert {label: read_verdict(f"[[{label}]]", "current").value for label in mirrored} == mirrored
    assert all(read_verdict(f"[[{label}]]", "legacy").value is None for label in mirrored)


def test_the_legacy_judge_is_asked_again_only_for_a_missing_label(load: Load) -> None:
    """The second request holds the judge's own words and the follow-up; the verdict is read from both replies; after
    two, after contradicting labels and by the current pipeline nothing more is asked.
    """
    (judge,) = load("arenahard@v0.1")[1].judges.values()
    case = a_case(judge.name)
    silent, said = Completion(text="A has the better proof."), Completion(text="[[A>B]]")
    again = judge.ask_again(case, (silent,))
    assert again is not None
    assert [message.role for message in again.messages] == ["system", "user", "assistant", "user"]
    assert again.messages[:2] == judge.ask(case).messages
    assert again.messages[2].content == silent.text
    assert judge.read(case, (silent, said)).label == "A>B"
    assert judge.read(case, (Completion(text="…"), silent)).error == "the reply holds no label"
    assert judge.ask_again(case, (silent, silent)) is None
    both = Completion(text="[[A>B]] or [[B>A]]")
    assert judge.ask_again(case, (both,)) is None
    assert "A>B, B>A" in str(judge.read(case, (both,)).error)
    assert "cut off" in str(judge.read(case, (Completion(text="…", finish_reason="length"),)).error)
    (current,) = load("arenahard@v0.1:pipeline=current")[1].judges.values()
    assert current.ask_again(case, (silent,)) is None


# -- the starter set, the published tables, the repository


def test_unknown_versions_and_options_name_the_valid_ones() -> None:
    """A category of the other version is refused as well."""
    with pytest.raises(UsageError, match=r"v9.*v2\.0, v0\.1"):
        tasks.load(tasks.TaskSpec("arenahard", "v9"))
    with pytest.raises(UsageError, match=r"it has arena-hard-v0\.1"):
        tasks.load(tasks.TaskSpec("arenahard", "v0.1", {"category": "hard_prompt"}))
    with pytest.raises(UsageError, match="weight"):
        tasks.load(tasks.TaskSpec("arenahard", None, {"weight": "0"}))


def test_the_tiny_judge_knows_both_prompts(load: Load) -> None:
    """The house prompt and the official ones hold the triggers of one table of labels, whose odds sum to one."""
    programs = {program.name: program for program in read_programs()}
    official, house = programs["judge-labels"], programs["judge-labels-house"]
    assert official.texts == house.texts
    assert sum(house.texts.values()) == pytest.approx(1)
    assert all(read_verdict(text, "legacy").value is not None for text in house.texts)
    for spec in ("arenahard@v0.1", "arenahard:category=creative_writing"):
        for name, judge in load(spec)[1].judges.items():
            assert str(official.trigger) in judge.ask(a_case(name)).messages[0].content
    starter, _ = tasks.load(tasks.TaskSpec("arenahard"), starter=True)
    for name, judge in starter.load(lambda name: b"").judges.items():
        assert str(house.trigger) in judge.ask(a_case(name)).messages[1].content


def test_the_starter_run_is_computable_on_paper(tmp_path: Path) -> None:
    """At temperature 0 the tiny judge says ``[[A>B]]`` to everything, so that each question is one game lost and one
    won: 50 percent; the first games alone are all lost.
    """
    pytest.importorskip("transformers")
    common = ["eval", "--model", "builtin:tiny", "--judge", "builtin:tiny", "--starter", "--json", "--out"]
    for task, value in (("arenahard", 50.0), ("arenahard@v0.1:first_game_only=true", 0.0)):
        ended = judgebench([*common, tmp_path / task.replace(":", "-"), "--tasks", task])
        score = next(s for s in printed_scores(ended) if s["metric"] == "win_rate" and s["group"] is None)
        assert (score["value"], score["n"], score["n_missing"]) == (value, 12, 0)


def test_the_published_tables_are_copies() -> None:
    """Every row of the six tables and of the ratings is in our files, with bounds and units; ratings of another date
    are another table.
    """
    rows = {(row.task, row.model): row for row in published_rows()}
    for name, label, metric in (
        ("v0.1_20241114", "arenahard@v0.1", "win_rate"),
        ("v0.1_style_control_20241114", "arenahard@v0.1", "win_rate_style_controlled"),
        ("v0.1_20240731", "arenahard@v0.1:date=2024-07-31", "win_rate"),
        ("v2.0_hard_prompt_style_gpt-4.1", "arenahard@v2.0:category=hard_prompt,judge=gpt-4.1", None),
        ("v2.0_hard_prompt_style_gemini-2.5", "arenahard@v2.0:category=hard_prompt,judge=gemini-2.5", None),
        (
            "v2.0_creative_writing_ensemble",
            "arenahard@v2.0:category=creative_writing,judge=gpt-4.1+gemini-2.5",
            "win_rate",
        ),
    ):
        for row in files.read_table(ARENA_HARD / "leaderboards" / f"{name}.csv"):
            score = rows[label, row["model"]].scores[metric or "win_rate_style_controlled"]
            assert score.value == float(row["score"])
            assert score.unit == "percent"
            if row.get("ci_high_offset") not in (None, "0."):
                assert score.low == pytest.approx(score.value + float(row["ci_low_offset"]), abs=1e-9)
                assert score.high == pytest.approx(score.value + float(row["ci_high_offset"]), abs=1e-9)
    for row in files.read_table(SHARED / "arena_elo" / "chatbot_arena_elo.csv"):
        if row["rating"] == "-":  # listed without a rating
            continue
        score = rows[f"arena_elo@{row['date']}:category={row['category']}", row["model"]].scores["rating"]
        assert (score.value, score.unit) == (float(row["rating"]), "rating")


def test_published_tables_can_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``leaderboard --published`` with the benchmark, one version of it, or the ratings."""
    monkeypatch.chdir(tmp_path)  # runs/ of the checkout are none of its business
    for task in ("arenahard", "arenahard@v2.0", "arena_elo"):
        printed = judgebench(["leaderboard", "--published", "--task", task, "--format", "json"]).stdout
        labels = {group["task"] for group in json.loads(printed)}
        assert len(labels) >= 3
        assert all(label.startswith(task) for label in labels)


def words(text: str) -> list[str]:
    """Words without case and punctuation."""
    return re.findall(r"[a-z0-9]+", text.lower())


def test_no_official_sentence_is_in_the_repository(load: Load) -> None:
    """No twelve words in a row of the judge prompts, the questions or the official baselines' answers are in ours."""
    official: set[tuple[str, ...]] = set()
    for spec in ("arenahard@v0.1", "arenahard:category=hard_prompt", "arenahard:category=creative_writing"):
        _, data = load(spec)
        texts = [example.instruction for example in data.examples]
        texts += [g.outputs[0] for answers in data.baselines.values() for g in answers.values()]
        texts += [m.content for name, judge in data.judges.items() for m in judge.ask(a_case(name)).messages]
        for text in texts:
            listed = words(text)
            official.update(tuple(listed[n : n + 12]) for n in range(len(listed) - 11))
    here = [
        path for folder in ("tasks/arenahard", "templates") for path in (ROOT / folder).rglob("*") if path.is_file()
    ]
    here += [Path(__file__), Path(files.__file__), ROOT / "judgebench" / "models" / "local" / "tiny.py"]
    for path in here:
        if path.suffix not in (".pyc",):
            listed = words(path.read_text())
            assert not official & {tuple(listed[n : n + 12]) for n in range(len(listed) - 11)}, path
