"""Verifies the answers of a run: each check once, however often the run is continued.

Verdicts of rules are made anew at each scoring; that costs nothing. Those of programs may cost hours, and a second run
of a program may end otherwise: they are written to the run folder as they come, with a hash of what was checked, and
are not made again as long as that is the same.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from judgebench.codec import canonical_hash
from judgebench.grading.pool import GradingPool, Verifier
from judgebench.records import Check, Judgement, Verdict
from judgebench.run.folder import VERIFIED_BY, TaskFolder

CHECK = "check"
"""In a kept verdict's details: the hash of what was checked, and by what."""
HASH_LENGTH = len("sha256:") + 32


Told = Callable[[Judgement], None]


class Verifying:
    """The checks of one task of a run."""

    def __init__(self, folder: TaskFolder, verifiers: Mapping[str, Verifier]) -> None:
        self._folder, self._verifiers = folder, verifiers
        self._writing = threading.Lock()
        self._known: dict[str, Verdict] | None = None

    def begin(self, pool: GradingPool, checks: Sequence[Check], model: str, told: Told | None = None) -> None:
        """Start the checks of an answer whose verdicts are wanted later. ``told`` is called with each that comes."""
        kept = {check.id: verdict for check in checks if (verdict := self._kept(check)) is not None}
        new = [check for check in checks if check.id not in kept]
        pool.begin(self._verifiers, new, partial(self._keep, model, told), waits=told is not None)
        for check in checks:
            if told is not None and check.id in kept:
                told(judgement_of(check, model, kept[check.id]))

    def verify(self, pool: GradingPool, checks: Sequence[Check], models: Sequence[str]) -> list[Verdict]:
        """The verdicts in the order of the checks, of which each is about the answer of a model."""
        kept = [self._kept(check) for check in checks]
        new = [check for check, verdict in zip(checks, kept, strict=True) if verdict is None]
        model_of = {check.id: model for check, model in zip(checks, models, strict=True)}

        def keep(check: Check, verdict: Verdict) -> None:
            self._keep(model_of[check.id], None, check, verdict)

        made = iter(pool.verify(self._verifiers, new, keep))
        pairs = zip(checks, kept, strict=True)
        return [self._hashed(check, next(made)) if verdict is None else verdict for check, verdict in pairs]

    def _kept(self, check: Check) -> Verdict | None:
        """The verdict of an earlier session on the same, if it is one of those that are kept."""
        if not self._verifiers[check.verifier].runs_programs:
            return None
        with self._writing:
            if self._known is None:
                self._known = {
                    str(judgement.verdict.details[CHECK]): judgement.verdict
                    for judgement in self._folder.judgements()
                    if judgement.judge_model == VERIFIED_BY and CHECK in judgement.verdict.details
                }
            return self._known.get(self._hash(check))

    def _keep(self, model: str, told: Told | None, check: Check, verdict: Verdict) -> None:
        """Write a verdict that came, if it is to be kept, and let it be known."""
        verdict = self._hashed(check, verdict)
        if self._verifiers[check.verifier].runs_programs and verdict.value is not None:
            with self._writing:
                known = {} if self._known is None else self._known
                if verdict.details[CHECK] not in known:
                    known[verdict.details[CHECK]] = verdict
                    self._folder.append(judgement_of(check, model, verdict))
        if told is not None:
            told(judgement_of(check, model, verdict))

    def _hashed(self, check: Check, verdict: Verdict) -> Verdict:
        if not self._verifiers[check.verifier].runs_programs:
            return verdict
        return msgspec.structs.replace(verdict, details={**verdict.details, CHECK: self._hash(check)})

    def _hash(self, check: Check) -> str:
        about = [check.id, self._verifiers[check.verifier].fingerprint, check.arguments]
        return canonical_hash(about)[:HASH_LENGTH]


def judgement_of(check: Check, model: str, verdict: Verdict) -> Judgement:
    """The record of a verdict."""
    return Judgement(
        case_id=check.id,
        example_id=check.example_id,
        judge=check.verifier,
        judge_model=VERIFIED_BY,
        answers=(model,),
        verdict=verdict,
    )
