"""A served model whose calls are sent by actors of a Ray cluster: the same replies, each paid once, whatever dies."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import BudgetExceeded, ModelError, UsageError
from judgebench.models.call_store import CallStore
from judgebench.models.http import actors
from judgebench.models.http.model import HttpChat
from judgebench.models.pricing import Price, most_tokens, parse_price
from judgebench.models.wrappers import Account, Budget, Metered, Stored
from judgebench.records import Completion, Message, Request, Sampling
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import SUMS, lines_of, manifest_of, scores_of, started
from tests.ray_nodes import actors_alive, two_nodes
from tests.servers.launch import Server, chat_server

pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, of its servers and sockets

KEY = "sk-never-to-be-seen-4711"
PRICE = parse_price("1/2")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two nodes on this machine."""
    with two_nodes() as cluster:
        yield cluster


def requests(n: int) -> list[Request]:
    """So many, all different."""
    sampling = Sampling(temperature=0.0, max_tokens=64)
    return [Request(messages=(Message(role="user", content=f"Rate answer {i}."),), sampling=sampling) for i in range(n)]


def spread(server: Server, **options: Any) -> HttpChat:
    """A judge whose calls two actors send."""
    return HttpChat("judge", server.base_url, "judge", KEY, **{"replicas": 2, "backoff_seconds": 0.01, **options})


def kill_one(server: Server, under_way: int) -> None:
    """``kill -9`` of an actor's process, once the server works on so many calls that each of two actors sent some."""
    wait_for(lambda: len(actors_alive()) == 2)
    # Whom to kill is known before, for to look takes as long as the server's calls.
    pid = actors_alive()[0]["pid"]
    wait_for(lambda: server.counts()["start"] - server.counts()["finish"] >= under_way)
    os.kill(pid, signal.SIGKILL)


