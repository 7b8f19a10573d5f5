"""Arena-Hard through a chat server that gives back real judge texts, re-asks and failures among them."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from judgebench.tasks.arenahard.judges import legacy_labels

from judgebench.codec import sha256_hex
from judgebench.exchange.importing import import_run
from judgebench.records import Completion, Generation, Score
from judgebench.run.settings import Settings
from judgebench.task import Task, TaskData
from tests.alpacaeval_server import committed
from tests.commands import judgebench
from tests.patience import wait_for
from tests.processes import kill, lines_of, manifest_of, started
from tests.processes import scores_of as printed_scores
from tests.servers.launch import Server
from tests.tasks import arenahard_data as files
from tests.tasks.arenahard_data import (
    ANSWERS,
    ARENA_HARD,
    JUDGEMENTS,
    REBUILT,
    SHARED,
    TABLE,
    Load,
    write,
)


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Tasks by spec, each read once."""
    folder = tmp_path_factory.mktemp("sources")
    return lambda spec: files.loaded(spec, folder)


SERVED = REBUILT[2]
UNREAD, CONTRADICTS, UNKNOWN, FAILS, REASKED = range(5)
"""Games of the served run whose replies are made to end in each way; all others are the judge's real words."""


class Run:
    """Real judge texts as a server's replies, and the same as upstream's judgement file."""

    def __init__(self, folder: Path, task: Task, data: TaskData) -> None:
        self.folder = folder
        self.answers = ANSWERS / f"{SERVED}.jsonl.gz"
        texts = {row["uid"]: row["answer"] for row in files.read_lines(self.answers)}
        (judge,) = data.judges.values()
        replies, judged, number = [], [], 0
        self.calls = 0
        order = list(data.by_id)  # resampling depends on it
        stored = files.read_lines(JUDGEMENTS / TABLE / f"{SERVED}.jsonl.gz")
        for row in sorted(stored, key=lambda row: order.index(row["uid"])):
            generation = Generation(example_id=row["uid"], model=SERVED, outputs=(texts[row["uid"]],))
            games = []
            for case, game in zip(task.cases(data, generation), row["games"], strict=True):
                attempts = self.attempts(number, game["judgment"])
                number += 1
                received: tuple[Completion, ...] = ()
                for attempt in attempts:
                    request = judge.ask_again(case, received) if received else judge.ask(case)
                    assert request is not None
                    key = sha256_hex(msgspec.json.encode(request.messages))
                    reply = {"choice": choice(attempt)} if attempt is not None else {"status": 500}
                    replies.append({"key": key, **reply})
                    received += (Completion(text=attempt),)
                self.calls += len(attempts)
                if attempts == [None]:
                    games.append({"user_prompt": "", "judgment": "\n$ERROR$\n$ERROR$", "score": None})
                    continue
                text = "".join(f"\n{attempt}" for attempt in attempts)
                labels = legacy_labels(text)
                games.append({"judgment": text, "score": labels[0] if len(labels) == 1 else None})
            judged.append({"question_id": row["uid"], "model": SERVED, "judge": TABLE, "games": games})
        self.games = number
        self.replies = write(folder / "replies.jsonl", *replies)
        self.judged = write(folder / "judged.jsonl", *judged)
        self.ids = folder / "ids.txt"
        self.ids.write_text("".join(f"{row['question_id']}\n" for row in judged))
        (folder / "mirror").mkdir()
        for path in (SHARED / "upstream").glob("arena-hard-*"):
            (folder / "mirror" / path.name).symlink_to(path)
        (folder / "mirror" / "judge_prompts.json").symlink_to(ARENA_HARD / "prompts" / "judge_prompts.json")

    @staticmethod
    def attempts(number: int, text: str) -> list[str | None]:
        """What the judge says in a game: its real words, in two parts if the label is kept for the second."""
        if number == UNREAD:
            return ["I cannot decide.", "Nor now."]
        if number == CONTRADICTS:
            return ["[[A>B]], or rather [[B>A]]"]
        if number == UNKNOWN:
            return [text.split("[[")[0] + "[[A>>A]]"]
        if number == FAILS:
            return [None]
        if not legacy_labels(text):
            return [text, "Still open."]
        if number == REASKED or number % 10 == 0:
            cut = text.index("[[")
            return [text[:cut], text[cut:]]
        return [text]

    def eval(self, server: Server, out: Path) -> list[str]:
        """Arguments that judge the real answers through the server."""
        model = ["--model", f"file:{self.answers}", "--tasks", "arenahard@v0.1", "--ids", str(self.ids)]
        judge = ["--judge", f"{server.base_url}#{TABLE}", "--judge-arg", "max_attempts=2", "--judge-concurrency", "8"]
        return [
            "eval",
            *model,
            *judge,
            "--mirror",
            str(self.folder / "mirror"),
            "--offline",
            "--json",
            "--out",
            str(out),
        ]


