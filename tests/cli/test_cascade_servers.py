"""A cascade of two real judge servers: killed three times, nothing is bought twice, and the number is the same."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench.run.stopping import random_order
from tests.alpacaeval_server import JUDGE, Published, publish
from tests.commands import judgebench
from tests.processes import kill, lines_of, manifest_of, scores_of, started
from tests.servers.launch import Server
from tests.shared_data import SharedData

StartServer = Callable[..., Server]
EXAMPLES, PART = 60, 30
IN_FLIGHT, KILLS = 4, 3


@pytest.fixture(scope="module")
def published(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The published replies as the server's."""
    return publish(shared_data, tmp_path_factory.mktemp("published"))


def other_mind(published: Published, path: Path) -> Path:
    """The published replies of a judge that confuses the labels in every ninth case."""
    lines = lines_of(published.replies)
    for line in lines[::9]:
        for position in line["choice"]["logprobs"]["content"]:
            for alternative in position["top_logprobs"]:
                alternative["token"] = {"m": "M", "M": "m"}.get(alternative["token"], alternative["token"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_killed_it_goes_on_and_buys_nothing_twice(
    published: Published, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """``kill -9`` while both judges work. The cheap one is asked once about each of 60 examples, the dear one about the
    first 30 of the drawn order, but for the calls under way at a kill; scores are those of a run left alone; the
    interval holds the dear judge's number on all 60.
    """
    dear = start_chat_server(replies=published.replies, delay_ms=60)
    cheap = start_chat_server(replies=other_mind(published, tmp_path / "cheap.jsonl"), delay_ms=20)
    model = ["eval", "--model", f"file:{published.outputs}", "--tasks", "alpacaeval", "--limit", str(EXAMPLES)]
    where = ["--mirror", str(published.mirror), "--offline", "--json", "--judge-concurrency", str(IN_FLIGHT)]
    both = ["--judge", f"{cheap.base_url}#cheap", "--cascade", f"{dear.base_url}#{JUDGE}", "--dear", str(PART)]
    arguments = [*model, *both, *where, "--out", str(tmp_path / "run")]
    for _ in range(KILLS):
        before = dear.counts()["start"]
        with started(arguments) as process:
            while dear.counts()["start"] < before + 5:
                time.sleep(0.01)
                assert process.poll() is None, "ended before it was killed"
            kill(process)
    ended = judgebench(arguments)
    calls = {name: server.counts()["start"] for name, server in (("cheap", cheap), ("dear", dear))}
    # Under way are those in flight, and as many whose reply had not been written yet.
    assert EXAMPLES - 5 <= calls["cheap"] <= EXAMPLES + KILLS * 2 * IN_FLIGHT
    assert PART - 5 <= calls["dear"] <= PART + KILLS * 2 * IN_FLIGHT
    record = manifest_of(tmp_path / "run").tasks["alpacaeval"].cascade
    assert record is not None
    assert (record.n, record.population) == (PART, EXAMPLES)
    lines = lines_of(tmp_path / "run/alpacaeval/judgements.jsonl")
    asked = {line["example_id"] for line in lines if line["judge_model"] == JUDGE}
    everything = {line["id"] for line in lines_of(tmp_path / "run/alpacaeval/examples.jsonl")}
    assert asked <= set(random_order(sorted(everything))[:PART])
    assert len(lines) == len({(line["case_id"], line["judge_model"]) for line in lines})
    whole = judgebench([*model, *both, *where, "--out", tmp_path / "whole"], JUDGEBENCH_CACHE=str(tmp_path / "c"))
    assert scores_of(whole) == scores_of(ended)
    alone = judgebench(
        [*model, "--judge", f"{dear.base_url}#{JUDGE}", *where, "--out", tmp_path / "dear"],
        JUDGEBENCH_CACHE=str(tmp_path / "c"),
    )
    truth, found = (
        next(score for score in scores_of(of) if (score["metric"], score["group"]) == ("win_rate", None))
        for of in (alone, ended)
    )
    assert found["low"] <= truth["value"] <= found["high"]
    before = {name: server.counts()["start"] for name, server in (("cheap", cheap), ("dear", dear))}
    assert scores_of(judgebench(arguments)) == scores_of(ended)
    assert {name: server.counts()["start"] for name, server in (("cheap", cheap), ("dear", dear))} == before
