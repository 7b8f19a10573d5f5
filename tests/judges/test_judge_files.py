"""An ``annotators_config`` of ``alpaca_eval`` as a judge file. The ones here are our own, in upstream's format."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from judgebench.errors import UsageError
from judgebench.judges.judge_files import JudgeFile, is_judge_file, read_judge_file
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.verdict_rules import reader
from judgebench.models.scripted import ScriptedModel, last_message, playing, reply
from tests.commands import judgebench

PROMPT = """<|im_start|>system
You compare.
<|im_end|>
<|im_start|>user
Asked: {instruction}
Say m for {output_1}
Say M for {output_2}
<|im_end|>"""
LOGPROBS: dict[str, Any] = {
    "prompt_template": "mine/mine.txt",
    "fn_completions": "openai_completions",
    "completions_kwargs": {
        "model_name": "gpt-4.1-2025-04-14",
        "max_tokens": 1,
        "temperature": 1,
        "logprobs": True,
        "top_logprobs": 5,
    },
    "fn_completion_parser": "logprob_parser",
    "completion_parser_kwargs": {"numerator_token": "m", "denominator_tokens": ["m", "M"], "is_binarize": False},
    "completion_key": "completions_all",
    "batch_size": 1,
}
"""As upstream's configurations of this kind are."""


def config(folder: Path, **changes: Any) -> Path:
    """Write a folder of evaluators with one, and return the one's folder; ``None`` takes a key out."""
    own = folder / "mine"
    own.mkdir(exist_ok=True)
    (own / "mine.txt").write_text(PROMPT)
    table = {key: value for key, value in (LOGPROBS | changes).items() if value is not None}
    (own / "configs.yaml").write_text(yaml.safe_dump({"mine": table}, sort_keys=False))
    return own


def parsed_by(folder: Path, parser: str | None, **kwargs: Any) -> JudgeFile:
    """A configuration with another parser."""
    return read_judge_file(config(folder, fn_completion_parser=parser, completion_parser_kwargs=kwargs or None))


def share(file: JudgeFile, text: str) -> float | None:
    """The share that is read in a reply."""
    assert file.judge.verdict is not None
    return reader(file.judge.verdict, None)(text).value


def test_a_configuration_is_a_judge_file(tmp_path: Path) -> None:
    """The folder, or its ``configs.yaml``: model, prompt, sampling and parser are carried over."""
    folder = config(tmp_path)
    assert is_judge_file(str(folder))
    file = read_judge_file(folder)
    assert file == read_judge_file(folder / "configs.yaml")
    assert file.models == ("openai:gpt-4.1-2025-04-14",)
    assert file.judge.prompt == PROMPT
    assert file.judge.sampling == {"max_tokens": 1, "temperature": 1.0, "top_logprobs": 5}
    assert file.judge.verdict is not None
    assert file.judge.verdict.labels == {"m": 1.0, "M": 0.0}


def test_it_judges_by_the_probability_of_the_token(tmp_path: Path) -> None:
    """The prompt is split into its turns, and the request is upstream's."""
    judge = ScriptedModel(lambda _: reply("m", logprobs={"m": -0.1, "M": -2.4}), name="judge")
    with playing(ScriptedModel(lambda _: "An answer.")) as candidate, playing(judge) as spec:
        folder = config(tmp_path, completions_kwargs=LOGPROBS["completions_kwargs"] | {"model_name": None})
        flags = ["--judge", folder, "--judge", spec, "--tasks", "alpacaeval", "--starter", "--limit", 2]
        judgebench(["eval", "-q", "--model", candidate, *flags, "--out", tmp_path / "run"])
    assert [message.role for message in judge.asked[0].messages] == ["system", "user"]
    assert last_message(judge.asked[0]).startswith("Asked: ")
    assert (judge.asked[0].sampling.max_tokens, judge.asked[0].sampling.top_logprobs) == (1, 5)


def test_a_model_behind_another_address_and_a_local_one(tmp_path: Path) -> None:
    """A client's address becomes a model at it; upstream's local engines become ours."""
    kwargs = {"model_name": "llama", "client_kwargs": {"base_url": "http://localhost:8000/v1"}}
    assert read_judge_file(config(tmp_path, completions_kwargs=kwargs)).models == ("http://localhost:8000/v1#llama",)
    local = config(tmp_path, fn_completions="vllm_local_completions", completions_kwargs={"model_name": "a/b"})
    assert read_judge_file(local).models == ("vllm:a/b",)
    cohere = read_judge_file(config(tmp_path, fn_completions="cohere_completions"))
    assert cohere.models == ()
    assert "cohere_completions has no counterpart" in cohere.without_model


@pytest.mark.parametrize(
    ("text", "value"),
    [("Output (a)", 1.0), ("\n Output (b)", 0.0), ("Output (a)\nOutput (b)", None), ("neither", None)],
)
def test_the_default_parser_reads_patterns(text: str, value: float | None, tmp_path: Path) -> None:
    """Without a parser, upstream reads by regular expressions, and a batch of one has one verdict."""
    patterns = {1: r"(?:^|\n) ?Output \(a\)", 2: r"(?:^|\n) ?Output \(b\)"}
    assert share(parsed_by(tmp_path, None, outputs_to_match=patterns), text) == value


