"""``--where``, ``--ids`` and ``--limit``: a part of a benchmark is answered, judged, scored and marked as a part."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.scripted import ScriptedModel, last_message, playing, reply
from judgebench.records import Completion, Request
from judgebench.run.folder import RunFolder

from ..commands import Command, judgebench

JUDGED = {
    "wildbench": "category=Creative Tasks",
    "arenahard": "category=hard_prompt",
    "alpacaeval": "subset=writing",
    "mtbench": "category=math,coding",
}
VERIFIED = {"ifeval": "instruction=punctuation:no_comma", "math": "level=2"}


def drawn(text: str, *values: str) -> str:
    """One of the values, which depends on the text alone."""
    return values[int(sha256(text.encode()).hexdigest(), 16) % len(values)]


def answer(request: Request) -> str:
    """An answer whose length and number depend on the question."""
    text = last_message(request)
    return f"{drawn(text, 'Some words', 'More words, and more', 'The answer')} {drawn(text, *'0123456789')}."


def verdict(request: Request) -> Completion:
    """A verdict in the form that the prompt asks for."""
    text = last_message(request)
    forms = {
        "Answer with one letter": ("A", "B"),
        "JSON verdict card": tuple(f'{{"choice": "{label}"}}' for label in ("A++", "A+", "A=B", "B+", "B++")),
        "JSON grade card": tuple(f'{{"score": "{number}"}}' for number in (4, 5, 6, 8)),
        "Verdict label": ("[[A>>B]]", "[[A>B]]", "[[A=B]]", "[[B>A]]", "[[B>>A]]"),
        "[[rating]]": ("[[3]]", "[[5]]", "[[8]]"),
        "[[C]]": ("[[A]]", "[[B]]", "[[C]]"),
    }
    chosen = drawn(text, *next(values for form, values in forms.items() if form in text))
    return reply(chosen, logprobs={"A": -0.1 if chosen == "A" else -1.2, "B": -0.1 if chosen == "B" else -1.2})


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ScriptedModel, ScriptedModel]]:
    """A candidate and a judge, ``scripted:candidate`` and ``scripted:judge``."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    candidate, judge = ScriptedModel(answer, name="candidate"), ScriptedModel(verdict, name="judge")
    with playing(candidate), playing(judge):
        yield candidate, judge


EVAL = ("eval", "--model", "scripted:candidate", "--starter", "--quiet")
BY_JUDGE = ("--judge", "scripted:judge")
Scores = dict[tuple[str, str | None], dict[str, Any]]


def scores(*arguments: object) -> Scores:
    """What a run prints, by metric and group."""
    model = () if "--model" in arguments else EVAL[1:3]
    printed = json.loads(judgebench(["eval", *model, *EVAL[3:], "--json", *arguments]).stdout)
    return {(score["metric"], score["group"]): score for score in printed["scores"]}


def generated(*arguments: object) -> None:
    """Answer a part of GSM8K's starter set."""
    judgebench(["generate", *EVAL[1:], "--tasks", "gsm8k", *arguments])


@pytest.mark.parametrize("version", ["5shot", "nonsense"])
def test_a_selection_for_another_version_is_refused(command: Command, version: str) -> None:
    """It is about a task that is not asked for."""
    flags = ("--model", "builtin:tiny", "--starter", "--where", f"gsm8k@{version}:repeat=0", "--dry-run")
    said = command("eval", "--tasks", "gsm8k@cot8", *flags).paragraph
    assert f"is about 'gsm8k@{version}', a task that is not here; write it for gsm8k or gsm8k@cot8" in said


@pytest.mark.parametrize(("task", "where"), [*JUDGED.items(), *VERIFIED.items()])
def test_the_score_of_a_group_is_the_score_of_a_run_of_its_examples(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path, task: str, where: str
) -> None:
    """Value, n and number of missing ones: what a table calls ``category=math``, ``--where`` selects."""
    judged = BY_JUDGE if task in JUDGED else ()
    whole = scores("--tasks", task, *judged, "--out", tmp_path / "whole")
    part = scores("--tasks", task, *judged, "--out", tmp_path / "part", "--where", where)
    groups = {group for _, group in whole if group and where.startswith(group.partition("=")[0])}
    groups = {group for group in groups if any(group.endswith(f"={value}") for value in where.split("=")[1].split(","))}
    assert groups
    for metric, group in [key for key in whole if key[1] in groups]:
        found = part.get((metric, group)) or part[metric, None]
        wanted = whole[metric, group]
        assert {key: found[key] for key in ("value", "n", "n_missing")} == {
            key: wanted[key] for key in ("value", "n", "n_missing")
        }
    folder = RunFolder(tmp_path / "part").task(task)
    assert 0 < len(folder.examples()) < len(RunFolder(tmp_path / "whole").task(task).examples())


