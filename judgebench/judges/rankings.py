"""Reading which of two answers a judge ranks first, as the evaluators of ``alpaca_eval`` do.

Source of the rules: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/completion_parsers.py.
"""

import ast
import json
import math
import warnings
from typing import Any

from judgebench.records import Verdict

LONGEST_RANKING = 20_000
"""Longest ranking reply that is parsed, in characters. Real ones have about a hundred."""


def ranking_verdict(text: str, first_name: str = "model_1") -> Verdict:
    """Read a ranking written as a Python literal: the rank of ``first_name`` decides.

    The text is parsed, never executed, and only up to a bounded length.
    """
    if len(text) > LONGEST_RANKING:
        return Verdict(value=None, error=f"the ranking is longer than {LONGEST_RANKING} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler comments on odd escapes in somebody else's text
            ranking = ast.literal_eval(text.lstrip(" \t"))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # TypeError: a list as a key
        return Verdict(value=None, error="the reply is not a Python list of ranks")
    return _rank_of(ranking, first_name)


def tool_ranking_verdict(text: str, first_name: str = "m") -> Verdict:
    """Read the ranking from a tool call's JSON arguments, as ``alpaca_eval_gpt4_turbo_fn`` writes them.

    If the text has a fenced block of JSON, only the block counts. A list must hold one object. What is JSON is decided
    by Python's own reader.
    """
    _, fence, fenced = text.partition("```json")
    block, closing, _ = fenced.partition("```")
    if fence and not closing:
        return Verdict(value=None, error="the block of JSON does not end")
    try:
        arguments = json.loads(block if fence else text)
    except (ValueError, RecursionError):
        return Verdict(value=None, error="the tool call's arguments are not JSON")
    if isinstance(arguments, list) and len(arguments) == 1:
        (arguments,) = arguments
    ranking = arguments.get("ordered_models") if isinstance(arguments, dict) else None
    return ranking_verdict(ranking, first_name) if isinstance(ranking, str) else _rank_of(ranking, first_name)


def _rank_of(ranking: Any, name: str) -> Verdict:
    """Read the rank in the first entry of that name. Upstream fails if any entry names no model."""
    entries = ranking if isinstance(ranking, list | tuple) else ()
    if not all(isinstance(entry, dict) and "model" in entry for entry in entries):
        return Verdict(value=None, error="an entry of the ranking names no model")
    rank = next((entry.get("rank") for entry in entries if entry["model"] == name), None)
    if isinstance(rank, int | float) and rank in (1, 2):
        return Verdict(value=1.0 if rank == 1 else 0.0, label=f"rank {int(rank)}")
    return Verdict(value=None, error=f"the ranking gives {name} neither rank 1 nor rank 2")


def two_scores_verdict(text: str) -> Verdict:
    """Read two scores in the first line of a reply, as ``lmsys_parser`` does: the higher one wins.

    >>> two_scores_verdict("8, 7").error
    'the first line holds no two scores'
    >>> two_scores_verdict("8 7").value, two_scores_verdict("7,7").value
    (1.0, 0.5)
    """
    pieces = text.partition("\n")[0].replace(",", " ").split(" ")
    try:
        first, second = map(float, pieces)
    except ValueError:
        first = second = math.nan
    if math.isnan(first) or math.isnan(second):
        return Verdict(value=None, error="the first line holds no two scores")
    return Verdict(value=0.5 if first == second else float(first > second), label=f"{first:g} to {second:g}")
