"""Whole runs in batches, against a server of both vendors' batch protocols."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.batch_kills import SUMS, campaign, kept, write_answers
from judgebench.errors import ModelError
from judgebench.models.http import batching
from judgebench.run.folder import RunFolder
from tests.campaigns import ALL
from tests.commands import judgebench
from tests.processes import manifest_of
from tests.servers.launch import Server, batch_server

DOCS = Path(__file__).parents[2] / "docs" / "batches.md"
ITEMS = 120


@pytest.fixture(scope="module")
def vendor() -> Iterator[Server]:
    """One server for all tests."""
    with batch_server(work_ms=50) as server:
        yield server


@pytest.fixture
def server(vendor: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, where nothing goes wrong, with waits that are short and a store of its own."""
    monkeypatch.setenv("OPENAI_BASE_URL", vendor.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", vendor.root_url)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(batching, "LEAST_POLL_SECONDS", 0.05)
    monkeypatch.setattr(batching, "LINGER_SECONDS", 0.6)
    yield vendor
    vendor.set(work_ms=50, missing=0, errored=0)


def words(folder: Path, run: str, *more: str, items: int = ITEMS, judge: str = "openai:gpt-4.1") -> list[str]:
    """``eval`` of a file of answers to sums, which a model of the server judges."""
    answers = folder / f"answers-{items}.json"
    if not answers.exists():
        write_answers(answers, items)
    task = ["--tasks", f"{SUMS}:items={items},judged=true", "--judge", judge]
    return ["eval", "--model", f"file:{answers}", *task, "--out", str(folder / run), "-q", *more]


def verdicts(run: Path) -> dict[str, Any]:
    """What was found of each case, and what the judge said of it."""
    return {
        one.case_id: (one.verdict, [reply.text for reply in one.replies])
        for one in RunFolder(run).task("sums").judgements()
    }


def asked_since(server: Server, since: int) -> Counter[str]:
    """How many calls were made in each way."""
    counts: Counter[str] = Counter()
    for event in server.events()[since:]:
        counts[event["event"]] += len(event.get("asked", []))
    return counts


def test_a_run_in_batches_equals_a_live_run(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same verdicts and scores under the same protocol, also if lines are missing and others fail, for at most
    51 % of the price; the record of what was paid says so.
    """
    live = json.loads(judgebench(words(tmp_path, "live", "--json")).stdout)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "another"))
    batched = json.loads(judgebench(words(tmp_path, "batched", "--batch-api", "on", "--json")).stdout)
    assert batched["scores"] == live["scores"]
    assert verdicts(tmp_path / "batched") == verdicts(tmp_path / "live")
    paid, whole = manifest_of(tmp_path / "batched"), manifest_of(tmp_path / "live")
    assert paid.protocol_hash == whole.protocol_hash
    assert paid.spending is not None
    assert whole.spending is not None
    assert 0.5 < paid.spending.usd / whole.spending.usd <= 0.51
    assert paid.sessions[-1].counts["sums"]["judge"].usd == pytest.approx(paid.spending.usd)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "third"))
    server.set(missing=0.2, errored=0.1)
    judgebench(words(tmp_path, "faulty", "--batch-api", "on"))
    assert verdicts(tmp_path / "faulty") == verdicts(tmp_path / "live")
    (counted,) = manifest_of(tmp_path / "faulty").sessions[-1].retries.values()
    assert {"batch missing", "batch error 500"} == counted.keys()


@pytest.mark.parametrize("model", ["openai:gpt-4.1", "anthropic:claude-haiku-4-5"])
def test_answers_are_generated_in_batches(server: Server, tmp_path: Path, model: str) -> None:
    """A candidate at a vendor is asked in batches too. Of a system message that all prompts share, the vendor says that
    it was in its cache, which is counted and shown; single calls are recorded as ever.
    """
    task = ["--tasks", f"{SUMS}:items=30", "--system", "Add. " * 1000]
    arguments = ["eval", "--model", model, *task, "--out", tmp_path / "run", "--batch-api", "on", "-q"]
    said = judgebench(arguments).stdout
    assert "100.00" in said
    assert re.search(r"prompt cache: 36,250 of [0-9,]+ prompt tokens", " ".join(said.split()))
    usages = [one.usage.cached_tokens for one in RunFolder(tmp_path / "run").task("sums").generations()]
    assert sorted(usages) == [0, *[1250] * 29]


def test_a_judge_is_audited_in_batches(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures as from single calls, for half the price; a dry run says so before."""
    arguments = ["judges", "audit", "openai:gpt-4.1", "--limit", "4", "--repeats", "1", "--json", "-q"]
    single = json.loads(judgebench(arguments).stdout)
    whole = json.loads(judgebench([*arguments, "--cache", tmp_path / "dry", "--dry-run"]).stdout)["total"]
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "another"))
    since, batches = len(server.events()), [*arguments, "--batch-api", "on"]
    half = json.loads(judgebench([*batches, "--dry-run"]).stdout)["total"]
    assert half["usd_likely"] == pytest.approx(whole["usd_likely"] / 2)
    together = json.loads(judgebench(batches).stdout)
    assert together["probes"] == single["probes"]
    counts = asked_since(server, since)
    assert (counts["live"], counts["batch"]) == (1, half["calls"] - 1)


