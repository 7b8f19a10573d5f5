"""Reads judge files: ``judge.toml``, and the ``annotators_config`` of ``alpaca_eval``. Neither ever runs code.

A file says how to judge (:class:`OwnJudge`) and which models do. What of an ``annotators_config`` has no counterpart,
such as a parser of somebody's own, is refused by name.

Format of the latter: tatsu-lab/alpaca_eval@cd543a1:src/alpaca_eval/{annotators/base.py,completion_parsers.py}.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from judgebench.data.toml_errors import fault, located, parse_toml
from judgebench.errors import UsageError
from judgebench.files import near_path, read_text
from judgebench.judges.own_judges import OwnJudge
from judgebench.judges.verdict_rules import ALPACA_EVAL_READINGS, VerdictRule, problem, problem_of_patterns
from judgebench.records import Sampling

FILE_BYTES = 2**20
YAML_NAMES = ("configs.yaml", "config.yaml")
SAMPLING = tuple(name for name in Sampling.__struct_fields__ if name not in ("choices", "continuations", "raw"))


@dataclass(frozen=True, kw_only=True)
class JudgeFile:
    """How to judge, and by which models."""

    judge: OwnJudge
    models: tuple[str, ...] = ()
    """Model specs; none if the user names the model by another ``--judge``."""
    model_args: Mapping[str, str] = field(default_factory=dict)
    """Settings of the models' backend, as ``--judge-arg`` takes them."""
    prompt_path: str = ""
    """Where its prompt stands, if that is another file."""
    without_model: str = ""
    """Why the file names no model that can be asked here."""


def is_judge_file(text: str) -> bool:
    """Whether a value of ``--judge`` is a file: ``*.toml``, ``*.yaml``, or a folder with a ``configs.yaml``."""
    path = Path(text)
    if text.startswith(("http://", "https://")):
        return False
    return path.suffix in (".toml", ".yaml", ".yml") or _yaml_in(path) is not None


def _yaml_in(folder: Path) -> Path | None:
    if (folder / "config.json").exists():  # a checkpoint
        return None
    return next((folder / name for name in YAML_NAMES if (folder / name).is_file()), None)


def read_judge_file(path: Path) -> JudgeFile:
    """Read a judge file and its prompt; raise :class:`UsageError`, which names file, line and key, if it is not one."""
    file = _yaml_in(path) or path
    text = _text(file, what="judge file")
    return _read_yaml(file, text) if file.suffix in (".yaml", ".yml") else _read_toml(file, text)


def read_prompt(path: Path) -> OwnJudge:
    """Read a prompt of the user's, for the benchmark's own rule."""
    own = OwnJudge(name=path.name, prompt=_text(path))
    own.opened(str(path))
    return own


def _text(path: Path, limit: int = FILE_BYTES, what: str = "judge prompt") -> str:
    try:
        return read_text(path, limit)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the {what} {path} cannot be read: {error}") from error


# -- judge.toml


