"""``tasks check``: bundled tasks pass, and each way to break one is found."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from judgebench import tasks
from judgebench.cli import app
from judgebench.errors import UsageError
from judgebench.tasks.check import check_task
from tests.commands import Command

SHOPNAMES = Path(__file__).parents[1] / "fixtures" / "shopnames"

TASK = """
from judgebench.grading.pool import Verifier
from judgebench.task.metric import Metric
from judgebench.records import Check, Example, ExampleScore, Message, Sampling, Score, Verdict
from judgebench.task import Task, TaskData, parse_options


def holds(output):
    return Verdict(value=float("42" in output), label="found")


def load(fetch):
    examples = tuple(
        Example(id=f"item-{n}", messages=(Message(role="user", content=f"Question {n}"),)) for n in range(12)
    )
    return TaskData(examples=examples, baselines={}, verifiers={"holds": Verifier(function=holds, fingerprint="1")})


def checks(data, generation):
    return (
        Check(
            id=generation.example_id, example_id=generation.example_id, verifier="holds",
            arguments={"output": generation.outputs[-1]},
        ),
    )


def score(data, generations, judgements):
    return [
        ExampleScore(example_id=one.example_id, metric="accuracy", value=one.verdict.value) for one in judgements
    ]


def summarise(data, rows):
    values = [row.value for row in rows]
    value = 100 * sum(values) / len(values) if values else None
    return [
        Score(
            task="mine", metric="accuracy", value=value, unit="percent", n=len(values), n_missing=12 - len(values),
            method="share", reason=None if values else "nothing was answered",
        )
    ]


def task(version, options, *, starter=False):
    return Task(
        name="mine", version=version or "1", options=parse_options(options, {}, "mine"),
        metrics=(Metric(name="accuracy"),), sampling=Sampling(), official_examples=12, starter=starter,
        load=load, checks=checks, score=score, summarise=summarise,
        about="Whether an answer holds a number.",
    )
"""


def write(folder: Path, text: str = TASK) -> Path:
    """A task folder of one's own."""
    folder.mkdir(exist_ok=True)
    (folder / "task.py").write_text(text)
    (folder / "README.md").write_text("# Mine\n")
    (folder / "sources.toml").write_text("")
    return folder


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    """Named by its folder or its file; the command prints each sentence."""
    folder = write(tmp_path / "mine")
    short = CliRunner().invoke(app, ["tasks", "check", str(folder)])
    assert short.output == "25 of 25 checks hold: -v prints each\n"
    ended = CliRunner().invoke(app, ["tasks", "check", str(folder), "-v"])
    assert ended.exit_code == 0, ended.output
    assert "FAILS" not in ended.output
    assert ended.output.count("ok ") == len(check_task(str(folder / "task.py")))
    assert all(
        one["problem"] is None
        for one in json.loads(CliRunner().invoke(app, ["tasks", "check", str(folder), "--json"]).output)
    )


def test_a_copy_of_a_bundled_folder_passes_where_it_lies(tmp_path: Path) -> None:
    """Its modules import each other, here and in the workers."""
    folder = Path(shutil.copytree(tasks.folder("gsm8k"), tmp_path / "my.copy"))
    assert [one for one in check_task(str(folder)) if one.problem] == []