def choice(text: str) -> dict[str, Any]:
    """A finished reply as a server sends it."""
    return {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": None}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, load: Load) -> Run:
    """82 questions of a real run, with a game that ends in each way a game can."""
    return Run(tmp_path_factory.mktemp("served"), *load("arenahard@v0.1"))


def plain_scores(scores: list[Any]) -> list[Any]:
    """Of the plain win rates everything but what depends on how many questions the run was cut down to."""
    kept = [msgspec.to_builtins(s) for s in scores]
    kept = [s for s in kept if s["metric"] == "win_rate"]
    for score in kept:
        score["n_missing"] = score["details"].pop("unjudged_games", None) and 0
        score["details"].pop("if_missing_all_lost_or_won", None)
    return kept


def imported_scores(served: Run, out: Path) -> list[Score]:
    """The same judgements as upstream would have written them, imported."""
    settings = Settings(tasks="arenahard@v0.1", out=out, mirrors=(served.folder / "mirror",), offline=True)
    return import_run(served.judged, "arena_hard", settings)[0].scores


def assert_all_ends_are_counted(run: Path, served: Run) -> None:
    """Read, re-asked and read, unread and failed all occur, and add up to the games."""
    counts = manifest_of(run).tasks["arenahard"].counts
    assert counts["failed"] == 1
    assert counts["unread"] == 3 + 2  # three made so, and two of the judge's own
    assert counts["reasked_and_read"] >= 10
    assert counts["read"] + counts["reasked_and_read"] + counts["unread"] + counts["failed"] == served.games == 164


def test_replies_through_a_server_give_the_imported_result(
    served: Run, tmp_path: Path, start_chat_server: Callable[..., Server]
) -> None:
    """Real judge texts served back, re-asks with the judge's own words included: every number of the win rate is that
    of upstream's file imported; exit 4, because more than one percent stayed without verdict.
    """
    server = start_chat_server(replies=served.replies)
    ended = judgebench(served.eval(server, tmp_path / "run"), code=4)
    wanted = imported_scores(served, tmp_path / "imported")
    assert plain_scores(printed_scores(ended)) == plain_scores(wanted)
    assert next(s for s in wanted if s.metric == "win_rate").details["unknown_labels"] == {"A>>A": 1}
    assert_all_ends_are_counted(tmp_path / "run", served)
    assert server.seen().total() == served.calls + 1  # the failing request is tried twice
    asked = [j for j in lines_of(tmp_path / "run" / "arenahard" / "judgements.jsonl") if len(j["replies"]) == 2]
    assert asked
    assert all(reply["text"] for judged in asked for reply in judged["replies"])


def test_killed_and_started_again_the_result_is_the_same(
    served: Run, tmp_path: Path, start_chat_server: Callable[..., Server]
) -> None:
    """``kill -9`` at six moments between a few requests: the last life's result is the import's, every game is judged
    once, and no reply that was committed is asked for again.
    """
    draw, run = random.Random(20240422), tmp_path / "run"
    server = start_chat_server(replies=served.replies, delay_ms=60)
    arguments = served.eval(server, run)
    for _ in range(6):
        before = server.seen().total()
        with started(arguments) as process:
            wait_for(lambda before=before: server.seen().total() >= before + 10 or process.poll() is not None)
            time.sleep(draw.uniform(0.0, 0.2))
            kill(process)
    held, before = len(committed()), server.seen().total()
    ended = judgebench(arguments, code=4)
    # The failing request is tried twice, and one may be in its socket still when its sender is killed.
    assert 0 <= server.seen().total() - before - (served.calls + 1 - held) <= 8
    assert plain_scores(printed_scores(ended)) == plain_scores(imported_scores(served, tmp_path / "imported"))
    assert_all_ends_are_counted(run, served)
    judged = lines_of(run / "arenahard" / "judgements.jsonl")
    assert len({line["case_id"] for line in judged}) == len(judged) == served.games
    assert len(server.seen()) == served.calls
