"""Rows of what a run folder holds, for a run of two turns whose candidate fails once and thinks aloud."""

from pathlib import Path
from typing import Any

import pytest

from judgebench import api
from judgebench.errors import Incomplete
from judgebench.models.scripted import ScriptedModel, failure, playing, reply
from judgebench.records import Request

FAILING = 2
"""The place of the question that gets no answer."""


@pytest.fixture
def judged(tmp_path: Path) -> tuple[api.Run, ScriptedModel]:
    """Three questions of MT-Bench's starter set, answered and graded, and the judge."""
    asked: list[str] = []

    def answer(request: Request) -> Any:
        question = request.messages[0].content
        if question not in asked:
            asked.append(question)
        number = asked.index(question)
        turn = sum(message.role == "user" for message in request.messages)
        return failure("no reply") if number == FAILING else reply(f"{number}, {turn}", thinking=f"hm {turn}")

    candidate, judge = ScriptedModel(answer, name="m"), ScriptedModel(lambda _: "Rating: [[7]]", name="j")
    with playing(candidate) as model, playing(judge) as judged_by, pytest.raises(Incomplete):
        api.evaluate(model, "mtbench", judge=judged_by, starter=True, limit=3, out=tmp_path / "run", progress=False)
    return api.load_run(tmp_path / "run"), judge


def test_answers_have_a_row_for_each_turn(judged: tuple[api.Run, ScriptedModel]) -> None:
    """With the question of the turn and what the model thought; a failed answer is one row with the reason."""
    table = judged[0].answers()
    good = table[table.error.isna()].sort_values(["answer"])
    assert good.answer.tolist() == ["0, 1", "0, 2", "1, 1", "1, 2"]
    assert good.turn.tolist() == [1, 2, 1, 2]
    assert good.thinking.tolist() == ["hm 1", "hm 2"] * 2
    assert good.instruction.nunique() == 4
    (failed,) = table[table.error.notna()].itertuples()
    assert (failed.error, failed.turn) == ("no reply", 1)
    assert failed.answer is None or failed.answer != failed.answer


def test_judgements_have_prompt_and_reply(judged: tuple[api.Run, ScriptedModel]) -> None:
    """The prompt is what the judge was asked, message by message."""
    run, judge = judged
    table = run.judgements()
    assert table.value.tolist() == [7.0] * 4
    assert set(table.reply) == {"Rating: [[7]]"}
    assert table.judge_model.nunique() == 1
    prompts = sorted([message["content"] for message in prompt] for prompt in table.prompt)
    assert prompts == sorted([message.content for message in request.messages] for request in judge.asked)


def test_example_scores_have_covariates_as_columns(judged: tuple[api.Run, ScriptedModel]) -> None:
    """And none called after what holds them."""
    table = judged[0].examples()
    assert {"example_id", "metric", "value", "weight"} < set(table.columns)
    assert "covariates" not in table.columns
    assert len(table)
