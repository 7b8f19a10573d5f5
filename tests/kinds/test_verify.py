"""Answers that are run: HumanEval, hostile answers in a whole run, functions, and what a run keeps."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Judgement
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
    lines = gzip.decompress((HUMANEVAL / "HumanEval.jsonl.gz").read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines]
    write_rows("problems.jsonl", rows)
    write_rows("answers.jsonl", [{"id": row["task_id"], "output": row["canonical_solution"]} for row in rows])
    evaluated(PROGRAM)
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
        limits = "seconds = 1\nmemory_mb = 256\nprocesses = 24\ndisk_mb = 32\n"
        found = evaluated(PLAIN + limits + 'program = """\n{{ answer }}\nprint("{{ token }}")\n"""\n')
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
    """A function of a package says true, false, or how much is right; what it raises counts, and is flagged."""
    package = place / "packages" / "mychecks"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(
        "def solves(answer, item):\n"
        "    if answer == 'raise': raise ValueError('no')\n"
        "    return {'all': True, 'half': 0.5, 'text': 'yes'}.get(answer, answer == item['wanted'])\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    answered("all", "half", "text", "raise", "42", "43", wanted="42")
    assert labels(evaluated(FUNCTION)) == ["passed", "failed", "error", "error", "passed", "failed"]
    found = scores("run")
    assert found["pass@1", None].value == pytest.approx(100 * 2 / 6)
    assert found["score", None].value == pytest.approx(100 * 2.5 / 6)
    assert "must" not in str(kept()["2"].verdict.details)
    assert "it returned 'yes'" in str(kept()["2"].verdict.details["error"])


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
    ended = judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"], code=None)
    assert scores("run")["pass@1", None].n_missing == 1
    assert "cannot be called" in str(kept()["0"].verdict.error)
    assert ended is not None


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
