"""A run's protocol (equal protocols may be ranked together) and its inputs (all that can change a number)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from judgebench.codec import canonical_hash
from judgebench.grading.pool import Verifier
from judgebench.judges import Judge
from judgebench.models import Model
from judgebench.records import Example, Sampling, SourceUsed, TaskCode
from judgebench.task import Task
from judgebench.thinking import Thinking


def judge_identity(judge_model: Model | str) -> str:
    """A judge model as the protocol names it.

    A served model is its name, wherever it is served; a local one is its weights, since its name is only a folder's.
    """
    if isinstance(judge_model, str):
        return judge_model
    return judge_model.identity if judge_model.local else judge_model.name


def protocol(
    task: Task,
    examples: Sequence[Example],
    sources: Sequence[SourceUsed],
    judges: Mapping[str, Sequence[tuple[Judge | None, Model | str]]],
    baselines: Mapping[str, str],
    verifiers: Mapping[str, Verifier],
    *,
    judge_repeats: int = 1,
    stop_when: Mapping[str, Any] | None = None,
    think_tags: Sequence[tuple[str, str]] = (),
    code: TaskCode | None = None,
) -> dict[str, Any]:
    """Everything that must be equal for two rows of a task to be ranked together.

    ``judges`` maps the name of each judge in use to the models that play it, each with the prompt and rule it is asked
    by (``None`` if only a name is known); ``baselines`` maps baseline models to the hash of their answers where they
    are not official. ``stop_when`` is how judging was to stop early, if it was: such numbers are estimates of the full
    ones. ``think_tags`` are the pairs that the user named: judges' replies are read without what they enclose.
    ``code`` are the files of a task that was given as a file: nobody else vouches for what it asks, so the
    examples themselves count as well.
    """
    asked = {"n": len(examples), "ids": canonical_hash(sorted(example.id for example in examples))}
    if code is not None:
        asked["content"] = canonical_hash(sorted(examples, key=lambda example: example.id))
    return {
        "task": task.name,
        "version": task.version,
        "options": dict(sorted(task.options.items())),
        "starter": task.starter,
        "examples": asked,
        "sources": {s.name: s.sha256 + (" (stand-in)" if s.standin else "") for s in sources},
        "baselines": dict(sorted(baselines.items())),
        "repeats": max((example.repeat + 1 for example in examples), default=1),
        "judge_repeats": judge_repeats,
        "verifiers": {name: verifier.fingerprint for name, verifier in sorted(verifiers.items())},
        "judges": {name: _panel(seats) for name, seats in sorted(judges.items())},
        **({"stop_when": dict(stop_when)} if stop_when else {}),
        **({"think_tags": [list(pair) for pair in think_tags]} if think_tags and judges else {}),
        **({"code": dict(code.sha256)} if code is not None else {}),
    }


def _panel(seats: Sequence[tuple[Judge | None, Model | str]]) -> dict[str, Any]:
    played = [
        {"prompt_and_rule": judge.fingerprint if judge else "unknown", "model": judge_identity(model)}
        for judge, model in sorted(seats, key=lambda seat: judge_identity(seat[1]))
    ]
    return played[0] if len(played) == 1 else {"jury": played}


def inputs(
    protocol_fields: Mapping[str, Any],
    candidate: str,
    sampling: Sampling | None,
    system: str | None,
    thinking: Thinking,
    refine: Sequence[str] = (),
) -> dict[str, Any]:
    """The protocol and the model under test: all that can change a number."""
    return {
        **protocol_fields,
        "candidate": candidate,
        "sampling": None if sampling is None else msgspec.to_builtins(sampling),
        "system": system,
        "thinking": thinking.policy,
        **({"think_tags": [list(pair) for pair in thinking.tags]} if thinking.tags else {}),
        "refine": list(refine),
    }


def differing(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two nested mappings differ.

    >>> differing({"judge": {"model": "a", "seed": 0}}, {"judge": {"model": "b", "seed": 0}})
    ['judge.model']
    """
    names = []
    for key in sorted({*first, *second}):
        one, other = first.get(key), second.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names += differing(one, other, f"{prefix}{key}.")
        elif one != other:
            names.append(f"{prefix}{key}")
    return names
