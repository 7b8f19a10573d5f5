"""Rubrics with levels, run through the command, with rates that are known on paper."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from judgebench.judges.lists import parts_of
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request, Verdict
from judgebench.run.folder import RunFolder
from tests.commands import Command, judgebench
from tests.kinds.test_kinds import evaluated, scores, write_rows, write_task

CHAINS = (
    {"id": "tea-0", "chain": "tea", "level": 0, "instruction": "Describe tea.", "kind": "drink"},
    {"id": "tea-1", "chain": "tea", "level": 1, "instruction": "Describe tea in one sentence.", "kind": "drink"},
    {"id": "tea-2", "chain": "tea", "level": 2, "instruction": "Describe tea in one warm sentence.", "kind": "drink"},
    {"id": "sum-1", "chain": "sum", "level": 1, "instruction": "Add 1 and 2.", "kind": "number"},
    {"id": "sum-2", "chain": "sum", "level": 2, "instruction": "Add 1 and 2, in words.", "kind": "number"},
)
ANSWERS = {"tea-1": "one sentence", "tea-2": "warm words", "sum-1": "3", "sum-2": "4"}
LEVELS = """
kind = "rubric"
prompts = "chains.jsonl"
groups = ["kind"]
[rubric]
levels = 2
per = "answer"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two chains of two levels and answers to them, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    write_rows("chains.jsonl", CHAINS)
    write_rows("answers.jsonl", [{"id": name, "output": text} for name, text in ANSWERS.items()])
    return tmp_path


def replies(by_answer: Mapping[str, str]) -> Callable[[str], str]:
    """A judge that replies by the answer that it is shown."""

    def judge(prompt: str) -> str:
        return by_answer[prompt.split("<answer>\n")[1].split("\n</answer>")[0]]

    return judge


JUDGE = replies({"one sentence": "Yes.\n['YES']", "warm words": "[NO, YES]", "3": "[YES]", "4": "`['YES', 'YES']`"})


def test_rates_and_levels_in_a_row(place: Path) -> None:
    """Three of four answers are whole: HSR 75. Of their requirements 100, 50, 100 and 100 percent are met: SSR 87.5.

    One chain holds for one level, the other for two: CSL 1.5.
    """
    write_task(LEVELS)
    found, asked = evaluated(JUDGE)
    assert len(asked) == 4
    assert [found[name, None].value for name in ("hsr", "ssr", "csl")] == [75, 87.5, 1.5]
    assert [found["hsr", f"level={level}"].value for level in (1, 2)] == [100, 50]
    assert [found["ssr", f"level={level}"].value for level in (1, 2)] == [100, 75]
    assert [found["csl", f"kind={kind}"].value for kind in ("drink", "number")] == [1, 2]
    assert ("csl", "level=1") not in found
    assert (found["hsr", None].n, found["csl", None].n) == (4, 2)
    assert "over chains" in found["csl", None].method
    tea = next(prompt for prompt in asked if "warm words" in prompt)
    assert "Level 0: Describe tea.\n\nLevel 1: Describe tea in one sentence." in tea
    assert "exactly 2 verdicts" in tea


def test_requirements_are_named_or_asked_one_by_one(place: Path) -> None:
    """Criteria of a row are listed in the prompt, or each is a call of its own."""
    rows = [
        {
            "chain": "tea",
            "level": level,
            "instruction": f"Tea {level}.",
            "criteria": ["It is warm.", "It is short."][:level],
        }
        for level in (1, 2)
    ]
    write_rows("chains.jsonl", rows)
    write_rows("answers.jsonl", [{"id": "0", "output": "one"}, {"id": "1", "output": "two"}])
    write_task(LEVELS)
    found, asked = evaluated(replies({"one": "[YES]", "two": "[YES, NO]"}))
    assert "1. It is warm.\n2. It is short.\n" in asked[1]
    assert [found[name, None].value for name in ("hsr", "ssr", "csl")] == [50, 75, 1]
    Path("run").rename("first")
    write_task(LEVELS.replace("answer", "criterion"), "single.toml")
    found, asked = evaluated(lambda prompt: "[[yes]]" if "It is warm." in prompt else "[[no]]", task="single.toml")
    assert len(asked) == 3
    assert [found[name, None].value for name in ("hsr", "ssr", "csl")] == [50, 75, 1]


