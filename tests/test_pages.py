"""Every command and snippet of README.md and docs/ is run here or by a test that is named, or it is said why not."""

import gzip
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from judgebench import load_run, tasks
from judgebench.cli import COMMANDS, app
from judgebench.errors import JudgebenchError
from tests.shared_data import SharedData

ROOT = Path(__file__).parents[1]
READ_IN_ORDER = (
    "README.md",
    "docs/index.md",
    "docs/quick-start.md",
    "docs/running.md",
    "docs/choosing-judges.md",
    "docs/scoring-judges.md",
    "docs/import-export.md",
    "docs/first-benchmark.md",
    "docs/items.md",
    "docs/how-sure.md",
    "docs/compare-and-gate.md",
    "docs/leaderboards.md",
    "docs/ci.md",
    "docs/python.md",
    "docs/migration.md",
)
"""Pages whose commands are run here, in one reader's folder and this order."""
RUN_ELSEWHERE = {
    "arena": "arena/test_page.py",
    "batches": "cli/test_batches.py",
    "benchmark-folders": "kinds/test_docs.py",
    "bridges": "analysis/test_bridges_page.py",
    "cascade": "run/test_cascades.py",
    "dry-run": "cli/test_dry_run.py",
    "judge-suites": "auditing/test_page.py",
    "judges": "judges/test_page.py",
    "labels": "cli/test_labels_page.py",
    "large-runs": "models/test_call_parts.py",
    "own-backend": "models/opening/test_own_backend.py",
    "own-benchmarks": "kinds/test_docs.py",
    "providers": "models/opening/test_providers.py",
    "releasing": "test_release.py",
    "report": "report/test_docs_page.py",
    "selftest": "exchange/test_selftest.py",
    "statistics": "stats/test_page.py",
}
"""Pages that need a reader's folder of their own, and the tests that make it."""
NOT_RUN = {
    "make ": "tests/cli/test_first_command.py runs what it runs, without installing",
    "export ": "sets a key",
    "judgebench eval --model ckpt": "needs a key, and a checkpoint",
    "judgebench eval --model path/to/ckpt --judge openai:": "needs a key, and a checkpoint",
}
"""Beginnings of commands that need what a test has not, and what that is."""
LANGUAGES = ("", "console", "sh", "bash", "toml", "jinja", "python", "pycon", "yaml", "csv", "json")
"""Of fenced blocks that a reader would copy; ``text`` is what a program printed."""


def blocks(*languages: str, pages: tuple[str, ...] = READ_IN_ORDER) -> list[str]:
    """Texts of the fenced blocks in one of the languages, each once."""
    text = "\n".join((ROOT / page).read_text() for page in pages)
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return list(dict.fromkeys(text for language, text in found if language in languages))


def commands() -> list[str]:
    """Lines of the blocks of commands, continued lines joined, without comments, each once."""
    lines = [line for block in blocks("", "console", "sh", "bash") for line in block.replace("\\\n", " ").splitlines()]
    split = (shlex.split(line.removeprefix("$ "), comments=True) for line in lines)
    return list(dict.fromkeys(shlex.join(words) for words in split if words))


def reason_not_to(command: str) -> str | None:
    """Why it is not run, if it is not."""
    return next((why for beginning, why in NOT_RUN.items() if command.startswith(beginning)), None)


RUN = [command for command in commands() if reason_not_to(command) is None]


def run(command: str) -> str:
    """What went wrong, or nothing. Output after ``>`` goes to that file, as a shell would do."""
    words = shlex.split(command)
    if words[0] != "judgebench":
        return f"{words[0]} is not our command; say in NOT_RUN why it is not run"
    target = words[words.index(">") + 1] if ">" in words else None
    try:
        ended = CliRunner().invoke(app, words[1 : words.index(">") if target else None], catch_exceptions=False)
    except JudgebenchError as error:
        return f"exit {error.exit_code}: {error}"
    if target:
        Path(target).write_text(ended.stdout)
    return "" if ended.exit_code == 0 else f"exit {ended.exit_code}: {ended.output}"


def test_every_page_has_its_snippets_run() -> None:
    """A page with something to copy is read here, or by a test that names it."""
    for path in sorted((ROOT / "docs").rglob("*.md")):
        page = str(path.relative_to(ROOT))
        if not blocks(*LANGUAGES, pages=(page,)) or page in READ_IN_ORDER:
            continue
        name = page.removeprefix("docs/").removesuffix(".md")
        assert name in RUN_ELSEWHERE, f"{page} has snippets: add it to READ_IN_ORDER, or its test to RUN_ELSEWHERE"
        assert path.name in (ROOT / "tests" / RUN_ELSEWHERE[name]).read_text(), page


