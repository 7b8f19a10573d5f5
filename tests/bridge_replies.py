"""Real verdicts of a second judge of AlpacaEval as a chat server's replies, and the models that it judged.

The verdicts (``bridge/ae2_other_judges.parquet``) are upstream's, of gpt-4-turbo with other prompts than the official
judge's. Here a judge of today gives them over AlpacaEval's usual prompt: who won is all that a bridge sees of a judge.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import copy, copytree
from typing import Any

from judgebench import tasks
from judgebench.data.rows import read_rows
from judgebench.data.sources import SourceFinder
from judgebench.records import Case
from judgebench.run.loading import LoadedTask, load_task
from judgebench.task.answers import read_answers
from tests.servers.launch import Server
from tests.shared_data import SharedData

SECOND_JUDGE = "alpaca_eval_cot_gpt4_turbo_fn"
JUDGE = "gpt-4-turbo-2024-04-09"
MODELS = (
    "Mistral-7B-Instruct-v0.2",
    "Mixtral-8x7B-Instruct-v0.1",
    "alpaca-7b",
    "claude-2.1",
    "cohere",
    "gpt-3.5-turbo-0301",
    "gpt4",
    "llama-2-70b-chat-hf",
)
"""Those whose verdicts and answers are both there."""


@dataclass(frozen=True)
class SecondJudge:
    """The judge as a server, and what it judges."""

    data: SharedData
    mirror: Path
    """A mirror of only what AlpacaEval 2 needs."""
    answers: Mapping[str, Path]
    """A file of answers for each model."""
    replies: Path
    """For the chat server's ``--replies``."""

    def eval(self, server: Server, model: str, out: Path | str, *more: str) -> list[str]:
        """Arguments of ``judgebench`` that have a model's answers judged by the server."""
        answers = ["-m", f"file:{self.answers[model]}", "-t", "alpacaeval"]
        return ["eval", *answers, "--judge", self.judge(server), "--out", str(out), *self.files, *more]

    def judge(self, server: Server) -> str:
        """The judge's spec."""
        return f"{server.base_url}#{JUDGE}"

    @property
    def files(self) -> list[str]:
        """Flags that say where the official files are."""
        return ["--mirror", str(self.mirror), "--offline"]


def second_judge(data: SharedData, folder: Path, models: Sequence[str] = MODELS) -> SecondJudge:
    """Write the answers, the replies and the small mirror into ``folder``."""
    source = data / "alpacaeval"
    mirror = folder / "mirror"
    copytree(source / "judge", mirror / "judge")
    copytree(source / "glm", mirror / "glm")
    copy(source / "eval_set" / "alpaca_eval_gpt4_baseline.json.gz", mirror)
    (spec,) = tasks.parse_specs("alpacaeval")
    loaded = load_task(spec, SourceFinder(folder / "cache", [mirror], offline=True), starter=False)
    answers = {model: _answers(data / "bridge" / "outputs" / f"{model}.json.gz", loaded, folder) for model in models}
    replies = folder / "replies.jsonl"
    lines = {
        line["key"]: line for model, path in answers.items() for line in _replies(loaded, path, verdicts(data, model))
    }
    replies.write_text("".join(json.dumps(line) + "\n" for line in lines.values()))
    return SecondJudge(data, mirror, answers, replies)


@cache
def verdicts(data: SharedData, model: str) -> Mapping[int, float]:
    """The judge's preference for a model by place in the set: 0 for the baseline's answer, 1 for the model's."""
    rows = read_rows(data / "bridge" / "ae2_other_judges.parquet")
    mine = (row.fields for row in rows if row.fields["model"] == model and row.fields["judge"] == SECOND_JUDGE)
    return {row["idx"]: row["preference"] - 1 for row in mine}


def _answers(path: Path, loaded: LoadedTask, folder: Path) -> Path:
    """The published answers; where a model has none the judge was shown an empty one."""
    rows = [row.fields for row in read_rows(path)]
    answered = {row["instruction"] for row in rows}
    generator = rows[0]["generator"]
    rows += [
        {"instruction": example.instruction, "output": "", "generator": generator}
        for example in loaded.data.examples
        if example.instruction not in answered
    ]
    written = folder / "answers" / f"{generator}.json"
    written.parent.mkdir(exist_ok=True)
    written.write_text(json.dumps(rows))
    return written


def _replies(loaded: LoadedTask, answers: Path, shares: Mapping[int, float]) -> Iterator[dict[str, Any]]:
    places = {example.id: place for place, example in enumerate(loaded.data.examples)}
    for generation in read_answers(read_rows(answers), loaded.data).generations:
        (case,) = loaded.task.cases(loaded.data, generation)
        if case.verdict is None:
            share = shares[places[case.example.id]]
            yield reply(loaded, case, share)


def reply(loaded: LoadedTask, case: Case, share: float) -> dict[str, Any]:
    """What the server says to a case whose candidate wins by this share."""
    first = share if case.candidate == 0 else 1 - share
    tokens = {1.0: [("m", 0.0)], 0.0: [("M", 0.0)], 0.5: [("m", -0.6931471805599453), ("M", -0.6931471805599453)]}[
        first
    ]
    top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in tokens]
    request = loaded.data.judges[case.judge].ask(case)
    return {
        "key": hashlib.sha256(request.messages[-1].content.encode()).hexdigest(),
        "choice": {
            "index": 0,
            "message": {"role": "assistant", "content": tokens[0][0]},
            "finish_reason": "length",
            "logprobs": {"content": [{**top[0], "top_logprobs": top}]},
        },
        "usage": {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101},
        "model": JUDGE,
    }
