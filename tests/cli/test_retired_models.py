"""A model that its vendor serves no longer is not asked at the vendor's own address, and anywhere else it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench import tasks
from judgebench.errors import ModelError
from judgebench.models import Model
from judgebench.models.opening import parse_model
from judgebench.models.scripted import ScriptedModel, reply
from judgebench.models.wrappers import Stored
from judgebench.records import Completion, Message, Request, Sampling
from judgebench.run.seats import ModelPool
from judgebench.run.settings import Settings
from tests.commands import Command, judgebench
from tests.servers.launch import Server

StartServer = Callable[..., Server]
EVAL = ("eval", "--tasks", "mtbench", "--starter", "--limit", "2")
CALLS = 4
"""Each of the two items has two turns to judge."""
DAY = {"JUDGEBENCH_TODAY": "2026-11-30"}


def test_a_judge_that_is_gone_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """Exit 6 and one paragraph: since when, where that is said, and which judges there are. No key is looked for, and
    the candidate is not asked.
    """
    out = tmp_path / "run"
    ended = judgebench(
        [*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-1106-preview", "--out", out], code=6, **DAY
    )
    assert ended.stderr.startswith(
        "judgebench: The judge openai:gpt-4-1106-preview cannot be asked: OpenAI has not served it since 2026-10-23 "
        "(https://developers.openai.com/api/docs/deprecations, as of "
    )
    assert "openai:gpt-4.1-2025-04-14 (served until 2027-01-14; " in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not out.exists()


def test_an_official_judge_that_is_gone_is_refused_before_files_are_looked_for(tmp_path: Path) -> None:
    """None of the task's official files is here."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", "arenahard@v0.1", "--offline", "--out", tmp_path / "run"]
    assert "The judge openai:gpt-4-1106-preview cannot be asked" in judgebench(command, code=6).stderr
    assert not (tmp_path / "run").exists()


