"""Filling text into prompts. Every placeholder is replaced in one pass, so text that was filled in is not read again.

The prompts themselves are in the benchmarks' folders.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, UndefinedError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from judgebench.codec import sha256_hex
from judgebench.display import did_you_mean
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


BLOCKS = ("system", "user")
"""The blocks of a judge's template, in the order in which they are sent."""


def not_sent(tree: nodes.Template) -> tuple[str, int | None] | None:
    """What of a judge's template would not be sent, or that it asks nothing, with the line; ``None`` if all is well.

    A template without blocks is the user's message as a whole.
    """
    blocks = [node for node in tree.body if isinstance(node, nodes.Block)]
    for block in blocks:
        if block.name not in BLOCKS:
            return f"the block {block.name!r} is not sent; a prompt has the blocks user and system", block.lineno
    if blocks and "user" not in [block.name for block in blocks]:
        return "it has no block user", None
    for node in tree.body:
        if blocks and not isinstance(node, nodes.Block) and not _is_blank(node):
            return "only text in the blocks user and system is sent, and there is some outside", node.lineno
    asked = [node for block in blocks if block.name == "user" for node in block.body] if blocks else tree.body
    if all(map(_is_blank, asked)):
        return f"{'its block user' if blocks else 'it'} is empty", None
    return None


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )


class HousePrompt:
    """A judge prompt in a benchmark's folder: a Jinja file with the block ``user`` and maybe ``system``, or without
    blocks the user's message.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text("utf-8")
        self.sha256 = sha256_hex(text.encode())
        self.fragments = distinctive_lines(text, ("{{", "{%", "{#"))
        self._name = path.name
        try:
            self._template = _ENVIRONMENT.from_string(text)
            lost = not_sent(_ENVIRONMENT.parse(text))
        except TemplateError as error:
            lost = f"it is no Jinja template: {error}", getattr(error, "lineno", None)
        if lost is not None:
            problem, line = lost
            raise UsageError(f"the prompt template {self._name}{f', line {line}' if line else ''}: {problem}")

    def messages(self, **values: str) -> tuple[Message, ...]:
        """The chat messages with the values filled in and outer whitespace removed."""
        parts = {role: self._template.blocks[role] for role in BLOCKS if role in self._template.blocks}
        parts = parts or {"user": self._template.root_render_func}
        return tuple(Message(role=role, content=self._render(part, values)) for role, part in parts.items())

    def pair(self, case: Case) -> tuple[Message, ...]:
        """The messages of a prompt that shows ``instruction``, ``answer_1`` and ``answer_2``."""
        first, second = case.answers
        return self.messages(instruction=case.example.instruction, answer_1=first.text, answer_2=second.text)

    def _render(self, part: Callable[[Context], Iterator[str]], values: Mapping[str, str]) -> str:
        try:
            return "".join(part(self._template.new_context(dict(values)))).strip()
        except UndefinedError as error:
            # Jinja's message begins with the name.
            name = next(iter(re.findall(r"'(\w+)' is undefined", str(error))), "")
            raise UsageError(
                f"the prompt template {self._name} cannot be filled: {error}{did_you_mean(name, values)}; it can show "
                f"{', '.join(values)}"
            ) from error
        except TemplateError as error:
            raise UsageError(f"the prompt template {self._name} cannot be filled: {error}") from error


# Prompts are plain text for a model, not HTML, so nothing needs escaping; values are data, never templates.
_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
