"""How a verdict is read by the rule of a judge file: labels, a rating, a key of JSON, or a token's probabilities.

A rule is data. Benchmarks have rules of their own in their ``judges.py``.
"""

import json
import math
import re
import warnings
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from judgebench.judges.grade_lines import lines_verdict
from judgebench.judges.lists import list_verdict
from judgebench.judges.own_prompts import CaseTexts, bounded
from judgebench.judges.patterns import killable, wrapped
from judgebench.judges.rankings import ranking_verdict, two_scores_verdict
from judgebench.judges.reminders import RATING_FORM, json_form, one_of
from judgebench.judges.replies import RATING_BRACKETS
from judgebench.records import Verdict

LONGEST_REPLY = 20_000
"""Longest reply that the user's own patterns are searched in, in characters."""
READINGS = ("label", "rating", "json:KEY", "logprob", "list", "lines")
ALPACA_EVAL_READINGS = ("alpaca_eval:ranking_parser", "alpaca_eval:lmsys_parser")
LONGEST_PATTERN = 500
GRADED = "lower_is_better"
"""The name, among the texts of cases that have several grades, of the criteria where a low one is good."""
LIST = "count"
"""The name, among the texts of cases that have several verdicts, of how many there are."""
_RATING = r"\[\[\s*(-?\d{1,15}(?:\.\d{1,15})?)\s*\]\]"
Value = Annotated[float, Meta(ge=-1e9, le=1e9)]


class VerdictRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The table ``[verdict]`` of a judge file."""

    read: str
    """One of :data:`READINGS`."""
    labels: dict[str, Value] = {}
    """The labels, each with its value: of a pair the share of the win of the answer shown first, else the rating."""
    scale: tuple[Value, Value] | None = None
    """Lowest and highest rating."""
    regex: str | None = None
    """Where the label or the rating stands: group 1, or the whole match."""
    which: Literal["first", "last", "only"] = "last"
    """Which of several labels or ratings counts; ``only``: different ones are none."""
    position: Literal["first", "last"] = "first"
    """Which generated token holds the label whose probability is read."""
    binarise: bool = False
    """The likelier label takes the whole win."""
    rescale: bool = False
    """Map the scale linearly to the benchmark's."""
    patterns: bool = False
    """The labels are regular expressions."""
    types: dict[str, Literal["boolean", "string", "integer", "number", "list", "object"]] = {}
    """Reads JSON strictly: the reply, without one code fence around it, is an object whose keys have these types."""
    trims: str = ""
    """Characters that are removed from both ends of a reply of strict JSON, in place of the code fence."""
    repair: bool = False
    """A reply that strict reading refuses is read as the lenient reading does, and counted as repaired."""
    after: str = "[Scores]"
    """Of lines: the heading after which the strict reading looks for grades."""
    strict: bool = False
    """Of lines: only grades of the criteria, after the heading, count."""
    model_1: str = "model_1"
    """The name in a ranking that stands for the answer shown first."""

    @property
    def kind(self) -> str:
        """The reading without the key."""
        return self.read.partition(":")[0] if self.read.startswith("json:") else self.read

    @property
    def key(self) -> str:
        """The key of JSON that holds the verdict."""
        return self.read.partition(":")[2]

    @property
    def own_patterns(self) -> bool:
        """Whether it holds regular expressions, which are used only if the user gave them on the command line."""
        return self.regex is not None or self.patterns

    @property
    def asked_for(self) -> tuple[str, ...]:
        """What a prompt has to name so that its replies can be read; nothing if patterns say what is read."""
        if self.own_patterns or self.kind in ALPACA_EVAL_READINGS:
            return ()
        if self.kind == "json":
            return (self.key,)
        return RATING_BRACKETS if self.kind == "rating" else tuple(self.labels)

    @property
    def form(self) -> str:
        """A verdict that can be read, in words for a judge; empty if patterns say what is read."""
        if self.own_patterns or self.kind in ALPACA_EVAL_READINGS:
            return ""
        scale = f", from {self.scale[0]:g} to {self.scale[1]:g}" if self.scale else ""
        if self.kind == "lines":
            return f"{self.after}, then a line for each criterion: its name, a colon and a number{scale}"
        if self.kind == "list":
            return f"a list in brackets, each element {one_of(self.labels)}"
        if self.kind == "json":
            return json_form(self.key, f"is {one_of(self.labels)}" if self.labels else f"is a number{scale}")
        return RATING_FORM + scale if self.kind == "rating" else one_of(self.labels)

    @property
    def words(self) -> str:
        """The rule in words, for the fingerprint and for people."""
        labels = ", ".join(f"{label} = {value:g}" for label, value in self.labels.items())
        parts = [self.read, labels and f"of {labels}", self.scale and f"on {self.scale[0]:g} to {self.scale[1]:g}"]
        parts += [self.regex and f"by /{self.regex}/", "by patterns" if self.patterns else ""]
        parts += [
            "" if self.kind in ("logprob", "list", "lines", *ALPACA_EVAL_READINGS) else f"the {self.which} one counts"
        ]
        parts += ["of the last line" if self.kind == "list" else ""]
        parts += [f"of criteria alone, after {self.after!r}" if self.strict else ""]
        parts += [f"{self.position} token" if self.kind == "logprob" else "", "binarised" if self.binarise else ""]
        parts += ["mapped to the benchmark's scale" if self.rescale else ""]
        kinds = ", ".join(f"{key} {kind}" for key, kind in sorted(self.types.items()))
        parts += [kinds and f"strictly, with {kinds}", self.trims and f"without {self.trims!r} at the ends"]
        parts += ["else leniently" if self.repair else ""]
        parts += [f"rank of {self.model_1}" if self.read == ALPACA_EVAL_READINGS[0] else ""]
        return ", ".join(filter(None, parts))


