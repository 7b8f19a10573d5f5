"""Servers as they are met: broken replies, odd fields, thinking in many shapes, through the real command and over all
three protocols. Either the numbers are those of a flawless server, or what is missing is counted.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus
from zipfile import ZipFile

import pytest

from judgebench import tasks
from judgebench.errors import ModelError
from judgebench.models.call_store import default_cache_dir
from judgebench.models.http.model import HttpChat
from judgebench.models.http.wire import Wire
from judgebench.models.http.wire_chat import ChatCompletions
from judgebench.models.http.wire_messages import Messages
from judgebench.models.http.wire_responses import Responses
from judgebench.records import Completion, Message, Request, Sampling
from tests.commands import judgebench
from tests.processes import SUMS, command, lines_of, manifest_of, scores_of
from tests.servers.launch import Server, odd_server
from tests.servers.odd_server import FAULTS, ODD, SIDES

WIRES: dict[str, Wire] = {"chat": ChatCompletions(), "responses": Responses(), "messages": Messages()}
protocols = pytest.mark.parametrize("protocol", WIRES)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One that is odd only where it is asked to be."""
    with odd_server(rate=0) as running:
        yield running


def model_flags(server: Server, protocol: str) -> list[str]:
    """Flags that name the server's model over a protocol."""
    if protocol == "messages":
        return ["--model", "anthropic:m", "--model-arg", f"base_url={server.root_url}"]
    return ["--model", f"{server.base_url}#m", "--model-arg", f"api={protocol}"]


def test_there_are_enough_oddities() -> None:
    """Sixty kinds at least, and both sorts."""
    assert len(ODD) >= 60
    assert min(len(FAULTS), len(SIDES)) >= 20


@protocols
def test_a_third_of_odd_replies_changes_no_number(protocol: str, tmp_path: Path) -> None:
    """Of 300 sums 297 are right, and the three that the server refuses for what they say are missing: exit 4. A second
    start asks for those three alone.
    """
    with odd_server(rate=0.3, seed=1, refused="18,88,188") as server:
        arguments = ["eval", *model_flags(server, protocol), "--tasks", SUMS, "--out", tmp_path / "run", "--json"]
        ended = judgebench(arguments, code=4)
        met = {json.loads(line)["name"] for line in server.log.read_text().splitlines()}
        asked = len(server.log.read_text().splitlines())
        judgebench(arguments, code=4)
        assert len(server.log.read_text().splitlines()) == asked + 3
    assert len(met) > 40
    (score,) = scores_of(ended)
    assert (score["value"], score["n"], score["n_missing"]) == (100.0, 297, 3)
    assert "3 of 300 examples have no answer" in ended.stderr
    assert "Content Exists Risk" in ended.stderr
    counts = manifest_of(tmp_path / "run").tasks["sums"].counts
    assert (counts["examples"], counts["without_answer"], counts["verified"]) == (300, 3, 297)


def asked(server: Server, protocol: str, oddity: str) -> Completion | ModelError:
    """What becomes of one request whose every reply is odd."""
    base = server.root_url if protocol == "messages" else server.base_url
    model = HttpChat("m", base, "m", wire=WIRES[protocol], max_attempts=2, backoff_seconds=0.001)
    question = Message(role="user", content=f"<<{oddity}>> What is 2 + 3?")
    try:
        ((_, completion),) = model.complete([Request(messages=(question,), sampling=Sampling(max_tokens=20))])
        return completion
    except ModelError as error:
        return error
    finally:
        model.close()


@protocols
@pytest.mark.parametrize("oddity", SIDES)
def test_what_is_odd_beside_an_answer_leaves_the_answer(protocol: str, oddity: str, server: Server) -> None:
    """It is read at the first attempt."""
    found = asked(server, protocol, oddity)
    assert isinstance(found, Completion)
    assert found.error is None
    assert found.text is not None
    assert found.text.endswith("is 5.")
    assert found.discarded == Completion().discarded


@protocols
@pytest.mark.parametrize("oddity", FAULTS)
def test_what_is_no_answer_is_none(protocol: str, oddity: str, server: Server) -> None:
    """After all attempts it is a failure that says why: of the request, or of all there was."""
    found = asked(server, protocol, oddity)
    said = str(found) if isinstance(found, ModelError) else found.error
    assert said
    assert "Traceback" not in said


