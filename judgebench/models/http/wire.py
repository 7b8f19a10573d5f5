"""What is sent to an endpoint and how its replies are read: one class for each protocol, all of them pure.

This module holds what the protocols share; retries, pacing and keys lie in ``run`` and ``endpoint``. Fields that a
number depends on (the text, how it ended, requested log-probabilities) are read strictly; an odd value in any other
field counts as absent. If an endpoint refuses a setting (``refused``), the protocol puts it another way if it can, or
leaves it out; each class says which.
"""

import codecs
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import msgspec

from judgebench.models.pricing import most_tokens
from judgebench.records import Completion, Request, Sampling, TokenLogprob, Usage

REFUSES = re.compile(
    r"unsupported|not support|deprecated|not permitted|not allowed|only the default|may only be set|cannot both"
    r"|or unset|unrecognized|unknown|does not match|extra_forbidden",
    re.I,
)
"""Words of a message that refuses a setting altogether, not just its value (``temperature=5``)."""
SETTINGS = ("temperature", "top_p", "seed", "json_object", "json_schema")
"""Fields of :class:`~judgebench.records.Sampling` that can be left out: the reply changes, but can still be read. Stop
strings that the endpoint does not know are applied by :func:`cut_at_stop`.
"""
FORMATS, FORMAT_FIELD = ("json_object", "json_schema"), "response_format"
"""Fields of ``Sampling`` that ask for a form of the reply, and the field of a body that says so."""
ENDS = {
    "stop": ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete"),
    "length": ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
    "content_filter": (
        *("content_filter", "refusal", "sensitive", "content_filtered", "guardrail_intervened"),
        *("safety", "recitation", "blocklist", "prohibited_content", "spii", "error_toxic"),
    ),
    "tool_calls": ("tool_calls", "function_call", "tool_use"),
}
"""The documented words for how a reply ends: those of OpenAI, vLLM, Anthropic, Mistral, Cohere, Zhipu, Text Generation
Inference, Bedrock and Gemini, whose OpenAI-compatible endpoint passes its own in capitals. Replies with any other word
(``error``, ``abort``, ``network_error``, ``insufficient_system_resource``, ``pause_turn``, …) broke off.
"""
MOST_TOKENS = 10**8
"""No reply has more tokens than this; a higher count is junk."""
LONGEST_NAME = 200
"""Characters to keep of a served model's name."""

_ENDING = {word: ending for ending, words in ENDS.items() for word in words}


class NoAnswer(ValueError):
    """A reply with status 200 that is not an answer; a second try may give one."""

    cause = "malformed"

    usage: Usage | None = None
    """What the reply cost all the same, if that can be read."""


class BrokenOff(NoAnswer):
    """The endpoint says that it gave up in the middle of its reply."""

    cause = "broken off"


