"""docs/arena.md: every command of it is run as it stands there, and its table names every column."""

import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest

import judgebench as public
from judgebench.models.scripted import ScriptedModel, last_message, playing, reply
from judgebench.records import Completion, Request
from tests.commands import judgebench

PAGE = (Path(__file__).parents[2] / "docs" / "arena.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line)[1:] for language, text in BLOCKS if not language for line in text.splitlines()]
QUESTIONS = 20


def drawn(request: Request) -> Completion:
    """A verdict, or a rating, that depends on the text alone."""
    number = int(hashlib.sha256(last_message(request).encode()).hexdigest()[:8], 16)
    rated = "[[A]]" not in last_message(request)
    return reply(f"Rating: [[{1 + number % 10}]]" if rated else ("[[A]]", "[[B]]")[number % 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder: prompts, runs of two benchmarks, a table of battles."""
    folder = tmp_path_factory.mktemp("reader")
    prompts = [{"instruction": f"Question {n}?"} for n in range(QUESTIONS)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
    (folder / "mine.toml").write_text('kind = "pairwise"\nprompts = "prompts.jsonl"\n')
    (folder / "rated.toml").write_text('kind = "rating"\nprompts = "prompts.jsonl"\n')
    rows = [
        f"{one},{other},{'model_a' if (n + place) % 3 else 'model_b'},{n},{10 + n},{20 - n}"
        for n in range(QUESTIONS)
        for place, (one, other) in enumerate((("a", "b"), ("b", "c"), ("a", "c"), ("c", "gpt-4-0314")))
    ]
    (folder / "battles.csv").write_text("model_a,model_b,winner,question_id,tokens_a,tokens_b\n" + "\n".join(rows))
    with playing(ScriptedModel(drawn)) as spec:
        for model in ("sft", "dpo", "ppo"):
            answers = [{"id": str(n), "output": f"{model} {n}.", "generator": model} for n in range(QUESTIONS)]
            (folder / f"{model}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
            own = ["eval", "--model", f"file:{model}.jsonl", "--judge", spec, "-q", "--out", f"runs/{model}"]
            judgebench([*own, "--tasks", "mine.toml", "--baseline", "sft.jsonl"], cwd=folder)
            rated = [*own[:-1], f"rated/{model}", "--tasks", "rated.toml"]
            judgebench(rated, cwd=folder)
    return folder


def test_the_page_has_commands() -> None:
    """Of every kind."""
    assert len(COMMANDS) >= 6
    assert all(words[0] == "arena" for words in COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_its_commands_run(words: list[str], folder: Path) -> None:
    """With judges and models that reply at once."""
    with (
        playing(ScriptedModel(drawn)) as judge,
        playing(ScriptedModel(lambda request: reply("Yes."), name="m")) as model,
    ):
        told = [judge if words[place - 1] == "--judge" else word for place, word in enumerate(words)]
        told = [word.replace("ckpt-1", "file:sft.jsonl").replace("ckpt-2", "file:dpo.jsonl") for word in told]
        told = [word.replace("openai:gpt-5-mini", model) for word in told]
        if "--wb-elo" in told:
            told = [word.replace("runs", "rated") for word in told]
        ended = judgebench([*told, "-q"], cwd=folder)
    assert "arena" in ended.stdout or "adaptive pairing" in ended.stdout or "WB-Elo" in ended.stdout


def test_the_function_is_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``rate_models`` gives the record that ``--json`` prints."""
    monkeypatch.chdir(folder)
    with playing(ScriptedModel(drawn, identity="one")) as judge:
        made = public.rate_models("runs/sft", "runs/dpo", judge=judge, tasks="mine.toml", out="both", progress=False)
        words = ["arena", "runs/sft", "runs/dpo", "--judge", judge, "--tasks", "mine.toml", "--out", "both"]
        printed = json.loads(judgebench([*words, "--json", "-q"]).stdout)
    assert [one["rating"] for one in printed["models"]] == [one.rating for one in made.models]


def test_its_table_names_every_column(folder: Path) -> None:
    """Those that are always there, and those of the flags."""
    words = ["arena", "--battles", "battles.csv", "--elo", "--style-control", "arena2024", "--format", "md"]
    header = next(line for line in judgebench(words, cwd=folder).stdout.splitlines() if line.startswith("| model"))
    named = set(re.findall(r"`([\w ]+)`", PAGE)) | {
        "model",
        "95 % interval",
        "style interval",
        "style rank",
        "± by order",
    }
    assert {cell.strip() for cell in header.strip("| ").split("|")} <= named
