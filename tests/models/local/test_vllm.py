"""The vllm backend on a small random Llama: it says what hf says, whatever the batch, and streams.

Run in the environment that holds vLLM (``make test-vllm``); elsewhere these tests are skipped.
"""

import importlib
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.models import OpenSettings
from judgebench.models.local.checkpoints import checkpoint_digest
from judgebench.models.local.hf import HfModel
from judgebench.models.local.vllm import VllmModel
from judgebench.models.opening import open_model, parse_model
from judgebench.records import Completion, Message, Request, Sampling
from tests.models.llama import answers, ask, prompts, save_random_llama
from tests.patience import PATIENCE_SECONDS

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

CONTEXT = 512
LABELS = (" fox", " fox jumps", " fox jumps over", "[[A>B]]", "[[A<B]]", "Z")
TOLERANCE = 1e-4
"""Of log-probabilities that two engines compute in float32."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random Llama on disk; its generation config would sample at temperature 1.7 and punish repetition."""
    path = tmp_path_factory.mktemp("checkpoints") / "random-llama"
    save_random_llama(path, head_dim=64, context=CONTEXT)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[VllmModel]:
    """The random Llama in an engine; the tests of this module share it."""
    opened = VllmModel(folder, max_num_seqs=16, enforce_eager=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def by_transformers(folder: Path) -> Iterator[HfModel]:
    """The same checkpoint in the hf backend."""
    opened = HfModel(folder)
    yield opened
    opened.close()


def assert_same_logprobs(one: Completion, other: Completion) -> None:
    """The same tokens at each position, in the same order, with the same values."""
    assert one.top_logprobs is not None
    assert other.top_logprobs is not None
    assert [[token for token, _ in position] for position in one.top_logprobs] == [
        [token for token, _ in position] for position in other.top_logprobs
    ]
    values, others = ([v for position in c.top_logprobs or () for _, v in position] for c in (one, other))
    assert values == pytest.approx(others, abs=TOLERANCE)


# As hf


def test_greedy_replies_are_those_of_hf_token_for_token(model: VllmModel, by_transformers: HfModel) -> None:
    """40 prompts of 5 to 27 tokens, 24 new ones each: text, counts, endings and the three likeliest at each place."""
    requests = [ask(text, max_tokens=24, top_logprobs=3) for text in prompts(40)]
    ours, expected = answers(model, requests), answers(by_transformers, requests)
    for reply, other in zip(ours, expected, strict=True):
        assert (reply.text, reply.finish_reason, reply.usage) == (other.text, other.finish_reason, other.usage)
        assert_same_logprobs(reply, other)
    assert len({reply.text for reply in ours}) > 20
    assert {reply.finish_reason for reply in ours} == {"stop", "length"}


def test_labels_are_as_likely_as_to_hf(model: VllmModel, by_transformers: HfModel) -> None:
    """Labels of one token and of several, some beginning alike, after prompts of 5 to 300 tokens."""
    requests = [ask(text, choices=LABELS) for text in [*prompts(8), "the fox " * 100]]
    for reply, other in zip(answers(model, requests), answers(by_transformers, requests), strict=True):
        assert reply.text == other.text
        assert reply.usage == other.usage
        assert_same_logprobs(reply, other)


def test_continuations_are_as_likely_as_to_hf(model: VllmModel, by_transformers: HfModel) -> None:
    """Texts of one to ten tokens after plain and chat prompts, among replies with logprobs; one of them twice."""
    texts = (" fox", " fox jumps over", " quick brown", " quick brown", "né ☃")
    requests = [ask(text, continuations=texts, raw=place % 3 > 0) for place, text in enumerate(prompts(12))]
    mixed = [one for request in requests for one in (request, ask("the", max_tokens=4, top_logprobs=2))]
    ours, expected = answers(model, mixed)[::2], answers(by_transformers, requests)
    for one, other in zip(ours, expected, strict=True):
        assert_same_logprobs(one, other)
        assert one.text == other.text


def test_scored_labels_and_likeliest_tokens_do_not_disturb_each_other(model: VllmModel) -> None:
    """Asked in turns, each gets what it gets alone (in one batch of vLLM the likeliest tokens would be missing)."""
    scored = [ask(text, choices=LABELS) for text in prompts(6)]
    spoken = [ask(text, max_tokens=6, top_logprobs=4) for text in prompts(6)]
    together = answers(model, [request for pair in zip(scored, spoken, strict=True) for request in pair])
    for reply, other in zip(together, [*answers(model, scored), *answers(model, spoken)], strict=False):
        assert reply.top_logprobs is not None
        assert other.top_logprobs is not None
    for mixed, alone in ((together[::2], answers(model, scored)), (together[1::2], answers(model, spoken))):
        for reply, other in zip(mixed, alone, strict=True):
            assert reply.text == other.text
            assert_same_logprobs(reply, other)


def test_the_prompt_is_hf_s_own(model: VllmModel, by_transformers: HfModel) -> None:
    """Rendered text and token count are equal: one BOS, the template's own."""
    request = ask("the quick fox", max_tokens=1)
    assert (
        model.render(request) == by_transformers.render(request) == "<|bos|><|user|>the quick fox<|end|><|assistant|>"
    )
    assert answers(model, [request])[0].usage == answers(by_transformers, [request])[0].usage


# Batches and draws


def test_greedy_replies_do_not_depend_on_order_or_neighbours(model: VllmModel) -> None:
    """One by one, all together, backwards, and among sampled ones: the same replies."""
    requests = [ask(text, max_tokens=10) for text in prompts(17)]
    alone = [answers(model, [request])[0] for request in requests]
    noise = [ask(text, max_tokens=5, temperature=1.0) for text in prompts(17)]
    assert answers(model, requests) == alone
    assert answers(model, requests[::-1])[::-1] == alone
    assert answers(model, [*noise, *requests])[17:] == alone


def test_a_draw_depends_on_its_request_alone(model: VllmModel) -> None:
    """Sampled replies are the same in other batches and orders; another seed or repeat is another draw."""
    requests = [ask(text, max_tokens=8, temperature=0.9, top_p=0.95) for text in prompts(9)]
    alone = [answers(model, [request])[0].text for request in requests]
    mixed = [*(ask(text, max_tokens=5) for text in prompts(9)), *requests]
    assert [reply.text for reply in answers(model, mixed)][9:] == alone
    assert [reply.text for reply in answers(model, requests[::-1])][::-1] == alone
    for change in ({"seed": 1}, {"repeat": 1}):
        others = [ask(text, max_tokens=8, temperature=0.9, top_p=0.95, **change) for text in prompts(9)]
        assert [reply.text for reply in answers(model, others)] != alone


def test_the_checkpoints_sampling_is_left_aside(model: VllmModel) -> None:
    """Temperature ``None`` is greedy, as 0 is, though the generation config wants 1.7."""
    texts = prompts(6)
    unset, zero = ([ask(text, max_tokens=8, temperature=t) for text in texts] for t in (None, 0.0))
    assert answers(model, unset) == answers(model, zero)


# Streaming


def test_replies_come_before_the_last_request_exists(model: VllmModel) -> None:
    """An iterable that waits for the first reply before it makes the next request gets it."""
    answered = threading.Event()

    def requests() -> Iterator[Request]:
        yield ask("the fox", max_tokens=2)
        assert answered.wait(PATIENCE_SECONDS), "no reply came"
        yield ask("a dog", max_tokens=2)

    seen = []
    for index, _ in model.complete(requests()):
        seen.append(index)
        answered.set()
    assert seen == [0, 1]


def test_a_request_joins_while_another_runs(model: VllmModel) -> None:
    """A short reply asked for later comes before a long one that was begun earlier."""
    endless = Request(
        messages=(Message(role="user", content="the fox"),), sampling=Sampling(max_tokens=400, temperature=1.5)
    )
    order = [index for index, _ in model.complete(iter([endless, *(ask(text, max_tokens=1) for text in prompts(3))]))]
    assert order[-1] == 0
    assert sorted(order) == [0, 1, 2, 3]


def test_tokens_count_before_their_reply_is_complete(model: VllmModel) -> None:
    """After the first of eight replies, the tokens of the seven others are known."""
    requests = [ask(text, max_tokens=4 * (place + 1)) for place, text in enumerate(["the fox " * 3] * 8)]
    assert model.gauge() == (0, 0, 0)
    seen = []
    for _, reply in model.complete(requests):
        seen.append((model.gauge(), reply.usage.completion_tokens))
    (first, length), *_, (last, _) = seen
    assert first.rows == 8 - sum(tokens == length for _, tokens in seen)
    assert first.rows * (length - 1) <= first.tokens <= first.rows * (length + 2)
    assert last == model.gauge() == (0, 0, 0)


def test_an_abandoned_iterator_leaves_nothing_running(model: VllmModel) -> None:
    """After it is closed, the engine has no request left, and the next call gets its own replies."""
    replies = iter(model.complete([ask(text, max_tokens=100, repeat=n) for n, text in enumerate(prompts(12))]))
    next(replies)
    replies.close()  # type: ignore[attr-defined]
    assert not model._engine._engine.has_unfinished_requests()  # type: ignore[union-attr]
    assert len(answers(model, [ask("the fox", max_tokens=2)])) == 1


def test_an_iterable_that_fails_does_so_after_its_requests_are_answered(model: VllmModel) -> None:
    """What was asked for before the failure is not lost."""

    def requests() -> Iterator[Request]:
        for _ in range(3):
            yield ask("the fox", max_tokens=2)
        raise LookupError("the fourth request could not be made")

    seen: list[int] = []
    with pytest.raises(LookupError, match="fourth"):
        seen.extend(index for index, _ in model.complete(requests()))
    assert sorted(seen) == [0, 1, 2]


def test_no_requests_no_engine(folder: Path) -> None:
    """An empty iterable ends at once, and nothing is started for it."""
    opened = VllmModel(folder)
    assert list(opened.complete([])) == []
    assert opened._engine is None


# Requests that cannot be answered


def test_a_prompt_beyond_the_context_is_one_failed_row(model: VllmModel) -> None:
    """Its error names both lengths; its neighbours are answered. Labels need room too."""
    before, failed, after, unscored = answers(
        model,
        [
            ask("the fox", max_tokens=2),
            ask("x" * 600, max_tokens=2),
            ask("a dog", max_tokens=2),
            ask("x" * (CONTEXT - 4 - 2), choices=("AAA",)),
        ],
    )
    assert (failed.text, failed.error) == (None, f"the prompt has 604 tokens, the model's context is {CONTEXT}")
    assert unscored.error is not None
    assert before.error is None
    assert after.error is None


def test_a_reply_is_clipped_to_the_context(model: VllmModel) -> None:
    """A prompt that leaves three tokens of room gets three at most; a label that just fits is scored."""
    cut, scored = answers(
        model, [ask("x" * (CONTEXT - 3 - 4), max_tokens=1000), ask("x" * (CONTEXT - 3 - 4), choices=("AAA", "B"))]
    )
    assert cut.error is None
    assert cut.usage.prompt_tokens == CONTEXT - 3
    assert cut.usage.completion_tokens <= 3
    assert scored.error is None


def test_what_vllm_refuses_is_one_failed_row(model: VllmModel) -> None:
    """A temperature of 3 is beyond its range; the row says so and the neighbour is answered."""
    failed, fine = answers(model, [ask("the fox", max_tokens=2, temperature=3.0), ask("the fox", max_tokens=2)])
    assert failed.error is not None
    assert "temperature" in failed.error
    assert fine.error is None


# Opening


def message_of(error: type[Exception], *arguments: object, **options: object) -> str:
    """The one paragraph that opening or loading ends with."""
    with pytest.raises(error) as caught:
        VllmModel(*arguments, **options).load()  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_name_and_identity(folder: Path) -> None:
    """They are those of hf but for the backend; what changes a reply changes the identity."""
    opened = VllmModel(folder)
    assert opened.name == "random-llama"
    assert opened.identity == f"vllm:{checkpoint_digest(folder)} dtype=float32"
    changes = ({"dtype": "bfloat16"}, {"max_model_len": 128}, {"chat_template": "none"}, {"quantization": "fp8"})
    assert len({opened.identity, *(VllmModel(folder, **change).identity for change in changes)}) == 5  # type: ignore[arg-type]


def test_the_spec_opens_this_backend(folder: Path) -> None:
    """``vllm:FOLDER`` and lm-eval's spelling are one; a bare folder is hf's where no GPU is."""
    spec, rest = parse_model(f"vllm:{folder}", {"max_model_len": "128"})
    other, _ = parse_model("vllm", {"pretrained": str(folder), "max_model_len": "128"})
    assert spec == other
    assert spec.local
    opened = open_model(spec, OpenSettings(arguments=rest))
    assert isinstance(opened, VllmModel)
    assert opened.identity.endswith("context=128")
    with pytest.raises(UsageError, match="tensor_parallel_size"):
        open_model(spec, OpenSettings(arguments={"batch_tokens": "9"}))


def test_a_context_beyond_the_models_is_refused_before_the_run(folder: Path) -> None:
    """Both lengths are named."""
    text = message_of(UsageError, folder, max_model_len=4096)
    assert "4096" in text
    assert str(CONTEXT) in text


def test_sizes_and_dtypes_that_cannot_be_are_named(folder: Path) -> None:
    """Each is a usage error before anything is loaded."""
    assert "bfloat16" in message_of(UsageError, folder, dtype="int3")
    assert "tensor_parallel_size" in message_of(UsageError, folder, tensor_parallel_size=0)
    assert "gpu_memory_utilization" in message_of(UsageError, folder, gpu_memory_utilization=2.0)


def test_what_is_no_checkpoint_is_named(folder: Path, tmp_path: Path) -> None:
    """A folder that is not there, one without weights, one whose weights were cut off, an unknown architecture."""
    assert "no checkpoint folder" in message_of(UsageError, tmp_path / "absent")
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    assert "cut off" in message_of(ModelError, tmp_path)
    weights.unlink()
    assert "no weights" in message_of(ModelError, tmp_path)
    weights.write_bytes((folder / "model.safetensors").read_bytes())
    config = msgspec.json.decode((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(config | {"architectures": ["NobodysModel"]}))
    assert "NobodysModel" in message_of(ModelError, tmp_path)


def test_an_adapter_that_is_none_is_named(folder: Path, tmp_path: Path) -> None:
    """The message says what the folder should hold, or which ranks there are."""
    assert "adapter_config.json" in message_of(UsageError, folder, lora=str(tmp_path))
    (tmp_path / "adapter_config.json").write_text('{"r": 4096}')
    assert "4096" in message_of(UsageError, folder, lora=str(tmp_path))


def test_without_vllm_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message holds the command that installs it."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert "pip install 'judgebench[vllm]'" in message_of(UsageError, folder)


def test_without_a_device_hf_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CUDA build on a machine without GPU imports well, but its platform is unspecified."""
    from vllm.platforms import current_platform

    monkeypatch.setattr(type(current_platform), "is_unspecified", lambda self: True)
    assert "hf:" in message_of(UsageError, folder)


# Adapters


def save_adapter(base: Path, adapter: Path, merged: Path) -> None:
    """A random LoRA adapter of rank 4 and weight 2, and the checkpoint that it is merged into."""
    torch, transformers, safetensors = (
        importlib.import_module(name) for name in ("torch", "transformers", "safetensors.torch")
    )
    network = transformers.AutoModelForCausalLM.from_pretrained(base)
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for number, layer in enumerate(network.model.layers):
        for name in ("q_proj", "v_proj"):
            weight = getattr(layer.self_attn, name).weight
            outputs, inputs = weight.shape
            down, up = (0.1 * torch.randn(*shape, generator=generator) for shape in ((4, inputs), (outputs, 4)))
            prefix = f"base_model.model.model.layers.{number}.self_attn.{name}"
            tensors |= {f"{prefix}.lora_A.weight": down, f"{prefix}.lora_B.weight": up}
            with torch.no_grad():
                weight += 2 * up @ down
    adapter.mkdir()
    safetensors.save_file(tensors, adapter / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "bias": "none"}
    (adapter / "adapter_config.json").write_bytes(msgspec.json.encode(settings))
    network.save_pretrained(merged)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(base / name, merged / name)


def test_an_adapter_answers_as_the_checkpoint_it_is_merged_into(
    model: VllmModel, by_transformers: HfModel, folder: Path, tmp_path: Path
) -> None:
    """Name and identity tell it from its base, and so do the replies, which are those of the merged weights."""
    adapter, merged = tmp_path / "pirate", tmp_path / "merged"
    save_adapter(folder, adapter, merged)
    model.close()  # two engines cannot share this process
    adapted = VllmModel(folder, lora=str(adapter), max_num_seqs=16, enforce_eager=True)
    assert adapted.name == "random-llama+pirate"
    assert adapted.identity == f"vllm:{checkpoint_digest(folder)} lora={checkpoint_digest(adapter)} dtype=float32"
    requests = [ask(text, max_tokens=12, top_logprobs=2) for text in prompts(12)]
    replies = answers(adapted, requests)
    adapted.close()
    for reply, other in zip(replies, answers(HfModel(merged), requests), strict=True):
        assert reply.text == other.text
        assert_same_logprobs(reply, other)
    assert [reply.text for reply in replies] != [reply.text for reply in answers(by_transformers, requests)]
