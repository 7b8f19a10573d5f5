"""Judges behind a real server whose first reply to every prompt holds no verdict: what is asked again, at what cost."""

import itertools
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from judgebench.judges import reminders
from tests.alpacaeval_server import committed
from tests.commands import judgebench
from tests.judges.bad_replies import CUT_OFF, READINGS, UNREADABLE, Reading
from tests.processes import kill, lines_of, manifest_of, started
from tests.servers.launch import Server, mumbling_server

GOOD_SHARE = 0.95
"""How often a later reply is readable. Of the published judgements of real judges the worst file has 38 unreadable
replies of 960 (gpt-4-1106-preview on Arena-Hard v0.1), and 25 of 999 are those of gpt-3.5 on PandaLM's test set."""
MOST_UNREAD = 0.001
CASES = 400


def questions(folder: Path, reading: Reading, count: int = CASES) -> tuple[Path, Path]:
    """A benchmark of the user's with so many cases, and answers to it."""
    kind = "judged" if reading.rates else "pairwise"
    judgebench(["tasks", "new", "street-names", "--kind", kind], cwd=folder)
    items = range(count if reading.rates else count // 2)  # a pair is shown in both orders
    rows = [
        {"id": f"q{n}", "question": f"Question {n}?", **({} if reading.rates else {"baseline": f"Reply {n}."})}
        for n in items
    ]
    (folder / "street-names" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = folder / "answers.json"
    answers.write_text(json.dumps([{"id": f"q{n}", "output": f"Answer {n}.", "generator": "m"} for n in items]))
    return folder / "street-names", answers


@contextmanager
def mumbling(folder: Path, reading: Reading, good_share: float = GOOD_SHARE) -> Iterator[Server]:
    """A server whose bad replies are of all kinds, and of all verdicts."""
    kinds = itertools.product(UNREADABLE.items(), reading.verdicts)
    script = {
        "bad": [reading.reply(text, spelled, cut_off=kind in CUT_OFF) for (kind, text), spelled in kinds],
        "good": [reading.good(spelled) for spelled in reading.verdicts],
        "good_share": good_share,
        "reminder": reminders.reminder("?")[:20],
    }
    (folder / "script.json").write_text(json.dumps(script))
    with mumbling_server(folder / "script.json") as server:
        yield server


def calls(server: Server) -> int:
    """Requests so far."""
    with urllib.request.urlopen(f"{server.root_url}/counts") as reply:
        return sum(json.loads(reply.read()).values())


def counts(run: Path) -> dict[str, int]:
    """How the run's cases ended."""
    return manifest_of(run).tasks["street-names"].counts


def words(server: Server, folder: Path, reading: Reading, *more: str | int, count: int = CASES) -> list[str | Path]:
    """An evaluation with the server as its judge, by a judge file."""
    task, answers = (
        questions(folder, reading, count)
        if not (folder / "street-names").exists()
        else (
            folder / "street-names",
            folder / "answers.json",
        )
    )
    (folder / "judge.toml").write_text(f'model = "{server.base_url}#judge"\n\n[verdict]\n{reading.toml}\n')
    flags = ["--judge", folder / "judge.toml", *map(str, more)]
    return ["eval", "-q", "--model", f"file:{answers}", "--tasks", str(task), *flags]


UNREAD: dict[str, int] = {}
"""By reading: verdicts that stayed unread in the next test."""


@pytest.mark.parametrize("reading", READINGS)
def test_what_cannot_be_read_is_asked_again(reading: str, tmp_path: Path) -> None:
    """Every first reply is unreadable: without re-asks nothing is read. With them, each verdict is the one that the
    last reply holds, each attempt is kept and counted, and none is asked for once a verdict is there.
    """
    own = READINGS[reading]
    with mumbling(tmp_path, own) as server:
        judgebench([*words(server, tmp_path, own, "--reask", 0), "--out", tmp_path / "before"], code=4)
        assert calls(server) == CASES
        assert counts(tmp_path / "before")["unread"] == CASES
        judgebench([*words(server, tmp_path, own), "--out", tmp_path / "after"], code=None)
        asked = calls(server) - CASES
    after = counts(tmp_path / "after")
    UNREAD[reading] = after["unread"]
    assert after["unread"] + after["reasked_and_read"] == CASES
    judged = lines_of(tmp_path / "after" / "street-names" / "judgements.jsonl")
    # The first replies are those of the run before: what was paid for is not asked again.
    assert sum(len(row["replies"]) for row in judged) == asked + CASES
    for row in judged:
        *before, last = row["replies"]
        assert 1 <= len(before) <= 3
        if row["verdict"]["value"] is not None and not own.logprobs:
            assert own.verdicts[last["text"]] == row["verdict"]["value"]
    (session,) = manifest_of(tmp_path / "after").sessions
    assert session.counts["street-names"]["judge"].reasked == asked


def test_of_a_thousand_verdicts_one_stays_unread_at_most() -> None:
    """Over all rules, after three reminders."""
    if UNREAD.keys() != READINGS.keys():
        pytest.skip("the test of each reading has to run before")
    assert sum(UNREAD.values()) / (CASES * len(READINGS)) <= MOST_UNREAD


def test_a_published_prompt_is_sent_again_where_the_user_says_so(tmp_path: Path) -> None:
    """Word for word, with a new repeat index; the protocol then is another one."""
    own = READINGS["rating"]
    with mumbling(tmp_path, own) as server:
        task, answers = questions(tmp_path, own, 40)
        code = task / "task.py"
        code.write_text(code.read_text().replace("        reminds=True,\n", ""))
        arguments = ["eval", "-q", "--model", f"file:{answers}", "--tasks", task, "--judge", f"{server.base_url}#judge"]
        judgebench([*arguments, "--out", tmp_path / "upstream"], code=4)
        assert calls(server) == 40
        judgebench([*arguments, "--reask", 4, "--out", tmp_path / "again"], code=None)
    unread = counts(tmp_path / "upstream")["unread"]  # the benchmark's own rule also reads single brackets
    assert counts(tmp_path / "again")["reasked_and_read"] == unread > 20
    protocols = [manifest_of(tmp_path / run).tasks["street-names"].protocol for run in ("upstream", "again")]
    assert protocols[1] == {**protocols[0], "reask": 4}
    for row in lines_of(tmp_path / "again" / "street-names" / "judgements.jsonl"):
        assert len(set(row["request_hashes"])) == 1
        assert len(row["request_hashes"]) == len(row["replies"])


def test_what_was_asked_again_is_not_paid_twice_after_a_kill(tmp_path: Path) -> None:
    """Killed three times, the run never asks for a reply that is stored."""
    own = READINGS["label"]
    with mumbling(tmp_path, own) as server:
        arguments = [*words(server, tmp_path, own, "--judge-concurrency", 1, count=60), "--out", tmp_path / "run"]
        for part in (25, 60, 95):
            with started(arguments) as process:
                while calls(server) < part and process.poll() is None:
                    time.sleep(0.01)
                kill(process)
        bought, sent = len(committed()), calls(server)
        judgebench(arguments)
        made = calls(server) - sent
    kept = sum(len(row["replies"]) for row in lines_of(tmp_path / "run" / "street-names" / "judgements.jsonl"))
    assert counts(tmp_path / "run")["unread"] == 0
    assert made == kept - bought
    assert sent - 3 <= bought <= sent, "each kill loses the one call in flight at most"


def test_what_a_judge_was_reminded_of_is_shown(tmp_path: Path) -> None:
    """``show --prompts`` builds the whole dialogue again, and its hashes match."""
    own = READINGS["label"]
    with mumbling(tmp_path, own, good_share=1.0) as server:
        judgebench([*words(server, tmp_path, own, count=4), "--out", tmp_path / "run"])
    shown = judgebench(
        ["show", tmp_path / "run", "--tasks", tmp_path / "street-names", "--item", "q1", "--json"]
    ).stdout
    sample: Any = json.loads(shown)["tasks"][0]["samples"][0]
    for judgement in sample["judgements"]:
        assert judgement["prompt_state"] == "exact"
        first, second = judgement["prompts"]
        assert re.search("No verdict could be read", second[-1]["content"])
        assert second[0] == first[0] or second[0]["content"].startswith(first[0]["content"])


def test_what_stays_unread_has_bounds_beside_every_number(tmp_path: Path) -> None:
    """They are printed where there are any; with ``-v`` it is said that there are none, and what intervals hold."""
    own = READINGS["label"]
    with mumbling(tmp_path, own, good_share=0.6) as server:
        ended = judgebench([*words(server, tmp_path, own, "--reask", 1, count=40), "--out", tmp_path / "run"], code=4)
        unread = counts(tmp_path / "run")["unread"]
        scores = json.loads((tmp_path / "run" / "street-names" / "scores.json").read_text())
        (score,) = (one for one in scores if one["group"] is None)
        bounds = score["details"]["if_unread_all_one_way"]
        assert bounds["verdicts"] == unread > 5
        assert bounds["low"] < score["value"] < bounds["high"]
        shown = " ".join(ended.stdout.split())
        low, high = (f"{bounds[end]:.2f}" for end in ("low", "high"))
        assert f"had all {unread} unread verdicts gone against, or for, the candidate: win_rate {low} – {high}" in shown
    with mumbling(tmp_path, own, good_share=1.0) as server:
        shown = judgebench([*words(server, tmp_path, own, "-v", count=40), "--out", tmp_path / "all"]).stdout
    shown = " ".join(shown.split())
    assert "no verdict is unread" in shown
    assert "intervals cover: items, orders; not: judges" in shown
    manifest = manifest_of(tmp_path / "all").tasks["street-names"]
    assert (manifest.interval_covers, manifest.interval_lacks) == (["items", "orders"], ["judges"])