def test_the_next_start_fetches_what_an_earlier_one_submitted(server: Server, tmp_path: Path) -> None:
    """The commands about batches know of it, and the next start makes no call."""
    since, arguments = len(server.events()), words(tmp_path, "run", "--batch-api", "on")
    _stop_after_submitting(arguments)
    (listed,) = json.loads(judgebench(["batches", "list", str(tmp_path / "run"), "--json"]).stdout)
    assert (listed["state"], listed["calls"], listed["model"]) == ("running", ITEMS - 1, "gpt-4.1")
    assert "fetched" in judgebench(["batches", "wait", listed["batch"]]).stdout
    before = len(server.events())
    judgebench(arguments)
    assert len(verdicts(tmp_path / "run")) == 2 * ITEMS
    assert len(server.events()) == before
    assert asked_since(server, since)["batch"] == ITEMS - 1
    assert "nothing to cancel" in judgebench(["batches", "cancel", listed["batch"]], code=2).stderr


def test_a_start_without_batches_goes_on_with_those_that_run(server: Server, tmp_path: Path) -> None:
    """What was submitted is waited for and not bought again, also by a run that would submit no more: whoever forgets
    the flag pays nothing twice.
    """
    since, arguments = len(server.events()), words(tmp_path, "run", "--batch-api", "on", items=60)
    _stop_after_submitting(arguments)
    judgebench(words(tmp_path, "run", "--batch-api", "off", items=60))
    judgebench(words(tmp_path, "another", items=70))
    assert len(verdicts(tmp_path / "run")) == 2 * 60
    assert len(verdicts(tmp_path / "another")) == 2 * 70
    counts = asked_since(server, since)
    assert (counts["batch"], counts["live"]) == (59, 11)


def test_a_cancelled_batch_is_asked_again(server: Server, tmp_path: Path) -> None:
    """``batches cancel`` asks for no more of it; the next start asks for what it left open."""
    server.set(work_ms=60_000)
    arguments = words(tmp_path, "run", "--batch-api", "on")
    _stop_after_submitting(arguments)
    server.set(work_ms=50)
    assert "running" in judgebench(["batches", "fetch", str(tmp_path / "run")]).stdout
    assert "1 batch cancelled" in judgebench(["batches", "cancel", str(tmp_path / "run")]).stdout
    assert "cancelled" in judgebench(["batches", "wait"]).stdout
    judgebench(arguments)
    assert len(verdicts(tmp_path / "run")) == 2 * ITEMS


def _stop_after_submitting(arguments: list[str]) -> None:
    """Run a command that ends when it has submitted its batches."""

    def stop(*_: object) -> None:
        raise ModelError("the process ends here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching._BatchStream, "_look_at", stop)
        judgebench(arguments, code=6)


@pytest.mark.parametrize(
    ("more", "items", "batches"),
    [
        (["--batch-api", "auto"], ITEMS, True),
        (["--batch-api", "auto"], 30, False),
        (["--batch-api", "auto", "--stop-when", "exact ci<50"], ITEMS, False),
        ([], ITEMS, False),
    ],
)
def test_auto_asks_in_batches_where_that_is_of_use(
    server: Server, tmp_path: Path, more: list[str], items: int, *, batches: bool
) -> None:
    """A hundred examples or more, at a vendor whose batches are cheaper, without a rule that waits for answers."""
    since = len(server.events())
    judgebench(words(tmp_path, "run", *more, items=items))
    assert bool(asked_since(server, since)["batch"]) == batches


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--batch-api", "often"], "is not one of off, on, auto"),
        (["--batch-api", "on", "--stop-when", "rating ci<0.5"], "give --batch-api auto, or leave --stop-when out"),
    ],
)
def test_batches_that_make_no_sense_are_refused(server: Server, tmp_path: Path, more: list[str], said: str) -> None:
    """With what to do instead, before anything is asked."""
    since = len(server.events())
    assert said in judgebench(words(tmp_path, "run", *more), code=2).stderr
    assert len(server.events()) == since


def test_batches_want_a_model_of_a_vendor(server: Server, tmp_path: Path) -> None:
    """A model of this machine answers at once, and has no batches."""
    arguments = words(tmp_path, "run", "--batch-api", "on", judge="builtin:tiny")
    assert "this run asks builtin:tiny" in judgebench(arguments, code=2).stderr


def test_a_dry_run_names_the_price_of_batches(server: Server, tmp_path: Path) -> None:
    """Half of what single calls would cost, and no time: that is up to the vendor."""
    dry = ["--dry-run", "--json"]
    single = json.loads(judgebench(words(tmp_path, "run", *dry)).stdout)["total"]
    together = json.loads(judgebench(words(tmp_path, "run", *dry, "--batch-api", "on")).stdout)["total"]
    assert together["usd_likely"] == pytest.approx(single["usd_likely"] / 2)
    assert not together["seconds_complete"]


def test_what_batches_md_says_works(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the page is run as it stands there."""
    monkeypatch.chdir(tmp_path)
    write_answers(tmp_path / "answers.json", ITEMS)
    (tmp_path / "sums.py").write_text(SUMS.read_text())
    blocks = DOCS.read_text().split("```")[1::2]
    commands = [line.partition("#")[0] for block in blocks for line in block.splitlines() if "judgebench " in line]
    assert len(commands) > 4
    for line in commands:
        judgebench(shlex.split(line)[1:])


def test_kills_lose_nothing_and_submit_nothing_twice() -> None:
    """Three processes on one store are killed again and again; the whole campaign is 100 kills of 2,000 cases."""
    kills, items = (100, 2000) if ALL else (3, 60)
    found = campaign(kills, items, seed=5, longest=5.0)
    assert kept(found, items), found
