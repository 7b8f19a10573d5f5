"""Upstream's evaluators by name: which can judge here, with what model, and how each reads."""

import pytest
from judgebench.tasks.alpacaeval.judges import EVALUATORS, NOT_HERE, can_judge, named_judges

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.records import Completion

CONFIGURED = {
    "weighted_alpaca_eval_gpt4_turbo": "openai:gpt-4-1106-preview",
    "weighted_alpaca_eval_gpt4.1": "openai:gpt-4.1-2025-04-14",
    "weighted_alpaca_eval_gpt-4o-mini-2024-07-18": "openai:gpt-4o-mini-2024-07-18",
    "weighted_alpaca_eval_gpt4_turbo_new": "openai:gpt-4-turbo",
    "weighted_alpaca_eval_cot_gpt4_turbo": "openai:gpt-4-1106-preview",
    "alpaca_eval_gpt4": "openai:gpt-4",
    "claude_3_opus_ranking": "anthropic:claude-3-opus-20240229",
    "mistral-large-2402_ranking": "https://api.mistral.ai/v1#mistral-large-2402",
    "improved_lmsys_gpt4": "openai:gpt-4",
    "chatgpt": "openai:gpt-3.5-turbo-0301",
}
"""Judge models of tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/evaluators_configs/*/configs.yaml."""
PUBLISHED = 45
"""Folders there with a configuration, without upstream's own test and with ours."""


@pytest.mark.parametrize("name", CONFIGURED)
def test_an_evaluator_of_upstream_is_a_name(name: str) -> None:
    """``alpacaeval:judge=NAME`` judges with upstream's model."""
    task, _ = tasks.load(tasks.TaskSpec("alpacaeval", options={"judge": name}))
    assert [*task.judge_models.values()] == [CONFIGURED[name]]


def test_an_evaluator_that_differs_in_the_model_only_is_the_same_protocol_with_another_judge() -> None:
    """So its runs are ranked with those of ``--judge`` and with imported files of that annotator."""
    for name in ("weighted_alpaca_eval_gpt4.1", "weighted_alpaca_eval_gpt4_turbo"):
        task, _ = tasks.load(tasks.TaskSpec("alpacaeval", options={"judge": name}))
        assert [*task.judge_models] == ["weighted_alpaca_eval_gpt4_turbo"]
    assert (
        dict(tasks.load(tasks.TaskSpec("alpacaeval", options={"judge": "weighted_alpaca_eval_gpt4.1"}))[0].options)
        == {}
    )


def test_every_evaluator_of_upstream_is_listed_and_says_why_it_cannot_judge() -> None:
    """One that can has a prompt among the sources; one that cannot says why, when listed and when chosen."""
    _, folder = tasks.load(tasks.TaskSpec("alpacaeval"))
    sources = tasks.read_sources(folder)
    listed = {named.name: named for named in named_judges()}
    assert set(listed) == {*EVALUATORS, *NOT_HERE}
    assert len(listed) == PUBLISHED
    for name, named in listed.items():
        assert bool(named.unavailable) != (name in EVALUATORS and can_judge(name))
        if named.unavailable:
            with pytest.raises(UsageError, match="upstream publishes that evaluator, but"):
                tasks.load(tasks.TaskSpec("alpacaeval", options={"judge": name}))
        elif named.prompt != "pairwise_label.j2":
            assert named.prompt in sources


@pytest.mark.parametrize(
    ("name", "text", "share"),
    [
        ("improved_lmsys_gpt4", "8 6\nBecause", 1.0),
        ("improved_lmsys_gpt4", "6, 8", None),
        ("improved_lmsys_gpt4", "7,7", 0.5),
        ("gpt4", "Output (b)", 0.0),
        ("gpt4", "It is Output (b)", None),
        ("gpt4", "Output (a)\nOutput (b)", None),
        ("alpaca_eval_gpt4_0613", "[{'model': 'model_1', 'rank': 2}, {'model': 'model_2', 'rank': 1}]", 0.0),
    ],
)
def test_replies_are_read_as_upstream_reads_them(name: str, text: str, share: float | None) -> None:
    """Shares of the answer shown first, by the parsers of alpaca_eval 0.6.6 on the same replies."""
    judge = EVALUATORS[name].judge(name=name, messages=lambda case: (), prompt_sha256="")
    assert judge.read(None, (Completion(text=text),)).value == share


def test_an_explained_label_is_the_last_token() -> None:
    """The words before it may hold both letters."""
    judge = EVALUATORS["weighted_alpaca_eval_cot_gpt4_turbo"].judge(
        name="j", messages=lambda case: (), prompt_sha256=""
    )
    tokens = ((("m", -0.1),), (("M", -0.1), ("m", -0.1)))
    assert judge.read(None, (Completion(text="m M", top_logprobs=tokens),)).value == 0.5
