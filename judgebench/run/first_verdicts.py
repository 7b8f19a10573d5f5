"""Notices early that a judge's verdicts cannot be read: each of them may cost minutes and money."""

from collections import Counter
from dataclasses import dataclass, field

from judgebench.judges import Judge
from judgebench.judges.logprob import NO_LOGPROBS
from judgebench.judges.text import TextJudge
from judgebench.models import Model
from judgebench.models.opening import parse_model
from judgebench.models.opening.backends import TINY
from judgebench.records import Judgement, Verdict

ENOUGH = 3
"""After so many verdicts, all unread, it is said."""


@dataclass
class FirstVerdicts:
    """How the first verdicts of each judge model in this session could be read. The pipeline counts; others look."""

    _unread: Counter[str] = field(default_factory=Counter)
    _advice: dict[str, str] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)

    def take(self, judge: Judge, model: Model, spec: str, judgement: Judgement) -> None:
        """Count a judgement that a model, named by ``spec``, made now."""
        name = judgement.judge_model
        # What the stand-in can read is said where its run ends.
        if judgement.failed or name in self._read or name == TINY:
            return
        if judgement.verdict.value is not None:
            self._read.add(name)
        else:
            self._advice[name] = _advice(judge, model, spec, judgement.verdict)
            self._unread[name] += 1

    @property
    def notes(self) -> dict[str, str]:
        """By judge model: what is wrong and what to do, if none of its verdicts was read."""
        return {
            name: f"{count} of {count} verdicts of {name} unread: {self._advice[name]}"
            for name, count in dict(self._unread).items()
            if count >= ENOUGH and name not in self._read
        }


def _advice(judge: Judge, model: Model, spec: str, verdict: Verdict) -> str:
    if verdict.error == NO_LOGPROBS:
        return (
            "its replies carry no log-probabilities, from which this prompt's verdicts are read; "
            '`read = "label"` in a judge file (--judge judge.toml) reads them from the words'
        )
    kept = "this judge does not keep to the form"
    by_labels = "reads the probabilities of its labels"
    if isinstance(judge, TextJudge) and _gives_logprobs(model, spec):
        if judge.other_reading:
            return f"{kept}; {judge.other_reading} in the benchmark's file {by_labels}"
        file = 'a judge file (--judge judge.toml) with `read = "logprob"`'
        return f"{kept}; take another judge, or {file}, which {by_labels}"
    return f"{kept}; take another judge, or ask this one with a prompt of your own (--judge judge.toml)"


def _gives_logprobs(model: Model, spec: str) -> bool:
    return model.local or (bool(spec) and parse_model(spec)[0].backend.gives_logprobs)
