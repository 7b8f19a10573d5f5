"""``doctor``: what would run where, and one command for each gap; never the value of a key."""

import json
from pathlib import Path

import pytest

from judgebench.cli import doctor
from tests.commands import judgebench
from tests.sandboxes import WHY_NOT


def rows(tmp_path: Path, **environment: str) -> dict[str, dict[str, str]]:
    """What ``doctor --json`` says, by check."""
    given = {"JUDGEBENCH_CACHE": str(tmp_path / "cache"), "JUDGEBENCH_MIRROR": "", **environment}
    ended = judgebench(["doctor", "--json"], **given)
    return {row["check"]: row for row in json.loads(ended.stdout)}


def test_every_engine_device_key_and_task_has_a_row(tmp_path: Path) -> None:
    """With a command to mend what is missing, and none where nothing is."""
    found = rows(tmp_path, OPENAI_API_KEY="sk-very-secret", ANTHROPIC_API_KEY="")
    assert "very-secret" not in json.dumps(found)
    assert found["OPENAI_API_KEY"] == {"check": "OPENAI_API_KEY", "found": "set", "mend": ""}
    assert "export ANTHROPIC_API_KEY" in found["ANTHROPIC_API_KEY"]["mend"]
    assert found["sandbox"]["mend"] == ("" if WHY_NOT is None else "apt install bubblewrap")
    assert {"processor", "a checkpoint (--model PATH)", "cache", *doctor.ENGINES} <= set(found)
    assert found["task mtbench"]["mend"] == "judgebench data fetch mtbench"
    for name, (extra, lacking) in doctor.ENGINES.items():
        there = lacking not in found[name]["found"]
        assert found[name]["mend"] == ("" if there else f"pip install 'judgebench[{extra}]'")


def test_lines_fit_a_screen_of_80_columns_wherever_they_go(tmp_path: Path) -> None:
    """Only a command that is to be copied may be longer; how many files a task lacks is said, not each of them."""
    ended = judgebench(["doctor"], COLUMNS="80", JUDGEBENCH_CACHE=str(tmp_path), JUDGEBENCH_MIRROR="")
    long = [line for line in ended.stdout.splitlines() if len(line) > 80]
    assert all(line.strip().startswith("→") for line in long)
    assert "task gsm8k: 4 of 4 files missing" in ended.stdout


def test_the_age_of_the_price_lists_is_said(tmp_path: Path) -> None:
    """Old ones with what to do."""
    new = rows(tmp_path, JUDGEBENCH_TODAY="2026-11-30")["prices"]
    assert new["found"].startswith("of OpenAI, Anthropic, Google (Gemini API), DeepSeek, Together, OpenRouter; ")
    assert new["mend"] == ""
    old = rows(tmp_path, JUDGEBENCH_TODAY="2027-02-01")["prices"]
    assert old["found"].endswith("the oldest is of 2026-11-01, 92 days ago")
    assert "install a newer judgebench" in old["mend"]


def test_a_package_without_metadata_of_its_name_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As vLLM's build for CPUs is; one that is not there is none."""
    (tmp_path / "built_elsewhere.py").write_text('__version__ = "1.2"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert doctor.installed_version("built_elsewhere") == "1.2"
    assert doctor.installed_version("no_such_package_at_all") is None


def test_a_package_that_cannot_be_imported_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As vLLM beside another version of torch; the rest is told all the same."""
    (tmp_path / "built_for_another.py").write_text("raise OSError('undefined symbol: of_torch')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "cannot be imported (OSError: undefined symbol: of_torch)" in str(
        doctor.installed_version("built_for_another")
    )
