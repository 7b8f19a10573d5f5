"""Which backend a checkpoint goes to, told from its spec and from what is installed."""

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from judgebench.errors import UsageError
from judgebench.models import OpenSettings
from judgebench.models.opening import backends, open_model, parse_model

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("installed", "gpu", "engine"),
    [(True, True, "vllm"), (True, False, "hf"), (False, True, "hf"), (False, False, "hf")],
)
def test_a_bare_checkpoint_goes_to_vllm_where_that_and_a_gpu_are_there(
    monkeypatch: pytest.MonkeyPatch, installed: bool, gpu: bool, engine: str
) -> None:
    """A hub id or folder without a backend before it; one that is named stays what it is."""
    find_spec = importlib.util.find_spec

    def found(name: str) -> ModuleSpec | None:
        if name == "vllm":
            return ModuleSpec("vllm", None) if installed else None
        return find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert parse_model("org/name")[0].backend is backends.CHECKPOINT
    assert backends.engine_here().name == engine
    assert parse_model("hf:org/name")[0].backend is backends.HF
    assert parse_model("vllm:org/name")[0].backend is backends.VLLM


def test_lm_evals_spelling_is_the_same_spec() -> None:
    """``--model vllm --model_args pretrained=ID,…``; the rest goes to the backend."""
    spec, rest = parse_model("vllm", {"pretrained": "org/name", "dtype": "bfloat16"})
    assert (spec.text, spec.backend, spec.target, spec.local) == ("vllm:org/name", backends.VLLM, "org/name", True)
    assert rest == {"dtype": "bfloat16"}


def test_an_argument_of_the_other_backend_is_refused(tmp_path: Path) -> None:
    """Before anything is imported; the message lists what there is."""
    spec, _ = parse_model(f"vllm:{tmp_path}")
    with pytest.raises(UsageError, match="tensor_parallel_size"):
        open_model(spec, OpenSettings(arguments={"batch_tokens": "9"}))
    with pytest.raises(UsageError, match="true or false"):
        open_model(spec, OpenSettings(arguments={"enforce_eager": "perhaps"}))


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_extra_is_named(tmp_path: Path) -> None:
    """Exit 2, with the command that installs it and the backend that is there."""
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"pip install 'judgebench\[vllm\]'") as caught:
        open_model(parse_model(f"vllm:{tmp_path}")[0], OpenSettings())
    assert "hf:" in str(caught.value)
    assert "\n" not in str(caught.value)
