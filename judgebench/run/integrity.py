"""Checks that a number means what it seems to mean: outputs can fool a judge, and a fit can fool a reader.

A check counts and flags; it never changes a score.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import UNSET, Struct

from judgebench.grading.pool import KILLED
from judgebench.records import Count, Generation, Judgement, Score
from judgebench.task.metric import Metric

VERDICT_LIKE = re.compile(
    r"\[\[(?:[ABC]|[AB][<>=]{1,2}[AB]|\d+(?:\.\d+)?)\]\]|\"choice\"\s*:\s*\"[AB]|\"score\"\s*:\s*\"(?:10|\d)\""
)
FEWEST_OUTPUTS = 5
"""With fewer outputs than this, equal ones mean nothing."""

OUTPUT_CHECKS = {
    "empty_output": (0.0, "are empty"),
    "constant_output": (0.5, "are one and the same text"),
    "cut_off_output": (0.05, "were cut off at the token limit"),
    "filtered_output": (0.0, "were stopped by a content filter"),
    "unclosed_thinking": (0.01, "ended while the model was still thinking: no answer"),
    "verdict_like_output": (0.01, "hold text that looks like a judge's verdict"),
    "prompt_fragments": (0.01, "hold lines of the judge's own prompt"),
}
"""From which share of the outputs on a check puts the score in doubt, and what it says."""


class Finding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result of one check of one task of a run."""

    task: str
    check: str
    count: Count
    n: Count
    flagged: bool
    """Whether the count is so large that the score is in doubt."""
    message: str


def inspect_outputs(
    task: str, generations: Iterable[Generation], fragments: Sequence[str], *, judged: bool = True, labels: bool = False
) -> list[Finding]:
    """Count empty, constant, cut off, verdict-like and prompt-forging outputs among the answers that did not fail.

    ``fragments`` are lines of the judge prompt; an output with two of them is addressed to the judge. The last two
    checks are skipped if no judge reads the answers (``judged`` is false), and that of constant ones where answers are
    ``labels``, which many items share. Of options that were weighed nothing was
    written, and several items may have the same.
    """
    answers = list(_written(generations))
    n = sum(len(generation.outputs) for generation in answers)
    findings = []
    for check, found in outputs_found(answers, fragments, judged=judged, labels=labels).items():
        count, (limit, words) = len(found), OUTPUT_CHECKS[check]
        flagged, message = n > 0 and count > 0 and count >= limit * n, f"{count} of {n} outputs {words}"
        findings.append(Finding(task=task, check=check, count=count, n=n, flagged=flagged, message=message))
    return findings


def outputs_found(
    generations: Iterable[Generation], fragments: Sequence[str], *, judged: bool = True, labels: bool = False
) -> dict[str, list[str]]:
    """What each check of :func:`inspect_outputs` finds: an example's id for each such output."""
    answers = list(_written(generations))
    texts = [(generation.example_id, text) for generation in answers for text in generation.outputs]
    endings = [(generation.example_id, reason) for generation in answers for reason in generation.finish_reasons]
    most_common = Counter(text for _, text in texts if text.strip()).most_common(1)
    constant = most_common[0] if most_common and len(texts) >= FEWEST_OUTPUTS else ("", 0)
    found = {
        "empty_output": [name for name, text in texts if not text.strip()],
        "constant_output": [name for name, text in texts if constant[1] > 1 and text == constant[0]],
        "cut_off_output": [name for name, reason in endings if reason == "length"],
        "filtered_output": [name for name, reason in endings if reason == "content_filter"],
        "unclosed_thinking": [
            generation.example_id
            for generation in answers
            for thought, text in zip(generation.thinking, generation.outputs, strict=False)
            if thought is not None and not text.strip()
        ],
    }
    if labels:
        del found["constant_output"]
    if judged:
        found["verdict_like_output"] = [name for name, text in texts if VERDICT_LIKE.search(text)]
        found["prompt_fragments"] = [name for name, text in texts if sum(part in text for part in fragments) >= 2]
    return found


def _written(generations: Iterable[Generation]) -> Iterator[Generation]:
    """The answers that did not fail and are texts."""
    return (one for one in generations if one.likelihoods is UNSET and not one.error)


def inspect_length_control(task: str, metrics: Sequence[Metric], scores: Sequence[Score]) -> list[Finding]:
    """Check whether length control moved a win rate further than is plausible.

    The rule is upstream's warning: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/metrics/glm_winrate.py
    (``get_is_extreme_changes``).
    """
    values = {score.metric: score.value for score in scores if score.group is None}
    findings = []
    for metric in metrics:
        raw, controlled = values.get(metric.without_control or ""), values.get(metric.name)
        if raw is None or controlled is None:
            continue
        flagged = controlled < min(0.75 * raw, raw - 10) or controlled > max(raw + (100 - raw) / 4, raw + 10)
        message = f"length control moves the win rate from {raw:.1f} to {controlled:.1f}"
        check, count = "extreme_length_control", int(flagged)
        findings.append(Finding(task=task, check=check, count=count, n=1, flagged=flagged, message=message))
    return findings


def inspect_grading(task: str, judgements: Sequence[Judgement]) -> list[Finding]:
    """List the answers whose verification did not end, which count as wrong, and say why others have no verdict."""
    own, n = [judgement for judgement in judgements if not judgement.replies], len(judgements)
    findings = []
    if failed := Counter(j.verdict.error or "no reason is given" for j in own if j.verdict.value is None):
        count, (why, most) = failed.total(), failed.most_common(1)[0]
        often = f" (most often, {most} times)" if len(failed) > 1 else ""
        message = f"{count} of {n} checks gave no verdict, and count neither as right nor as wrong: {why}{often}"
        findings.append(Finding(task=task, check="failed_grading", count=count, n=n, flagged=True, message=message))
    if ended := [j for j in own if is_unfinished(j)]:
        count, check = len(ended), "unfinished_grading"
        listed = ", ".join(f"{j.case_id} ({j.verdict.label})" for j in ended[:20])
        more = f" and {count - 20} more" if count > 20 else ""
        message = f"{count} of {n} checks ended in an error or over a limit, and count as wrong: {listed}{more}"
        findings.append(Finding(task=task, check=check, count=count, n=n, flagged=True, message=message))
    return findings


def is_unfinished(judgement: Judgement) -> bool:
    """Whether a verification ended in an error or over a limit, so that the answer counts as wrong."""
    verdict = judgement.verdict
    return not judgement.replies and verdict.value is not None and verdict.label in (*KILLED, "error")
