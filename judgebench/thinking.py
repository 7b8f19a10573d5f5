"""The thinking part of a model's reply, told apart from the answer: only the answer is judged or verified.

A thinking part is closed by ``</think>``; it is opened by ``<think>`` at the start of the reply, or by the prompt, as
many chat templates do. Everything up to the first closing tag is thinking, and the white space between the tag and the
answer belongs to neither. (As lm-eval's ``think_end_token``, EleutherAI/lm-evaluation-harness 0.4.13, but for replies
without the tag: there one that was cut off while thinking is graded like an answer.)
"""

from dataclasses import dataclass

import msgspec

from judgebench.records import Completion, Generation

POLICIES = ("auto", "on", "off")
"""``auto``: the model does as its template has it, and a thinking part is known by its tags. ``on``: the template is
told to enable thinking, and a reply without a closing tag is one that never came to its answer. ``off``: the template
is told not to, and replies are graded whole.
"""

OPENING, CLOSING = "<think>", "</think>"


@dataclass(frozen=True)
class Reply:
    """A reply in its two parts."""

    answer: str
    thinking: str | None = None
    """``None`` if the model did not think aloud."""
    unclosed: bool = False
    """It was still thinking when it ended: the answer is empty."""


def apart(text: str, policy: str = "auto") -> Reply:
    r"""Split a reply.

    >>> apart("<think>2 and 2</think>\n\n4")
    Reply(answer='4', thinking='2 and 2', unclosed=False)
    >>> apart("<think>2 and 2, well")
    Reply(answer='', thinking='2 and 2, well', unclosed=True)
    """
    if policy == "off":
        return Reply(text)
    before, closed, after = text.partition(CLOSING)
    opened = before.lstrip().startswith(OPENING)
    thinking = before.lstrip().removeprefix(OPENING) if opened else before
    if closed:
        return Reply(after.lstrip(), thinking)
    if opened or policy == "on":
        return Reply("", thinking, unclosed=True)
    return Reply(text)


def of_completion(completion: Completion, policy: str) -> Reply:
    """A completion in its two parts; an endpoint may have told them apart already."""
    text = completion.text or ""
    if completion.reasoning is not None and policy != "off" and CLOSING not in text:
        return Reply(text, completion.reasoning, unclosed=not text.strip())
    return apart(text, policy)


def of_generation(generation: Generation, policy: str) -> Generation:
    """A generation that was made elsewhere, its outputs without their thinking parts."""
    if generation.thinking:
        return generation
    replies = [apart(output, policy if policy == "off" else "auto") for output in generation.outputs]
    if all(reply.thinking is None for reply in replies):
        return generation
    return msgspec.structs.replace(
        generation,
        outputs=tuple(reply.answer for reply in replies),
        thinking=tuple(reply.thinking for reply in replies),
    )
