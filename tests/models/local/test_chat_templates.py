"""From messages to tokens: whose template, which special tokens, and what is refused before the first call."""

from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import UsageError
from judgebench.models.local.chat_templates import ChatPrompts, Unaskable
from judgebench.models.local.hf import HfModel
from judgebench.records import Message, Request, Sampling
from tests.models.llama import CONTEXT, ask, save_random_llama, save_tokenizer

pytest.importorskip("transformers")

PLAIN = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
THINKS = PLAIN + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
QUESTION = (Message(role="user", content="Why {instruction} is it?"),)
TOLD = (Message(role="system", content="Be brief."), Message(role="user", content="Why?"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Begins each text with a BOS by itself, and has a chat template that refuses a system message."""
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def prompts(
    tokenizer: Any, chat_template: str | None = None, thinking: str = "auto", context: int | None = None
) -> ChatPrompts:
    """The tokenizer's prompts."""
    return ChatPrompts(tokenizer, source="it", chat_template=chat_template, thinking=thinking, context=context)


def refusal(tokenizer: Any, chat_template: str | None) -> str:
    """The one paragraph that a template is refused with."""
    with pytest.raises(UsageError) as caught:
        prompts(tokenizer, chat_template)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_tokenizers_template_writes_all_special_tokens(tokenizer: Any) -> None:
    """The tokens are those of the text, with no second BOS."""
    made = prompts(tokenizer)
    assert made.text(QUESTION) == "<|bos|><|user|>Why {instruction} is it?<|end|><|assistant|>"
    assert made.tokens(QUESTION) == tokenizer(made.text(QUESTION), add_special_tokens=False).input_ids
    assert made.tokens(QUESTION).count(tokenizer.bos_token_id) == 1
    assert made.identity == ""


@pytest.mark.parametrize("raw", ["none", "Instruction: {instruction}\nResponse:", "<|bos|>{instruction}"])
def test_raw_prompts_are_filled_in_one_pass_and_begin_with_one_bos(tokenizer: Any, raw: str) -> None:
    """What the user writes is not read as a placeholder; the file's own BOS is not doubled, its last newline kept."""
    made = prompts(tokenizer, raw)
    before, _, after = ("", "", "") if raw == "none" else raw.partition("{instruction}")
    expected = before.removeprefix("<|bos|>") + "Why {instruction} is it?" + after
    assert made.text(QUESTION) == "<|bos|>" + expected
    assert made.tokens(QUESTION) == [1, *tokenizer(expected, add_special_tokens=False).input_ids]
    assert made.identity != ""


def test_a_conversation_is_joined_by_blank_lines_in_a_raw_prompt(tokenizer: Any) -> None:
    """A system message comes first, like every other turn."""
    assert prompts(tokenizer, "# {instruction}").text(TOLD) == "<|bos|># Be brief.\n\nWhy?"


@pytest.mark.parametrize(
    ("thinking", "end"), [("auto", "Why?"), ("on", "Why?"), ("off", "Why?<think></think>")], ids=["auto", "on", "off"]
)
def test_the_thinking_policy_reaches_templates_that_know_it(tokenizer: Any, thinking: str, end: str) -> None:
    """``auto`` leaves the template its default."""
    assert prompts(tokenizer, THINKS, thinking).text(TOLD).endswith(end)


def test_the_identity_tells_apart_what_changes_prompts(tokenizer: Any) -> None:
    """Other templates and policies are other identities; a policy that the template does not know is none."""
    made = [prompts(tokenizer, *options).identity for options in ((None,), (PLAIN,), (THINKS,), ("none",))]
    made += [prompts(tokenizer, THINKS, thinking).identity for thinking in ("on", "off")]
    assert len(set(made)) == 6
    assert prompts(tokenizer, PLAIN, "on").identity == prompts(tokenizer, PLAIN).identity


@pytest.mark.parametrize("template", ["{{ bos_token }}{{ bos_token }}" + PLAIN, "<|bos|><|bos|>{instruction}"])
def test_two_bos_tokens_are_refused(tokenizer: Any, template: str) -> None:
    """Whether a template or a raw prompt writes them, the model has never seen that."""
    assert "two BOS" in refusal(tokenizer, template)


def test_a_template_that_leaves_the_question_out_is_refused(tokenizer: Any) -> None:
    """A text file without a place for the instruction would ask the same thing each time."""
    assert "{instruction}" in refusal(tokenizer, "Answer the question.")


@pytest.mark.parametrize("template", ["{% for %}", "{{ missing.name }}", "{{ raise_exception('never') }}"])
def test_a_template_that_does_not_work_is_refused(tokenizer: Any, template: str) -> None:
    """Its own complaint is told."""
    assert "does not work" in refusal(tokenizer, template)


def test_no_template_is_an_error_with_both_ways_out(tmp_path: Path) -> None:
    """A base model is not silently given somebody's chat format."""
    tokenizer = save_tokenizer(tmp_path)
    tokenizer.chat_template = None
    message = refusal(tokenizer, None)
    assert "--chat-template FILE" in message
    assert "--chat-template none" in message
    prompts(tokenizer, "none")


def test_a_system_message_that_would_be_lost_is_refused(tokenizer: Any) -> None:
    """Whether the template refuses it or drops it; without one, nothing is said."""
    request = Request(messages=TOLD, sampling=Sampling())
    with pytest.raises(UsageError, match=r"refuses it .*no system role here.*--system"):
        prompts(tokenizer).check([ask("Why?"), request])
    drops = prompts(tokenizer, "{{ messages[-1]['content'] }}")
    with pytest.raises(UsageError, match=r"drops it.*--system"):
        drops.check([request])
    drops.check([ask("Why?")])
    prompts(tokenizer, PLAIN).check([request])


def test_prompts_beyond_the_context_are_counted_before_any_is_asked(tokenizer: Any) -> None:
    """A prompt must leave room for one token; the message has the count, the longest, and the context."""
    made = prompts(tokenizer, "none", context=10)
    made.check([ask("x" * 8), ask("x" * 2)])
    with pytest.raises(UsageError, match=r"2 of 3 prompts .* 10 tokens, the longest prompt 31"):
        made.check([ask("x" * 9), ask("x" * 30), ask("x" * 2)])


def test_prompts_that_the_template_refuses_one_and_all_are_refused(tokenizer: Any) -> None:
    """One bad conversation among others is a failed row of the run; if there are no others, there is no run."""
    bad = ask("\ud800")
    with pytest.raises(Unaskable, match="cannot be put into tokens"):
        prompts(tokenizer).tokens(bad.messages)
    prompts(tokenizer).check([bad, ask("Why?")])
    with pytest.raises(UsageError, match="any of the 2 prompts"):
        prompts(tokenizer).check([bad, bad])


def test_an_opened_model_renders_and_checks(tmp_path: Path) -> None:
    """Neither needs the weights."""
    save_random_llama(tmp_path)
    model = HfModel(tmp_path)
    assert model.render(ask("Why?")) == "<|bos|><|user|>Why?<|end|><|assistant|>"
    assert model.render(Request(messages=TOLD, sampling=Sampling())) is None
    with pytest.raises(UsageError, match=f"1 of 2 prompts .* {CONTEXT} tokens"):
        model.check([ask("Why?"), ask("x" * CONTEXT)])
    assert model._model is None
