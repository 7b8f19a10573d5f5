"""The hf backend on real checkpoints: a small random Llama, and the wired one whose probabilities are known."""

import functools
import importlib
import itertools
import math
import os
import shutil
import subprocess
import sys
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import msgspec
import pytest

from judgebench.errors import ModelError, UsageError
from judgebench.models.local import hf
from judgebench.models.local.checkpoints import checkpoint_digest
from judgebench.models.local.hf import HfModel
from judgebench.models.local.tiny import read_programs, tiny_checkpoint
from judgebench.records import Completion, Message, Request, Sampling
from tests.models.llama import CONTEXT, SPECIAL, answers, ask, prompts, save_random_llama, save_tokenizer
from tests.patience import PATIENCE_SECONDS

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random Llama on disk."""
    path = tmp_path_factory.mktemp("checkpoints") / "random-llama"
    save_random_llama(path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[HfModel]:
    """The random Llama, opened."""
    opened = HfModel(folder, batch_size=8)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HfModel]:
    """The wired checkpoint, opened."""
    opened = HfModel(tiny_checkpoint(tmp_path_factory.mktemp("cache")), name="tiny")
    yield opened
    opened.close()


def reference(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer as transformers opens them, with nothing of ours."""
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    loaded.generation_config = transformers.GenerationConfig(eos_token_id=[2, 5], pad_token_id=0)
    return loaded, transformers.AutoTokenizer.from_pretrained(folder)


def chat_ids(tokenizer: Any, text: str) -> Any:
    """The prompt's tokens, written out by hand."""
    written = f"<|bos|><|user|>{text}<|end|><|assistant|>"
    return tokenizer(written, add_special_tokens=False, return_tensors="pt").input_ids


# Generation


def test_greedy_replies_equal_those_of_transformers_one_by_one(model: HfModel, folder: Path) -> None:
    """Left-padded batches of unlike lengths give what plain ``generate`` gives for each prompt alone."""
    loaded, tokenizer = reference(folder)
    texts = prompts(20)
    expected = []
    for text in texts:
        ids = chat_ids(tokenizer, text)
        out = loaded.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12)[0, ids.shape[1] :]
        expected.append(tokenizer.decode(out, skip_special_tokens=True))
    replies = answers(model, [ask(text, max_tokens=12) for text in texts])
    assert [reply.text for reply in replies] == expected
    assert len(set(expected)) > 5


def test_greedy_replies_do_not_depend_on_batch_size_or_order(folder: Path) -> None:
    """The same requests in batches of 1, 3 and 16, forwards and backwards, get the same replies."""
    requests = [ask(text, max_tokens=10, top_logprobs=2) for text in prompts(17)]
    first = answers(HfModel(folder, batch_size=1), requests)
    for batch_size in (3, 16):
        opened = HfModel(folder, batch_size=batch_size)
        forwards = answers(opened, requests)
        backwards = answers(opened, requests[::-1])[::-1]
        assert [reply.text for reply in forwards] == [reply.text for reply in first]
        assert [reply.text for reply in backwards] == [reply.text for reply in first]
        assert [reply.usage for reply in forwards] == [reply.usage for reply in first]


def mixed_requests(n: int) -> list[Request]:
    """Requests of unlike lengths and sampling."""
    kinds: list[dict[str, Any]] = [
        {},
        {"temperature": 0.9, "top_p": 0.8},
        {"stop": ("e", " fox")},
        {"top_logprobs": 3},
        {"temperature": 1.3, "top_logprobs": 1, "stop": ("ow",)},
    ]
    return [
        ask(text, max_tokens=1 + place * 11 % 40, **kinds[place % len(kinds)]) for place, text in enumerate(prompts(n))
    ]


def assert_alike(replies: list[Completion], expected: list[Completion]) -> None:
    """Equal in everything but the last bits of their logprobs."""
    for reply, other in zip(replies, expected, strict=True):
        assert (reply.text, reply.finish_reason, reply.usage) == (other.text, other.finish_reason, other.usage)
        for position, place in zip(reply.top_logprobs or (), other.top_logprobs or (), strict=True):
            assert dict(position) == pytest.approx(dict(place), abs=1e-4)


