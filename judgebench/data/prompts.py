"""Filling text into prompts. Every placeholder is replaced in one pass, so text that was filled in is not read again.

The prompts themselves are in the benchmarks' folders.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from judgebench.codec import sha256_hex
from judgebench.errors import UsageError
from judgebench.records import Case, Message


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each literal token (a key of ``values``, with its brackets) by its text, in one pass.

    Text that is filled in stays as it is, even if it looks like a token. Raises :class:`UsageError` if the template
    lacks a token: the prompt would silently leave something out.

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
    """Lines of a judge prompt that show an answer copied it: not short, and without placeholders."""
    lines = {line.strip() for line in template.splitlines()}
    return tuple(sorted(line for line in lines if len(line) >= 12 and not any(marker in line for marker in markers)))


class HousePrompt:
    """A judge prompt of our own: a Jinja file in a benchmark's folder with the block ``user`` and maybe ``system``."""

    def __init__(self, path: Path) -> None:
        text = path.read_text("utf-8")
        self.sha256 = sha256_hex(text.encode())
        self.fragments = distinctive_lines(text, ("{{", "{%", "{#"))
        self._name = path.name
        self._template = _ENVIRONMENT.from_string(text)

    def messages(self, **values: str) -> tuple[Message, ...]:
        """The chat messages with the values filled in and outer whitespace removed."""
        return tuple(
            Message(role=role, content=self._render(role, values))
            for role in ("system", "user")
            if role in self._template.blocks
        )

    def pair(self, case: Case) -> tuple[Message, ...]:
        """The messages of a prompt that shows ``instruction``, ``answer_1`` and ``answer_2``."""
        first, second = case.answers
        return self.messages(instruction=case.example.instruction, answer_1=first.text, answer_2=second.text)

    def _render(self, block: str, values: Mapping[str, str]) -> str:
        try:
            return "".join(self._template.blocks[block](self._template.new_context(dict(values)))).strip()
        except TemplateError as error:
            raise UsageError(f"the prompt template {self._name} cannot be filled: {error}") from error


# Prompts are plain text for a model, not HTML, so nothing needs escaping; values are data, never templates.
_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
