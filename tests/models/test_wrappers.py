"""Stored asks nothing twice and loses nothing that was paid for; Metered never crosses its budget."""

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from judgebench.errors import BudgetExceeded, ModelError, UsageError
from judgebench.models import call_store
from judgebench.models.call_store import CallStore, call_key
from judgebench.models.http.model import HttpChat
from judgebench.models.pricing import Price
from judgebench.models.scripted import ScriptedModel
from judgebench.models.wrappers import PREFETCH, Budget, Metered, Stored
from judgebench.records import Completion, Message, Request, Sampling, Usage
from tests.patience import wait_for
from tests.servers.launch import chat_server
from tests.threads import our_threads

ROOT = Path(call_store.__file__).resolve().parents[1]
DOLLAR = Price(prompt=0.0, completion=1e6)
"""A dollar per completion token."""


def scripted(reply: Callable[[Request], Completion] | None = None, batch: int = 1) -> ScriptedModel:
    """A model of the identity that all models here share, so that the store answers for one what another was asked."""
    return ScriptedModel(reply or (lambda request: text(request).upper()), identity="scripted:1", batch=batch)


def asked_of(model: ScriptedModel) -> list[str]:
    """The messages that a model was asked."""
    return [text(request) for request in model.asked]


def ask(content: str, repeat: int = 0, max_tokens: int | None = None) -> Request:
    """A request of one user message."""
    sampling = Sampling(max_tokens=max_tokens)
    return Request(messages=(Message(role="user", content=content),), sampling=sampling, repeat=repeat)


def text(request: Request) -> str:
    """The user message."""
    return request.messages[-1].content


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CallStore]:
    """An open store in a folder of its own."""
    with CallStore(tmp_path / "calls.sqlite") as opened:
        yield opened


def rows(store: CallStore) -> int:
    """How many calls are committed."""
    return store.statistics().rows


def test_what_the_store_holds_is_not_asked_again(store: CallStore) -> None:
    """A second run gets the same replies from the store, says so, and only asks what is new."""
    first, second = scripted(), scripted()
    asked = dict(Stored(first, store).complete([ask("a"), ask("b")]))
    again = dict(Stored(second, store).complete([ask("b"), ask("c"), ask("a")]))
    assert {index: (c.text, c.cached) for index, c in asked.items()} == {0: ("A", False), 1: ("B", False)}
    assert {index: (c.text, c.cached) for index, c in again.items()} == {
        0: ("B", True),
        1: ("C", False),
        2: ("A", True),
    }
    assert asked_of(second) == ["c"]


def test_a_model_whose_replies_are_all_stored_is_not_started(store: CallStore) -> None:
    """It is not asked for an iterator either, which would open connections and import what sends requests."""
    list(Stored(scripted(), store).complete([ask("a"), ask("b")]))
    again = scripted()
    again.complete = lambda requests: pytest.fail("the model was started")  # type: ignore[method-assign]
    assert [completion.text for _, completion in Stored(again, store).complete([ask("b"), ask("b")])] == ["B", "B"]


def test_a_reply_is_committed_before_it_is_yielded(store: CallStore) -> None:
    """Whenever the caller holds a reply, a second connection to the file finds it."""
    requests = [ask(str(number)) for number in range(50)]
    with CallStore(store.path) as other:
        for index, completion in Stored(scripted(), store).complete(requests):
            assert other.get(call_key("scripted:1", requests[index])) == completion


def test_commits_do_not_wait_for_the_caller(store: CallStore) -> None:
    """A caller that takes one reply and then sleeps finds all others committed meanwhile."""
    replies = Stored(scripted(), store).complete(ask(str(number)) for number in range(100))
    next(replies)
    wait_for(lambda: rows(store) == 100)
    assert len(list(replies)) == 99


def test_what_is_in_hand_is_bounded(store: CallStore) -> None:
    """A caller that does not take replies stops the pulling of requests; what was pulled is committed all the same."""
    pulled = []

    def requests() -> Iterator[Request]:
        for number in range(1000):
            pulled.append(number)
            yield ask(str(number))

    replies = Stored(scripted(), store, max_in_flight=20).complete(requests())
    taken = [next(replies) for _ in range(5)]
    wait_for(lambda: rows(store) == 25)
    time.sleep(0.1)
    assert len(pulled) <= 26 + PREFETCH
    assert len(taken) + len(list(replies)) == 1000


