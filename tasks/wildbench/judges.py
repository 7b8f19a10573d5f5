"""WildBench's two judges: the parts of a prompt, and how a reply's JSON is read. The prompts are pulled at run time.

Source: allenai/WildBench@d6b8dca:src/eval.py and src/openai_batch_eval/batch_results_format.py.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from judgebench.codec import sha256_hex
from judgebench.data.prompts import HousePrompt, distinctive_lines, fill
from judgebench.errors import UsageError
from judgebench.judges import Judge
from judgebench.judges import text as text_judges
from judgebench.judges.named import NamedJudge
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.reminders import json_form, one_of
from judgebench.judges.text import TextJudge
from judgebench.records import LARGEST, Case, Example, Message, Sampling, Verdict
from judgebench.task import Fetch

from .formulas import PUBLISHED_K

FOLDER = Path(__file__).parent

Reading = Literal["strict", "first", "last"]
"""``strict``: the reply is a JSON object (upstream's batch mode). ``first``: else the first quoted value of the key
(upstream's instant mode). ``last``: else the last one (ours: a judge that quotes the answer quotes it before its
verdict)."""

CUT = "... (truncated)"
"""What the word cap leaves at the end of a text."""
EMPTY = "[This model response is empty.]"
"""What the pairwise judge is shown for an answer without text."""
SYSTEM = Message(role="system", content="You are a helpful AI assistant.")
"""Sent before the prompt in upstream's instant mode, not in its batch mode."""

SHARES = {"A++": 1.0, "A+": 0.75, "A=B": 0.5, "B+": 0.25, "B++": 0.0}
"""Share of the win of the answer shown as A."""

MARKS = ("repaired", "disputed")
"""Marks of a reply that is not JSON: verdicts could be picked out of it, and they contradict each other."""

SAMPLING = Sampling(temperature=0.0, max_tokens=1024, json_object=True)
OTHER_JUDGES = text_judges.OTHER_JUDGES | {
    "http://HOST:PORT/v1#NAME": "any OpenAI-compatible server whose model keeps to JSON, best with response_format"
}
"""Judges to turn to when the official one is no longer served."""


@dataclass(frozen=True, kw_only=True)
class JudgeKind:
    """What is asked for, and where the answer is found."""

    tokens: tuple[str, ...]
    """Placeholders of the official prompt, in upstream's order of replacement."""
    names: tuple[str, ...]
    """Names of the same parts in our own prompt."""
    markers: tuple[str, ...]
    """What stands before each answer in the official prompt; the end marker is called alike."""
    key: Literal["score", "choice"]
    """Key of the verdict in the reply's JSON."""


JUDGES: Mapping[str, JudgeKind] = {
    "score": JudgeKind(
        tokens=("{$history}", "{$user_query}", "{$model_output}", "{$checklist}"),
        names=("history", "query", "answer", "checklist"),
        markers=("<|begin_of_response|>\n",),
        key="score",
    ),
    "pairwise": JudgeKind(
        tokens=("{$history}", "{$user_query}", "{$candidate_A}", "{$candidate_B}", "{$checklist}"),
        names=("history", "query", "answer_a", "answer_b", "checklist"),
        markers=("<|begin_of_response_A|>\n", "<|begin_of_response_B|>\n"),
        key="choice",
    ),
}
"""The judges. The official prompt of each is ``prompt-NAME`` in ``sources.toml``, our own is ``NAME.j2``."""


@dataclass(frozen=True)
class Protocol:
    """What differs between the two protocol versions, and what the options change."""

    score_model: str
    score_words: int
    """Word cap of the score prompt; 0 or less is no cap."""
    pair_words: int = 1000
    pair_model: str = "openai:gpt-4-turbo-2024-04-09"


@dataclass(frozen=True)
class Plan:
    """The options of a task with their defaults: what is judged, how, and over which baselines and margins."""

    judges: tuple[str, ...]
    protocol: Protocol
    baselines: tuple[str, ...]
    reward_k: int
    mode: str
    chained: bool

    @property
    def reading(self) -> Reading:
        """How replies of official judges are read."""
        return "first" if self.mode == "instant" else "strict"

    @property
    def margins(self) -> tuple[int, ...]:
        """Every length margin that is reported."""
        return tuple(sorted({self.reward_k, *PUBLISHED_K}))

    def words(self, judge: str) -> int:
        """The word cap of a judge's prompt."""
        return self.protocol.score_words if judge == "score" else self.protocol.pair_words


# -- the parts of a prompt


def capped(text: str, max_words: int) -> str:
    """Cut a text after ``max_words`` pieces between single spaces. A cap of 0 or less cuts nothing.

    >>> capped("a  b c", 3)
    'a  b... (truncated)'
    """
    if max_words <= 0 or text.count(" ") < max_words:
        return text
    return " ".join(text.split(" ", max_words)[:max_words]) + CUT


def history_of(example: Example) -> str:
    """Write the turns before the last, each after its speaker and before two newlines. Other roles are left out."""
    speakers = {"user": "USER: ", "assistant": "ASSISTANT: "}
    return "".join(
        f"{speakers[message.role]}{message.content}\n\n"
        for message in example.messages[:-1]
        if message.role in speakers
    )


def checklist_of(example: Example) -> str:
    """Write the checklist as a Markdown list with a newline after each item."""
    return "".join(f"- {item}\n" for item in example.meta.get("checklist", ()))


def shown_in_pair(text: str, max_words: int) -> str:
    """Return an answer as the pairwise judge sees it."""
    shown = capped(text, max_words)
    return shown if shown.strip() else EMPTY


def recovered(prompt: str, marker: str) -> str:
    """Cut an answer out of the prompt between its markers and strip it, as upstream stores it.

    Marker text inside the query or the answer cuts it short, as it does upstream.
    """
    _, _, after = prompt.partition(marker)
    return after.partition(marker.replace("begin_of", "end_of"))[0].strip()


def _parts(case: Case, max_words: int) -> tuple[str, ...]:
    """Return history, query, the answers as shown and checklist, in the order of ``JudgeKind.tokens``."""
    example = case.example
    if not example.meta.get("groups"):
        raise UsageError(f"the run holds task {example.id} without its text: it can be scored again, but not judged")
    show = capped if len(case.answers) == 1 else shown_in_pair
    return (
        capped(history_of(example), max_words),
        capped(example.instruction, max_words),
        *(show(answer.text, max_words) for answer in case.answers),
        checklist_of(example),
    )


@dataclass(frozen=True)
class PublishedPrompt:
    """One of upstream's prompt files."""

    text: str
    sha256: str
    tokens: tuple[str, ...]

    @classmethod
    def parse(cls, data: bytes, judge: str) -> "PublishedPrompt":
        """Read a prompt file, which must contain each placeholder once."""
        text, tokens = data.decode(), JUDGES[judge].tokens
        for token in tokens:
            if text.count(token) != 1:
                raise UsageError(f"the {judge} prompt must contain {token} exactly once, found {text.count(token)}")
        return cls(text, sha256_hex(data), tokens)

    def filled(self, parts: tuple[str, ...], *, chained: bool) -> str:
        """Fill the parts into the prompt.

        Upstream replaces one placeholder after another, so that a placeholder in a query or an answer is expanded
        (``chained``). In one pass such text stays text. Without such text the two give the same.
        """
        values = dict(zip(self.tokens, parts, strict=True))
        if not chained:
            return fill(self.text, values)
        text = self.text
        for token, value in values.items():
            text = text.replace(token, value)
        return text

    @property
    def fragments(self) -> tuple[str, ...]:
        """Lines that occur in an answer only if it quotes the prompt."""
        return distinctive_lines(self.text, self.tokens)


# -- the judges


def load_judges(plan: Plan, fetch: Fetch, *, starter: bool) -> tuple[dict[str, Judge], tuple[str, ...]]:
    """Make upstream's judges or, for the starter set, ours; also return the distinctive lines of their prompts."""
    judges: dict[str, Judge] = {}
    fragments: set[str] = set()
    for name in plan.judges:
        if starter:
            ours = HousePrompt(FOLDER / f"{name}.j2")
            judges[name] = _house_judge(name, ours, plan)
            fragments.update(ours.fragments)
        else:
            prompt = PublishedPrompt.parse(fetch(f"prompt-{name}"), name)
            judges[name] = _published_judge(name, prompt, plan)
            fragments.update(prompt.fragments)
    return judges, tuple(sorted(fragments))


def named_judges(models: Mapping[str, str]) -> tuple[NamedJudge, ...]:
    """Return upstream's judges by name; the starter set has prompts of our own for them."""
    chosen = {"score": "metrics=score", "pairwise": "metrics=reward"}
    return tuple(
        NamedJudge(
            name=name,
            model=models[name],
            answers=1 if name == "score" else 2,
            reading=f"{kind.key} of a JSON object",
            labels=(kind.key,),
            prompt=f"prompt-{name}",
            chosen_by=chosen[name],
            about=f"both are used without that option; the starter set's prompt is {name}.j2",
        )
        for name, kind in JUDGES.items()
    )


def _published_judge(judge: str, prompt: PublishedPrompt, plan: Plan) -> TextJudge:
    """Make upstream's judge in its ``batch`` or ``instant`` mode."""
    opening = (SYSTEM,) if plan.mode == "instant" else ()
    words = plan.words(judge)

    def messages(case: Case) -> tuple[Message, ...]:
        return (*opening, Message(role="user", content=prompt.filled(_parts(case, words), chained=plan.chained)))

    shown = {"max_words": words, "mode": plan.mode, "chained_replacement": plan.chained}
    return _json_judge(judge, messages, prompt.sha256, shown, plan.reading)


def _house_judge(judge: str, prompt: HousePrompt, plan: Plan) -> TextJudge:
    """Make the judge of the starter set, with our own neutral prompt."""
    words = plan.words(judge)

    def messages(case: Case) -> tuple[Message, ...]:
        return prompt.messages(**dict(zip(JUDGES[judge].names, _parts(case, words), strict=True)))

    return _json_judge(judge, messages, prompt.sha256, {"max_words": words, "mode": "house"}, "last", reminds=True)


def case_texts(judge: str, words: int) -> CaseTexts:
    """Return what a prompt of the user's can show: the parts of the official prompts, cut at the same word cap."""
    rates = judge == "score"

    def texts(case: Case) -> dict[str, str]:
        named = dict(zip(JUDGES[judge].names, _parts(case, words), strict=True))
        return named | {"instruction": named["query"]}

    return CaseTexts(
        answers=1 if rates else 2,
        names={
            "query": "the same as instruction",
            "checklist": "the checklist of the task, as a Markdown list",
            "history": "the earlier messages, each after USER: or ASSISTANT:; empty if there are none",
        },
        of=texts,
        without=("turns", "reference", "category"),
        scale=(1.0, 10.0) if rates else None,
    )


def _json_judge(
    judge: str,
    messages: Callable[[Case], tuple[Message, ...]],
    prompt_sha256: str,
    shown: Mapping[str, Any],
    reading: Reading,
    *,
    reminds: bool = False,
) -> TextJudge:
    key = JUDGES[judge].key
    wanted = "is a number from 1 to 10" if key == "score" else f"is {one_of(SHARES)}"
    return TextJudge(
        name=judge,
        messages=messages,
        prompt_sha256=prompt_sha256,
        shown=shown,
        sampling=SAMPLING,
        reading=f"{key} of a JSON object, {reading}",
        read_text=partial(read_verdict, key=key, reading=reading),
        graded=key != "score",
        labels=(key,),
        texts=case_texts(judge, shown["max_words"]),
        form=json_form(key, wanted),
        reminds=reminds,
    )


# -- reading


def read_verdict(text: str, key: str, reading: Reading) -> Verdict:
    """Read a score as a number, or a choice as the share of the answer shown as A; say why if neither is there.

    The details hold those of :data:`MARKS` that apply to the reply.
    """
    marks = zip(MARKS, repair_needed(text, key), strict=True)
    return msgspec.structs.replace(_found(text, key, reading), details={mark: True for mark, holds in marks if holds})


def _found(text: str, key: str, reading: Reading) -> Verdict:
    found = parse(text, reading)
    if not isinstance(found, dict):
        return Verdict(value=None, error="the reply is not a JSON object")
    if key not in found:
        return Verdict(value=None, error=f"the reply's JSON has no {key!r}")
    return score_verdict(found[key]) if key == "score" else choice_verdict(found[key])


def score_verdict(value: Any) -> Verdict:
    """Read a score: a number, or a string that Python reads as one, of any size that is not absurd."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if abs(number) <= LARGEST:
            return Verdict(value=number, label=str(value))
    return Verdict(value=None, error=f"the score {str(value)[:40]!r} is not a number")


def choice_verdict(value: Any) -> Verdict:
    """Read one of the five choices, to the letter."""
    if isinstance(value, str) and value in SHARES:
        return Verdict(value=SHARES[value], label=value)
    return Verdict(value=None, error=f"the choice {str(value)[:40]!r} is not one of {', '.join(SHARES)}")


def parse(text: str, reading: Reading) -> Any:
    """Read the reply's JSON or, with repair, make an object of the quoted values of ``score`` and ``choice`` in it.

    Return ``None`` if it is not JSON (strict). If an object has a key twice, the last one counts, as in any JSON.
    """
    try:
        return json.loads(text if reading == "strict" else text.strip())
    except (ValueError, RecursionError):
        if reading == "strict":
            return None
    position = 0 if reading == "first" else -1
    values = {key: quoted_values(text, key) for key in ("score", "choice")}
    return {key: those[position] for key, those in values.items() if those}


def quoted_values(text: str, key: str) -> list[str]:
    """Find every value in double quotes that follows the quoted key and a colon."""
    return re.findall(rf'"{key}"\s*:\s*"([^"]*)"', text)


def repair_needed(text: str, key: str) -> tuple[bool, bool]:
    """Say whether a reply is not JSON and yet holds values of the key, and whether they contradict each other.

    An answer can cause the second by containing a verdict of its own, which the judge then quotes.
    """
    if parse(text, "strict") is not None:
        return False, False
    values = quoted_values(text, key)
    return bool(values), len(set(values)) > 1
