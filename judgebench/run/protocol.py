"""Builds the two fingerprints of a run: what must be equal to compare rows, and everything that can change a number.

They are mappings of named parts, so that a difference can be named; ``manifests`` stores and hashes them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from judgebench.codec import canonical_hash
from judgebench.judges import Judge, usual_reasks
from judgebench.judges.own_judges import OwnJudge
from judgebench.models import Model
from judgebench.records import Sampling
from judgebench.run.loading import LoadedTask
from judgebench.run.stopping import ORDER_SEED, Known, StopRule
from judgebench.thinking import Thinking

Seat = tuple[Judge | None, Model | str]
"""A prompt and rule (``None`` if only the judge's name is known), and the model that is asked by it, or its name."""
HARMLESS_ARGUMENTS = frozenset(
    (
        *("timeout_seconds", "max_attempts", "api_key_env", "usd_per_million", "base_url", "endpoint"),
        *("model", "pretrained", "replicas"),
        *("device", "batch_size", "batch_tokens", "max_num_seqs", "gpu_memory_utilization", "enforce_eager"),
        *("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "trust_remote_code"),
    )
)
"""Arguments of backends that say which judge is asked, which the protocol names, or where, how fast and at what price.
Any other can change a verdict.
"""
OTHERWISE = ("one", "another")
"""Two values that say nothing to people."""
_HASH = re.compile(r"[0-9a-f]{32}")
NOT_JUDGED = "not judged yet"
"""Stands for the judge model of a run that holds answers only."""


def judge_identity(judge_model: Model | str) -> str:
    """Return a judge model's name in the protocol.

    A served model is identified by its name, wherever it is served; a local one by its weights, because its name is
    only that of a folder.
    """
    if isinstance(judge_model, str):
        return judge_model
    return judge_model.identity if judge_model.local else judge_model.name


def verdict_arguments(given: Mapping[str, object]) -> dict[str, str]:
    """Those of a judge's backend arguments that can change a verdict.

    >>> verdict_arguments({"reasoning_effort": "low", "timeout_seconds": "60"})
    {'reasoning_effort': 'low'}
    """
    return {name: str(value) for name, value in sorted(given.items()) if name not in HARMLESS_ARGUMENTS}


def protocol(
    loaded_task: LoadedTask,
    judges: Mapping[str, Sequence[Seat]],
    *,
    judge_repeats: int = 1,
    reask: int | None = None,
    stop_rule: StopRule | None = None,
    known: Known | None = None,
    think_tags: Sequence[tuple[str, str]] = (),
    judge_args: Mapping[str, str] | None = None,
    cascade: Mapping[str, Any] | None = None,
    dear: Mapping[str, Sequence[Seat]] | None = None,
    dear_args: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Everything that must be equal for two rows of a task to be ranked together.

    ``judges`` maps the name of each judge in use to the models that play it. With a ``stop_rule`` judging may stop
    early, so the numbers are estimates of the full ones, by what was ``known`` beforehand. With a ``cascade``, which
    says how large its part is, the ``dear`` judges judge a part, and the numbers are estimates of theirs. ``reask`` is
    how often unread verdicts are asked again, which counts where it is not the default of the judges. ``think_tags``
    are the pairs that the user named: judges' replies are read without what they enclose. ``judge_args`` are the
    arguments of the judges' backend. Of a task given as a file, the examples themselves count as well, because nobody
    else vouches for what it asks.
    """
    task, examples, code = loaded_task.task, loaded_task.data.examples, loaded_task.code
    asked = {"n": len(examples), "ids": canonical_hash(sorted(example.id for example in examples))}
    if code is not None:
        asked["content"] = canonical_hash(sorted(examples, key=lambda example: example.id))
    stop = stop_rule and {
        "rule": stop_rule.text,
        "metric": stop_rule.metric.name,
        "order_seed": ORDER_SEED,
        **({"control": canonical_hash({name: list(said) for name, said in known.items()})} if known else {}),
    }
    return {
        "task": task.name,
        "version": task.version,
        "options": dict(sorted(task.options.items())),
        "starter": task.starter,
        "examples": asked,
        "sources": {s.name: s.sha256 + (" (stand-in)" if s.standin else "") for s in loaded_task.sources},
        "baselines": dict(sorted(loaded_task.baselines.items())),
        "repeats": max((example.repeat + 1 for example in examples), default=1),
        "judge_repeats": judge_repeats,
        "verifiers": verifiers_of(loaded_task),
        "judges": {name: played_by(seats) for name, seats in sorted(judges.items())},
        **({"reask": reask} if _asks_otherwise(judges, reask) else {}),
        **({"stop_when": stop} if stop and cascade is None else {}),
        **({"cascade": _cascade(cascade, dear or {}, dear_args or {})} if cascade is not None else {}),
        **({"think_tags": [list(pair) for pair in think_tags]} if think_tags and judges else {}),
        **({"judge_args": changing} if (changing := verdict_arguments(judge_args or {})) and judges else {}),
        **({"code": dict(code.sha256)} if code is not None else {}),
        **({"folder_code": dict(task.code_hashes)} if task.code_hashes else {}),
        **({"own_judge": _own_judge(loaded_task.own_judge)} if loaded_task.own_judge is not None else {}),
    }


def verifiers_of(loaded_task: LoadedTask) -> dict[str, str]:
    """What can change the verdicts of a task's verifiers, by their names."""
    return {name: check.fingerprint for name, check in sorted(loaded_task.data.verifiers.items())}


def _cascade(
    size: Mapping[str, Any], dear: Mapping[str, Sequence[Seat]], arguments: Mapping[str, str]
) -> dict[str, Any]:
    """Mark numbers that are estimates of a dear judge's, so that they are ranked with neither judge's own."""
    changing = verdict_arguments(arguments)
    panels = {name: played_by(seats) for name, seats in sorted(dear.items())}
    return {**size, "dear": panels, **({"dear_args": changing} if changing else {})}


def _asks_otherwise(judges: Mapping[str, Sequence[Seat]], reask: int | None) -> bool:
    """Whether unread verdicts are asked again more or less often than by default."""
    known = [judge for seats in judges.values() for judge, _ in seats if judge is not None]
    return reask is not None and any(usual_reasks(judge) != reask for judge in known)


def _own_judge(own: OwnJudge) -> dict[str, Any]:
    """Mark what is judged by a judge of the user's, so that it is ranked with nothing that is not."""
    rule = None if own.verdict is None else own.verdict.words
    return {"replaces": own.mark, "prompt": own.prompt_sha256, "reading": rule}


def played_by(seats: Sequence[Seat]) -> dict[str, Any]:
    """How a judge is played: its prompt and rule with its model, or those of each member of a jury."""
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
    """Combine the protocol and the model under test: everything that can change a number."""
    return {
        **protocol_fields,
        "candidate": candidate,
        "sampling": None if sampling is None else msgspec.to_builtins(sampling),
        "system": system,
        "thinking": thinking.policy,
        **({"think_tags": [list(pair) for pair in thinking.tags]} if thinking.tags else {}),
        "refine": list(refine),
    }


def in_words(fields: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Fields in which two protocols differ, with both values, as people call the settings behind them.

    Of a hash or a table only that there is another one says anything.

    >>> in_words([("examples.ids", "sha256:" + "0" * 64, "sha256:" + "1" * 64), ("examples.n", "16", "6")])
    [('number of items', '16', '6')]
    >>> in_words([("judges.pair.prompt_and_rule", "a" * 64, "b" * 64), ("judge_args.effort", "low", "not there")])
    [('prompt and rule of the judge pair', 'one', 'another'), ('judge setting effort', 'low', 'none')]
    """
    names = {name for name, *_ in fields}
    found = []
    for name, one, other in fields:
        if name == "examples.ids" and "examples.n" in names:
            continue
        first = _told(one, OTHERWISE[0])
        found.append((_called(name), first, _told(other, OTHERWISE[first != "none"])))
    return found


def names_in_words(fields: Sequence[str]) -> list[str]:
    """The names of fields of a protocol as people call them, each once.

    >>> names_in_words(["examples.ids", "judges.a.b.prompt_and_rule.sampling.max_tokens", "judges.a.b.model"])
    ['which items', 'max tokens of the judge a.b', 'model of the judge a.b']
    """
    return list(dict.fromkeys(name for name, *_ in in_words([(field, "", "") for field in fields])))


def _called(name: str) -> str:
    """A field as people call it."""
    group, _, part = name.partition(".")
    judge, _, rule = part.partition(".prompt_and_rule.")
    if group == "judges" and rule:
        return f"{rule.rpartition('.')[2].replace('_', ' ')} of the judge {judge}"
    last = name.rpartition(".")[2]
    of_judge = _CALLED_LAST.get((group, last))
    called = _CALLED.get(name) or of_judge or _CALLED_GROUP.get(group)
    if called and part:
        return called.format(part.removesuffix(f".{last}") if of_judge else part)
    return name.replace(".", " ").replace("_", " ")


_CALLED = {"examples.n": "number of items", "examples.ids": "which items", "examples.content": "texts of the items"}
_CALLED_LAST = {
    ("judges", "model"): "model of the judge {}",
    ("judges", "prompt_and_rule"): "prompt and rule of the judge {}",
}
_CALLED_GROUP = {
    "judges": "judge {}",
    "judge_args": "judge setting {}",
    "sources": "official file {}",
    "verifiers": "verifier {}",
    "options": "option {}",
    "baselines": "baseline {}",
    "code": "file {}",
    "folder_code": "file {}",
}


def named_with_values(
    fields: Sequence[tuple[str, str, str]], called: tuple[str, str] = ("first run", "later run")
) -> list[str]:
    """The same fields, each with its values where they say anything; ``called`` is what the two runs are.

    >>> named_with_values([("number of items", "16", "6"), ("verifier gsm8k", "one", "another")])
    ['number of items (16 and 6)', 'verifier gsm8k']
    >>> named_with_values([("baseline truth_model", "none", "one"), ("judge pair", "one", "none")])
    ['baseline truth_model (only the later run has one)', 'judge pair (only the first run has one)']
    """
    first, later = called
    told = {
        OTHERWISE: "",
        ("none", OTHERWISE[0]): f" (only the {later} has one)",
        (OTHERWISE[0], "none"): f" (only the {first} has one)",
    }
    return [name + told.get((one, other), f" ({one} and {other})") for name, one, other in fields]


def _told(value: str, otherwise: str) -> str:
    """A value, where that is a word or a number, and neither a hash nor a table."""
    if value in ("not there", "None", ""):
        return "none"
    plain = not _HASH.search(value) and not set("{[(") & set(value)
    return {"True": "yes", "False": "no"}.get(value, value) if plain else otherwise


def differing(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted names of the fields in which two nested mappings differ.

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
