"""A gate on every kind of benchmark file and on every bundled folder passes what is equal, and fails what is worse."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from judgebench.data.resources import resource
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request
from tests.commands import judgebench
from tests.kinds.test_kinds import write_rows, write_task

ITEMS = 10
HEAD = 'prompts = "prompts.jsonl"\n'
KINDS: Mapping[str, tuple[str, Any, Any]] = {
    "pairwise": ('kind = "pairwise"\n' + HEAD + '[pairwise]\nbaseline = "gold"\n', "win", "loss"),
    "rating": ('kind = "rating"\n' + HEAD, 9, 2),
    "rubric": ('kind = "rubric"\n' + HEAD + '[[rubric.criteria]]\ntext = "It is short."\n', True, False),
    "graded": (
        'kind = "rubric"\n' + HEAD + '[rubric]\nscale = [1, 10]\n[[rubric.criteria]]\ntext = "It is short."\n',
        9,
        2,
    ),
    "classify": ('kind = "classify"\n' + HEAD + '[classify]\nlabels = ["yes", "no"]\n', "yes", "no"),
    "choice": ('kind = "choice"\n' + HEAD + 'fields = { label = "right" }\n', "B", "A"),
    "verify": ('kind = "verify"\n' + HEAD + '[verify]\ncommand = ["cat", "{answer_file}"]\n', True, False),
    "scored": ('kind = "scored"\n[scored]\nunit = "percent"\n', 0.9, 0.1),
}
"""For each the file, and a good and a bad verdict."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with prompts that do for every kind."""
    monkeypatch.chdir(tmp_path)
    asked = {"instruction": "Hi?", "gold": "Hi.", "label": "yes", "options": ["Hi", "Ho"], "right": 1}
    write_rows("prompts.jsonl", [{"id": str(number), **asked} for number in range(ITEMS)])
    return tmp_path


def verdicts_of_gates(drop: float, *flags: str) -> list[tuple[int, str]]:
    """How the gates end that compare the good run with a copy of it, and with the bad one."""
    shutil.copytree("good", "copy")
    Path("gate.toml").write_text(f"[defaults]\nmax_drop = {drop}\nmin_n = 2\n")
    found = []
    for candidate in ("copy", "bad"):
        gated = ["gate", "--baseline", "good", "--candidate", candidate, "--policy", "gate.toml", *flags]
        ended = judgebench(gated, code=None)
        (verdict, *_) = re.findall(r"PASS|FAIL|INCONCLUSIVE", ended.stdout) or [ended.stderr]
        found.append((ended.returncode, verdict))
    return found


BOTH = [(0, "PASS"), (1, "FAIL")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind: str, place: Path) -> None:
    """Ten items that are all good, and ten that are all bad, by verdicts made elsewhere."""
    text, good, bad = KINDS[kind]
    write_task(text)
    form, field = ("scored", "score") if kind == "scored" else ("verdicts", "value")
    for name, value in (("good", good), ("bad", bad)):
        write_rows(f"{name}.jsonl", [{"id": str(number), field: value} for number in range(ITEMS)])
        judgebench(["import", f"{name}.jsonl", "--from", form, "--task", "mine.toml", "--out", name])
    assert verdicts_of_gates(5 if kind in ("rating", "graded") else 50, "--tasks", "mine.toml") == BOTH


def starter_rows(folder: str) -> list[dict[str, Any]]:
    """The items of a folder's starter set."""
    lines = (resource("tasks") / folder / "starter.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def says(high: str, low: str, folder: str = "") -> Callable[[str], str]:
    """A judge that says one thing in favour of good answers and against others, and another the other way round: about
    the folder's criteria that cost points, what is high is against an answer.
    """
    criteria = [
        one for row in (starter_rows(folder) if folder else ()) for one in row.get("rubrics") or row["criteria"]
    ]
    costly = [one.get("criterion") or one["text"] for one in criteria if isinstance(one, dict) and one["points"] < 0]

    def judge(prompt: str) -> str:
        return high if (GOOD in prompt) != any(text in prompt for text in costly) else low

    return judge


def lists(prompt: str) -> str:
    """A judge with as many verdicts as it is asked for."""
    (count,) = re.findall(r"exactly (\d+) verdict", prompt)
    return "[" + ", ".join(["YES" if GOOD in prompt else "NO"] * int(count)) + "]"


def prefers(prompt: str) -> str:
    """A judge that finds a good answer better than the baseline's, and that better than a bad one."""
    first = prompt.split("<answer_a>")[1].split("<answer_b>")[0]
    return "[[A]]" if GOOD in first or (GOOD not in prompt and "plain" in first) else "[[B]]"


GOOD = "splendid"
FOLDERS: Mapping[str, tuple[Callable[[str], str], float]] = {
    "healthbench": (says("[[yes]]", "[[no]]", "healthbench"), 90),
    "multichallenge": (says("[[yes]]", "[[no]]"), 90),
    "followbench": (lists, 90),
    "writingbench": (says("[[9]]", "[[2]]"), 5),
    "creativewriting": (says("[[18]]", "[[3]]", "creativewriting"), 10),
    "marenahard": (prefers, 60),
}
"""For each a judge of its starter set, and how much may be lost there."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_bundled_folder(folder: str, place: Path) -> None:
    """The starter set, of which a judge finds all answers good, or all bad."""
    judge, drop = FOLDERS[folder]
    if folder == "marenahard":
        ids = [row["question_id"] for row in starter_rows(folder)]
        write_rows("base.jsonl", [{"id": one, "output": "plain", "generator": "sft"} for one in ids])

    def asked(request: Request) -> Any:
        return reply(judge(request.messages[-1].content))

    with playing(ScriptedModel(asked, name="judge")) as spec:
        for name in ("good", "bad"):
            text = f"A {GOOD} answer." if name == "good" else "A dull answer."
            with playing(ScriptedModel(lambda request, text=text: reply(text), name=name)) as candidate:
                flags = ["--judge", spec, "--starter", "--out", name]
                flags += ["--baseline", "base.jsonl"] if folder == "marenahard" else []
                judgebench(["eval", "-q", "--model", candidate, "--tasks", folder, *flags], code=None)
    assert verdicts_of_gates(drop) == BOTH


LOWER = "the window of my street stayed open while rain and wind went by and nobody on the whole hill minded at all"
FOLLOWED = {
    1: LOWER,
    2: LOWER,
    3: LOWER,
    6: LOWER,
    10: '"Quoted."',
    12: "<<A title>>",
    17: "A KEEPER STANDS BY THE SEA.",
}
"""By item of the starter set of instructions, answers that follow what is asked there."""


def test_instructions_that_programs_check(place: Path) -> None:
    """``ifeval@ifbench``: seven of its starter set's 18 followed, or none."""
    for name in ("good", "bad"):
        rows = [
            {"id": f"starter-{n:02}", "output": FOLLOWED.get(n, ",") if name == "good" else ","} for n in range(1, 19)
        ]
        write_rows(f"{name}.jsonl", rows)
        flags = ["--tasks", "ifeval@ifbench", "--starter", "--out", name]
        judgebench(["eval", "-q", "--model", f"file:{name}.jsonl", *flags])
    assert verdicts_of_gates(30) == BOTH
