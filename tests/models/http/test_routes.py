"""Several addresses and keys of one model, the gate before them, and a concurrency that changes."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from yarl import URL

from judgebench.errors import ModelError
from judgebench.models.http.endpoint import Place
from judgebench.models.http.model import HttpChat
from judgebench.models.http.routes import Gate, Route, Size
from judgebench.records import Completion, Message, Request, Sampling
from tests.patience import wait_for
from tests.servers.launch import Server, chat_server

SIZE = Size(10.0, 10.0)


def many(count: int, name: str = "q") -> Iterator[Request]:
    """Requests, each another one."""
    for number in range(count):
        yield Request(messages=(Message(role="user", content=f"{name} {number}"),), sampling=Sampling(temperature=0.0))


def shared(*servers: Server, **options: Any) -> HttpChat:
    """A model that all the servers serve."""
    more = [Place(server.base_url) for server in servers[1:]]
    return HttpChat("judge", servers[0].base_url, "m", more=more, **{"backoff_seconds": 0.01, **options})


def answers(model: HttpChat, count: int) -> list[Completion]:
    """The replies to so many requests, in their order."""
    got = dict(model.complete(many(count)))
    model.close()
    return [got[number] for number in range(count)]


def route(name: str = "a") -> Route:
    """A route that nothing is known of."""
    return Route(name, URL(f"http://{name}"), {}, "no key", ())


def test_a_limit_that_headers_tell_is_kept_before_it_refuses() -> None:
    """A server takes 20 requests in a window: no more are refused than were sent before its first reply."""
    with chat_server(allow=20, allow_window=0.4, delay_ms=20) as server:
        got = answers(shared(server, concurrency=24), 100)
        assert all(completion.error is None for completion in got)
        assert server.counts()["429"] <= 24


def test_two_endpoints_behind_one_name_share_the_load() -> None:
    """Each takes its part, none is asked more than its limit allows, and no request is sent to both."""
    with chat_server(allow=20, allow_window=0.4) as one, chat_server(allow=20, allow_window=0.4) as other:
        got = answers(shared(one, other, concurrency=32), 160)
        assert all(completion.error is None for completion in got)
        finished = [server.counts()["finish"] for server in (one, other)]
        assert sum(finished) == 160
        assert min(finished) >= 50
        assert sum(server.counts()["429"] for server in (one, other)) <= 32


def test_the_concurrency_is_that_of_all_endpoints_together() -> None:
    """Six requests are in flight at both, not at each."""
    with chat_server(delay_ms=20) as one, chat_server(delay_ms=20) as other:
        answers(shared(one, other, concurrency=6), 120)
        events = sorted((*one.events(), *other.events()), key=lambda event: event["time"])
        in_flight = most = 0
        for event in events:
            in_flight += 1 if event["event"] == "start" else -1
            most = max(most, in_flight)
        # A client may read a reply and send the next request before the server has written the first one's end.
        assert most <= 6 + 2
        assert min(server.counts()["finish"] for server in (one, other)) >= 20


def test_a_dead_endpoint_costs_no_answer() -> None:
    """One of two addresses is closed: all requests are answered by the other, and the closed one is soon left alone."""
    with chat_server(delay_ms=2) as server, chat_server() as gone:
        pass_on = gone.base_url
    with chat_server(delay_ms=2) as server:
        model = HttpChat("judge", pass_on, "m", more=[Place(server.base_url)], concurrency=8)
        got = answers(model, 200)
        assert all(completion.error is None for completion in got)
        assert server.counts()["finish"] == 200
        assert model.retries["connection"] <= 16


def test_a_slow_endpoint_is_left_out() -> None:
    """Of two servers, one takes a second and a half for each reply: it gets a few requests, and no more."""
    with chat_server(delay_ms=2) as fast, chat_server(delay_ms=1500) as slow:
        model = shared(slow, fast, concurrency=8)
        assert all(completion.error is None for completion in answers(model, 400))
        assert slow.counts()["start"] <= 12
        assert fast.counts()["finish"] >= 388


def test_an_endpoint_that_refuses_the_key_is_left_to_the_others() -> None:
    """A wrong key at one of two addresses loses nothing; at both it ends the run, without showing a key."""
    with chat_server() as open_to_all, chat_server(key_env="PATH") as closed:
        model = HttpChat(
            "judge", closed.base_url, "m", "wrong-secret", more=[Place(open_to_all.base_url)], concurrency=4
        )
        assert all(completion.error is None for completion in answers(model, 50))
        assert "HTTP 401" in model.gate.routes[0].left_out_for
        both = HttpChat(
            "judge",
            closed.base_url,
            "m",
            "wrong-secret",
            more=[Place(closed.base_url, "other-secret")],
            concurrency=4,
        )
        with pytest.raises(ModelError, match="refused") as failure:
            list(both.complete(many(50)))
        both.close()
        assert "secret" not in str(failure.value)


def test_several_keys_at_one_address_take_turns() -> None:
    """Each key is used, none is sent beside another, and the model is the same as with one key."""
    with chat_server(delay_ms=5, log_bodies=1) as server:
        place = Place(server.base_url, "second-key-0002")
        model = HttpChat("judge", server.base_url, "m", "first-key-0001", more=[place], concurrency=8)
        assert model.identity == HttpChat("judge", server.base_url, "m").identity
        answers(model, 60)
        sent = Counter(event["headers"]["Authorization"] for event in server.events() if event["event"] == "start")
        assert sorted(sent) == ["Bearer first-key-0001", "Bearer second-key-0002"]
        assert min(sent.values()) >= 10


def test_a_model_at_several_addresses_is_known_by_its_name() -> None:
    """Addresses may come, go and change their order: what is stored under the name stays good. One address counts."""

    def identity(*addresses: str) -> str:
        return HttpChat("m", addresses[0], "m", more=[Place(address) for address in addresses[1:]]).identity

    assert identity("http://a/v1", "http://b/v1") == identity("http://c/v1", "http://b/v1", "http://a/v1") == "http:#m"
    assert identity("http://a/v1") == "http:http://a/v1#m"


def test_a_concurrency_can_change_while_requests_are_sent() -> None:
    """It goes up and down between requests of one run; none is lost or sent twice."""
    with chat_server(delay_ms=20) as server:
        model = shared(server, concurrency=2)
        got: list[tuple[int, Completion]] = []
        asking = threading.Thread(target=lambda: got.extend(model.complete(many(300))))
        asking.start()

        wait_for(lambda: server.counts()["finish"] >= 20)
        model.set_concurrency(16)
        wait_for(lambda: server.counts()["finish"] >= 200)
        model.set_concurrency(3)
        asking.join()
        model.close()
        starts = [event["in_flight"] for event in server.events() if event["event"] == "start"]
        assert sorted(index for index, _ in got) == list(range(300))
        assert len(starts) == 300
        assert max(starts[:20]) <= 2
        assert 8 < max(starts) <= 16
        assert max(starts[-40:]) <= 3


def test_two_runs_at_one_gate_take_turns() -> None:
    """Fifty requests of one run stand in line before the first of another; from then on each is let in as often."""

    async def let_in(gate: Gate) -> str:
        order: list[str] = []

        async def ask(run: str) -> None:
            where = await gate.enter(run, SIZE, asyncio.get_running_loop().time())
            order.append(run)
            await asyncio.sleep(0)
            gate.leave(*where)

        async with asyncio.TaskGroup() as tasks:
            for run in "a" * 50 + "b" * 20:
                tasks.create_task(ask(run))
        return "".join(order)

    order = asyncio.run(let_in(Gate([route()], cap=1)))
    assert len(order) == 70
    assert order[1:41].count("b") == 20


def test_a_route_that_failed_is_tried_again_later_and_later() -> None:
    """By one request at a time; an answer brings it back."""
    one = route()
    for moment, seconds in ((100.0, 1.0), (200.0, 2.0), (300.0, 4.0)):
        one.failed("no connection", moment, moment, surely=True)
        one.failed("no connection", moment - 1, moment, surely=True)
        assert one.out_until == moment + seconds
    assert one.is_out(303.0)
    assert not one.is_out(304.5)
    number = one.enter(SIZE, 304.5)
    assert one.is_out(304.6)
    one.leave(number)
    one.answered(304.5, 305.0)
    assert not one.is_out(305.0)
    one.failed("no connection", 400.0, 400.0, surely=True)
    assert one.out_until == 401.0


def test_a_single_error_of_a_server_leaves_nothing_out() -> None:
    """Three in a row do, unless an answer comes between them."""
    one = route()
    for moment in (1.0, 2.0):
        one.failed("HTTP 500", moment, moment, surely=False)
    one.answered(2.5, 2.6)
    one.failed("HTTP 500", 3.0, 3.0, surely=False)
    assert not one.is_out(3.0)
    for moment in (4.0, 5.0):
        one.failed("HTTP 500", moment, moment, surely=False)
    assert one.is_out(5.5)


def test_an_endpoint_that_has_not_answered_gets_more_and_more_at_once() -> None:
    """Its limits are unknown: it gets the usual number, and as many more each half second, until its first reply."""
    one = route()
    one.limit.resize(1000)
    for _ in range(64):
        assert one.ready_at(10.0) <= 10.0
        one.enter(SIZE, 10.0)
    assert one.ready_at(10.0) == 10.5
    for _ in range(64):
        one.enter(SIZE, 10.5)
    assert one.ready_at(10.5) == 11.0
    one.heard({}, 10.0, 10.6, 0.0)
    assert one.ready_at(10.6) <= 10.6
