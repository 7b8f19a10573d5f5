"""``judgebench eval`` with local checkpoints: refused in time, killed, short of memory, one after another."""

import functools
import gc
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import msgspec
import pytest

from judgebench.cli import main
from judgebench.models.local.tiny import tiny_checkpoint
from judgebench.run.folder import RunFolder
from tests.models.llama import save_random_llama

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

STARTER = ("--tasks", "alpacaeval", "--starter", "--offline", "-q")
WIRED_JUDGE = ("--judge", "builtin:tiny")
GREEDY = ("--gen", "temperature=0", "--gen", "max_tokens=60")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama on disk."""
    folder = tmp_path_factory.mktemp("checkpoints") / "random"
    folder.mkdir()
    save_random_llama(folder, context=8192)
    return folder


@pytest.fixture
def checkpoint(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may damage, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(original, tmp_path / "ckpt"))


class Ended(msgspec.Struct):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def judgebench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command line, in this process: what it computes with can be watched and broken."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["judgebench", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        assert isinstance(code, int)
        return Ended(code, *capsys.readouterr())

    return run


def answers_of(run: Path) -> dict[str, tuple[str, ...]]:
    """The answers in a run folder, by example."""
    return {g.example_id: g.outputs for g in RunFolder(run).task("alpacaeval").generations()}


# Refused before any work


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes] | None, int, str]] = {
    "two BOS tokens": (
        "chat_template.jinja",
        lambda text: b"<|bos|>" + text,
        2,
        "begins the prompt with two BOS tokens",
    ),
    "no template": ("chat_template.jinja", None, 2, "--chat-template none"),
    "a short context": (
        "config.json",
        lambda text: text.replace(b'"max_position_embeddings": 8192', b'"max_position_embeddings": 64'),
        2,
        "it has 64 tokens, the longest prompt 133",
    ),
    "no config": ("config.json", None, 2, "has no config.json"),
    "a broken config": ("config.json", lambda _: b"{", 6, "cannot be opened as a causal language model"),
    "cut weights": ("model.safetensors", lambda weights: weights[:5000], 6, "was cut off"),
    "no weights": ("model.safetensors", None, 6, "holds no weights"),
}
"""What is done to a checkpoint: the file, its new content (none: it is taken away), the exit code, what is said."""


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_before_any_work(
    checkpoint: Path, judgebench: Callable[..., Ended], damage: str
) -> None:
    """One paragraph, exit 2 for what another flag mends and 6 for files that cannot be used; no run folder."""
    name, change, code, said = DAMAGES[damage]
    if change is None:
        (checkpoint / name).unlink()
    else:
        (checkpoint / name).write_bytes(change((checkpoint / name).read_bytes()))
    ended = judgebench("eval", "--model", "hf:ckpt", *STARTER, *WIRED_JUDGE)
    assert (ended.code, ended.stderr.count("\n")) == (code, 1), ended.stderr
    assert said in ended.stderr
    assert list(Path.cwd().iterdir()) == [checkpoint]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "nowhere/at/all"), "There is no checkpoint folder nowhere/at/all"),
        (("--model", "hf:ckpt", "--model-arg", "dtype=float7"), "bfloat16"),
        (("--model", "hf:ckpt", "--model-arg", "lora=none"), "adapter_config.json"),
        (("--model", "hf:ckpt", "--system", "Be brief."), "refuses it (TemplateError: no system role here)"),
        (("--model", "hf:ckpt", "--chat-template", "none.jinja"), "--chat-template"),
        (("--model", "openai:gpt", "--replicas", "2", "--api-key-env", "HOME"), "--replicas"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_asked_for_is_refused_before_any_work(
    checkpoint: Path, judgebench: Callable[..., Ended], arguments: tuple[str, ...], said: str
) -> None:
    """Exit 2 and one paragraph that names the flag or the valid values."""
    ended = judgebench("eval", *arguments, *STARTER, *WIRED_JUDGE)
    assert (ended.code, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert said in ended.stderr
    assert list(Path.cwd().iterdir()) == [checkpoint]


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("torch", ("--model", "hf:ckpt"), "local"),
        ("transformers", ("--model", "hf:ckpt"), "local"),
        ("vllm", ("--model", "vllm:ckpt"), "vllm"),
        ("ray", ("--model", "hf:ckpt", "--replicas", "2"), "ray"),
    ],
)
def test_a_missing_extra_is_named(
    checkpoint: Path,
    judgebench: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    arguments: tuple[str, ...],
    extra: str,
) -> None:
    """Exit 2, with the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    ended = judgebench("eval", *arguments, "--tasks", "gsm8k", "--starter", "--offline", "-q")
    assert (ended.code, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert f"pip install 'judgebench[{extra}]'" in ended.stderr
    assert list(Path.cwd().iterdir()) == [checkpoint]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(checkpoint: Path, judgebench: Callable[..., Ended]) -> None:
    """Exit 2, with the devices that there are."""
    ended = judgebench("eval", "--model", "hf:ckpt", "--model-arg", "device=cuda", *STARTER, *WIRED_JUDGE)
    assert (ended.code, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert "it has cpu" in ended.stderr


def test_a_gated_checkpoint_is_exit_6(
    checkpoint: Path, judgebench: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said how to be let in."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("401 Client Error.\n\nCannot access gated repo for url https://hub/config.json.")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    ended = judgebench("eval", "--model", "hf:maker/secret", *STARTER, *WIRED_JUDGE)
    assert (ended.code, ended.stderr.count("\n")) == (6, 1), ended.stderr
    assert "HF_TOKEN" in ended.stderr
    assert list(Path.cwd().iterdir()) == [checkpoint]


def test_a_judge_without_logprobs_is_refused_before_the_candidate_is_opened(
    tmp_path: Path, judgebench: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The candidate does not exist, and that is not what is said."""
    monkeypatch.chdir(tmp_path)
    ended = judgebench("eval", "--model", "./absent", *STARTER, "--judge", "anthropic:claude")
    assert ended.code == 2
    assert "reads its verdict from token log-probabilities" in ended.stderr
    assert "absent" not in ended.stderr


# What the model reads


def test_the_first_prompt_is_shown_and_kept(checkpoint: Path, judgebench: Callable[..., Ended]) -> None:
    """As the template writes it, special tokens included: with ``-v``, and in the manifest."""
    command = ("eval", "--model", "hf:ckpt", *STARTER, *WIRED_JUDGE, *GREEDY)
    quiet, verbose = judgebench(*command, "--out", "one"), judgebench(*command, "--out", "two", "-v")
    assert (quiet.code, verbose.code) == (0, 0), verbose.stderr
    first = RunFolder(Path("two")).require_manifest().tasks["alpacaeval"].first_prompt
    (example, *_) = RunFolder(Path("two")).task("alpacaeval").examples()
    assert first == f"<|bos|><|user|>{example.instruction}<|end|><|assistant|>"
    assert " ".join(first.split()) in " ".join(verbose.stdout.split())
    assert "<|assistant|>" not in quiet.stdout


# Short of memory


def test_out_of_memory_shrinks_the_batch_and_the_manifest_says_so(
    checkpoint: Path, judgebench: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that has room for three rows gives the answers and verdicts of one that has room for all."""
    command = ("eval", "--model", "hf:ckpt", *STARTER, *WIRED_JUDGE, *GREEDY)
    assert judgebench(*command, "--out", "roomy").code == 0
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(Path.cwd() / "other-cache"))  # so that all is asked again
    tried: list[int] = []
    real = transformers.LlamaForCausalLM.forward

    @functools.wraps(real)
    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        tried.append(named["input_ids"].shape[0])
        if tried[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(self, *arguments, **named)

    monkeypatch.setattr(transformers.LlamaForCausalLM, "forward", forward)
    ended = judgebench(*command, "--out", "short")
    assert ended.code == 0, ended.stderr
    assert answers_of(Path("short")) == answers_of(Path("roomy"))
    results, expected = (RunFolder(Path(run)).results() for run in ("short", "roomy"))
    assert results is not None
    assert expected is not None
    assert results.scores == expected.scores
    (session,) = RunFolder(Path("short")).require_manifest().sessions
    assert session.status == "complete"
    told = sum(counts.get("out of memory", 0) for counts in session.retries.values())
    assert set(session.retries) == {"ckpt", "builtin:tiny"}
    assert told == sum(rows > 3 for rows in tried) > 0
    assert tried[0] > tried[1] > tried[2]


# One after another on one device


def test_candidate_and_judge_are_never_in_memory_together(
    checkpoint: Path, judgebench: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the judge's network is made, the candidate's is gone, without anybody collecting garbage for it."""
    networks: list[weakref.ref[Any]] = []
    alive: list[int] = []
    real = transformers.LlamaForCausalLM.__init__

    def made(self: Any, *arguments: Any, **named: Any) -> None:
        alive.append(sum(network() is not None for network in networks))
        networks.append(weakref.ref(self))
        real(self, *arguments, **named)

    judge = tiny_checkpoint(checkpoint.parent)  # made here, so that it is only opened below
    monkeypatch.setattr(transformers.LlamaForCausalLM, "__init__", made)
    ended = judgebench("eval", "--model", "hf:ckpt", "--judge", f"hf:{judge}", *STARTER, *GREEDY)
    assert ended.code == 0, ended.stderr
    assert alive == [0, 0]
    gc.collect()
    assert [network() for network in networks] == [None, None]


# Killed and resumed


def test_killed_and_resumed_the_answers_are_those_of_one_go(checkpoint: Path, tmp_path: Path) -> None:
    """``kill -9`` between answers of a greedy checkpoint, twice: nothing that was stored is asked again."""
    base = [sys.executable, "-m", "judgebench", "eval", "--model", "hf:ckpt", *STARTER, *WIRED_JUDGE]
    command = [*base, "--gen", "temperature=0", "--gen", "max_tokens=120", "--model-arg", "batch_size=2"]
    environment = {**os.environ, "JUDGEBENCH_CACHE": str(tmp_path / "cache-of-one-go")}
    subprocess.run([*command, "--out", "whole"], env=environment, check=True, capture_output=True)
    lines = tmp_path / "parts" / "alpacaeval" / "generations.jsonl"
    known = 0
    for _ in range(2):
        process = subprocess.Popen([*command, "--out", "parts"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not lines.exists() or lines.read_bytes().count(b"\n") <= known):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        known = lines.read_bytes().count(b"\n")
    assert 2 <= known < 16
    subprocess.run([*command, "--out", "parts"], check=True, capture_output=True)
    assert answers_of(tmp_path / "parts") == answers_of(tmp_path / "whole")
    results, expected = (RunFolder(tmp_path / run).results() for run in ("parts", "whole"))
    assert results is not None
    assert expected is not None
    assert results.scores == expected.scores
    counts = RunFolder(tmp_path / "parts").require_manifest().sessions[-1].counts["alpacaeval"]["generate"]
    assert counts.resumed == known
    assert counts.asked + counts.cached == 16 - known