class _Toml(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of a judge file."""

    model: str | list[str] = []
    prompt: str | None = None
    order: Literal["seeded", "both"] | None = None
    sampling: dict[str, Any] = {}
    model_args: dict[str, str | int | float] = {}
    verdict: dict[str, Any] | None = None


KEYS = _Toml.__struct_fields__
RULE_KEYS = tuple(name for name in VerdictRule.__struct_fields__ if name not in ("patterns", "model_1"))


def _read_toml(path: Path, text: str) -> JudgeFile:
    table = parse_toml(path, text)
    for key in table:
        if key not in KEYS:
            raise fault(path, text, key, f"is not a key of a judge file; it has {', '.join(KEYS)}")
    try:
        found = msgspec.convert(table, _Toml)
    except (msgspec.ValidationError, OverflowError) as error:
        key, why = located(error)
        raise fault(path, text, key, why) from error
    prompt, place = None, path
    if found.prompt is not None:
        place = path.parent / found.prompt
        if not place.is_file():
            near = near_path(place, found.prompt)
            said = f"{found.prompt!r} is not a file{near}; a path is relative to the judge file"
            raise fault(path, text, "prompt", said)
        prompt = _text(place)
    own = OwnJudge(
        name=path.name,
        prompt=prompt,
        verdict=None if found.verdict is None else read_rule(path, text, found.verdict),
        sampling=read_sampling(path, text, found.sampling, "sampling"),
        order=found.order,
    )
    own.opened(str(place))
    models = (found.model,) if isinstance(found.model, str) else tuple(found.model)
    arguments = _model_args(path, text, found.model_args)
    return JudgeFile(
        judge=own,
        models=models,
        model_args=arguments,
        prompt_path="" if prompt is None else str(place),
        without_model=f"{path} has no key model",
    )


MODEL_ARGUMENTS = (
    *("api", "max_attempts", "reasoning_effort", "timeout_seconds", "usd_per_million"),
    *("batch_size", "batch_tokens", "device", "dtype", "enforce_eager", "gpu_memory_utilization", "max_model_len"),
    *("max_num_seqs", "max_tokens", "quantization", "revision"),
    *("data_parallel_size", "pipeline_parallel_size", "tensor_parallel_size"),
)
"""Arguments of a backend that a judge file may give: none that names a host, a key, a file or code."""


def _model_args(path: Path, text: str, given: Mapping[str, str | int | float]) -> dict[str, str]:
    """Return the arguments of the backend, unless one is for the user alone to give: files are passed around."""
    for key, value in given.items():
        if key not in MODEL_ARGUMENTS:
            flag = "--api-key-env NAME" if key == "api_key_env" else f"--judge-arg {key}={value}"
            why = "is not taken from a judge file, which may come from anyone and so chooses no host, key, file or code"
            raise fault(path, text, f"model_args.{key}", f"{why}; give {flag} on the command line")
    return {key: str(value) for key, value in given.items()}


def read_rule(path: Path, text: str, table: Mapping[str, Any]) -> VerdictRule:
    """Read a table ``[verdict]``; raise :class:`UsageError`, which names file, line and key, if it makes no sense."""
    for key in table:
        if key not in RULE_KEYS:
            raise fault(path, text, f"verdict.{key}", f"is not a key of a verdict; it has {', '.join(RULE_KEYS)}")
    changed = dict(table)
    labels = changed.get("labels")
    if isinstance(labels, list):
        if len(labels) != 2 or len(set(map(str, labels))) != 2:
            why = "is a list of two labels, for the answer shown first and the one shown second; with more, give each "
            raise fault(path, text, "verdict.labels", why + 'its value: { "A" = 1.0, "tie" = 0.5, "B" = 0.0 }')
        changed["labels"] = dict(zip(map(str, labels), (1.0, 0.0), strict=True))
    elif isinstance(labels, dict):
        changed["labels"] = {
            label: float(worth) if isinstance(worth, bool) else worth for label, worth in labels.items()
        }
    try:
        rule = msgspec.convert(changed, VerdictRule)
    except (msgspec.ValidationError, OverflowError) as error:
        key, why = located(error)
        raise fault(path, text, f"verdict.{key}", why) from error
    if wrong := problem(rule) or problem_of_patterns(rule):
        raise fault(path, text, f"verdict.{wrong[0]}", wrong[1])
    return rule


def read_sampling(path: Path, text: str, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Read a table of sampling; raise :class:`UsageError`, which names file, line and key, if it makes no sense."""
    for key in table:
        if key not in SAMPLING:
            raise fault(path, text, f"{where}.{key}", f"is not a setting of sampling; there are {', '.join(SAMPLING)}")
    changed = dict(table)
    if isinstance(changed.get("stop"), str):
        changed["stop"] = [changed["stop"]]
    try:
        found = msgspec.convert(changed, Sampling)
    except (msgspec.ValidationError, OverflowError) as error:
        key, why = located(error)
        raise fault(path, text, f"{where}.{key}", why) from error
    for key, lowest in (("temperature", 0), ("max_tokens", 1), ("top_logprobs", 0)):
        value = getattr(found, key)
        if value is not None and not lowest <= value <= 1e9:
            raise fault(path, text, f"{where}.{key}", f"is {value}; it is {lowest} or more")
    if found.json_schema and not _is_object(found.json_schema):
        raise fault(path, text, f"{where}.json_schema", "is no JSON object")
    return {key: list(found.stop) if key == "stop" else getattr(found, key) for key in changed}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


# -- annotators_config


class _Annotator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One evaluator of an ``annotators_config``."""

    prompt_template: str
    fn_completions: str = "openai_completions"
    completions_kwargs: dict[str, Any] = {}
    fn_completion_parser: str | None = "regex_parser"
    completion_parser_kwargs: dict[str, Any] = {}
    completion_key: str = "completions"
    batch_size: int = 1
    is_randomize_output_order: bool = True
    processors_to_kwargs: dict[str, Any] = {}
    is_store_raw_completions: bool = True


DECODERS = {
    "openai_completions": "openai:",
    "anthropic_completions": "anthropic:",
    "huggingface_local_completions": "hf:",
    "vllm_local_completions": "vllm:",
}
"""Functions of upstream that ask a model, and our backend for each."""
TOKENS = ("max_tokens", "max_tokens_to_sample", "max_new_tokens")
OTHER_PARSERS = ("pipeline_meta_parser", "replace_parser", "eval_parser")
"""Parsers of upstream's that have no counterpart here."""
IGNORED = (
    "logprobs",
    "requires_chatml",
    "is_chatml_prompt",
    "price_per_token",
    "num_procs",
    "client_function_name",
    "batch_size",
)
"""Settings of upstream's functions that change nothing here."""


def _read_yaml(path: Path, text: str) -> JudgeFile:
    try:
        # Aliases can make a small file unfold into a huge one, and no published configuration has any.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UsageError(f"{path} has aliases (*name), which are not followed; write out what they stand for")
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict) or len(found) != 1 or not all(isinstance(one, dict) for one in found.values()):
        count = f"{len(found)} of them: {', '.join(map(str, found))[:120]}" if isinstance(found, dict) else "no table"
        raise UsageError(
            f"{path} is expected to be an annotators_config of alpaca_eval with one evaluator, and it holds {count}. "
            "An evaluator has a name, and below it prompt_template, fn_completions and so on; of several, keep one"
        )
    ((name, table),) = found.items()
    try:
        annotator = msgspec.convert(table, _Annotator)
    except (msgspec.ValidationError, OverflowError) as error:
        unknown = re.search(r"unknown field `(\w+)`", str(error))
        if unknown:
            raise fault(
                path,
                text,
                unknown[1],
                f"is not a key of an evaluator; there are {', '.join(_Annotator.__struct_fields__)}",
            ) from error
        key, why = located(error)
        raise fault(path, text, key, why) from error
    if annotator.batch_size != 1:
        raise fault(
            path,
            text,
            "batch_size",
            f"is {annotator.batch_size}; here each pair is judged by itself, so only 1 can be carried over",
        )
    if not annotator.is_randomize_output_order:
        raise fault(
            path,
            text,
            "is_randomize_output_order",
            "is false; here the order is drawn for each pair, or both are judged",
        )
    for processor in annotator.processors_to_kwargs:
        if processor != "ChainOfThoughtProcessor":  # it only stores the explanation
            raise fault(path, text, processor, "is a processor that cannot be carried over: it is Python code")
    own = OwnJudge(
        name=str(name),
        prompt=_template(path, text, annotator.prompt_template),
        syntax="alpaca_eval",
        verdict=_parser(
            path, text, annotator.fn_completion_parser or "regex_parser", annotator.completion_parser_kwargs
        ),
        sampling=_completions(path, text, annotator),
    )
    own.opened(annotator.prompt_template)
    models, why = _models(path, text, annotator)
    return JudgeFile(judge=own, models=models, prompt_path=annotator.prompt_template, without_model=f"{path}: {why}")