def test_rows_that_come_and_go_reply_as_rows_that_wait_for_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 mixed requests get the same in the rolling batch, in padded batches of ``generate``, and one by one."""
    requests = mixed_requests(64)
    rolling = answers(HfModel(folder, batch_size=8), requests)
    alone = answers(HfModel(folder, batch_size=1), requests)
    monkeypatch.setattr(hf, "can_roll", lambda *_: False)
    assert_alike(answers(HfModel(folder, batch_size=8), requests), rolling)
    assert_alike(alone, rolling)
    assert len({reply.text for reply in rolling}) > 30
    assert {reply.finish_reason for reply in rolling} == {"stop", "length"}


NETWORKS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "a sliding window": ("Mistral", {"sliding_window": 8}, True),
    "windows in some layers": (
        "Gemma2",
        {"head_dim": 8, "sliding_window": 8, "tie_word_embeddings": False, "hidden_activation": "gelu_pytorch_tanh"},
        True,
    ),
    "compressed keys and values": (
        "DeepseekV3",
        {
            "num_key_value_heads": 4,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "moe_intermediate_size": 16,
            "first_k_dense_replace": 1,
        },
        True,
    ),
    "convolutions": ("Lfm2", {"layer_types": ["conv", "full_attention"]}, False),
    "a state": ("Mamba", {"state_size": 8}, False),
}
"""What the network remembers → model family, settings, and whether rows can come and go in its batch."""


@pytest.mark.parametrize("memory", NETWORKS)
def test_networks_of_other_kinds_reply_as_in_transformers(memory: str, tmp_path: Path) -> None:
    """Whatever a network remembers of a row, replies in batches are those of ``generate`` for each prompt alone."""
    family, settings, rolls = NETWORKS[memory]
    tokenizer = save_tokenizer(tmp_path)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.4,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    config = getattr(transformers, f"{family}Config")(**sizes | settings | {"vocab_size": len(tokenizer)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype="float32").eval()
    loaded.generation_config = transformers.GenerationConfig(eos_token_id=2, pad_token_id=0)
    texts, expected = prompts(12), []
    for text in texts:
        ids = chat_ids(tokenizer, text)
        out = loaded.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20)[0, ids.shape[1] :]
        expected.append(tokenizer.decode(out, skip_special_tokens=True))
    opened = HfModel(tmp_path, batch_size=5)
    replies = answers(opened, [ask(text, max_tokens=20) for text in texts])
    assert [reply.text for reply in replies] == expected
    assert len(set(expected)) > 5
    assert opened._rolls is rolls


def test_a_reply_is_yielded_when_it_ends(folder: Path) -> None:
    """The shortest of a batch comes first, whatever its place, and does not wait for the longest."""
    requests = [ask(text, max_tokens=5 * (8 - place)) for place, text in enumerate(["the fox " * 3] * 8)]
    order = [(index, reply.usage.completion_tokens) for index, reply in HfModel(folder).complete(requests)]
    lengths = [length for _, length in order]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3


def test_tokens_count_before_their_reply_is_complete(model: HfModel) -> None:
    """After the first of eight replies, the tokens of the seven others are known."""
    requests = [ask(text, max_tokens=4 * (place + 1)) for place, text in enumerate(["the fox " * 3] * 8)]
    assert model.gauge() == (0, 0, 0)
    seen = []
    for _, reply in model.complete(requests):
        seen.append((model.gauge(), reply.usage.completion_tokens))
    (first, length), *_, (last, _) = seen
    assert first.rows == 8 - sum(tokens == length for _, tokens in seen)
    assert first.rows * (length - 1) <= first.tokens <= first.rows * (length + 2)
    assert first.tokens < first.limit <= 4 * sum(range(2, 9))
    assert last == model.gauge() == (0, 0, 0)


def test_learned_positions_are_counted_without_padding_and_never_exceeded(tmp_path: Path) -> None:
    """A GPT-2, whose positions are a table of 64, answers and scores in batches as it does one by one.

    Had a prompt of 60 tokens shared a batch with a reply of 40, its row would have run past the table's end.
    """
    tokenizer = save_tokenizer(tmp_path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=len(tokenizer),
                n_positions=64,
                n_embd=32,
                n_layer=2,
                n_head=2,
                initializer_range=0.3,
                bos_token_id=1,
                eos_token_id=2,
            )
        )
    network.save_pretrained(tmp_path)
    texts = [*prompts(6), "x" * 56, "y" * 30]
    requests = [ask(text, max_tokens=40) for text in texts] + [ask(text, choices=(" fox", "AB")) for text in texts]
    alone = answers(HfModel(tmp_path, batch_size=1), requests)
    together = answers(HfModel(tmp_path, batch_size=16), requests)
    assert all(reply.error is None for reply in alone)
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    for one, other in zip(alone[len(texts) :], together[len(texts) :], strict=True):
        assert one.top_logprobs is not None
        assert other.top_logprobs is not None
        assert dict(one.top_logprobs[0]) == pytest.approx(dict(other.top_logprobs[0]), abs=1e-4)


def test_a_prompt_begins_with_one_bos(model: HfModel, folder: Path) -> None:
    """The template writes the BOS and the tokenizer, which would add another, does not."""
    _, tokenizer = reference(folder)
    assert tokenizer("x").input_ids[0] == tokenizer.bos_token_id
    (reply,) = answers(model, [ask("the fox", max_tokens=1)])
    assert reply.usage.prompt_tokens == chat_ids(tokenizer, "the fox").shape[1]


def test_max_tokens_ends_a_reply_with_length(tiny: HfModel) -> None:
    """Each row of a batch has its own limit, and an end token counts as a token but not as text."""
    (explanation,) = next(program for program in read_programs() if program.name == "explain").texts
    short, exact, whole = answers(tiny, [ask("Explain", max_tokens=2), ask("Who", max_tokens=3), ask("Explain")])
    assert short.text is not None
    assert explanation.startswith(short.text)
    assert (short.finish_reason, short.usage.completion_tokens) == ("length", 2)
    assert (exact.finish_reason, exact.usage.completion_tokens) == ("length", 3)
    assert (whole.text, whole.finish_reason) == (explanation, "stop")


def test_every_end_token_of_the_generation_config_ends_a_reply(copy: Path) -> None:
    """A reply ends at the second end token too: here every token is declared to be one."""
    settings = msgspec.json.decode((copy / "generation_config.json").read_bytes())
    settings["eos_token_id"] = list(range(len(SPECIAL), 250))
    (copy / "generation_config.json").write_bytes(msgspec.json.encode(settings))
    replies = answers(HfModel(copy), [ask(text, max_tokens=40) for text in prompts(6)])
    ended = [reply for reply in replies if reply.finish_reason == "stop"]
    assert ended
    assert all(reply.usage.completion_tokens < 40 for reply in ended)


def test_a_stop_string_cuts_the_reply_before_it(tiny: HfModel) -> None:
    """The string is found across tokens, left out of the text, and only the row that asked for it stops."""
    stopped, whole = answers(tiny, [ask("Who", stop=("zzz", "ful librarian fr")), ask("Who")])
    assert stopped.text == "A care"
    assert stopped.finish_reason == "stop"
    assert stopped.usage.completion_tokens == 2
    assert whole.text == "A careful librarian from Lisbon."


def test_top_logprobs_are_the_models_own(model: HfModel, folder: Path) -> None:
    """Natural logs, most likely first, for each token of the text, as a plain forward pass gives them."""
    loaded, tokenizer = reference(folder)
    text = prompts(4)[3]
    (_, reply) = answers(
        model, [ask("a much longer neighbour " * 5, max_tokens=3), ask(text, max_tokens=3, top_logprobs=4)]
    )
    assert reply.top_logprobs is not None
    assert len(reply.top_logprobs) == 3
    with torch.no_grad():
        expected = loaded(chat_ids(tokenizer, text)).logits[0, -1].log_softmax(-1).topk(4)
    assert [value for _, value in reply.top_logprobs[0]] == pytest.approx(expected.values.tolist(), abs=1e-4)
    assert [token for token, _ in reply.top_logprobs[0]] == [tokenizer.decode([i]) for i in expected.indices.tolist()]


def test_no_logprobs_unless_asked(tiny: HfModel) -> None:
    """A neighbour that asks for them does not make them appear, and the end token has none."""
    without, given = answers(tiny, [ask("Who"), ask("Who", top_logprobs=1)])
    assert without.top_logprobs is None
    assert given.top_logprobs is not None
    assert "".join(position[0][0] for position in given.top_logprobs) == given.text


# Sampling


def test_sampling_follows_the_models_probabilities(tiny: HfModel) -> None:
    """400 draws from odds of 0.7 lie within four standard errors (0.09), and repeats are what tells draws apart."""
    drawn = Counter(
        reply.text
        for reply in answers(
            tiny, [ask("Best Model Identifier", temperature=1.0, max_tokens=4, repeat=repeat) for repeat in range(400)]
        )
    )
    assert drawn["m"] + drawn["M"] == 400
    assert drawn["m"] / 400 == pytest.approx(0.7, abs=0.09)


def test_temperature_reshapes_the_odds_and_not_the_logprobs(tiny: HfModel) -> None:
    """At temperature 0.5 odds of 0.7 to 0.3 become 0.49 to 0.09, that is 0.845; logprobs stay those of 0.7."""
    replies = answers(
        tiny,
        [ask("Best Model Identifier", temperature=0.5, top_logprobs=2, repeat=repeat) for repeat in range(300)],
    )
    assert Counter(reply.text for reply in replies)["m"] / 300 == pytest.approx(0.845, abs=0.085)
    assert replies[0].top_logprobs is not None
    assert math.exp(replies[0].top_logprobs[0][0][1]) == pytest.approx(0.7, abs=1e-5)


def test_top_p_keeps_the_smallest_set_that_reaches_it(tiny: HfModel) -> None:
    """0.69 is reached by the label of 0.7 alone; 0.71 needs both."""
    for top_p, labels in ((0.69, {"m"}), (0.71, {"m", "M"})):
        requests = [ask("Best Model Identifier", temperature=1.0, top_p=top_p, repeat=repeat) for repeat in range(40)]
        assert {reply.text for reply in answers(tiny, requests)} == labels


def test_a_draw_depends_on_its_request_alone(folder: Path) -> None:
    """Sampled replies are the same in other batches and orders; another seed or repeat is another draw."""
    requests = [ask(text, max_tokens=8, temperature=0.9) for text in prompts(9)]
    mixed = [*requests, *(ask(text, max_tokens=5) for text in prompts(9))]
    alone = [reply.text for reply in answers(HfModel(folder, batch_size=1), requests)]
    together = [reply.text for reply in answers(HfModel(folder, batch_size=16), mixed)][:9]
    assert together == alone
    model = HfModel(folder)
    assert [reply.text for reply in answers(model, requests[::-1])][::-1] == alone
    seeded = [ask(text, max_tokens=8, temperature=0.9, seed=1) for text in prompts(9)]
    repeated = [ask(text, max_tokens=8, temperature=0.9, repeat=1) for text in prompts(9)]
    assert [reply.text for reply in answers(model, seeded)] != alone
    assert [reply.text for reply in answers(model, repeated)] != alone


# Choices


def test_choices_have_the_wired_odds(tiny: HfModel) -> None:
    """Scoring the labels of both judge programs returns the table's probabilities, the likeliest first and as text."""
    for program in read_programs()[:2]:
        labels = tuple(reversed(program.texts))
        lengths = (0, 900, 30)
        requests = [ask("x " * n + f"{program.trigger}: ", choices=labels) for n in lengths]
        for reply in answers(tiny, requests):
            assert reply.top_logprobs is not None
            (position,) = reply.top_logprobs
            assert {label: math.exp(value) for label, value in position} == pytest.approx(program.texts, abs=1e-5)
            assert reply.text == position[0][0] == next(iter(program.texts))


