"""A task that is given as a file works with every command, when the user names the file, and only then."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from judgebench import api, tasks
from judgebench.errors import UsageError
from judgebench.run.folder import RunFolder, TaskManifest
from tests.commands import Command
from tests.made_runs import write_totals
from tests.own_tasks import own_task, sums_answers

TINY = ("--model", "builtin:tiny", "--judge", "builtin:tiny")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``sums/task.py`` is verified, with the runs a and b; ``duels/task.py`` is judged, with the run c, and d, which
    has answers only.
    """
    from judgebench.run.runner import Runner
    from judgebench.run.settings import Settings

    place = tmp_path_factory.mktemp("own")
    sums, duels = own_task("gsm8k", "sums", place / "sums"), own_task("alpacaeval", "duels", place / "duels")
    for name, right in (("a", 2), ("b", 3)):
        model = f"file:{sums_answers(place / f'{name}.jsonl', right)}"
        Runner(Settings(tasks=str(sums), model=model, out=place / name), lambda *_: None).evaluate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUDGEBENCH_CACHE", str(place / "cache"))
        judged = Settings(tasks=str(duels), model="builtin:tiny", judges=("builtin:tiny",), out=place / "c")
        Runner(judged, lambda *_: None).evaluate()
        answered = Settings(tasks=str(duels), model="builtin:tiny", gen={"temperature": "0.5"}, out=place / "d")
        Runner(answered, lambda *_: None).evaluate(judge=False)
    (place / "sums.toml").write_text("[defaults]\nmin_n = 2\nmax_drop = 20\n")
    (place / "duels.toml").write_text('[defaults]\nmin_n = 2\n[tasks.duels]\nmetric = "win_rate"\nmax_drop = 4\n')
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working directory; the file is then another file with the same content."""
    shutil.copytree(made, tmp_path / "place", ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def fields_of(run: Path) -> TaskManifest:
    """The only task in a run's manifest."""
    (fields,) = RunFolder(run).require_manifest().tasks.values()
    return fields


