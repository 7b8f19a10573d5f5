"""Answers that are run: HumanEval, hostile answers in a whole run, functions, and what a run keeps."""

import gzip
import json
import shutil
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from judgebench.grading import bubblewrap, sandbox
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Judgement, Request
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.grading.test_sandbox import Machine
from tests.hostile_programs import HOSTILE
from tests.kinds.test_kinds import scores, write_rows, write_task
from tests.patience import wait_for
from tests.processes import kill, started
from tests.sandboxes import needs_sandbox
from tests.shared_data import SharedData

HUMANEVAL = SharedData("humaneval")
PROGRAM = '''
kind = "verify"
prompts = "problems.jsonl"
fields = { id = "task_id", instruction = "prompt" }
sampling = { temperature = 0.8 }
[verify]
command = ["python3", "{answer_file}"]
seconds = 3
k = [1, 10, 100]
program = """
{{ prompt }}{{ answer }}
{{ test }}
check({{ entry_point }})
print("{{ token }}")
"""
'''
PLAIN = """
kind = "verify"
prompts = "prompts.jsonl"
[verify]
command = ["python3", "{answer_file}"]
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answered(*answers: str, **columns: Any) -> None:
    """Write as many items as there are answers, with these columns, and the answers."""
    write_rows("prompts.jsonl", [{"instruction": f"Question {n}?", **columns} for n in range(len(answers))])
    write_rows("answers.jsonl", [{"id": str(n), "output": text} for n, text in enumerate(answers)])


def evaluated(text: str, *flags: object) -> dict[str, Judgement]:
    """Run the answers; return the judgements by the id of the item."""
    write_task(text)
    judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run", *flags])
    return kept()


def kept(task: str = "mine") -> dict[str, Judgement]:
    """The judgements in the run folder."""
    return {one.example_id: one for one in RunFolder(Path("run")).task(task).judgements()}


def labels(judgements: dict[str, Judgement]) -> list[str | None]:
    """How the answers ended."""
    return [judgement.verdict.label for judgement in judgements.values()]


@needs_sandbox
def test_humaneval_canonical_solutions_pass() -> None:
    """164 of 164, in official problems."""
    official = (HUMANEVAL / "HumanEval.jsonl.gz").read_bytes()
    Path("HumanEval.jsonl.gz").write_bytes(official)
    rows = [json.loads(line) for line in gzip.decompress(official).splitlines()]
    write_rows("answers.jsonl", [{"id": row["task_id"], "output": row["canonical_solution"]} for row in rows])
    evaluated(PROGRAM.replace("problems.jsonl", "HumanEval.jsonl.gz"))
    found = scores("run")
    assert (found["pass@1", None].value, found["pass@1", None].n) == (100, 164)
    assert found["pass@10", None].value is None
    assert found["pass@10", None].reason == "no item has 10 answers with a verdict"


@needs_sandbox
def test_humaneval_example_samples() -> None:
    """The README of openai/human-eval: of the six samples of one problem three pass, so pass@1 is 0.5."""
    (problem,) = [json.loads(line) for line in (HUMANEVAL / "example_problem.jsonl").read_text().splitlines()]
    samples = [json.loads(line) for line in (HUMANEVAL / "example_samples.jsonl").read_text().splitlines()]
    write_rows("problems.jsonl", [problem])
    write_task(PROGRAM.replace("seconds = 3", "seconds = 1").replace("[1, 10, 100]", "[1, 2, 6]"))
    with playing(ScriptedModel([reply(sample["completion"]) for sample in samples])) as spec:
        judgebench(["eval", "--model", spec, "--tasks", "mine.toml", "--repeats", "6", "--out", "run"])
    assert Counter(labels(kept())) == {"passed": 3, "failed": 2, "over time": 1}
    (late,) = (name for name, one in kept().items() if one.verdict.label == "over time")
    shown = " ".join(judgebench(["show", "run", "--tasks", "mine.toml", "--item", late, "--full"]).stdout.split())
    assert shown.count("(limit 1 s, in which waiting for a core is not counted)") == 1
    found = scores("run")
    assert found["pass@1", None].value == pytest.approx(50)
    assert found["pass@2", None].value == pytest.approx(100 * (1 - 3 / 15))  # 1 - C(3, 2) / C(6, 2)
    assert found["pass@6", None].value == pytest.approx(100)


@needs_sandbox
def test_hostile_answers_are_all_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among them the run goes on: every one has a verdict, none passes, honest ones do, and nothing has escaped."""
    monkeypatch.setenv("CANARY_KEY", "CANARY")
    machine = Machine(tmp_path / "machine")
    try:
        hostile = [machine.program(code) for code in HOSTILE.values()]
        answered("x = 1", *hostile, "y = 2")
        text = PLAIN + f'file = "{machine.file}"\n'
        limits = "seconds = 1\nmemory_mb = 256\nprocesses = 24\ndisk_mb = 32\n"
        found = evaluated(text + limits + 'program = """\n{{ answer }}\nprint("{{ token }}")\n"""\n')
        machine.require_untouched()
    finally:
        machine.close()
    passed = [name for name, one in zip(["first", *HOSTILE, "last"], found.values(), strict=True) if one.verdict.value]
    assert passed == ["first", "last"]
    assert all(one.verdict.value is not None for one in found.values())
    assert not [one for one in found.values() if "ESCAPED" in str(one.verdict.details)]
    assert scores("run")["pass@1", None].n == len(HOSTILE) + 2
    assert scores("run")["pass@1", None].n_missing == 0


