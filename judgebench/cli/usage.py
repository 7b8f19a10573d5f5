"""What is said of a command, or of flags, that cannot be parsed: what was typed, and the nearest thing there is."""

import re
from typing import Any

from judgebench.data.aliases import aliases, key_of
from judgebench.display import nearest


def unknown_command(ctx: Any, word: str) -> str:
    """The message for a command that does not exist, with the one that was probably meant."""
    group = words_of(ctx)
    known = list(ctx.command.commands)
    guessed = aliases().commands.get(key_of(" ".join([*group, word]))) or nearest(word.lower(), known)
    meant = " ".join([*group, guessed]) if guessed else None if group else _as_task(word)
    typed_so = " ".join(["judgebench", *group, word])
    if meant is None:
        return f"there is no command `{typed_so}`; the commands are {', '.join(known)}. {_all_commands(group)}"
    return f"there is no command `{typed_so}`; did you mean `judgebench {meant}`? {_all_commands(group)}"


def explained(error: Any) -> str:
    """The message for flags or arguments that cannot be parsed. It names the nearest flag, or the valid values."""
    ctx: Any = getattr(error, "ctx", None)
    words = words_of(ctx)
    command = " ".join(["judgebench", *words])
    flag = getattr(error, "option_name", None)
    if (value := _invalid_value(error)) is not None:
        return f"{value}. See `{command} --help`."
    if flag is None or not hasattr(error, "possibilities"):
        said = getattr(error, "format_message", error.__str__)()
        said = _about_words(said, words) or f"{' '.join(said.split()).rstrip('.')}."
        return f"{said} See `{command} --help`."
    known = [name for parameter in ctx.command.params if not parameter.hidden for name in parameter.opts]
    # Without the dashes, which every flag has: they would make short names alike.
    bare = {name.lstrip("-"): name for name in [*known, "--help"]}
    word = flag.lstrip("-")
    begins = (name for name in sorted(bare, key=len, reverse=True) if re.match(rf"{re.escape(name)}[-_]", word))
    near = bare.get(nearest(word, bare) or next(begins, ""))
    if near is not None:
        return f"`{command}` has no flag {flag}; did you mean {near}? `{command} --help` lists the flags."
    if not words:
        return f"flags stand after a command, as in `judgebench eval {flag} …`. {_all_commands([])}"
    return f"`{command}` has no flag {flag}. `{command} --help` lists the flags."


EXPECTED = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "{le:g} or less",
}
"""What a flag expects, by pydantic's name of what is wrong with its value."""


def _invalid_value(error: Any) -> str | None:
    """What was typed as the value of a flag, and what was expected; ``None`` if it is another error."""
    details: list[Any] = getattr(error.__cause__, "errors", list)()
    if len(details) != 1:
        return None
    (detail,) = details
    flag, expected = error.param.opts[0], EXPECTED.get(detail["type"])
    if expected is None:
        return f"{flag}: {detail['msg'].removeprefix('Value error, ').rstrip('.')}"
    return f"{flag} {str(detail['input'])[:80]}: expected {expected.format(**detail.get('ctx', {}))}"


def words_of(ctx: Any) -> list[str]:
    """The words of a command after ``judgebench``."""
    words: list[str] = []
    while ctx is not None and ctx.parent is not None:
        words.insert(0, ctx.info_name)
        ctx = ctx.parent
    return words


def _about_words(said: str, words: list[str]) -> str | None:
    """What to say of words that stand alone after a command that takes none: runs of a gate, or tasks as in inspect."""
    if words == ["gate"] and said.startswith("Missing option"):
        return (
            f"{said.rstrip('.')}: `judgebench gate --baseline A --candidate B --max-drop X` holds run B against run A."
        )
    found = re.search(r"unexpected extra argument\S* \((.*)\)", said)
    if found is None or words not in (["eval"], ["generate"]):
        return None
    task = _as_task(found[1].split()[0])
    meant = task.removeprefix("eval ") if task else "--tasks T --model M"
    return f"`judgebench {words[0]}` takes flags only, and was given {found[1]!r}; did you mean {meant}?"


def _as_task(word: str) -> str | None:
    """A command that evaluates a task, if the word is one's name."""
    from judgebench import tasks

    own = "".join(tasks.own_names(word).values())
    return f"eval --tasks {own}" if tasks.parse_specs(own or "-")[0].name in tasks.names() else None


def _all_commands(group: list[str]) -> str:
    return f"`{' '.join(['judgebench', 'help', *group])}` lists the commands."
