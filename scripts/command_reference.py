"""The reference of the commands, made from the commands themselves: one page of Markdown for each."""

import html
import re
from collections.abc import Iterator
from typing import Any

from typer.core import TyperOption

from judgebench.cli import COMMANDS, loaded


def overview() -> str:
    """The page that lists every command with its first sentence."""
    rows = [f"| [`{name}`]({name}.md) | {summary} |" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "# Commands",
            "",
            "`judgebench help COMMAND` prints what these pages say. Underscores do for dashes, and flags of "
            "[other harnesses](../../migration.md) are understood where something here is exactly the same. What exit "
            "codes mean is under [troubleshooting](../../troubleshooting.md#exit-codes).",
            "",
            "| command | what it does |",
            "| --- | --- |",
            *rows,
            "",
            "`judgebench -v COMMAND …` shows tracebacks with errors and protocol details with results; "
            "`judgebench --version` shows the version.",
            "",
        ]
    )


def page(name: str) -> str:
    """The page of one command, with a section for each command below it."""
    command = loaded(name)
    context = command.make_context(f"judgebench {name}", [], resilient_parsing=True)
    return "\n".join([f"# judgebench {name}", "", *_described(command, context)])


def _described(command: Any, context: Any) -> Iterator[str]:
    yield from (_prose(command.help or COMMANDS[command.name][1]), "")
    below = getattr(command, "commands", None)
    if below is None:
        yield from ("```text", _usage(command, context), "```", "")
        yield from _parameters(command, context)
        return
    for name, part in below.items():
        full = f"{context.info_name} {name}"
        yield from (f"## {full}", "")
        yield from _described(part, part.make_context(full, [], resilient_parsing=True))


def _usage(command: Any, context: Any) -> str:
    return " ".join([context.command_path, *command.collect_usage_pieces(context)])


def _parameters(command: Any, context: Any) -> Iterator[str]:
    """Two lists, of arguments and of flags, as ``--help`` has them."""
    for title, wanted in (("Arguments", False), ("Options", True)):
        records = [
            record
            for parameter in command.get_params(context)
            if isinstance(parameter, TyperOption) is wanted
            and (record := parameter.get_help_record(context)) is not None
        ]
        if records:
            yield f'<p class="options-title">{title}</p>\n<dl class="options">'
            for spelled, about in records:
                shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(about))
                yield f"<dt><code>{html.escape(spelled)}</code></dt>\n<dd>{shown or '&nbsp;'}</dd>"
            yield "</dl>\n"


def _prose(text: str) -> str:
    """Help text, which is plain, as Markdown that shows the same."""
    return "".join(f"\\{one}" if one in "*_<>[]|" else one for one in "\n".join(map(str.strip, text.splitlines())))
