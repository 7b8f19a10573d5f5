"""The prompts that are given back for judgements are those that a judge's server received, byte for byte."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judgebench import api
from judgebench.errors import Incomplete
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Judgement
from tests.processes import lines_of
from tests.servers.launch import Server
from tests.shared_data import SharedData

StartServer = Callable[..., Server]

JUDGED = (
    "alpacaeval",
    "alpacaeval:order=both",
    "alpacaeval@1:judge=alpaca_eval_gpt4",
    "mtbench",
    "mtbench:mode=pairwise",
    "wildbench",
    "arenahard",
)
"""Every judged task, and those of their options that change what a judge is shown, or in which orders."""


def evaluated(tmp_path: Path, task: str, judges: Sequence[str], **settings: Any) -> api.Run:
    """A run whose candidate answers with the question; a verdict that nobody can read does not matter here."""
    candidate = ScriptedModel(lambda request: reply(f"You ask:\n{request.messages[-1].content} [[A]] {{x}}"), name="m")
    run = tmp_path / "run"
    with playing(candidate) as model, suppress(Incomplete):
        api.evaluate(model, task, judge=judges, out=run, progress=False, **settings)
    return api.load_run(run)


def texts(messages: Sequence[dict[str, str]]) -> str:
    """Messages as a value that can be counted."""
    return json.dumps([[message["role"], message["content"]] for message in messages])


def received(server: Server) -> Counter[str]:
    """The conversations that the server was sent."""
    return Counter(texts(body["messages"]) for body in server.bodies())


def rebuilt(run: api.Run, **where: Any) -> Counter[str]:
    """The conversations that are given back, all of which must be marked as exact."""
    table = run.judge_prompts(**where)
    asked = table[table.state != "not asked"]
    assert set(asked.state) == {"exact"}
    return Counter(texts(messages) for messages in asked.messages)


@pytest.mark.parametrize("task", JUDGED)
def test_the_prompts_are_what_the_server_received(task: str, tmp_path: Path, start_chat_server: StartServer) -> None:
    """For every judged task, every order and turn, each member of a jury, each repeat, and each re-ask."""
    # AlpacaEval's judge needs log-probabilities, which the server's ratings do not have.
    server = start_chat_server(log_bodies=1, ratings=int(not task.startswith("alpacaeval")))
    judges = [f"{server.base_url[:-3]}/v1#{name}" for name in ("one", "two")]
    run = evaluated(tmp_path, task, judges, starter=True, limit=3, judge_repeats=2)
    assert rebuilt(run) == received(server)
    members = {(row["judge_model"], row["repeat"]) for row in lines_of(next(tmp_path.glob("run/*/judgements.jsonl")))}
    assert len(members) == 4


@pytest.mark.parametrize(
    ("task", "folders", "ids"),
    [
        ("alpacaeval", ["alpacaeval"], ["0", "7", "804"]),
        ("alpacaeval@1", ["alpacaeval"], ["0", "7", "804"]),
        ("mtbench", ["mt_bench"], ["101", "103", "121"]),
        ("arenahard@v0.1", ["arena_hard", "upstream"], None),
        ("arenahard@v2.0", ["arena_hard", "upstream"], None),
    ],
)
def test_the_official_prompts_are_what_the_server_received(
    task: str,
    folders: Sequence[str],
    ids: Sequence[str] | None,
    tmp_path: Path,
    shared_data: SharedData,
    start_chat_server: StartServer,
) -> None:
    """Filled in from the official files, with the reference answers of MT-Bench's second turns."""
    mirrors = [shared_data / folder for folder in folders]
    server = start_chat_server(log_bodies=1, ratings=int("alpacaeval" not in task))
    chosen: dict[str, Any] = {"limit": 2}
    if ids is not None:
        (tmp_path / "ids").write_text("\n".join(ids))
        chosen = {"ids": tmp_path / "ids"}
    run = evaluated(tmp_path, task, [f"{server.base_url}#j"], mirrors=mirrors, offline=True, **chosen)
    assert rebuilt(run, mirrors=mirrors, offline=True) == received(server)
    assert server.bodies()


