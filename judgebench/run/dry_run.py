"""Estimates the calls and the cost of a run without sending anything.

Prompts that exist are measured (characters / 4). Prompts that depend on an answer that does not exist yet (later turns,
judge prompts) are estimated with the baseline's answer or a typical one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from judgebench.errors import UsageError
from judgebench.models import Model, ModelSpec, OpenSettings
from judgebench.models.call_store import CallStore, call_key, default_store_path
from judgebench.models.opening import open_model, parse_model, price_of
from judgebench.records import Case, Completion, Example, Generation, Request, Usage
from judgebench.run.loading import (
    LoadedTask,
    load_tasks,
    read_candidate,
    require_baseline,
    require_texts,
    select_examples,
    task_sampling,
)
from judgebench.run.seats import judge_specs
from judgebench.run.settings import Settings
from judgebench.run.stages import REPEAT_STRIDE, generation_step

CHARACTERS_PER_TOKEN = 4.0
LOW, HIGH = 0.75, 1.5
"""Factors on the likely number of tokens, because tokenisers and languages differ."""
TYPICAL_REPLY_TOKENS = 400
"""Length of a chat answer if the request allows more."""
TYPICAL_REPLY = "x" * int(CHARACTERS_PER_TOKEN * TYPICAL_REPLY_TOKENS)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of one task."""

    task: str
    stage: str
    model: str
    examples: int
    calls: int
    """Number of calls that would be made."""
    cached: int
    """Number of calls whose reply is in the call store."""
    prompt_tokens: int
    completion_tokens: int
    usd_low: float | None
    usd_likely: float | None
    usd_high: float | None
    """The three USD fields are null if the price is unknown."""


@dataclass(frozen=True)
class _Stage:
    """What one model would be asked for one task."""

    name: str
    loaded_task: LoadedTask
    spec: ModelSpec
    arguments: dict[str, str]
    requests: list[Request]


def estimate(settings: Settings) -> list[Estimate]:
    """Estimate each stage of each task. Local checkpoints are not loaded, because their calls cost nothing."""
    if settings.model is None:
        raise UsageError("--model is missing; name the model under test")
    spec, arguments = parse_model(settings.model, settings.model_args)
    store = CallStore(default_store_path())
    try:
        estimates = []
        for loaded_task in load_tasks(settings):
            require_texts(loaded_task)
            generations: dict[str, Generation] = {}
            if spec.backend.finished:
                given = read_candidate(loaded_task, Path(spec.target), settings.splitting)
                generations = {g.example_id: g for g in given.generations}
            loaded_task = select_examples(loaded_task, settings)
            if not spec.backend.finished:
                requests = _generation_requests(loaded_task, settings)
                stage = _Stage("generate", loaded_task, spec, arguments, requests)
                estimates.append(_estimate(stage, settings, store))
            if loaded_task.data.judges:
                stages = _judge_stages(loaded_task, settings, generations)
                estimates += [_estimate(stage, settings, store) for stage in stages]
        return estimates
    finally:
        store.close()


def _generation_requests(loaded_task: LoadedTask, settings: Settings) -> list[Request]:
    step = generation_step(task_sampling(loaded_task, settings), settings.system, settings.splitting, settings.refine)
    typical = Completion(text=TYPICAL_REPLY)
    requests = [
        step(example, (typical,) * asked)
        for example in loaded_task.data.examples
        for asked in range((1 + len(example.followups)) * (1 + len(settings.refine)))
    ]
    return [request for request in requests if request is not None]


def _judge_stages(loaded_task: LoadedTask, settings: Settings, generations: dict[str, Generation]) -> Iterable[_Stage]:
    """One stage for each judge model, over all judges that it plays."""
    stages: dict[ModelSpec, _Stage] = {}
    seats = judge_specs(loaded_task, settings)
    for case in _cases(loaded_task, generations):
        for judge, spec, arguments in seats[case.judge]:
            stage = stages.setdefault(spec, _Stage("judge", loaded_task, spec, arguments, []))
            for repeat in range(settings.judge_repeats):
                stage.requests.append(msgspec.structs.replace(judge.ask(case), repeat=repeat * REPEAT_STRIDE))
    return stages.values()


def _cases(loaded_task: LoadedTask, generations: dict[str, Generation]) -> Iterator[Case]:
    """Build the cases that would be judged, from the answers that exist or from stand-ins."""
    require_baseline(loaded_task)
    for example in loaded_task.data.examples:
        generation = generations.get(example.id) if generations else _stand_in_answer(loaded_task, example)
        if generation is not None:
            yield from (case for case in loaded_task.task.cases(loaded_task.data, generation) if case.verdict is None)


def _stand_in_answer(loaded_task: LoadedTask, example: Example) -> Generation:
    """Return an answer to estimate with, as long as the baseline's or a typical one."""
    known = (baseline[example.id].outputs for baseline in loaded_task.data.baselines.values() if example.id in baseline)
    typical = tuple(TYPICAL_REPLY for _ in (0, *example.followups))
    outputs = tuple(output + " " for output in next(known, typical))
    return Generation(example_id=example.id, model="?", outputs=outputs)


def _estimate(stage: _Stage, settings: Settings, store: CallStore) -> Estimate:
    model, price = _opened(stage, settings), price_of(stage.spec, stage.arguments)
    missing = [r for r in stage.requests if model is None or store.get(call_key(model.identity, r)) is None]
    prompt = sum(sum(len(message.content) for message in r.messages) for r in missing) / CHARACTERS_PER_TOKEN
    most = [r.sampling.max_tokens or (1 if r.sampling.choices else TYPICAL_REPLY_TOKENS) for r in missing]
    reply = sum(min(tokens, TYPICAL_REPLY_TOKENS) for tokens in most)
    likely = Usage(prompt_tokens=round(prompt), completion_tokens=reply)
    low = Usage(prompt_tokens=round(LOW * prompt), completion_tokens=round(LOW * reply))
    high = Usage(prompt_tokens=round(HIGH * prompt), completion_tokens=sum(most))
    return Estimate(
        task=stage.loaded_task.task.label,
        stage=stage.name,
        model=stage.spec.text,
        examples=len(stage.loaded_task.data.examples),
        calls=len(missing),
        cached=len(stage.requests) - len(missing),
        prompt_tokens=likely.prompt_tokens,
        completion_tokens=likely.completion_tokens,
        usd_low=price.usd(low) if price else None,
        usd_likely=price.usd(likely) if price else None,
        usd_high=price.usd(high) if price else None,
    )


def _opened(stage: _Stage, settings: Settings) -> Model | None:
    """Open the model to learn its identity; ``None`` if that would load a checkpoint, or its key is missing."""
    if stage.spec.local:
        return None
    try:
        return open_model(stage.spec, OpenSettings(arguments=stage.arguments, api_key_env=settings.api_key_env))
    except UsageError:
        return None
