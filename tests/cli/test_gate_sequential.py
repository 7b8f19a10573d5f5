"""``gate --sequential`` through a real judge server: calls stop when it is decided, and go on after a kill.

The judge's replies are the published ones of phi-2 on AlpacaEval 2 (2.35 % of 805 examples), also with both letters
exchanged, which makes it the better model (97.65 %), and with some that hold neither letter.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judgebench.run.reading import read_run
from judgebench.run.stopping import decide_difference, random_order
from judgebench.task.metric import Metric, single_row
from tests.alpacaeval_server import Published, publish
from tests.commands import judgebench
from tests.junit_schema import require_junit
from tests.made_runs import METRICS as GSM8K
from tests.made_runs import write_run
from tests.processes import kill, lines_of, manifest_of, started
from tests.servers.launch import Server
from tests.shared_data import SharedData

StartServer = Callable[..., Server]
N = 805
MARGIN = 4.0
CONCURRENCY = ("--judge-concurrency", "8")


@pytest.fixture(scope="module")
def published(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The published replies as the server's."""
    return publish(shared_data, tmp_path_factory.mktemp("published"))


@pytest.fixture
def server(published: Published, start_chat_server: StartServer) -> Server:
    """A judge that gives the published replies."""
    return start_chat_server(replies=published.replies, delay_ms=20)


@pytest.fixture
def baseline(published: Published, server: Server, tmp_path: Path) -> Path:
    """The published answers, judged to the end."""
    judgebench(published.eval(server, tmp_path / "baseline", *CONCURRENCY))
    return tmp_path / "baseline"


def answers_only(published: Published, out: Path) -> Path:
    """The same answers as a run that nobody has judged."""
    where = ("--mirror", published.mirror, "--offline", "--json")
    judgebench(["import", published.outputs, "--from", "outputs", "--task", "alpacaeval", "--out", out, *where])
    assert manifest_of(out).status == "generated"
    return out


def half_judged(published: Published, server: Server, out: Path) -> Path:
    """An evaluation by this server that was killed after a few calls."""
    with started(published.eval(server, out, *CONCURRENCY)) as process:
        while server.counts()["start"] < 20:
            time.sleep(0.01)
            assert process.poll() is None, "ended before it was killed"
        kill(process)
    return out


