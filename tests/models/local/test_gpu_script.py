"""The script that measures what a GPU gives, rehearsed on this machine: each of its parts runs, however slowly."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.place import Place
from benchmarks.gpu.real import Side, compared
from tests.shared_data import SharedData

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu" / "run.sh"
SHARES = {name: int(seconds) for name, seconds in re.findall(r"^part (\w+) (\d+)$", SCRIPT.read_text(), re.M)}
OFFICIAL = [SharedData("upstream"), SharedData("ifeval"), SharedData("gsm8k")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A tiny checkpoint, as the script's first part makes it."""
    made = replace(Place.of(tmp_path_factory.mktemp("gpu"), "tiny", "cpu"), items=1, reply=2)
    PARTS["checkpoint"](made)
    return made


def test_the_script_runs_each_part_once_within_eight_minutes() -> None:
    """The checkpoint first. All shares together are what the script says."""
    assert list(SHARES) == list(PARTS)
    assert f"which are {sum(SHARES.values())} in all" in SCRIPT.read_text()
    assert sum(SHARES.values()) < 8 * 60


def test_a_part_that_fails_or_takes_too_long_costs_no_other(tmp_path: Path) -> None:
    """The script says so and goes on, and exits with 1."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in hf) exit 1 ;; labels) exit 124 ;; *) echo "$2 was run" ;; esac\n')
    python.chmod(0o755)
    done = subprocess.run(
        [SCRIPT], env=os.environ | {"PYTHON": str(python)}, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert "hf: failed" in lines
    assert re.search(r"^labels: ended after \d+ s, which is all the time it has$", done.stdout, re.M)
    assert [part for part in PARTS if f"{part} was run" in lines] == [
        part for part in PARTS if part not in ("hf", "labels")
    ]


@pytest.mark.parametrize("part", ["hf", "labels", "reward", "turns", "overlap"])
def test_a_part_is_measured(
    part: str, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a figure beside the one that is wanted; memory is not measured without a GPU."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(place.folder / "cache"))
    figure = PARTS[part](place)
    assert figure is None if part == "turns" else figure and figure > 0
    assert f"{part}: " in capsys.readouterr().out


def test_benchmarks_are_answered(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One prompt of each, by the tiny checkpoint in place of the real one."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(place.folder / "cache"))
    monkeypatch.setenv("JUDGEBENCH_MIRROR", os.pathsep.join(str(data.path) for data in OFFICIAL))
    PARTS["real_hf"](replace(place, real=place.model))
    assert "real_hf: ifeval 1 answers, gsm8k 1 answers in " in capsys.readouterr().out


def side(texts: Sequence[str], verdicts: Sequence[tuple[float, ...]]) -> Side:
    """Two examples under one metric."""
    ids = [str(number) for number in range(len(texts))]
    return Side(
        dict(zip(ids, texts, strict=True)), {("m", key): value for key, value in zip(ids, verdicts, strict=True)}
    )


@pytest.mark.parametrize(
    ("theirs", "graded", "share", "wrong"),
    [
        (side("ab", [(1.0, 0.0), (1.0,)]), [(1.0, 0.0), (1.0,)], 1.0, 0),
        (side("ax", [(1.0, 0.0), (0.0,)]), [(1.0, 0.0), (0.0,)], 0.5, 0),  # another text may have another verdict
        (side("ab", [(1.0, 0.0), (0.0,)]), [(1.0, 0.0), (1.0,)], 0.5, 1),  # the same text may not
        (side("ax", [(1.0, 1.0), (1.0,)]), [(1.0, 0.0), (0.0,)], 0.5, 2),  # nor may lm-eval's under our rules
    ],
)
def test_of_one_text_both_sides_think_the_same(
    theirs: Side, graded: Sequence[tuple[float, ...]], share: float, wrong: int
) -> None:
    """Verdicts of lm-eval's that are like ours, and those that are not although the text is the same."""
    ours = side("ab", [(1.0, 0.0), (1.0,)])
    assert compared("ifeval", ours, theirs, side("ab", graded).values) == (share, wrong)


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_vllm_is_measured(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside ``LLM.generate`` of the same prompts."""
    figure = PARTS["vllm"](place)
    assert figure is not None
    assert figure > 0
    assert "(wanted: at least 0.97)" in capsys.readouterr().out
