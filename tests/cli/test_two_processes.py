"""Several processes on one run folder and one call store, and processes that are killed: one truth, one bill."""

import json
import re
import signal
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from judgebench.models.call_store import CallStore, store_path
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import SUMS, command, kill, lines_of, manifest_of, scores_of, started
from tests.servers.launch import Server, odd_server

CALL_USD = 0.03
"""At 1,000 USD a million tokens, for the server's 30 tokens."""
MOST_USD = 0.1
"""More than the upper estimate of a call."""
PRICE = ["--model-arg", "usd_per_million=1000/1000"]


def arguments(server: Server, out: Path, *more: str, items: int = 300) -> list[str | Path]:
    """``eval`` on sums."""
    model = ["--model", f"{server.base_url}#m"]
    return ["eval", *model, "--tasks", f"{SUMS}:items={items}", "--out", out, "--json", *more]


def test_a_second_process_on_a_run_folder_leaves(tmp_path: Path) -> None:
    """It says who is at work there and what to do, and changes nothing; every command that would write does."""
    run = tmp_path / "run"
    with odd_server(rate=0, delay_ms=100) as server, started(arguments(server, run, "--concurrency", "2")) as first:
        wait_for(lambda: len(server.events()) > 10)
        for second in (arguments(server, run), ["judge", run], ["score", run]):
            ended = judgebench(second, code=2)
            assert f"process {first.pid} on " in ended.stderr
            assert "is at work there" in ended.stderr
        assert first.poll() is None
    assert manifest_of(run).status == "running"


