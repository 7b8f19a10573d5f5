"""``wrong_inputs.md``: what people get wrong, and what judgebench says, word by word.

``JUDGEBENCH_TEST_REWRITE=1`` writes what is said now into the page; read it before you commit it.
"""

import json
import os
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from judgebench.tasks import names
from tests.commands import judgebench
from tests.made_runs import write_run
from tests.own_tasks import sums_answers

PAGE = Path(__file__).with_name("wrong_inputs.md")
CASE = re.compile(r"^    \$ (judgebench .*)\n((?:    (?!\$ ).*\n)*)", re.MULTILINE)
LONGEST = 1200
"""Characters of a message. The longest one lists the judges that are served today."""
WORDS = "Count the spoons\nthen count the forks\n"


def cases() -> list[tuple[str, str]]:
    """Each command of the page, with what it says."""
    return [(command, re.sub(r"\s+", " ", said).strip()) for command, said in CASE.findall(PAGE.read_text())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all commands are typed. Its files are named for what is wrong with them."""
    place = tmp_path_factory.mktemp("wrong")
    sums_answers(place / "answers.jsonl", 3)
    rows = (place / "answers.jsonl").read_text().splitlines()
    texts = {
        "empty.jsonl": "",
        "cut-off.json": "[" + ",".join(rows)[:200],
        "answers.txt": WORDS,
        "twice.jsonl": "\n".join([*rows, rows[0]]),
        "stranger.jsonl": json.dumps({"id": "spoons", "output": "4"}),
        "columns.csv": "key,response\nstarter-01,4\n",
        "list.json": "[1, 2]",
        "strangers.txt": "starter-01\nspoons\n",
        "labels-no-header.csv": "starter-01,win\n",
        "labels-maybe.csv": "example_id,label\nstarter-01,maybe\n",
        "unknown-flag.toml": 'modle = "file:answers.jsonl"\n',
        "two-lines.toml": 'model = "file:answers.jsonl"\ntasks == 1\n',
        "policy-typo.toml": "[defaults]\nmax_dorp = 2\n",
        "policy-metric.toml": '[tasks.gsm8k]\nmetric = "exactness"\nmax_drop = 2\n',
        "policy-word.toml": '[defaults]\nmax_drop = "two"\n',
        "template.jinja": "{% for message in messages %}{{ message.content }",
        "not-a-table.csv": "model\n",
    }
    for name, text in texts.items():
        (place / name).write_text(text)
    (place / "binary.jsonl").write_bytes(bytes(range(256)) * 8)
    (place / "weights").mkdir()
    (place / "runs-of-others").mkdir()
    (place / "runs-of-others" / "notes.txt").write_text(WORDS)
    judgebench(
        ["eval", "--model", "file:answers.jsonl", "--tasks", "gsm8k", "--starter", "--out", "run", "--quiet"],
        cwd=place,
    )
    judgebench(
        ["eval", "--model", "file:answers.jsonl", "--tasks", "gsm8k", "--starter", "--limit", "4", "--out", "part"],
        cwd=place,
    )
    write_run(place / "run-of-sums", [1.0, 0.0, 1.0], task="sums", metrics=["exact"])
    return place


if "JUDGEBENCH_TEST_REWRITE" in os.environ:

    def test_rewrite(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not a test: it writes the page anew."""

        def anew(found: "re.Match[str]") -> str:
            lines = textwrap.wrap(
                says(found[1], folder, monkeypatch), 106, break_long_words=False, break_on_hyphens=False
            )
            return f"    $ {found[1]}\n" + "".join(f"    {line}\n" for line in lines)

        PAGE.write_text(CASE.sub(anew, PAGE.read_text()))


@pytest.mark.parametrize(("command", "said"), cases())
def test_a_wrong_input_is_told_in_a_paragraph(
    command: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is the one on the page, ends without a traceback, and costs no call."""
    assert says(command, folder, monkeypatch) == said


def test_there_are_sixty_and_they_differ() -> None:
    """The page is a list of different mistakes, each with a message that names what to do in few words."""
    found = cases()
    assert len({command for command, _ in found}) == len(found) >= 60
    assert [said for _, said in found if not 20 < len(said) < LONGEST] == []
    assert [said for _, said in found if "fault of judgebench" in said or said.startswith("/")] == []


def says(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command says on stderr, and its exit code if that is not 2. Nothing else is printed or left behind."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "JUDGEBENCH_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUDGEBENCH_TODAY", "2026-11-30")
    before = sorted(folder.rglob("*"))
    ended = judgebench(shlex.split(command)[1:], cwd=folder, code=None)
    assert ended.stdout == ""
    assert sorted(folder.rglob("*")) == before
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("judgebench: ")]
    assert line == ended.stderr.strip()
    text = re.sub(r"\s+", " ", line.removeprefix("judgebench: ")).replace(str(folder), "…")
    text = text.replace(", ".join(names()), "alpacaeval, …")
    return text if ended.returncode == 2 else f"(exit {ended.returncode}) {text}"
