"""Filling text into prompts: every placeholder is replaced in one pass, so filled-in text is never read again."""

import re
from collections.abc import Iterable, Mapping
from functools import cache

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from judgebench.codec import sha256_hex
from judgebench.errors import UsageError
from judgebench.records import Message
from judgebench.resources import resource


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each literal token (a key of ``values``, with its brackets) by its text, in one pass.

    Text that is filled in stays as it is, even where it looks like a token. A token that the template lacks is a
    :class:`UsageError`: the prompt would silently leave something out.

    >>> fill("Q: {q} A: {a}", {"{q}": "what is {a}?", "{a}": "42"})
    'Q: what is {a}? A: 42'
    """
    for token in values:
        if token not in template:
            raise UsageError(f"the prompt template has no place for {token}; it begins {template[:60]!r}")
    if not values:
        return template
    tokens = re.compile("|".join(re.escape(token) for token in sorted(values, key=len, reverse=True)))
    return tokens.sub(lambda match: values[match.group()], template)


def distinctive_lines(template: str, markers: Iterable[str]) -> tuple[str, ...]:
    """Lines of a judge prompt that give it away where they turn up in an answer: not short, nothing filled in."""
    lines = {line.strip() for line in template.splitlines()}
    return tuple(sorted(line for line in lines if len(line) >= 12 and not any(marker in line for marker in markers)))


class HousePrompt:
    """A judge prompt of our own in ``templates/judge``: a Jinja file with the blocks ``system`` and ``user``."""

    def __init__(self, name: str) -> None:
        path = resource("templates") / "judge" / name
        text = path.read_text()
        self.sha256 = sha256_hex(text.encode())
        self.fragments = distinctive_lines(text, ("{{", "{%", "{#"))
        self._template = _environment().get_template(f"judge/{name}")

    def messages(self, **values: str) -> tuple[Message, ...]:
        """The chat messages with the values filled in, whitespace at their ends stripped."""
        return tuple(
            Message(role=role, content=_render_block(self._template, role, values))
            for role in ("system", "user")
            if role in self._template.blocks
        )


def _render_block(template: Template, block: str, values: Mapping[str, str]) -> str:
    try:
        return "".join(template.blocks[block](template.new_context(dict(values)))).strip()
    except TemplateError as error:
        raise UsageError(f"the prompt template {template.name} cannot be filled: {error}") from error


@cache
def _environment() -> SandboxedEnvironment:
    # Prompts are plain text for a model, not HTML, so there is nothing to escape; values are data, never templates.
    return SandboxedEnvironment(
        loader=FileSystemLoader(resource("templates")),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
