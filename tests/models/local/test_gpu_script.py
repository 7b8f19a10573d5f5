"""The script that measures what a GPU gives, rehearsed on this machine: each of its parts runs, however slowly."""

import re
from pathlib import Path

import pytest

from benchmarks.gpu.parts import PARTS, Place

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu" / "run.sh"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A tiny checkpoint, as the script's first part makes it."""
    made = Place(tmp_path_factory.mktemp("gpu"), "tiny", "cpu", prompts=6)
    PARTS["checkpoint"](made)
    return made


def test_the_script_runs_each_part_once() -> None:
    """The checkpoint first."""
    assert re.findall(r"^part (\w+) \d+$", SCRIPT.read_text(), re.M) == list(PARTS)


@pytest.mark.parametrize("part", ["hf", "labels", "reward", "turns", "overlap"])
def test_a_part_is_measured(
    part: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a figure beside the one that is wanted; memory is not measured without a GPU."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(place.folder / "cache"))
    figure = PARTS[part](place)
    assert figure is None if part == "turns" else figure and figure > 0
    assert f"{part}: " in capsys.readouterr().out


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_vllm_is_measured(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside ``LLM.generate`` of the same prompts."""
    figure = PARTS["vllm"](place)
    assert figure is not None
    assert figure > 0
    assert "(wanted: at least 0.97)" in capsys.readouterr().out