BROKEN = {
    "twice": ('id=f"item-{n}"', 'id="item"', "ids occur twice: item"),
    "few": ("range(12)", "range(0)", "there is none"),
    "official": ("def load(fetch):\n", "def load(fetch):\n    fetch('test')\n", "fetches the official file 'test'"),
    "no verifier": ('verifier="holds"', 'verifier="other"', "unknown verifiers: other"),
    "raises": ('return Verdict(value=float("42" in output)', "return Verdict(value=1 / 0", "ZeroDivisionError"),
    "not finite": ("value = 100 * sum(values) / len(values) if values", 'value = float("nan") if values', "not finite"),
    "unit": ('unit="percent"', 'unit="furlongs"', "'furlongs' is not one of percent"),
    "metrics": ('Metric(name="accuracy")', 'Metric(name="score")', "metrics have no score: score"),
    "other unit": ('Metric(name="accuracy")', 'Metric(name="accuracy", unit="points")', "`metrics` says points"),
    "no reason": ('reason=None if values else "nothing was answered"', "reason=None", "neither a value nor a reason"),
    "no method": ('method="share"', "method=None", "does not say its method"),
    "unasked": ('role="user"', 'role="assistant"', "does not end with a user's message"),
    "above": ("100 * sum(values)", "1000 + sum(values)", "percent is not a share"),
    "options": ('parse_options(options, {}, "mine")', "{}", "accepts the option no_such_option"),
    "about": ("holds a number.", "holds a number", "`about` is not a sentence"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named(tmp_path: Path, case: str) -> None:
    """One thing at a time."""
    old, new, problem = BROKEN[case]
    assert TASK.count(old) == 1
    found = check_task(str(write(tmp_path / f"broken_{case.replace(' ', '_')}", TASK.replace(old, new))))
    assert any(problem in (one.problem or "") for one in found), found


BROKEN_JUDGE = {
    "unread": ('Verdict(value=None, error="no preference")', "Verdict(value=0.5)", "is read as a verdict"),
    "unknown": ('game(example, "shopkeeper"', 'game(example, "other"', "names the unknown judge 'other'"),
    "hidden": ("Answer(model=generation.model", 'Answer(model="me"', "does not show the candidate's answer"),
}


@pytest.mark.parametrize("case", BROKEN_JUDGE)
def test_what_is_broken_about_a_judge_is_named(tmp_path: Path, case: str) -> None:
    """One thing at a time, in a benchmark of which nothing else fails, though it has three examples."""
    folder = Path(shutil.copytree(SHOPNAMES, tmp_path / case))
    assert [one.problem for one in check_task(str(folder)) if one.problem] == []
    old, new, problem = BROKEN_JUDGE[case]
    text = (folder / "task.py").read_text()
    assert text.count(old) == 1
    (folder / "task.py").write_text(text.replace(old, new))
    assert any(problem in (one.problem or "") for one in check_task(str(folder)))


def test_a_fault_of_a_toml_file_comes_first_in_its_own_words(tmp_path: Path) -> None:
    """The cause begins the message; nothing is said of starter sets or official files; items past the first count."""
    rows = [json.dumps({"id": str(n), "instruction": f"Question {n}"}) for n in range(40)]
    (tmp_path / "mine.toml").write_text('kind = "rating"\nprompts = "items.jsonl"\n[rating]\nscale = [1, 5]\n')
    faults = {
        "its first items load": (0, '{"id": "x", "instructon": "Question"}', "a prompt needs 'instruction'"),
        "all of its items load": (39, rows[3], "the id '3' is that of line 4, too"),
    }
    for fails, (place, row, cause) in faults.items():
        rows[place], kept = row, rows[place]
        (tmp_path / "items.jsonl").write_text("\n".join(rows))
        with pytest.raises(UsageError) as raised:
            CliRunner().invoke(app, ["tasks", "check", str(tmp_path / "mine.toml")], catch_exceptions=False)
        said = str(raised.value)
        assert said.startswith(f"{tmp_path / 'items.jsonl'}:{place + 1}: {cause}")
        assert f"(the check that fails: {fails})" in said
        assert "starter" not in said
        assert "official" not in said
        rows[place] = kept


def test_what_fails_is_said_once(tmp_path: Path, command: Command) -> None:
    """With its cause on stderr, and nothing on stdout; ``-v`` lists all checks with marks."""
    folder = write(tmp_path / "mine", TASK.replace("holds a number.", "holds a number"))
    ended = command("tasks", "check", folder)
    assert ended.paragraph.count("`about` is") == 1
    assert ended.paragraph.endswith(f"{folder} fails 1 of 25 checks: -v prints each\n")
    listed = CliRunner().invoke(app, ["tasks", "check", str(folder), "-v"]).output
    assert [line[:5] for line in listed.splitlines()].count("FAILS") == 1


def test_files_and_what_is_no_task(tmp_path: Path) -> None:
    """A missing README, a source without a hash, a folder without task.py: exit 2 with the reason."""
    folder = write(tmp_path / "files")
    (folder / "README.md").unlink()
    (folder / "sources.toml").write_text('[[source]]\nname = "x"\nrepo = "a/b"\n')
    with pytest.raises(UsageError, match="fails 2 of") as raised:
        CliRunner().invoke(app, ["tasks", "check", str(folder)], catch_exceptions=False)
    assert raised.value.exit_code == 2
    assert "README.md is missing" in str(raised.value)
    with pytest.raises(UsageError, match="is no benchmark"):
        check_task(str(tmp_path))


def test_a_file_is_told_how_it_was_understood(tmp_path: Path) -> None:
    """All its prompts, the baseline, how a verdict is read, and the calls: two for each pair."""
    rows = [{"instruction": f"say {n}"} for n in range(40)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "base.jsonl").write_text("".join(json.dumps({**row, "output": "no"}) + "\n" for row in rows))
    (tmp_path / "mine.toml").write_text('kind = "pairwise"\nprompts = "q.jsonl"\n[pairwise]\nbaseline = "base.jsonl"\n')
    told = CliRunner().invoke(app, ["tasks", "check", str(tmp_path / "mine.toml")]).output.splitlines()[-1]
    assert told.startswith("40 prompts, baseline base, verdict read as label, of [[A]] = 1")
    assert told.endswith("80 judge calls")