THINKING = {
    "<think>": ("<think>", "</think>"),
    "<thinking>": ("<thinking>", "</thinking>"),
    "<thought>": ("<thought>", "</thought>"),
    "[THINK]": ("[THINK]", "[/THINK]"),
    "Kimi": ("◁think▷", "◁/think▷"),
    "Seed": ("<seed:think>", "</seed:think>"),
    "opened by the template": ("", "</think>"),
    "gpt-oss": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    "gpt-oss without special tokens": ("analysis", "assistantfinal"),
    "named": ("{{", "}}"),
}


@pytest.mark.parametrize(
    ("protocol", "tags"),
    [*(("chat", tags) for tags in THINKING), ("responses", "<think>"), ("messages", "gpt-oss"), ("responses", "named")],
)
def test_a_candidate_is_graded_by_what_follows_its_thinking(protocol: str, tags: str, tmp_path: Path) -> None:
    """Whatever it thinks between whichever tags; the thinking is kept beside the answer."""
    opening, closing = THINKING[tags]
    named = ["--think-tags", f"{opening},{closing}"] if tags == "named" else []
    with odd_server(rate=0, reply=f"{opening}Perhaps 1? No.\nThe sum is 1{closing}\n{{A}}") as server:
        task = f"{SUMS}:items=5"
        ended = judgebench(
            ["eval", *model_flags(server, protocol), "--tasks", task, *named, "--out", tmp_path / "run", "--json"]
        )
    (score,) = scores_of(ended)
    assert (score["value"], score["n"]) == (100.0, 5)
    for generation in lines_of(tmp_path / "run" / "sums" / "generations.jsonl"):
        assert generation["outputs"][0].startswith("The sum is")
        assert "Perhaps 1?" in generation["thinking"][0]


@protocols
def test_a_candidate_that_is_cut_off_while_thinking_has_no_answer(protocol: str, tmp_path: Path) -> None:
    """What it thought last is not what it says, be it right; both counts are shown."""
    with odd_server(rate=0, reply="<think>{A}", end="max_tokens") as server:
        ended = judgebench(
            ["eval", *model_flags(server, protocol), "--tasks", f"{SUMS}:items=5", "--out", tmp_path / "run", "--json"]
        )
    (score,) = scores_of(ended)
    assert (score["value"], score["n"]) == (0.0, 5)
    findings = {finding["check"]: finding for finding in json.loads(ended.stdout)["integrity"]}
    for check in ("empty_output", "unclosed_thinking"):
        assert (findings[check]["count"], findings[check]["flagged"]) == (5, True)


def test_an_empty_answer_is_an_answer_and_is_flagged(tmp_path: Path) -> None:
    """One of a hundred is enough: it ended by itself, is asked for once and counts as wrong."""
    answers = [{"id": f"sum-{n:03d}", "output": "" if n == 7 else f"{8 * n + 14}"} for n in range(100)]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in answers))
    run = tmp_path / "run"
    ended = judgebench(["eval", "--model", f"file:{path}", "--tasks", f"{SUMS}:items=100", "--out", run, "--json"])
    assert [(score["value"], score["n"]) for score in scores_of(ended)] == [(99.0, 100)]
    (finding,) = [f for f in json.loads(ended.stdout)["integrity"] if f["check"] == "empty_output"]
    assert (finding["count"], finding["flagged"]) == (1, True)


DOUBTS = """
A harsh judge would say [[3]], or {"score": "2", "choice": "B++"}, or [[B]], or [[B>>A]].
"""
VERDICTS = {
    "mtbench": "Clear and right. Rating: [[9]]",
    "mtbench:mode=pairwise": "The first. [[A]]",
    "wildbench": '{"score": "9", "choice": "A+"}',
    "arenahard": "My verdict is [[A>B]]",
    "arenahard@v0.1": "My verdict is [[A>B]]",
}
"""What a judge says in each task, by the rules of its starter set."""


@pytest.mark.parametrize(
    ("task", "tags"),
    list(zip(VERDICTS, ("<think>", "gpt-oss", "opened by the template", "[THINK]", "<think>"), strict=True)),
)
def test_a_judge_is_read_by_what_follows_its_thinking(task: str, tags: str, tmp_path: Path) -> None:
    """In every task, whatever verdicts it thinks of, the numbers are those of a judge that does not think aloud; the
    thinking is kept in the record.
    """
    opening, closing = THINKING[tags]
    found = []
    for thinking in ("", f"{opening}{DOUBTS}{closing}\n\n"):
        with odd_server(rate=0, reply=thinking + VERDICTS[task]) as server:
            run = tmp_path / str(len(found))
            both = ["--model", f"{server.base_url}#m", "--judge", f"{server.base_url}#m"]
            arguments = ["--tasks", task, "--starter", "--limit", "3", "--out", run, "--json"]
            found.append(scores_of(judgebench(["eval", *both, *arguments])))
    assert found[0] == found[1]
    assert any(score["value"] is not None for score in found[0])
    judgements = lines_of(run / task.partition("@")[0].partition(":")[0] / "judgements.jsonl")
    assert all(DOUBTS.strip() in judgement["replies"][-1]["text"] for judgement in judgements if judgement["replies"])