def test_before_its_day_it_is_asked() -> None:
    """The day decides: on the last one, only the key is missing."""
    ended = judgebench(
        [*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-1106-preview"],
        code=2,
        JUDGEBENCH_TODAY="2026-10-22",
    )
    assert "OPENAI_API_KEY is not set" in ended.stderr


def test_before_the_first_call_it_is_said_until_when(
    start_chat_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Within two months before the last day, once for several runs; not earlier, not with --quiet, and not if the
    command is refused.
    """
    server = start_chat_server(ratings=1)
    monkeypatch.setattr("judgebench.models.vendors.Vendor.hosts", ("127.0.0.1",), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    arguments = (*EVAL, "--model", f"{server.base_url}#a", "--model", f"{server.base_url}#b", "--judge")
    note = (
        "judgebench: note: OpenAI serves openai:gpt-4.1 until 2027-01-14, for 45 more days; it recommends gpt-6-luna\n"
    )
    ended = command(*arguments, "openai:gpt-4.1", "--out", tmp_path / "noted")
    assert (ended.code, ended.err.count(note)) == (0, 1)
    assert "note" not in command(*arguments, "openai:gpt-4.1", "--out", tmp_path / "quiet", "--quiet").err
    assert "note" not in command(*arguments, "openai:gpt-5.1", "--out", tmp_path / "later").err
    monkeypatch.delenv("OPENAI_API_KEY")
    refused = command(*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4.1", "--out", tmp_path / "refused")
    assert "OPENAI_API_KEY is not set" in refused.paragraph


def test_a_candidate_that_is_gone_is_refused_too() -> None:
    """There is no other candidate to offer."""
    ended = judgebench(["eval", "--tasks", "gsm8k", "--starter", "--model", "openai:gpt-4"], code=6, **DAY)
    assert "openai:gpt-4 cannot be asked: OpenAI has not served it since 2026-10-23" in ended.stderr
    assert ended.stderr.rstrip().endswith("Name another model with --model")


def test_a_server_elsewhere_may_bear_its_name(start_chat_server: StartServer, tmp_path: Path) -> None:
    """Behind OPENAI_BASE_URL, and as an address of one's own: both are asked."""
    server = start_chat_server(ratings=1)
    for number, judge in enumerate((f"{server.base_url}#gpt-4-0613", "openai:gpt-4-1106-preview")):
        judgebench(
            [*EVAL, "--model", "builtin:tiny", "--judge", judge, "--out", tmp_path / str(number)],
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY="key",
            **DAY,
        )
        assert server.seen().total() == CALLS * (number + 1)


def test_its_stored_replies_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said while it was served is given from the store, without a key; a new request is refused."""
    monkeypatch.setenv("JUDGEBENCH_TODAY", "2026-11-30")
    task, _ = tasks.load(tasks.TaskSpec("mtbench"))
    known, new = (
        Request(messages=(Message(role="user", content=text),), sampling=Sampling()) for text in ("known", "new")
    )
    pool = ModelPool(Settings(tasks="mtbench"))
    spec, arguments = parse_model("openai:gpt-4")
    try:
        served = ScriptedModel(lambda _: reply("[[7]]"), identity="http:https://api.openai.com/v1#gpt-4")
        asked(Stored(served, pool.store), known)
        model = pool.open(spec, arguments, task).model
        assert asked(model, known).text == "[[7]]"
        with pytest.raises(ModelError, match="OpenAI has not served it since 2026-10-23"):
            asked(model, new)
    finally:
        pool.close()


def asked(model: Model, request: Request) -> Completion:
    """The reply to one request."""
    ((_, completion),) = model.complete([request])
    return completion


def test_the_vendor_s_own_list_has_the_last_word(
    start_chat_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """If the vendor still lists the model for this key, it is asked; if not, or --offline, it is refused."""
    listed = tmp_path / "models.json"
    listed.write_text(json.dumps({"data": [{"id": "gpt-4-0613"}]}))
    server = start_chat_server(models=listed, ratings=1)
    monkeypatch.setattr("judgebench.models.vendors.Vendor.hosts", ("127.0.0.1",), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("JUDGEBENCH_TODAY", "2026-11-30")
    judge = (*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-0613", "--out")
    assert command(*judge, tmp_path / "offline", "--offline").code == 6
    assert command(*judge, tmp_path / "listed").code == 0
    assert server.seen().total() == CALLS
    listed.write_text(json.dumps({"data": [{"id": "gpt-6-luna"}]}))
    assert command(*EVAL[:-1], "3", *judge[len(EVAL) :], tmp_path / "unlisted").code == 6
    assert server.seen().total() == CALLS


def test_a_run_that_it_judged_goes_on_as_far_as_it_can(
    start_chat_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Everything is in the run folder, and nothing in the store: the same command, and `judge`, end as before. What
    would have to be asked is refused.
    """
    listed = tmp_path / "models.json"
    listed.write_text(json.dumps({"data": [{"id": "gpt-4-0613"}]}))
    server = start_chat_server(models=listed, ratings=1)
    monkeypatch.setattr("judgebench.models.vendors.Vendor.hosts", ("127.0.0.1",), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    eval_again = (*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-0613", "--out", tmp_path / "run")
    assert command(*eval_again).code == 0
    listed.write_text(json.dumps({"data": []}))
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "empty"))
    assert command(*eval_again).code == 0
    assert command("judge", tmp_path / "run", "--judge", "openai:gpt-4-0613").code == 0
    judgements = tmp_path / "run" / "mtbench" / "judgements.jsonl"
    judgements.write_text("".join(judgements.read_text().splitlines(keepends=True)[1:]))
    refused = command("judge", tmp_path / "run", "--judge", "openai:gpt-4-0613")
    assert (refused.code, "OpenAI has not served it since 2026-10-23" in refused.err) == (6, True)
    assert server.seen().total() == CALLS
