"""``eval --stop-when`` through a real server that gives the published replies: it stops, says so, and is resumable."""

import gzip
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.data.sources import SourceFinder
from judgebench.run.loading import load_task
from judgebench.run.stopping import random_order
from tests.alpacaeval_server import Published, publish
from tests.commands import judgebench
from tests.processes import kill, lines_of, manifest_of, scores_of, started
from tests.servers.launch import Server
from tests.shared_data import SharedData

StartServer = Callable[..., Server]
RULE = ("--stop-when", "win_rate ci<2.5")
CONCURRENCY = 8


@pytest.fixture(scope="module")
def published(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The published replies as the server's."""
    return publish(shared_data, tmp_path_factory.mktemp("published"))


def watched(published: Published, server: Server, out: Path, *more: str) -> list[str]:
    """The command with the rule."""
    return published.eval(server, out, *RULE, "--judge-concurrency", str(CONCURRENCY), *more)


def the(scores: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """A metric over all examples."""
    (found,) = (score for score in scores if score["metric"] == metric and score["group"] is None)
    return found


def early_stop(ended: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What ``--json`` says about the stop."""
    found: dict[str, Any] = json.loads(ended.stdout)["early_stops"]["alpacaeval"]
    return found


def test_it_stops_sends_no_more_and_says_what_was_saved(
    published: Published, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """The number is that of the first n of the drawn order, its interval the anytime-valid one, and it is near that of
    the full run (2.35 %); at most what was in flight, or just being sent, was asked beyond; other metrics have no
    interval; the protocol is another one than the full run's.
    """
    server = start_chat_server(replies=published.replies, delay_ms=100)
    ended = judgebench(watched(published, server, tmp_path / "run"))
    stop, scores = early_stop(ended), scores_of(ended)
    assert stop["early_stopped"]
    assert 100 < stop["n"] < 500
    assert stop["population"] == 805
    asked = server.counts()["start"]
    assert asked <= stop["n"] + 10 * CONCURRENCY
    assert 805 - asked - 10 <= stop["judge_calls_saved"] <= 805 - stop["n"]
    win_rate = the(scores, "win_rate")
    assert (win_rate["high"] - win_rate["low"]) / 2 < 2.5
    assert win_rate["low"] <= 2.35 <= win_rate["high"]
    assert "holds however often it was looked at" in win_rate["method"]
    assert all(score["low"] is None and score["stderr"] is None for score in scores if score is not win_rate)
    manifest = manifest_of(tmp_path / "run")
    assert manifest.status == "complete"
    fields = manifest.tasks["alpacaeval"]
    assert fields.protocol["stop_when"] == {"rule": RULE[1], "metric": "win_rate", "order_seed": 0}
    assert fields.early_stop is not None
    assert fields.early_stop.n == stop["n"]
    judged = {line["example_id"]: line for line in lines_of(tmp_path / "run" / "alpacaeval" / "example_scores.jsonl")}
    examples = [line["id"] for line in lines_of(tmp_path / "run" / "alpacaeval" / "examples.jsonl")]
    assert list(judged) == random_order(examples)[: stop["n"]]
    shares = [line["value"] for line in judged.values() if line["value"] is not None]
    assert win_rate["value"] == pytest.approx(100 * sum(shares) / len(shares), rel=1e-12)
    again = judgebench(["score", tmp_path / "run", "--mirror", str(published.mirror), "--offline", "--json"])
    assert scores_of(again) == scores
    assert early_stop(again) == stop


def test_killed_it_goes_on_in_the_same_order_to_the_same_end(
    published: Published, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """``kill -9`` at three moments of the run: n, every score and the order are those of the run that was left alone;
    a second start after the end asks nothing.
    """
    server = start_chat_server(replies=published.replies, delay_ms=30)
    whole = judgebench(
        watched(published, server, tmp_path / "whole", "--limit", "400"), JUDGEBENCH_CACHE=str(tmp_path / "c")
    )
    arguments = watched(published, server, tmp_path / "run", "--limit", "400")
    for _ in range(3):
        before = server.counts()["start"]
        with started(arguments) as process:
            while server.counts()["start"] < before + 25:
                time.sleep(0.01)
                assert process.poll() is None, "ended before it was killed"
            kill(process)
    ended = judgebench(arguments)
    assert scores_of(ended) == scores_of(whole)
    assert early_stop(ended)["n"] == early_stop(whole)["n"] < 400
    before = server.counts()["start"]
    assert scores_of(judgebench(arguments)) == scores_of(whole)
    assert server.counts()["start"] == before


def test_an_answer_that_the_file_lacks_does_not_hold_it_up(
    published: Published, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """Without the answer that would be judged first, it stops all the same, the missing one taken as anything."""
    (spec,) = tasks.parse_specs("alpacaeval")
    data = load_task(spec, SourceFinder(tmp_path / "cache", [published.mirror], offline=True), starter=False).data
    first = data.by_id[random_order([example.id for example in data.examples])[0]]
    rows = json.loads(gzip.decompress(published.outputs.read_bytes()))
    kept = [row for row in rows if row["instruction"] != first.instruction]
    assert len(kept) < len(rows)
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps(kept))
    server = start_chat_server(replies=published.replies)
    model = ["--model", f"file:{outputs}", "--tasks", "alpacaeval", *published.judge(server)]
    # Two of the first 168 are more than 1 %, which the exit code says.
    judgebench(["eval", *model, *RULE, "--out", tmp_path / "run"], code=4)
    stop = manifest_of(tmp_path / "run").tasks["alpacaeval"].early_stop
    assert stop is not None
    assert 100 < stop.n < 500


def test_answers_that_are_not_there_yet_are_made_in_the_same_order(
    published: Published, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """Candidate and judge are both served: generation ends with the judging, and nothing is left half-made."""
    server = start_chat_server(delay_ms=20)
    model = ["--model", f"{server.base_url}#candidate", *published.judge(server), "--tasks", "alpacaeval"]
    rule = ["--stop-when", "win_rate ci<20", "--concurrency", "2", "--judge-concurrency", "2", "--limit", "200"]
    ended = judgebench(["eval", *model, *rule, "--out", str(tmp_path / "run")])
    stop = early_stop(ended)
    assert stop["early_stopped"]
    generated = [line["example_id"] for line in lines_of(tmp_path / "run" / "alpacaeval" / "generations.jsonl")]
    examples = [line["id"] for line in lines_of(tmp_path / "run" / "alpacaeval" / "examples.jsonl")]
    assert set(random_order(examples)[: stop["n"]]) <= set(generated)
    assert len(generated) < len(examples)


def test_a_rule_that_cannot_be_kept_ends_before_anything_is_asked(tmp_path: Path) -> None:
    """AlpacaEval's headline is a fit: exit 2 with the rules that would do, and no run folder."""
    what = ["--tasks", "alpacaeval", "--starter", "--out", str(tmp_path / "run")]
    judge = ["--model", "builtin:tiny", "--judge", "http://127.0.0.1:9/v1#j"]
    ended = judgebench(["eval", *judge, *what, "--stop-when", "ci<1.5"], code=2)
    assert "win_rate ci<1.5" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