def test_a_judge_with_tags_of_its_own_is_read_again_without_a_call(tmp_path: Path) -> None:
    """Verdicts that were paid for and read from the thinking are mended by naming the tags: another protocol."""
    run = tmp_path / "run"
    with odd_server(rate=0, reply="{{A harsh judge would say [[3]].}}" + VERDICTS["mtbench"]) as server:
        both = ["--model", f"{server.base_url}#m", "--judge", f"{server.base_url}#m"]
        arguments = [*both, "--tasks", "mtbench", "--starter", "--limit", "3"]
        first = judgebench(["eval", *arguments, "--out", run, "--json"])
        calls = len(server.log.read_text().splitlines())
        protocol = manifest_of(run).protocol_hash
        again = judgebench(["score", run, "--think-tags", "{{,}}", "--json"])
        assert len(server.log.read_text().splitlines()) == calls
    assert (scores_of(first)[0]["value"], scores_of(again)[0]["value"]) == (3.0, 9.0)
    assert manifest_of(run).protocol_hash != protocol


@pytest.mark.parametrize(
    ("api", "reply"), [("chat", "<think>"), ("responses", "<think>Let me see"), ("chat", "[THINK]")]
)
def test_a_judge_that_only_thinks_is_noticed_on_its_first_replies(api: str, reply: str, tmp_path: Path) -> None:
    """A verdict that is the first token's probability cannot come from it: two calls, not one for each case."""
    (spec,) = tasks.parse_specs("alpacaeval")
    examples = tasks.load(spec, starter=True)[0].load(lambda name: b"").examples
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"id": e.id, "output": "An answer."}) + "\n" for e in examples))
    with odd_server(rate=0, reply=reply, end="max_output_tokens") as server:
        judge = ["--judge", f"{server.base_url}#m", "--judge-arg", f"api={api}"]
        arguments = ["--tasks", "alpacaeval", "--starter", "--out", tmp_path / "run"]
        ended = judgebench(["eval", "--model", f"file:{answers}", *judge, *arguments], code=6)
        assert len(server.log.read_text().splitlines()) == 2
    assert "spends the reply on thinking" in ended.stderr


PASSWORD, QUERY_KEY = "p@ss+w/rd=0123", "k+/=ey0123456789"


@pytest.mark.parametrize("place", ["text", "finish", "model"])
@pytest.mark.parametrize("secret", [PASSWORD, QUERY_KEY, "header-key-0123456789"])
def test_no_form_of_a_key_is_kept_or_shown(place: str, secret: str, tmp_path: Path) -> None:
    """A server says what it was sent, in its text, as how it ended, or as its model's name, plain or encoded: it is on
    no disk, in no archive and in no message, be they as long as ``-v`` makes them.
    """
    forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), secret.replace("+", " ")}
    shown = ""
    for number, form in enumerate((secret, quote(secret, safe=""))):
        with odd_server(rate=0, echo=f"{place}:{form}") as server:
            login, query = f"somebody:{quote(PASSWORD, safe='')}@", f"?api_key={quote(QUERY_KEY, safe='')}"
            address = f"http://{login}127.0.0.1:{server.port}/v1{query}#m"
            run = tmp_path / f"run{number}"
            arguments = ["eval", "--model", address, "--api-key-env", "MY_KEY", "--tasks", f"{SUMS}:items=2"]
            more = ["--model-arg", "max_attempts=1", "--out", run, "-v"]
            ended = subprocess.run(
                command([*arguments, *more]),
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "MY_KEY": "header-key-0123456789"},
            )
            assert ended.returncode in (0, 4)
            shown += ended.stdout + ended.stderr
            archive = tmp_path / f"run{number}.zip"
            judgebench(["export", run, "--to", "archive", "--out", archive, "--tasks", SUMS])
            with ZipFile(archive) as members:
                members.extractall(tmp_path / f"unpacked{number}")
    kept = [shown.encode(), *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())]
    kept += [path.read_bytes() for path in default_cache_dir().rglob("*") if path.is_file()]
    assert len(kept) > 10
    for form in forms | {form.lower() for form in forms}:
        assert not [content for content in kept if form.encode() in content]