def test_hits_are_bounded_too(store: CallStore) -> None:
    """A store full of hits is not read into memory ahead of a slow caller."""
    list(Stored(scripted(), store).complete(ask(str(number)) for number in range(100)))
    pulled = []

    def requests() -> Iterator[Request]:
        for number in range(100):
            pulled.append(number)
            yield ask(str(number))

    replies = Stored(scripted(), store, max_in_flight=10).complete(requests())
    next(replies)
    time.sleep(0.1)
    assert len(pulled) <= 12 + PREFETCH
    assert len(list(replies)) == 99


def test_equal_requests_in_flight_are_one_call(store: CallStore) -> None:
    """Each of them gets the reply, the followers marked as costing nothing."""
    model = scripted(batch=3)
    got = dict(Stored(model, store).complete([ask("a"), ask("b"), ask("a"), ask("a"), ask("c")]))
    assert sorted(asked_of(model)) == ["a", "b", "c"]
    assert [got[index].text for index in range(5)] == ["A", "B", "A", "A", "C"]
    assert [got[index].cached for index in range(5)] == [False, False, True, True, False]


def test_another_repeat_is_another_call(store: CallStore) -> None:
    """Repeats of one request are asked one by one and stored apart."""
    model = scripted()
    list(Stored(model, store).complete([ask("a", repeat=0), ask("a", repeat=1)]))
    assert asked_of(model) == ["a", "a"]
    assert rows(store) == 2


def test_a_failed_call_is_yielded_and_not_stored(store: CallStore) -> None:
    """The error reaches every request that waited for it; the next run asks again."""
    failing = scripted(lambda request: Completion(error="timeout"), batch=2)
    got = dict(Stored(failing, store).complete([ask("a"), ask("a"), ask("b")]))
    assert [got[index].error for index in range(3)] == ["timeout"] * 3
    assert rows(store) == 0
    again = scripted()
    assert [c.text for _, c in Stored(again, store).complete([ask("a")])] == ["A"]


def test_a_model_error_comes_after_what_was_finished(store: CallStore) -> None:
    """Replies before the failure are committed and yielded first."""

    def reply(request: Request) -> Completion:
        if text(request) == "5":
            raise ModelError("the endpoint is gone")
        return Completion(text="x")

    got: list[tuple[int, Completion]] = []
    with pytest.raises(ModelError, match="gone"):
        got.extend(Stored(scripted(reply), store).complete(ask(str(number)) for number in range(10)))
    assert [index for index, _ in got] == [0, 1, 2, 3, 4]
    assert rows(store) == 5
    assert our_threads("judgebench-store") == []


def test_an_error_of_the_requests_comes_after_what_was_finished(store: CallStore) -> None:
    """The iterable's own exception reaches the caller as it is."""

    def requests() -> Iterator[Request]:
        yield ask("a")
        yield ask("b")
        raise LookupError("no more")

    got: list[tuple[int, Completion]] = []
    with pytest.raises(LookupError, match="no more"):
        got.extend(Stored(scripted(), store).complete(requests()))
    assert len(got) == rows(store) == 2
    assert our_threads("judgebench-store") == []


def test_an_abandoned_iterator_leaves_no_thread(store: CallStore) -> None:
    """Nothing more is pulled, what is finished is committed, and all threads end."""
    pulled = []

    def requests() -> Iterator[Request]:
        for number in range(10_000):
            pulled.append(number)
            yield ask(str(number))

    model = Stored(scripted(), store, max_in_flight=50)
    for _ in model.complete(requests()):
        break
    assert our_threads("judgebench-store") == []
    assert len(pulled) <= 52 + PREFETCH
    assert rows(store) >= 1


def test_abandoning_cancels_calls_in_flight(store: CallStore) -> None:
    """Giving up does not wait for a reply that takes a day; the finished ones are in the store."""
    with chat_server(faults="slow=0.5", slow_ms=86_400_000) as server:
        model = Stored(HttpChat("m", server.base_url, "m", concurrency=16), store)
        for _ in model.complete(ask(str(number)) for number in range(1000)):
            break
        model.close()
        assert our_threads("judgebench-store") == []
        assert rows(store) >= 1


def test_a_store_that_fails_ends_the_run(store: CallStore) -> None:
    """A full disk is raised to the caller, who is never left waiting."""
    store._writer.execute("PRAGMA max_page_count = 8").fetchall()
    model = Stored(scripted(lambda request: Completion(text="x" * 100_000)), store)
    with pytest.raises(UsageError, match="Make room"):
        list(model.complete(ask(str(number)) for number in range(10)))
    assert our_threads("judgebench-store") == []