def problem(rule: VerdictRule) -> tuple[str, str] | None:
    """Say what is wrong with a rule: the key, and why it does not do. ``None`` if it makes sense."""
    if rule.kind not in ("label", "rating", "json", "logprob", "list", "lines", *ALPACA_EVAL_READINGS) or (
        rule.kind == "json" and not rule.key
    ):
        pattern = 'regex = "PATTERN" beside label or rating, in a benchmark\'s file also reads = "regex:PATTERN"'
        return "read", f"{rule.read!r} is not one of {', '.join(READINGS)}; a pattern of your own is {pattern}"
    if rule.kind in ("label", "logprob", "list") and len(rule.labels) < 2:
        return (
            "labels",
            'needs two labels or more, such as labels = ["[[A]]", "[[B]]"] or { "A" = 1.0, "tie" = 0.5, "B" = 0.0 }',
        )
    if rule.kind in ("rating", "lines") and rule.scale is None:
        return "scale", "says on which scale the judge rates, such as scale = [1, 10]"
    if rule.kind == "json" and not rule.labels and rule.scale is None:
        return "labels", "or scale must say what the values of the key mean, such as scale = [1, 10]"
    if rule.kind != "lines" and (rule.strict or rule.after != VerdictRule(read="lines").after):
        return "strict" if rule.strict else "after", "belongs to lines"
    if rule.kind in ("rating", "lines") and rule.labels:
        return "labels", "belong to label, json:KEY and logprob; a rating has a scale"
    if rule.scale is not None and (rule.kind in ("label", "logprob", "list") or (rule.kind == "json" and rule.labels)):
        return "scale", "belongs to a rating; labels have values"
    if rule.scale is not None and not rule.scale[0] < rule.scale[1]:
        return "scale", f"[{rule.scale[0]:g}, {rule.scale[1]:g}] does not go from low to high"
    if rule.regex is not None and rule.kind not in ("label", "rating"):
        return "regex", "belongs to label and rating"
    for key in ("types", "trims", "repair"):
        if getattr(rule, key) and (rule.kind != "json" or not rule.types):
            return key, "belongs to json:KEY" if rule.kind != "json" else "needs the types of the reply's keys"
    if rule.types and rule.key not in rule.types:
        return "types", f"does not say the type of {rule.key!r}, which is read"
    if rule.binarise and rule.kind != "logprob":
        return "binarise", "belongs to logprob"
    if any(not label.strip() for label in rule.labels):
        return "labels", "has an empty label"
    for key, pattern in _patterns(rule):
        if wrong := _bad_pattern(pattern):
            return key, f"{pattern!r} {wrong}"
    return None


