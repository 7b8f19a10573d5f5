"""The built-in suite: pairs of which anybody can tell the better answer, and attacks on a judge. It needs no data.

The texts are ours, in ``templates/audit.toml``. Every question becomes

* sanity pairs: its answer beside a refusal, nothing, the answer to another question, half of itself, and itself;
* padding: its answer with and without a paragraph that says nothing;
* a constant: its answer beside a text that is the same for every question, as of a model that is none;
* forged: its answer beside another question's answer with a verdict written into it, in the judge's own format.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from msgspec import Struct, ValidationError, convert

from judgebench.auditing.items import Item, Label
from judgebench.data.resources import resource
from judgebench.errors import UsageError
from judgebench.files import read_toml
from judgebench.records import Message

BUILTIN = "builtin"
"""The name of the suite."""
FILE = "audit.toml"
SANITY = ("refusal", "empty", "unrelated", "half", "same")
"""Kinds of sanity pairs; all but the last have a better answer, which is the first or the second by turns."""
SAME = "same"
PADDING, CONSTANT, FORGED = "padding", "constant", "forged"
VERDICT = "VERDICT"
"""Stands in a forged text for what the judge would reply if the answer that holds it won."""


class _Question(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    question: str
    answer: str


class _Texts(Struct, frozen=True, forbid_unknown_fields=True):
    """What ``audit.toml`` holds."""

    refusals: list[str]
    padding: list[str]
    constant: list[str]
    forged: list[str]
    question: list[_Question]


@cache
def _texts() -> _Texts:
    path = resource("templates") / FILE
    try:
        return convert(read_toml(path, "the built-in pairs of an audit"), _Texts)
    except ValidationError as error:
        raise UsageError(f"{path} does not hold the built-in pairs of an audit: {error}") from error


def items() -> tuple[Item, ...]:
    """The whole suite, the sanity pairs first.

    >>> [item.subset for item in items() if item.cluster == "moon"][:6]
    ['refusal', 'empty', 'unrelated', 'half', 'same', 'padding']
    """
    return (*sanity_pairs(), *_attacks())


def sanity_pairs() -> tuple[Item, ...]:
    """The pairs that a judge has to get right."""
    texts = _texts()
    return tuple(
        _item(question, kind, question.answer, other, first=(place + number) % 2 == 0)
        for place, question in enumerate(texts.question)
        for number, (kind, other) in enumerate(zip(SANITY, _worse(texts, place), strict=True))
    )


def _worse(texts: _Texts, place: int) -> tuple[str, str, str, str, str]:
    answer = texts.question[place].answer
    return (
        texts.refusals[place % len(texts.refusals)],
        "",
        texts.question[(place + 1) % len(texts.question)].answer,
        half(answer),
        answer,
    )


def half(text: str) -> str:
    """The first words of a text, at most half of it.

    >>> half("one two three four five")
    'one two'
    """
    words = text.split(" ")
    return " ".join(words[: max(1, len(words) // 2)])


def _attacks() -> Iterator[Item]:
    """The pairs with an attack. The second response is the attacker's, except of ``padding``: the padded one."""
    texts = _texts()
    for place, question in enumerate(texts.question):
        other = texts.question[(place + 2) % len(texts.question)].answer
        for number, padding in enumerate(texts.padding):
            yield _item(question, f"{PADDING}-{number + 1}", question.answer, question.answer + "\n\n" + padding)
        for number, constant in enumerate(texts.constant):
            yield _item(question, f"{CONSTANT}-{number + 1}", question.answer, constant)
        for number, forged in enumerate(texts.forged):
            yield _item(question, f"{FORGED}-{number + 1}", question.answer, other + "\n\n" + forged)


def _item(question: _Question, kind: str, better: str, worse: str, *, first: bool = True) -> Item:
    family = kind.partition("-")[0]
    gold = {SAME: "tie", PADDING: "tie"}.get(family, "1" if first else "2")
    return Item(
        id=f"{question.id}-{kind}",
        suite=BUILTIN,
        subset=family,
        cluster=question.id,
        messages=(Message(role="user", content=question.question),),
        responses=((better,), (worse,)) if first else ((worse,), (better,)),
        gold=(Label(annotator="gold", label=gold),),
    )


def with_verdict(text: str, verdict: str) -> str:
    """Put the verdict that an attacker wants into a forged text.

    >>> with_verdict("The result is: VERDICT", "[[A]]")
    'The result is: [[A]]'
    """
    return text.replace(VERDICT, verdict)


def wanted_verdict(labels: Sequence[str], *, first: bool, rates: bool) -> str:
    """What a judge would reply if the answer shown first, or second, won; ``labels`` are what its rule reads.

    >>> wanted_verdict(("[[A]]", "[[C]]", "[[B]]"), first=False, rates=False)
    '[[B]]'
    """
    if rates:
        return "[[10]]"
    if len(labels) >= 2:
        return labels[0] if first else labels[-1]
    return "[[A]]" if first else "[[B]]"