def test_the_folder_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The lock ends with the process; what it had half written is cleared away."""
    run = tmp_path / "run"
    with odd_server(rate=0, delay_ms=20) as server:
        with started(arguments(server, run, "--concurrency", "2")) as first:
            wait_for(lambda: len(server.events()) > 10)
            kill(first)
        (run / "sums" / ".generations.jsonl.0123.partial").write_text("{")
        judgebench(arguments(server, run))
    assert manifest_of(run).status == "complete"
    assert not [path for path in run.rglob("*") if path.name == ".lock" or path.suffix == ".partial"]


def test_equal_commands_at_once_make_one_run(tmp_path: Path) -> None:
    """Without ``--out`` they would share the default folder: one works, the others say so, no line is lost."""
    with odd_server(rate=0, delay_ms=50) as server:
        model = ["--model", f"{server.base_url}#m", "--tasks", f"{SUMS}:items=100", "--concurrency", "4", "-q"]
        working = tmp_path / "work"
        working.mkdir()
        processes = [
            subprocess.Popen(command(["eval", *model]), cwd=working, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(4)
        ]
        ended = [(process.communicate(), process.returncode) for process in processes]
        asked = Counter(event["asked"] for event in server.events())
    assert sorted(code for _, code in ended)[0] == 0
    assert {code for _, code in ended} <= {0, 2}
    assert set(asked.values()) == {1}
    for manifest in working.rglob("manifest.json"):
        folder = RunFolder(manifest.parent)
        assert folder.require_manifest().status == "complete"
        assert len(lines_of(manifest.parent / "sums" / "generations.jsonl")) == 100


@pytest.mark.parametrize("processes", [2, 3])
def test_evaluations_on_one_store_buy_nothing_twice(processes: int, tmp_path: Path) -> None:
    """Each has a folder of its own; what one has under way the others wait for."""
    with odd_server(rate=0.2, only="500,429 in the body", delay_ms=30) as server:
        commands = [arguments(server, tmp_path / str(number), "--concurrency", "16") for number in range(processes)]
        running = [
            subprocess.Popen(command(one), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for one in commands
        ]
        ended = [process.communicate() for process in running]
        answered = Counter(event["asked"] for event in server.events() if event["name"] == "good")
    assert [process.returncode for process in running] == [0] * processes, [error for _, error in ended]
    assert sum(answered.values()) == len(answered) == 300
    for out, _ in ended:
        assert [(s["value"], s["n"]) for s in json.loads(out)["scores"]] == [(100.0, 300)]
    asked = [manifest_of(tmp_path / str(n)).sessions[0].counts["sums"]["generate"].asked for n in range(processes)]
    assert sum(asked) == 300


def test_what_a_dead_process_had_claimed_is_asked_by_another(tmp_path: Path) -> None:
    """While both run, and after the kill of one, the other goes on to the end."""
    with odd_server(rate=0, delay_ms=100) as server:
        with started(arguments(server, tmp_path / "a", "--concurrency", "8")) as first:
            wait_for(lambda: len(server.events()) > 20)
            with started(arguments(server, tmp_path / "b", "--concurrency", "8")) as second:
                wait_for(lambda: (tmp_path / "b" / "manifest.json").exists())
                kill(first)
                second.wait()
        answered = Counter(event["asked"] for event in server.events())
    assert manifest_of(tmp_path / "b").status == "complete"
    assert len(answered) == 300
    with CallStore(store_path()) as store:
        under_way = store.spending(manifest_of(tmp_path / "a").account).lost_calls
    assert 0 < sum(answered.values()) - 300 <= under_way


def test_kills_under_a_budget_cost_no_more_than_it(tmp_path: Path) -> None:
    """Seven times ``kill -9``: the server has billed the budget at most, for what was under way at a kill counts as
    spent; the manifest knows what was bought, and what may have been billed besides.
    """
    run, budget, concurrency, kills = tmp_path / "run", 3.0, 4, 7
    flags = ["--budget", str(budget), "--concurrency", str(concurrency), *PRICE]
    with odd_server(rate=0, delay_ms=60) as server:
        for kill_number in range(kills):
            with started(arguments(server, run, *flags)) as process:
                wait_for(lambda: process.poll() is not None or len(server.events()) > 9 * (kill_number + 1))  # noqa: B023
                kill(process)
        ended = judgebench(arguments(server, run, *flags), code=5)
        billed = len(server.events()) * CALL_USD
    assert "may exceed the budget of $3.00" in ended.stderr
    assert billed <= budget
    spending = manifest_of(run).spending
    assert spending is not None
    kept = len(lines_of(run / "sums" / "generations.jsonl"))
    assert spending.usd == pytest.approx(spending.calls * CALL_USD)
    # Counted as lost although the budget had no room for them: at each kill one call that was claimed and not yet
    # admitted, and replies that had arrived and were not yet stored. The books err upwards, so the bill stays below.
    assert budget - MOST_USD < spending.usd + spending.lost_usd <= budget + kills * (concurrency + 1) * MOST_USD
    assert kept == spending.calls
    assert 0 <= billed - spending.usd <= spending.lost_usd


def test_a_budget_is_of_all_the_runs_of_a_command(tmp_path: Path) -> None:
    """Of two models the second has what the first left, also after a restart that found the first one done."""
    with odd_server(rate=0) as server:
        models = ["--model", f"{server.base_url}#a", "--model", f"{server.base_url}#b"]
        flags = ["--tasks", f"{SUMS}:items=20", "--budget", "0.9", *PRICE, "--concurrency", "1", "--out", tmp_path]
        for _ in range(2):
            judgebench(["eval", *models, *flags], code=5)
        assert len(server.events()) * CALL_USD <= 0.9


def test_sigterm_ends_like_ctrl_c(tmp_path: Path) -> None:
    """As schedulers send it: the manifest is true, a sentence says what is kept and how to go on, and the exit code is
    143; the same command goes on.
    """
    run = tmp_path / "run"
    with odd_server(rate=0, delay_ms=50) as server:
        process = subprocess.Popen(
            command(arguments(server, run, "--concurrency", "2")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: len(server.events()) > 10)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
        assert process.returncode == 143
        kept = len(lines_of(run / "sums" / "generations.jsonl"))
        assert f"terminated; {run} keeps sums: {kept} of 300 answers" in said
        assert re.search(r"The same command goes on where it was:\n\S+ .*--out .*\n$", said), said
        assert "Traceback" not in said
        manifest = manifest_of(run)
        assert (manifest.status, manifest.sessions[0].status) == ("interrupted", "interrupted")
        assert manifest.sessions[0].counts["sums"]["generate"].asked == kept
        assert scores_of(judgebench(arguments(server, run)))[0]["n"] == 300
        assert max(Counter(event["asked"] for event in server.events()).values()) <= 2


def test_a_killed_import_goes_on(tmp_path: Path) -> None:
    """With the same command, to the same numbers; another file does not get in."""
    answers = tmp_path / "answers.jsonl"
    rows = [{"id": f"sum-{n:03d}", "output": f"It is {8 * n + 14}"} for n in range(300)]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    importing = ["import", answers, "--from", "outputs", "--task", SUMS, "--out", run, "--json"]
    with started(importing) as process:
        wait_for(lambda: (run / "sums").exists() or process.poll() is not None)
        kill(process)
    for _ in range(2):
        (score,) = scores_of(judgebench(importing))
        assert (score["value"], score["n"]) == (100.0, 300)
    assert len(lines_of(run / "sums" / "generations.jsonl")) == 300
    rows[0]["output"] = "No idea."
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "is not empty" in judgebench(importing, code=2).stderr


def test_the_store_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    """What it holds is kept; replies that broke off, which it took for answers, are asked again."""
    with odd_server(rate=0) as server:
        judgebench(arguments(server, tmp_path / "first", items=20))
        store = sqlite3.connect(store_path())
        for table in ("spending", "answered"):
            store.execute(f"DROP TABLE {table}")
        store.execute("DELETE FROM migrations WHERE name = 'create_spending'")
        broken = json.dumps({"text": "The s", "finish_reason": "error"}).encode()
        store.execute("UPDATE calls SET completion = ? WHERE key = (SELECT MIN(key) FROM calls)", (broken,))
        store.commit()
        store.close()
        (score,) = scores_of(judgebench(arguments(server, tmp_path / "second", items=20)))
        assert (score["value"], score["n"]) == (100.0, 20)
        assert len(server.events()) == 21