def test_the_readme_is_one_screen() -> None:
    """Whoever comes by reads no more; the rest is in docs/."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 90


def test_every_task_is_named() -> None:
    """The table of benchmarks leads to each."""
    listed = (ROOT / "docs" / "benchmarks" / "index.md").read_text()
    assert [name for name in tasks.names() if f"(../../tasks/{name}/README.md)" not in listed] == []


def test_the_action_is_given_what_it_takes() -> None:
    """Each step of a job that uses it names inputs that it has, and all that it requires; other steps are commands."""
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    required = {name for name, facts in inputs.items() if facts.get("required")}
    read = [yaml.safe_load(text) for text in blocks("yaml")]
    steps = [step for one in read for step in (one if isinstance(one, list) else one["gate"].get("steps", []))]
    used = [step["with"] for step in steps if step.get("uses", "").startswith("OWNER/judgebench")]
    assert len(used) == 2
    assert all(required <= set(given) <= set(inputs) for given in used)
    for words in (shlex.split(step["run"]) for step in steps if "run" in step):
        assert words[0] == "judgebench"
        assert words[1] in COMMANDS


def test_the_sizes_of_starter_sets_are_right() -> None:
    """The page names the least and the greatest number of items that a starter set has."""
    sizes = [
        len(tasks.load(tasks.TaskSpec(name), starter=True)[0].load(lambda _: b"").examples) for name in tasks.names()
    ]
    assert f"starter sets of {min(sizes)} to {max(sizes)} items" in (ROOT / "docs" / "quick-start.md").read_text()


def interpret(text: str) -> str:
    """What went wrong with a block of Python, or nothing."""
    try:
        exec(compile(text, "a page", "exec"), {})
    except (JudgebenchError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.fixture(scope="module")
def went_wrong(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong with each command, in the order of the pages and one folder, since later ones need the earlier.

    There, ``annotations.json`` are published judgements, ``runs/demo`` is a run of AlpacaEval's starter set,
    ``runs/baseline`` and ``runs/candidate`` are a worse and a better model's answers, ``answers.jsonl`` the better
    one's, a block of TOML or Jinja is the file that its first line names, and one of JSON is ``prompts.jsonl``.
    Blocks of Python come last.
    """
    mirrors = [str(shared_data / kind) for kind in ("alpacaeval", "gsm8k", "upstream")]
    folder = tmp_path_factory.mktemp("reader")
    with gzip.open(shared_data / "alpacaeval" / "annotations_full" / "NullModel.json.gz") as file:
        (folder / "annotations.json").write_bytes(file.read())
    for text in blocks("toml", "jinja"):
        (folder / text.partition("\n")[0].strip("{}# ")).write_text(text)
    (prompts,) = blocks("json")
    (folder / "prompts.jsonl").write_text(prompts)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("JUDGEBENCH_MIRROR", os.pathsep.join(mirrors))
        patch.setenv("JUDGEBENCH_CACHE", str(folder / "cache"))
        demo = "--judge builtin:tiny --tasks alpacaeval --starter --limit 6 --out runs/demo"
        assert (made := run(f"judgebench eval --model builtin:tiny {demo}")) == "", made
        for name, model in (("baseline", "openai-gsm-6b_finetuning"), ("candidate", "openai-gsm-175b_verification")):
            answers = shared_data / "gsm8k" / "responses" / f"{model}.jsonl.gz"
            made = run(f"judgebench import {answers} --from outputs --task gsm8k --fields id=idx --out runs/{name}")
            assert made == "", made
        table = load_run("runs/candidate").answers()
        table.rename(columns={"example_id": "id", "answer": "output"}).to_json(
            "answers.jsonl", orient="records", lines=True
        )
        ended = {command: run(command) for command in RUN}
        return ended | {text: interpret(text) for text in blocks("python")}


@pytest.mark.parametrize("command", RUN)
def test_a_command_of_a_page_ends_well(command: str, went_wrong: dict[str, str]) -> None:
    """Exit 0, after those above it."""
    assert went_wrong[command] == ""


@pytest.mark.parametrize("text", blocks("python"), ids=lambda text: text.partition("\n")[0])
def test_python_of_a_page_runs(text: str, went_wrong: dict[str, str]) -> None:
    """Each block in a namespace of its own, after all commands."""
    assert went_wrong[text] == ""


def test_commands_are_found() -> None:
    """Those that are known to be there; a reason fits some command, or it is taken out."""
    assert "judgebench leaderboard" in RUN
    assert "judgebench score runs/mine --json" in RUN
    assert len(RUN) >= 6
    for beginning in NOT_RUN:
        assert any(command.startswith(beginning) for command in commands()), beginning
