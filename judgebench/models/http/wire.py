"""What is sent to an endpoint and how its replies are read: one class for each protocol, all of them pure.

Here is what the protocols share. What a number depends on (the text, how it ended, the log-probabilities where they
were asked for) is read strictly; of the fields beside it an odd one counts as absent. Retries, pacing and keys live
elsewhere. A setting of a request that an endpoint refuses (``refused``) is put another way where the protocol has one,
else left out; each class says what it can do.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from judgebench.models.pricing import most_tokens
from judgebench.records import Completion, Request, Sampling, TokenLogprob, Usage

REFUSES = re.compile(
    r"unsupported|not support|deprecated|not permitted|not allowed|only the default|may only be set|cannot both"
    r"|or unset|unrecognized|unknown|does not match|extra_forbidden",
    re.I,
)
"""What a message says that refuses a setting altogether, not just its value (``temperature=5``)."""
SETTINGS = ("temperature", "top_p", "seed", "json_object")
"""Fields of :class:`~judgebench.records.Sampling` that can be left out with a changed, but still readable, reply. Stop
strings are kept to here where the endpoint cannot: see :func:`cut`.
"""
ENDS = {
    "stop": ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete"),
    "length": ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
    "content_filter": (
        *("content_filter", "refusal", "sensitive", "content_filtered", "guardrail_intervened"),
        *("safety", "recitation", "blocklist", "prohibited_content", "spii", "error_toxic"),
    ),
    "tool_calls": ("tool_calls", "function_call", "tool_use"),
}
"""The vendors' documented words for how a reply ends: OpenAI's and those of vLLM, Anthropic, Mistral, Cohere, Zhipu,
Text Generation Inference, Bedrock and Gemini, whose OpenAI-compatible endpoint passes its own in capitals. Whatever is
not here (``error``, ``abort``, ``network_error``, ``insufficient_system_resource``, ``pause_turn``, …) broke off.
"""
MOST_TOKENS = 10**8
"""No reply has more tokens than this; a count beyond it is junk."""
LONGEST_NAME = 200
"""Characters of a served model's name that are kept."""

_ENDING = {word: ending for ending, words in ENDS.items() for word in words}


class NoAnswer(ValueError):
    """A reply, with status 200, that is no answer: asked again, it may be one."""

    cause = "malformed"

    usage: Usage | None = None
    """What it cost all the same, if it can be read that far."""


class BrokenOff(NoAnswer):
    """The endpoint gave up in the middle of its reply, and says so."""

    cause = "broken off"


class Wire(Protocol):
    """A protocol that chat models are served over."""

    @property
    def scheme(self) -> str:
        """Begins the identity of a model asked this way."""

    @property
    def path(self) -> str:
        """What follows the base address."""

    @property
    def gives_logprobs(self) -> bool:
        """Replies can hold the log-probabilities of their tokens."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is sent whatever the request says and can change a reply: part of the identity."""

    @property
    def droppable(self) -> tuple[tuple[str, str], ...]:
        """What can be put another way or left out: the field's name, and the word by which a refusal names it. A
        refusal that names several is met by giving up the first.
        """

    @property
    def unsupported(self) -> frozenset[str]:
        """Fields of ``Sampling`` that the protocol has no place for."""

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Headers beside ``Authorization``."""

    def effort(self, effort: str) -> dict[str, Any]:
        """Fields of the body that say how much to think."""

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """The body to send: what is set, and nothing else. Raises :class:`~judgebench.errors.ModelError` if the
        request cannot be put at all.
        """

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The reply that the events of a stream add up to, for servers that stream though nobody asked them to."""

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """What a reply cost; at the request's upper estimate where it does not tell."""

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """What a reply says. Raises :class:`NoAnswer` if that is no answer."""