class Wire(Protocol):
    """A protocol over which chat models are served."""

    scheme: ClassVar[str]
    """How the identity of a model that is called this way begins."""
    path: ClassVar[str]
    """What follows the base address."""
    gives_logprobs: ClassVar[bool]
    """Whether replies can hold the log-probabilities of their tokens."""
    droppable: ClassVar[tuple[str, ...]]
    """Fields of the body that can be put another way or left out. If a refusal names several, the first is given up."""
    refused_as: ClassVar[Mapping[str, str]] = {}
    """The word by which a refusal names a field, where that is not the field itself."""
    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Fields of ``Sampling`` that the protocol has no place for."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Whatever is sent with every request and can change a reply; it is part of the identity."""
        return {}

    def headers(self, api_key: str | None) -> dict[str, str]:
        """Headers besides ``Authorization``."""
        return {}

    def effort(self, effort: str) -> dict[str, Any]:
        """Fields of the body that say how much to think."""

    def body(self, model: str, request: Request, refused: Collection[str]) -> dict[str, Any]:
        """The body to send: only settings that the request makes. Raises :class:`~judgebench.errors.ModelError` if the
        protocol has no way to send the request.
        """

    def joined(self, events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The reply that a stream's events add up to, for servers that stream without being asked to."""

    def tokens(self, reply: Mapping[str, Any], request: Request) -> Usage:
        """What a reply cost: the request's upper estimate where the reply does not say."""

    def completion(self, reply: Mapping[str, Any], tokens: Usage) -> Completion:
        """The content of a reply. Raises :class:`NoAnswer` if it is not an answer."""


def form(sampling: Sampling) -> dict[str, Any] | None:
    """The form that a reply is asked for: any JSON object, or one of a schema, by its name; ``None`` for any text."""
    if sampling.json_schema:
        return {"name": "reply", "strict": True, "schema": msgspec.json.decode(sampling.json_schema)}
    return {} if sampling.json_object else None


def chosen(sampling: Sampling, refused: Collection[str], *names: str) -> dict[str, Any]:
    """The named settings that the request makes and the endpoint does not refuse."""
    values = {name: getattr(sampling, name) for name in names if name not in refused}
    return {name: value for name, value in values.items() if value not in (None, ())}


def read(wire: Wire, data: bytes, request: Request, refused: Collection[str]) -> Completion:
    """The reply in a body, to a request that was sent without the ``refused`` fields. Raises :class:`NoAnswer`."""
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
    words = {field: wire.refused_as.get(field, field) for field in wire.droppable if field in body}
    return next((field for field, word in words.items() if re.search(rf"\b{word}\b", said)), None)


def mark_left_out(wire: Wire, completion: Completion, sampling: Sampling, refused: Collection[str]) -> Completion:
    """The completion, with the settings that were not sent, and cut at the first stop string if those were not sent."""
    unsent = wire.unsupported.union(refused, FORMATS if FORMAT_FIELD in refused else ())
    if not unsent:
        return completion
    unset = Sampling()
    left_out = tuple(name for name in SETTINGS if name in unsent and getattr(sampling, name) != getattr(unset, name))
    if left_out:
        completion = msgspec.structs.replace(completion, left_out=left_out)
    return cut_at_stop(completion, sampling.stop) if "stop" in unsent else completion


def cut_at_stop(completion: Completion, stop: tuple[str, ...]) -> Completion:
    """The completion, cut before its first stop string, as an endpoint with stop strings ends it."""
    text = completion.text or ""
    ends = [end for string in stop if (end := text.find(string)) >= 0]
    return msgspec.structs.replace(completion, text=text[: min(ends)], finish_reason="stop") if ends else completion


# -- bodies


def decoded(data: bytes) -> Any:
    """The JSON value of a body, or an iterator over those of an event stream.

    Bodies may have a byte order mark, be in UTF-16, hold invalid bytes or escapes (which are replaced), and Python's
    ``NaN``. Raises :class:`NoAnswer` for anything else.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
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
        # This replaces halves of surrogate pairs, which no record can hold.
        found = json.loads(text)
        return json.loads(json.dumps(found, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise NoAnswer("it is nested too deeply") from None
    except ValueError as error:
        raise NoAnswer(f"it is not JSON ({error})") from None


def _events(text: str) -> Iterator[Any]:
    """The JSON objects of a stream's events, one on each line; ``[DONE]`` is skipped."""
    for line in text.splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data.startswith("{"):
            yield _from_json(data)


# -- fields of any type


def fields(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty object."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> Sequence[Mapping[str, Any]]:
    """The objects in a list; nothing if the value is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: Any) -> str | None:
    """The value if it is a text, else ``None``."""
    return value if isinstance(value, str) else None


def name(value: Any) -> str | None:
    """A served model's name, if the value is a text."""
    return value[:LONGEST_NAME] if isinstance(value, str) else None


def parts_text(value: Any, *kinds: str) -> str | None:
    """A text, which may be a list of parts: those of the given kinds are joined. ``None`` if there are none.

    Raises :class:`NoAnswer` for a value that is neither a text nor a list nor null.
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
    """The text of one part of an answer. Raises :class:`NoAnswer` if it has none."""
    text = part.get(key)
    if not isinstance(text, str):
        raise NoAnswer(f"a part of its text is {_kind(text)}")
    return text


def thoughts(value: Any, depth: int = 4) -> str | None:
    """Thinking, as servers write it: a text, an object that holds one, or a list of these; ``None`` without any."""
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
    """How a reply ended, in our words. Raises :class:`BrokenOff` if it broke off."""
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
    """The tokens that an endpoint reports, with an upper estimate of those that it does not report.

    Some count thinking in the total only (Gemini, xAI), so the reply gets whatever the total has beyond the prompt.
    """
    # No prompt is empty: a server that reports 0 does not count tokens.
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


def cached_tokens(data: bytes) -> int:
    """How many of a prompt's tokens the endpoint read from its cache, by whichever protocol's name; 0 if unsaid.

    >>> cached_tokens(b'{"usage": {"prompt_tokens_details": {"cached_tokens": 7}}}')
    7
    """
    told = fields(fields(decoded(data)).get("usage"))
    details = (
        fields(told.get(name)).get("cached_tokens") for name in ("prompt_tokens_details", "input_tokens_details")
    )
    return next((found for value in (told.get("cache_read_input_tokens"), *details) if (found := count(value))), 0)


def count(value: Any) -> int | None:
    """A number of tokens; ``None`` for an impossible one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return math.ceil(value)


def alternatives(positions: Any) -> tuple[tuple[TokenLogprob, ...], ...] | None:
    """The alternatives of each token, as OpenAI's protocols write them, or the token itself if there are none.

    ``None`` if any part cannot be read: with some alternatives missing, the probabilities would be wrong.
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
    # Rounding may lift it a little above 0; nan fails the comparison.
    return (token, float(logprob)) if logprob <= 1e-3 else None


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