def test_of_a_turn_only_that_turn_is_judged(models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path) -> None:
    """The second needs the answer to the first, which is asked for, but not judged; the score is the second's alone."""
    candidate, judge = models
    whole = scores("--tasks", "mtbench", *BY_JUDGE, "--out", tmp_path / "whole")
    asked = len(judge.asked)
    assert len(candidate.asked) == asked == 24
    part = scores("--tasks", "mtbench", *BY_JUDGE, "--out", tmp_path / "part", "--where", "mtbench:turn=2")
    assert len(candidate.asked) == asked  # all from the call store, and so are the verdicts
    found = part["score", None]
    assert (found["value"], found["n"]) == (whole["score", "turn=2"]["value"], 12)
    manifest = RunFolder(tmp_path / "part").require_manifest()
    assert manifest.tasks["mtbench"].label == "mtbench@1:turns=2"
    assert {one.turn for one in RunFolder(tmp_path / "part").task("mtbench").judgements()} == {2}


def test_of_the_first_turn_the_second_is_not_even_asked(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path
) -> None:
    """A file may answer it nevertheless; the scores are equal."""
    candidate, judge = models
    flags = (*BY_JUDGE, "--tasks", "mtbench", "--where", "turn=1")
    found = scores(*flags, "--out", tmp_path / "run")
    assert len(candidate.asked) == len(judge.asked) == 12
    assert found["score", None]["n"] == 12
    answers = [
        {"id": one.example_id, "output": [*one.outputs, "a second answer"]}
        for one in RunFolder(tmp_path / "run").task("mtbench").generations()
    ]
    (tmp_path / "a.json").write_text(json.dumps(answers))
    again = scores(*flags, "--model", f"file:{tmp_path / 'a.json'}", "--out", tmp_path / "again")
    assert again["score", None]["value"] == found["score", None]["value"]
    protocols = {RunFolder(tmp_path / name).require_manifest().protocol_hash for name in ("run", "again")}
    assert len(protocols) == 1


def test_a_part_is_marked_and_stands_in_a_table_of_its_own(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path, command: Command
) -> None:
    """On the screen, in the manifest and in the leaderboard; judging again keeps the mark."""
    both = ("--tasks", "mtbench,math", *BY_JUDGE, "--where", "mtbench:category=math", "--limit", "0.5")
    judgebench([*EVAL, "--tasks", "mtbench", *BY_JUDGE, "--out", tmp_path / "runs" / "whole"])
    shown = command(*EVAL, *both, "--out", tmp_path / "runs" / "part")
    assert "a part of the benchmark: 1 of 12 examples (--where mtbench:category=math --limit 0.5)" in " ".join(
        shown.out.split()
    )
    judgebench(["judge", tmp_path / "runs" / "part", *BY_JUDGE, "--quiet"])
    tasks = RunFolder(tmp_path / "runs" / "part").require_manifest().tasks
    assert tasks["mtbench"].selection == "1 of 12 examples (--where mtbench:category=math --limit 0.5)"
    assert tasks["math"].selection == "8 of 16 examples (--limit 0.5)"
    printed = json.loads(command("leaderboard", tmp_path / "runs", "--task", "mtbench", "--format", "json").out)
    flags = [[row["flags"] for row in table["rows"]] for table in printed]
    assert len(flags) == 2
    assert [any("a part, 1 of 12" in text for text in row) for table in flags for row in table].count(True) == 1


