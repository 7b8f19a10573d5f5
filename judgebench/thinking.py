"""Separates the thinking part of a model's reply from the answer: only the answer is judged, verified or read.

The same rules hold for candidates and judges. A thinking part stands at the start of a reply. It ends with the closing
tag of a pair such as ``<think>`` and ``</think>`` and begins with the opening tag, unless the prompt opened it, as many
chat templates do. White space between the tag and the answer is dropped. A reply that ends while thinking has no
answer. (This follows lm-eval's ``think_end_token``, EleutherAI/lm-evaluation-harness 0.4.13, except that lm-eval grades
a reply that was cut off while thinking as if it were an answer.)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import msgspec

from judgebench.errors import UsageError
from judgebench.records import Completion, Generation

POLICIES = ("auto", "on", "off")
"""``auto``: the chat template decides, and a thinking part is recognised by its tags. ``on``: the template enables
thinking, and a reply without a closing tag has no answer. ``off``: the template disables thinking, and the whole reply
is the answer.
"""
TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"),
)
"""Tags of DeepSeek, Qwen and most others; of some fine-tunes; of Gemini and Gemma; of Magistral, Kimi and Seed-OSS."""
_CHANNEL, _FINAL = "<|channel|>", "<|channel|>final<|message|>"
"""gpt-oss writes every message to a channel, and the answer to the last one."""
_CHANNEL_MARKS = re.compile(
    r"<\|(?:start|end|message|channel|return|call|constrain)\|>(?:assistant|analysis|commentary)?"
)
_BARE_CHANNELS = re.compile(r"\s*analysis(?P<thinking>.*?)assistantfinal(?P<answer>.*)", re.DOTALL)
"""The same reply if the tokenizer drops its special tokens."""


@dataclass(frozen=True)
class Thinking:
    """How to split replies into thinking and answer."""

    policy: str = "auto"
    tags: tuple[tuple[str, str], ...] = ()
    """Pairs that the user named in addition to :data:`TAGS`."""

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs; the user's come first."""
        return (*self.tags, *TAGS)

    @cached_property
    def openings(self) -> tuple[str, ...]:
        """The opening tags of all pairs."""
        return tuple(opening for opening, _ in self.pairs)


AUTO = Thinking()


@dataclass(frozen=True)
class SplitReply:
    """The two parts of a reply."""

    answer: str
    thinking: str | None = None
    """``None`` if the model did not think aloud."""
    unclosed: bool = False
    """Whether the reply ended while thinking, so that the answer is empty."""


