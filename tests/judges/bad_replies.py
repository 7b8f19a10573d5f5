"""Replies of judges that hold no verdict, as real ones write them, for every rule by which verdicts are read.

A kind is a text with ``{bare}`` and ``{spelled}`` for a verdict (``A`` and ``[[A]]``), and ``{other}`` for another one
as it is spelled. What is odd and yet read stands among :data:`ODD_BUT_READABLE`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNREADABLE: Mapping[str, str] = {
    "nothing": "",
    "blanks": " \n\n",
    "a refusal": "I'm sorry, but I can't help with comparing these responses.",
    "a question": "Could you clarify which criteria matter most to you before I decide?",
    "prose": "Assistant {bare}'s reply is better: it is more precise.",
    "prose after a heading": "## Verdict\n\n**Winner: Assistant {bare}**",
    "German": "Die Antwort von Assistent {bare} ist besser.",
    "Chinese": "助手{bare}的回答更好。",
    "Arabic": "إجابة المساعد {bare} أفضل.",
    "one bracket": "[{bare}]",
    "one bracket, bold": "My final verdict is: **[{bare}]**",
    "brackets around more": "[[Assistant {bare}]]",
    "bold inside the brackets": "[[**{bare}**]]",
    "full-width brackets": "【【{bare}】】",
    "full-width square brackets": "［［{bare}］］",
    "a zero-width character": "[\u200b[{bare}]\u200b]",
    "brackets escaped for HTML": "&#91;&#91;{bare}&#93;&#93;",
    "brackets escaped for LaTeX": r"\[\[{bare}\]\]",
    "a box": r"$\boxed{{{bare}}}$",
    "the form, not the verdict": "My verdict is [[rating]], one of [[A or B]].",
    "two verdicts": "{spelled} for the facts, {other} for the style.",
    "a verdict that is changed": "My verdict: {spelled}. On reflection, {other}.",
    "JSON with a trailing comma": '```json\n{{"reason": "clear", "winner": "{bare}",}}\n```',
    "JSON of Python": "{{'winner': '{bare}'}}",
    "JSON with a comment": '{{"winner": "{bare}" // clearly\n}}',
    "JSON of another key": '{{"better": "{bare}"}}',
    "JSON in JSON": '{{"result": {{"winner": "{bare}"}}}}',
    "JSON that is cut off": '{{"reason": "The first one says that',
    "a list of JSON": '["{bare}"]',
    "a word of a number": "I rate it seven out of ten.",
    "a fraction": "Rating: [[7/10]]",
    "a range": "Rating: [[7-8]]",
    "off the scale": "Rating: [[42]]",
    "stars": "★★★★☆",
    "still thinking": "<think>The first one is right, so {spelled}",
    "thinking only": "<think>The first one is right, so {spelled}</think>",
    "without an end": "The first one is right. " * 40,
}
"""Kinds of replies that no rule reads, by name."""

CUT_OFF = ("still thinking", "without an end", "JSON that is cut off")
"""Those that ended at the token limit."""

ODD_BUT_READABLE: Mapping[str, str] = {
    "bold": "**{spelled}**",
    "quoted": "> Final verdict: {spelled}",
    "a list": "1. Facts\n2. Style\n- {spelled}",
    "twice the same": "{spelled}\n\nFinal verdict: {spelled}",
    "after thinking": "<think>At first {other}.</think>{spelled}",
    "within prose": "Assistants are alike, yet {spelled} it is.",
    "a code block": "```\n{spelled}\n```",
}
"""Kinds of replies that every rule of words reads, by name."""


@dataclass(frozen=True)
class Reading:
    """A way to read verdicts, as a judge file has it."""

    toml: str
    verdicts: Mapping[str, float]
    """The verdict's values by how they are spelled."""
    rates: bool = False
    """Whether its cases are single answers."""
    logprobs: bool = False

    def reply(self, text: str, spelled: str, *, cut_off: bool = False) -> dict[str, Any]:
        """A choice, as OpenAI's API returns it, of one of the kinds above."""
        names = list(self.verdicts)
        other = names[(names.index(spelled) + 1) % len(names)]
        content = text.format(bare=bare(spelled), spelled=spelled, other=other)
        return choice(content, {"The": -0.2, "I": -1.9} if self.logprobs else None, cut_off=cut_off)

    def good(self, spelled: str) -> dict[str, Any]:
        """A choice that holds this verdict."""
        if not self.logprobs:
            return choice(spelled)
        first = -0.01 if spelled == "A" else -5.0
        return choice(spelled, {"A": first, "B": -5.01 - first})


def bare(spelled: str) -> str:
    """A verdict without brackets, or the value of the key of JSON."""
    return str(json.loads(spelled)["winner"]) if spelled.startswith("{") else spelled.strip("[]")


def choice(text: str, logprobs: Mapping[str, float] | None = None, *, cut_off: bool = False) -> dict[str, Any]:
    """A choice, as OpenAI's API returns it."""
    made: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "length" if cut_off else "stop",
    }
    if logprobs is not None:
        likely = [{"token": token, "logprob": value, "bytes": None} for token, value in logprobs.items()]
        made["logprobs"] = {"content": [{**likely[0], "top_logprobs": likely}]}
    return made


def _labels(*values: tuple[str, float]) -> str:
    return "labels = { " + ", ".join(f'"{label}" = {value}' for label, value in values) + " }"


THREE = (("[[A]]", 1.0), ("[[C]]", 0.5), ("[[B]]", 0.0))
FIVE = (("[[A>>B]]", 1.0), ("[[A>B]]", 0.75), ("[[A=B]]", 0.5), ("[[B>A]]", 0.25), ("[[B>>A]]", 0.0))
READINGS: Mapping[str, Reading] = {
    "label": Reading(f'read = "label"\nwhich = "only"\n{_labels(*THREE)}', dict(THREE)),
    "five labels": Reading(f'read = "label"\nwhich = "only"\n{_labels(*FIVE)}', dict(FIVE)),
    "rating": Reading(
        'read = "rating"\nwhich = "only"\nscale = [1, 10]', {f"[[{n}]]": float(n) for n in range(1, 11)}, rates=True
    ),
    "JSON": Reading(
        'read = "json:winner"\nlabels = { "first" = 1.0, "neither" = 0.5, "second" = 0.0 }',
        {'{"winner": "first"}': 1.0, '{"winner": "neither"}': 0.5, '{"winner": "second"}': 0.0},
    ),
    "logprob": Reading('read = "logprob"\nlabels = { "A" = 1.0, "B" = 0.0 }', {"A": 1.0, "B": 0.0}, logprobs=True),
}
"""Every rule of judge files."""
