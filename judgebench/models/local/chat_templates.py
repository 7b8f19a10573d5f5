"""From messages to the tokens that a local model reads, and the checks of that before the first call.

Every backend that has the tokenizer itself uses this. What a prompt says is the task's business; what an HTTP endpoint
does with the messages is the endpoint's. Templates run in a process of their own (``rendering``).
"""

import importlib
from collections.abc import Sequence
from typing import Any

from judgebench.codec import sha256_hex
from judgebench.data.prompts import fill
from judgebench.errors import UsageError, first_line
from judgebench.models import IF_ANY
from judgebench.models.local.rendering import NotRendered, render
from judgebench.records import Message, Request

INSTRUCTION = "{instruction}"
"""Marks the place of the conversation in a raw prompt file."""

_JINJA = ("{{", "{%", "{#")
_USER_PROBE, _SYSTEM_PROBE = "Which bird sings first?", "Answer as a gardener would."
"""Texts that no template writes by itself, and that none trims."""


class Unaskable(Exception):
    """One conversation cannot become a prompt; the message says why. Others may."""


class ChatPrompts:
    """One tokenizer's way from messages to tokens."""

    identity: str
    """The part of a model's identity that names a template or thinking policy other than the tokenizer's own; empty
    without one."""

    def __init__(
        self, tokenizer: Any, *, source: str, chat_template: str | None, thinking: str, context: int | None
    ) -> None:
        """``source`` is the model's name in messages.

        ``chat_template``: ``None`` is the tokenizer's own, and so is :data:`IF_ANY` if it has one; ``"none"`` joins the
        messages by blank lines (base models); a text with ``{instruction}`` and no Jinja is a raw prompt with a place
        for the joined messages; anything else is a Jinja template. ``thinking``: ``on`` and ``off`` set
        ``enable_thinking`` if the template knows it; ``auto`` keeps the template's default. ``context``: the model's
        positions, ``None`` if unknown.

        Raises :class:`UsageError` if there is no template, or if it fails, drops the user's message, or begins the
        prompt with two BOS tokens.
        """
        self._tokenizer, self._source, self._context = tokenizer, source, context
        self._raw: str | None = None
        self._template = ""
        self._variables: dict[str, bool] = {}
        if chat_template == IF_ANY:
            chat_template = None if getattr(tokenizer, "chat_template", None) else "none"
        override = f" template={sha256_hex(chat_template.encode())[:16]}" if chat_template is not None else ""
        if chat_template == "none":
            self._raw = INSTRUCTION
        elif chat_template and INSTRUCTION in chat_template and not any(mark in chat_template for mark in _JINJA):
            self._raw = chat_template
        else:
            self._settle_template(chat_template, thinking)
        switched = f" thinking={thinking}" if self._variables else ""
        self.identity = override + switched
        self._before = self._before_raw_text() if self._raw is not None else []
        self._probe()

    def text(self, messages: Sequence[Message]) -> str:
        """The prompt as the model will read it. Raises :class:`Unaskable`."""
        written = self._written(messages)
        if not self._before or self._bare_tokens(written)[: len(self._before)] == self._before:
            return written
        begun: str = self._tokenizer.decode(self._before)
        return begun + written

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """The prompt in tokens: a template writes its special tokens itself; raw text gets the tokenizer's BOS, unless
        it has one. Raises :class:`Unaskable`.
        """
        return self._begun(self._bare_tokens(self._written(messages)))

    def closed_tokens(self, messages: Sequence[Message]) -> list[int]:
        """A conversation that ends with an answer, in tokens, without the prompt for another one. Raises
        :class:`Unaskable`.
        """
        return self._begun(self._bare_tokens(self._written(messages, closed=True)))

    def continuation(self, messages: Sequence[Message], answer: str) -> list[int]:
        """The tokens of an answer, and of the end of its turn if the template writes one, after ``tokens(messages)``.

        Raises :class:`Unaskable`.
        """
        return self._bare_tokens(self._after_prompt(messages, answer))

    def _begun(self, tokens: list[int]) -> list[int]:
        return tokens if tokens[: len(self._before)] == self._before else self._before + tokens

    def _after_prompt(self, messages: Sequence[Message], answer: str) -> str:
        """The text of an answer with the special token that ends its turn."""
        if self._raw is not None:
            return answer
        before = self._written(messages)
        whole = self._written([*messages, Message(role="assistant", content=answer)], closed=True)
        written = next((text for text in (answer, answer.strip()) if whole.startswith(before + text)), None)
        if written is None:  # the template writes something else between the two, such as an empty thinking part
            return answer
        rest = whole[len(before) + len(written) :]
        ends = [token for token in self._tokenizer.all_special_tokens if rest.startswith(token)]
        return written + max(ends, key=len, default="")

    def check(self, requests: Sequence[Request]) -> None:
        """Raise :class:`UsageError` for faults that show before the first call.

        These are: the template refuses or drops a system message, it refuses every conversation, or a prompt leaves no
        room for a reply in the context. No prompt is ever cut to make it fit.
        """
        self.check_system(requests)
        lengths, refusal = [], ""
        for request in requests:
            try:
                lengths.append(len(self.tokens(request.messages)))
            except Unaskable as error:
                refusal = str(error)
        if refusal and not lengths:
            raise UsageError(
                f"Could not send any of the {len(requests)} prompts to {self._source}: {refusal.rstrip('.')}. "
                "Give another template with --chat-template FILE."
            )
        if self._context is None:
            return
        too_long = [length for length in lengths if length >= self._context]
        if too_long:
            raise UsageError(
                f"{len(too_long)} of {len(requests)} prompts do not fit into the context of {self._source}: it has "
                f"{self._context} tokens, the longest prompt {max(too_long)}, and a reply needs room too. Prompts are "
                "never cut: choose a model with a longer context, or leave these items out with --ids."
            )

    def _settle_template(self, given: str | None, thinking: str) -> None:
        """Find the template's text, and set its switches."""
        try:
            own = self._tokenizer.get_chat_template(given)
        except ValueError as error:
            raise UsageError(
                f"The tokenizer of {self._source} has no chat template. Give one with --chat-template FILE, or use "
                "--chat-template none for a base model (the messages are then joined by blank lines)."
            ) from error
        if not isinstance(own, str):
            raise UsageError(
                f"The chat template of {self._source} is not a text. Give another one with --chat-template FILE."
            )
        self._template = own
        if thinking != "auto" and "enable_thinking" in own:
            self._variables = {"enable_thinking": thinking == "on"}

    def _before_raw_text(self) -> list[int]:
        """The tokens that the tokenizer puts before a text: its BOS, or none. (An end token would end the reply.)"""
        whole: list[int] = self._tokenizer("a").input_ids
        return whole[: whole.index(self._bare_tokens("a")[0])]

    def _written(self, messages: Sequence[Message], *, closed: bool = False) -> str:
        if self._raw is not None:
            return fill(self._raw, {INSTRUCTION: "\n\n".join(message.content for message in messages)})
        try:
            return self._rendered(messages, closed=closed)
        except NotRendered as error:
            if error.over_limit:
                raise UsageError(
                    f"The chat template for {self._source} does not work: {error}. Give another one with "
                    "--chat-template FILE."
                ) from error
            raise Unaskable(f"the chat template refuses the conversation: {error}") from error
        except UnicodeEncodeError as error:  # half a surrogate pair
            raise Unaskable(f"the conversation cannot be put into tokens: {first_line(error)}") from error

    def _rendered(self, messages: Sequence[Message], *, closed: bool) -> str:
        if _is_jinja(self._tokenizer):
            variables = {**self._tokenizer.special_tokens_map, **self._variables}
            return render(
                self._template, messages, {**variables, "add_generation_prompt": False} if closed else variables
            )
        # A tokenizer with its own code, which was installed or trusted, instead of a checkpoint's template.
        conversation = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text: str = self._tokenizer.apply_chat_template(
                conversation, add_generation_prompt=not closed, tokenize=False, **self._variables
            )
        except Exception as error:
            raise NotRendered(first_line(error), over_limit=False) from error
        return text

    def _bare_tokens(self, text: str) -> list[int]:
        try:
            # The template has written the special tokens; the tokenizer would add a second BOS.
            tokens: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        except (TypeError, UnicodeError) as error:  # half a surrogate pair
            raise Unaskable(f"the conversation cannot be put into tokens: {first_line(error)}") from error
        return tokens

    def _probe(self) -> None:
        """Render one question, and refuse a template that fails with it."""
        question = [Message(role="user", content=_USER_PROBE)]
        try:
            written = self._written(question)
        except Unaskable as error:
            reason = error.__cause__ or error
            raise UsageError(f"The chat template for {self._source} does not work: {reason}.") from error
        if _USER_PROBE not in written:
            raise UsageError(
                f"The chat template for {self._source} drops the user's message: it turned a question into "
                f"{written[:60]!r}. Give a Jinja template over `messages`, or a text with {INSTRUCTION}."
            )
        bos = self._tokenizer.bos_token_id
        # Only at the very beginning: some models begin every turn with their BOS.
        if bos is not None and self.tokens(question)[:2] == [bos, bos]:
            raise UsageError(
                f"The chat template for {self._source} begins the prompt with two BOS tokens "
                f"({self._tokenizer.bos_token}), which the model has never seen. Remove one of them from the template; "
                "judgebench adds none."
            )

    def check_system(self, requests: Sequence[Request]) -> None:
        """Raise :class:`UsageError` if the template refuses or drops a system message that one of the requests has."""
        if not any(message.role == "system" for request in requests for message in request.messages):
            return
        conversation = [Message(role="system", content=_SYSTEM_PROBE), Message(role="user", content=_USER_PROBE)]
        problem = ""
        try:
            if _SYSTEM_PROBE not in self._written(conversation):
                problem = "drops it without a word"
        except Unaskable as error:
            problem = f"refuses it ({error.__cause__ or error})"
        if problem:
            raise UsageError(
                f"Cannot send a system message: the chat template of {self._source} {problem}. "
                "Leave --system out, or give a template that has a place for it with --chat-template FILE."
            )


def _is_jinja(tokenizer: Any) -> bool:
    """Whether transformers renders its prompts from a Jinja template."""
    transformers = importlib.import_module("transformers")
    return type(tokenizer).apply_chat_template is transformers.PreTrainedTokenizerBase.apply_chat_template
