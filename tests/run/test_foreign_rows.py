"""Rows of every format, spoilt field by field: what is missing is counted and named, nothing ends in a traceback."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.codec import encode
from judgebench.data.rows import read_rows
from judgebench.errors import JudgebenchError, UsageError
from judgebench.exchange.importing import import_run
from judgebench.records import Example, Generation, Message
from judgebench.run.loading import LoadedTask, _baselines_of_file, load_tasks
from judgebench.run.reading import read_run
from judgebench.run.selecting import select_examples
from judgebench.run.settings import Settings
from judgebench.task import TaskData

Rows = list[dict[str, Any]]
ODD = [
    None, float("nan"), float("inf"), True, 0, -1, 81.0, 1.5, 1e308, 10**400, "", "x", "NaN", "\ud800", [], {}, [None],
    [[]], {"a": None}, ["x", "y"], [["x"]], [{"a": 1}], "\x00", [1e308], {"turns": None}, ...,
]  # fmt: skip
"""What may stand where a text, a number or a list belongs; the last one leaves the field out."""


@cache
def starter(task: str) -> LoadedTask:
    """A task on its starter set, which needs no file."""
    return load_tasks(Settings(tasks=task, starter=True, offline=True))[0]


def ids(task: str) -> list[str]:
    """The first examples' ids."""
    return [example.id for example in starter(task).data.examples[:3]]


def samples(task: str, **verdicts: Any) -> Rows:
    """lm-eval's samples."""
    own = starter(task)
    document = own.task.importers["lm_eval"].__self__.document  # type: ignore[union-attr]
    return [
        {"doc_id": number, "doc": dict(document(example)), "target": "t", "resps": [["A reply."]], "filter": "none",
         "arguments": {"gen_args_0": {"arg_0": "p", "arg_1": {}}}, "filtered_resps": ["r"], **verdicts}
        for number, example in enumerate(own.data.examples[:3])
    ]  # fmt: skip


def ratings(task: str) -> Rows:
    """FastChat's single judgements."""
    return [{"question_id": key, "model": "m", "judge": ["gpt-4", "single-v1"], "user_prompt": "p", "turn": 1,
             "judgment": "Rating: [[9]]", "score": 9} for key in ids(task)]  # fmt: skip


def games(task: str) -> Rows:
    """FastChat's pairwise judgements."""
    return [{"question_id": key, "model_1": "m", "model_2": "b", "g1_winner": "model_1", "g2_winner": "tie", "turn": 1,
             "judge": ["gpt-4", "pair-v2"], "g1_judgment": "[[A]]", "g2_judgment": "[[C]]"}
            for key in ids(task)]  # fmt: skip


def fastchat_answers(task: str) -> Rows:
    """FastChat's answers of two models."""
    return [{"question_id": key, "model_id": model, "choices": [{"index": 0, "turns": ["one", "two"]}]}
            for key in ids(task) for model in ("m", "b")]  # fmt: skip


def annotations(task: str) -> Rows:
    """alpaca_eval's."""
    raw = {"message": {"content": "m"}, "finish_reason": "length", "total_tokens": 90, "logprobs": {"content": [
        {"top_logprobs": [{"token": "m", "logprob": -0.1}, {"token": "M", "logprob": -2.5}]}]}}  # fmt: skip
    return [{"instruction": example.instruction, "output_1": "a", "output_2": "b", "generator_1": "base",
             "generator_2": "m", "annotator": "weighted_alpaca_eval_gpt4_turbo", "preference": 1.25,
             "raw_completion": raw} for example in starter(task).data.examples[:3]]  # fmt: skip


def arena(task: str) -> Rows:
    """Arena-Hard's answers and judgements of today."""
    said = {"role": "assistant", "content": {"answer": "hello"}}
    style = {"token_len": 5, "header_count": {"h1": 1}, "list_count": {"ordered": 0}, "bold_count": {"**": 0}}
    return [
        *({"uid": key, "model": "m", "messages": [{"role": "user", "content": "q"}, said], "metadata": style}
          for key in ids(task)),
        *({"uid": key, "model": "m", "judge": "gpt-4", "baseline": "b", "games": [
            {"score": "A>B", "judgment": {"answer": "[[A>B]]"}}, {"score": "B>A", "judgment": {"answer": "[[B>A]]"}}]}
          for key in ids(task)),
    ]  # fmt: skip


def legacy(task: str) -> Rows:
    """Arena-Hard's answers of old."""
    return [{"question_id": key, "model_id": "m", "choices": [{"turns": [{"content": "hi", "token_len": 3}]}],
             "conv_metadata": {"token_len": 5, "header_count": {"h1": 1}}} for key in ids(task)]  # fmt: skip


BASELINE = "gpt-4-turbo-2024-04-09"


def wild_scores(task: str) -> Rows:
    """WildBench's converted scores."""
    return [{"session_id": key, "model_test": "m", "score": "7", "model_output": "t", "parsed_result": {"score": "7"},
             "meta_data": {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}} for key in ids(task)]  # fmt: skip