def problem_of_patterns(rule: VerdictRule) -> tuple[str, str] | None:
    """Say which pattern of a rule finds nothing in particular, as :func:`problem` does. This runs them."""
    for key, pattern in _patterns(rule):
        verdict = killable(_matches, pattern)("")
        if verdict.value or verdict.error:
            return key, f"{pattern!r} " + (
                "matches the empty text" if verdict.value else "does not end on an empty text"
            )
    return None


def _patterns(rule: VerdictRule) -> list[tuple[str, str]]:
    """The regular expressions of a rule, each with its key."""
    labels = [("labels", label) for label in rule.labels if rule.patterns]
    return labels if rule.regex is None else [("regex", rule.regex), *labels]


def _matches(pattern: str, text: str) -> Verdict:
    return wrapped(Verdict(value=float(_compiled(pattern).match(text) is not None)))


def misfit(rule: VerdictRule, texts: CaseTexts) -> str | None:
    """Say why a rule does not fit a judge's cases; ``None`` if it does."""
    if rule.kind == "lines" and GRADED not in texts.names:
        return "its verdicts are on one thing, and lines are on several: use rating, label, logprob or json:KEY"
    if rule.kind == "list" and LIST not in texts.names:
        return "its verdicts are single ones, and a list is of several: use label, logprob or json:KEY"
    if texts.answers == 2:
        if rule.kind == "rating" or (rule.kind == "json" and not rule.labels):
            return "its cases are pairs of answers, and a rating is of one: use label, logprob or json:KEY with labels"
        outside = [label for label, value in rule.labels.items() if not 0 <= value <= 1]
        if outside:
            return f"the value of {outside[0]!r} is not from 0 to 1, the share of the win of the answer shown first"
        return None
    if rule.kind in ALPACA_EVAL_READINGS or rule.binarise or rule.patterns:
        return "its cases are single answers, and this reading compares two"
    if texts.scale is None:
        return None if not rule.rescale else "rescale needs a benchmark whose ratings have known bounds"
    low, high = texts.scale
    if rule.scale is not None and rule.scale != texts.scale and not rule.rescale:
        return (
            f"its ratings go from {low:g} to {high:g}, and the judge's from {rule.scale[0]:g} to {rule.scale[1]:g}: "
            f"ask the judge for {low:g} to {high:g}, or set rescale = true to map one to the other"
        )
    outside = [label for label, value in rule.labels.items() if not low <= value <= high]
    if outside:
        return f"the value of {outside[0]!r} is not a rating from {low:g} to {high:g}; give each label one"
    return None