@needs_sandbox
def test_exit_status_and_output_are_kept_and_shown() -> None:
    """In the record of each verdict, and by ``show``."""
    answered("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)", "print('fine')")
    found = evaluated(PLAIN)
    assert labels(found) == ["failed", "passed"]
    details = found["0"].verdict.details
    assert (details["exit_status"], details["stdout"], details["stderr"]) == (7, "out\n", "err\n")
    shown = judgebench(["show", "run", "--tasks", "mine.toml", "--item", "0"]).stdout
    assert "exit status 7" in shown
    assert "err" in shown


@needs_sandbox
def test_what_a_program_wrote_does_not_reach_the_terminal() -> None:
    """Its output may be made to clear the screen, or to look like a verdict: it is shown as text."""
    answered(r"print('\x1b[2J\x1b]0;mine\x07\x00', chr(0x202e), chr(0xd800).encode('utf-8', 'surrogatepass')); 1 / 0")
    evaluated(PLAIN)
    shown = judgebench(["show", "run", "--tasks", "mine.toml", "--item", "0", "--full"]).stdout
    assert not set(shown) & {"\x1b", "\x07", "\x00", "\u202e"}
    assert "ZeroDivisionError" in shown


@needs_sandbox
def test_input_output_and_files(place: Path) -> None:
    """A column is the input, another the output that is wanted; files beside the benchmark and the item are there."""
    write_rows(
        "prompts.jsonl",
        [
            {"instruction": "Add.", "given": "1 2\n", "want": "3"},
            {"instruction": "Add.", "given": "2 2\n", "want": "5"},
        ],
    )
    add = "print(sum(map(int, input().split())), ' ')\n\n"
    write_rows("answers.jsonl", [{"id": str(n), "output": f"Mine:\n```python\n{add}```\n"} for n in range(2)])
    (place / "judge.py").write_text(
        "import json, subprocess, sys\n"
        "item = json.load(open(sys.argv[2]))\n"
        "assert item['instruction'] == 'Add.' and open('extra.txt').read() == 'extra'\n"
        "sys.exit(subprocess.call([sys.executable, sys.argv[1]]))\n"
    )
    (place / "extra.txt").write_text("extra")
    text = PLAIN.replace('["python3", "{answer_file}"]', '["python3", "judge.py", "{answer_file}", "{item_file}"]')
    more = 'stdin = "given"\nexpected = "want"\nfiles = ["extra.txt"]\nextract = "code"\nfile = "mine.py"\n'
    assert labels(evaluated(text + more)) == ["passed", "other output"]
    code = RunFolder(Path("run")).require_manifest().tasks["mine"].protocol["code"]
    assert {"judge.py", "extra.txt", "mine.toml", "prompts.jsonl"} <= set(code)