def read(wire: Wire, data: bytes, request: Request, refused: Collection[str]) -> Completion:
    """The reply in a body, to a request that was sent without what is ``refused``. Raises :class:`NoAnswer`."""
    found = decoded(data)
    if isinstance(found, Iterator):
        found = wire.joined([event for event in found if isinstance(event, dict)])
    if not isinstance(found, dict):
        raise NoAnswer(f"a JSON object was expected, not {_kind(found)}")
    tokens = wire.tokens(found, request)
    try:
        return mark_left_out(wire, wire.completion(found, tokens), request.sampling, refused)
    except NoAnswer as error:
        error.usage = tokens
        raise


def rejected_field(wire: Wire, sent: bytes, said: str) -> str | None:
    """The field of the body that an endpoint's message refuses and that can be given up, or ``None``."""
    if not REFUSES.search(said):
        return None
    body = msgspec.json.decode(sent)
    return next((field for field, word in wire.droppable if field in body and re.search(rf"\b{word}\b", said)), None)


def mark_left_out(wire: Wire, completion: Completion, sampling: Sampling, refused: Collection[str]) -> Completion:
    """A completion with what of its request's sampling was not sent, ended where a stop string that was not sent is."""
    unsent = wire.unsupported.union(refused)
    if not unsent:
        return completion
    unset = Sampling()
    left_out = tuple(name for name in SETTINGS if name in unsent and getattr(sampling, name) != getattr(unset, name))
    if left_out:
        completion = msgspec.structs.replace(completion, left_out=left_out)
    return cut_at_stop(completion, sampling.stop) if "stop" in unsent else completion


def cut_at_stop(completion: Completion, stop: tuple[str, ...]) -> Completion:
    """A completion that ends before the first stop string in it, as an endpoint that knows them ends it."""
    text = completion.text or ""
    ends = [end for string in stop if (end := text.find(string)) >= 0]
    return msgspec.structs.replace(completion, text=text[: min(ends)], finish_reason="stop") if ends else completion


# -- bodies


def decoded(data: bytes) -> Any:
    """The JSON value of a body, or an iterator over those of an event stream.

    Read are also bodies with a byte order mark, in UTF-16, with bytes or escapes that are no characters (replaced), and
    with Python's ``NaN``. Raises :class:`NoAnswer` for anything else.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise NoAnswer("it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = data.decode("utf-16" if utf_16 else "utf-8", errors="replace").lstrip()
    if text.startswith(("data:", "event:", "id:", "retry:", ":")):
        return _events(text)
    return _from_json(text)


def _from_json(text: str) -> Any:
    try:
        # Halves of surrogate pairs, which no record can hold, come out replaced.
        found = json.loads(text)
        return json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise NoAnswer("it is nested too deeply") from None
    except ValueError as error:
        raise NoAnswer(f"it is not JSON ({error})") from None


def _events(text: str) -> Iterator[Any]:
    """The JSON objects of a stream's events, one on each line; ``[DONE]`` is none."""
    for line in text.splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data.startswith("{"):
            yield _from_json(data)


# -- fields that may be anything


def fields(value: Any) -> Mapping[str, Any]:
    """An object; an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> Sequence[Mapping[str, Any]]:
    """The objects of a list; of anything else, none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: Any) -> str | None:
    """A text, if it is one."""
    return value if isinstance(value, str) else None


def name(value: Any) -> str | None:
    """A served model's name, if it is one."""
    return value[:LONGEST_NAME] if isinstance(value, str) else None


def parts_text(value: Any, *kinds: str) -> str | None:
    """A text that may be written as a list of parts, of which those of the kinds are joined; ``None`` without any.

    Raises :class:`NoAnswer` for what is neither a text nor a list nor null.
    """
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise NoAnswer(f"its text is {_kind(value)}")
    texts = [
        part if isinstance(part, str) else text_of(part)
        for part in value
        if isinstance(part, str) or fields(part).get("type") in kinds
    ]
    return "".join(texts) if texts else None