def wild_pairs(task: str) -> Rows:
    """WildBench's converted pairs."""
    return [{"session_id": key, "model_A": "m", "model_B": BASELINE, "winner": "m", "extent": 2,
             "model_outputs": {"m": "x", BASELINE: "y"}, "parsed_result": {"choice": "A++"}}
            for key in ids(task)]  # fmt: skip


def wild_instant(task: str) -> Rows:
    """WildBench's items of the instant mode."""
    return [{"session_id": key, "generator": "m", "assignment": {"A": "m", "B": BASELINE}, "ref_generator": BASELINE,
             "result": '{"choice": "A+"}', "error": "N/A", "model_output": ["t"], "ref_output": ["r"],
             "eval_config": {"gpt": "g"}} for key in ids(task)]  # fmt: skip


def wild_batch(task: str) -> Rows:
    """WildBench's batch files."""
    body = {"model": "g", "choices": [{"message": {"content": '{"score": "7"}'}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2}}  # fmt: skip
    return [
        *(
            {"custom_id": f"{key}||m", "response": {"status_code": 200, "body": body}, "error": None}
            for key in ids(task)
        ),
        *({"custom_id": f"{key}||m", "body": {"messages": [{"content": "x"}]}} for key in ids(task)),
    ]


def wild_outputs(task: str) -> Rows:
    """WildBench's model outputs."""
    return [{"session_id": key, "output": ["x"], "generator": "m"} for key in ids(task)]


def plain(task: str) -> Rows:
    """The shape that every task reads."""
    return [{"id": key, "output": "x", "generator": "m"} for key in ids(task)]


def results(task: str) -> Rows:
    """lm-eval's results, which hold numbers alone."""
    return [{"results": {"gsm8k": {"exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.01}},
             "versions": {"gsm8k": 3.0}, "n-shot": {"gsm8k": 5}, "n-samples": {"gsm8k": {"effective": 1319}},
             "config": {"model": "hf", "model_args": {"a": 1}}, "model_name": "m",
             "lm_eval_version": "0.4"}]  # fmt: skip


FORMS = {
    "outputs": ("alpacaeval", "outputs", plain),
    "annotations": ("alpacaeval", "alpaca_eval", annotations),
    "samples": ("gsm8k@5shot", "lm_eval", lambda task: samples(task, exact_match=1.0)),
    "ifeval": ("ifeval", "lm_eval", lambda task: samples(task, inst_level_strict_acc=[True, False])),
    "results": ("gsm8k@5shot", "lm_eval", results),
    "ratings": ("mtbench", "fastchat", ratings),
    "games": ("mtbench:mode=pairwise,baseline=b", "fastchat", games),
    "all games": ("mtbench:mode=pairwise-all", "fastchat", games),
    "fastchat answers": ("mtbench", "fastchat", fastchat_answers),
    "both": ("mtbench", "fastchat", lambda task: [*ratings(task)[:1], *fastchat_answers(task)]),
    "arena": ("arenahard", "arena_hard", arena),
    "arena judgements": ("arenahard", "arena_hard", lambda task: arena(task)[3:]),
    "legacy": ("arenahard", "arena_hard", legacy),
    "wild scores": ("wildbench", "wildbench", wild_scores),
    "wild pairs": ("wildbench", "wildbench", wild_pairs),
    "wild instant": ("wildbench", "wildbench", wild_instant),
    "wild batch": ("wildbench", "wildbench", wild_batch),
    "wild outputs": ("wildbench", "wildbench", wild_outputs),
}
"""Task, format and good rows."""


ANSWER = "answers missing in the file: 1 (null, NaN or empty: rows.jsonl:1)"


def places(value: Any, depth: int = 5) -> Iterator[tuple[Any, ...]]:
    """Every field of a row, and the fields and elements within it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (key,)
        if depth:
            yield from ((key, *rest) for rest in places(inner, depth - 1))


def spoilt(rows: Rows, place: tuple[Any, ...], value: Any) -> Rows:
    """The rows with one place of the first changed."""
    changed = [copy.deepcopy(row) for row in rows]
    within: Any = changed[0]
    for key in place[:-1]:
        within = within[key]
    if value is ...:
        del within[place[-1]]
    else:
        within[place[-1]] = value
    return changed


@pytest.mark.parametrize("form", FORMS)
def test_no_value_in_any_field_is_too_odd(tmp_path: Path, form: str) -> None:
    """The rows are read into records that can be written, or refused in one paragraph: there is nothing else."""
    task, name, make = FORMS[form]
    one, rows = starter(task), make(task)
    path = tmp_path / "rows.jsonl"
    taken = 0
    for place in places(rows[0]):
        for value in ODD:
            path.write_text("\n".join(map(json.dumps, spoilt(rows, place, value))))
            refusal = ""
            try:
                found = one.task.importers[name](read_rows(path), one.data)
            except JudgebenchError as error:
                found, refusal = (), str(error)
            assert "\n" not in refusal
            taken += not refusal
            for own in found:
                records = (*own.generations, *own.judgements, *own.examples, *own.reported)
                for record in (*records, own.notes, own.unknown, own.candidate, own.baselines, own.stored):
                    encode(record)
    assert taken


@pytest.mark.parametrize(
    ("form", "place", "says"),
    [
        ("outputs", ("output",), ANSWER),
        ("annotations", ("output_2",), ANSWER),
        ("annotations", ("preference",), ANSWER.replace("answers", "preferences")),
        ("samples", ("resps", 0, 0), ANSWER),
        ("samples", ("resps", 0), ANSWER),
        ("samples", ("resps",), ANSWER),
        ("fastchat answers", ("choices",), ANSWER),
        ("fastchat answers", ("choices", 0, "turns"), ANSWER),
        ("fastchat answers", ("choices", 0, "turns", 1), ANSWER),
        ("arena", ("messages",), ANSWER),
        ("arena", ("messages", 1, "content"), ANSWER),
        ("arena", ("messages", 1, "content", "answer"), ANSWER),
        ("arena judgements", ("games", 1), ANSWER.replace("answers", "games")),
        ("arena judgements", ("games",), "games missing in the file: 2 (null, NaN or empty: rows.jsonl:1, 1)"),
        ("legacy", ("choices", 0, "turns", 0, "content"), ANSWER),
        ("wild scores", ("model_output",), ANSWER),
        ("wild scores", ("score",), "1 verdicts cannot be read: the score 'None' is not a number (rows.jsonl:1)"),
        ("wild pairs", ("model_outputs", "m"), ANSWER),
        ("wild outputs", ("output",), ANSWER),
        ("wild outputs", ("output", 0), ANSWER),
    ],
)
def test_one_null_costs_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, place: tuple[Any, ...], says: str
) -> None:
    """Whatever the format, it is counted and named with file and line, NaN is no other thing, and the rest is read."""
    monkeypatch.chdir(tmp_path)
    task, name, make = FORMS[form]
    one, rows = starter(task), make(task)
    read = one.task.importers[name]
    for value in (None, float("nan")):
        Path("rows.jsonl").write_text("\n".join(map(json.dumps, spoilt(rows, place, value))))
        (own, *_) = read(read_rows(Path("rows.jsonl")), one.data)
        assert says in own.notes
        failed = [generation.outputs for generation in own.generations if generation.error]
        assert failed in ([], [()])


def test_a_rating_that_is_nothing_is_unread(tmp_path: Path) -> None:
    """Without the judge's words there is no verdict; with them, there is the one that they hold."""
    task, name, make = FORMS["ratings"]
    one, rows = starter(task), make(task)
    rows[0] |= {"score": None, "judgment": None}
    rows[1] |= {"score": float("nan")}
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    (own,) = one.task.importers[name](read_rows(path), one.data)
    assert [judgement.verdict.value for judgement in own.judgements] == [None, 9.0, 9.0]
    assert f"verdicts missing in the file: 1 (null, NaN or empty: {path}:1)" in own.notes


def test_a_baseline_s_failed_answer_is_none_to_compare_with(tmp_path: Path) -> None:
    """The example is left without one, and the manifest says where it is missing; more than the limit is refused."""
    task, examples = (
        tasks.load(tasks.TaskSpec("alpacaeval"), starter=True)[0],
        [Example(id=f"e{n}", messages=(Message(role="user", content=f"Say {n}."),)) for n in range(200)],
    )
    rows = [{"id": example.id, "output": "x", "generator": "b"} for example in examples]
    path = tmp_path / "b.jsonl"
    for failed, refused in ((1, False), (2, True)):
        one = LoadedTask(task=task, data=TaskData(examples=tuple(examples), baselines={}), sources=[])
        told = [{**row, "output": None} if n < failed else row for n, row in enumerate(rows)]
        path.write_text("\n".join(map(json.dumps, told)))
        settings = Settings(tasks="alpacaeval", baseline=str(path))
        baselines, notes = _baselines_of_file(one, str(path), settings)
        compared = replace(one, data=replace(one.data, baselines=baselines), baselines=dict.fromkeys(baselines, ""))
        if refused:
            with pytest.raises(UsageError, match="answers 198 of the 200 examples"):
                select_examples(compared, settings)
        else:
            select_examples(compared, settings)
            assert list(baselines["b"]) == [f"e{n}" for n in range(failed, 200)]
            assert notes == (f"baseline b: answers missing in the file: 1 (null, NaN or empty: {path}:1)",)


def test_a_file_with_a_failed_answer_makes_a_run(tmp_path: Path) -> None:
    """The answer is a row with an error in the run folder, missing in every number, and named in the manifest."""
    task, name, make = FORMS["samples"]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, spoilt(make(task), ("resps", 0, 0), None))))
    out = tmp_path / "run"
    (found,) = import_run(path, name, Settings(tasks=task, starter=True, offline=True, out=out))
    run = read_run(out)
    (own,) = run.tasks.values()
    answers: list[Generation] = list(own.generations().values())
    assert [bool(answer.error) for answer in answers] == [True, False, False]
    assert own.task_manifest.counts["without_answer"] == 1
    assert any(f"{path}:1)" in note for note in own.task_manifest.notes)
    assert {(score.n, score.n_missing) for score in found.scores if score.group is None} == {(2, 1)}
