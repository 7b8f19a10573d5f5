"""``--cache DIR``: a call store that a team has together, named on the command line, and one on a network disk."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from judgebench.models import disks
from judgebench.models.call_store import CallStore, store_path
from tests.commands import judgebench
from tests.processes import SUMS, command, scores_of
from tests.servers.launch import Server, odd_server

ITEMS = 40


def words(server: Server, out: Path, *more: str | Path) -> list[str | Path]:
    """``eval`` on sums, with equal names, so that equal calls make equal files."""
    model = ["--model", f"{server.base_url}#m", "--name", "m"]
    return ["eval", *model, "--tasks", f"{SUMS}:items={ITEMS}", "--out", out, "--json", "-q", *more]


def test_a_colleague_with_the_same_folder_asks_nothing(tmp_path: Path) -> None:
    """Another person, whose own cache is empty, makes no call and has the same bytes; their cache gets no store."""
    team = tmp_path / "team"
    with odd_server(rate=0) as server:
        mine = judgebench(words(server, tmp_path / "a", "--cache", team), JUDGEBENCH_CACHE=str(tmp_path / "mine"))
        asked = len(server.events())
        other = {"JUDGEBENCH_CACHE": str(tmp_path / "theirs")}
        dry = judgebench(words(server, tmp_path / "b", "--cache", team, "--dry-run"), **other)
        theirs = judgebench(words(server, tmp_path / "b", "--cache", team), **other)
        assert len(server.events()) == asked == ITEMS
    assert json.loads(dry.stdout)["total"]["calls"] == 0
    assert scores_of(theirs) == scores_of(mine)
    kept = [
        {path.name: path.read_bytes() for path in (tmp_path / run / "sums").iterdir() if path.suffix == ".jsonl"}
        for run in ("a", "b")
    ]
    assert kept[0] == kept[1]
    assert len(kept[0]) > 1
    assert store_path(team).is_file()
    assert not [*(tmp_path / "mine").rglob("calls.sqlite"), *(tmp_path / "theirs").rglob("calls.sqlite")]


def test_every_command_about_the_store_takes_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls are counted, checked, written, pushed, pulled and forgotten there; a config file names it, too."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "mine"))
    team, here = ["--cache", str(tmp_path / "team")], ["--cache", str(tmp_path / "here")]
    config = tmp_path / "run.toml"
    with odd_server(rate=0) as server:
        judgebench([*words(server, tmp_path / "a", *team), "--write-config", config])
        judgebench(["eval", "--config", config, "-q"])
    assert 'cache = "' in config.read_text()
    assert judgebench(["cache", "path", *team]).stdout.strip() == str(store_path(tmp_path / "team"))
    assert f"{ITEMS} replies, " in judgebench(["cache", "stats", *team]).stdout
    assert f"{ITEMS} replies, all" in judgebench(["cache", "verify", *team]).stdout
    assert f"{ITEMS} of them new" in judgebench(["cache", "export", tmp_path / "calls.gz", *team]).stdout
    assert f"{ITEMS} of them new" in judgebench(["cache", "import", tmp_path / "calls.gz", *here]).stdout
    assert f"{ITEMS} of them new" in judgebench(["cache", "push", tmp_path / "place", *here]).stdout
    assert f"{ITEMS} replies forgotten" in judgebench(["cache", "prune", "--model", "m", *here]).stdout
    assert f"{ITEMS} of them new" in judgebench(["cache", "pull", tmp_path / "place", *here]).stdout
    assert "no batches here" in judgebench(["batches", "list", *here]).stdout
    assert not (tmp_path / "mine" / "calls.sqlite").exists()


def test_a_store_on_a_network_disk_serves_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the journal that such a disk needs, three processes at once buy nothing twice either, and lose nothing."""
    team, table = tmp_path / "team", tmp_path / "mounts"
    table.write_text(f"server:/export {tmp_path} nfs4 rw,vers=4.2,local_lock=none 0 0\n")
    with monkeypatch.context() as patch:
        patch.setattr(disks, "MOUNTS", table)
        CallStore(store_path(team)).close()
    # These see the disk as it is, and keep the journal that they find.
    with odd_server(rate=0, delay_ms=30) as server:
        running = [
            subprocess.Popen(
                command(words(server, tmp_path / str(number), "--cache", team, "--concurrency", "8")),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(3)
        ]
        ended = [process.communicate() for process in running]
        answered = Counter(event["asked"] for event in server.events())
    assert [process.returncode for process in running] == [0] * 3, [error for _, error in ended]
    assert sum(answered.values()) == len(answered) == ITEMS
    for out, _ in ended:
        assert [(score["value"], score["n"]) for score in json.loads(out)["scores"]] == [(100.0, ITEMS)]
    assert not [*team.glob("*-wal"), *team.glob("*-shm")]


def test_where_locks_hold_for_one_machine_no_model_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends before a call, and says how calls are shared there."""
    table = tmp_path / "mounts"
    table.write_text(f"server:/export {tmp_path} fuse.sshfs rw 0 0\n")
    monkeypatch.setattr(disks, "MOUNTS", table)
    with odd_server(rate=0) as server:
        ended = judgebench(words(server, tmp_path / "a", "--cache", tmp_path / "team"), code=2)
        assert server.events() == []
    assert "network disk (fuse.sshfs)" in ended.stderr
    assert "cache push PLACE" in ended.stderr
