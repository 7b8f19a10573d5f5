"""Checkpoints that somebody else made: what is wrong with one is said in a paragraph, and its template is a program."""

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench.errors import JudgebenchError, ModelError, UsageError
from judgebench.models.local import rendering
from judgebench.models.local.chat_templates import ChatPrompts
from judgebench.models.local.checkpoints import IMPOSSIBLE, NO_NUMBERS, Checkpoint, locate, read_adapter
from judgebench.models.local.hf import HfModel
from judgebench.records import Message
from tests.models.llama import answers, ask, save_random_llama, save_tokenizer

pytest.importorskip("transformers")

ECHO = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
QUESTION = (Message(role="user", content="Why?"),)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good checkpoint."""
    folder = tmp_path_factory.mktemp("saved")
    save_random_llama(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it, to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "ckpt"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer with a template."""
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def edited(name: str, **fields: Any) -> Callable[[Path], object]:
    """One of its JSON files with some fields changed."""

    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return edit


def holding(name: str, content: bytes) -> Callable[[Path], object]:
    """A file with something else in it."""
    return lambda folder: (folder / name).write_bytes(content)


def linked(name: str, target: str) -> Callable[[Path], object]:
    """A link to what is no file."""

    def link(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return link


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a deep config": (holding("config.json", b"[" * 20_000), "cannot be opened as a causal language model"),
    "a config of words": (holding("config.json", b'"words"'), "cannot be opened as a causal language model"),
    "a negative context": (edited("config.json", max_position_embeddings=-1), "cannot be opened"),
    "a large context": (edited("config.json", max_position_embeddings=10**30), "max_position_embeddings = 10000"),
    "words for a size": (edited("config.json", hidden_size="x"), "cannot be opened as a causal language model"),
    "no heads": (edited("config.json", num_attention_heads=0), "cannot be opened as a causal language model"),
    "layers without end": (edited("config.json", num_hidden_layers=10**30), "num_hidden_layers = 1000000000000000000"),
    "another size": (edited("config.json", hidden_size=10**30), "cannot be opened as a causal language model"),
    "end tokens of words": (edited("generation_config.json", eos_token_id="x"), "cannot be opened"),
    "end tokens in lists": (edited("generation_config.json", eos_token_id=[[2]]), "cannot be opened"),
    "a length of words": (
        edited("tokenizer_config.json", model_max_length="x"),
        "cannot be opened as a causal language model",
    ),
    "a deep tokenizer": (holding("tokenizer.json", b"[" * 20_000), "cannot be opened as a causal language model"),
    "a weight map of words": (holding("model.safetensors.index.json", b'"x"'), "is not a valid list of weight files"),
    "a deep weight map": (
        holding("model.safetensors.index.json", b"[" * 20_000),
        "is not a valid list of weight files",
    ),
    "a weight map of numbers": (
        holding("m.index.json", b'{"weight_map": {"a": 1e308}}'),
        "is not a valid list of weight",
    ),
    "a name too long": (
        holding("m.index.json", b'{"weight_map": {"a": "%s"}}' % (b"x" * 5000)),
        "is not a valid list of",
    ),
    "a file that is not there": (holding("m.index.json", b'{"weight_map": {"a": "b"}}'), "that .* names are missing"),
    "a FIFO": (lambda folder: os.mkfifo(folder / "special_tokens_map.json"), "special_tokens_map.json is a FIFO"),
    "a device": (linked("added_tokens.json", "/dev/zero"), "added_tokens.json is a device"),
    "a torn file of weights": (holding("model.safetensors", b"x" * 100), "model.safetensors cannot be read"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_checkpoint_that_cannot_be_used_says_why(folder: Path, what: str) -> None:
    """Exit 2 or 6, and one paragraph."""
    spoil, says = SPOILT[what]
    spoil(folder)
    with pytest.raises(JudgebenchError, match=says) as refused:
        HfModel(folder, device="cpu").load()
    assert refused.value.exit_code in (2, 6)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_s_own_code_cannot_end_the_command(folder: Path) -> None:
    """With ``trust_remote_code`` it runs, and ``sys.exit`` in it is a checkpoint that cannot be opened."""
    edited("config.json", auto_map={"AutoConfig": "code.Config"}, model_type="odd")(folder)
    (folder / "code.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(ModelError, match="SystemExit: 0"):
        HfModel(folder, device="cpu", trust_remote_code=True)


@pytest.mark.parametrize(
    "settings",
    [
        b"[" * 20_000,
        b"[]",
        b"",
        b'{"r": 1e308}',
        b'{"r": "x"}',
        b'{"r": null}',
        b'{"r": -1}',
        b'{"r": NaN}',
        b"{}",
        None,
    ],
)
def test_an_adapter_that_cannot_be_used_says_why(tmp_path: Path, settings: bytes | None) -> None:
    """Its rank is all that is read of it before the model is there."""
    if settings is None:
        os.mkfifo(tmp_path / "adapter_config.json")
    else:
        (tmp_path / "adapter_config.json").write_bytes(settings)
    with pytest.raises(UsageError, match="Could not use the LoRA adapter in ") as refused:
        read_adapter(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_model_that_computes_no_numbers_fails_each_request(folder: Path) -> None:
    """Weights that a training run lost to NaN give no answer and no verdict, where they would give the first token."""
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    model.save_pretrained(folder)
    found = answers(
        HfModel(folder, device="cpu"),
        [ask("Why?", max_tokens=3), ask("Why?", max_tokens=3, temperature=1.0), ask("Why?", choices=("a", "b"))],
    )
    assert [reply.error for reply in found] == [NO_NUMBERS] * 3


def test_what_cannot_be_has_a_logprob_that_can_be_written(folder: Path) -> None:
    """JSON has no minus infinity: a label of probability 0 keeps its place, an alternative is left out."""
    checkpoint = Checkpoint(locate(folder), max_tokens=5)
    job = checkpoint.prepare(0, ask("Why?", choices=("a", "b")))
    assert not hasattr(job, "error")
    assert checkpoint.scored(job, [-1.0, float("-inf")]).top_logprobs == ((("a", -1.0), ("b", IMPOSSIBLE)),)  # type: ignore[arg-type]
    job = checkpoint.prepare(0, ask("Why?", top_logprobs=2))
    reply = checkpoint.completion(job, [70, 2], [[(70, -0.5), (71, float("-inf"))], [(2, 0.0)]])  # type: ignore[arg-type]
    assert reply.top_logprobs is not None
    assert [[value for _, value in position] for position in reply.top_logprobs] == [[-0.5]]


# -- chat templates

TEMPLATES: dict[str, tuple[str, str]] = {
    "division": ("{{ 1/0 }}", "ZeroDivisionError: division by zero"),
    "an include": ("{% include 'x' %}", "TypeError: no loader for this environment"),
    "an import": ("{% import 'os' as o %}", "TypeError: no loader for this environment"),
    "recursion": ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "RecursionError: maximum recursion depth"),
    "a long range": ("{% for i in range(10**9) %}x{% endfor %}", "OverflowError: Range too big"),
    "nested loops": (
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "it computed for more than 5 seconds",
    ),
    "a long text": ("{{ 'a' * 10**10 }}", "it took more than 1 GiB of memory"),
    "doubling": (
        "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "it took more than 1 GiB of memory",
    ),
    "a long prompt": ("{{ 'a' * (17 * 2**20) }}" + ECHO, "it wrote a prompt of 17,825,8"),
    "a power": ("{{ (9 ** (9 ** 9)) % 10 }}" + ECHO, "it computed for more than 5 seconds|it took more than 1 GiB"),
    "deep brackets": ("{{ " + "(" * 20_000 + " }}", "RecursionError: maximum recursion depth"),
    "the machine": ("{{ cycler.__init__.__globals__ }}" + ECHO, "SecurityError: access to attribute"),
    "its own words": ("{{ raise_exception('first\\nsecond') }}", "TemplateError: first"),
}


@pytest.mark.parametrize("what", TEMPLATES)
def test_a_template_that_does_not_work_is_refused(tokenizer: Any, what: str) -> None:
    """It is tried on one question before anything is asked, in a process that can be ended."""
    template, says = TEMPLATES[what]
    with pytest.raises(UsageError, match=f"The chat template for it does not work: ({says})") as refused:
        ChatPrompts(tokenizer, source="it", chat_template=template, thinking="auto", context=None)
    assert "\n" not in str(refused.value)
    good = ChatPrompts(tokenizer, source="it", chat_template=ECHO, thinking="auto", context=None)
    assert good.text(QUESTION) == "Why?"


def test_a_template_may_hang_on_some_conversations_only(tokenizer: Any) -> None:
    """Then it is refused with the first of them, before the run: it will not do better with the next."""
    slow = "{% if messages[0]['content']|length > 50 %}" + TEMPLATES["nested loops"][0] + "{% endif %}"
    prompts = ChatPrompts(tokenizer, source="it", chat_template=slow + ECHO, thinking="auto", context=None)
    prompts.check([ask("Why?")])
    with pytest.raises(UsageError, match="does not work: it computed for more than 5 seconds"):
        prompts.check([ask("Why?"), ask("Why? " * 20), ask("Why? " * 20)])


def test_templates_are_rendered_as_transformers_renders_them(tokenizer: Any) -> None:
    """Special tokens, white space rules, loop controls, the date, JSON: the same text, conversation by conversation."""
    template = (
        "{{ bos_token }}{{- strftime_now('%Y') }}\n{% for m in messages %}\n    {% if loop.index > 3 %}{% break %}"
        "{% endif %}\n<{{ m.role }}>{{ m | tojson }} {{ m['content'].strip()[:9] }}\n{% endfor %}"
        "{% generation %}{{ eos_token }}{% endgeneration %}"
        "{% if add_generation_prompt %}|{{ enable_thinking }}{% endif %}"
    )
    prompts = ChatPrompts(tokenizer, source="it", chat_template=template + ECHO, thinking="on", context=None)
    turns = [
        Message(role=role, content=f" {role}\n\u2028\U0001f600 <b> ") for role in ("user", "assistant", "user", "x")
    ]
    for conversation in (turns[:1], turns[:3], turns):
        expected = tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in conversation],
            chat_template=template + ECHO, add_generation_prompt=True, tokenize=False, enable_thinking=True,
        )  # fmt: skip
        assert prompts.text(conversation) == expected


def test_a_template_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """``tokenizer_config.json`` may hold anything in its place."""
    tokenizer = save_tokenizer(tmp_path)
    for junk in (7, ["x"], {"default": 7}):
        tokenizer.chat_template = junk
        with pytest.raises(UsageError, match="is not a text"):
            ChatPrompts(tokenizer, source="it", chat_template=None, thinking="auto", context=None)


def test_the_renderer_that_was_ended_is_replaced(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By somebody who looks for memory, for instance: the conversation is rendered all the same. A process that ends
    each time is an error, not a loop.
    """
    prompts = ChatPrompts(tokenizer, source="it", chat_template=ECHO, thinking="auto", context=None)
    process = rendering._WORKER._process
    assert process is not None
    process.kill()
    process.exit_status()
    assert prompts.text(QUESTION) == "Why?"
    rendering._WORKER.end()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UsageError, match="the process that renders it was ended twice"):
        prompts.text(QUESTION)
