"""A judge that answers with one label token: the verdict is the label's probability, not the token that was sampled.

Judges that reply in words are in ``text.py``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.reminders import one_of, reminder
from judgebench.records import Case, Completion, Message, Request, Sampling, TokenLogprob, Verdict

NO_LOGPROBS = "the reply carries no logprobs"


@dataclass(frozen=True, kw_only=True)
class LogprobJudge:
    """Judge read from the label probabilities of one token: by default a pairwise one.

    Source of the rule: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/completion_parsers.py (``logprob_parser``).
    """

    name: str
    messages: Callable[[Case], tuple[Message, ...]]
    prompt_sha256: str
    labels: tuple[str, ...]
    """Tokens that name the first-shown and the second-shown answer."""
    sampling: Sampling
    binarise: bool = False
    """The likelier label takes the whole win; an exact tie goes to the second label, as upstream's does."""
    position: int = 0
    """Which generated token holds the label: 0 the first, -1 the last."""
    values: tuple[float, ...] = (1.0, 0.0)
    """What each label is worth. The verdict is the mean over the labels, weighted by their probabilities."""
    texts: CaseTexts | None = None
    """What a prompt of the user's can show of its cases; ``None`` if that is what any case has."""
    reminds: bool = False
    """Whether the judge may be told of the labels again: never where the prompt is a published one."""

    @property
    def reminder(self) -> str | None:
        """What the judge is told after a reply without a verdict; ``None`` if its prompt may not be added to."""
        return reminder(one_of(self.labels)) if self.reminds else None

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Prompt, labels, sampling and reading rule."""
        return {
            "prompt": self.prompt_sha256,
            "labels": list(self.labels),
            "sampling": msgspec.to_builtins(self.sampling),
            "reading": "label token logprobs" + (", binarised" if self.binarise else ""),
            **({} if self.values == (1.0, 0.0) else {"values": list(self.values)}),
        }

    def ask(self, case: Case) -> Request:
        """Write the request, with both answers in the order in which the case shows them."""
        return Request(messages=self.messages(case), sampling=self.sampling)

    def ask_again(self, case: Case, replies: tuple[Completion, ...]) -> None:
        """There is no follow-up, as upstream."""

    def read(self, case: Case, replies: tuple[Completion, ...]) -> Verdict:
        """Read the share of the answer shown first: p(first label) / (p(first label) + p(second label))."""
        alternatives = replies[-1].top_logprobs
        if not alternatives:
            return Verdict(value=None, error=NO_LOGPROBS)
        if self.values != (1.0, 0.0):
            return self._mean(alternatives[self.position])
        value = first_label_share(alternatives[self.position], self.labels)
        if value is None:
            return Verdict(value=None, error=f"neither {self.labels[0]} nor {self.labels[1]} among the likely tokens")
        if self.binarise:
            value = 1.0 if value > 0.5 else 0.0
        return Verdict(value=value, label=self.labels[0] if value > 0.5 else self.labels[1])

    def _mean(self, alternatives: Sequence[TokenLogprob]) -> Verdict:
        """Average the labels' values by their probabilities; binarised, return the likeliest label's value."""
        logprobs = dict(alternatives)
        there = {label: logprobs[label] for label in self.labels if logprobs.get(label, -math.inf) > -math.inf}
        if not there:
            return Verdict(value=None, error=f"none of {', '.join(self.labels)} among the likely tokens")
        likeliest = max(there, key=lambda label: there[label])
        values = dict(zip(self.labels, self.values, strict=True))
        if self.binarise:
            return Verdict(value=values[likeliest], label=likeliest)
        weights = {label: math.exp(logprob - there[likeliest]) for label, logprob in there.items()}
        mean = sum(values[label] * weight for label, weight in weights.items()) / sum(weights.values())
        return Verdict(value=mean, label=likeliest)

    def constrained(self) -> "LogprobJudge":
        """Score both labels directly: the ratio is the same, and both labels always have a probability."""
        if self.position != 0:
            return self
        return replace(self, sampling=Sampling(choices=self.labels))


def first_label_share(alternatives: Sequence[TokenLogprob], labels: Sequence[str]) -> float | None:
    """Return the probability of the first label given that it is one of the two; ``None`` if neither is listed.

    >>> round(first_label_share([("m", math.log(0.6)), ("M", math.log(0.2)), ("The", -3.0)], ("m", "M")), 12)
    0.75
    """
    logprobs = dict(alternatives)
    first, second = (logprobs.get(label, -math.inf) for label in labels)
    largest = max(first, second)
    if largest == -math.inf:
        return None
    first_weight, second_weight = math.exp(first - largest), math.exp(second - largest)
    return first_weight / (first_weight + second_weight)