SUMS, DUELS = ("--tasks", "sums/task.py"), ("--tasks", "duels/task.py")
NEED_THE_FILE: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    "score": (("score", "a", "--json"), SUMS, 0),
    "judge": (("judge", "d", "--judge", "builtin:tiny", "--json", "--quiet"), DUELS, 0),
    "compare": (("compare", "a", "b", "--format", "json"), SUMS, 0),
    "gate": (("gate", "--baseline", "a", "--candidate", "b", "--policy", "sums.toml", "--json"), SUMS, 0),
    "gate, sequential": (
        ("gate", "--sequential", "--baseline", "a", "--candidate", "b", "--policy", "sums.toml", "--json"), SUMS, 0,
    ),
    "gate, sequential, judging": (
        ("gate", "--sequential", "--baseline", "c", "--candidate", "d", "--policy", "duels.toml", "--json"), DUELS, 0,
    ),
    "explain": (("explain", "a", "b", "--json"), SUMS, 0),
    "explain a judged run": (("explain", "c", "--json"), DUELS, 0),
    "export to lm-eval": (("export", "a", "--to", "lm-eval", "--out", "out"), SUMS, 0),
    "export to alpaca-eval": (("export", "c", "--to", "alpaca-eval", "--out", "out"), DUELS, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", NEED_THE_FILE)
def test_a_command_works_when_the_file_is_named(place: Path, command: Command, name: str) -> None:
    """Without it, it is refused by one paragraph with the name of the file and the flag; nothing is changed."""
    arguments, flag, code = NEED_THE_FILE[name]
    before = {path: path.read_bytes() for path in place.rglob("*.json*")}
    said = command(*arguments).paragraph
    assert "was given as a file (task.py), and a run folder may not choose the files and the code that are used" in said
    assert f"--tasks ./{flag[1].partition('/')[0]}/task.py" in said
    assert {path: path.read_bytes() for path in place.rglob("*.json*")} == before
    ended = command(*arguments, *flag)
    assert ended.code == code, ended.err
    assert json.loads(ended.out) if "--to" not in arguments else ended.out


def test_a_command_that_is_printed_names_the_files(place: Path, command: Command) -> None:
    """Copied as it stands, it works: for a task in a file, and for a run folder with a space in its name."""
    shutil.copytree(place / "b", place / "all runs" / "b")
    shutil.copytree(place / "a", place / "unscored")
    (place / "unscored" / "example_scores.jsonl").unlink(missing_ok=True)
    (place / "unscored" / "sums" / "example_scores.jsonl").unlink()
    printed = set()
    for arguments in (
        ("eval", "--model", "file:b.jsonl", *SUMS, "--out", "once more", "--quiet"),
        ("score", "all runs/b", *SUMS),
        ("import", "b.jsonl", "--from", "outputs", "--task", "sums/task.py", "--out", "came in"),
        ("show", "all runs/b", *SUMS),
        ("show", "all runs", *SUMS),
        ("compare", "a", "all runs/b", "--flips", "2", *SUMS),
        ("compare", "a", "unscored", *SUMS),
        ("show", "c", "--item", "absent", *DUELS),
    ):
        ended = command(*arguments)
        found = re.findall(r"(?:^|: |`)(judgebench (?:show|score) [^`\n…]*)", ended.out + ended.err, re.M)
        assert found, ended.out + ended.err
        printed |= set(found)
    assert len(printed) >= 8
    for line in printed:
        ended = command(*shlex.split(line)[1:])
        assert ended.code == 0, f"{line}\n{ended.err}"
        assert "given as a file" not in ended.out


def test_the_numbers_are_those_of_the_task(place: Path, command: Command) -> None:
    """Compared by its totals, gated by its headline, judged as it judges."""
    compared = json.loads(command("compare", "a", "b", "--format", "json", *SUMS).out)
    differences = {one["metric"]: one["difference"] for one in compared["tasks"][0]["differences"]}
    assert differences["exact_match_strict"] == 25.0
    gated = json.loads(command(*NEED_THE_FILE["gate"][0], *SUMS).out)
    assert (gated["verdict"], gated["checks"][0]["metric"]) == ("PASS", "exact_match_strict")
    judged = json.loads(command("judge", "d", "--judge", "builtin:tiny", "--quiet", "--json", *DUELS).out)
    assert {s["metric"]: s["value"] for s in judged["scores"] if s["group"] is None}["win_rate"] == pytest.approx(55.0)
    assert fields_of(place / "c").protocol_hash == fields_of(place / "d").protocol_hash


def test_an_interrupted_sequential_gate_goes_on(place: Path, command: Command) -> None:
    """The candidate of answers is judged by the baseline's judge, which is built in, and replayed without a call."""
    arguments = (*NEED_THE_FILE["gate, sequential, judging"][0], *DUELS)
    first, again = (json.loads(command(*arguments).out)["checks"][0] for _ in range(2))
    assert first["sequential"]["judge_calls_now"] > 0 == again["sequential"]["judge_calls_now"]
    assert {**first, "sequential": None} == {**again, "sequential": None}


def test_what_is_exported_comes_back(place: Path, command: Command) -> None:
    """As an archive, as a table, and in another program's format; compared from the archive too."""
    for form, out, run, file in (
        ("archive", "a.zip", "a", "sums/task.py"),
        ("csv", "a.csv", "a", "sums/task.py"),
        ("lm-eval", "lm", "a", "sums/task.py"),
        ("alpaca-eval", "annotated", "c", "duels/task.py"),
    ):
        assert command("export", run, "--to", form, "--out", out, "--tasks", file).code == 0
        task = () if form == "archive" else ("--task", file)
        source = f"{out}/annotations.json" if form == "alpaca-eval" else out
        came = command("import", source, "--from", form, *task, "--out", f"from-{form}", "--json")
        assert came.code == 0, came.err
        scores = {s["metric"]: s["value"] for s in json.loads(came.out)["scores"] if s["group"] is None}
        original = {s.metric: s.value for s in RunFolder(place / run).results().scores if s.group is None}
        assert {metric: scores[metric] for metric in original} == pytest.approx(original)
        fields = fields_of(place / f"from-{form}")
        assert fields.code is not None
        assert fields.code.file == "task.py"
    compared = json.loads(command("compare", "a.zip", "b", "--format", "json", *SUMS).out)
    assert compared["tasks"][0]["common"] == 16


def test_plan_and_leaderboard(place: Path, command: Command) -> None:
    """A plan's ``--task`` is the file; a leaderboard ranks by the headline that runs record, whether it is there."""
    planned = command("plan", "--task", "sums/task.py", "--baseline", "a", "--baseline", "b", "--json")
    assert json.loads(planned.out)["n"] == 16
    assert "no task is called 'sums'" in command("plan", "--task", "sums", "--baseline", "a").paragraph
    for flag in ((), SUMS):
        (group,) = json.loads(command("leaderboard", "a", "b", "--format", "json", *flag).out)
        assert group["headline"][0] == "exact_match_strict"
        assert [row["rank"] for row in group["rows"]] == [1, 2]


def test_an_evaluation_goes_on(place: Path, command: Command) -> None:
    """The same command again finds its run: equal files in another folder are the same task."""
    for options in (("--model", "file:a.jsonl", "--out", "a"), (*TINY, "--out", "new"), (*TINY, "--out", "new")):
        file = "sums/task.py" if "file:a.jsonl" in options else "duels/task.py"
        ended = command("eval", *options, "--tasks", file, "--quiet", "--json")
        assert ended.code == 0, ended.err
    assert len(RunFolder(place / "new").require_manifest().sessions) == 2
    several = command("eval", *TINY, "--model", "file:a.jsonl", "--tasks", "sums/task.py", "--out", "both", "--quiet")
    assert several.code == 0, several.err
    assert "exact_match_strict" in several.out


def test_from_python(place: Path) -> None:
    """A run that was evaluated or loaded with its file carries it; elsewhere ``tasks`` names it."""
    a, b = (api.load_run(name, tasks="sums/task.py") for name in "ab")
    assert api.compare(a, b).frame().set_index("metric")["difference"]["exact_match_strict"] == 25.0
    assert api.compare("a", "b", tasks=[Path("sums/task.py")]).record.tasks[0].common == 16
    assert api.gate("a", "b", policy="sums.toml", tasks="sums/task.py").passed
    assert api.leaderboard("a", "b", tasks="sums/task.py").groups[0].headline[0] == "exact_match_strict"
    again = api.evaluate("file:b.jsonl", "sums/task.py", out="again", progress=False)
    assert api.compare(a, again).record.tasks[0].differences[0].difference == 25.0
    with pytest.raises(UsageError, match=r"given as a file \(task\.py\)"):
        api.gate("a", "b", policy="sums.toml")
    with pytest.raises(UsageError, match="gsm8k is no path"):
        api.load_run("a", tasks="gsm8k")


def test_from_a_test_suite(place: Path, pytester: pytest.Pytester) -> None:
    """The fixture takes the file as well; a path that is not absolute lies below the root folder."""
    for name in ("a", "b", "sums", "sums.toml"):
        (shutil.copytree if (place / name).is_dir() else shutil.copy)(place / name, pytester.path / name)
    pytester.makepyfile(
        "from judgebench.pytest_plugin import assert_no_regression\n"
        "def test_it(judgebench_run):\n"
        "    a, b = (judgebench_run(name, tasks='sums/task.py') for name in 'ab')\n"
        "    assert judgebench_run('a', tasks='sums/task.py') is a\n"
        "    assert_no_regression(b, a, policy='sums.toml')\n"
        "def test_without(judgebench_run):\n"
        "    assert_no_regression(judgebench_run('b'), judgebench_run('a'), policy='sums.toml')\n"
    )
    found = pytester.runpytest_subprocess("-p", "judgebench.pytest_plugin")
    found.assert_outcomes(passed=1, failed=1)
    found.stdout.fnmatch_lines(["*TaskUnavailable: *was given as a file (task.py)*"])


# -- the fingerprint


def test_the_files_are_in_the_fingerprint(place: Path) -> None:
    """Every Python file, the sources and the starter set, by hash; and what is asked, by content."""
    fields = fields_of(place / "a")
    assert fields.code is not None
    modules = {path.name for path in (place / "sums").glob("*.py")}
    assert set(fields.code.sha256) == modules | {"sources.toml", "starter.jsonl"}
    assert fields.protocol["code"] == fields.code.sha256
    assert fields.protocol["examples"]["content"].startswith("sha256:")
    bundled = tasks.find("gsm8k")
    assert bundled.code is None


def test_what_lies_beside_the_task_is_no_part_of_it(place: Path, command: Command) -> None:
    """A README, answers, a run and an environment may come and go."""
    for name in (
        "README.md",
        "answers.jsonl",
        "runs/x/manifest.json",
        "venv/pyvenv.cfg",
        "venv/lib/x.py",
        ".hidden/y.py",
    ):
        (place / "sums" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "sums" / name).write_text("other\n")
    assert command("score", "a", *SUMS).code == 0
    (place / "sums" / "more").mkdir()
    (place / "sums" / "more" / "rules.py").write_text("")
    assert "more/rules.py changed since" in command("score", "a", *SUMS).paragraph


@pytest.mark.parametrize("name", [name for name in NEED_THE_FILE if "judged run" not in name])
def test_another_state_of_the_file_is_refused(place: Path, command: Command, name: str) -> None:
    """The message names what changed, and nothing is read or written by it."""
    arguments, flag, _ = NEED_THE_FILE[name]
    folder = place / flag[1].partition("/")[0]
    before = {path: path.read_bytes() for path in place.rglob("*.json*")}
    (folder / "metrics.py").write_text((folder / "metrics.py").read_text() + "# changed\n")
    said = command(*arguments, *flag).paragraph
    assert "another version of the task" in said
    assert "metrics.py changed since" in said
    assert {path: path.read_bytes() for path in place.rglob("*.json*")} == before


@pytest.mark.parametrize("state", ["changed", "not named"])
def test_show_has_what_was_recorded_without_the_code(place: Path, command: Command, state: str) -> None:
    """A page on a run whose task changed since, or is not named, says so and shows records: values, answers, verdicts
    and replies. What needs the code is named, or refused.
    """
    for run, flag, rule in (("a", SUMS, "numeric"), ("c", DUELS, "shown first: ")):
        whole = command("show", run, "--worst", "1", *flag).out
        file = place / flag[1].partition("/")[0] / "metrics.py"
        if state == "changed":
            file.write_text(file.read_text() + "# changed\n")
        named = flag if state == "changed" else ()
        said = "metrics.py changed since" if state == "changed" else "was given as a file (task.py)"
        glance = command("show", run, *named)
        assert glance.code == 0, glance.err
        assert "this is what the run recorded" in glance.out
        assert said in " ".join(glance.out.split())
        assert "16 items" in glance.out
        item = command("show", run, "--worst", "1", *named).out
        assert rule in whole
        assert rule in item
        assert ("prompt: not here: the task's code builds it, so name the file that the run" in item) is (run == "c")
        assert "verdict: " in item or "verifier" in item
        assert said in command("show", run, "--group", "x=y", *named).paragraph


def test_a_changed_file_is_another_protocol(place: Path, command: Command) -> None:
    """It is imported anew in the same process, and its runs are not compared with the older ones."""
    rule = place / "sums" / "extraction.py"
    rule.write_text(rule.read_text().replace("def verify(", "def verify_before(") + (
        "\n\ndef verify(*given, **named):\n"
        "    return verify_before(*given, **named).__class__(value=0.0, label='never')\n"
    ))  # fmt: skip
    ended = command("eval", "--model", "file:a.jsonl", *SUMS, "--out", "never", "--quiet", "--json")
    assert {score["value"] for score in json.loads(ended.out)["scores"] if score["group"] is None} == {0.0}
    _, other = json.loads(command("leaderboard", "a", "never", "--format", "json").out)
    assert other["differs"] == ["code.extraction.py"]
    assert "file extraction.py" in command("compare", "a", "never", *SUMS).paragraph


def test_data_that_the_file_reads_itself_is_in_the_fingerprint(tmp_path: Path, command: Command) -> None:
    """Whatever its file is called: the examples count, not only their ids."""
    file = own_task("gsm8k", "sums", tmp_path / "sums")
    file.write_text(file.read_text().replace("starter.jsonl", "questions.jsonl"))
    for path in file.parent.glob("*.py"):
        path.write_text(path.read_text().replace("starter.jsonl", "questions.jsonl"))
    questions = file.parent / "questions.jsonl"
    (file.parent / "starter.jsonl").rename(questions)
    answers, prints = sums_answers(tmp_path / "m.jsonl", 3), []
    for out in ("one", "two"):
        ended = command("eval", "--model", f"file:{answers}", "--tasks", file, "--out", tmp_path / out, "--quiet")
        assert ended.code == 0, ended.err
        prints.append(fields_of(tmp_path / out).protocol)
        questions.write_text(questions.read_text().replace(" a ", " some ", 1))
    assert prints[0]["code"] == prints[1]["code"]
    assert prints[0]["examples"]["ids"] == prints[1]["examples"]["ids"]
    assert prints[0]["examples"]["content"] != prints[1]["examples"]["content"]


# -- which task is meant


def test_a_file_that_calls_itself_like_a_bundled_task(tmp_path: Path, command: Command) -> None:
    """It is never taken for that one, nor that one for it: neither code, nor rank, nor published row."""
    file, answers = own_task("gsm8k", "gsm8k", tmp_path / "mine"), sums_answers(tmp_path / "m.jsonl", 3)
    for name, task in (("own", str(file)), ("bundled", "gsm8k")):
        made = command(
            "eval", "--model", f"file:{answers}", "--tasks", task, "--starter", "--out", tmp_path / name, "-q"
        )
        assert made.code == 0, made.err
    own, bundled = tmp_path / "own", tmp_path / "bundled"
    assert "was given as a file (task.py)" in command("score", own).paragraph
    assert "that is installed here, not with" in command("score", bundled, "--tasks", file).paragraph
    refused = command("gate", "--baseline", bundled, "--candidate", own, "--max-drop", "5").paragraph
    assert "they differ in code" in refused
    assert len(json.loads(command("leaderboard", own, bundled, "--format", "json").out)) == 2


RANKED = """

_without = task


def task(version, options, *, starter=False):
    import dataclasses

    return dataclasses.replace(_without(version, options), hub=("dataset", "task"))
"""


def test_its_numbers_are_not_held_against_published_ones(tmp_path: Path, command: Command) -> None:
    """Nor are they written for the Hub's ranking, whatever dataset the file names."""
    file = own_task("alpacaeval", "alpacaeval", tmp_path / "mine")
    run = write_totals(tmp_path / "run", "m", 50.0).rename(tmp_path / "own")
    manifest = RunFolder(run).require_manifest()
    manifest.tasks["alpacaeval"].code = tasks.code_of(file)
    RunFolder(run).write_manifest(manifest)
    asked = ("gate", "--baseline", "published:gpt4", "--candidate", run, "--max-drop", "5", "--tasks", file)
    assert "code (that of the file task.py, and the benchmark's own" in command(*asked).paragraph
    file.write_text(file.read_text() + RANKED)
    manifest.tasks["alpacaeval"].code = tasks.code_of(file)
    RunFolder(run).write_manifest(manifest)
    said = command("export", run, "--to", "eval-results", "--out", tmp_path / "out", "--tasks", file).paragraph
    assert "has no number for a dataset on the Hub" in said


def test_a_name_that_is_not_known_here(place: Path, command: Command) -> None:
    """A run of an installed package that is not here says so, and takes the file of that task."""
    manifest = json.loads((place / "a" / "manifest.json").read_text())
    manifest["tasks"]["sums"]["code"] = None
    (place / "a" / "manifest.json").write_text(json.dumps(manifest))
    said = command("score", "a").paragraph
    assert "neither bundled nor part of an installed package" in said
    assert "--tasks ./sums/task.py" in said
    assert command("score", "a", *SUMS).code == 0
    assert fields_of(place / "a").code is not None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere/task.py", "there is no such file, nor the folder nowhere"),
        ("sums/task.py@cot8", "the runs say their version and options"),
        ("sums/task.py,again/task.py", "names sums twice"),
    ],
)
def test_what_names_no_file_is_refused(place: Path, command: Command, given: str, said: str) -> None:
    """By the commands whose ``--tasks`` takes nothing else."""
    shutil.copytree(place / "sums", place / "again")
    for arguments in (("compare", "a", "b"), ("judge", "d"), ("explain", "a"), ("leaderboard", "a")):
        assert said in command(*arguments, "--tasks", given).paragraph


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit", "cannot be loaded: SystemExit"),
        ("def task(version, options, *, starter=False):\n    raise SystemExit(0)", "cannot be made: SystemExit"),
        ("def task(version, options, *, starter=False):\n    return options['x']", "cannot be made: KeyError"),
        ("def task(version, options, *, starter=False):\n    return None", "must return a Task"),
        ("import no_such_module_anywhere", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_file_that_does_not_work_ends_in_a_paragraph(place: Path, command: Command, text: str, said: str) -> None:
    """Whatever it raises: a gate does not pass by it."""
    (place / "sums" / "task.py").write_text(text + "\n")
    for arguments in NEED_THE_FILE["gate"][0], NEED_THE_FILE["score"][0], ("eval", *TINY):
        assert said in command(*arguments, *SUMS).paragraph
