"""Flags in a TOML file: ``--config`` reads them, ``--write-config`` writes those of a command.

A key is a flag without its dashes. A flag that can be given several times takes a list, one of K=V pairs a table.
"""

import json
import os
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, get_origin

from judgebench.data.aliases import aliases, key_of
from judgebench.display import nearest, printable
from judgebench.errors import UsageError
from judgebench.files import read_toml
from judgebench.models.opening.backends import without_credentials
from judgebench.records import LARGEST
from judgebench.redaction import KEY_LIKE
from judgebench.run.settings import FLAGS, SETTINGS, Limit, Setting, limit_of

NOT_IN_FILES = ("config", "write_config", "help")
ONLY_EVAL = ("track", "dry_run")
"""Flags of ``eval`` that are no settings of a run."""
LISTS = ("tasks",)
"""Flags whose one value is a list with commas."""
LONGEST_SHOWN = 40
COMMENT_WIDTH = 100


@dataclass(frozen=True)
class Takes:
    """What a flag of a command takes."""

    several: bool = False
    value: bool = True
    """Whether it takes a value at all."""


@dataclass(frozen=True)
class ReadFlags:
    """The flags in a file."""

    values: Mapping[str, Any]
    """By name, as the command's parser takes them."""
    unused: tuple[str, ...] = ()
    """Keys that are flags of the other commands that call models."""


def read_flags(path: Path, command: str, takes: Mapping[str, Takes]) -> ReadFlags:
    """Read the flags of a command from a file. Raises :class:`UsageError` for a key or a value that is none."""
    values: dict[str, Any] = {}
    unused = []
    for key, value in read_toml(path, "--config").items():
        name = _flag_called(key)
        if name in values:
            raise UsageError(f"--config {path}: {printable(key, 60)} is another name for a key that is there already")
        if name in takes and name not in NOT_IN_FILES:
            values[name] = _value(f"--config {path}: {printable(key, 60)}", name, value, takes[name])
        elif name in FLAGS or name in ONLY_EVAL:
            unused.append(key)
        else:
            raise UsageError(_unknown(path, command, key, [*takes, *SETTINGS]))
    return ReadFlags(values, tuple(unused))


def _flag_called(key: str) -> str:
    """The name of a flag, or of the setting that it sets: ``judges`` is ``judge``."""
    name = key.replace("-", "_")
    setting = SETTINGS.get(name)
    return setting.parameter if setting is not None and setting.flag else name


def _unknown(path: Path, command: str, key: str, known: Iterable[str]) -> str:
    table = aliases()
    if (there := key_of(key)) in table.instead:
        return f"--config {path}: there is no flag --{printable(key, 60).replace('_', '-')}: {table.instead[there]}"
    meant = table.flags.get(there, "").split(" ")[0].removeprefix("--").replace("-", "_")
    near = meant or nearest(key.replace("-", "_"), [name for name in known if name not in NOT_IN_FILES])
    hint = f" (did you mean {near}?)" if near else ""
    return (
        f"--config {path}: there is no flag --{printable(key, 60).replace('_', '-')}{hint}; "
        f"`judgebench {command} --help` lists the flags, and `--write-config FILE` writes a file with all of them"
    )


def _value(about: str, name: str, value: Any, takes: Takes) -> Any:
    listed = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else [value]
    if not all(isinstance(part, str | int | float) for part in listed):
        raise UsageError(
            f"{about} must be a text, a number, true or false, or for a flag that can be given several times a list or "
            "a table of those"
        )
    if not all(abs(part) <= LARGEST for part in listed if isinstance(part, int | float)):
        raise UsageError(f"{about} = {str(value)[:LONGEST_SHOWN]} is no number that could be meant")
    if isinstance(value, bool) and takes.value:
        raise UsageError(f"{about} = {_plain(value)}, but --{name.replace('_', '-')} takes a value")
    if isinstance(value, dict):
        value = [f"{key}={_plain(part)}" for key, part in value.items()]
    elif isinstance(value, list):
        value = [_plain(part) for part in value]
        if name in LISTS and not takes.several:
            return ",".join(value)
    if isinstance(value, list) and not takes.several:
        raise UsageError(f"{about} is given once, so it cannot be a list or a table")
    return [_plain(value)] if takes.several and not isinstance(value, list) else value