@pytest.mark.parametrize(
    ("limit", "expected"), [("3", 3), ("0.01", 1), ("0.26", 5), ("1", 1), ("1.0", 1), ("100", 16), ("1e-9", 1)]
)
def test_a_limit_below_1_is_a_share(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path, limit: str, expected: int
) -> None:
    """Rounded up, of the examples that are selected otherwise; 1.0 is one example, as in lm-eval."""
    generated("--limit", limit, "--out", tmp_path / "run")
    ids = [example.id for example in RunFolder(tmp_path / "run").task("gsm8k").examples()]
    assert ids == [f"starter-{number:02d}" for number in range(1, expected + 1)]


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "nan", "inf", "ten", "0.0", "", "١", "1_0", " 3", "+3"])
def test_a_limit_that_is_neither_is_refused(command: Command, limit: str) -> None:
    """The message says what both are."""
    ended = command(*EVAL, "--tasks", "gsm8k", "--limit", limit)
    assert "neither a number of examples (1 or more) nor a share of them (between 0 and 1)" in ended.paragraph


def test_a_list_of_ids_with_another_entry_names_that_entry(command: Command, tmp_path: Path) -> None:
    """Not one of those that are ids."""
    path = tmp_path / "ids.json"
    path.write_text('["starter-03", null, "starter-01"]')
    said = command(*EVAL, "--tasks", "gsm8k", "--ids", path).paragraph
    assert "is a list of ids, and entry 2 of it is null" in said


IDS: dict[str, str] = {
    "ids.txt": "starter-03\n\n  starter-01 \n",
    "ids": "starter-03\nstarter-01",
    "list.json": '["starter-03", "starter-01"]',
    "rows.json": '[{"id": "starter-03"}, {"id": "starter-01", "note": 1}]',
    "rows.jsonl": '{"example_id": "starter-03"}\n{"example_id": "starter-01"}\n',
    "rows.csv": "text,question_id\nx,starter-03\n,starter-01\n",
    "rows.tsv": "key\tz\nstarter-03\t\nstarter-01\t1\n",
    "tasks.csv": "task,id\ngsm8k,starter-03\nmath,starter-07\n,starter-01\ngsm8k@cot8,starter-01\n",
}


@pytest.mark.parametrize("name", IDS)
def test_ids_may_be_lines_a_list_or_rows(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path, name: str
) -> None:
    """In the benchmark's order, whatever the file's is; rows of another task are skipped."""
    (tmp_path / name).write_text(IDS[name])
    generated("--ids", tmp_path / name, "--out", tmp_path / "run")
    examples = RunFolder(tmp_path / "run").task("gsm8k").examples()
    assert [example.id for example in examples] == ["starter-01", "starter-03"]
    selected = RunFolder(tmp_path / "run").require_manifest().tasks["gsm8k"].selection
    assert selected == f"2 of 16 examples (--ids {name})"


def refused_ids(command: Command, tmp_path: Path, name: str, text: str) -> str:
    """What is said about a file of ids."""
    (tmp_path / name).write_text(text)
    return command(*EVAL, "--tasks", "gsm8k", "--ids", tmp_path / name).paragraph


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "a.txt",
            "starter-01\n99\n98\n",
            "names examples that do not exist: 99, 98; ids of gsm8k@cot8 look like starter",
        ),
        ("a.txt", "\n".join(map(str, range(100, 110))), "100, 101, 102, 103, 104 and 5 more"),
        ("a.txt", "\n", "holds no id of gsm8k@cot8; write one id per line"),
        ("a.csv", "name\nstarter-01\n", "with an id in a column id or example_id or question_id"),
        ("a.json", '[{"id": 1.5}]', "with an id in a column"),
        ("a.json", "[[1]]", "expected an object"),
        ("a.json", "[1, 2]", "names examples that do not exist: 1, 2"),
        ("a.jsonl", "", "holds no rows; a list of ids was expected"),
        ("a.csv", "task,id\nmath,starter-01\n", "holds no id of gsm8k@cot8"),
    ],
)
def test_a_file_of_ids_that_cannot_be_used_is_refused(
    command: Command, tmp_path: Path, name: str, text: str, says: str
) -> None:
    """Unknown ids are named, with what an id looks like."""
    assert says in refused_ids(command, tmp_path, name, text)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--where", "category"), "expected KEY=VALUE"),
        (("--where", "topic=x"), "math has no group called 'topic'; it has subject, level"),
        (("--where", "level=9"), "math has no level '9'; it has "),
        (("--where", "gsm8k:level=1"), "is about 'gsm8k', a task that is not here; write it for math"),
        (("--where", "level=1", "--where", "id=starter-99"), "has no id 'starter-99'"),
        (("--where", "level=1", "--where", "level=2", "--where", "subject=none"), "has no subject 'none'"),
    ],
)
def test_a_group_that_is_not_there_is_refused_before_anything_is_asked(
    models: tuple[ScriptedModel, ScriptedModel], command: Command, flags: tuple[str, ...], says: str
) -> None:
    """With what there is."""
    assert says in command(*EVAL, "--tasks", "math", *flags).paragraph
    assert not models[0].asked


