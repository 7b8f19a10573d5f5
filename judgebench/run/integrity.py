"""Checks that a number means what it seems to mean: outputs can fool a judge, and a fit can fool a reader.

A check counts and flags; it never changes a score.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import UNSET, Struct

from judgebench.grading.pool import KILLED
from judgebench.records import Count, Generation, Judgement, Score
from judgebench.task.metric import Metric

VERDICT_LIKE = re.compile(
    r"\[\[(?:[ABC]|[AB][<>=]{1,2}[AB]|\d+(?:\.\d+)?)\]\]|\"choice\"\s*:\s*\"[AB]|\"score\"\s*:\s*\"(?:10|\d)\""
)
FEWEST_OUTPUTS = 5
"""With fewer outputs than this, equal ones mean nothing."""


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
    written = (generation for generation in generations if generation.likelihoods is UNSET)
    answers = [generation for generation in written if not generation.error]
    texts = [text for generation in answers for text in generation.outputs]
    n = len(texts)
    still_thinking = sum(
        thought is not None and not text.strip()
        for generation in answers
        for thought, text in zip(generation.thinking, generation.outputs, strict=False)
    )
    most_common = Counter(text for text in texts if text.strip()).most_common(1)
    constant = most_common[0][1] if most_common and n >= FEWEST_OUTPUTS and most_common[0][1] > 1 else 0
    endings = Counter(reason for generation in answers for reason in generation.finish_reasons)
    checks = [
        ("empty_output", sum(not text.strip() for text in texts), 0.0, "are empty"),
        ("constant_output", constant, 0.5, "are one and the same text"),
        ("cut_off_output", endings["length"], 0.05, "were cut off at the token limit"),
        ("filtered_output", endings["content_filter"], 0.0, "were stopped by a content filter"),
        ("unclosed_thinking", still_thinking, 0.01, "ended while the model was still thinking: no answer"),
    ]
    if labels:
        checks = [check for check in checks if check[0] != "constant_output"]
    if judged:
        verdict_like = sum(VERDICT_LIKE.search(text) is not None for text in texts)
        forging = sum(sum(fragment in text for fragment in fragments) >= 2 for text in texts)
        checks += [
            ("verdict_like_output", verdict_like, 0.01, "hold text that looks like a judge's verdict"),
            ("prompt_fragments", forging, 0.01, "hold lines of the judge's own prompt"),
        ]
    findings = []
    for check, count, limit, words in checks:
        flagged, message = n > 0 and count > 0 and count >= limit * n, f"{count} of {n} outputs {words}"
        findings.append(Finding(task=task, check=check, count=count, n=n, flagged=flagged, message=message))
    return findings


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
    if ended := [j for j in own if j.verdict.value is not None and j.verdict.label in (*KILLED, "error")]:
        count, check = len(ended), "unfinished_grading"
        listed = ", ".join(f"{j.case_id} ({j.verdict.label})" for j in ended[:20])
        more = f" and {count - 20} more" if count > 20 else ""
        message = f"{count} of {n} checks ended in an error or over a limit, and count as wrong: {listed}{more}"
        findings.append(Finding(task=task, check=check, count=count, n=n, flagged=True, message=message))
    return findings