def test_two_nodes_send_what_one_process_would(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The replies are equal, each request is sent once, by two actors, with the key that the server wants; an error of
    the server is one and is tried again.
    """
    monkeypatch.setenv("WANTED", KEY)
    asked = requests(60)
    with chat_server(ratings=1, delay_ms=20, key_env="WANTED", faults="500=0.1,truncated=0.1") as server:
        model = spread(server)
        found = dict(model.complete(asked))
        # Each is meant for a node of its own; a node that starts no process in time gives its actor to the other.
        assert len(actors_alive()) == 2, actors_alive()
        model.close()
        wait_for(lambda: not actors_alive())
        alone = HttpChat("judge", server.base_url, "judge", KEY)
        expected = dict(alone.complete(asked))
        alone.close()
        assert {i: reply.text for i, reply in found.items()} == {i: reply.text for i, reply in expected.items()}
        assert model.identity == alone.identity
        assert set(model.retries) == {"500", "truncated"}
        assert server.counts()["start"] == 2 * len(asked) + model.retries.total()


def test_calls_of_a_killed_actor_are_asked_again_and_paid_for(nodes: Any, tmp_path: Path) -> None:
    """Each exactly once, by the other actor or a new one. Those that it had under way may have been billed: each counts
    as the most that it can have cost, in the budget, in its reply and in the books of the store.
    """
    asked = requests(100)
    budget = Budget(1.0)
    with chat_server(ratings=1, delay_ms=1000) as server, CallStore(tmp_path / "calls.sqlite") as store:
        model = spread(server, concurrency=16)
        stored = Stored(Metered(model, PRICE, budget), store, account=Account(PRICE, run="mine"))
        found: dict[int, Completion] = {}
        for index, completion in stored.complete(asked):
            found[index] = completion
            if len(found) == 40:
                kill_one(server, 12)
        stored.close()
        assert sorted(found) == list(range(100))
        assert not any(completion.error for completion in found.values())
        lost = {i for i, completion in found.items() if completion.discarded.prompt_tokens}
        assert 0 < len(lost) == model.retries["client lost"] <= 16
        assert all(found[i].discarded == most_tokens(asked[i]) for i in lost)
        seen = server.seen()
        assert len(seen) == 100 < seen.total() <= 100 + len(lost)
        paid = sum(PRICE.paid(completion) for completion in found.values())
        assert budget.spent_usd == pytest.approx(paid)
        assert store.spending("mine").usd == pytest.approx(paid)


def test_the_budget_holds_when_an_actor_dies(nodes: Any, tmp_path: Path) -> None:
    """What the lost calls may have cost can use it up: then nothing more is sent."""
    # Each call may cost a dollar, and costs five cents.
    dear = Price(prompt=0.0, completion=1e6 / 64)
    with chat_server(text="Rating: [[7]]", delay_ms=300) as server:
        budget = Budget(10.5)
        metered = Metered(spread(server, concurrency=8), dear, budget)

        def judge() -> None:
            for number, _ in enumerate(metered.complete(requests(100))):
                if number == 15:
                    kill_one(server, 6)

        with pytest.raises(BudgetExceeded, match="some of it on unusable replies"):
            judge()
        metered.close()
        assert budget.spent_usd <= 10.5
        assert server.seen().total() < 100


def test_actors_that_all_die_end_the_run(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of being replaced for ever."""
    monkeypatch.setattr(actors, "ClientActor", Dying)
    with chat_server() as server:
        model = spread(server, replicas=1)
        with pytest.raises(ModelError, match="the processes that call judge ended"):
            list(model.complete(requests(3)))
        model.close()


class Dying:
    """An actor that ends at once."""

    async def open(self, *_: Any) -> None:
        """End the process."""
        os._exit(1)


def test_a_run_on_a_cluster_ends_as_one_without(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real command, an actor of which is killed on the way: its verdicts and all that it prints of its scores are
    those of one process, the manifest says what was lost, and the key is in no file of Ray's.
    """
    monkeypatch.setenv("CLUSTER_KEY", KEY)
    items = 120
    rows = [{"id": f"sum-{number:03d}", "output": f"It is {number}."} for number in range(items)]
    (tmp_path / "answers.json").write_text(json.dumps(rows))

    def arguments(server: Server, out: str, *more: str) -> list[str | Path]:
        return [
            *("eval", "--model", f"file:{tmp_path / 'answers.json'}", "--tasks", f"{SUMS}:items={items},judged=true"),
            *("--judge", f"{server.base_url}#judge", "--api-key-env", "CLUSTER_KEY", "--judge-concurrency", "12"),
            *("--judge-arg", "usd_per_million=1/1", "--budget", "0.05", "--out", tmp_path / out, "--quiet", *more),
        ]

    cluster = ("--cluster", nodes.address, "--judge-arg", "replicas=2")
    options = {"ratings": 1, "delay_ms": 700, "key_env": "CLUSTER_KEY"}
    with chat_server(**options) as server:
        with (
            (tmp_path / "printed").open("wb") as printed,
            started(arguments(server, "spread", *cluster, "--json"), printed=printed) as process,
        ):
            wait_for(lambda: server.counts()["finish"] >= 36)
            kill_one(server, 9)
            assert process.wait() == 0
        seen = server.seen()
    with chat_server(**options) as server:
        plain = judgebench([*arguments(server, "plain"), "--json"], JUDGEBENCH_CACHE=str(tmp_path / "cache"))
    verdicts = [
        {row["case_id"]: row["verdict"] for row in lines_of(tmp_path / name / "sums" / "judgements.jsonl")}
        for name in ("spread", "plain")
    ]
    assert verdicts[0] == verdicts[1]
    assert scores_of(plain) == json.loads((tmp_path / "printed").read_text())["scores"]
    spread_out, alone = manifest_of(tmp_path / "spread"), manifest_of(tmp_path / "plain")
    assert spread_out.protocol_hash == alone.protocol_hash
    (session,), (one,) = spread_out.sessions, alone.sessions
    # On a busy machine all calls may have been answered just before the kill.
    lost = session.retries.get("judge", {}).get("client lost", 0)
    assert lost <= 12
    assert len(seen) == items <= seen.total() <= items + lost
    usd = [told.counts["sums"]["judge"].usd for told in (one, session)]
    assert usd[0] <= usd[1] <= 0.05
    assert (usd[0] < usd[1]) == (lost > 0)
    files = [path for path in Path(nodes.head_node.get_session_dir_path()).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_without_ray_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"replicas=2 of judge needs ray.*Install .*judgebench\[ray\]"):
        HttpChat("judge", "http://127.0.0.1:9/v1", "judge", replicas=2)
