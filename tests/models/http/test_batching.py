"""Models that are asked in batches, against a server of both vendors' batch protocols that their own SDKs speak to."""

import re
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from judgebench.errors import BudgetExceeded, ModelError, UsageError
from judgebench.models.batch_book import COLLECTING, FETCHED, RUNNING, SUBMITTING, Batch, BatchBook
from judgebench.models.call_store import CallStore, call_key
from judgebench.models.http import batch_api, batching
from judgebench.models.http.batch_api import BatchFault, Seen
from judgebench.models.http.batch_parts import Due
from judgebench.models.http.batching import Batched
from judgebench.models.http.model import HttpChat, anthropic_chat, openai_chat
from judgebench.models.opening import parse_model, price_of
from judgebench.models.wrappers import Account, Budget, Metered, Stored
from judgebench.records import Completion, Message, Request, Sampling
from tests.servers.launch import Server, batch_server

VENDORS = ("openai", "anthropic")
FAULTS = ("missing", "expired", "errored", "broken", "refused", "half", "polls", "submits", "lost", "unpaged")


@pytest.fixture(scope="module")
def vendor() -> Iterator[Server]:
    """One server for all tests; each sets what goes wrong."""
    with batch_server(work_ms=50) as server:
        yield server


@pytest.fixture
def server(vendor: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, on which nothing goes wrong, and waits that are short."""
    monkeypatch.setenv("OPENAI_BASE_URL", vendor.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", vendor.root_url)
    monkeypatch.setattr(batching, "LEAST_POLL_SECONDS", 0.05)
    monkeypatch.setattr(batching, "LINGER_SECONDS", 0.6)
    monkeypatch.setattr(batching, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(batching, "STUCK_SECONDS", 0.05)
    yield vendor
    vendor.set(**dict.fromkeys(FAULTS, 0), end="completed", refuse="", work_ms=50)


def questions(count: int, *, first: int = 0, **sampling: Any) -> list[Request]:
    """Sums, which the server gets right."""
    return [
        Request(
            messages=(Message(role="user", content=f"What is {number} + 1?"),),
            sampling=Sampling(**{"max_tokens": 8, **sampling}),
        )
        for number in range(first, first + count)
    ]


def chat(vendor: str, name: str) -> HttpChat:
    """A model of the server."""
    if vendor == "openai":
        return openai_chat(name, backoff_seconds=0.01)
    return anthropic_chat(name, backoff_seconds=0.01)


@contextmanager
def asking(
    path: Path, vendor: str, name: str = "gpt-4.1", *, budget: float | None = None, batched: bool = True
) -> Iterator[Stored]:
    """A model as a run has it, with its store."""
    with CallStore(path / "calls.sqlite") as store:
        price = price_of(parse_model("openai:gpt-4.1")[0], {})
        account, limit, model = Account(price, run="r", billed=not batched), Budget(budget), chat(vendor, name)
        inner = Batched(model, store, account, limit, "{}") if batched else model
        stored = Stored(Metered(inner, price, limit, batched=batched), store, 10_000, account)
        try:
            yield stored
        finally:
            stored.close()


def answers(model: Stored, requests: Sequence[Request]) -> list[Completion]:
    """The reply to each request."""
    found = dict(model.complete(iter(requests)))
    return [found[index] for index in range(len(requests))]


def alike(replies: Sequence[Completion]) -> list[Completion]:
    """Replies without how they were bought."""
    unbought = {"batched": False, "cached": False, "discarded": Completion().discarded}
    return [msgspec.structs.replace(reply, **unbought) for reply in replies]


def submissions(server: Server, *, since: int = 0) -> Counter[str]:
    """How often each call was in a batch."""
    batches = [event for event in server.events()[since:] if event["event"] == "batch"]
    return Counter(asked for event in batches for asked in event["asked"])


@pytest.mark.parametrize("vendor_name", VENDORS)
def test_a_batch_gives_what_single_calls_give(server: Server, tmp_path: Path, vendor_name: str) -> None:
    """Text, ending, tokens, name: all but the price, which is half of it by the price list; the first call is single,
    and with it the whole is at most 51 % of what single calls cost.
    """
    requests = questions(100)
    with asking(tmp_path / "live", vendor_name, "same", batched=False) as live, CallStore(tmp_path / "x") as _:
        single = answers(live, requests)
    with asking(tmp_path / "batch", vendor_name, "same") as batched:
        together = answers(batched, requests)
    assert alike(together) == single
    assert sum(not reply.batched for reply in together) == 1
    with CallStore(tmp_path / "live/calls.sqlite") as one, CallStore(tmp_path / "batch/calls.sqlite") as other:
        whole, half = one.spending("r"), other.spending("r")
    assert (half.calls, half.prompt_tokens, half.completion_tokens) == (
        100,
        whole.prompt_tokens,
        whole.completion_tokens,
    )
    assert 0.5 < half.usd / whole.usd <= 0.51


@pytest.mark.parametrize("vendor_name", VENDORS)
def test_whatever_a_batch_leaves_unanswered_is_asked_again(server: Server, tmp_path: Path, vendor_name: str) -> None:
    """Lines that are missing, expired, failed, refused, or no answer, lines that come twice and out of order: every
    request gets the answer that it has alone, and every case is counted.
    """
    server.set(missing=0.1, expired=0.1, errored=0.1, broken=0.1, refused=0.1)
    requests = questions(200)
    with asking(tmp_path, vendor_name, "faulty") as model:
        replies = answers(model, requests)
        counted = dict(model.retries)
    server.set(**dict.fromkeys(FAULTS, 0))
    with asking(tmp_path / "live", vendor_name, "faulty", batched=False) as live:
        assert alike(replies) == answers(live, requests)
    kinds = {"batch missing", "batch expired", "batch malformed", "batch error 400"}
    assert kinds < counted.keys()
    assert any(name.startswith("batch error") and name != "batch error 400" for name in counted)


@pytest.mark.parametrize("vendor_name", VENDORS)
@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_batch_that_ends_early_is_continued(server: Server, tmp_path: Path, vendor_name: str, end: str) -> None:
    """What an expired or cancelled batch answered is kept; the rest is sent again, much of it in another batch."""
    server.set(end=end)
    with asking(tmp_path, vendor_name, f"{end} early") as model:
        replies = answers(model, questions(61))
    assert [reply.error for reply in replies] == [None] * 61
    # Half of 60, half of the other 30, and the first and the last 15 by themselves; one more on a busy machine.
    assert sum(reply.batched for reply in replies) in (44, 45)


@pytest.mark.parametrize("vendor_name", VENDORS)
@pytest.mark.parametrize(
    ("fault", "counted"),
    [("half", "batch broken off"), ("polls", "batch 5"), ("submits", "batch 429"), ("lost", "batch 500")],
)
def test_faults_of_the_endpoint_pass(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor_name: str, fault: str, counted: str
) -> None:
    """Half a file, a 5xx when asked how it is, a 429 for a batch: it is tried again; a batch that was accepted with a
    500 is found among the vendor's and not submitted again.
    """
    monkeypatch.setattr(Due, "again", lambda due, fault: setattr(due, "faults", due.faults + 1))
    server.set(**{fault: 1})
    since = len(server.events())
    with asking(tmp_path, vendor_name, f"{fault} once") as model:
        replies = answers(model, questions(30))
        assert any(name.startswith(counted) for name in model.retries)
    assert sum(reply.batched for reply in replies) == 29
    assert set(submissions(server, since=since).values()) == {1}


def test_a_setting_that_is_refused_is_known_before_the_batch(server: Server, tmp_path: Path) -> None:
    """The first call finds out that the endpoint has another name for a field, and the batch uses that name."""
    server.set(refuse="max_tokens")
    with asking(tmp_path, "openai", "refuses") as model:
        replies = answers(model, questions(10))
        assert dict(model.retries) == {"refused max_tokens": 1}
    assert sum(reply.batched for reply in replies) == 9


def test_log_probabilities_come_with_batches(server: Server, tmp_path: Path) -> None:
    """A judge that reads the alternatives of its label gets them."""
    with asking(tmp_path, "openai", "logprobs") as model:
        replies = answers(model, questions(5, top_logprobs=2))
    assert [reply.top_logprobs is not None for reply in replies] == [True] * 5


def book_of(path: Path, **changes: Any) -> tuple[CallStore, str]:
    """A store in which a process that ended has left a batch of 30 questions."""
    store = CallStore(path / "calls.sqlite")
    model = chat("openai", "left")
    values = {
        "token": uuid.uuid4().hex,
        "identity": model.identity,
        "model": "left",
        "how": "{}",
        "run": "r",
        **changes,
    }
    batch = Batch(**values)
    store.batches.begin(batch)
    calls = [(call_key(model.identity, request), model.body(request)) for request in questions(30)]
    assert len(store.batches.add(batch.token, calls)) == 30
    return store, batch.token


def test_a_batch_that_was_never_submitted_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    """Its process was killed before: the calls are collected anew, and submitted once."""
    store, token = book_of(tmp_path, state=COLLECTING)
    store.close()
    since = len(server.events())
    with asking(tmp_path, "openai", "left") as model:
        answers(model, questions(30))
    assert submissions(server, since=since).total() == 29
    with CallStore(tmp_path / "calls.sqlite") as store:
        assert token not in [batch.token for batch in store.batches.batches()]


@pytest.mark.parametrize(("submitted", "unpaged"), [(True, 0), (False, 0), (True, 1), (False, 1)])
def test_a_submission_in_doubt_is_looked_for(server: Server, tmp_path: Path, *, submitted: bool, unpaged: int) -> None:
    """A process was killed while it submitted. If the vendor has the batch, it is waited for; if not, the calls are
    submitted, and in either case once; also where the list of batches has no pages, as Groq's.
    """
    server.set(unpaged=unpaged)
    store, token = book_of(tmp_path, state=SUBMITTING)
    since = len(server.events())
    if submitted:
        api = batching.batch_api(chat("openai", "left"))
        lines = [api.line(key, body) for key, body in store.batches.bodies(token)]
        store.batches.change(token, place=api.upload(token, lines))
        batch = store.batches.batch(token)
        assert batch is not None
        api.submit(batch, batch.place, lambda: iter(lines))
    store.close()
    with asking(tmp_path, "openai", "left") as model:
        replies = answers(model, questions(30))
    assert sum(reply.batched for reply in replies) == (30 if submitted else 29)
    assert set(submissions(server, since=since).values()) == {1}


def test_another_process_goes_on_with_a_batch(server: Server, tmp_path: Path) -> None:
    """The process that submitted it ends while it runs; the next start submits nothing and asks nothing."""
    server.set(work_ms=1500)
    requests = questions(40, first=100)
    with asking(tmp_path, "openai", "left running") as model:
        iterator = model.complete(iter(requests))
        next(iterator)  # the first, by itself: the others are being submitted
        while not any(batch.state == RUNNING for batch in model._store.batches.batches()):
            pass
    since = len(server.events())
    with asking(tmp_path, "openai", "left running") as model:
        replies = answers(model, requests)
        assert [batch.state for batch in model._store.batches.batches()] == [FETCHED]
    assert sum(reply.batched for reply in replies) == 39
    assert server.events()[since:] == []


def test_batches_are_of_the_vendors_size(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by bytes."""
    monkeypatch.setattr(batching.batch_api(chat("openai", "x")).__class__, "most_calls", 20)
    since = len(server.events())
    with asking(tmp_path, "openai", "by number") as model:
        answers(model, questions(51))
    monkeypatch.setattr(batching.batch_api(chat("openai", "x")).__class__, "most_bytes", 3000)
    with asking(tmp_path, "openai", "by bytes") as model:
        answers(model, questions(21))
    sizes = [len(event["asked"]) for event in server.events()[since:] if event["event"] == "batch"]
    assert sizes[:3] == [20, 20, 10]
    assert sum(sizes[3:]) == 20
    assert max(sizes[3:]) < 12


def test_a_budget_holds_for_batches(server: Server, tmp_path: Path) -> None:
    """The price for batches is set aside, nothing is submitted beyond the budget, and what was submitted is kept."""
    price = price_of(parse_model("openai:gpt-4.1")[0], {})
    assert price is not None
    each = price.at_most(questions(1)[0], batched=True)
    with asking(tmp_path, "openai", "budget", budget=20.5 * each) as model:
        found = []
        with pytest.raises(BudgetExceeded):
            found.extend(model.complete(iter(questions(100))))
        assert 20 <= len(found) < 100
    with CallStore(tmp_path / "calls.sqlite") as store:
        assert store.spending("r").usd <= 20.5 * each
        assert store.spending("r").calls == len(found)


def test_an_endpoint_without_batches_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends with what to do, and nothing is left in the record."""
    monkeypatch.setattr(batching.batch_api(chat("openai", "x")).__class__, "upload", _not_found)
    with asking(tmp_path, "openai", "none") as model:
        with pytest.raises(ModelError, match=re.escape("--batch-api off")):
            answers(model, questions(10))
        assert model._store.batches.batches() == []


def _not_found(*_: object) -> str:
    raise batching.BatchFault(404, "not here")


def test_a_batch_stays_written_down_unless_nothing_can_have_been_submitted(server: Server, tmp_path: Path) -> None:
    """The store fails between a submission and its note: the batch stays in doubt, and the next start finds it."""
    change, since = BatchBook.change, len(server.events())

    def failing(book: BatchBook, token: str, **values: object) -> None:
        if values.get("state") == RUNNING:
            raise sqlite3.OperationalError("disk I/O error")
        change(book, token, **values)

    with asking(tmp_path, "openai", "noted late") as model:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(BatchBook, "change", failing)
            with pytest.raises(UsageError, match="disk I/O error"):
                answers(model, questions(10))
        assert [batch.state for batch in model._store.batches.batches()] == [SUBMITTING]
    with asking(tmp_path, "openai", "noted late") as model:
        answers(model, questions(10))
    assert set(submissions(server, since=since).values()) == {1}


@pytest.mark.parametrize("given", ["two\nlines", "", "x" * 300, None, 7])
def test_a_name_that_is_none_is_a_fault(given: object) -> None:
    """A server's ids are shown and written down, so each is one short line."""
    with pytest.raises(BatchFault):
        batch_api._text(given, openai_chat("x", only_identity=True))


def test_results_are_fetched_from_the_endpoint_alone(server: Server) -> None:
    """A message batch's results that lie at another host are not fetched: the key would go there."""
    api = batching.batch_api(chat("anthropic", "x"))
    seen = Seen(batch_id="b", word="ended", ended=True, files=("http://elsewhere.example/results",))
    with pytest.raises(ModelError, match=r"elsewhere\.example"):
        next(api.results(seen))


def test_a_line_longer_than_any_reply_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server cannot fill the memory with one line."""
    monkeypatch.setattr(batch_api, "MAX_BODY_BYTES", 10)
    assert list(batch_api.lines_of([b"one\n", b"12345678", b"90123", b"456\ntwo", b"\n"])) == [b"one", b"two"]


def test_the_server_speaks_the_sdks_protocols(server: Server) -> None:
    """The vendors' own clients find in the server's batches what their types promise."""
    client = openai.OpenAI(max_retries=0)
    line = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":[]}}'
    line = line.replace(b"[]", b'[{"role":"user","content":"What is 1 + 2?"}]')
    file = client.files.create(file=("in.jsonl", line), purpose="batch")
    begun = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"k": "v"}
    )
    assert next((one.id, one.metadata) for one in client.batches.list(limit=1)) == (begun.id, {"k": "v"})
    while (batch := client.batches.retrieve(begun.id)).status != "completed":
        pass
    assert batch.output_file_id is not None
    assert "It is 3." in client.files.content(batch.output_file_id).text
    asking_claude = anthropic.Anthropic(api_key="k", max_retries=0).messages.batches
    params: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "What is 1 + 2?"}]}
    made = asking_claude.create(requests=[{"custom_id": "a", "params": params}])
    while (told := asking_claude.retrieve(made.id)).processing_status != "ended":
        pass
    assert told.request_counts.succeeded == 1
    results = list(asking_claude.results(made.id))
    assert {result.custom_id for result in results} == {"a"}
    assert len(results) == 2  # some lines come twice
    result = results[0]
    assert result.result.type == "succeeded"
    assert result.result.message.content[0].to_dict()["text"] == "It is 3."
    assert next(iter(asking_claude.list(limit=1))).id == made.id
