"""Every Eval Ever's records, schema 0.3.0: a JSON file for each task of a run, and its samples beside it.

Shapes follow ``every_eval_ever/schemas/{eval,instance_level_eval}.schema.json`` of the package 0.3.0, and paths its
validator (``data/<collection>/<developer>/<model>/<uuid4>.json``). All details there are texts. What the schema has no
place for (counts, how a number was computed) is kept in them, so that a score can be read back unchanged.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from judgebench.codec import decode_json, encode
from judgebench.data.rows import FileRow
from judgebench.records import Example, ExampleScore, Generation, Score
from judgebench.run.reading import Run, TaskRun
from judgebench.task import Task

SCHEMA_VERSION = "0.3.0"
OURS = "judgebench.score"
"""The detail that holds a whole score of ours."""
BOUNDS: Mapping[str, tuple[float | str, float | str]] = {
    "percent": (0, 100),
    "characters": (0, "Infinity"),
    "usd": (0, "Infinity"),
}
"""Bounds by unit; units not listed have none."""
UNBOUNDED = ("-Infinity", "Infinity")
DEPLOYMENT = {"openai": "externally_managed", "anthropic": "externally_managed"}
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?|data")
"""Names that the datastore does not take for a folder."""


def documents(run: Run) -> Iterator[tuple[str, Any]]:
    """The files of a run by their path: an aggregate for each task, and its samples where there are any."""
    for task in run.tasks.values():
        document = _aggregate(run, task)
        developer, _, model = document["model_info"]["id"].partition("/")
        place = "/".join(("data", *map(_folder, (task.key, developer, model.replace("/", "_")))))
        name = uuid.UUID(bytes=hashlib.sha256(document["evaluation_id"].encode()).digest()[:16], version=4)
        samples = [encode(row) for row in _samples(task, document)]
        if samples:
            content = b"".join(line + b"\n" for line in samples)
            document["detailed_evaluation_results"] = {
                "format": "jsonl",
                "file_path": f"{place}/{name}_samples.jsonl",
                "hash_algorithm": "sha256",
                "checksum": hashlib.sha256(content).hexdigest(),
                "total_rows": len(samples),
            }
            yield f"{place}/{name}_samples.jsonl", content
        yield f"{place}/{name}.json", document


def read_scores(rows: Sequence[FileRow], task: Task) -> dict[str, tuple[str, list[Score]]]:
    """By model, who reports its scores on a task, and the scores; other tasks, sets and samples are skipped.

    Raises :class:`~judgebench.errors.RecordError` for anything that is not a record written by judgebench.
    """
    found: dict[str, tuple[str, list[Score]]] = {}
    for row in rows:
        if "sample_id" in row.fields:
            continue
        results = row.fields.get("evaluation_results")
        library, model = _object(row.fields, "eval_library"), _object(row.fields, "model_info")
        if not isinstance(results, list) or not library or not model:
            raise row.error("a record of Every Eval Ever was expected, with 'evaluation_results' and 'eval_library'")
        about = _object(library, "additional_details")
        if library.get("name") != "judgebench":
            raise row.error(f"it was written by {str(library.get('name'))[:80]}; only judgebench's records are read")
        label = str(about.get("task")).partition(":")[0]
        if label != f"{task.name}@{task.version}" or about.get("starter") != str(task.starter).lower():
            continue
        scores = [_stored(row, result) for result in results]
        scores += _decoded(row, about.get("not_computed", "[]"), list[Score])
        reported_by = f"judgebench {library.get('version')}, protocol {about.get('protocol_hash')}"
        found[str(model.get("name"))] = reported_by, scores
    return found


def _object(value: Any, name: str) -> dict[str, Any]:
    """The object under a name of a foreign object, or an empty one."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def _stored(row: FileRow, result: Any) -> Score:
    """A result's whole score, which must be the number beside it."""
    details = _object(result, "score_details")
    score: Score = _decoded(row, _object(details, "details").get(OURS), Score)
    if score.value != details.get("score"):
        raise row.error(f"the result of {score.metric} says another number than its details: the file was changed")
    return score