def test_the_mean_over_groups_counts_each_alike(place: Path) -> None:
    """A kind with one chain weighs as much as another with two, at each level and in CSL."""
    more = [{**row, "id": f"{row['id']}-b", "chain": "more"} for row in CHAINS[3:]]
    write_rows("chains.jsonl", [*CHAINS, *more])
    write_rows(
        "answers.jsonl", [{"id": n, "output": t} for n, t in {**ANSWERS, "sum-1-b": "3", "sum-2-b": "5"}.items()]
    )
    write_task(LEVELS + 'macro = "kind"\n')
    judge = {"one sentence": "[YES]", "warm words": "[NO, NO]", "3": "[YES]", "4": "[YES, YES]", "5": "[NO, NO]"}
    found, _ = evaluated(replies(judge))
    assert [found["hsr", f"level={level}"].value for level in (1, 2)] == [100, 25]
    assert found["hsr", None].value == pytest.approx(62.5)
    assert found["csl", None].value == pytest.approx((1 + (2 + 1) / 2) / 2)


def test_a_rule_decides_without_a_call(place: Path) -> None:
    """Answers of a row with a rule are compared with its reference, and no judge is asked about them."""
    rows = [
        {**row, **({"rule": "equals", "reference": ["3", "three"]} if row["chain"] == "sum" else {})} for row in CHAINS
    ]
    write_rows("chains.jsonl", rows)
    write_task(LEVELS)
    found, asked = evaluated(JUDGE)
    assert len(asked) == 2
    assert [found["hsr", f"kind={kind}"].value for kind in ("drink", "number")] == [50, 50]
    assert found["csl", "kind=number"].value == 1
    kept = {one.example_id: one for one in RunFolder(Path("run")).task("mine").judgements()}
    assert (kept["sum-2"].verdict.label, kept["sum-2"].verdict.details, kept["sum-2"].replies) == (
        "NO by equals",
        {"rule": "equals"},
        (),
    )


def test_a_reply_that_is_no_list_of_the_right_length_is_missing(place: Path) -> None:
    """It is counted. A chain is unknown from there on, unless it was broken before."""
    write_task(LEVELS)
    judge = replies({"one sentence": "[NO]", "warm words": "[YES]", "3": "[YES]", "4": "[YES, NO, NO]"})
    with playing(ScriptedModel(lambda request: reply(judge(first(request))))) as spec:
        flags = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", spec, "--out", "run"]
        judgebench(["eval", *flags], code=None)
    found = scores("run")
    assert (found["hsr", None].value, found["hsr", None].n, found["hsr", None].n_missing) == (50, 2, 2)
    assert (found["csl", None].value, found["csl", None].n, found["csl", None].n_missing) == (0, 1, 1)
    errors = {one.verdict.error for one in RunFolder(Path("run")).task("mine").judgements()}
    assert "the reply's list has 3 verdicts, and 2 were asked for" in errors


def first(request: Request) -> str:
    """The judge's first prompt, without what reminds it."""
    return request.messages[1].content


def test_verdicts_made_elsewhere(place: Path) -> None:
    """Lists, single verdicts by criterion, a judge's reply and one verdict on the whole are read; null is missing."""
    write_task(LEVELS)
    rows = [
        {"id": "tea-1", "value": [True]},
        {"id": "tea-2", "criterion": 0, "value": False},
        {"id": "tea-2", "criterion": 1, "value": True},
        {"id": "sum-1", "value": True},
        {"id": "sum-2", "value": "Both.\n['YES', 'YES']"},
    ]
    write_rows("verdicts.jsonl", rows)
    arguments = ["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"]
    judgebench(arguments)
    found = scores("run")
    assert [found[name, None].value for name in ("hsr", "ssr", "csl")] == [75, 87.5, 1.5]
    write_rows("verdicts.jsonl", [*rows[:4], {"id": "sum-2", "value": [True]}])
    ended = judgebench([*arguments[:-1], "other"], code=2)
    assert "verdicts.jsonl:5" in ended.stderr
    assert "a list of 2 of them" in ended.stderr


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"level": 1}, "says by 'chain' to which chain it belongs"),
        ({"chain": "a", "level": 3}, "'level' must be a whole number from 0 to 2, found 3"),
        ({"chain": "a", "level": 2}, "has in the chain 'a' the levels 2"),
        ({"chain": "a", "level": 1, "rule": "equal"}, "is no rule (did you mean equals?)"),
        ({"chain": "a", "level": 1, "rule": "equals"}, "compares the answer with 'reference', which this row lacks"),
    ],
)
def test_wrong_chains_are_named(place: Path, row: dict[str, Any], told: str) -> None:
    """The file, the line or the chain, and what was expected."""
    write_rows("chains.jsonl", [{"instruction": "Why?", **row}])
    write_task(LEVELS)
    flags = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", "builtin:tiny", "--out", "run"]
    assert told in " ".join(judgebench(["eval", *flags], code=2).stderr.split())