def test_a_pattern_with_nested_brackets_is_read_as_python_reads_it(tmp_path: Path) -> None:
    """``[[A]]`` as a regular expression is a set of two characters and a bracket, as upstream has it."""
    assert share(parsed_by(tmp_path, "regex_parser", outputs_to_match={1: "[[A]]", 2: "[[B]]"}), "[[A]]") == 1.0


def test_rankings_scores_and_json(tmp_path: Path) -> None:
    """Upstream's other parsers of words."""
    ranking = "[{'model': 'x', 'rank': 1}, {'model': 'y', 'rank': 2}]"
    assert share(parsed_by(tmp_path, "ranking_parser", model_1_name="y"), ranking) == 0.0
    assert share(parsed_by(tmp_path, "lmsys_parser"), "8 7\nbecause") == 1.0
    assert share(parsed_by(tmp_path, "json_parser", annotation_key="best"), '{"best": 2}') == 0.0
    assert share(parsed_by(tmp_path, "json_parser", annotation_key="best"), '{"best": 1.5}') == 0.5


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"fn_completion_parser": "my_parser"}, "my_parser is Python code, which is never run"),
        ({"fn_completion_parser": "pipeline_meta_parser"}, "pipeline_meta_parser has no counterpart here"),
        ({"processors_to_kwargs": {"MyProcessor": {}}}, "MyProcessor is a processor that cannot be carried over"),
        ({"completions_kwargs": {"model_name": "x", "tools": []}}, "tools asks the model to call a function"),
        (
            {"completions_kwargs": {"model_name": "x", "tokens_to_avoid": ["a"]}},
            "tokens_to_avoid cannot be carried over",
        ),
        (
            {"completions_kwargs": {"temperature": "hot"}},
            "completions_kwargs.temperature has to be a number, and is a text",
        ),
        ({"batch_size": 5}, "batch_size is 5; here each pair is judged by itself"),
        ({"is_randomize_output_order": False}, "is_randomize_output_order is false"),
        ({"prompt_template": "none.txt"}, "prompt_template 'none.txt' is a file neither in"),
        ({"promt_template": "x"}, "promt_template is not a key of an evaluator; there are prompt_template"),
        ({"completion_parser_kwargs": {"numerator_token": "m"}}, "do not fit logprob_parser: KeyError"),
        (
            {"completion_parser_kwargs": {"numerator_token": "m", "denominator_tokens": ["a", "b"]}},
            "do not fit logprob",
        ),
        (
            {"fn_completion_parser": None, "completion_parser_kwargs": {"outputs_to_match": {1: 5}}},
            "do not fit regex_parser: ValueError: 5 is not a text",
        ),
        (
            {"fn_completion_parser": "json_parser", "completion_parser_kwargs": {"annotation_key": [1]}},
            "do not fit json_parser: ValueError: [1] is not a text",
        ),
        (
            {"completions_kwargs": {"model_name": "x", "client_kwargs": {"base_url": "file:///etc"}}},
            "base_url 'file:///etc' is not the address of a server",
        ),
    ],
)
def test_what_cannot_be_carried_over_is_refused_by_name(
    changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    """With the file and its line."""
    with pytest.raises(UsageError, match=r"configs\.yaml(, line \d+)?: ") as refused:
        read_judge_file(config(tmp_path, **changes))
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\n", "one evaluator"),
        ("- a\n", "no table"),
        ("a: {b: [\n", "not valid YAML"),
        ("a: &x [1]\nb: *x\n", "has aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    """A YAML file never makes objects of Python, and never unfolds."""
    path = tmp_path / "configs.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint):
        read_judge_file(path)


def test_checkpoints_and_addresses_are_no_judge_files(tmp_path: Path) -> None:
    """A folder with ``config.json`` is a checkpoint, whatever else is in it."""
    folder = config(tmp_path)
    (folder / "config.json").write_text("{}")
    assert not is_judge_file(str(folder))
    assert not is_judge_file("http://localhost:8000/v1/x.toml")
    assert not is_judge_file("openai:gpt-4.1")


def test_a_fifo_is_no_judge_file(tmp_path: Path) -> None:
    """It would be waited for."""
    os.mkfifo(tmp_path / "judge.toml")
    with pytest.raises(UsageError, match="a FIFO"):
        read_judge_file(tmp_path / "judge.toml")


def test_the_texts_of_a_pair_have_upstreams_names_too() -> None:
    """So that a prompt of alpaca_eval fits every task of pairs."""
    assert {"instruction", "answer_a", "answer_b"} <= set(CaseTexts(answers=2).described)


def test_true_and_false_are_values_of_labels(tmp_path: Path) -> None:
    """They are 1 and 0, and the rule is the one that numbers give."""
    made = []
    for number, labels in enumerate(("{ MET = true, MISSED = false }", "{ MET = 1, MISSED = 0.0 }")):
        (tmp_path / f"{number}.toml").write_text(f'[verdict]\nread = "label"\nlabels = {labels}\n')
        made.append(read_judge_file(tmp_path / f"{number}.toml").judge.verdict)
    assert made[0] == made[1]
    assert made[0] is not None
    assert made[0].labels == {"MET": 1.0, "MISSED": 0.0}