def test_a_model_that_drops_requests_is_noticed(store: CallStore) -> None:
    """A backend that ends early is an error, never a silent gap."""

    class Dropping(ScriptedModel):
        def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
            return ((index, completion) for index, completion in super().complete(requests) if index % 2 == 0)

    with pytest.raises(ModelError, match="left 2 requests"):
        list(Stored(Dropping(lambda request: "x"), store).complete(ask(str(number)) for number in range(4)))


RUN = """
import sys
from pathlib import Path
from judgebench.models.call_store import CallStore
from judgebench.models.http.model import HttpChat
from judgebench.models.wrappers import Stored
from judgebench.records import Message, Request, Sampling
sampling = Sampling(max_tokens=1)
messages = ((Message(role="user", content=str(number)),) for number in range(int(sys.argv[3])))
requests = (Request(messages=each, sampling=sampling) for each in messages)
with CallStore(Path(sys.argv[1])) as store:
    model = Stored(HttpChat("m", sys.argv[2], "m", concurrency=16, backoff_seconds=0.01), store)
    for index, completion in model.complete(requests):
        assert completion.error is None
        print(index, completion.cached, flush=True)
    model.close()
"""


def test_kill_9_and_restart_asks_nothing_twice(tmp_path: Path) -> None:
    """Over 20 kills at random moments, no reply that was committed, let alone yielded, is asked for again."""
    count, kills = 1500, 20
    rng = random.Random(1)
    with chat_server(delay_ms=5, faults="500=0.02,truncated=0.02") as server:
        command = [sys.executable, "-c", RUN, str(tmp_path / "calls.sqlite"), server.base_url, str(count)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        identity = HttpChat("m", server.base_url, "m", concurrency=16).identity
        requests = [ask(str(number), max_tokens=1) for number in range(count)]
        messages = {
            call_key(identity, request): hashlib.sha256(msgspec.json.encode(request.messages)).hexdigest()
            for request in requests
        }
        safe: set[str] = set()
        done: set[int] = set()
        for kill in range(kills + 1):
            seen = len(server.events())
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            assert process.stdout is not None
            if kill < kills:
                while len(line := process.stdout.readline()) and line.split()[1] == "True":
                    pass
                time.sleep(rng.uniform(0.0, 0.12))
                process.send_signal(signal.SIGKILL)
            fresh = [line.split() for line in process.stdout if line.endswith("\n")]
            newly = {int(index) for index, cached in fresh if cached == "False"}
            assert not newly & done, "a reply that was yielded before a kill was asked again"
            done |= newly
            process.wait()
            process.stdout.close()
            assert not {event["key"] for event in server.events()[seen:] if event["event"] == "start"} & safe
            with sqlite3.connect(tmp_path / "calls.sqlite") as store:
                safe = {messages[key] for (key,) in store.execute("SELECT key FROM calls")}
            store.close()
        assert process.returncode == 0
        assert safe == set(messages.values())


def priced(tokens: int) -> Callable[[Request], Completion]:
    """Replies that cost ``tokens`` dollars."""
    return lambda request: Completion(text="x", usage=Usage(prompt_tokens=7, completion_tokens=tokens))


def test_tokens_and_dollars_are_counted() -> None:
    """Usage adds up over replies; the price is per million tokens of each kind."""
    price = Price(prompt=10.0, completion=30.0)
    budget = Budget()
    list(Metered(scripted(priced(3)), price, budget).complete(ask(str(number)) for number in range(4)))
    assert budget.spent_usd == pytest.approx((28 * 10 + 12 * 30) / 1e6)


def test_the_budget_stops_before_it_is_crossed() -> None:
    """With $10 and calls of at most $3, three are made and yielded, and the fourth is not asked."""
    inner = scripted(priced(3))
    budget = Budget(10.0)
    model = Metered(inner, DOLLAR, budget)
    got: list[tuple[int, Completion]] = []
    with pytest.raises(BudgetExceeded, match=r"\$10\.00.*\$9\.0.*--budget"):
        got.extend(model.complete(ask(str(number), max_tokens=3) for number in range(10)))
    assert len(got) == len(asked_of(inner)) == 3
    assert budget.spent_usd == pytest.approx(9.0)


def test_calls_in_flight_count_as_spent() -> None:
    """Many calls at once, each cheaper than its estimate, cross the budget at no time and use it up."""
    with chat_server(delay_ms=20) as server:
        budget = Budget(50.0)
        chat = HttpChat("m", server.base_url, "m", concurrency=32)
        model = Metered(chat, DOLLAR, budget)
        got: list[tuple[int, Completion]] = []
        with pytest.raises(BudgetExceeded):
            # The server bills one token; the estimate is four.
            got.extend(model.complete(ask(str(number), max_tokens=4) for number in range(500)))
        model.close()
        assert max(event["in_flight"] for event in server.events()) <= 12
    assert len(got) == 47
    assert budget.spent_usd == pytest.approx(47.0)
    assert our_threads("judgebench-store") == []


def test_a_budget_is_shared_between_models() -> None:
    """What the candidate spent is missing for the judge."""
    budget = Budget(5.0)
    list(Metered(scripted(priced(3)), DOLLAR, budget).complete([ask("a", max_tokens=3)]))
    with pytest.raises(BudgetExceeded):
        list(Metered(scripted(priced(3)), DOLLAR, budget).complete([ask("b", max_tokens=3)]))
    assert budget.spent_usd == pytest.approx(3.0)


def test_replies_from_the_store_cost_nothing(store: CallStore) -> None:
    """With the meter inside the store, what one run finished is free for the next, and then all of it."""
    requests = [ask(str(number), max_tokens=3) for number in range(5)]
    with pytest.raises(BudgetExceeded):
        list(Stored(Metered(scripted(priced(3)), DOLLAR, Budget(9.0)), store).complete(requests))
    assert rows(store) == 3
    budget = Budget(6.0)
    resumed = Metered(scripted(priced(3)), DOLLAR, budget)
    assert len(list(Stored(resumed, store).complete(requests))) == 5
    assert budget.spent_usd == pytest.approx(6.0)
    empty = Metered(scripted(priced(3)), DOLLAR, Budget(0.0))
    assert len(list(Stored(empty, store).complete(requests))) == 5


def test_a_budget_wants_a_price() -> None:
    """An unknown price cannot be kept under a limit; without a limit its calls count as free."""
    with pytest.raises(UsageError, match="price of scripted is not known"):
        Metered(scripted(), None, Budget(1.0))
    budget = Budget()
    list(Metered(scripted(priced(1)), None, budget).complete([ask("a")]))
    assert budget.spent_usd == 0.0


def test_estimates_are_upper_ones() -> None:
    """A token for each three bytes of prompt plus the longest reply; text beyond ASCII counts its bytes."""
    price = Price(prompt=1e6, completion=1e6)
    assert price.at_most(ask("x" * 300, max_tokens=5)) == pytest.approx(106)
    assert price.at_most(ask("猫" * 300, max_tokens=5)) == pytest.approx(306)


def test_abandoning_frees_what_was_set_aside(store: CallStore) -> None:
    """Calls that were never made do not count against the other models of the run, and nobody waits for them."""
    with chat_server(delay_ms=60_000) as server:
        budget = Budget(10.0)
        chat = HttpChat("m", server.base_url, "m", concurrency=8)
        slow = Metered(chat, DOLLAR, budget)
        replies = slow.complete(ask(str(number), max_tokens=3) for number in range(100))
        wait_for(lambda: server.counts()["start"] == 3)
        replies.close()  # type: ignore[attr-defined]
        slow.close()
        assert our_threads("judgebench-store") == []
    list(Metered(scripted(priced(3)), DOLLAR, budget).complete([ask("b", max_tokens=10)]))
    assert budget.spent_usd == pytest.approx(3.0)


def test_a_call_holds_its_place_until_its_reply_is_committed(store: CallStore) -> None:
    """While another process locks the store, no more calls are sent than the model's concurrency, however fast the
    replies come: a killed process loses these at most. Once the lock is gone, all the others follow.
    """
    with chat_server() as server, sqlite3.connect(store.path, isolation_level=None) as other:
        model = HttpChat("m", server.base_url, "m", concurrency=4)
        replies = Stored(model, store).complete(ask(str(number)) for number in range(40))
        next(replies)
        other.execute("BEGIN IMMEDIATE")
        committed = rows(store)
        wait_for(lambda: server.counts()["start"] == committed + 4)
        time.sleep(0.3)
        assert server.counts()["start"] == rows(store) + 4 == committed + 4
        other.execute("ROLLBACK")
        assert len(list(replies)) == 39
        model.close()