FUNCTION = """
kind = "verify"
prompts = "prompts.jsonl"
[verify]
function = "mychecks.inner:solves"
seconds = 2
"""


@needs_sandbox
def test_functions(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of a package says true, false, or how much is right; what the answer raises in it is wrong."""
    package = place / "packages" / "mychecks"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(
        "def solves(answer, item):\n"
        "    if answer[:1] in '1(': exec(answer)\n"
        "    return {'all': True, 'half': 0.5}.get(answer, answer == item['wanted'])\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    answered("all", "half", "1 / 0", "(", "42", "43", wanted="42")
    assert labels(evaluated(FUNCTION)) == ["passed", "failed", "error", "error", "passed", "failed"]
    found = scores("run")
    assert found["pass@1", None].value == pytest.approx(100 * 2 / 6)
    assert found["score", None].value == pytest.approx(100 * 2.5 / 6)
    assert [kept()[name].verdict.details["error"].partition(":")[0] for name in "23"] == [
        "ZeroDivisionError",
        "SyntaxError",
    ]


BROKEN = {
    "raise KeyError('gone')": "mychecks:solves raised KeyError: 'gone'",
    "return answer + 1": "mychecks:solves raised TypeError: can only concatenate",
    "return 'yes'": "mychecks:solves returned 'yes', and not true, false or a number from 0 to 1",
}


def own_check(body: str) -> None:
    """Write a module beside the benchmark whose function does this, and the benchmark."""
    Path("mychecks.py").write_text(f"def solves(answer, item):\n    {body}\n")
    write_task(FUNCTION.replace(".inner", ""))


@needs_sandbox
@pytest.mark.parametrize("body", BROKEN)
def test_a_function_that_fails_makes_no_answer_wrong(body: str, place: Path) -> None:
    """Its verdicts are missing, the run is incomplete, and the screen says what the function did; mended, it counts."""
    answered("one", "two")
    own_check(body)
    ended = judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"], code=4)
    assert BROKEN[body] in " ".join(ended.stderr.split())
    assert "2 of 2 verdicts are unread" in " ".join(ended.stderr.split())
    found = scores("run")["pass@1", None]
    assert (found.value, found.n_missing) == (None, 2)
    (finding,) = (one for one in RunFolder(Path("run")).results().integrity if one.check.endswith("_grading"))
    assert (finding.check, finding.count) == ("failed_grading", 2)
    assert "limit" not in finding.message
    checked = judgebench(["tasks", "check", "mine.toml"], code=2)
    assert BROKEN[body] in " ".join((checked.stdout + checked.stderr).split())
    again = judgebench(["score", "run", "--tasks", "mine.toml"], code=4)
    assert BROKEN[body] in " ".join((again.stdout + again.stderr).split())
    own_check("return True")
    judgebench(["score", "run", "--tasks", "mine.toml"])
    assert scores("run")["pass@1", None].value == 100


@needs_sandbox
def test_another_function_is_another_protocol(place: Path) -> None:
    """So it is with a file of data in its package; cached bytecode changes nothing."""
    answered("one", "two")
    package = place / "mychecks"
    package.mkdir()
    files = {"__init__.py": "", "inner.py": "def solves(answer, item): return answer == 'one'\n", "words.txt": "a"}
    for name, text in files.items():
        (package / name).write_text(text)
    evaluated(FUNCTION)
    assert scores("run")["pass@1", None].value == 50
    seen = [protocol_hash()]
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "inner.pyc").write_text("x")
    judgebench(["score", "run", "--tasks", "mine.toml"])
    assert protocol_hash() == seen[0]
    for name, text in (("words.txt", "b"), ("inner.py", "def solves(answer, item): return True\n")):
        (package / name).write_text(text)
        judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", name])
        seen.append(protocol_hash(name))
    assert len(set(seen)) == 3
    assert scores("inner.py")["pass@1", None].value == 100
    judgebench(["score", "run", "--tasks", "mine.toml"])
    assert (scores("run")["pass@1", None].value, protocol_hash()) == (100, seen[2])


def protocol_hash(run: str = "run") -> str:
    """The run's protocol, in one word."""
    return RunFolder(Path(run)).require_manifest().protocol_hash


@needs_sandbox
def test_the_function_beside_the_file_is_the_one_that_is_called(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder, too, and where an installed package has its name or Python itself does."""
    installed = place / "site-packages" / "statistics"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("def solves(answer, item): return False\n")
    monkeypatch.syspath_prepend(installed.parent)
    folder = place / "mine"
    folder.mkdir()
    (folder / "statistics.py").write_text("def solves(answer, item): return True\n")
    write_rows("mine/prompts.jsonl", [{"instruction": "Question?"}])
    write_rows("answers.jsonl", [{"id": "0", "output": "one"}])
    (folder / "mine.toml").write_text(FUNCTION.replace("mychecks.inner", "statistics"))
    judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine/mine.toml", "--out", "run"])
    assert scores("run")["pass@1", None].value == 100
    judgebench(["tasks", "check", "mine/mine.toml"])


FORGERIES = {
    "ends the process": "import os; os._exit(0)",
    "says so everywhere": """
import os
for number in range(1, 300):
    try: os.write(number, b'\\n{"word": "", "value": 1.0}\\n')
    except OSError: pass
os._exit(0)
""",
    "as a program of its own": """
import glob, os, subprocess, sys
subprocess.run([sys.executable, "-c", '''
import glob, os
for path in glob.glob("/proc/[0-9]*/fd/*") + glob.glob("/proc/[0-9]*/mem"):
    try: os.write(os.open(path, os.O_WRONLY), b"\\\\n{\\\\"value\\\\": 1.0}\\\\n")
    except OSError: pass
'''])
os._exit(0)
""",
    "kills who started it": "import os\nfor pid in (os.getppid(), os.getpid()): os.kill(pid, 9)",
}


@needs_sandbox
@pytest.mark.parametrize("how", ["exec(answer)", "subprocess.run([sys.executable, '-c', answer])"])
def test_an_answer_cannot_say_that_it_passed(how: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that runs the answer, in its own process or another one, and then finds that it is wrong."""
    (place / "mychecks").mkdir()
    (place / "mychecks" / "inner.py").write_text(
        f"import subprocess, sys\ndef solves(answer, item):\n    {how}\n    return False\n"
    )
    monkeypatch.syspath_prepend(place)
    answered(*FORGERIES.values())
    found = evaluated(FUNCTION)
    assert [one.verdict.value for one in found.values()] == [0.0] * len(FORGERIES)


@needs_sandbox
def test_a_function_that_is_not_there_is_nobodys_fault(place: Path) -> None:
    """No answer is wrong by it: the verdicts are missing, and the run says why."""
    answered("all")
    write_task(FUNCTION)
    ended = judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"], code=4)
    assert scores("run")["pass@1", None].n_missing == 1
    assert "cannot be called" in str(kept()["0"].verdict.error)
    assert "ModuleNotFoundError: No module named 'mychecks'" in " ".join(ended.stderr.split())
    checked = judgebench(["tasks", "check", "mine.toml"], code=2)
    assert "cannot be called" in " ".join((checked.stdout + checked.stderr).split())


@needs_sandbox
def test_a_run_that_was_killed_runs_no_program_twice() -> None:
    """Programs that tell the time: what was there when the run was killed is there at its end."""
    answered(*["import time; time.sleep(0.2); print(time.time_ns())"] * 24)
    write_task(PLAIN)
    arguments = ["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"]
    path = Path("run", "mine", "judgements.jsonl")
    with started(arguments) as process:
        wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") >= 4)
        kill(process)
    before = {one.example_id: one.verdict for one in RunFolder(Path("run")).task("mine").judgements()}
    assert 4 <= len(before) < 24
    judgebench(arguments)
    after = {name: one.verdict for name, one in kept().items()}
    assert len(after) == 24
    assert {name: after[name] for name in before} == before
    judgebench(["score", "run", "--tasks", "mine.toml"])
    assert {name: one.verdict for name, one in kept().items()} == after
    assert scores("run")["pass@1", None].value == 100


def without_sandbox(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Let this machine have Python and a shell, but no bubblewrap."""
    (place / "bin").mkdir()
    for name in ("sh", "python3"):
        (place / "bin" / name).symlink_to(shutil.which(name) or sys.executable)
    monkeypatch.setenv("PATH", str(place / "bin"))
    for found in (sandbox.why_not, bubblewrap.lacking):
        monkeypatch.setattr(f"{found.__module__}.{found.__name__}", cache(found.__wrapped__))


def test_nothing_is_run_without_a_sandbox(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no bubblewrap, the command ends before a model is asked, and says what to do."""
    without_sandbox(monkeypatch, place)
    answered(f"open({str(place / 'was_here')!r}, 'w')")
    write_task(PLAIN)
    asked: list[object] = []
    with playing(ScriptedModel(lambda request: asked.append(request) or reply("x"))) as spec:
        ended = judgebench(["eval", "--model", spec, "--tasks", "mine.toml", "--out", "run"], code=2)
    assert "bubblewrap is not installed" in ended.stderr
    assert "--unsafe-local" in ended.stderr
    assert asked == []
    ended = judgebench(["import", "answers.jsonl", "--from", "outputs", "--task", "mine.toml", "--out", "mine"], code=2)
    assert "--unsafe-local" in ended.stderr
    assert not (place / "was_here").exists()


def test_unsafe_local(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs answers all the same, and the protocol says so: such a run is not compared with one of the sandbox."""
    without_sandbox(monkeypatch, place)
    answered(f"open({str(place / 'was_here')!r}, 'w')", "raise SystemExit(1)", "while True: pass")
    found = evaluated(PLAIN + "seconds = 1\n", "--unsafe-local")
    assert labels(found) == ["passed", "failed", "over time"]
    assert (place / "was_here").exists()
    manifest = RunFolder(Path("run")).require_manifest().tasks["mine"]
    assert manifest.label == "mine@1:sandbox=no"
    assert "no sandbox" in manifest.protocol["verifiers"]["program"]
    monkeypatch.undo()


def test_a_run_folder_cannot_ask_for_it(place: Path) -> None:
    """Somebody else's run says that its answers were run without a sandbox: to score it again runs none of them."""
    answered("x = 1")
    evaluated(PLAIN, "--unsafe-local")
    path = Path("run", "mine", "generations.jsonl")
    path.write_text(path.read_text().replace("x = 1", f"open({str(place / 'was_here')!r}, 'w')".replace('"', "'")))
    ended = judgebench(["score", "run", "--tasks", "mine.toml"], code=2)
    assert "--unsafe-local" in ended.stderr
    assert not (place / "was_here").exists()
    judgebench(["score", "run", "--tasks", "mine.toml", "--unsafe-local"])
    assert (place / "was_here").exists()


def test_a_file_cannot_ask_for_it(place: Path) -> None:
    """A benchmark that wants no sandbox is refused, too, unless the user agrees."""
    answered("x = 1")
    write_task(PLAIN + "sandbox = false\n")
    ended = judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"], code=2)
    assert "without a sandbox" in ended.stderr


@needs_sandbox
def test_every_command_takes_such_runs() -> None:
    """Compare, gate, leaderboard, explain, plan and an early stop, on two runs whose numbers are known on paper."""
    answered(*["x = 1"] * 6 + ["raise SystemExit(1)"] * 2, category="easy")
    write_task(PLAIN)
    files = ["--tasks", "mine.toml"]
    evaluated(PLAIN)
    write_rows("worse.jsonl", [{"id": str(n), "output": "x = 1" if n < 3 else "1 / 0"} for n in range(8)])
    judgebench(["eval", "--model", "file:worse.jsonl", *files, "--out", "worse"])
    found = scores("run")
    assert found["pass@1", None].value == found["pass@1", "category=easy"].value == 75
    assert found["pass@1", None].details["failed"] == 2
    compared = json.loads(judgebench(["compare", "run", "worse", *files, "--format", "json"]).stdout)
    assert "-37.5" in json.dumps(compared)
    assert "37.5" in judgebench(["leaderboard", "run", "worse", *files]).stdout
    gated = judgebench(["gate", "--candidate", "worse", "--baseline", "run", *files, "--max-drop", "1"], code=None)
    assert "FAIL" in gated.stdout or "INCONCLUSIVE" in gated.stdout.upper()
    judgebench(["plan", "--task", "mine.toml", "--metric", "pass@1", "--delta", "5"])
    judgebench(["explain", "run", "worse", *files])
    assert "pass@1" in judgebench(["show", "run", *files]).stdout
    stopped = ["eval", "--model", "file:answers.jsonl", *files, "--stop-when", "ci<45", "--out", "stopped"]
    judgebench(stopped, code=None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('command = ["python3", "{answer_file}"]', "names a command"),
        ('["python3", "{answer_file}"]', "does not say where the answer goes"),
        ('"{answer_file}"', "{program_file} is neither"),
    ],
)
def test_errors_name_the_key(change: str, said: str) -> None:
    """The file, the line of the key, and what is wrong."""
    answered("x = 1")
    other = {"names a command": "", "does not": '["python3"]'}.get(said[: len("does not")], '"{program_file}"')
    write_task(PLAIN.replace(change, "" if said == "names a command" else other))
    ended = judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"], code=2)
    assert said in ended.stderr
    assert "mine.toml" in ended.stderr


def test_a_slot_without_a_column() -> None:
    """The slot, the item, and the columns that there are."""
    answered("x = 1", test="1")
    write_task(PLAIN + 'program = """\n{{ answer }}{{ tests }}\n"""\n')
    ended = judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"], code=2)
    assert "{{ tests }}" in ended.stderr
    assert "did you mean" in ended.stderr.lower()


def test_verdicts_made_elsewhere() -> None:
    """Of EvalPlus, say: they are scored as our own are."""
    answered("a", "b", "c", "d")
    write_rows("verdicts.jsonl", [{"id": str(n), "value": n > 0} for n in range(4)])
    write_task(PLAIN)
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"])
    assert scores("run")["pass@1", None].value == 75


@needs_sandbox
def test_an_early_stop_runs_few_answers() -> None:
    """Of 200 answers that all pass, few are run and few asked for; a run that was killed ends at the same answer."""
    write_rows("prompts.jsonl", [{"instruction": f"Question {n}?"} for n in range(200)])
    write_task(PLAIN)
    asked: list[Request] = []

    def answer(request: Request) -> Any:
        asked.append(request)
        return reply("import time; print(time.time_ns())")

    with playing(ScriptedModel(answer)) as spec:
        arguments = ["eval", "--model", spec, "--tasks", "mine.toml", "--stop-when", "ci<9", "--out"]
        said = " ".join(judgebench([*arguments, "run"]).stdout.split())
        stop = RunFolder(Path("run")).require_manifest().tasks["mine"].early_stop
        assert stop is not None
        assert stop.early_stopped
        assert stop.n < 80
        assert len(asked) < 120
        assert f"{stop.n} of 200 examples in random order" in said
        assert "answers made, about" in said
        assert scores("run")["pass@1", None].value == 100
        before = {name: one.verdict for name, one in kept().items()}
        path = Path("run", "mine", "judgements.jsonl")
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:10]))
        judgebench([*arguments, "run"])
    again = RunFolder(Path("run")).require_manifest().tasks["mine"].early_stop
    assert again is not None
    assert (again.n, again.early_stopped) == (stop.n, True)
    assert sum(one.verdict == before.get(name) for name, one in kept().items()) >= 10


@needs_sandbox
def test_answers_that_were_there_stop_early_too() -> None:
    """Of a file: a failed answer, and one whose program takes too long, are looked at like the others."""
    answered(*["x = 1"] * 30, "while True: pass", *["raise SystemExit(1)"] * 9)
    evaluated(PLAIN + "seconds = 1\n", "--stop-when", "ci<30")
    stop = RunFolder(Path("run")).require_manifest().tasks["mine"].early_stop
    assert stop is not None
    assert stop.early_stopped
    assert 5 < stop.n < 40
    assert scores("run")["pass@1", None].n == stop.n