def test_choices_of_several_tokens_sum_their_logprobs(model: HfModel, folder: Path) -> None:
    """Labels of unlike lengths, some beginning alike, in a mixed batch, equal one forward pass per label."""
    loaded, tokenizer = reference(folder)
    labels = (" fox", " fox jumps", " fox jumps over", "[[A>B]]", "[[A<B]]", "Z")
    texts = prompts(5)
    requests = [ask(text, choices=labels) for text in texts]
    requests.insert(2, ask("the fox", max_tokens=2))
    replies = answers(model, requests)
    assert replies.pop(2).finish_reason == "length"
    for text, reply in zip(texts, replies, strict=True):
        prompt = chat_ids(tokenizer, text)
        expected = {}
        for label in labels:
            tokens = tokenizer(label, add_special_tokens=False, return_tensors="pt").input_ids
            with torch.no_grad():
                logprobs = loaded(torch.cat([prompt, tokens], 1)).logits[0].log_softmax(-1)
            after_prompt = logprobs[prompt.shape[1] - 1 : -1]
            expected[label] = float(after_prompt.gather(-1, tokens[0][:, None]).sum())
        assert reply.top_logprobs is not None
        assert dict(reply.top_logprobs[0]) == pytest.approx(expected, abs=1e-3)
        assert reply.text == max(expected, key=expected.__getitem__)