def parse_tags(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Parse the pairs of ``--think-tags``: the opening and the closing tag, separated by a comma."""
    pairs = []
    for text in texts:
        opening, comma, closing = (part.strip() for part in text.partition(","))
        if not (opening and comma and closing) or "," in closing or opening == closing:
            raise UsageError(
                f"--think-tags {text!r} does not name two tags in the form OPEN,CLOSE; give the tags that a thinking "
                "part begins and ends with, such as '<reasoning>,</reasoning>'"
            )
        pairs.append((opening, closing))
    return tuple(pairs)


def split_thinking(text: str, how: Thinking = AUTO) -> SplitReply:
    r"""Split a reply's text.

    >>> split_thinking("<think>2 and 2</think>\n\n4")
    SplitReply(answer='4', thinking='2 and 2', unclosed=False)
    >>> split_thinking("[THINK]2 and 2, well")
    SplitReply(answer='', thinking='2 and 2, well', unclosed=True)
    >>> split_thinking("<|channel|>analysis<|message|>2 and 2<|end|><|start|>assistant<|channel|>final<|message|>4")
    SplitReply(answer='4', thinking='2 and 2', unclosed=False)
    """
    if how.policy == "off":
        return SplitReply(text)
    reply = _channels(text) or _opened(text, how) or _closed(text, how)
    if reply is None:
        return SplitReply("", text, unclosed=True) if how.policy == "on" else SplitReply(text)
    thoughts = [reply.thinking or ""]
    # Some think twice before they answer.
    while (again := _opened(reply.answer, how)) is not None:
        reply = again
        thoughts.append(again.thinking or "")
    return SplitReply(reply.answer, "\n\n".join(thoughts), reply.unclosed)


def split_completion(completion: Completion, how: Thinking = AUTO) -> SplitReply:
    """Split a completion, which an endpoint or a local backend may already have split."""
    text, reasoning = completion.text or "", completion.reasoning
    if reasoning is None or how.policy == "off":
        return split_thinking(text, how)
    reply = split_thinking(text, Thinking("auto", how.tags))
    if reply.thinking is not None:
        thinking = f"{reasoning}\n\n{reply.thinking}" if reasoning else reply.thinking
        return SplitReply(reply.answer, thinking, reply.unclosed)
    return SplitReply(text, reasoning, unclosed=not text.strip())


def without_thinking(completion: Completion, reply: SplitReply) -> Completion:
    """Return the completion with the answer as its text and all of the thinking as its reasoning.

    Log-probabilities that begin with the tokens of the thinking are dropped, because those of the answer cannot be
    located in them.
    """
    if reply.thinking is None:
        return completion
    first = completion.top_logprobs[0] if completion.top_logprobs else ()
    aligned = not reply.thinking or any(reply.answer.startswith(token.strip()) for token, _ in first if token.strip())
    return msgspec.structs.replace(
        completion,
        text=reply.answer,
        reasoning=reply.thinking,
        top_logprobs=completion.top_logprobs if aligned else None,
    )


def split_generation(generation: Generation, how: Thinking) -> Generation:
    """Take the thinking parts out of the outputs of a generation that was made elsewhere."""
    if generation.thinking:
        return generation
    # Whoever made it may have removed the thinking, so a reply without tags is an answer.
    tagged = Thinking("off" if how.policy == "off" else "auto", how.tags)
    replies = [split_thinking(output, tagged) for output in generation.outputs]
    if all(reply.thinking is None for reply in replies):
        return generation
    return msgspec.structs.replace(
        generation,
        outputs=tuple(reply.answer for reply in replies),
        thinking=tuple(reply.thinking for reply in replies),
    )


def left_open(prompt: str, how: Thinking = AUTO) -> str | None:
    """What closes the thinking part that a chat template opened at the end of a prompt; ``None`` if it opened none."""
    end = prompt.rstrip()
    channel = f"{_CHANNEL}analysis<|message|>", f"<|end|><|start|>assistant{_FINAL}"
    return next((closing for opening, closing in (*how.pairs, channel) if end.endswith(opening)), None)


def _channels(text: str) -> SplitReply | None:
    """Split a reply in channels; ``None`` if it has none."""
    if text.lstrip().removeprefix("<|start|>assistant").startswith(_CHANNEL):
        before, closed, after = text.partition(_FINAL)
        thinking = _CHANNEL_MARKS.sub("", before)
        return SplitReply(_CHANNEL_MARKS.split(after, maxsplit=1)[0].lstrip(), thinking, unclosed=not closed)
    bare = _BARE_CHANNELS.match(text)
    return SplitReply(bare["answer"].lstrip(), bare["thinking"]) if bare else None


def _opened(text: str, how: Thinking) -> SplitReply | None:
    """Split a reply that begins with an opening tag; ``None`` if it does not."""
    begun = text.lstrip()
    if not begun.startswith(how.openings):  # as nearly all replies
        return None
    for opening, closing in how.pairs:
        if begun.startswith(opening):
            thinking, closed, after = begun.removeprefix(opening).partition(closing)
            return SplitReply(after.lstrip(), thinking, unclosed=not closed)
    return None


def _closed(text: str, how: Thinking) -> SplitReply | None:
    """Split a reply whose thinking was opened by the prompt, at the first closing tag; ``None`` if it has none.

    A pair in the middle of a reply belongs to the answer, except that the usual closing tag always ends the thinking.
    """
    ends = []
    for opening, closing in how.pairs:
        place = text.find(closing)
        if place >= 0 and ((opening, closing) == TAGS[0] or opening not in text[:place]):
            ends.append((place, closing))
    if not ends:
        return None
    place, closing = min(ends)
    return SplitReply(text[place + len(closing) :].lstrip(), text[:place])