def changed_replies(published: Published, path: Path, change: Callable[[int, dict[str, Any]], None]) -> Path:
    """The server's replies, each changed by its position and choice."""
    lines = lines_of(published.replies)
    for place, line in enumerate(lines):
        change(place, line["choice"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def exchanged(_: int, choice: dict[str, Any]) -> None:
    """The other answer is the better one."""
    for token in choice["logprobs"]["content"]:
        for one in (token, *token["top_logprobs"]):
            one["token"] = {"m": "M", "M": "m"}.get(one["token"], one["token"])


def command(published: Published, baseline: Path, candidate: Path, *more: str | Path) -> list[str | Path]:
    """The gate on the win rate."""
    policy = candidate.parent / "gate.toml"
    policy.write_text(f'[defaults]\nmax_unread = 0.5\n[tasks.alpacaeval]\nmetric = "win_rate"\nmax_drop = {MARGIN}\n')
    where = ("--mirror", published.mirror, "--offline", "--json")
    return ["gate", "--sequential", "--baseline", baseline, "--candidate", candidate, "--policy", policy, *where, *more]


def check_of(ended: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """The only check that ``--json`` printed."""
    (check,) = json.loads(ended.stdout)["checks"]
    found: dict[str, Any] = check
    return found


def test_calls_stop_when_it_passes(published: Published, server: Server, baseline: Path, tmp_path: Path) -> None:
    """Answers that nobody judged are judged as the baseline was, up to the example at which the differences decide by
    the pure function; at most what was in flight is asked beyond; every report says how many calls were saved. Judged
    to the end afterwards, the run replays to the same decision without a call.
    """
    candidate, store = answers_only(published, tmp_path / "candidate"), str(tmp_path / "store")
    before = server.counts()["start"]
    reports = ("--junit", tmp_path / "gate.xml", "--md", tmp_path / "gate.md", "--github")
    outputs, summary = tmp_path / "outputs", tmp_path / "summary.md"
    github = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    asked = command(published, baseline, candidate, *reports)
    ended = judgebench(asked, JUDGEBENCH_CACHE=store, **github)
    calls = server.counts()["start"] - before
    check = check_of(ended)
    found = check["sequential"]
    assert check["verdict"] == "PASS"
    run = read_run(baseline)
    values = {row.example_id: row.value for row in run.tasks["alpacaeval"].example_scores()}
    expected = decide_difference(
        values, values, list(values), MARGIN, Metric(name="win_rate", value_of=single_row("preference"))
    )
    assert (found["n"], found["population"]) == (expected.n, N)
    assert 30 < found["n"] < 400
    # Eight were in flight when the last one came; a busy machine sends some rounds more until it has looked at it.
    assert found["n"] - 10 <= calls <= found["n"] + 10 * 8
    assert found["judge_calls"] == found["judge_calls_now"]
    assert N - 10 - calls <= found["judge_calls_saved"] <= N - found["n"]
    assert -MARGIN <= check["low"] < 0 < check["high"]
    said = f"decided after {found['n']} of {N} examples in random order"
    saved = f"{found['judge_calls_saved']} saved"
    for report in (tmp_path / "gate.xml", tmp_path / "gate.md", summary):
        assert said in report.read_text()
        assert saved in report.read_text()
    require_junit((tmp_path / "gate.xml").read_bytes())
    assert f"judge-calls-saved={found['judge_calls_saved']}\n" in outputs.read_text()
    manifest = manifest_of(candidate)
    assert manifest.status == "interrupted"
    assert manifest.protocol_hash == manifest_of(baseline).protocol_hash

    judge = ["judge", candidate, *published.judge(server), *CONCURRENCY]
    judgebench(judge, JUDGEBENCH_CACHE=store)
    assert manifest_of(candidate).status == "complete"
    assert sorted(lines_of(candidate / "alpacaeval" / "example_scores.jsonl"), key=str) == sorted(
        lines_of(baseline / "alpacaeval" / "example_scores.jsonl"), key=str
    )
    before = server.counts()["start"]
    again = check_of(judgebench(asked))
    assert server.counts()["start"] == before
    assert {**again, "sequential": None} == {**check, "sequential": None}
    assert again["sequential"]["n"] == found["n"]
    assert again["sequential"]["judge_calls_needed"] == found["judge_calls_needed"]
    assert (again["sequential"]["judge_calls_now"], again["sequential"]["judge_calls_saved"]) == (0, 0)


def test_a_clear_loser_fails_at_once(
    published: Published, server: Server, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """Against a baseline that wins 97.65 %, a half-judged candidate fails at ``min_n``, judged where it was before; the
    annotation is an error.
    """
    replies = changed_replies(published, tmp_path / "exchanged.jsonl", exchanged)
    other = start_chat_server(replies=replies)
    judgebench(published.eval(other, tmp_path / "baseline"), JUDGEBENCH_CACHE=str(tmp_path / "other"))
    before = other.counts()["start"]
    candidate = half_judged(published, server, tmp_path / "candidate")
    ended = judgebench(command(published, tmp_path / "baseline", candidate, "--github"), code=1)
    check = check_of(ended)
    assert (check["verdict"], check["sequential"]["n"]) == ("FAIL", 30)
    assert check["high"] < -MARGIN
    assert ended.stderr.startswith("::error title=judgebench gate")
    assert f"decided after 30 of {N} examples" in ended.stderr
    assert other.counts()["start"] == before
    assert server.counts()["start"] < 150


def test_what_is_unread_decides_nothing(published: Published, tmp_path: Path, start_chat_server: StartServer) -> None:
    """With every fifth reply unread and the others the baseline's own, all examples are used and nothing is said."""

    def fifth_unread(place: int, choice: dict[str, Any]) -> None:
        exchanged(place, choice)
        if place % 5 == 0:
            for one in choice["logprobs"]["content"][0]["top_logprobs"]:
                one["token"] = "neither"

    for name, change, code in (("baseline", exchanged, 0), ("candidate", fifth_unread, 4)):
        replies = changed_replies(published, tmp_path / f"{name}.jsonl", change)
        evaluated = published.eval(start_chat_server(replies=replies), tmp_path / name)
        judgebench(evaluated, code=code, JUDGEBENCH_CACHE=str(tmp_path / f"store-of-{name}"))
    check = check_of(judgebench(command(published, tmp_path / "baseline", tmp_path / "candidate"), code=3))
    assert (check["verdict"], check["sequential"]["n"]) == ("INCONCLUSIVE", N)
    assert check["candidate_missing"] >= 161
    assert check["sequential"]["judge_calls_saved"] == 0
    assert "may turn out either way" in check["reason"]


def test_killed_it_goes_on_to_the_same_decision(
    published: Published, server: Server, baseline: Path, tmp_path: Path
) -> None:
    """``kill -9`` at two moments: the decision and its n are those of a gate that was left alone, no reply that was
    written is asked for again, and once decided a further start asks nothing.
    """
    whole = answers_only(published, tmp_path / "whole")
    candidate = tmp_path / "candidate"
    shutil.copytree(whole, candidate)
    left_alone = check_of(judgebench(command(published, baseline, whole), JUDGEBENCH_CACHE=str(tmp_path / "a")))
    asked = [str(part) for part in command(published, baseline, candidate)]
    judgements = candidate / "alpacaeval" / "judgements.jsonl"
    written: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "b"))
        for _ in range(2):
            before = server.counts()["start"]
            with started(asked) as process:
                while server.counts()["start"] < before + 40:
                    time.sleep(0.01)
                    assert process.poll() is None, "ended before it was killed"
                kill(process)
            lines = [json.loads(line) for line in judgements.read_text().rpartition("\n")[0].splitlines()]
            assert written < {line["case_id"] for line in lines}
            written = {line["case_id"] for line in lines}
        ended = check_of(judgebench(asked))
        before = server.counts()["start"]
        again = check_of(judgebench(asked))
    assert server.counts()["start"] == before
    for check in (ended, again):
        assert {**check, "sequential": None} == {**left_alone, "sequential": None}
        assert check["sequential"]["n"] == left_alone["sequential"]["n"]
    assert again["sequential"]["judge_calls_now"] == 0
    examples = [line["id"] for line in lines_of(candidate / "alpacaeval" / "examples.jsonl")]
    final = [json.loads(line) for line in judgements.read_text().splitlines()]
    assert len(final) == len({line["case_id"] for line in final})
    assert set(random_order(examples)[: ended["sequential"]["n"]]) <= {line["example_id"] for line in final}


def test_what_cannot_be_decided_so_is_refused_before_a_call(
    published: Published, server: Server, baseline: Path, tmp_path: Path
) -> None:
    """A fitted headline (with the metrics that can), a published baseline, one without verdicts, an early-stopped run,
    another judge, missing answers: exit 2, one paragraph, and nothing is asked.
    """
    candidate = answers_only(published, tmp_path / "candidate")
    stopped = tmp_path / "stopped"
    judgebench(published.eval(server, stopped, "--stop-when", "win_rate ci<10"))
    short = tmp_path / "short"
    model = ("--model", f"{server.base_url}#candidate", "--mirror", published.mirror, "--offline")
    judgebench(["generate", *model, "--tasks", "alpacaeval", "--limit", "20", "--out", short])
    generations = short / "alpacaeval" / "generations.jsonl"
    generations.write_text("".join(generations.read_text().splitlines(keepends=True)[:-5]))
    renamed = tmp_path / "renamed"
    shutil.copytree(baseline, renamed)
    manifest = (renamed / "manifest.json").read_text()
    (renamed / "manifest.json").write_text(manifest.replace("#gpt-4-1106-preview", "#another-judge"))
    drop = ("--max-drop", "2", "--mirror", published.mirror, "--offline")
    refused: list[tuple[list[str | Path], str]] = [
        (["gate", "--sequential", "--baseline", baseline, "--candidate", candidate, *drop], 'metric = "win_rate"'),
        (["gate", "--sequential", "--baseline", "published:gpt4", "--candidate", candidate, *drop], "name a run"),
        (command(published, candidate, candidate), "judged to its end"),
        (command(published, stopped, candidate), "--stop-when"),
        (command(published, renamed, candidate), "another protocol"),
        (command(published, baseline, short), "lacks 5 of 20"),
    ]
    before = server.counts()["start"]
    for arguments, named in refused:
        ended = judgebench(arguments, code=2)
        assert named in ended.stderr, ended.stderr
        assert ended.stderr.count("\n") == 1
        assert ended.stdout == ""
    assert server.counts()["start"] == before


def test_two_finished_runs_are_replayed(tmp_path: Path) -> None:
    """Verified runs too: equal ones pass early, a loser fails, one that lacks more than ``max_unread`` of all examples
    does not pass, and several checks each have a part of alpha.
    """
    values = [1.0] * 200 + [0.0] * 200
    a = write_run(tmp_path / "a", values).path
    lost = write_run(tmp_path / "b", [0.0] * 60 + values[60:]).path
    asked = ("gate", "--sequential", "--max-drop", "3", "--json", "--baseline", a, "--candidate")
    passed = check_of(judgebench([*asked, a]))
    assert passed["sequential"]["n"] < 300
    assert passed["sequential"]["judge_calls"] == 0
    assert check_of(judgebench([*asked, lost], code=1))["verdict"] == "FAIL"
    lacking = write_run(tmp_path / "d", [*values[:-40], *[None] * 40]).path
    unclear = check_of(judgebench([*asked, lacking], code=3))
    assert unclear["verdict"] == "INCONCLUSIVE"
    assert 4 < unclear["candidate_missing"] < 40
    assert "max_unread" in unclear["reason"]
    both = write_run(tmp_path / "c", {"gsm8k": values, "math": values}, metrics=(*GSM8K, "math_verify")).path
    manifest = json.loads((both / "manifest.json").read_text())
    manifest["tasks"]["math"]["version"] = "500"
    (both / "manifest.json").write_text(json.dumps(manifest))
    policy = tmp_path / "gate.toml"
    policy.write_text('[defaults]\nmax_drop = 3\n[tasks.math]\nmetric = "math_verify"\n')
    ended = judgebench(["gate", "--sequential", "--policy", policy, "--json", "--baseline", both, "--candidate", both])
    checks = json.loads(ended.stdout)["checks"]
    assert [check["p_pass"] <= 0.025 for check in checks] == [True, True]
    assert all(passed["sequential"]["n"] < check["sequential"]["n"] < 400 for check in checks)


def test_what_is_known_beforehand_can_decide(tmp_path: Path) -> None:
    """The baseline's own verdicts, and a third run's, in place of the paired differences; the report says so. Without
    ``--sequential``, or of a run of other examples, a control is refused.
    """
    rng = np.random.default_rng(4)
    ease = rng.random(300)
    a, b, c = ([float(value) for value in ease < limit + rng.normal(0, 0.15, 300)] for limit in (0.5, 0.6, 0.5))
    first, second, third = (
        write_run(tmp_path / name, values).path for name, values in zip("abc", (a, b, c), strict=True)
    )
    gate = ["gate", "--baseline", first, "--candidate", second, "--max-drop", "4"]
    taken = []
    for control in ([], ["--control", "baseline"], ["--control", third]):
        result = json.loads(judgebench([*gate, "--sequential", *control, "--json"]).stdout)
        taken.append(result["checks"][0]["sequential"]["n"])
        assert result["verdict"] == "PASS"
        assert any("known of the examples before" in note for note in result["notes"]) == bool(control)
    assert len(set(taken)) == 3
    assert max(taken) < 300
    assert "--sequential" in judgebench([*gate, "--control", "baseline"], code=2).stderr
    few = write_run(tmp_path / "few", a[:40]).path
    assert "too few" in judgebench([*gate, "--sequential", "--control", few], code=2).stderr
    assert "no single verdicts" in judgebench([*gate, "--sequential", "--control", "published"], code=2).stderr