def _plain(value: str | float) -> str:
    """A value as it is typed."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class WrittenFlags:
    """The text of a file with a command's flags."""

    text: str
    withheld: tuple[str, ...]
    """Keys whose values hold a password or a key, which is not written."""


def flags_as_toml(command: str, given: Mapping[str, Any]) -> WrittenFlags:
    """Write a command's flags: those that differ from their defaults, then the others as comments.

    ``given`` are the values by flag name, as the command's parser gives them. Those that are no settings of the run are
    written if there are any.
    """
    own = [setting for setting in FLAGS.values() if setting.flag and command in setting.flag.commands]
    told = {setting: given.get(setting.parameter) for setting in own}
    differing = [setting for setting in own if not _is_default(setting, told[setting])]
    withheld = [setting for setting in differing if _secret(told[setting])]
    lines = [
        f"# Flags of judgebench {command}. Start it with: judgebench {command} --config FILE",
        "# Flags on the command line win over this file. Paths are relative to where the command is started.",
        "",
    ]
    for setting in differing:
        if setting in withheld:
            lines.append(f"# {setting.parameter} holds a password or a key, which is not written: give it on the line")
        else:
            lines.append(f"{setting.parameter} = {_as_toml(setting, told[setting])}")
    lines += [f"{name} = {_literal(value)}" for name, value in given.items() if name not in FLAGS and value]
    lines += ["", "# Not given, so at their defaults:"]
    for setting in (setting for setting in own if setting not in differing):
        assert setting.flag is not None
        helped = textwrap.wrap(setting.flag.help, COMMENT_WIDTH)
        lines += ["", *(f"# {line}" for line in helped), f"# {setting.parameter} = {_example(setting)}"]
    return WrittenFlags("\n".join(lines) + "\n", tuple(setting.parameter for setting in withheld))


def _is_default(setting: Setting, value: Any) -> bool:
    return value is None or (setting.holds_several and not value) or value == setting.default or value == []


def _secret(value: Any) -> bool:
    texts = [str(part) for part in (value if isinstance(value, list | tuple) else [value])]
    return any(without_credentials(text) != text or KEY_LIKE.search(text) for text in texts)


def _example(setting: Setting) -> str:
    """The default or, if there is none, a placeholder in the form of a value."""
    assert setting.flag is not None
    placeholder = _text(setting.flag.metavar or "")
    if get_origin(setting.kind) is Mapping:
        return '{ KEY = "VALUE" }'
    if get_origin(setting.typed) is list:
        return f"[{placeholder}]"
    if setting.default is not None and setting.default is not MISSING:
        return _literal(setting.default)
    number = setting.kind in (Limit, int | None, float | None)
    return str(setting.flag.metavar) if number else placeholder


def _as_toml(setting: Setting, value: Any) -> str:
    if setting.kind == Limit:
        return _literal(limit_of(value, setting.spelling))
    if get_origin(setting.kind) is Mapping:
        pairs = [text.partition("=") for text in value]
        if len({key for key, *_ in pairs}) == len(pairs):
            return "{ " + ", ".join(f"{_key(key)} = {_number_or_text(part)}" for key, _, part in pairs) + " }"
    return _literal(value[0] if setting.name == "model" and len(value) == 1 else value)


def _number_or_text(text: str) -> str:
    """A number where it is read back as the same text."""
    for kind in (int, float):
        try:
            if str(kind(text)) == text and abs(kind(text)) <= LARGEST:
                return text
        except ValueError:
            continue
    return _text(text)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return _plain(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return _text(os.fspath(value))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _text(value: str) -> str:
    """A TOML string: JSON's escapes are valid in it, and the one character that only TOML escapes is escaped here."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
