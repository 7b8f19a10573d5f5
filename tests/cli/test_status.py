"""``status`` and ``tune``: a run that goes on is seen, and changed, from another terminal."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgebench.run.folder import LOCK, STATUS_FILE, TUNING_FILE, RunFolder, take_lock
from judgebench.run.steering import MOST, read_tuning, run_status
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import kill, manifest_of, started
from tests.servers.launch import Server, chat_server

ITEMS = 400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark of many items that a judge rates, and answers to them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    Path("sums.toml").write_text('kind = "rating"\nname = "sums"\nprompts = "prompts.jsonl"\n')
    items = [{"id": str(number), "instruction": f"What is {number} + 1?"} for number in range(ITEMS)]
    Path("prompts.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    answers = [{"instruction": item["instruction"], "output": "one more", "generator": "me"} for item in items]
    Path("answers.json").write_text(json.dumps(answers))
    return tmp_path


@pytest.fixture
def server() -> Iterator[Server]:
    """A judge that takes its time."""
    with chat_server(ratings=1, delay_ms=100) as server:
        yield server


def words(server: Server, *more: str, at_once: int = 2, out: str = "run") -> list[str]:
    """A run whose judge has a few requests in flight."""
    judge = ["--judge", f"{server.base_url}#judge", "--judge-arg", "usd_per_million=1/1"]
    flags = ["--judge-concurrency", str(at_once), "--out", out, "-q", *more]
    return ["eval", "--model", "file:answers.json", "--tasks", "sums.toml", *judge, *flags]


def seen(*more: str) -> dict[str, Any]:
    """What ``status --json`` says."""
    found: dict[str, Any] = json.loads(judgebench(["status", "run", "--json", *more]).stdout)
    return found


def test_a_run_is_seen_changed_killed_and_finished(folder: Path, server: Server) -> None:
    """While it goes on: how far it is, how fast, what it costs, who works on it. Its judge's concurrency goes up at
    once and the manifest says so. After kill -9 it is known to be dead; the next start asks for the rest alone, and
    the verdicts are those of a run that nobody touched.
    """
    with started(words(server)) as process:
        wait_for(lambda: (folder / "run" / STATUS_FILE).exists() and server.counts()["finish"] > 20)
        wait_for(lambda: seen()["calls_per_second"])
        now = seen()
        assert (now["state"], now["alive"], now["pid"], now["total"]) == ("running", True, process.pid, ITEMS)
        assert 0 < now["done"] < ITEMS
        assert now["usd_expected"] > now["usd"] > 0
        assert now["models"] == [
            {
                "model": "judge",
                "roles": ["judge"],
                "in_flight": now["models"][0]["in_flight"],
                "concurrency": 2,
                "left_out": [],
            }
        ]
        text = judgebench(["status", "run"], COLUMNS="80").stdout
        assert f"process {process.pid} on" in text
        assert "of at most 2 in flight" in text
        assert max(map(len, text.splitlines())) <= 80
        assert "judge judge: 2 → 4 in flight" in judgebench(["tune", "run", "--judge-concurrency", "4"]).stdout
        wait_for(lambda: any(event["in_flight"] > 2 for event in server.events()))
        wait_for(lambda: "tuned" in json.loads((folder / "run" / "manifest.json").read_text())["sessions"][-1])
        kill(process)
    dead = seen()
    assert (dead["state"], dead["alive"], dead["pid"]) == ("killed", False, process.pid)
    assert dead["done"] > 0
    assert "2 → 4 in flight" in dead["tuned"][0]
    assert "is gone" in judgebench(["status", "run"]).stdout
    refused = judgebench(["tune", "run", "--judge-concurrency", "8"], code=2).stderr
    assert "no process of this machine works on it" in refused
    assert max(event["in_flight"] for event in server.events()) <= 4
    asked = sum(server.seen().values())
    with chat_server(ratings=1) as fast:
        judgebench(words(fast, at_once=16))
        ended = seen()
        assert (ended["state"], ended["alive"], ended["done"], ended["tuned"]) == ("complete", False, ITEMS, [])
        # What was in flight when it was killed may have been asked twice, and nothing else.
        assert asked + sum(fast.seen().values()) <= ITEMS + 4
        assert not {STATUS_FILE, TUNING_FILE} & set(os.listdir("run"))
        judgebench(words(fast, at_once=16, out="other"), JUDGEBENCH_CACHE=str(folder / "another"))
    verdicts = [
        {one.case_id: one.verdict for one in RunFolder(Path(run)).task("sums").judgements()} for run in ("run", "other")
    ]
    assert verdicts[0] == verdicts[1]
    assert manifest_of(Path("run")).protocol_hash == manifest_of(Path("other")).protocol_hash
    assert "tuned" not in json.loads(Path("other/manifest.json").read_text())["sessions"][-1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"id": "x", "judge_concurrency": 0}',
        f'{{"id": "x", "judge_concurrency": {MOST + 1}}}',
        '{"id": "x", "judge_concurrency": "8"}',
        '{"id": "x", "judge_concurrency": 8, "judge": "other"}',
        '{"id": "' + "x" * 65 + '", "judge_concurrency": 8}',
        '{"id": "x", "judge_concurrency": 8}' + " " * 5000,
    ],
)
def test_a_tuning_that_makes_no_sense_is_not_taken(tmp_path: Path, text: str) -> None:
    """Nor one that is a link, a folder or a pipe."""
    path = tmp_path / TUNING_FILE
    path.write_text(text)
    assert read_tuning(path) is None


def test_a_tuning_is_a_plain_file(tmp_path: Path) -> None:
    """A good one is read; not through a link, and no pipe is waited for."""
    good = tmp_path / "good.json"
    good.write_text('{"id": "x", "judge_concurrency": 8}')
    found = read_tuning(good)
    assert found is not None
    assert (found.judge_concurrency, found.concurrency) == (8, None)
    (tmp_path / "link").symlink_to(good)
    assert read_tuning(tmp_path / "link") is None
    os.mkfifo(tmp_path / "pipe")
    assert read_tuning(tmp_path / "pipe") is None


def test_a_status_that_nobody_writes_is_not_believed(folder: Path, server: Server) -> None:
    """What a file in a run folder says of a run that no process works on does not count, nor does nonsense in one of a
    run that goes on; a lock that is a pipe is not waited for.
    """
    judgebench(words(server, "--limit", "4", at_once=4))
    true = run_status(RunFolder(Path("run")))
    lie = {**seen(), "state": "running", "alive": True, "usd": 999.0, "pid": 1}
    Path("run", STATUS_FILE).write_text(json.dumps(lie))
    assert run_status(RunFolder(Path("run"))) == true
    lock = take_lock(Path("run", LOCK))
    assert lock is not None
    Path("run", STATUS_FILE).write_text(json.dumps({**lie, "done": -5}))
    assert run_status(RunFolder(Path("run"))).usd == true.usd
    lock.close()
    Path("run", LOCK).unlink()
    os.mkfifo(Path("run", LOCK))
    manifest = json.loads(Path("run/manifest.json").read_text())
    Path("run/manifest.json").write_text(json.dumps({**manifest, "status": "running"}))
    dead = run_status(RunFolder(Path("run")))
    assert (dead.state, dead.pid, dead.done) == ("killed", None, 4)


def test_what_cannot_be_tuned_is_said() -> None:
    """Without a number, with too large a one, for what is no run."""
    assert "nothing to change" in judgebench(["tune", "run"], code=2).stderr
    assert "4,096 at most" in judgebench(["tune", "run", "--concurrency", "5000"], code=2).stderr
    assert "is not a run folder" in judgebench(["tune", "nowhere", "--concurrency", "5"], code=2).stderr
    assert "is not a run folder" in judgebench(["status", "nowhere"], code=2).stderr