def _template(path: Path, text: str, name: str) -> str:
    """Read the prompt: upstream's paths begin at the folder of all evaluators."""
    for folder in (path.parent.parent, path.parent):
        if (folder / name).is_file():
            return _text(folder / name)
    beside = path.parent / Path(name).name
    if beside.is_file():
        return _text(beside)
    raise fault(
        path, text, "prompt_template", f"{name!r} is a file neither in {path.parent} nor in the folder above it"
    )


def _completions(path: Path, text: str, annotator: _Annotator) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in annotator.completions_kwargs.items():
        if key in ("model_name", "client_kwargs", "model_kwargs") or key in IGNORED:
            continue
        if key in TOKENS:
            found["max_tokens"] = value
        elif key in ("temperature", "top_p", "seed", "top_logprobs"):
            found[key] = value
        elif key in ("stop", "stop_seq", "stop_sequences"):
            found["stop"] = value
        elif key in ("tools", "tool_choice", "functions", "function_call"):
            raise fault(
                path,
                text,
                key,
                "asks the model to call a function, which no judge does here; the verdict must be in its words",
            )
        else:
            raise fault(
                path,
                text,
                key,
                f"cannot be carried over; there are {', '.join(('temperature', 'top_p', 'seed', 'stop', *TOKENS))}",
            )
    return read_sampling(path, text, found, "completions_kwargs")


