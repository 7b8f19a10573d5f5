"""A judge of the user's: a prompt, a reading rule or both, in place of a benchmark's own. The run keeps all of it."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from judgebench.codec import canonical_hash, sha256_hex
from judgebench.errors import UsageError
from judgebench.judges import Judge
from judgebench.judges.logprob import LogprobJudge
from judgebench.judges.own_prompts import CaseTexts, OwnPrompt, Syntax
from judgebench.judges.text import TextJudge
from judgebench.judges.verdict_rules import VerdictRule, misfit, problem, reader
from judgebench.records import Case, Message, Sampling

TEXT_SAMPLING = Sampling(temperature=0.0, max_tokens=2048)
LABEL_SAMPLING = Sampling(temperature=0.0, max_tokens=1, top_logprobs=20)
REASONED_SAMPLING = Sampling(temperature=0.0, max_tokens=512, top_logprobs=20)
"""Sampling of a judge file that says nothing: of replies in words, of a label token, of words that end with one."""


class OwnJudge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A judge of the user's, as a run keeps it. Nothing in it is code."""

    name: str
    """The file that it came from, without folders."""
    prompt: str | None = None
    """Text of the prompt; ``None`` is the benchmark's own."""
    syntax: Syntax = "jinja"
    verdict: VerdictRule | None = None
    """How a verdict is read; ``None`` is the benchmark's own rule."""
    sampling: dict[str, Any] = {}
    """Settings of :class:`~judgebench.records.Sampling` that differ from the default."""
    order: Literal["seeded", "both"] | None = None
    """In which order pairs are shown; ``None`` is what the benchmark does."""

    @property
    def identity(self) -> str:
        """A hash of everything but the name."""
        return canonical_hash(msgspec.structs.replace(self, name=""))

    @property
    def prompt_sha256(self) -> str | None:
        """The hash of the prompt, if there is one."""
        return None if self.prompt is None else sha256_hex(self.prompt.encode())

    @property
    def mark(self) -> str:
        """What of the benchmark's judge it replaces, for the protocol and for people.

        Empty if it only names a model and an order, which ``--judge`` and an option of the task do as well.
        """
        parts = ["prompt"] if self.prompt is not None else []
        parts += ["reading rule"] if self.verdict is not None else []
        parts += ["sampling"] if self.sampling else []
        return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))

    def opened(self, where: str) -> "OpenJudge":
        """Check the prompt and the rule; ``where`` is how messages call the judge's prompt."""
        if self.verdict is not None and (wrong := problem(self.verdict)):
            raise UsageError(f"{self.name}: the verdict's {wrong[0]} {wrong[1]}")
        return OpenJudge(self, None if self.prompt is None else OwnPrompt(self.prompt, where, self.syntax))


@dataclasses.dataclass(frozen=True)
class OpenJudge:
    """A judge of the user's with its prompt read."""

    own: OwnJudge
    prompt: OwnPrompt | None

    def played(self, judge: Judge, texts: CaseTexts) -> Judge:
        """Return a benchmark's judge with the prompt, the rule and the sampling of the user's."""
        if not isinstance(judge, TextJudge | LogprobJudge):
            raise UsageError(
                f"{self.own.name} cannot replace the judge {judge.name}: it is a {type(judge).__name__} of the task's "
                "own, and only a TextJudge and a LogprobJudge have a prompt that can be replaced"
            )
        messages, sha256 = judge.messages, judge.prompt_sha256
        if self.prompt is not None:
            messages, sha256 = _filled(self.prompt, texts), self.prompt.sha256
        rule = self.own.verdict
        if rule is None:
            sampling = self._sampling(judge.sampling)
            reminds = judge.reminds or self._reminds
            return dataclasses.replace(
                judge, messages=messages, prompt_sha256=sha256, sampling=sampling, reminds=reminds
            )
        if why := misfit(rule, texts):
            raise UsageError(f"{self.own.name} cannot judge {judge.name}, because {why}")
        if rule.kind == "logprob":
            return LogprobJudge(
                name=judge.name,
                messages=messages,
                prompt_sha256=sha256,
                labels=tuple(rule.labels),
                values=tuple(rule.labels.values()),
                sampling=self._sampling(LABEL_SAMPLING if rule.position == "first" else REASONED_SAMPLING),
                binarise=rule.binarise,
                position=0 if rule.position == "first" else -1,
                texts=texts,
                reminds=self.prompt is None or self._reminds,
            )
        return TextJudge(
            name=judge.name,
            messages=messages,
            prompt_sha256=sha256,
            sampling=self._sampling(TEXT_SAMPLING),
            reading=rule.words,
            read_text=reader(rule, texts.scale),
            reads_once=rule.own_patterns,
            labels=rule.asked_for,
            texts=texts,
            form=rule.form,
            reminds=self.prompt is None or self._reminds,
        )

    @property
    def _reminds(self) -> bool:
        """Whether the prompt is one that may be added to."""
        return self.prompt is not None and not self.prompt.published

    def _sampling(self, default: Sampling) -> Sampling:
        try:
            given = msgspec.convert(self.own.sampling, Sampling)
        except msgspec.ValidationError as error:
            raise UsageError(f"{self.own.name}: its sampling is not valid: {error}") from error
        return msgspec.structs.replace(default, **{name: getattr(given, name) for name in self.own.sampling})


def _filled(prompt: OwnPrompt, texts: CaseTexts) -> Callable[[Case], tuple[Message, ...]]:
    return lambda case: prompt.messages(texts.texts(case))
