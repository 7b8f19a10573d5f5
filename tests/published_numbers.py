"""Published judgements as numbers (``tests/fixtures/published``), scored by the tasks themselves.

A task reads official files. Where a number does not depend on their words, made-up ones take their place here: as many
questions in the official order, answers that are only as long as the real ones, and prompts that nobody is asked.
"""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from judgebench import tasks
from judgebench.data.resources import resource
from judgebench.data.rows import FileRow
from judgebench.errors import SourceMissing
from judgebench.records import ExampleScore, Score
from judgebench.task import Imported, Task, TaskData

FOLDER = Path(__file__).parent / "fixtures" / "published"
Scores = dict[tuple[str, str | None], Score]


@cache
def table(name: str) -> list[dict[str, str]]:
    """Rows of one of the files."""
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def of_model(name: str, model: str) -> list[dict[str, str]]:
    """One model's rows."""
    return [row for row in table(name) if row["model"] == model]


def loaded(spec: str, files: Mapping[str, bytes]) -> tuple[Task, TaskData]:
    """A task with these files in place of the official ones."""
    (parsed,) = tasks.parse_specs(spec)
    task, _ = tasks.load(parsed)

    def fetch(name: str) -> bytes:
        if name not in files:
            raise SourceMissing(name)
        return files[name]

    return task, task.load(fetch)


def imported(task: Task, data: TaskData, importer: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Imported]:
    """What a task's importer makes of rows, by model."""
    numbered = [FileRow("rows.jsonl", number, dict(row)) for number, row in enumerate(rows, 1)]
    return {one.candidate: one for one in task.importers[importer](numbered, data)}


def example_scores(task: Task, data: TaskData, one: Imported) -> tuple[TaskData, list[ExampleScore]]:
    """An import's example scores."""
    data = dataclasses.replace(data, examples=one.examples, baselines=one.baselines or data.baselines)
    return data, task.score(data, {g.example_id: g for g in one.generations}, one.judgements)


def scores(task: Task, data: TaskData, one: Imported) -> Scores:
    """An import's scores by metric and group."""
    return {(score.metric, score.group): score for score in task.summarise(*example_scores(task, data, one))}


def json_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as the bytes of a JSON-lines file."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as the bytes of a parquet file."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


# -- AlpacaEval 2

BASELINE = "gpt4_1106_preview"


def alpacaeval(spec: str = "alpacaeval") -> tuple[Task, TaskData]:
    """AlpacaEval 2: 805 instructions, baseline answers of the real lengths, the difficulties and the gamed rows."""
    lengths = {int(row["index"]): int(row["baseline_length"]) for row in table("alpacaeval_judgements")}
    items = [
        {"instruction": f"Instruction {index}", "output": "b" * lengths[index], "generator": BASELINE, "dataset": ""}
        for index in range(805)
    ]
    prompt = "<|im_start|>user\n{instruction} {output_1} {output_2}\n<|im_end|>\n"
    gamed = (resource("leaderboards") / "selftest" / "alpacaeval.gamed.csv").read_bytes()
    return loaded(spec, {"baseline-2": json.dumps(items).encode(), "prompt-label": prompt.encode(), "gamed": gamed})


@cache
def alpacaeval_scores(spec: str, model: str) -> Scores:
    """One model's scores."""
    task, data = alpacaeval(spec)
    rows = [
        {
            "instruction": f"Instruction {row['index']}",
            "output_1": "b" * int(row["baseline_length"]),
            "generator_1": BASELINE,
            "output_2": "m" * int(row["length"]),
            "generator_2": model,
            "annotator": "weighted_alpaca_eval_gpt4_turbo",
            "preference": float(row["preference"]) if row["preference"] else None,
        }
        for row in of_model("alpacaeval_judgements", model)
    ]
    (one,) = imported(task, data, "alpaca_eval", rows).values()
    return scores(task, data, one)


# -- MT-Bench

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")