def _decoded(row: FileRow, text: Any, kind: Any) -> Any:
    try:
        return decode_json(text.encode() if isinstance(text, str) else b"", kind)
    except ValueError as error:
        raise row.error(f"judgebench did not write this detail as it is: {error}") from error


# -- the aggregate


def _aggregate(run: Run, task: TaskRun) -> dict[str, Any]:
    manifest, task_manifest = run.manifest, task.task_manifest
    stamp = str(int(manifest.ended.timestamp()))
    model = _model(manifest.candidate, manifest.candidate_spec, imported=manifest.imported_from is not None)
    about = {
        "task": task_manifest.label,
        "run_id": manifest.run_id,
        "protocol_hash": task_manifest.protocol_hash,
        "input_hash": task_manifest.input_hash,
        "starter": str(task_manifest.starter).lower(),
        "not_computed": encode([score for score in task.scores if score.value is None]).decode(),
    }
    if manifest.imported_from:
        about["imported_from"] = manifest.imported_from
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{task_manifest.label}/{model['id']}/{stamp}",
        "evaluation_timestamp": stamp,
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": f"judgebench run {manifest.run_id}",
            "source_type": "evaluation_run",
            "source_organization_name": "not stated",
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "judgebench",
            "version": manifest.versions.get("judgebench", "unknown"),
            "additional_details": about,
        },
        "model_info": model,
        "evaluation_results": [_result(task, score) for score in task.scores if score.value is not None],
    }


def _model(name: str, spec: str | None, *, imported: bool = False) -> dict[str, Any]:
    """A model in the schema's terms. Its hub id or its vendor tells whose it is; otherwise that is unknown."""
    kind, colon, _ = (spec or "").partition(":")
    vendor = kind if colon and kind in DEPLOYMENT and not imported else None
    owner = None if "/" not in name else name.partition("/")[0]
    return {
        "name": name,
        "id": name if owner else f"{vendor or 'unknown'}/{name}",
        "developer": owner or vendor or "unknown",
        "additional_details": {
            "deployment_type": DEPLOYMENT.get(vendor or "", "unknown"),
            "model_availability": "unknown",
        },
    }


