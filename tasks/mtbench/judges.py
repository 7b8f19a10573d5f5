"""MT-Bench's judges: one for each published prompt. The prompts themselves are data, pulled at run time.

Source: lm-sys/FastChat@0e6d3e4beaab66f4d3f93db72541a4abab8af28d:fastchat/llm_judge/common.py.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from judgebench.codec import sha256_hex
from judgebench.data.prompts import HousePrompt, distinctive_lines, fill
from judgebench.errors import UsageError
from judgebench.judges.named import STARTER, NamedJudge
from judgebench.judges.own_prompts import CaseTexts
from judgebench.judges.replies import RATING_BRACKETS, bracketed_rating, first_label
from judgebench.judges.text import TextJudge
from judgebench.records import Case, Example, Message, Sampling, Verdict

Messages = Callable[[Case], tuple[Message, ...]]

JUDGE_SAMPLING = Sampling(temperature=0.0, max_tokens=2048)
"""How upstream asks OpenAI's judges."""
ANTHROPIC_TOKENS = 1024
LABELS = {"[[A]]": 1.0, "[[B]]": 0.0, "[[C]]": 0.5}
"""Share of the win for the answer shown first. If a reply has several labels, the first of this table counts."""
LOWEST, HIGHEST = 1.0, 10.0
OFF_SCALE = "off_scale"
"""Key, in a verdict's details, of a number that strict reading does not accept as a rating."""
GENERIC_SYSTEM = "You are a helpful assistant."
"""If this is a prompt's system text, the instruction is in the user text."""
ESCAPES = {"{{": "{", "}}": "}"}
"""Templates are Python format strings."""


def judged_turns(example: Example) -> tuple[int, ...]:
    """Return the turns to judge: the second only if there are exactly two (gen_judgment.py ``make_match``)."""
    return (1, 2) if len(example.followups) == 1 else (1,)


def rating_id(example: Example, turn: int) -> str:
    """Return the id of the case in which a turn is rated."""
    return f"{example.id}#turn-{turn}"


def game_id(example: Example, turn: int, other: str, *, candidate_first: bool) -> str:
    """Return the id of the case in which a turn is compared with another model's, in one of the two orders."""
    return f"{example.id}#turn-{turn}#against-{other}#{'candidate' if candidate_first else 'baseline'}-first"


class PublishedPrompt(msgspec.Struct, frozen=True):
    """One line of ``judge_prompts.jsonl``."""

    name: str
    type: str
    system_prompt: str
    prompt_template: str
    output_format: str

    @property
    def guided(self) -> bool:
        """Whether it shows reference answers."""
        return "{ref_answer_1}" in self.prompt_template

    @property
    def sha256(self) -> str:
        """Hash of everything that the judge is sent in addition to the case."""
        return sha256_hex(msgspec.json.encode(self))

    @property
    def fragments(self) -> tuple[str, ...]:
        """Lines that occur in an answer only if it quotes the prompt."""
        return distinctive_lines(f"{self.system_prompt}\n{self.prompt_template}", ("{", "}"))

    def messages(self, case: Case, *, anthropic: bool = False) -> tuple[Message, ...]:
        """Return the system text, and the template with the case filled in.

        ``anthropic`` is how upstream asks Anthropic's judges to compare: the system text goes before the user's.
        """
        values = {f"{{{name}}}": text for name, text in case_texts(case, guided=self.guided).items()}
        escapes = {token: text for token, text in ESCAPES.items() if token in self.prompt_template}
        user = fill(self.prompt_template, values | escapes)
        if anthropic and self.type == "pairwise":
            if self.system_prompt != GENERIC_SYSTEM:
                user = f"[Instruction]\n{self.system_prompt}\n\n{user}"
            return (Message(role="user", content=user),)
        return Message(role="system", content=self.system_prompt), Message(role="user", content=user)


def read_prompts(data: bytes) -> dict[str, PublishedPrompt]:
    """Read the published prompts, by name."""
    prompts = msgspec.json.Decoder(PublishedPrompt).decode_lines(data)
    for prompt in prompts:
        if prompt.output_format not in ("[[rating]]", "[[A]]"):
            raise UsageError(
                f"the judge prompt {prompt.name} asks for {prompt.output_format!r}, which is not read here"
            )
    return {prompt.name: prompt for prompt in prompts}


def case_texts(case: Case, *, guided: bool) -> dict[str, str]:
    """Return the texts to fill in, by upstream's names: ``question``, or ``question_1`` and ``question_2``, …"""
    questions = (case.example.instruction, *case.example.followups)[: case.turn]
    letters = ("",) if len(case.answers) == 1 else ("_a", "_b")
    texts = _numbered("question", questions)
    for letter, answer in zip(letters, case.answers, strict=True):
        texts |= _numbered(f"answer{letter}", answer.turns[: case.turn])
    if guided:
        texts |= {f"ref_answer_{turn}": text for turn, text in enumerate(case.example.references[: case.turn], 1)}
    return texts


def _numbered(name: str, texts: Iterable[str]) -> dict[str, str]:
    listed = list(texts)
    return {name: listed[0]} if len(listed) == 1 else {f"{name}_{turn}": text for turn, text in enumerate(listed, 1)}


def read_rating(text: str) -> Verdict:
    """Read a rating as upstream does: any number will do."""
    rating = bracketed_rating(text)
    return Verdict(value=None, error=rating) if isinstance(rating, str) else Verdict(value=rating)


def read_rating_strictly(text: str) -> Verdict:
    """Read a rating; a number outside 1 to 10 is none."""
    verdict = read_rating(text)
    problem = None if verdict.value is None else off_scale(verdict.value)
    return verdict if problem is None else Verdict(value=None, error=problem, details={OFF_SCALE: verdict.value})


