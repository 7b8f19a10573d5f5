"""Settings are written down once: flags, keys of a configuration file and Python's keywords are their fields."""

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import judgebench
from judgebench.cli import loaded
from judgebench.errors import UsageError
from judgebench.run.settings import (
    ASKING,
    FLAGS,
    SETTINGS,
    Keywords,
    PathLike,
    Settings,
    Tags,
    settings_from_flags,
    settings_from_python,
)

IN_PYTHON = {
    Path: PathLike,
    Path | None: PathLike | None,
    tuple[Path, ...]: PathLike | Iterable[PathLike],
    tuple[str, ...]: str | Iterable[str],
    Tags: Iterable[tuple[str, str]],
    Mapping[str, str]: Mapping[str, object],
}
"""What Python takes for a setting of each type, if not that type itself."""
NAMES_OF_FILES = {
    "baseline": PathLike | Iterable[PathLike] | None,
    "chat_template": PathLike | None,
    "bridge": PathLike | Iterable[PathLike],
}
"""Texts that may be the path of a file."""
ANOTHER_WAY = {"model", "tasks", "judges", "own_judge", "judge_file_args", "judge_prompt_path", "judge_epoch", "argv"}
"""Parameters of ``evaluate`` itself, and what it does not take."""


def test_python_has_a_keyword_for_every_setting() -> None:
    """Of the setting's type, made as wide as Python users expect: that is what editors and type checkers see."""
    expected = {
        name: NAMES_OF_FILES.get(name, IN_PYTHON.get(setting.kind, setting.kind))
        for name, setting in SETTINGS.items()
        if name not in ANOTHER_WAY
    }
    assert get_type_hints(Keywords) == expected


@pytest.mark.parametrize("command", ASKING)
def test_a_command_has_a_flag_for_every_setting_that_names_it(command: str) -> None:
    """With the setting's default, in the order of the settings, and each with a help text."""
    parameters = {one.name: one for one in loaded(command).params}
    wanted = [name for name, setting in FLAGS.items() if setting.flag and command in setting.flag.commands]
    assert [name for name in parameters if name in wanted] == wanted
    for name in wanted:
        default = FLAGS[name].default
        if FLAGS[name].name not in ("model", "tasks", "baseline") and not FLAGS[name].holds_several:
            assert parameters[name].default == default
        assert parameters[name].help


def test_typed_and_python_values_make_equal_settings(tmp_path: Path) -> None:
    """Whatever the type: text, path, number, switch, mapping, list, pairs of tags."""
    typed = settings_from_flags(
        {
            "model": "m",
            "tasks": "gsm8k,math",
            "judge": ["a", "b"],
            "out": tmp_path,
            "limit": 3,
            "starter": True,
            "gen": ["temperature=0.5", "max-tokens=9"],
            "think_tags": ["<a>,</a>"],
            "rpm": 2.0,
            "mirror": [tmp_path],
        }
    )
    passed = settings_from_python(
        "evaluate",
        {
            "model": "m",
            "tasks": ["gsm8k", "math"],
            "judges": ["a", "b"],
            "out": str(tmp_path),
            "limit": 3,
            "starter": True,
            "gen": {"temperature": 0.5, "max_tokens": 9},
            "think_tags": [("<a>", "</a>")],
            "rpm": 2,
            "mirrors": str(tmp_path),
        },
    )
    assert dataclasses.replace(passed, argv=()) == typed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit": 0}, "limit=0 is neither a number of examples"),
        ({"rpm": -1}, "rpm=-1; it is 0.001 or more"),
        ({"limit": "ten"}, "cannot use limit='ten'"),
        ({"gen": "temperature=1"}, "cannot use gen='temperature=1'"),
        ({"system": 5}, "cannot use system=5"),
        ({"limit": 10**10}, "--limit is at most 1,000,000,000"),
        ({"budget": float("nan")}, "--budget nan"),
        ({"temperature": 1}, "no setting 'temperature'; it has .*gen"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(given: Any, said: str) -> None:
    """The message names the keyword and what it takes."""
    with pytest.raises(UsageError, match=said):
        judgebench.evaluate("m", "gsm8k", **given)


def test_mirrors_of_the_environment_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line and in Python alike."""
    monkeypatch.setenv("JUDGEBENCH_MIRROR", "/a:/b")
    expected = (tmp_path, Path("/a"), Path("/b"))
    assert settings_from_flags({"tasks": "", "mirror": [tmp_path]}).mirrors == expected
    assert settings_from_python("plan", {"tasks": "", "mirrors": tmp_path}).mirrors == expected


def test_settings_are_frozen() -> None:
    """A run cannot change what it was told."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings(tasks="gsm8k").limit = 3  # type: ignore[misc]
    assert "kwargs" not in inspect.signature(Settings).parameters