def _folder(name: str) -> str:
    """A name as the name of a folder in the datastore: portable, and inside it."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".")[:100] or "unknown"
    return f"_{safe}" if RESERVED.fullmatch(safe) else safe


def _result(task: TaskRun, score: Score) -> dict[str, Any]:
    task_manifest = task.task_manifest
    low, high = BOUNDS.get(score.unit, UNBOUNDED)
    metric: dict[str, Any] = {
        "metric_id": f"judgebench.{score.task}.{score.metric}",
        "metric_name": score.metric,
        "metric_unit": score.unit,
        "lower_is_better": False,
        "score_type": "continuous",
        "min_score": low,
        "max_score": high,
    }
    if judges := list(_judges(task_manifest.protocol.get("judges"))):
        # A prompt's wording belongs to the benchmark's owner; the record only says which prompt it is.
        metric["llm_scoring"] = {
            "judges": [{"model_info": _model(model, model)} for model in dict(judges)],
            "input_prompt": "; ".join(dict.fromkeys(prompt for _, prompt in judges)),
        }
    result: dict[str, Any] = {
        "evaluation_result_id": _result_id(task_manifest.label, score.metric, score.group),
        "evaluation_name": task_manifest.label if score.group is None else f"{task_manifest.label} {score.group}",
        "source_data": {
            "dataset_name": f"{task_manifest.label} starter set" if task_manifest.starter else task_manifest.label,
            "source_type": "other",
            "additional_details": {source.name: f"sha256:{source.sha256}" for source in task_manifest.sources},
        },
        "metric_config": metric,
        "score_details": {
            "score": score.value,
            "details": {OURS: encode(score).decode()},
        },
    }
    if uncertainty := _uncertainty(score):
        result["score_details"]["uncertainty"] = uncertainty
    if sampling := task_manifest.sampling:
        given = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
        result["generation_config"] = {"generation_args": {k: v for k, v in given.items() if v is not None}}
    return result


def _result_id(label: str, metric: str, group: str | None) -> str:
    return "/".join(part for part in (label, metric, group) if part)


def _judges(protocol: Any) -> Iterator[tuple[str, str]]:
    """Model and prompt of every judge that a protocol names."""
    for name, played in (protocol if isinstance(protocol, dict) else {}).items():
        for seat in played.get("jury", [played]) if isinstance(played, dict) else []:
            yield str(seat.get("model")), f"{name}: {json.dumps(seat.get('prompt_and_rule'), sort_keys=True)}"


def _uncertainty(score: Score) -> dict[str, Any]:
    found: dict[str, Any] = {}
    method = score.method or "not stated"
    if score.stderr is not None:
        found["standard_error"] = {"value": score.stderr, "method": method}
    if score.low is not None and score.high is not None:
        found["confidence_interval"] = {"lower": score.low, "upper": score.high, "method": method}
        if score.level is not None:
            found["confidence_interval"]["confidence_level"] = score.level
    return {**found, "num_samples": score.n} if found else {}


# -- samples


def _samples(task: TaskRun, document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each example and metric that has a value; reported numbers have none."""
    if task.task_manifest.protocol.get("reported_by"):
        return
    examples = {example.id: example for example in task.examples()}
    generations = task.generations()
    verified = not task.task_manifest.protocol.get("judges")
    overall = task.overall
    for row in task.example_scores():
        if row.value is not None and row.example_id in examples:
            sample = _sample(row, examples[row.example_id], generations.get(row.example_id), verified=verified)
            if row.metric in overall and overall[row.metric].value is not None:
                sample["evaluation_result_id"] = _result_id(task.task_manifest.label, row.metric, None)
            yield {
                "schema_version": SCHEMA_VERSION,
                "evaluation_id": document["evaluation_id"],
                "model_id": document["model_info"]["id"],
                "evaluation_name": f"{task.task_manifest.label} {row.metric}",
                **sample,
            }


def _sample(row: ExampleScore, example: Example, answer: Generation | None, *, verified: bool) -> dict[str, Any]:
    raw = "\n\n".join(message.content for message in example.messages)
    outputs = list(answer.outputs) if answer else []
    several = bool(example.followups)
    extracted = row.covariates.get("extracted")
    attribution = {
        "turn_idx": 2 * len(outputs) - 1 if several and outputs else 0,
        "source": "messages[turn_idx].content" if several else "output.raw",
        "extracted_value": str(extracted),
        "extraction_method": "custom",
        "is_terminal": True,
    }
    sample: dict[str, Any] = {
        "sample_id": example.id,
        "sample_hash": hashlib.sha256("".join((raw, *example.references)).encode()).hexdigest(),
        "interaction_type": "multi_turn" if several else "single_turn",
        "input": {"raw": raw, "reference": list(example.references)},
        "output": None if several else {"raw": outputs},
        "messages": _messages(example, outputs) if several else None,
        "answer_attribution": [] if extracted is None else [attribution],
        "evaluation": {
            "score": row.value,
            "is_correct": verified and row.value == 1.0,
            "num_turns": max(len(outputs), 1),
        },
        "metadata": {"metric": row.metric, "judged": str(not verified).lower(), "weight": str(row.weight)},
    }
    if answer and answer.error:
        sample["error"] = answer.error
    if answer and (answer.usage.prompt_tokens or answer.usage.completion_tokens):
        usage = answer.usage
        sample["token_usage"] = {
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }
    return sample


def _messages(example: Example, outputs: Sequence[str]) -> list[dict[str, Any]]:
    """The conversation: the model's turns after the user's."""
    spoken = [(message.role, message.content) for message in example.messages]
    for number, output in enumerate(outputs):
        if 0 < number <= len(example.followups):
            spoken.append(("user", example.followups[number - 1]))
        spoken.append(("assistant", output))
    return [{"turn_idx": place, "role": role, "content": content} for place, (role, content) in enumerate(spoken)]