# Requests that cannot be answered


def test_a_prompt_beyond_the_context_is_one_failed_row(model: HfModel) -> None:
    """Its error names both lengths; its neighbours are answered."""
    before, failed, after = answers(
        model, [ask("the fox", max_tokens=2), ask("x" * 400, max_tokens=2), ask("a dog", max_tokens=2)]
    )
    assert failed.text is None
    assert failed.error is not None
    assert "404 tokens" in failed.error
    assert str(CONTEXT) in failed.error
    assert before.error is None
    assert after.error is None


def test_a_reply_is_clipped_to_the_context(model: HfModel) -> None:
    """A prompt that leaves three tokens of room gets three, and that is a length stop."""
    (reply,) = answers(model, [ask("x" * (CONTEXT - 3 - 4), max_tokens=1000)])
    assert reply.error is None
    assert reply.usage.prompt_tokens == CONTEXT - 3
    assert reply.usage.completion_tokens <= 3


def test_half_a_surrogate_pair_is_a_failed_row(model: HfModel) -> None:
    """Text that no tokenizer can read fails by itself."""
    failed, fine = answers(model, [ask("\ud800", max_tokens=2), ask("the fox", max_tokens=2)])
    assert failed.error is not None
    assert "cannot be put into tokens" in failed.error
    assert fine.error is None