def text_of(part: Mapping[str, Any], key: str = "text") -> str:
    """The text of a part of an answer. Raises :class:`NoAnswer` if it has none."""
    text = part.get(key)
    if not isinstance(text, str):
        raise NoAnswer(f"a part of its text is {_kind(text)}")
    return text


def thoughts(value: Any, depth: int = 4) -> str | None:
    """Thinking, as servers write it: a text, an object that holds one, or a list of such; ``None`` if there is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and depth:
        held = (thoughts(value.get(key), depth - 1) for key in ("thinking", "text", "summary", "content"))
        return next((text for text in held if text is not None), None)
    if isinstance(value, list) and depth:
        found = [text for part in value if (text := thoughts(part, depth - 1)) is not None]
        return "\n\n".join(found) if found else None
    return None


def ending(word: Any) -> str:
    """How a reply ended, in our words. Raises :class:`BrokenOff` if it did not."""
    if word is None:
        raise BrokenOff("it does not say how it ended")
    # Gemini's endpoint adds the cause, as in "content_filter: SAFETY".
    found = _ENDING.get(word.partition(":")[0].strip().lower()) if isinstance(word, str) else None
    if found is None:
        raise BrokenOff(f"it ended with {str(word)[:60]!r}, which is not how an answer ends")
    return found


def require_no_error(*places: Mapping[str, Any]) -> None:
    """Raise :class:`BrokenOff` if one of the objects holds an error."""
    for place in places:
        if error := place.get("error"):
            raise BrokenOff(f"it holds an error: {message_of(error)}")


def message_of(error: Any) -> str:
    """An error's message, in whatever shape an endpoint gives it."""
    for _ in range(5):
        if isinstance(error, list) and error:
            error = error[0]
        elif isinstance(error, dict):
            error = next((error[key] for key in ("error", "message", "detail") if error.get(key)), error)
    if isinstance(error, str):
        return error
    try:
        return json.dumps(error, ensure_ascii=False)
    except RecursionError:
        return "something nested without end"


def usage(request: Request, prompt: Any, completion: Any, total: Any = None) -> Usage:
    """Tokens as an endpoint tells them, what it does not tell at its upper estimate.

    Some count thinking in the total only (Gemini, xAI), so that what the total has beyond the prompt is the reply's.
    """
    # No prompt is empty: a server that says 0 does not count.
    prompt, completion, total = count(prompt) or None, count(completion), count(total)
    if prompt is not None and total is not None and total > prompt:
        completion = max(completion or 0, total - prompt)
    if prompt is not None and completion is not None:
        return Usage(prompt_tokens=prompt, completion_tokens=completion)
    most = most_tokens(request)
    return Usage(
        prompt_tokens=most.prompt_tokens if prompt is None else prompt,
        completion_tokens=most.completion_tokens if completion is None else completion,
        estimated=True,
    )


def count(value: Any) -> int | None:
    """A number of tokens; ``None`` for what can be none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return math.ceil(value)


def alternatives(positions: Any) -> tuple[tuple[TokenLogprob, ...], ...] | None:
    """Per token its alternatives, as OpenAI's protocols have them; the token itself where there are none.

    ``None`` if any of it cannot be read: probabilities of which some are missing would be wrong ones.
    """
    if not isinstance(positions, list) or not positions:
        return None
    found = []
    for position in positions:
        listed = fields(position).get("top_logprobs") or [position]
        pairs = [_pair(alternative) for alternative in listed] if isinstance(listed, list) else [None]
        if None in pairs:
            return None
        found.append(tuple([pair for pair in pairs if pair is not None and pair[1] > -math.inf]))
    return tuple(found)


def _pair(alternative: Any) -> TokenLogprob | None:
    token, logprob = fields(alternative).get("token"), fields(alternative).get("logprob")
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    # A little above 0 is rounding; nan fails the comparison.
    return (token, float(logprob)) if logprob <= 1e-3 else None


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
