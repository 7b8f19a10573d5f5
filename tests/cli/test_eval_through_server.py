"""``judgebench eval`` through a real server that gives the published replies: same numbers, whatever happens.

The server and the command are processes of their own. Expected numbers are those of ``judgebench import`` of the same
published judgements, which other tests hold against upstream's.
"""

import csv
import json
import random
import signal
import socket
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.call_store import default_cache_dir
from judgebench.models.http.run import UNREACHABLE_WAITS
from judgebench.records import StageCounts
from judgebench.run.folder import Manifest, Session
from tests.alpacaeval_server import JUDGE, Published, committed, publish, stored
from tests.commands import judgebench
from tests.patience import PATIENCE_SECONDS, wait_for
from tests.processes import kill, lines_of, manifest_of, scores_of, started
from tests.servers.launch import Server
from tests.shared_data import SharedData

ANNOTATED = 803
"""Rows of the published file; two of the 805 instructions have none."""
IDENTICAL = 3
"""Rows whose two answers are the same: a tie without a call."""
CALLS = ANNOTATED - IDENTICAL
FIXED_SHARE = 0.9
"""Share of the first-shown answer in the server's fixed reply: e^-0.1053605 against e^-2.3025851."""

StartServer = Callable[..., Server]


@pytest.fixture(scope="module")
def published(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The published replies as the server's, and where everything lies."""
    return publish(shared_data, tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def imported(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the import of the same judgements."""
    out = tmp_path_factory.mktemp("imported") / "run"
    what = ["import", published.annotations, "--from", "alpaca_eval", "--task", "alpacaeval"]
    cache = str(out.parent / "cache")
    judgebench(
        [*what, "--mirror", published.data / "alpacaeval", "--offline", "--out", out, "--json"], JUDGEBENCH_CACHE=cache
    )
    return out


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Where a run is to lie."""
    return tmp_path / "run"


def judge_counts(session: Session) -> StageCounts:
    """How the judge stage of a session ended."""
    return session.counts["alpacaeval"]["judge"]


def stored_scores(run: Path) -> Any:
    """Every field of every score of a run folder."""
    return json.loads((run / "alpacaeval" / "scores.json").read_text())


def requests(server: Server) -> int:
    """How many requests the server has seen."""
    return server.seen().total()


def assert_cases_add_up(manifest: Manifest) -> None:
    """Each example ended in exactly one way, and each session's items too."""
    counts = dict(manifest.tasks["alpacaeval"].counts)
    assert counts.pop("examples") == sum(counts.values())
    for session in manifest.sessions:
        if session.status not in ("complete", "incomplete"):
            continue
        for stage in session.counts.get("alpacaeval", {}).values():
            ended = stage.resumed + stage.skipped + stage.cached + stage.asked + stage.failed
            assert ended == stage.total


def test_replies_through_a_server_give_the_imported_result(
    published: Published, imported: Path, run: Path, start_chat_server: StartServer
) -> None:
    """Every field of every score is the import's, the protocol too, with one call per pair of unlike answers; the same
    command again makes no call and says the same.
    """
    server = start_chat_server(replies=published.replies)
    arguments = [*published.eval(server, run), "--mirror", str(published.data / "alpacaeval")]
    first = judgebench(arguments)
    assert scores_of(first) == stored_scores(imported)
    assert len(published.calls) == CALLS
    assert server.seen() == Counter(call.key for call in published.calls)
    manifest = manifest_of(run)
    assert manifest.protocol_hash == manifest_of(imported).protocol_hash
    assert manifest.status == "complete"
    assert manifest.tasks["alpacaeval"].judge_models_returned == [JUDGE]
    assert_cases_add_up(manifest)
    board = json.loads(judgebench(["leaderboard", run, imported, "--format", "json"]).stdout)
    assert [[row["model"] for row in group["rows"]] for group in board] == [["phi-2", "phi-2"]]

    second = judgebench(arguments)
    assert scores_of(second) == scores_of(first)
    assert requests(server) == CALLS
    assert judge_counts(manifest_of(run).sessions[1]).resumed == ANNOTATED


def test_another_folder_takes_the_calls_from_the_store(
    published: Published, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """A call is paid once, whichever run asks; ``--dry-run`` sends nothing, and tells the calls from the cached ones
    before and after.
    """
    server = start_chat_server(replies=published.replies)

    def estimate() -> tuple[int, int, int]:
        printed = judgebench([*published.eval(server, tmp_path / "never"), "--dry-run"]).stdout
        (stage,) = json.loads(printed)["stages"]
        assert not (tmp_path / "never").exists()
        return stage["examples"], stage["calls"], stage["cached"]

    assert estimate() == (805, CALLS, 0)
    assert requests(server) == 0
    judgebench([*published.eval(server, tmp_path / "half"), "--limit", "100"])
    half = requests(server)
    assert estimate() == (805, CALLS - half, half)
    assert requests(server) == half
    judgebench([*published.eval(server, tmp_path / "again"), "--limit", "100"])
    assert requests(server) == half
    counts = judge_counts(manifest_of(tmp_path / "again").sessions[0])
    assert (counts.cached, counts.asked, counts.usage.prompt_tokens) == (half, 0, 0)


def test_killed_twenty_times_the_result_is_the_same(
    published: Published, imported: Path, run: Path, start_chat_server: StartServer
) -> None:
    """``kill -9`` at 20 random moments (three before the first request, fourteen between requests, three after the
    last reply): the final result is the import's, and no reply that was committed is asked for again. Replies are
    committed while others are asked for: each of the fourteen lives lasts until some are.
    """
    draw = random.Random(20240611)
    server = start_chat_server(replies=published.replies, delay_ms=100)
    arguments = [*published.eval(server, run), "--judge-concurrency", "8"]
    keys = {call.store_key(server): call.key for call in published.calls}
    safe: set[str] = set()

    def asked_since(seen: int) -> set[str]:
        return {event["key"] for event in server.events()[seen:] if event["event"] == "start"}

    def live(until: Callable[[], bool], seconds: float) -> None:
        """One life of the command, killed ``seconds`` after ``until``; it asks for nothing that is committed."""
        seen = len(server.events())
        with started(arguments) as process:
            wait_for(until)
            time.sleep(seconds)
            kill(process)
            assert process.returncode == -signal.SIGKILL, "ended before it was killed"
        assert not asked_since(seen) & safe
        safe.update(keys[key] for key in committed())

    with started(arguments) as process:  # while the run folder is filled
        wait_for(run.exists, look_every=0.001)
        kill(process)
    for _ in range(2):
        live(lambda: True, draw.uniform(0.0, 0.8))
    for _ in range(14):
        live(lambda: stored() > len(safe), draw.uniform(0.0, 0.7))
    sessions = manifest_of(run).sessions
    assert len(sessions) >= 14
    assert {(session.status, session.finished_at) for session in sessions} == {("running", None)}
    for _ in range(3):
        live(lambda: len(finished(server)) == CALLS, draw.uniform(0.0, 0.2))

    seen = len(server.events())
    last = judgebench(arguments)
    assert not asked_since(seen) & safe
    assert scores_of(last) == stored_scores(imported)
    manifest = manifest_of(run)
    assert manifest.status == manifest.sessions[-1].status == "complete"
    assert manifest.sessions[-1].finished_at is not None
    assert_cases_add_up(manifest)
    judgements = lines_of(run / "alpacaeval" / "judgements.jsonl")
    assert len({judgement["case_id"] for judgement in judgements}) == len(judgements) == ANNOTATED
    assert server.seen().keys() == {call.key for call in published.calls}


def finished(server: Server) -> set[str]:
    """Requests that were answered."""
    return {event["key"] for event in server.events() if event["event"] == "finish"}


def test_faults_change_nothing_and_are_counted(
    published: Published, imported: Path, run: Path, start_chat_server: StartServer
) -> None:
    """With ten percent each of 429, 500, truncated, malformed and too slow replies, the scores are the import's, and
    each request that the server saw is an answered call or a counted retry.
    """
    faults = "429=0.1,500=0.1,truncated=0.1,malformed=0.1,slow=0.1"
    server = start_chat_server(replies=published.replies, faults=faults, retry_after="0.05", slow_ms=3_600_000)
    patient = ("--judge-arg", "timeout_seconds=4", "--judge-arg", "max_attempts=100")
    arguments = published.eval(server, run, *patient, "--judge-concurrency", "256")
    assert scores_of(judgebench(arguments)) == stored_scores(imported)
    manifest = manifest_of(run)
    assert_cases_add_up(manifest)
    assert manifest.tasks["alpacaeval"].counts["read"] == CALLS
    (session,) = manifest.sessions
    counts, retries, events = judge_counts(session), session.retries[JUDGE], server.counts()
    assert (counts.asked, counts.skipped, counts.failed, counts.unread, counts.reasked) == (CALLS, IDENTICAL, 0, 0, 0)
    assert requests(server) == counts.asked + sum(retries.values())
    late = Counter({cause: events[cause] - retries[cause] for cause in ("429", "500", "truncated", "malformed")})
    assert min(late.values()) >= 0
    # On a busy machine other replies than the slow ones may come too late.
    assert retries["timeout"] >= events["slow"] + late.total() > 0.05 * CALLS


@pytest.fixture
def all_files(tmp_path: Path) -> Callable[[], bytes]:
    """Everything that was written: the test's folder with its runs, and the cache with the call store."""

    def read() -> bytes:
        files = [path for folder in (tmp_path, default_cache_dir()) for path in folder.rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in files)

    return read


def test_a_wrong_key_stops_at_once_and_is_shown_nowhere(
    published: Published, run: Path, start_chat_server: StartServer, all_files: Callable[[], bytes]
) -> None:
    """A 401 to the first request is exit 6; the key, which this server even sends back, is in no output and no file."""
    wrong = "sk-wrong-8f14e45fceea167a"
    server = start_chat_server(key_env="RIGHT", environment={"RIGHT": "sk-right"}, replies=published.replies)
    arguments = published.eval(server, run, "--api-key-env", "WRONG_KEY")
    ended = judgebench(arguments, code=6, WRONG_KEY=wrong)
    assert requests(server) <= 64  # those that were on their way together
    assert "WRONG_KEY" in ended.stderr
    assert ended.stdout == ""
    assert "8f14e45fceea167a" not in ended.stderr
    assert manifest_of(run).status == "failed"
    assert b"8f14e45fceea167a" not in all_files()
    judgebench([*arguments, "--limit", "2"], code=2, WRONG_KEY=wrong)  # other inputs, so another run
    assert scores_of(judgebench(arguments, WRONG_KEY="sk-right"))
    assert b"sk-right" not in all_files()


def test_a_password_in_the_judges_address_is_written_nowhere(
    published: Published, run: Path, start_chat_server: StartServer, all_files: Callable[[], bytes]
) -> None:
    """Credentials in a URL, as user and password or in its query, are sent, but neither the argv in the manifest nor
    anything else holds them.
    """
    server = start_chat_server(replies=published.replies)
    arguments = published.eval(server, run, "--limit", "2")
    address = server.base_url.replace("http://", "http://me:hunter2secret@") + "?api-key=hunter3secret"
    ended = judgebench([argument.replace(server.base_url, address) for argument in arguments] + ["-v"])
    assert requests(server) == 2
    for written in (ended.stdout.encode(), ended.stderr.encode(), all_files()):
        assert b"hunter2" not in written  # an answer tells of a monster hunter
        assert b"hunter3" not in written
    assert f"{server.base_url}#{JUDGE}" in manifest_of(run).sessions[0].argv


def test_a_closed_port_stops_at_once(published: Published, run: Path) -> None:
    """Nobody listens: exit 6 after the tries of one request, and the message names the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        server = Server(unused.getsockname()[1], run)
    ended = judgebench(published.eval(server, run, "--judge-concurrency", "1"), code=6)
    assert manifest_of(run).sessions[0].retries[JUDGE] == {"connection": len(UNREACHABLE_WAITS)}
    assert f"127.0.0.1:{server.port}" in ended.stderr
    assert ended.stdout == ""


def test_a_judge_without_logprobs_is_found_on_the_first_reply(
    published: Published, run: Path, start_chat_server: StartServer
) -> None:
    """The first reply without logprobs is asked for once more; then exit 6, and the message says what to use."""
    server = start_chat_server(replies=published.replies, faults="no_logprobs=1", fault_attempts=99, delay_ms=50)
    ended = judgebench(published.eval(server, run), code=6)
    assert requests(server) <= 3
    assert "logprobs" in ended.stderr
    assert "hf:" in ended.stderr


def test_failures_above_the_limit_are_kept_and_asked_again(
    published: Published, imported: Path, run: Path, start_chat_server: StartServer
) -> None:
    """A server that fails on 5 % of the prompts is exit 4 with scores of the rest; once it is mended, the same command
    asks for the failed ones only and gives the import's result.
    """
    server = start_chat_server(replies=published.replies, faults="500=0.05", fault_attempts=99, persistent=1)
    arguments = published.eval(server, run, "--judge-arg", "max_attempts=3")
    ended = judgebench(arguments, code=4)
    failing = {event["key"] for event in server.events() if event["event"] == "500"}
    assert 0.03 * CALLS < len(failing) < 0.07 * CALLS
    assert f"{len(failing)} of {ANNOTATED} verdicts failed (less than 1% may)" in ended.stderr
    manifest = manifest_of(run)
    assert manifest.status == "incomplete"
    assert_cases_add_up(manifest)
    assert manifest.tasks["alpacaeval"].counts["failed"] == judge_counts(manifest.sessions[0]).failed == len(failing)
    assert requests(server) == CALLS + 2 * len(failing)
    rate = next(score for score in scores_of(ended) if score["metric"] == "win_rate")
    assert (rate["n"], rate["n_missing"]) == (ANNOTATED - len(failing), 2 + len(failing))

    server.set(rates={})
    asked_before = len(server.events())
    assert scores_of(judgebench(arguments)) == stored_scores(imported)
    asked = [event["key"] for event in server.events()[asked_before:] if event["event"] == "start"]
    assert sorted(asked) == sorted(failing)
    assert_cases_add_up(manifest_of(run))


def test_the_budget_is_a_ceiling_on_the_whole_run(
    published: Published, run: Path, start_chat_server: StartServer
) -> None:
    """Exit 5 before the ceiling is crossed; the same command again spends nothing more; with a larger budget it goes on
    and asks for nothing twice.
    """
    server = start_chat_server(replies=published.replies)
    arguments = published.eval(server, run, "--limit", "150", "--judge-arg", "usd_per_million=10/30")
    ended = judgebench([*arguments, "--budget", "0.5"], code=5)
    assert "--budget" in ended.stderr
    manifest = manifest_of(run)
    assert manifest.status == "budget"
    spent = judge_counts(manifest.sessions[0]).usd
    assert spent is not None
    assert 0.4 < spent <= 0.5
    first = requests(server)
    assert first == judge_counts(manifest.sessions[0]).asked

    judgebench([*arguments, "--budget", "0.5"], code=5)
    assert requests(server) == first
    judgebench([*arguments, "--budget", "5"])
    assert set(server.seen().values()) == {1}
    manifest = manifest_of(run)
    assert manifest.status == "complete"
    assert_cases_add_up(manifest)
    assert sum(judge_counts(session).asked for session in manifest.sessions) == requests(server)


def test_ctrl_c_is_resumable(published: Published, run: Path, start_chat_server: StartServer) -> None:
    """SIGINT is exit 130; the manifest says interrupted; the same command goes on and asks again for at most what was
    in flight.
    """
    server = start_chat_server(replies=published.replies, delay_ms=50)
    arguments = published.eval(server, run, "--limit", "100", "--judge-concurrency", "4")
    with started(arguments) as process:
        wait_for(lambda: requests(server) >= 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
    manifest = manifest_of(run)
    assert manifest.status == manifest.sessions[0].status == "interrupted"
    first = judge_counts(manifest.sessions[0])
    assert first.asked >= 20
    scores = scores_of(judgebench(arguments))
    assert requests(server) - len(server.seen()) <= 4
    last = judge_counts(manifest_of(run).sessions[1])
    assert last.resumed == first.asked + first.skipped
    assert last.resumed + last.cached + last.asked + last.skipped == last.total == 100
    assert scores == scores_of(judgebench(published.eval(server, run.with_name("other"), "--limit", "100")))


def test_generate_judge_and_score_are_the_stages_of_eval(
    published: Published, run: Path, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """Answers made through one server and judged through another give the number worked out on paper from the fixed
    reply and upstream's draws of the order; ``score`` makes no call; a second judge is refused.
    """
    candidate, judge = start_chat_server(), start_chat_server()
    files = ["--mirror", str(published.mirror), "--offline", "--json"]
    what = ["--model", f"{candidate.base_url}#fixed", "--tasks", "alpacaeval", "--limit", "20"]
    generated = json.loads(judgebench(["generate", *what, *files, "--out", run]).stdout)
    assert generated["status"] == "generated"
    assert requests(candidate) == 20
    assert {line["outputs"][0] for line in lines_of(run / "alpacaeval" / "generations.jsonl")} == {"m"}
    with (published.data / "alpacaeval" / "fixtures" / "switch.csv").open() as file:
        candidate_first = [row["seed0"] == "1" for row in csv.DictReader(file)][:20]
    expected = 100 * statistics.fmean(FIXED_SHARE if first else 1 - FIXED_SHARE for first in candidate_first)

    judged = scores_of(judgebench(["judge", run, *published.judge(judge)]))
    assert requests(judge) == 20
    rate = next(score for score in judged if score["metric"] == "win_rate")
    assert rate["value"] == pytest.approx(expected, abs=1e-5)  # the reply's logprobs have seven decimals
    assert scores_of(judgebench(["score", run, *files])) == judged
    assert scores_of(judgebench(["judge", run, *published.judge(judge)])) == judged
    judgebench(["judge", run, "--judge", f"{judge.base_url}#other", *files], code=2)
    assert (requests(candidate), requests(judge)) == (20, 20)

    at_once = ["eval", *what, *published.judge(judge), "--out", str(tmp_path / "at once")]
    assert scores_of(judgebench(at_once)) == judged
    assert manifest_of(tmp_path / "at once").input_hash == manifest_of(run).input_hash
    assert (requests(candidate), requests(judge)) == (20, 20)


def test_imported_answers_can_be_judged(
    published: Published, imported: Path, run: Path, start_chat_server: StartServer
) -> None:
    """``import`` of answers and ``judge`` give what ``eval`` of the same file gives; what the file does not say stays
    said in the manifest.
    """
    server = start_chat_server(replies=published.replies)
    files = ["--mirror", str(published.mirror), "--offline", "--json"]
    judgebench(["import", published.outputs, "--from", "outputs", "--task", "alpacaeval", "--out", run, *files])
    before = manifest_of(run).tasks["alpacaeval"]
    assert before.unknown
    assert scores_of(judgebench(["judge", run, *published.judge(server)])) == stored_scores(imported)
    after = manifest_of(run)
    assert after.protocol_hash == manifest_of(imported).protocol_hash
    assert (after.tasks["alpacaeval"].unknown, after.tasks["alpacaeval"].notes) == (before.unknown, before.notes)
    assert (after.status, after.imported_from) == ("complete", "outputs")
    assert_cases_add_up(after)


def test_ids_choose_the_examples(
    published: Published, run: Path, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """``--ids`` judges the named examples, in the benchmark's order, and nothing else."""
    server = start_chat_server(replies=published.replies)
    chosen = {published.calls[number].case.example.id: published.calls[number] for number in (700, 5, 42)}
    (tmp_path / "ids").write_text("\n".join(chosen) + "\n")
    scores = scores_of(judgebench(published.eval(server, run, "--ids", str(tmp_path / "ids"))))
    assert server.seen().keys() == {call.key for call in chosen.values()}
    assert [line["case_id"] for line in lines_of(run / "alpacaeval" / "judgements.jsonl")] == sorted(chosen)
    rate = next(score for score in scores if score["metric"] == "win_rate")
    expected = 100 * statistics.fmean(call.preference - 1 for call in chosen.values())
    assert rate["value"] == pytest.approx(expected, abs=1e-8)  # published with ten decimals


def test_both_orders_are_two_calls_and_are_averaged(
    published: Published, run: Path, start_chat_server: StartServer
) -> None:
    """With ``order=both`` each pair is asked in both orders. One of them has its published reply here and the other the
    fixed one, so each example's preference is the mean of two known shares.
    """
    server = start_chat_server(replies=published.replies)
    judgebench(published.eval(server, run, "--limit", "20", tasks="alpacaeval:order=both"))
    expected = {}
    for call in published.calls:
        # The published reply is for the seeded order; in the other one the candidate stands in the other place.
        other = 1 - FIXED_SHARE if call.case.candidate == 0 else FIXED_SHARE
        expected[call.case.example.id] = (call.preference - 1 + other) / 2
    found = {line["example_id"]: line["value"] for line in lines_of(run / "alpacaeval" / "example_scores.jsonl")}
    assert requests(server) == len(server.seen()) == 40
    assert found == pytest.approx({example_id: expected[example_id] for example_id in found}, abs=1e-7)


def test_stdout_is_json_only_and_flags_may_come_from_a_file(
    published: Published, run: Path, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """Progress goes to stderr; ``--config`` holds flags, which the command line overrides; underscores do for dashes;
    ``--model_outputs`` is ``--model file:``.
    """
    server = start_chat_server(replies=published.replies)
    config = tmp_path / "run.toml"
    config.write_text(
        f"tasks = 'alpacaeval'\nlimit = 10\njson = true\noffline = true\nmirror = ['{published.mirror}']\n"
        f"judge = '{server.base_url}#{JUDGE}'\njudge_concurrency = 3\n[judge-arg]\nmax_attempts = 2\n"
    )
    with_file = ["--config", config, "--model", f"file:{published.outputs}"]
    ended = judgebench(["eval", *with_file, "--out", run])
    assert json.loads(ended.stdout)["run"] == str(run)
    assert "alpacaeval judge: 10/10" in ended.stderr
    assert max(event["in_flight"] for event in server.events()) <= 3
    assert requests(server) == 10
    quiet = judgebench(["eval", *with_file, "--out", run, "-q"]).stderr
    assert all(line.startswith("judgebench: note: ") for line in quiet.splitlines())

    spelt = [*published.judge(server), "--tasks", "alpacaeval", "--limit", "10"]
    spelt += ["--model_outputs", str(published.outputs), "--judge_concurrency", "2", "--out", str(tmp_path / "spelt")]
    assert scores_of(judgebench(["eval", *spelt])) == json.loads(ended.stdout)["scores"]
    judgebench(["eval", *with_file, "--limit", "12", "--out", tmp_path / "more"])
    assert requests(server) == 12
    config.write_text("limits = 10\n")
    assert "--limits" in judgebench(["eval", *with_file], code=2).stderr