def _bad_pattern(pattern: str) -> str | None:
    if len(pattern) > LONGEST_PATTERN:
        return f"is longer than {LONGEST_PATTERN} characters"
    try:
        _compiled(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    return None


def _compiled(pattern: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # published patterns have brackets that a later Python may read otherwise
        return re.compile(pattern)


# -- reading


def reader(rule: VerdictRule, scale: tuple[float, float] | None) -> Callable[[str], Verdict]:
    """Make the function that reads a reply in words; patterns of the user's run in a process that can be ended."""
    return killable(_read, (rule, scale)) if rule.own_patterns else _reader(rule, scale)


def _read(by: tuple[VerdictRule, tuple[float, float] | None], text: str) -> Verdict:
    return wrapped(_reader(*by)(text))


def _reader(rule: VerdictRule, scale: tuple[float, float] | None) -> Callable[[str], Verdict]:
    if rule.read == ALPACA_EVAL_READINGS[0]:
        return lambda text: ranking_verdict(text, rule.model_1)
    if rule.read == ALPACA_EVAL_READINGS[1]:
        return two_scores_verdict
    if rule.kind == "json":
        return lambda text: _json_verdict(text, rule, scale)
    if rule.kind == "list":
        return lambda text: list_verdict(text, rule.labels)
    if rule.kind == "lines":
        return lambda text: lines_verdict(text, rule.scale or (0.0, 1.0), rule.after)
    if rule.kind == "rating":
        pattern = _compiled(rule.regex or _RATING)
        return lambda text: _chosen(text, pattern, rule, lambda found: _rating(found, rule, scale))
    if rule.patterns:
        patterns = {_compiled(label): value for label, value in rule.labels.items()}
        return lambda text: _first_of_patterns(text, patterns)
    pattern = _compiled(rule.regex) if rule.regex else _any_of(rule.labels)
    return lambda text: _chosen(text, pattern, rule, lambda found: _labelled(found, rule.labels))


def _any_of(labels: Mapping[str, float]) -> re.Pattern[str]:
    """Match any of the labels, none of them as a part of a word."""
    return re.compile("|".join(bounded(label) for label in sorted(labels, key=len, reverse=True)))


def _chosen(text: str, pattern: re.Pattern[str], rule: VerdictRule, read: Callable[[str], Verdict]) -> Verdict:
    """Read the match that counts."""
    if len(text) > LONGEST_REPLY:
        return Verdict(value=None, error=f"the reply is longer than {LONGEST_REPLY:,} characters")
    found = [(match[1] if pattern.groups else match[0]) or "" for match in pattern.finditer(text)]
    if not found:
        what = "number where one was expected" if rule.kind == "rating" else f"label of {', '.join(rule.labels)}"
        return Verdict(value=None, error=f"the reply holds no {what}")
    if rule.which == "only" and len(set(found)) > 1:
        return Verdict(value=None, error=f"the reply holds several verdicts: {', '.join(dict.fromkeys(found))[:80]}")
    return read(found[0 if rule.which == "first" else -1].strip())


def _labelled(found: str, labels: Mapping[str, float]) -> Verdict:
    if found not in labels:
        return Verdict(value=None, error=f"{found[:40]!r} is none of {', '.join(labels)}")
    return Verdict(value=labels[found], label=bare(found))


def bare(label: str) -> str:
    """Return a label without its brackets: verdicts of all judges are counted by the same names.

    >>> bare("[[A>>B]]")
    'A>>B'
    """
    return label.strip("[] ") or label


def _rating(found: str, rule: VerdictRule, scale: tuple[float, float] | None) -> Verdict:
    try:
        number = float(found)
    except ValueError:
        number = math.nan
    assert rule.scale is not None
    low, high = rule.scale
    if not low <= number <= high:
        return Verdict(value=None, error=f"{found[:40]!r} is no rating from {low:g} to {high:g}")
    if rule.rescale and scale is not None:
        number = scale[0] + (number - low) / (high - low) * (scale[1] - scale[0])
    return Verdict(value=number, label=found[:40])


def _json_verdict(text: str, rule: VerdictRule, scale: tuple[float, float] | None) -> Verdict:
    if not rule.types:
        return _in_object(_object_in(text), rule, scale)
    strict = strict_object(text, rule)
    verdict = (
        Verdict(value=None, error=f"the reply is not what was asked for: {strict}")
        if isinstance(strict, str)
        else _in_object(strict, rule, scale)
    )
    if verdict.value is not None or not rule.repair:
        return verdict
    repaired = _in_object(_object_in(text) or _last_label(text, rule), rule, scale)
    return msgspec.structs.replace(repaired, details={"repaired": True}) if repaired.value is not None else verdict


def _last_label(text: str, rule: VerdictRule) -> dict[str, Any] | None:
    """The last label in words, as the object that should have held it."""
    found = _any_of(rule.labels).findall(text[-LONGEST_REPLY:]) if rule.labels else []
    return {rule.key: found[-1]} if found else None


def json_object(text: str, rule: VerdictRule) -> dict[str, Any] | str:
    """The JSON object of a reply by a rule, strictly if it has types, or why there is none."""
    if not rule.types:
        return _object_in(text) or "the reply holds no JSON object"
    found = strict_object(text, rule)
    if isinstance(found, str):
        repaired = _object_in(text) if rule.repair else None
        return repaired or f"the reply is not what was asked for: {found}"
    return found


def strict_object(text: str, rule: VerdictRule) -> dict[str, Any] | str:
    """The JSON object that a reply is, or why it is not the one that the rule's types describe."""
    if rule.trims:
        text = text.strip(rule.trims)
    else:
        text = text.strip().removeprefix("```json").lstrip()
        text = text[:-3].rstrip() if text.endswith("```") else text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"no JSON ({str(error)[:60]})"
    if not isinstance(found, dict):
        return "no JSON object"
    for key, kind in rule.types.items():
        if key not in found:
            return f"it has no {key!r}"
        if not _is_of(found[key], kind):
            return f"{key!r} is no {kind}"
    return found


def _is_of(value: Any, kind: str) -> bool:
    """Whether a value of JSON has a type; a number without a fraction, such as 7.0, is an integer."""
    if kind == "boolean" or isinstance(value, bool):
        return kind == "boolean" and isinstance(value, bool)
    if kind in ("string", "list", "object"):
        return isinstance(value, {"string": str, "list": list, "object": dict}[kind])
    return isinstance(value, int) or (isinstance(value, float) and (kind == "number" or value.is_integer()))


def _in_object(found: dict[str, Any] | None, rule: VerdictRule, scale: tuple[float, float] | None) -> Verdict:
    if found is None:
        return Verdict(value=None, error="the reply holds no JSON object")
    if rule.key not in found:
        return Verdict(value=None, error=f"the reply's JSON has no {rule.key!r}")
    value = found[rule.key]
    if isinstance(value, bool):
        value = str(value).lower()
    if not isinstance(value, str | int | float):
        return Verdict(value=None, error=f"the value of {rule.key!r} is neither a text nor a number")
    shown = value.strip() if isinstance(value, str) else f"{value:.15g}" if abs(value) < 1e15 else ""
    return _labelled(shown, rule.labels) if rule.labels else _rating(shown, rule, scale)


def _object_in(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a reply is, that stands in its last fenced block, or from its first brace on."""
    fenced = text.rpartition("```json")[2].partition("```")[0] if "```json" in text else ""
    braced = text[text.find("{") : text.rfind("}") + 1]
    for part in filter(None, (text, fenced, braced)):
        try:
            found = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def _first_of_patterns(text: str, patterns: Mapping[re.Pattern[str], float]) -> Verdict:
    """Read the pattern that matches first; it must be the only verdict, as in ``alpaca_eval``'s batches of one."""
    if len(text) > LONGEST_REPLY:
        return Verdict(value=None, error=f"the reply is longer than {LONGEST_REPLY:,} characters")
    values = []
    while matches := [(m.start(), m.end(), value) for p, value in patterns.items() if (m := p.search(text))]:
        _, end, value = min(matches, key=itemgetter(0))
        values.append(value)
        text = text[max(end, 1) :]
    if len(values) != 1:
        return Verdict(value=None, error=f"the reply holds {len(values)} verdicts, and one was expected")
    return Verdict(value=values[0], label="first" if values[0] > 0.5 else "second" if values[0] < 0.5 else "tie")
