"""Log-likelihoods of continuations by the hf backend: those of bare transformers, in whatever batches."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import UsageError
from judgebench.models.local import hf
from judgebench.models.local.hf import HfModel
from judgebench.records import Message, Request, Sampling
from tests.models.llama import CONTEXT, WORDS, answers, prompts, save_random_llama

PROBES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random Llama on disk."""
    place = tmp_path_factory.mktemp("llama")
    save_random_llama(place)
    return place


def asking(context: str, continuations: Sequence[str], *, raw: bool = True, system: str | None = None) -> Request:
    """A request for likelihoods."""
    opening = () if system is None else (Message(role="system", content=system),)
    sampling = Sampling(continuations=tuple(continuations), raw=raw)
    return Request(messages=(*opening, Message(role="user", content=context)), sampling=sampling)


def mixed() -> list[Request]:
    """Prompts and continuations of very unlike lengths."""
    return [
        asking(text, [f" {' '.join(WORDS[: 1 + (place + step) % 9])}" for step in range(2 + place % 4)])
        for place, text in enumerate(prompts(PROBES))
    ]


def expected(folder: Path, request: Request, *, raw: bool = True) -> list[float]:
    """What transformers computes for one continuation at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if raw:
        prompt = tokenizer("\n\n".join(message.content for message in request.messages)).input_ids
    else:
        chat = [{"role": message.role, "content": message.content} for message in request.messages]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    found = []
    for text in request.sampling.continuations:
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        with torch.inference_mode():
            logprobs = model(torch.tensor([[*prompt, *tokens]])).logits[0].log_softmax(-1)
        found.append(sum(float(logprobs[len(prompt) + place - 1, token]) for place, token in enumerate(tokens)))
    return found


def values(request: Request, model: HfModel) -> list[float]:
    """The log-likelihoods of one request."""
    (completion,) = answers(model, [request])
    assert completion.top_logprobs is not None, completion.error
    return [value for _, value in completion.top_logprobs[0]]


def test_likelihoods_are_those_of_transformers(folder: Path) -> None:
    """In plain text after one BOS, with a system message before it, and after a chat prompt."""
    model = HfModel(folder, device="cpu")
    for request in mixed()[:4]:
        assert values(request, model) == pytest.approx(expected(folder, request), abs=1e-4)
    with_system = asking("the quick", [" brown fox", " owls"], system="seven bright")
    assert values(with_system, model) == pytest.approx(expected(folder, with_system), abs=1e-4)
    chat = asking("the quick", ["brown fox", " owls"], raw=False)
    assert values(chat, model) == pytest.approx(expected(folder, chat, raw=False), abs=1e-4)


@pytest.mark.parametrize(("batch_size", "most_logits"), [(1, 2**28), (64, 2**28), (8, 3000)])
def test_likelihoods_do_not_depend_on_their_batch(
    folder: Path, monkeypatch: pytest.MonkeyPatch, batch_size: int, most_logits: int
) -> None:
    """Nor on how many rows' logits fit into memory."""
    usual = answers(HfModel(folder, device="cpu"), mixed())
    monkeypatch.setattr(hf, "_MOST_LOGITS", most_logits)
    others = answers(HfModel(folder, device="cpu", batch_size=batch_size), mixed())
    for one, other in zip(usual, others, strict=True):
        assert one.top_logprobs is not None
        assert other.top_logprobs is not None
        assert [text for text, _ in one.top_logprobs[0]] == [text for text, _ in other.top_logprobs[0]]
        assert [value for _, value in one.top_logprobs[0]] == pytest.approx(
            [value for _, value in other.top_logprobs[0]], abs=1e-4
        )


def test_replies_and_likelihoods_share_a_model(folder: Path) -> None:
    """Requests of both kinds in one stream get what each gets alone."""
    model = HfModel(folder, device="cpu")
    written = Request(messages=(Message(role="user", content="the"),), sampling=Sampling(max_tokens=4))
    label = Request(messages=(Message(role="user", content="the"),), sampling=Sampling(choices=("A", "B")))
    alone = [answers(model, [request])[0] for request in (written, mixed()[0], label)]
    together = answers(model, [written, mixed()[0], label])
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert together[2].top_logprobs is not None
    assert [text for text, _ in together[2].top_logprobs[0]]


def test_what_does_not_fit_is_refused_and_never_cut(folder: Path) -> None:
    """Before the first request all are measured; a prompt with its continuation may fill the context to the end."""
    model = HfModel(folder, device="cpu")
    # A BOS, and a token for each letter; the last token of a continuation is not read.
    full = asking("x" * (CONTEXT - 2), ["yz"])
    model.check([full])
    assert answers(model, [full])[0].error is None
    over = asking("x" * (CONTEXT - 1), ["yz"])
    with pytest.raises(UsageError, match="1 of 2 prompts do not fit"):
        model.check([full, over])
    assert "context is 256" in str(answers(model, [over])[0].error)


def test_a_continuation_without_tokens_is_a_failed_row(folder: Path) -> None:
    """It has no probability, and neither has half a surrogate pair."""
    model = HfModel(folder, device="cpu")
    empty, broken, good = answers(model, [asking("the", [""]), asking("the", ["\ud800"]), asking("the", [" fox"])])
    assert "no token" in str(empty.error)
    assert "tokens" in str(broken.error)
    assert good.error is None
