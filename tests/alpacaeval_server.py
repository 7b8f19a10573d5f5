"""The published AlpacaEval 2 judgements of phi-2 as a chat server's replies, and the real command run against it.

The replies are ``raw_completion`` of ``annotations_full/phi-2.json.gz``, keyed by the judge's user message as our own
judge renders it (the rendering is checked against upstream's elsewhere).
"""

import gzip
import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.data.rows import read_rows
from judgebench.data.sources import SourceFinder
from judgebench.models.call_store import call_key, store_path
from judgebench.models.http.model import HttpChat
from judgebench.records import Case, Request
from judgebench.run.loading import load_task
from judgebench.task.answers import read_answers
from tests.servers.launch import Server
from tests.shared_data import SharedData

JUDGE = "gpt-4-1106-preview"


@dataclass(frozen=True)
class Call:
    """One judge call whose reply was published."""

    case: Case
    request: Request
    choice: dict[str, Any]
    """The published ``raw_completion``."""
    preference: float
    """The published preference, 1 (baseline) to 2 (candidate)."""

    @property
    def key(self) -> str:
        """What the server's log calls the request."""
        return hashlib.sha256(msgspec.json.encode(self.request.messages)).hexdigest()

    def store_key(self, server: Server) -> bytes:
        """What the call store calls it."""
        return call_key(HttpChat(JUDGE, server.base_url, JUDGE).identity, self.request)


@dataclass(frozen=True)
class Published:
    """Everything that the tests share."""

    data: SharedData
    mirror: Path
    """A mirror of only what AlpacaEval 2 needs: quicker to search."""
    replies: Path
    """For the chat server's ``--replies``."""
    calls: tuple[Call, ...]

    @property
    def annotations(self) -> Path:
        """The published judgements, with raw completions."""
        return self.data / "alpacaeval" / "annotations_full" / "phi-2.json.gz"

    @property
    def outputs(self) -> Path:
        """The published answers."""
        return self.data / "alpacaeval" / "model_outputs" / "phi-2.json.gz"

    def eval(self, server: Server, out: Path | str, *more: str, tasks: str = "alpacaeval") -> list[str]:
        """Arguments of ``judgebench`` that evaluate the published answers with the server as judge."""
        model = ["--model", f"file:{self.outputs}", "--tasks", tasks]
        return ["eval", *model, *self.judge(server), "--out", str(out), *more]

    def judge(self, server: Server) -> list[str]:
        """Flags that name the judge and where the official files are, and ask for JSON."""
        return ["--judge", f"{server.base_url}#{JUDGE}", "--mirror", str(self.mirror), "--offline", "--json"]


def publish(data: SharedData, folder: Path) -> Published:
    """Write the replies and the small mirror into ``folder``."""
    source = data / "alpacaeval"
    mirror = folder / "mirror"
    copytree(source / "judge", mirror / "judge")
    copytree(source / "glm", mirror / "glm")
    copy(source / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz", mirror)
    published = Published(data, mirror, folder / "replies.jsonl", tuple(_calls(source, mirror, folder)))
    with published.replies.open("w") as file:
        file.writelines(json.dumps(_reply(call)) + "\n" for call in published.calls)
    return published


def _calls(source: Path, mirror: Path, cache: Path) -> Iterator[Call]:
    (spec,) = tasks.parse_specs("alpacaeval")
    one = load_task(spec, SourceFinder(cache, [mirror], offline=True), starter=False)
    rows = json.loads(gzip.decompress((source / "annotations_full" / "phi-2.json.gz").read_bytes()))
    annotated = {row["instruction"]: row for row in rows}
    answers = read_answers(read_rows(source / "model_outputs" / "phi-2.json.gz"), one.data)
    for generation in answers.generations:
        (case,) = one.task.cases(one.data, generation)
        row = annotated[case.example.instruction]
        if row["raw_completion"] is not None:
            request = one.data.judges[case.judge].ask(case)
            yield Call(case, request, row["raw_completion"], row["preference"])


def _reply(call: Call) -> dict[str, Any]:
    total = int(call.choice["total_tokens"])
    return {
        "key": hashlib.sha256(call.request.messages[-1].content.encode()).hexdigest(),
        "choice": {name: call.choice[name] for name in ("index", "message", "finish_reason", "logprobs")},
        "usage": {"prompt_tokens": total - 1, "completion_tokens": 1, "total_tokens": total},
        "model": JUDGE,
    }


def committed(model: str = "%") -> set[bytes]:
    """Keys of the calls that the store holds, read from a copy so that the store is left as the kill left it."""
    store = store_path()
    with tempfile.TemporaryDirectory() as folder:
        for file in store.parent.glob(store.name + "*"):
            copy(file, folder)
        if not (Path(folder) / store.name).exists():
            return set()
        connection = sqlite3.connect(Path(folder) / store.name)
        try:
            return {key for (key,) in connection.execute("SELECT key FROM calls WHERE model LIKE ?", (model,))}
        except sqlite3.OperationalError:  # killed before the table was made
            return set()
        finally:
            connection.close()


def stored(model: str = "%") -> int:
    """How many calls the store holds by now, while a command writes it."""
    try:
        with closing(sqlite3.connect(f"file:{store_path()}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM calls WHERE model LIKE ?", (model,)).fetchone()
    except sqlite3.OperationalError:  # not yet made
        return 0
    return int(count)
