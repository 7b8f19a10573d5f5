"""Two tasks at one judge."""

import json
from pathlib import Path

import pytest

from tests.commands import judgebench
from tests.servers.launch import chat_server


def test_two_tasks_on_one_judge_get_equal_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cases the first has, the second waits for none of them: they are asked in turn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    for task, many in (("long", 60), ("short", 20)):
        Path(f"{task}.toml").write_text(f'kind = "rating"\nname = "{task}"\nprompts = "{task}.jsonl"\n')
        items = [{"id": f"{task}{number}", "instruction": f"{task} {number}?"} for number in range(many)]
        Path(f"{task}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    with chat_server(ratings=1, log_bodies=1) as server:
        tasks = ["--tasks", "long.toml,short.toml", "-q"]
        judgebench(["generate", "--model", f"{server.base_url}#me", "--out", "run", *tasks])
        judge = ["--judge", f"{server.base_url}#judge", "--judge-concurrency", "1"]
        judgebench(["judge", "run", *judge, *tasks])
        bodies = [body for body in server.bodies() if body["model"] == "judge"]
        asked = ["short " in body["messages"][-1]["content"] for body in bodies]
    assert (len(asked), sum(asked)) == (80, 20)
    assert sum(asked[:50]) == 20