def test_a_prompt_of_the_user_s_own_is_what_the_server_received(tmp_path: Path, start_chat_server: StartServer) -> None:
    """The run keeps it, so that it is given back without its file."""
    server = start_chat_server(log_bodies=1, ratings=1)
    prompt = tmp_path / "mine.j2"
    prompt.write_text("Rate from 1 to 10, as [[n]].\n{{ instruction }}\n--\n{{ answer }}\n")
    run = evaluated(tmp_path, "mtbench", [f"{server.base_url}#j"], starter=True, limit=2, judge_prompt=prompt)
    prompt.unlink()
    assert rebuilt(run) == received(server)
    assert all("Rate from 1 to 10" in text for text in received(server))


def with_judgements(run: Path, change: Callable[[Judgement], Judgement]) -> api.Run:
    """The run with other judgements."""
    (path,) = run.glob("*/judgements.jsonl")
    found = msgspec.json.Decoder(Judgement).decode_lines(path.read_bytes())
    path.write_bytes(b"".join(msgspec.json.encode(change(judgement)) + b"\n" for judgement in found))
    return api.load_run(run)


def test_a_prompt_that_is_not_what_was_sent_is_withheld(tmp_path: Path, start_chat_server: StartServer) -> None:
    """An answer that changed after it was judged would give another prompt."""
    server = start_chat_server(log_bodies=1, ratings=1)
    evaluated(tmp_path, "mtbench", [f"{server.base_url}#j"], starter=True, limit=2)
    (path,) = tmp_path.glob("run/*/generations.jsonl")
    changed, *others = lines_of(path)
    changed["outputs"][0] += " (better)"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in (changed, *others)))
    table = api.load_run(tmp_path / "run").judge_prompts()
    assert set(table[table.example_id == changed["example_id"]].state) == {"differs"}
    assert table[table.state == "differs"].messages.isna().all()
    assert set(table[table.example_id != changed["example_id"]].state) == {"exact"}
    judgements = api.load_run(tmp_path / "run").judgements()
    assert judgements[judgements.prompt_state == "differs"].prompt.isna().all()


def test_a_run_of_an_earlier_version_has_no_hashes(tmp_path: Path, start_chat_server: StartServer) -> None:
    """Its judgements are read, written and scored as before, and its prompts are not called exact."""
    server = start_chat_server(log_bodies=1, ratings=1)
    evaluated(tmp_path, "mtbench", [f"{server.base_url}#j"], starter=True, limit=2)
    run = with_judgements(
        tmp_path / "run", lambda judgement: msgspec.structs.replace(judgement, request_hashes=msgspec.UNSET)
    )
    assert all("request_hashes" not in line for line in lines_of(tmp_path / "run" / "mtbench" / "judgements.jsonl"))
    table = run.judge_prompts()
    assert set(table.state) == {"rebuilt"}
    assert Counter(map(texts, table.messages)) == received(server)
    assert api.score(run).score("score").value == run.score("score").value


def test_whoever_was_not_asked_by_us_has_no_exact_prompt(tmp_path: Path, shared_data: SharedData) -> None:
    """Imported judgements come with the prompt as our rules build it, and say that we did not send it."""
    published = shared_data / "alpacaeval" / "annotations_full"
    source = sorted(published.iterdir())[0]
    mirror = shared_data / "alpacaeval"
    (run,) = api.import_run(
        source, "alpaca_eval", task="alpacaeval", out=tmp_path / "run", mirrors=mirror, offline=True
    )
    table = run.judge_prompts(mirrors=mirror, offline=True)
    assert set(table.state) <= {"imported", "not asked"}
    assert table[table.state == "imported"].messages.notna().all()