def test_groups_that_no_example_is_in_at_once_are_refused(command: Command) -> None:
    """The message says that keys narrow."""
    flags = ("--where", "category=math", "--where", "id=starter-01")
    assert (
        "no example fits all keys at once"
        in command(*EVAL, "--tasks", "mtbench", "--judge", "openai:x", *flags).paragraph
    )


def test_generate_selects_too_and_judge_keeps_what_was_selected(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path
) -> None:
    """The two stages give what ``eval`` gives."""
    flags = ("--tasks", "mtbench", "--where", "category=math", "--where", "turn=2", "--starter", "--quiet")
    judgebench(["generate", "--model", "scripted:candidate", *flags, "--out", tmp_path / "run"])
    judgebench(["judge", tmp_path / "run", *BY_JUDGE, "--quiet"])
    at_once = scores(*flags[:-2], *BY_JUDGE, "--out", tmp_path / "other")
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    found = {(score["metric"], score["group"]): score["value"] for score in results["scores"]}
    assert found == {key: score["value"] for key, score in at_once.items()}
    assert len(models[1].asked) == 2


def test_a_baseline_file_need_only_answer_what_is_selected(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path, command: Command
) -> None:
    """Of the whole benchmark it lacks most, which is refused with the way out that is taken here."""
    answers = [{"id": f"starter-{number:02d}", "output": "short", "generator": "base"} for number in (1, 2, 3)]
    (tmp_path / "base.json").write_text(json.dumps(answers))
    flags = ("--tasks", "alpacaeval", *BY_JUDGE, "--baseline", str(tmp_path / "base.json"))
    told = command(*EVAL, *flags).paragraph
    assert "the baseline base of" in told
    assert "answers 3 of the 16 examples" in told
    found = scores(*flags, "--where", "id=starter-01,starter-03", "--out", tmp_path / "run")
    assert found["win_rate", None]["n"] == 2


def test_a_dry_run_counts_what_is_selected(models: tuple[ScriptedModel, ScriptedModel], command: Command) -> None:
    """Both turns are asked, and the second is judged."""
    flags = ("--tasks", "mt_bench", *BY_JUDGE, "--where", "mt_bench:turn=2", "--dry-run", "--json")
    printed = json.loads(command(*EVAL, *flags).out)
    stages = {stage["stage"]: stage["calls"] for stage in printed["stages"]}
    assert stages == {"generate": 24, "judge": 12}


def test_python_selects_with_the_same_words(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path, command: Command
) -> None:
    """A text or several."""
    import judgebench as api

    def ids(where: Any, **more: Any) -> list[str]:
        path = tmp_path / sha256(str((where, more)).encode()).hexdigest()
        run = api.evaluate("scripted:candidate", "math", where=where, starter=True, out=path, progress=False, **more)
        return [example.id for example in RunFolder(run.path).task("math").examples()]

    assert ids("level=2") == ids(["level=2"])
    assert len(ids(["level=2", "level=3"])) > len(ids("level=2"))
    assert len(ids((), limit=0.25)) == 4
    with pytest.raises(api.UsageError, match=r"limit=1\.5 is neither a number of examples"):
        ids((), limit=1.5)


def test_rows_of_groups_stand_below_their_own_metric(
    models: tuple[ScriptedModel, ScriptedModel], tmp_path: Path
) -> None:
    """In the tables of ``score`` and ``compare`` each indented group follows the metric that its numbers are of."""
    run = tmp_path / "run"
    found = scores("--tasks", "alpacaeval", *BY_JUDGE, "--out", run)
    grouped = {metric for metric, group in found if group is not None}
    assert grouped == {"win_rate"}
    for command in (("score", run, "--all"), ("compare", run, run, "--all")):
        table = judgebench(command).stdout
        rows = [line.split("│")[1].rstrip() for line in table.splitlines() if line.startswith("│ ")]
        above, whole = {}, ""
        for row in rows:
            if row.startswith("   "):
                above[row.strip()] = whole
            else:
                whole = row.strip()
        assert above
        assert set(above.values()) == grouped