def _models(path: Path, text: str, annotator: _Annotator) -> tuple[tuple[str, ...], str]:
    """Return the model's spec, or why there is none."""
    name, given = annotator.completions_kwargs.get("model_name"), annotator.completions_kwargs
    client = given.get("client_kwargs")
    address = client.get("base_url") if isinstance(client, dict) else None
    if not isinstance(name, str):
        return (), "it has no model_name"
    if annotator.fn_completions not in DECODERS:
        return (), f"fn_completions {annotator.fn_completions} has no counterpart here"
    if address is not None:
        if not isinstance(address, str) or not address.startswith(("http://", "https://")):
            raise fault(
                path, text, "base_url", f"{address!r:.80} is not the address of a server, such as http://HOST:PORT/v1"
            )
        return (f"{address.rstrip('/')}#{name}",), ""
    return (DECODERS[annotator.fn_completions] + name,), ""


def _parser(path: Path, text: str, name: str, given: Mapping[str, Any]) -> VerdictRule:
    """Translate a parser of upstream's; refuse by name one that has no counterpart."""
    try:
        match name:
            case "logprob_parser":
                rule = _logprob_rule(given)
            case "regex_parser":
                shares = {1: 1.0, 2: 0.0, 0: 0.5, 1.5: 0.5}
                patterns = {_words(p): shares[float(key)] for key, p in given["outputs_to_match"].items()}
                rule = VerdictRule(read="label", labels=patterns, patterns=True, which="only")
            case "ranking_parser":
                rule = VerdictRule(read=ALPACA_EVAL_READINGS[0], model_1=_words(given.get("model_1_name", "model_1")))
            case "lmsys_parser":
                rule = VerdictRule(read=ALPACA_EVAL_READINGS[1])
            case "json_parser":
                shares = {1: 1.0, 2: 0.0, 1.5: 0.5}
                rule = VerdictRule(
                    read=f"json:{_words(given['annotation_key'])}", labels={f"{k:g}": v for k, v in shares.items()}
                )
            case _:
                why = "has no counterpart here" if name in OTHER_PARSERS else "is Python code, which is never run"
                there = "logprob_parser, regex_parser, ranking_parser, lmsys_parser and json_parser"
                raise fault(
                    path, text, "fn_completion_parser", f"{name} {why}. There are {there}; or write a judge.toml"
                )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise fault(
            path, text, "completion_parser_kwargs", f"do not fit {name}: {type(error).__name__}: {error}"
        ) from error
    if wrong := problem(rule) or problem_of_patterns(rule):
        raise fault(path, text, "completion_parser_kwargs", f"do not fit {name}: {wrong[0]} {wrong[1]}")
    return rule


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} is not a text; put it in quotes if it is meant as one")
    return value


def _logprob_rule(given: Mapping[str, Any]) -> VerdictRule:
    first, tokens = _words(given["numerator_token"]), [_words(token) for token in given["denominator_tokens"]]
    index = given.get("log_prob_index", "batch")
    if index not in ("batch", 0, -1) or first not in tokens or len(tokens) != 2:
        raise ValueError("it takes two tokens, one of them the numerator's, and the first or the last position")
    (second,) = (token for token in tokens if token != first)
    return VerdictRule(
        read="logprob",
        labels={first: 1.0, second: 0.0},
        binarise=bool(given.get("is_binarize", True)),
        position="last" if index == -1 else "first",
    )
