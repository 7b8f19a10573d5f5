"""Upstream's files of the public suites, and published judges' decisions, as the shared data have them."""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from judgebench.auditing.items import Decision, Item, Shown
from judgebench.auditing.suites import get_suite
from judgebench.data.sources import Source
from tests.stats.judge_meta import FOLDER, lines

WON: dict[str, Shown] = {"1": "A>B", "2": "B>A"}
SUBSETS = ("natural", "neighbor", "gptinst", "gptout", "manual")
HUMAN = ("faireval_human", "llmeval2_human", "mtbench_human")
"""Other people's labels that LLMBar's repository evaluates the same judges on."""


def fetched(source: Source) -> bytes:
    """The bytes of a file of a suite."""
    return FILES[source.name.split("-")[0]](source)


def _llmbar(source: Source) -> bytes:
    suite, _, subset = source.name.rpartition("-")
    subset += "_human" * (suite == "llmbar-human")
    rows = [
        {key: line[key] for key in ("input", "output_1", "output_2", "label")}
        for line in lines("llmbar/instances")
        if line["subset"] == subset
    ]
    return json.dumps(rows, indent=2).encode()


def _judgebench(source: Source) -> bytes:
    model = source.name.removeprefix("judgebench-")
    return gzip.decompress((FOLDER / "judgebench" / f"pairs_{model}.jsonl.gz").read_bytes())


def _pandalm(source: Source) -> bytes:
    names = ("idx", "motivation_app", "cmp_key", "instruction", "input", "response1", "response2")
    keys = (*names, "annotator1", "annotator2", "annotator3")
    return json.dumps([{key: line[key] for key in keys} for line in lines("pandalm/cross_annotations")]).encode()


def _mtbench(source: Source) -> bytes:
    keys = ("question_id", "model_a", "model_b", "turn", "conversation_a", "conversation_b")
    rows = [
        {key: line[key] for key in keys} | {"judge": judge, "winner": winner}
        for line in lines("mtbench_human/votes")
        for judge, winner in line["human"].items()
    ]
    return json.dumps(rows).encode()


FILES = {"llmbar": _llmbar, "judgebench": _judgebench, "pandalm": _pandalm, "mtbench": _mtbench}


@cache
def items_of(suite: str) -> tuple[Item, ...]:
    """The items of a suite."""
    return get_suite(suite).load(fetched)


def llmbar_decisions(evaluator: str, subsets: tuple[str, ...] = SUBSETS) -> Iterator[Decision]:
    """An evaluator's winners, which are stored un-swapped, in both orders."""
    for line in lines("llmbar/decisions"):
        if line["evaluator"] == evaluator and line["subset"] in subsets:
            for order in ("12", "21"):
                for number, winner in enumerate(line[f"order{order}"]):
                    shown = None if winner == "?" else WON[winner] if order == "12" else WON[str(3 - int(winner))]
                    yield Decision(
                        item=f"{line['subset'].removesuffix('_human')}/{number}",
                        order=order,
                        shown=shown,
                        error=None if shown else "the reply holds no verdict",
                    )


def judgebench_lines(judge: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """A published judge's rows."""
    return lines("judgebench/" + judge["file"].removesuffix(".jsonl.gz"))


def pandalm_decisions(judge: str) -> Iterator[Decision]:
    """A judge's verdicts, in the order stored."""
    for line in lines("pandalm/cross_annotations"):
        shown: Shown | None = {1: "A>B", 2: "B>A", 0: "A=B"}.get(line[judge])  # type: ignore[assignment]
        yield Decision(item=str(line["idx"]), shown=shown, error=None if shown else "the reply holds no verdict")


def mtbench_decisions(judge: str) -> Iterator[Decision]:
    """A judge's combined verdicts, as if both orders had given it."""
    for line in lines("mtbench_human/votes"):
        won = {"model_a": 1, "model_b": 2, "tie": 0}[line["llm"][judge]]
        first, second = line["model_a"], line["model_b"]
        if first > second:
            first, second, won = second, first, {0: 0, 1: 2, 2: 1}[won]
        name = f"{line['question_id']}/{first}/{second}/{line['turn']}"
        for order in ("12", "21"):
            winner = won if order == "12" or not won else 3 - won
            shown: Shown = ("A=B", "A>B", "B>A")[winner]  # type: ignore[assignment]
            yield Decision(item=name, order=order, shown=shown)