def mtbench(spec: str = "mtbench") -> tuple[Task, TaskData]:
    """MT-Bench: 80 questions of two turns, numbered from 81, ten in a row of each category."""
    numbers = range(81, 161)
    questions = [
        {"question_id": n, "category": CATEGORIES[(n - 81) // 10], "turns": ["First turn", "Second turn"]}
        for n in numbers
    ]
    references = [{"question_id": n, "choices": [{"turns": ["First", "Second"]}]} for n in numbers]
    guided = ("reasoning", "math", "coding")
    return loaded(
        spec,
        {
            "questions-1": json_lines(questions),
            "references-1": json_lines(
                row for row, question in zip(references, questions, strict=True) if question["category"] in guided
            ),
            "prompts": json_lines(mtbench_prompts()),
        },
    )


def mtbench_prompts() -> list[dict[str, str]]:
    """A rating prompt for each kind of case."""
    one, two = "{question} {answer}", "{question_1} {answer_1} {question_2} {answer_2}"
    templates = {
        "single-v1": one,
        "single-math-v1": one + " {ref_answer_1}",
        "single-v1-multi-turn": two,
        "single-math-v1-multi-turn": two + " {ref_answer_1} {ref_answer_2}",
    }
    return [
        {
            "name": name,
            "type": "single",
            "system_prompt": "Rate the answer.",
            "prompt_template": template,
            "description": "",
            "category": "",
            "output_format": "[[rating]]",
        }
        for name, template in templates.items()
    ]


def mtbench_scores(spec: str, model: str) -> Scores:
    """One model's scores."""
    task, data = mtbench(spec)
    rows = []
    for row in of_model("mtbench_ratings", model):
        guided = CATEGORIES[(int(row["question"]) - 81) // 10] in ("reasoning", "math", "coding")
        kind = f"single{'-math' * guided}-v1{'-multi-turn' * (row['turn'] == '2')}"
        number, turn, rating = int(row["question"]), int(row["turn"]), float(row["score"])
        fields = {"question_id": number, "model": model, "judge": ["gpt-4", kind], "turn": turn, "score": rating}
        rows.append(fields if rating >= 0 else {**fields, "judgment": "$ERROR$"})
    (one,) = imported(task, data, "fastchat", rows).values()
    return scores(task, data, one)


# -- WildBench

BASELINES = {
    "gpt4t": "gpt-4-turbo-2024-04-09",
    "haiku": "claude-3-haiku-20240307",
    "llama": "Llama-2-70b-chat-hf",
}
"""Official names by those of the published counts."""
TAG_OF_GROUP = {
    "": "Others",
    "Creative Tasks": "Creative Writing",
    "Planning & Reasoning": "Planning",
    "Math & Data Analysis": "Math",
    "Information/Advice seeking": "Information seeking",
    "Coding & Debugging": "Coding & Debugging",
}
ENDINGS = {"win_much": (1, 2), "win": (1, 1), "tie": (0, 0), "lose": (-1, 1), "lose_much": (-1, 2)}
"""Who won, and by how much."""


def wildbench(spec: str, groups: Sequence[str]) -> tuple[Task, TaskData]:
    """WildBench, with one task for each of these groups."""
    rows = [
        {
            "session_id": f"task-{number}",
            "conversation_input": [{"role": "user", "content": "A question"}],
            "checklist": ["Is it answered?"],
            "primary_tag": TAG_OF_GROUP[group],
            "secondary_tags": [TAG_OF_GROUP[group]],
        }
        for number, group in enumerate(groups)
    ]
    answers = parquet(
        [{"session_id": row["session_id"], "output": ["b" * 100], "generator": "baseline"} for row in rows]
    )
    score, pairwise = ("{$history} {$user_query} {$checklist} {$model_output}",) * 2
    pairwise = pairwise.replace("{$model_output}", "{$candidate_A} {$candidate_B}")
    files = {"tasks": parquet(rows), "prompt-score": score.encode(), "prompt-pairwise": pairwise.encode()}
    return loaded(spec, {**files, **dict.fromkeys(BASELINES.values(), answers)})


def wildbench_score(model: str) -> Scores:
    """One model's WB-Score over all tasks; which group a task belongs to is not among the numbers."""
    task, data = wildbench("wildbench@v2.0625:metrics=score", [""] * 1024)
    rows = [
        {
            "session_id": f"task-{row['task']}",
            "parsed_result": {"score": row["score"]},
            "meta_data": {"batch_req_id": "x", "usage": {}, "error": None},
            "model_test": f"owner/{model}",
            "score": row["score"],
            "model_output": text_of(int(row["length"]), row["flag"]),
        }
        for row in of_model("wildbench_scores", model)
    ]
    (one,) = imported(task, data, "wildbench", rows).values()
    return scores(task, data, one)


def text_of(length: int, flag: str) -> str:
    """A text of that length, empty or cut off as the flag says."""
    end = "... (truncated)" if flag == "truncated" else ""
    if flag == "empty":
        return "[This model response is empty.]" if length else ""
    return "a" * (length - len(end)) + end


def wildbench_reward(model: str, k: str, *, by_group: bool) -> Scores:
    """One model's WB-Reward from published counts: of the five groups (which overlap, so that they are not those of
    1,024 tasks), or of all tasks. A pair that was judged and not used has an empty answer.
    """
    own = [row for row in of_model("wildbench_endings", model) if row["k"] == k and bool(row["group"]) == by_group]
    verdicts: dict[str, dict[str, list[str]]] = {}
    for row in own:
        ended = [name for name in ENDINGS for _ in range(int(row[name]))]
        unused = [] if by_group else ["empty"] * (int(row["pairs"]) - len(ended))
        verdicts.setdefault(row["group"], {})[BASELINES[row["baseline"]]] = ended + unused
    sizes = {group: max(map(len, of_baseline.values())) for group, of_baseline in verdicts.items()}
    task, data = wildbench(
        "wildbench@v2.0625:metrics=reward,reward_k=-1", [group for group, size in sizes.items() for _ in range(size)]
    )
    rows, begin = [], 0
    for group, of_baseline in verdicts.items():
        for baseline, endings in of_baseline.items():
            rows += [pair_row(f"task-{begin + n}", model, baseline, ending) for n, ending in enumerate(endings)]
        begin += sizes[group]
    (one,) = imported(task, data, "wildbench", rows).values()
    return scores(task, data, one)


def pair_row(session: str, model: str, baseline: str, ending: str) -> dict[str, Any]:
    """A record of a pairwise result file, of answers that are equally long."""
    won, extent = ENDINGS.get(ending, (0, 0))
    first, second = f"test/{model}", f"baseline/{baseline}"
    return {
        "session_id": session,
        "parsed_result": {"choice": {2: "A++", 1: "A+", 0: "A=B", -1: "B+", -2: "B++"}[won * extent]},
        "meta_data": {"batch_req_id": "x", "usage": {}, "error": None},
        "model_A": first,
        "model_B": second,
        "winner": {1: first, 0: "tie", -1: second}[won],
        "extent": extent,
        "model_outputs": {first: text_of(100, "empty" if ending == "empty" else ""), second: "b" * 100},
    }


# -- Arena-Hard v0.1


def arenahard(spec: str = "arenahard@v0.1") -> tuple[Task, TaskData]:
    """Arena-Hard v0.1: 500 questions, and no answer of the baseline."""
    questions = [
        {"uid": f"{number:032d}", "category": "arena-hard-v0.1", "prompt": "A question"} for number in range(500)
    ]
    files = {
        "questions-v0.1": json_lines(questions),
        "baseline-v0.1": b"",
        "config-v0.1": b"prompt_template: '{QUESTION} {ANSWER_A} {ANSWER_B}'",
        "judge-config": b"system_prompt: Compare the answers.",
        "legacy-judging": b'{"legacy_retry_user_message": "Give a label."}',
    }
    return loaded(spec, files)


def arenahard_battle_rows(model: str) -> list[dict[str, Any]]:
    """The judgement rows that give a model's published battles.

    Of a question's battles every three alike are taken for one clear win: which three of several equal ones were one
    verdict does not matter to a share.
    """
    labels = {"won": ("B>A", "B>>A"), "tied": ("A=B", "A=B"), "lost": ("A>B", "A>>B")}
    mirrored = {"A>B": "B>A", "A>>B": "B>>A", "B>A": "A>B", "B>>A": "A>>B", "A=B": "A=B"}
    rows = []
    for row in of_model("arenahard_battles", model):
        games: list[str] = []
        for name, (narrow, clear) in labels.items():
            count, three = int(row[name]), 1 if name == "tied" else 3
            games += [clear] * (count // three) + [narrow] * (count % three)
        games[1:] = [mirrored[label] for label in games[1:]]
        rows.append(judgement_row(model, row["question"], games))
    return rows


def judgement_row(model: str, question: str, labels: Sequence[str]) -> dict[str, Any]:
    """A record of a judgement file; an empty label is a game that gave none."""
    games = [{"score": label, "judgment": {"answer": f"So: [[{label}]]"}} if label else None for label in labels]
    return {"uid": f"{int(question):032d}", "model": model, "judge": "judge", "games": games}


def arenahard_styled_rows(models: Sequence[str]) -> list[dict[str, Any]]:
    """Judgement rows of the models, and the style of their answers and the baseline's."""
    rows = [
        judgement_row(model, row["question"], [row["game_1"], row["game_2"]])
        for model in models
        for row in of_model("arenahard_verdicts", model)
    ]
    for row in table("arenahard_styles"):
        counts = {"header_count": row["headers"], "list_count": row["lists"], "bold_count": row["bold"]}
        metadata = {"token_len": int(row["tokens_o200k"]), **{name: int(count) for name, count in counts.items()}}
        uid = f"{int(row['question']):032d}"
        rows.append(
            {"uid": uid, "model": row["model"], "metadata": metadata, "token_len_cl100k": int(row["tokens_cl100k"])}
        )
    return rows