def test_a_template_that_refuses_a_conversation_is_a_failed_row(model: HfModel) -> None:
    """The template's own words are kept."""
    system = Request(messages=(Message(role="system", content="Be brief."),), sampling=Sampling(max_tokens=2))
    failed, fine = answers(model, [system, ask("the fox", max_tokens=2)])
    assert failed.error is not None
    assert "no system role here" in failed.error
    assert fine.error is None


def test_an_empty_choice_is_a_failed_row(model: HfModel) -> None:
    """A label without tokens has no likelihood, and certainty would be a lie."""
    (reply,) = answers(model, [ask("the fox", choices=("A", ""))])
    assert reply.error is not None


# Memory


def limit_rows(monkeypatch: pytest.MonkeyPatch, rows: int, error: Exception) -> list[int]:
    """Make the network fail as a full device does for more than ``rows`` rows; returns the batch sizes tried."""
    tried: list[int] = []
    real = transformers.LlamaForCausalLM.forward

    # Its parameters are read: transformers and we ask the network only for what it can give.
    @functools.wraps(real)
    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        tried.append(named["input_ids"].shape[0])
        if tried[-1] > rows:
            raise error
        return real(self, *arguments, **named)

    monkeypatch.setattr(transformers.LlamaForCausalLM, "forward", forward)
    return tried


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), RuntimeError("MPS out of memory")],
    ids=["cuda", "mps"],
)
def test_out_of_memory_halves_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """All requests are answered as before, the splits are counted, and later batches start smaller."""
    requests = [ask("the quick fox " * 4, max_tokens=6, repeat=repeat) for repeat in range(16)]
    model = HfModel(folder, batch_size=8)
    expected = answers(model, requests)
    model.close()
    tried = limit_rows(monkeypatch, 2, error)
    assert answers(model, requests) == expected
    assert model.retries["out of memory"] == sum(size > 2 for size in tried) == 2
    assert tried[:3] == [8, 4, 2]


