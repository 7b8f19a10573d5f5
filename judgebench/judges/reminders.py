"""What a judge is told after a reply that holds no verdict: the form of a verdict, once more."""

from collections.abc import Iterable

import msgspec

from judgebench.records import Message, Request

LONGEST_QUOTE = 1000
"""How much of the end of an unreadable reply a reminder quotes, in characters."""
PLAIN_FORM = "your verdict in exactly the form that was asked for"
RATING_FORM = "the number of your rating in double brackets"


def one_of(labels: Iterable[str]) -> str:
    """Say which labels a judge chooses from.

    >>> one_of(["[[A]]", "[[B]]"])
    'one of these: [[A]] [[B]]'
    """
    return f"one of these: {' '.join(labels)}"


def json_form(key: str, what: str) -> str:
    """Describe an object of JSON by the key that is read and what its value is."""
    return f'a JSON object, without a code block, whose key "{key}" {what}'


def reminder(form: str) -> str:
    """Return the words that ask once more for a verdict in this form."""
    return f"No verdict could be read in that reply. Reply with {form or PLAIN_FORM}. Write it once, and nothing else."


def reminded(request: Request, said: str, words: str) -> Request:
    """Add a reminder to a request after what the judge replied to it.

    If it said nothing, the reminder ends the prompt: APIs and chat templates reject an empty turn, and two turns of one
    speaker.
    """
    *before, last = request.messages
    if said.strip():
        quoted = Message(role="assistant", content=said[-LONGEST_QUOTE:])
        return msgspec.structs.replace(request, messages=(*before, last, quoted, Message(role="user", content=words)))
    ended = msgspec.structs.replace(last, content=f"{last.content}\n\n{words}")
    return msgspec.structs.replace(request, messages=(*before, ended))