def test_a_part_of_the_examples_has_no_chain(place: Path) -> None:
    """One level alone has rates; CSL says why it has no value."""
    write_task(LEVELS)
    found, asked = evaluated(JUDGE, "--where", "level=2")
    assert len(asked) == 2
    assert found["hsr", None].value == 50
    assert found["csl", None].value is None
    assert "no chain of the run has all its levels" in found["csl", None].reason


def test_the_other_commands_read_such_runs(place: Path, command: Command) -> None:
    """compare, gate, leaderboard, show, plan and a stop rule."""
    write_task(LEVELS)
    worse = replies({"one sentence": "[NO]", "warm words": "[NO, NO]", "3": "[YES]", "4": "[YES, NO]"})
    for name, judge in (("one", JUDGE), ("two", worse)):
        with playing(ScriptedModel(lambda request, judge=judge: reply(judge(first(request))))) as spec:
            flags = ["--tasks", "mine.toml", "--judge", spec, "--out", name]
            judgebench(["eval", "--model", "file:answers.jsonl", *flags])
            judgebench(["eval", "--model", "file:answers.jsonl", *flags[:-1], f"{name}-stop", "--stop-when", "ci<90"])
    files = ["--tasks", "mine.toml"]
    compared = json.loads(judgebench(["compare", "one", "two", *files, "--format", "json"]).stdout)
    differences = {row["metric"]: row["difference"] for row in rows_in(compared) if row.get("group") is None}
    assert differences["hsr"] == pytest.approx(-50)
    assert differences["csl"] == pytest.approx(-1)
    assert "csl" in judgebench(["leaderboard", "one", "two", *files]).stdout
    shown = judgebench(["show", "one", *files, "--item", "tea-2"]).stdout
    assert "warm words" in shown
    gate = ["gate", "--candidate", "two", "--baseline", "one", "--max-drop", "5", *files]
    assert judgebench(gate, code=None).returncode in (1, 3)


def rows_in(value: Any) -> list[Mapping[str, Any]]:
    """All records of a comparison that have a difference."""
    if isinstance(value, dict):
        return [*([value] if "difference" in value and "metric" in value else []), *rows_in(list(value.values()))]
    if isinstance(value, list):
        return [row for one in value for row in rows_in(one)]
    return []


def test_a_panel_is_the_mean_of_its_members(place: Path) -> None:
    """CSL of two judges is the mean of theirs, 1.5 and 0.5."""
    write_task(LEVELS)
    strict = replies({"one sentence": "[NO]", "warm words": "[NO, YES]", "3": "[YES]", "4": "[NO, YES]"})
    with (
        playing(ScriptedModel(lambda request: reply(JUDGE(first(request))), name="kind")) as kind,
        playing(ScriptedModel(lambda request: reply(strict(first(request))), name="hard")) as hard,
    ):
        flags = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", kind, "--judge", hard]
        judgebench(["eval", *flags, "--out", "run"])
    found = scores("run")
    assert found["csl", None].value == pytest.approx(1)
    assert found["hsr", None].value == pytest.approx((75 + 25) / 2)


def test_values_of_a_foreign_folder_stay_within_bounds(place: Path) -> None:
    """Parts of another number, or outside 0 to 1, are no verdict."""
    parts = [Verdict(value=0.5, details={"met": given}) for given in ([1, 0], [1], [2, -1], ["yes", "no"], "10", None)]
    assert [parts_of(verdict, 2) for verdict in parts] == [[1, 0], None, None, None, None, [0.5]]
    assert parts_of(Verdict(value=7.0), 2) is None
