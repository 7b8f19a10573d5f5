"""``judgebench eval`` with a judge behind Anthropic's protocol: a real server, the real command, killed and resumed."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.call_store import default_cache_dir
from tests.alpacaeval_server import committed, stored
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import kill, lines_of, manifest_of, started
from tests.servers.launch import Server

KEY = "sk-ant-right-0123456789abcdef"
CONCURRENCY = 2
StartServer = Callable[..., Server]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge wants a key, which comes from the environment."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def judge_server(start: StartServer, **options: Any) -> Server:
    """A judge whose ratings follow from what it is asked."""
    return start(ratings=1, key_env="SERVER_KEY", environment={"SERVER_KEY": KEY}, **options)


def evaluate(candidate: Server, judge: Server, out: Path) -> list[str]:
    """Arguments of the command."""
    return [
        *("eval", "--model", f"{candidate.base_url}#candidate", "--tasks", "mtbench", "--starter"),
        *("--judge", "anthropic:claude", "--judge-arg", f"base_url={judge.root_url}"),
        *("--judge-concurrency", str(CONCURRENCY), "--out", str(out), "--json"),
    ]


def score_of(ended: subprocess.CompletedProcess[str]) -> float:
    """The mean rating that the command printed."""
    (value,) = [
        float(score["value"])
        for score in json.loads(ended.stdout)["scores"]
        if score["metric"] == "score" and score["group"] is None
    ]
    return value


def rating(key: str) -> int:
    """What the server rates the request of a key."""
    return 1 + bytes.fromhex(key)[0] % 10


def finished(server: Server) -> list[str]:
    """Keys of the requests that were answered with a rating."""
    return [event["key"] for event in server.events() if event["event"] == "finish"]


def assert_scored(judge: Server, ended: subprocess.CompletedProcess[str], run: Path) -> list[dict[str, Any]]:
    """The mean is that of what the server rated, by its log, and each rating is one judgement; those are returned."""
    rated = set(finished(judge))
    assert score_of(ended) == pytest.approx(sum(map(rating, rated)) / len(rated), abs=1e-9)
    judgements = lines_of(run / "mtbench" / "judgements.jsonl")
    assert len({judgement["case_id"] for judgement in judgements}) == len(judgements) == len(rated)
    return judgements


def test_the_score_is_that_of_the_ratings(tmp_path: Path, start_chat_server: StartServer) -> None:
    """The mean is worked out from the server's log. Each judgement says that no temperature was
    sent, the manifest that it was refused; the key is in no file.
    """
    candidate, judge = start_chat_server(), judge_server(start_chat_server, refuse="temperature")
    ended = judgebench(evaluate(candidate, judge, tmp_path / "run"))
    judgements = assert_scored(judge, ended, tmp_path / "run")
    assert {tuple(judgement["replies"][0]["left_out"]) for judgement in judgements} == {("temperature",)}
    (session,) = manifest_of(tmp_path / "run").sessions
    assert session.retries["claude"]["refused temperature"] >= 1
    written = [path for folder in (tmp_path, default_cache_dir()) for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
    assert KEY not in ended.stdout + ended.stderr


def test_killed_and_resumed_nothing_is_lost_or_asked_again(tmp_path: Path, start_chat_server: StartServer) -> None:
    """``kill -9`` while the judge is asked: the end is the same, and no reply that was committed is asked for again."""
    candidate, judge = start_chat_server(), judge_server(start_chat_server, delay_ms=100)
    arguments = evaluate(candidate, judge, tmp_path / "run")
    held = 0
    for _ in range(3):
        with started(arguments) as process:
            wait_for(lambda held=held: stored("claude") >= held + 5)
            kill(process)
            assert process.returncode == -signal.SIGKILL
        held = len(committed("claude"))
    before = judge.seen().total()
    judgements = assert_scored(judge, judgebench(arguments), tmp_path / "run")
    # A request may be in its socket still when its sender is killed.
    assert 0 <= judge.seen().total() - before - (len(judgements) - held) <= CONCURRENCY


def test_a_judge_that_reads_logprobs_is_refused_in_time(tmp_path: Path, start_chat_server: StartServer) -> None:
    """Exit 2 before any judge call, with the judges that can do it."""
    server = start_chat_server()
    ended = judgebench(
        [
            *("eval", "--model", f"{server.base_url}#candidate", "--tasks", "alpacaeval", "--starter"),
            *("--judge", "anthropic:claude", "--judge-arg", f"base_url={server.root_url}", "--out", tmp_path / "run"),
        ],
        code=2,
    )
    assert "log-probabilities" in ended.stderr
    assert "hf:" in ended.stderr
    assert server.seen() == {}


def test_a_missing_key_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2, and the variable is named."""
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    arguments = [
        "eval",
        "--model",
        "anthropic:claude",
        "--tasks",
        "mtbench",
        "--starter",
        "--judge",
        "anthropic:claude",
    ]
    ended = judgebench([*arguments, "--out", tmp_path / "run"], code=2)
    assert "ANTHROPIC_API_KEY" in ended.stderr
    assert "Traceback" not in ended.stderr
