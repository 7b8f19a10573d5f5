"""Folders with a ``task.toml``: official files, published prompts, strict readings, editions, options, starter sets."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.codec import sha256_hex
from judgebench.errors import UsageError
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request
from judgebench.run.folder import RunFolder
from judgebench.tasks import TaskSpec
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import judgebench_process, kill, started
from tests.servers.launch import chat_server

PROGRAM = """
import does_not_exist

def main():
    PROMPT = "wrong"

PROMPT = '''
Braces {{}} stay. <answer>{}</answer> Question: {}
''' + "Your verdict."
"""
PROMPT = "\nBraces {} stay. <answer>%s</answer> Question: %s\nYour verdict."
TASK = """
kind = "rubric"
fields = { criteria = "asks", "criteria.text" = "criterion" }
reads = "json:verdict"
reasks = 1
[prompt]
file = "judge"
filling = "format"
slots = { 0 = "answer", 1 = "criterion" }
system = "You judge."
leaves_out = ["question"]
[verdict]
labels = { YES = 1, NO = 0 }
types = { verdict = "string" }
[editions.all]
prompts = "questions"
examples = 2
[editions.hard]
prompts = "hard.jsonl"
[options.points]
about = "true shows points."
values.false = {}
values.true = { rubric = { show_points = true } }
"""
ROWS = [
    {"id": "a", "instruction": "Hello?", "asks": [{"criterion": "Is it {polite}?", "points": 2, "by": "x"}]},
    {"id": "b", "instruction": "Bye?", "asks": [{"criterion": "Is it short?", "points": 1}]},
]
QUESTIONS = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the folder ``mine``, and a mirror that holds the program and the questions."""
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mirror").mkdir()
    Path("mirror/evaluator.py").write_text(PROGRAM)
    Path("mirror/questions.jsonl").write_text(QUESTIONS)
    Path("mine/task.toml").write_text(TASK)
    Path("mine/hard.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    Path("mine/starter.jsonl").write_text(json.dumps({**ROWS[0], "id": "s"}) + "\n")
    template = PROMPT.replace("{}", "{{}}") % ("{}", "{}")
    common = 'repo = "o/r"\nrevision = "1"\nlicence = "MIT"\n'
    Path("mine/sources.toml").write_text(
        f'[[source]]\nname = "questions"\npath = "questions.jsonl"\n{common}'
        f'sha256 = "{sha256_hex(QUESTIONS.encode())}"\n'
        f'[[source]]\nname = "judge"\npath = "src/evaluator.py"\nstring = "PROMPT"\n{common}'
        f'program_sha256 = "{sha256_hex(PROGRAM.encode())}"\nsha256 = "{sha256_hex(template.encode())}"\n'
    )
    Path("answers.jsonl").write_text('{"id": "a", "output": "Hi, {0} {1}"}\n{"id": "b", "output": "So long."}\n')
    return tmp_path


def evaluated(task: str, replies: Any, *flags: str, code: int = 0) -> tuple[RunFolder, list[Request]]:
    """Evaluate the answers with a judge of these replies, and return what it was asked."""
    asked: list[Request] = []

    def answer(request: Request) -> Any:
        asked.append(request)
        return reply(replies(len(asked)))

    with playing(ScriptedModel(answer)) as spec:
        where = ["--mirror", "mirror", "--offline", "--out", "run", *flags]
        judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", task, "--judge", spec, *where], code=code)
    return RunFolder(Path("run")), asked


def test_a_prompt_in_a_program_is_filled_in_one_pass(place: Path) -> None:
    """The program is not run; doubled braces are one, braces of texts stay, and nothing is stripped."""
    run, asked = evaluated("./mine", lambda number: '```json\n{"verdict": "YES"}\n```')
    first, second = (one.messages for one in asked)
    assert [message.role for message in first] == ["system", "user"]
    assert first[0].content == "You judge."
    assert first[1].content == PROMPT % ("Hi, {0} {1}", "Is it {polite}?")
    assert second[1].content == PROMPT % ("So long.", "Is it short?")
    (score,) = (one for one in run.results().scores if (one.metric, one.group) == ("score", None))
    assert (score.value, score.n) == (100, 2)


def test_an_unreadable_reply_is_asked_again_in_the_same_words(place: Path) -> None:
    """As often as the file says, without a reminder; then the verdict is missing."""
    run, asked = evaluated("./mine", lambda number: 'Sure: {"verdict": "YES"}', code=4)
    assert len(asked) == 4
    assert asked[0].messages in [one.messages for one in asked[1:]]
    assert all(len(one.messages) == 2 for one in asked)
    (score,) = (one for one in run.results().scores if (one.metric, one.group) == ("score", None))
    assert (score.value, score.n_missing) == (None, 2)


def test_editions_and_options_change_keys(place: Path) -> None:
    """The edition has other prompts, and the option shows points."""
    Path("answers.jsonl").write_text('{"id": "a", "output": "Hi"}\n')
    _, asked = evaluated("./mine@hard:points=true", lambda number: '{"verdict": "NO"}')
    assert len(asked) == 1
    assert asked[0].messages[1].content == PROMPT % ("Hi", "[2] Is it {polite}?")
    for wrong, told in (("./mine@soft", "it has all, hard"), ("./mine:points=2", "false, true")):
        ended = judgebench(["eval", "--model", "builtin:tiny", "--tasks", wrong, "--out", "x"], code=2)
        assert told in ended.stderr


def test_the_starter_set_needs_no_official_file(place: Path) -> None:
    """It is judged with the prompt of the kind, whose verdicts are read in its own way."""
    shutil.rmtree("mirror")
    judge = ["--judge", "builtin:tiny", "--starter", "--offline", "--out", "run"]
    judgebench(["eval", "--model", "builtin:tiny", "--tasks", "./mine", *judge])
    (task,) = RunFolder(Path("run")).require_manifest().tasks.values()
    assert (task.name, task.version, task.starter) == ("mine", "all", True)


def test_only_bundled_folders_have_code(place: Path) -> None:
    """A module named in a file of anybody else's is refused."""
    Path("mine/task.toml").write_text('code = "rules"\n' + TASK)
    Path("mine/rules.py").write_text("raise SystemExit")
    with pytest.raises(UsageError, match=r"task\.toml, line 1: code names a module"):
        tasks.load(TaskSpec("./mine"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("0 =", "7 =", "has no slot '7'; it has 0, 1"),
        (', 1 = "criterion"', "", "nothing is said to stand for its slot '1'"),
        ('"criterion" }\nsystem', '"rubrics" }\nsystem', "rubrics"),
        ('leaves_out = ["question"]', "", "leaves out the question"),
        ('{ verdict = "string" }', '{ other = "string" }', "verdict.types does not say the type of 'verdict'"),
        ('file = "judge"', 'file = "nowhere"', "'nowhere' is not a file"),
    ],
)
def test_a_wrong_prompt_is_named(place: Path, old: str, new: str, told: str) -> None:
    """What it lacks, and what there is."""
    assert old in TASK
    Path("mine/task.toml").write_text(TASK.replace(old, new))
    flags = ["--judge", "builtin:tiny", "--mirror", "mirror", "--offline", "--out", "run"]
    ended = judgebench(["eval", "--model", "builtin:tiny", "--tasks", "./mine", *flags], code=2)
    assert told in " ".join(ended.stderr.split())


def test_a_killed_run_goes_on_where_it_was(place: Path) -> None:
    """A real server and a real process, ended by ``kill -9``: the second one asks only for what no reply came to."""
    Path("mine/task.toml").write_text(TASK + '[judge_sampling]\njson_schema = \'{"type": "object"}\'\n')
    rows = [{**ROWS[1], "id": str(number), "instruction": f"Question {number}?"} for number in range(40)]
    Path("mine/hard.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [{"id": row["id"], "output": f"Answer {row['id']}."} for row in rows]
    Path("answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    with chat_server(text='{"verdict": "YES"}', delay_ms=50, log_bodies=1) as server:
        arguments = [
            "eval",
            "--model",
            "file:answers.jsonl",
            "--tasks",
            "./mine@hard",
            "--mirror",
            "mirror",
            "--offline",
        ]
        arguments += ["--judge", f"{server.base_url}#judge", "--judge-concurrency", "2", "--out", "run"]
        with started(arguments) as process:
            wait_for(lambda: server.counts()["start"] >= 12)
            kill(process)
        ended = judgebench_process(arguments)
        assert ended.returncode == 0, ended.stderr
        seen = server.seen()
        assert len(seen) == 40
        assert seen.total() <= 40 + 4
        assert server.bodies()[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}
    (score,) = (one for one in RunFolder(Path("run")).results().scores if (one.metric, one.group) == ("score", None))
    assert (score.value, score.n, score.n_missing) == (100, 40, 0)


def test_a_starter_set_may_have_its_own_words_for_a_prompt(place: Path) -> None:
    """They take the place of the official ones, and are read by the same rule."""
    shutil.rmtree("mirror")
    Path("mirror").mkdir()
    Path("mine/ours.md").write_text("Does {1} hold for {0}? Reply with a verdict in JSON.")
    Path("mine/task.toml").write_text(TASK.replace('file = "judge"', 'file = "judge"\nstarter_file = "ours.md"'))
    Path("answers.jsonl").write_text('{"id": "s", "output": "Hi"}\n')
    run, asked = evaluated("./mine", lambda number: '{"verdict": "NO"}', "--starter")
    assert asked[0].messages[1].content == "Does Is it {polite}? hold for Hi? Reply with a verdict in JSON."
    (score,) = (one for one in run.results().scores if (one.metric, one.group) == ("score", None))
    assert (score.value, score.n) == (0, 1)