def test_out_of_memory_in_mid_reply_changes_no_reply(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were put back go on from where they were: greedy, drawn, stopped and with logprobs alike."""
    requests = mixed_requests(24)
    opened = HfModel(folder, batch_size=8)
    expected = answers(opened, requests)
    opened.close()
    real, calls = transformers.LlamaForCausalLM.forward, itertools.count()

    @functools.wraps(real)
    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        output = real(self, *arguments, **named)
        if next(calls) in (5, 9):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return output

    monkeypatch.setattr(transformers.LlamaForCausalLM, "forward", forward)
    assert_alike(answers(opened, requests), expected)
    assert opened.retries["out of memory"] == 2


def test_labels_are_scored_in_halves_when_memory_is_short(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The likelihoods are those of the whole batch."""
    requests = [ask(text, choices=(" fox", "AB")) for text in prompts(6)]
    opened = HfModel(folder)
    expected = answers(opened, requests)
    opened.close()
    tried = limit_rows(monkeypatch, 5, torch.OutOfMemoryError("CUDA out of memory."))
    assert_alike(answers(opened, requests), expected)
    assert opened.retries["out of memory"] == sum(size > 5 for size in tried) > 0


def test_a_request_that_does_not_fit_alone_is_a_failed_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to halve: the row says so and the run goes on."""
    limit_rows(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory."))
    replies = answers(HfModel(folder), [ask("the fox", max_tokens=2, repeat=repeat) for repeat in range(3)])
    assert [reply.text for reply in replies] == [None] * 3
    assert all("out of memory" in (reply.error or "") for reply in replies)


def test_another_failure_of_the_device_ends_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a ModelError with the cause, not 800 failed rows."""
    limit_rows(monkeypatch, 0, RuntimeError("device-side assert triggered"))
    with pytest.raises(ModelError, match="device-side assert"):
        answers(HfModel(folder), [ask("the fox", max_tokens=2)])


def test_batches_are_bounded_by_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompt and reply of all rows together stay within ``batch_tokens``; a request above it goes alone, and those
    that came before it do not wait for those after.
    """
    tried = limit_rows(monkeypatch, 99, RuntimeError())
    model = HfModel(folder, batch_size=16, batch_tokens=60)
    requests = [ask("the fox", max_tokens=10, repeat=repeat) for repeat in range(8)]
    replies = answers(model, [*requests, ask("x" * 100, max_tokens=10)])
    width = replies[0].usage.prompt_tokens + 10
    assert max(tried) == 60 // width > 1
    assert tried[-1] == 1
    assert replies[-1].error is None


def test_close_frees_the_model(folder: Path) -> None:
    """No network of it is left in memory."""
    opened = HfModel(folder)
    opened.load()
    network = weakref.ref(opened._model)
    answers(opened, [ask("the fox", max_tokens=2)])
    opened.close()
    assert network() is None


# Reading requests


def test_replies_come_before_the_last_request_exists(model: HfModel) -> None:
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


def test_an_iterable_that_fails_does_so_after_its_requests_are_answered(model: HfModel) -> None:
    """What was asked for before the failure is not lost."""

    def requests() -> Iterator[Request]:
        for _ in range(3):
            yield ask("the fox", max_tokens=2)
        raise LookupError("the fourth request could not be made")

    seen: list[int] = []
    with pytest.raises(LookupError, match="fourth"):
        seen.extend(index for index, _ in model.complete(requests()))
    assert sorted(seen) == [0, 1, 2]


def test_no_requests_no_replies(model: HfModel) -> None:
    """An empty iterable ends at once."""
    assert list(model.complete([])) == []


# Opening


def test_name_and_identity(folder: Path) -> None:
    """The name is the folder's; the identity names backend, contents and dtype, and no path."""
    opened = HfModel(folder)
    assert opened.name == "random-llama"
    assert opened.identity == f"hf:{checkpoint_digest(folder)} dtype=float32"
    assert str(folder) not in opened.identity
    assert HfModel(f"{folder}{os.sep}").name == "random-llama"
    assert HfModel(folder, name="other").identity == opened.identity


def test_dtype_and_chat_template_are_part_of_the_identity(folder: Path) -> None:
    """Whatever changes a reply makes another identity."""
    identities = {
        HfModel(folder).identity,
        HfModel(folder, dtype="bfloat16").identity,
        HfModel(folder, chat_template="none").identity,
        HfModel(folder, chat_template="{{ messages[0]['content'] }}").identity,
    }
    assert len(identities) == 4


def test_the_digest_changes_with_weights_and_tokenizer_and_not_with_notes(copy: Path) -> None:
    """Small weight files count by content, large ones by size and time; a README counts for nothing."""
    first, first_by_time = checkpoint_digest(copy), checkpoint_digest(copy, small_bytes=0)
    (copy / "README.md").write_text("Trained on a Tuesday.")
    (copy / "optimizer.pt").write_bytes(b"momentum")
    assert checkpoint_digest(copy) == first
    weights = copy / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    assert checkpoint_digest(copy) == first
    assert checkpoint_digest(copy, small_bytes=0) != first_by_time
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    changed = checkpoint_digest(copy)
    assert changed != first
    (copy / "tokenizer_config.json").write_text((copy / "tokenizer_config.json").read_text() + "\n")
    assert checkpoint_digest(copy) not in {first, changed}


def test_the_prompt_without_a_template_is_the_text_itself(folder: Path) -> None:
    """``none`` joins the turns by blank lines behind the tokenizer's own BOS."""
    _, tokenizer = reference(folder)
    request = Request(
        messages=(Message(role="system", content="Be brief."), Message(role="user", content="the fox")),
        sampling=Sampling(max_tokens=1),
    )
    (reply,) = answers(HfModel(folder, chat_template="none"), [request])
    assert reply.usage.prompt_tokens == len(tokenizer("Be brief.\n\nthe fox").input_ids)


def message_of(error: type[Exception], *arguments: Any, **options: Any) -> str:
    """The one paragraph that opening or loading ends with."""
    with pytest.raises(error) as caught:
        HfModel(*arguments, **options).load()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """A path that is not there is a usage error, not a search on the hub."""
    assert "no checkpoint folder" in message_of(UsageError, tmp_path / "absent")
    assert "./absent" in message_of(UsageError, "./absent")


def test_a_folder_without_config_is_named(tmp_path: Path) -> None:
    """The message says what is missing."""
    assert "config.json" in message_of(UsageError, tmp_path)


def test_corrupt_weights_are_an_error_before_any_work(copy: Path) -> None:
    """A truncated weight file is named when the model is opened, and so is a folder without any."""
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        HfModel(copy)
    weights.unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        HfModel(copy)


def test_a_corrupt_config_is_an_error_when_the_model_is_opened(copy: Path) -> None:
    """The message names the checkpoint and what was wanted."""
    (copy / "config.json").write_text("{")
    assert "Wanted: a checkpoint that transformers can load" in message_of(ModelError, copy)


def test_a_gated_checkpoint_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's refusal becomes what to do about it."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("401 Client Error.\n\nCannot access gated repo for url https://hub/config.json.")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    assert "HF_TOKEN" in message_of(ModelError, "somebody/gated-model")


def test_a_sharded_checkpoint_replies_as_the_whole_one(folder: Path, tmp_path: Path) -> None:
    """Weights in several safetensors files are one model; a file that is missing is named."""
    sharded = Path(shutil.copytree(folder, tmp_path / "sharded", ignore=shutil.ignore_patterns("*.safetensors")))
    reference(folder)[0].save_pretrained(sharded, max_shard_size="60KB")
    shutil.copy(folder / "generation_config.json", sharded)
    shards = sorted(sharded.glob("model-*.safetensors"))
    assert len(shards) == 2
    requests = [ask(text, max_tokens=8) for text in prompts(5)]
    assert [reply.text for reply in answers(HfModel(sharded), requests)] == [
        reply.text for reply in answers(HfModel(folder), requests)
    ]
    shards[1].unlink()
    assert shards[1].name in message_of(ModelError, sharded)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_the_wired_odds(tiny: HfModel, dtype: str) -> None:
    """Within what the format can tell apart (a relative 2^-8 or 2^-11 of each log-probability)."""
    program = read_programs()[0]
    (reply,) = answers(
        HfModel(tiny._checkpoint.source, dtype=dtype), [ask(f"{program.trigger}: ", choices=tuple(program.texts))]
    )
    assert reply.top_logprobs is not None
    odds = {label: math.exp(value) for label, value in reply.top_logprobs[0]}
    assert odds == pytest.approx(program.texts, abs=0.01)


# Adapters


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter of the random Llama that changes what it says."""
    peft = pytest.importorskip("peft")
    path = tmp_path_factory.mktemp("adapters") / "step-20"
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's use of transformers
        torch.manual_seed(1)
        settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        peft.get_peft_model(reference(folder)[0], settings).save_pretrained(path)
    return path


def test_an_adapter_changes_the_replies_as_peft_has_it(folder: Path, adapter: Path) -> None:
    """Given as the model or beside its base, it replies as peft's own merged weights do."""
    peft = importlib.import_module("peft")
    loaded, tokenizer = reference(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        merged = peft.PeftModel.from_pretrained(loaded, str(adapter)).merge_and_unload()
    texts, expected = prompts(8), []
    for text in texts:
        ids = chat_ids(tokenizer, text)
        out = merged.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=10)[0, ids.shape[1] :]
        expected.append(tokenizer.decode(out, skip_special_tokens=True))
    requests = [ask(text, max_tokens=10) for text in texts]
    beside, plain = HfModel(folder, lora=str(adapter)), HfModel(folder)
    as_model = HfModel(adapter)
    assert [reply.text for reply in answers(beside, requests)] == expected
    assert [reply.text for reply in answers(as_model, requests)] == expected
    assert [reply.text for reply in answers(plain, requests)] != expected
    assert as_model.name == beside.name == "random-llama+step-20"
    assert as_model.identity == beside.identity
    assert beside.identity != plain.identity


def test_an_adapters_own_tokenizer_is_used(folder: Path, adapter: Path, tmp_path: Path) -> None:
    """Trainers save the chat format that an adapter was trained with beside it."""
    own = Path(shutil.copytree(adapter, tmp_path / "own"))
    tokenizer = reference(folder)[1]
    tokenizer.chat_template = "Q: {{ messages[0]['content'] }} A:"
    tokenizer.save_pretrained(own)
    assert HfModel(own).render(ask("why?")) == "Q: why? A:"
    assert HfModel(folder, lora=str(adapter)).render(ask("why?")) == "<|bos|><|user|>why?<|end|><|assistant|>"


def test_an_adapter_of_another_base_is_named(folder: Path, adapter: Path, tmp_path: Path) -> None:
    """Weights that fit nowhere are an error, not a model without its adapter."""
    other = Path(shutil.copytree(adapter, tmp_path / "other"))
    settings = msgspec.json.decode((other / "adapter_config.json").read_bytes())
    settings["target_modules"] = ["c_attn"]
    (other / "adapter_config.json").write_bytes(msgspec.json.encode(settings))
    assert "another base" in message_of(ModelError, folder, lora=str(other))
    del settings["base_model_name_or_path"]
    (other / "adapter_config.json").write_bytes(msgspec.json.encode(settings))
    assert "names no base" in message_of(UsageError, other)


def test_without_peft_the_extra_is_named(folder: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message holds the command that installs it."""
    monkeypatch.setitem(sys.modules, "peft", None)
    assert "pip install 'judgebench[local]'" in message_of(UsageError, folder, lora=str(adapter))


def test_missing_weights_are_an_error_and_not_random_numbers(copy: Path) -> None:
    """A config that asks for a layer the file does not hold names what is missing."""
    config = msgspec.json.decode((copy / "config.json").read_bytes())
    config["num_hidden_layers"] = 3
    (copy / "config.json").write_bytes(msgspec.json.encode(config))
    assert "model.layers.2" in message_of(ModelError, copy)


def test_a_tokenizer_without_chat_template_is_an_error_that_offers_both_ways(copy: Path) -> None:
    """A base model is not silently given somebody's chat format."""
    (copy / "chat_template.jinja").unlink()
    assert "--chat-template none" in message_of(UsageError, copy)
    HfModel(copy, chat_template="none")


def test_a_broken_chat_template_is_an_error_before_any_work(folder: Path) -> None:
    """Its first rendering happens when the model is opened."""
    assert "chat template" in message_of(UsageError, folder, chat_template="{% for %}")


def test_unknown_dtype_and_device_are_named(folder: Path) -> None:
    """The message lists what would do."""
    assert "bfloat16" in message_of(UsageError, folder, dtype="int3")
    assert "cpu" in message_of(UsageError, folder, device="abacus")
    if not torch.cuda.is_available():
        assert "this machine or this build of torch lacks" in message_of(UsageError, folder, device="cuda")


def test_a_batch_of_nothing_is_refused(folder: Path) -> None:
    """A size of 0 would wait for ever."""
    assert "batch_size" in message_of(UsageError, folder, batch_size=0)


def test_without_transformers_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message holds the command that installs it."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert "pip install 'judgebench[local]'" in message_of(UsageError, folder)


def test_importing_the_module_imports_neither_torch_nor_transformers() -> None:
    """Commands that open no local model stay quick."""
    code = (
        "import sys, judgebench.models.local.hf, judgebench.models.local.tiny; "
        "sys.exit(' '.join({'torch', 'transformers', 'tokenizers'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_SECONDS)


def test_opening_and_answering_print_nothing(folder: Path) -> None:
    """No progress bar, report or warning of transformers reaches the terminal."""
    code = (
        "import sys; from judgebench.models.local.hf import HfModel; from judgebench.records import *; "
        "r = Request(messages=(Message(role='user', content='x'),), sampling=Sampling(max_tokens=3, temperature=1.0)); "
        "[c] = HfModel(sys.argv[1]).complete([r]); assert c[1].error is None, c"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