def off_scale(rating: float) -> str | None:
    """Say what is wrong with a rating that is not from 1 to 10."""
    return None if LOWEST <= rating <= HIGHEST else f"the rating {rating:g} lies outside {LOWEST:g} to {HIGHEST:g}"


def read_label(text: str) -> Verdict:
    """Read a verdict between two answers as upstream does."""
    label = first_label(text, list(LABELS))
    if label is None:
        return Verdict(value=None, error=f"the reply holds none of {', '.join(LABELS)}")
    return Verdict(value=LABELS[label], label=label)


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How answers are judged: what the judge is asked with, and how its reply is read."""

    published: tuple[str, str]
    """Names of the published prompts for a first turn, without and with reference answers."""
    house: str
    """Name of our own judge, for the starter set. One prompt serves all turns and categories."""
    template: str
    """Our own prompt, a file of this folder."""
    blank: tuple[str, ...]
    """Parts of our own prompt that a case may lack."""
    reading: tuple[str, Callable[[str], Verdict]]
    """The reading rule in words, and as a function."""
    strict: tuple[str, Callable[[str], Verdict]] | None = None
    """The rule of the option ``strict``, if that is another one."""
    rates: bool = False
    """Whether one answer is rated, not two compared."""

    def prompt_name(self, *, guided: bool, turn: int) -> str:
        """Name the published prompt for a turn, with or without reference answers."""
        return self.published[guided] + ("-multi-turn" if turn == 2 else "")

    def judge(self, name: str, messages: Messages, *, strict: bool, **about: Any) -> TextJudge:
        """Make a judge that reads replies by the rule of this protocol."""
        reading, read_text = (strict and self.strict) or self.reading
        return TextJudge(
            name=name,
            messages=messages,
            reading=reading,
            read_text=read_text,
            labels=self.labels,
            texts=self.texts,
            **about,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """What is looked for in a reply."""
        return RATING_BRACKETS if self.rates else tuple(LABELS)

    @property
    def texts(self) -> CaseTexts:
        """What a prompt of the user's can show."""
        answers = {"answer": "the answer"} if self.rates else {"answer_a": "A's answer", "answer_b": "B's answer"}
        about = {"question": "the question", **answers, "reference": "the reference answer"}
        return CaseTexts(
            answers=1 if self.rates else 2,
            names={
                f"{name}_{turn}": f"{words} of turn {turn}"
                + ("; empty if there is none" if turn == 2 or name == "reference" else "")
                for turn in (1, 2)
                for name, words in about.items()
            },
            of=own_texts,
            scale=(LOWEST, HIGHEST) if self.rates else None,
        )


PROTOCOLS = {
    "single": Protocol(
        published=("single-v1", "single-math-v1"),
        house="house_rating",
        template="rating.j2",
        blank=("question_2", "answer_2", "reference_1", "reference_2"),
        reading=("first rating in double brackets, else in single ones", read_rating),
        strict=("first rating in double brackets, else in single ones; from 1 to 10", read_rating_strictly),
        rates=True,
    ),
    "pairwise": Protocol(
        published=("pair-v2", "pair-math-v1"),
        house="house_verdict",
        template="verdict.j2",
        blank=("question_2", "answer_a_2", "answer_b_2", "reference_1", "reference_2"),
        reading=("first of [[A]], [[B]], [[C]] that occurs", read_label),
    ),
}
"""By the type that published prompts have: a rating of one answer, a verdict on two."""


def named_judges(model: str) -> tuple[NamedJudge, ...]:
    """Return the judges by name: upstream's, and ours for the starter set."""
    found = []
    for kind, protocol in PROTOCOLS.items():
        plain, guided = protocol.published
        named = partial(
            NamedJudge,
            answers=1 if protocol.rates else 2,
            reading=protocol.reading[0],
            labels=protocol.labels,
            chosen_by="" if kind == "single" else f"mode={kind}",
        )
        about = f"math, reasoning and coding by {guided}; second turns by the same names with -multi-turn"
        found.append(named(name=plain, model=model, prompt="prompts", about=about))
        found.append(named(name=protocol.house, model=None, prompt=protocol.template, about=STARTER))
    return tuple(found)


def published_judge(prompt: PublishedPrompt, *, references_sha256: str, strict: bool, anthropic: bool) -> TextJudge:
    """Make the judge of one published prompt."""
    return PROTOCOLS[prompt.type].judge(
        prompt.name,
        partial(prompt.messages, anthropic=anthropic),
        strict=strict,
        prompt_sha256=prompt.sha256,
        shown={"references": references_sha256 if prompt.guided else None},
        sampling=msgspec.structs.replace(JUDGE_SAMPLING, max_tokens=ANTHROPIC_TOKENS) if anthropic else JUDGE_SAMPLING,
    )


def own_texts(case: Case) -> dict[str, str]:
    """Return the texts that our own prompts show; those of a second turn or without a reference are empty."""
    kind = "single" if len(case.answers) == 1 else "pairwise"
    texts = {}
    for name, text in case_texts(case, guided=True).items():
        numbered = name if name[-1].isdigit() else f"{name}_1"
        texts[numbered.replace("ref_answer", "reference")] = text
    return dict.fromkeys(PROTOCOLS[kind].blank, "") | texts


def house_judge(protocol: Protocol, prompt: HousePrompt, *, strict: bool) -> TextJudge:
    """Make the judge of the starter set, with our own neutral prompt."""

    def messages(case: Case) -> tuple[Message, ...]:
        return prompt.messages(**own_texts(case))

    return protocol.judge(
        protocol.house,
        messages,
        strict=strict,
        prompt_sha256=prompt.sha256,
        shown={"references": None},
        sampling=JUDGE_SAMPLING,
        reminds=True,
    )
