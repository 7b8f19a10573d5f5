"""Tables of the manual that are made from the program: names of other harnesses, settings of a run, vendors."""

import dataclasses
import tomllib
from collections.abc import Mapping

from judgebench.data.aliases import aliases
from judgebench.data.resources import resource
from judgebench.run.settings import Flag, Settings

DASHES = str.maketrans("_", "-")


def names() -> str:
    """What other harnesses call things, and what judgebench calls them."""
    known = aliases()
    parts = [
        "# Names of other harnesses",
        "",
        "What is understood, in lower case and with underscores for dashes. A name that judgebench itself has always "
        "wins; stderr says as what a name was understood. [Coming from another harness](../migration.md) has the usual "
        "ones by harness.",
        *_table("Benchmarks", known.tasks),
        *_table("Benchmarks that are asked in another way here", known.near_tasks, code=False),
        *_table("Flags", known.flags, flags=True),
        *_table("Flags without a value", known.switches, flags=True),
        *_table("Flags that set an option of one task", known.task_options, flags=True),
        *_table("Flags for what is always so", known.always, flags=True, code=False),
        *_table("Flags without an equivalent", known.instead, flags=True, code=False),
        *_table("Commands", known.commands),
    ]
    return "\n".join(parts) + "\n"


def _table(title: str, rows: Mapping[str, str], *, flags: bool = False, code: bool = True) -> list[str]:
    body = [
        f"| `{_flag(there) if flags else there}` | {f'`{here}`' if code else _cell(here)} |"
        for there, here in rows.items()
    ]
    return ["", f"## {title}", "", "| there | here |", "| --- | --- |", *body]


def _flag(name: str) -> str:
    return name if name.startswith("-") else f"--{name.translate(DASHES)}"


def _cell(text: str) -> str:
    """A sentence in a cell, as it stands there."""
    return "".join(f"\\{one}" if one in "|*[]_<" else one for one in text)


def settings() -> str:
    """The settings of a run: as a keyword of Python, as a flag, as a key of a file."""
    rows = []
    for field in dataclasses.fields(Settings):
        known = field.metadata.get("flag")
        if isinstance(known, Flag):
            name = (known.name or field.name).translate(DASHES)
            rows.append(f"| `{field.name}` | `--{name}` | {_cell(known.help)} |")
    return "\n".join(
        [
            "# Settings of a run",
            "",
            "Each is a keyword of `judgebench.evaluate`, `estimate` and the other functions that ask models, a flag of "
            "`eval`, and a key of a [file of settings](../running.md#a-file-of-settings), which is called as the flag, "
            "with underscores.",
            "",
            "| keyword | flag | what it does |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def vendors() -> str:
    """What each vendor does in its own way, and where and when that was read."""
    known = tomllib.loads((resource("templates") / "vendors.toml").read_text(encoding="utf-8"))
    rows = []
    for vendor in known.values():
        told = [vendor["note"]] if vendor.get("note") else []
        told += [f"refuses {', '.join(vendor['refuses'])}"] if vendor.get("refuses") else []
        said = _cell("; ".join(told)) or "as OpenAI's interface has it"
        rows.append(f"| {vendor['title']} | {said} | [{vendor['facts_as_of']}]({vendor['facts']}) |")
    return "\n".join(
        [
            "# What vendors do in their own way",
            "",
            "As each vendor's own pages say, on the day that leads there. Keys and log-probabilities are under "
            "[vendors](../providers.md), what happens when an endpoint does this or that under "
            "[troubleshooting](../troubleshooting.md#vendors-and-servers).",
            "",
            "| vendor | what is particular | read |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )
