"""Written rankings and those of tool calls, as alpaca_eval 0.6.6's own parsers read them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from judgebench.tasks.alpacaeval.importer import read_alpaca_eval
from judgebench.tasks.alpacaeval.judges import ranking_verdict, tool_ranking_verdict

from judgebench import tasks
from judgebench.data.rows import FileRow
from judgebench.task import TaskData


def ranking(*entries: Any) -> list[Any]:
    """Entries given as a pair of model and rank, or as they are."""
    return [{"model": entry[0], "rank": entry[1]} if isinstance(entry, tuple) else entry for entry in entries]


FIRST, SECOND = ("m", 1), ("M", 2)
READINGS: list[tuple[Any, float | None]] = [
    (ranking(FIRST, SECOND), 1.0),
    (ranking(SECOND, ("m", 2)), 0.0),
    (ranking(FIRST), 1.0),
    (ranking(("m", 2), ("m", 1)), 0.0),  # the first of two
    (ranking(("m", True)), 1.0),  # as 1, which it equals
    (ranking(("m", 2.0)), 0.0),
    (ranking({"model": "m", "rank": 1, "because": "shorter"}), 1.0),
    (ranking(FIRST, {"rank": 2}), None),
    (ranking({"rank": 2}, FIRST), None),
    (ranking({}, FIRST), None),
    (ranking(FIRST, "M"), None),
    (ranking(FIRST, ["M", 2]), None),
    (ranking(FIRST, None), None),
    (ranking(("m", "1")), None),
    (ranking(("m", 0)), None),
    (ranking(("m", False)), None),
    (ranking(("m", 1.5)), None),
    (ranking(("m", [1])), None),
    (ranking(("m", None)), None),
    (ranking({"model": "m"}), None),
    (ranking(SECOND), None),
    (ranking((["m"], 1)), None),
    ([], None),
    ({"model": "m", "rank": 1}, None),
    ("m", None),
    (1, None),
    (None, None),
]
"""A ranking, and the share of the answer shown first by upstream's ``ranking_parser``; ``None`` where that has none."""


@pytest.mark.parametrize(("found", "share"), READINGS)
def test_a_written_ranking(found: Any, share: float | None) -> None:
    """An entry without a model's name makes the whole unread, whichever entry it is."""
    assert ranking_verdict(repr(found), "m").value == share
    verdict = ranking_verdict(" \t" + repr(found), "m")
    assert verdict.value == share
    assert (verdict.error is None) == (share is not None)


@pytest.mark.parametrize(("found", "share"), READINGS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_ranking_of_a_tool_call(found: Any, share: float | None, whole: bool) -> None:
    """In an object or in a list of one; upstream reads a ranking that is text, too."""
    arguments = {"concise_explanation": "x", "ordered_models": found}
    text = json.dumps([arguments] if whole else arguments)
    assert tool_ranking_verdict(text).value == share
    assert tool_ranking_verdict(f"So:\n```json\n{text}\n```\nDone. ```json {{}} ```").value == share
    as_text = json.dumps({"ordered_models": repr(found)})
    assert tool_ranking_verdict(as_text).value == share


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{{'model': 'm', 'rank': 1}}",  # a set of a dictionary
        "{[]: 1}",
        "[{'model': 'm', 'rank': 1+0j}]",
        "[{'model': 'm', 'rank': 1}",
        "```python\n[{'model': 'm', 'rank': 1}]\n```",
        "\n [{'model': 'm', 'rank': 1}]",
        "[" * 5000,
        "-" * 15_000 + "1",
        "\x00",
        "9" * 5000,
    ],
)
def test_what_is_no_written_ranking(text: str) -> None:
    """It is unread, whatever Python makes of it."""
    verdict = ranking_verdict(text, "m")
    assert verdict.value is None
    assert verdict.error


GOOD = json.dumps({"ordered_models": ranking(FIRST, SECOND)})


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (f'{GOOD[:-1]}, "confidence": NaN}}', 1.0),  # Python's JSON
        (f'{GOOD[:-1]}, "note": "\\ud800"}}', 1.0),
        (f"\n {GOOD}\n", 1.0),
        (f"```json{GOOD}```", 1.0),
        (f"```json\n{GOOD}", None),  # the block never ends
        (f"```\n{GOOD}\n```", None),
        (f"{GOOD} is my ranking", None),
        (f"[{GOOD}, {GOOD}]", None),
        ("[]", None),
        (f"[[{GOOD}]]", None),
        ('"ordered_models"', None),
        ("{}", None),
        ("", None),
        ("```json", None),
        ("[" * 100_000, None),
    ],
)
def test_what_stands_around_a_tool_calls_arguments(text: str, share: float | None) -> None:
    """A fenced block counts if it is marked as JSON and ends."""
    assert tool_ranking_verdict(text).value == share


@pytest.fixture
def data() -> TaskData:
    """The starter set."""
    task, _ = tasks.load(tasks.TaskSpec("alpacaeval"), starter=True)
    return task.load(lambda name: b"")


@pytest.mark.parametrize(
    ("raw", "disagree"),
    [
        (GOOD, False),
        (f"```json\n{GOOD}\n```", False),
        (json.loads(GOOD), False),
        ([json.loads(GOOD)], False),
        (json.dumps({"ordered_models": ranking(("m", 2), SECOND)}), True),
        (json.dumps({"ordered_models": ranking(FIRST, {"rank": 2})}), True),
    ],
)
def test_an_imported_reply_is_read_again(raw: Any, disagree: bool, data: TaskData) -> None:
    """By the reading of the evaluator that the file names, be it stored as text or already parsed."""
    never: Callable[[str], bool] = lambda instruction: False  # noqa: E731
    fields = {
        "instruction": data.examples[0].instruction,
        "annotator": "alpaca_eval_gpt4_turbo_fn",
        "preference": 1.0,
        "raw_completion": raw,
    }
    (imported,) = read_alpaca_eval([FileRow("annotations.json", 1, fields)], data, switch=never)
    assert any("do not give the stored preference" in note for note in imported.notes) == disagree
    (judgement,) = imported.judgements
    assert judgement.verdict.value == 1.0
