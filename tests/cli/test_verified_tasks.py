"""IFEval, GSM8K and MATH end to end: real answers out of a server process, verified, killed and resumed; no judge.

The server's replies are published responses, so that the scores must be those of the same responses given as a file.
"""

import gzip
import hashlib
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from judgebench import tasks
from judgebench.data.sources import SourceFinder
from judgebench.run.loading import load_task
from judgebench.task import TaskData
from tests.alpacaeval_server import committed
from tests.commands import judgebench
from tests.patience import PATIENCE_SECONDS
from tests.processes import kill, lines_of, manifest_of, scores_of, started
from tests.servers.launch import Server
from tests.shared_data import SharedData

LIMIT = 120
RESPONSES = {
    "ifeval": ("ifeval/responses/gpt-4-20231107.jsonl.gz", "key", "response"),
    "gsm8k": ("gsm8k/responses/rho-math-7b-v0.1.jsonl.gz", "idx", "output"),
    "math": ("math/responses/rho-math-1b-interpreter-v0.1.jsonl.gz", "id", "output"),
}
TASKS = {"ifeval": "ifeval", "gsm8k": "gsm8k", "math": "math"}
CHECKS = {"ifeval": 1, "gsm8k": 1, "math": 3}
"""Of one answer."""
StartServer = Callable[..., Server]


@dataclass(frozen=True)
class Published:
    """The published responses, as a server's replies and as files of outputs."""

    mirrors: tuple[Path, ...]
    replies: Path
    outputs: dict[str, Path]

    def eval(self, model: str, run: Path, *more: str) -> list[str]:
        """Arguments of ``judgebench`` for all tasks."""
        which = ["--model", model, "--tasks", ",".join(TASKS.values()), "--limit", str(LIMIT)]
        return ["eval", *which, *self.mirror, "--offline", "--out", str(run), "--json", *more]

    @property
    def mirror(self) -> list[str]:
        """Flags that say where the official files are."""
        return [word for mirror in self.mirrors for word in ("--mirror", str(mirror))]


@pytest.fixture(scope="module")
def published(shared_data: SharedData, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """For the first examples of each task."""
    folder = tmp_path_factory.mktemp("published")
    mirrors = tuple(shared_data / kind for kind in (*TASKS, "upstream"))
    finder = SourceFinder(folder / "cache", mirrors, offline=True)
    replies, outputs = [], {}
    for name, label in TASKS.items():
        (spec,) = tasks.parse_specs(label)
        data = load_task(spec, finder, starter=False).data
        answers = _answers(shared_data, name)
        own = {example.id: answers[example.id] for example in data.examples[:LIMIT]}
        replies += [_reply(data, example_id, text) for example_id, text in own.items()]
        outputs[name] = folder / f"{name}.jsonl"
        rows = [json.dumps({"id": example_id, "output": text}) for example_id, text in own.items()]
        outputs[name].write_text("\n".join(rows) + "\n")
    (folder / "replies.jsonl").write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    return Published(mirrors, folder / "replies.jsonl", outputs)


def _answers(data: SharedData, name: str) -> dict[str, str]:
    path, key, text = RESPONSES[name]
    rows = (json.loads(line) for line in gzip.decompress((data / path).read_bytes()).splitlines())
    return {str(row[key]): row[text] for row in rows}


def _reply(data: TaskData, example_id: str, text: str) -> dict[str, Any]:
    content = data.by_id[example_id].messages[-1].content
    return {
        "key": hashlib.sha256(content.encode()).hexdigest(),
        "choice": {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"},
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
        "model": "published",
    }


def numbers(scores: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    """A task's scores, every field."""
    return [score for score in scores if score["task"] == task]


def test_answers_of_a_server_score_as_the_same_answers_of_a_file(
    published: Published, tmp_path: Path, start_chat_server: StartServer
) -> None:
    """Through all stages, with three kills between requests; no committed reply is asked for again; the
    verdicts and every field of every score are equal to those of a run on the file; no worker process is left.
    """
    server = start_chat_server(replies=published.replies, delay_ms=60)
    arguments = published.eval(f"{server.base_url}#published", tmp_path / "run", "--concurrency", "8")
    for life in range(3):
        with started(arguments) as process:
            seen = len(server.seen())
            while len(server.seen()) < seen + 40:
                assert process.poll() is None, "ended before it was killed"
                time.sleep(0.02)
            children = psutil.Process(process.pid).children(recursive=True)
            kill(process)
            assert process.returncode == -signal.SIGKILL
            # A worker that is verifying ends by its own timers, the rest at once.
            assert not psutil.wait_procs(children, timeout=PATIENCE_SECONDS)[1], life
    held, before = len(committed()), server.seen().total()
    ended = judgebench(arguments)
    scores = scores_of(ended)
    asked = server.seen()
    assert len(asked) == len(TASKS) * LIMIT
    # A request may be in its socket still when its sender is killed.
    assert 0 <= asked.total() - before - (len(TASKS) * LIMIT - held) <= 8
    manifest = manifest_of(tmp_path / "run")
    assert manifest.status == "complete"
    for name, label in TASKS.items():
        assert manifest.tasks[name].counts["verified"] >= LIMIT * CHECKS[name]
        assert manifest.tasks[name].judge_models == []
        given = ["--model", f"file:{published.outputs[name]}", "--tasks", label, "--out", tmp_path / name]
        flags = ["--limit", str(LIMIT), *published.mirror, "--offline", "--json"]
        alone = judgebench(["eval", *given, *flags])
        assert numbers(scores, name) == scores_of(alone), name
        ours, theirs = (
            {line["case_id"]: line["verdict"] for line in lines_of(run / name / "judgements.jsonl")}
            for run in (tmp_path / "run", tmp_path / name)
        )
        assert ours == theirs
    again = judgebench(arguments)
    assert scores_of(again) == scores
    assert server.seen() == asked


def test_the_same_run_scored_again_is_verified_again(published: Published, tmp_path: Path) -> None:
    """``score`` makes no call and finds the same; a verdict that was altered on disk is found out anew."""
    run = tmp_path / "gsm8k"
    given = ["eval", "--model", f"file:{published.outputs['gsm8k']}", "--tasks", "gsm8k", "--limit", str(LIMIT)]
    first = judgebench([*given, *published.mirror, "--offline", "--json", "--out", run])
    verdicts = run / "gsm8k" / "judgements.jsonl"
    honest = verdicts.read_text()
    verdicts.write_text(honest.replace('"value":0.0', '"value":1.0'))
    scored = judgebench(["score", run, *published.mirror, "--offline", "--json"])
    assert scores_of(scored) == scores_of(first)
    assert verdicts.read_text() == honest
