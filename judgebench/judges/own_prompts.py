"""Judge prompts that the user wrote: a Jinja template, or a prompt file of ``alpaca_eval``.

A template shows the texts of a case (:class:`CaseTexts`) and may ask whether there is one. It has no calls, no
arithmetic and no loops but over ``turns``, so no template reaches Python's internals, runs for long, or makes a prompt
longer than its own parts. Texts are filled in as they are; what an answer contains is never read as a template.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from jinja2 import StrictUndefined, TemplateError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from judgebench.codec import sha256_hex
from judgebench.data.prompts import BLOCKS, distinctive_lines, fill, not_sent
from judgebench.display import did_you_mean
from judgebench.errors import UnfilledPrompt, UsageError
from judgebench.judges.replies import RATING_BRACKETS
from judgebench.records import Case, Message

Syntax = Literal["jinja", "alpaca_eval"]
LONGEST_PROMPT = 200_000
"""Longest prompt of a user's own, in characters, before anything is filled in."""
MOST_NAMES = 1000
DEEPEST = 60
"""How deep the parts of a template may lie within each other: whatever walks through them calls itself for each."""
LONGEST_FILLED = 32 * 2**20
"""Longest prompt of a user's own that is sent, in characters."""
TURNS = "turns"
FILTERS = (
    "capitalize",
    "d",
    "default",
    "escape",
    "length",
    "lower",
    "tojson",
    "trim",
    "truncate",
    "upper",
    "wordcount",
)
TAKE_ARGUMENTS = ("d", "default", "truncate")
TURN_PARTS = ("question", "reference", "answer", "answer_a", "answer_b")
LOOP_PARTS = ("index", "index0", "first", "last", "length", "revindex", "revindex0")
PRESENCE = ("defined", "none", "string", "undefined")
"""Tests that ask whether there is a text, not what it says."""
TESTS = ("defined", "eq", "equalto", "in", "ne", "none", "string", "undefined")
ALPACA_EVAL_TOKENS = ("{instruction}", "{output_1}", "{output_2}")

COMMON = {
    "instruction": "the question that the judged answer replies to",
    "history": "what was said before it, one USER: or ASSISTANT: paragraph per message; empty if nothing was",
    "reference": "the reference answer to that question; empty if there is none",
    "category": "the category of the example; empty if it has none",
    TURNS: "the judged turns, for a loop: each has question and reference, and answer (of pairs: answer_a, answer_b)",
}
OF_ONE = {"answer": "the answer to rate"}
OF_PAIR = {"answer_a": "the answer shown first", "answer_b": "the answer shown second"}


def common_texts(case: Case) -> dict[str, Any]:
    """Return the texts that a prompt can show of any case, by name."""
    example, names = case.example, ("answer",) if len(case.answers) == 1 else ("answer_a", "answer_b")
    questions = (example.instruction, *example.followups)
    count = max(1, min(len(questions), *(len(answer.turns) for answer in case.answers)))
    references = [*example.references[:count], *[""] * (count - len(example.references))]
    turns = [
        {"question": questions[turn], "reference": references[turn]}
        | {name: answer.turns[turn] for name, answer in zip(names, case.answers, strict=True)}
        for turn in range(count)
    ]
    category = example.meta.get("category")
    return {
        "instruction": questions[count - 1],
        "history": "\n\n".join(f"{message.role.upper()}: {message.content}" for message in example.messages[:-1]),
        "reference": references[-1],
        "category": category if isinstance(category, str) else "",
        TURNS: turns,
        **{name: answer.text for name, answer in zip(names, case.answers, strict=True)},
    }


@dataclass(frozen=True, kw_only=True)
class CaseTexts:
    """What a user's prompt can show of a judge's cases: texts by name."""

    answers: Literal[1, 2]
    """Number of answers that a case holds: one to rate, or a pair."""
    names: Mapping[str, str] = field(default_factory=dict)
    """The names that this benchmark adds to the common ones, with what each is."""
    of: Callable[[Case], Mapping[str, Any]] = lambda case: {}
    """The texts of these names. A common name that is among them replaces the common text."""
    without: tuple[str, ...] = ()
    """Common names that this benchmark does not have."""
    scale: tuple[float, float] | None = None
    """Lowest and highest rating, if answers are rated and the benchmark's numbers are bounded."""

    @property
    def described(self) -> dict[str, str]:
        """All names, with what each is."""
        known = (OF_ONE if self.answers == 1 else OF_PAIR) | COMMON | dict(self.names)
        return {name: about for name, about in known.items() if name not in self.without}

    def texts(self, case: Case) -> dict[str, Any]:
        """All texts of a case."""
        found = common_texts(case) | dict(self.of(case))
        return {name: text for name, text in found.items() if name not in self.without}

    @property
    def words(self) -> str:
        """What a case is, in words."""
        return "single answers" if self.answers == 1 else "pairs of answers"


NUMBERED_PAIR = CaseTexts(
    answers=2,
    names={"answer_1": "the same as answer_a", "answer_2": "the same as answer_b"},
    of=lambda case: {"answer_1": case.answers[0].text, "answer_2": case.answers[1].text},
)
"""Pairs whose bundled prompt numbers the answers."""


# -- templates


class _Environment(SandboxedEnvironment):
    """Jinja without its globals, and with the filters and tests whose output is no longer than their input."""

    def __init__(self) -> None:
        # Prompts are plain text for a model, not HTML, so nothing needs escaping.
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in FILTERS}
        self.tests = {name: self.tests[name] for name in TESTS}


_ENVIRONMENT = _Environment()
_PLAIN = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.If,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
    nodes.Concat,
    nodes.Slice,
    nodes.Neg,
    nodes.Filter,
    nodes.Test,
    nodes.Keyword,
)
_ALLOWED = (
    "blocks system and user, texts by name, if, comparisons, and, or, not, slices such as answer[:2000], ~, loops over "
    f"turns, the filters {', '.join(FILTERS)}"
)
_LEAVES_OUT = re.compile(r"\{#-?\s*leaves out:([a-z, ]*)-?#\}")
CAN_BE_LEFT_OUT = ("question", "answer", "labels")


@dataclass(frozen=True)
class OwnPrompt:
    """A prompt of the user's, checked as far as it can be without a case."""

    text: str
    name: str
    """How messages call it: the path as the user gave it, or the run that holds it."""
    syntax: Syntax = "jinja"
    what: str = "the judge prompt"

    @property
    def published(self) -> bool:
        """Whether it is somebody's published prompt, which is sent as it is and never added to."""
        return False

    def __post_init__(self) -> None:
        if len(self.text) > LONGEST_PROMPT:
            raise self._error(f"it has {len(self.text):,} characters; a judge prompt has at most {LONGEST_PROMPT:,}")
        if not self.text.strip():
            raise self._error("it is empty")
        if self.syntax == "alpaca_eval":
            for token in ALPACA_EVAL_TOKENS:
                if self.text.count(token) != 1:
                    raise self._error(
                        f"it must contain {token} exactly once, and it does {self.text.count(token)} times"
                    )
            if strange := [message.role for message in self._chat if message.role not in (*BLOCKS, "assistant")]:
                raise self._error(f"{strange[0][:40]!r} is no role of a turn; there are system, user and assistant")
            if not any(message.role == "user" for message in self._chat):
                raise self._error(
                    "it has no turn of a user between <|im_start|>user and <|im_end|>, and no text is continued here"
                )
        else:
            self._require_simple(self._tree)

    def _error(self, problem: str, line: int | None = None) -> UsageError:
        return UsageError(f"{self.what} {self.name}{f', line {line}' if line else ''}: {problem}")

    @property
    def sha256(self) -> str:
        """The hash of the text."""
        return sha256_hex(self.text.encode())

    @property
    def fragments(self) -> tuple[str, ...]:
        """Lines that occur in an answer only if it quotes the prompt."""
        return distinctive_lines(self.text, ("{{", "{%", "{#", "<|im_", *ALPACA_EVAL_TOKENS))

    @cached_property
    def leaves_out(self) -> tuple[str, ...]:
        """What the prompt leaves out on purpose, as its comment ``{# leaves out: question #}`` says."""
        found = _LEAVES_OUT.search(self.text) if self.syntax == "jinja" else None
        named = tuple(filter(None, map(str.strip, found[1].split(",")))) if found else ()
        for name in named:
            if name not in CAN_BE_LEFT_OUT:
                raise self._error(f"`leaves out: {name}` is not one of {', '.join(CAN_BE_LEFT_OUT)}")
        return named

    def messages(self, texts: Mapping[str, Any]) -> tuple[Message, ...]:
        """Fill in the texts. Outer whitespace of each message is removed."""
        if self.syntax == "alpaca_eval":
            values = {"{instruction}": texts["instruction"]}
            values |= {"{output_1}": texts["answer_a"], "{output_2}": texts["answer_b"]}
            return tuple(
                Message(
                    role=turn.role, content=fill(turn.content, {t: v for t, v in values.items() if t in turn.content})
                )
                for turn in self._chat
            )
        if not self._template.blocks:
            return (Message(role="user", content=self._rendered(self._template.root_render_func, texts)),)
        return tuple(
            Message(role=role, content=self._rendered(self._template.blocks[role], texts))
            for role in BLOCKS
            if role in self._template.blocks
        )

    def filled(self, texts: Mapping[str, Any]) -> str:
        """Fill in the texts of a template without blocks, and keep all whitespace."""
        return self._whole(self._template.root_render_func, texts)

    def _rendered(self, part: Any, texts: Mapping[str, Any]) -> str:
        return self._whole(part, texts).strip()

    def _whole(self, part: Any, texts: Mapping[str, Any]) -> str:
        pieces, length = [], 0
        try:
            for piece in part(self._template.new_context(dict(texts))):
                pieces.append(piece)
                length += len(piece)
                if length > LONGEST_FILLED:
                    raise ValueError(f"it would have more than {LONGEST_FILLED:,} characters")
            return "".join(pieces)
        except Exception as error:
            raise UnfilledPrompt(f"{self.what} {self.name}: it cannot be filled: {error}") from error

    @cached_property
    def _chat(self) -> tuple[Message, ...]:
        return split_chatml(self.text)

    @cached_property
    def _template(self) -> Any:
        return _ENVIRONMENT.from_string(self.text)

    @cached_property
    def _tree(self) -> nodes.Template:
        try:
            tree = _ENVIRONMENT.parse(self.text)
        except _NO_TEMPLATE as error:
            raise self._error(f"it is no Jinja template: {error}", getattr(error, "lineno", None)) from error
        if (line := _too_deep(tree)) is not None:
            raise self._error(f"its parts lie more than {DEEPEST} deep within each other; make it simpler", line)
        return tree

    @property
    def names(self) -> set[str]:
        """The names of all texts that the template may show."""
        if self.syntax == "alpaca_eval":
            return {"instruction", "answer_a", "answer_b"}
        return set(meta.find_undeclared_variables(self._tree))

    @property
    def wording(self) -> str:
        """What the prompt says by itself, without the texts of a case and without comments."""
        if self.syntax == "alpaca_eval":
            return self.text
        written = [node.data for node in self._tree.find_all(nodes.TemplateData)]
        return "\n".join([*written, *(str(node.value) for node in self._tree.find_all(nodes.Const))])

    def _require_simple(self, tree: nodes.Template) -> None:
        """Raise :class:`UsageError` unless the template keeps to the language of this module."""
        if (lost := not_sent(tree)) is not None:
            raise self._error(*lost)
        count = sum(1 for _ in tree.find_all(nodes.Name))
        if count > MOST_NAMES:
            raise self._error(f"it names texts {count:,} times; a judge prompt does so {MOST_NAMES:,} times at most")
        for node in tree.body:
            for part in node.body if isinstance(node, nodes.Block) else [node]:
                self._require_allowed(part, ())
        try:
            _ = self._template
        except _NO_TEMPLATE as error:
            raise self._error(f"it is no Jinja template: {error}", getattr(error, "lineno", None)) from error

    def require_whole(self, questions: set[str], answers: set[str]) -> None:
        """Raise :class:`UsageError` if what the judge sees may depend on what a question or an answer says.

        The names are those of the texts that hold a question or an answer. A prompt may cut what it says it leaves out.
        """
        if self.syntax == "alpaca_eval":
            return
        within = _Within(frozenset(questions), frozenset({*answers, *_loop_names(self._tree)}))
        for node in self._tree.find_all((nodes.Getitem, nodes.Filter)):
            cuts = (isinstance(node, nodes.Getitem) and not _is_turns(node.node)) or (
                isinstance(node, nodes.Filter) and node.name == "truncate"
            )
            what = within.what(node) if cuts else None
            if what is not None and what not in self.leaves_out:
                raise self._error(
                    f"it cuts {_AN[what]}, so the judge may not see all that it judges. Show the whole, or, if that is "
                    f"meant, say so in the prompt: {{# leaves out: {what} #}}",
                    node.lineno,
                )
        for part in self._tree.find_all((nodes.If, nodes.CondExpr, nodes.And, nodes.Or, nodes.Compare, nodes.Test)):
            tested: nodes.Node = part.test if isinstance(part, nodes.If | nodes.CondExpr) else part
            what = within.what(tested, presence=True)
            if what is not None:
                raise self._error(
                    f"a condition depends on what {_AN[what]} says or how long it is, so the judge could be shown "
                    "different things of different answers; conditions may ask for the other texts, and whether there "
                    "is a question, as in {% if question_2 %}",
                    part.lineno,
                )

    def _require_allowed(self, node: nodes.Node, loop: tuple[str, ...]) -> None:
        """Check a node and all below it; ``loop`` has the name of the turn of the loop around it, and ``loop``."""
        match node:
            case nodes.For(iter=nodes.Name(name="turns"), target=nodes.Name(name=turn), recursive=False, test=None) if (
                not loop
            ):
                loop = (turn, "loop")
            case nodes.Getattr(node=nodes.Name(name=name), attr=attribute) if name in loop:
                known = LOOP_PARTS if name == "loop" else TURN_PARTS
                if attribute not in known:
                    raise self._error(f"{name} has no {attribute!r}; it has {', '.join(known)}", node.lineno)
            case nodes.Getitem(arg=nodes.Slice() | nodes.Const(value=int()) | nodes.Neg()):
                pass
            case nodes.Neg(node=inner) if not (isinstance(inner, nodes.Const) and isinstance(inner.value, int | float)):
                raise self._error("a minus stands only before a number, as in a slice", node.lineno)
            case nodes.Filter(name=name) if name not in FILTERS:
                raise self._error(f"there is no filter {name!r} here; there are {', '.join(FILTERS)}", node.lineno)
            case nodes.Filter(name=name) if name not in TAKE_ARGUMENTS and (node.args or node.kwargs):
                raise self._error(f"the filter {name!r} takes no arguments here", node.lineno)
            case nodes.Filter(name="tojson") if any(inner.name == "tojson" for inner in node.find_all(nodes.Filter)):
                raise self._error("tojson of tojson doubles what it quotes; one is enough", node.lineno)
            case nodes.Test(name=name) if name not in TESTS:
                raise self._error(f"there is no test {name!r} here; there are {', '.join(TESTS)}", node.lineno)
            case _ if not isinstance(node, _PLAIN):
                what = type(node).__name__.lower()
                raise self._error(f"a prompt has {_ALLOWED}; it has no {_KINDS.get(what, what)}", node.lineno)
        for child in node.iter_child_nodes():
            self._require_allowed(child, loop)


_KINDS = {
    "for": "loop but one over turns, without another loop in it",
    "call": "function calls",
    "getattr": "attributes but those of a turn and of loop",
    "getitem": "items but slices and positions",
    "block": "block within a block",
    "mul": "arithmetic",
    "add": "arithmetic (join texts by ~)",
    "pow": "arithmetic",
    "mod": "formatting by %",
}


_NO_TEMPLATE = (TemplateError, RecursionError, SyntaxError, MemoryError, ValueError, OverflowError)
"""What Jinja raises for a text that is no usable template, such as one with a number of 100,000 digits."""
_AN = {"question": "a question", "answer": "an answer"}


def _too_deep(tree: nodes.Template) -> int | None:
    """Return the line of a part that lies too deep, if there is one. This does not call itself."""
    level: list[nodes.Node] = [tree]
    for _ in range(DEEPEST):
        level = [child for node in level for child in node.iter_child_nodes()]
    return level[0].lineno if level else None


def _is_turns(node: nodes.Node | None) -> bool:
    return isinstance(node, nodes.Name) and node.name == TURNS


def _loop_names(tree: nodes.Template) -> Iterator[str]:
    """Yield the names by which loops call a turn, and that of all turns."""
    yield TURNS
    for loop in tree.find_all(nodes.For):
        if isinstance(loop.target, nodes.Name):
            yield loop.target.name


@dataclass(frozen=True)
class _Within:
    """Finds out what an expression depends on, given the names of texts that hold questions or answers."""

    questions: frozenset[str]
    answers: frozenset[str]

    def what(self, node: nodes.Node, *, presence: bool = False) -> str | None:
        """Return ``answer`` or ``question``, or ``None`` if it depends on the content of neither.

        With ``presence``, it does not count whether there is a question.
        """
        match node:
            case nodes.Test(name=name) if name in PRESENCE:
                return None
            case nodes.Filter(name="length", node=inner) if _is_turns(inner):  # how many there are
                return None
            case nodes.Getattr(attr=attribute):
                kinds = [kind for kind in _AN if attribute.startswith(kind)]
            case nodes.Name(name=name):
                kinds = [
                    kind for kind, some in (("answer", self.answers), ("question", self.questions)) if name in some
                ]
            case _:
                further = presence and isinstance(node, nodes.Not | nodes.And | nodes.Or)
                found = {self.what(child, presence=further) for child in node.iter_child_nodes()}
                return next((kind for kind in ("answer", "question") if kind in found), None)
        kind = next(iter(kinds), None)
        return None if presence and kind == "question" else kind


def split_chatml(text: str) -> tuple[Message, ...]:
    """Split a prompt file into turns: the role stands beside the start marker, the content ends at the end marker."""
    messages = []
    for piece in text.strip().split("<|im_start|>")[1:]:
        role, _, rest = piece.partition("\n")
        messages.append(Message(role=role.strip(), content=rest.split("<|im_end|>")[0].strip()))
    return tuple(messages)


# -- whether a prompt fits a task's cases


def require_names(prompt: OwnPrompt, texts: CaseTexts, judge: str) -> None:
    """Raise :class:`UsageError`, which lists the names there are, if the prompt shows something that no case has."""
    unknown = sorted(prompt.names - set(texts.described))
    if unknown:
        near = did_you_mean(unknown[0], texts.described) if len(unknown) == 1 else ""
        raise UsageError(
            f"the judge prompt {prompt.name} shows {', '.join(unknown)}{near}, which cases of {judge} do not have. "
            f"They have {', '.join(texts.described)}; `judgebench judges info`, with the benchmark's name or path, "
            "says what each is"
        )


QUESTION, ANSWERS, EARLIER = "730195528461", ("864120937715", "518306642979"), "295471038866"
"""Stand-ins for the texts of a case: the question, its answers, and answers to earlier questions. They are digits, so
that no filter changes them."""


def require_shown(prompt: OwnPrompt, texts: CaseTexts, cases: Iterable[Case], judge: str) -> None:
    """Raise :class:`UsageError` if the prompt cannot be filled for a case, or leaves out its question or an answer.

    The cases hold the stand-ins. A prompt that is meant to leave something out says so in a comment.
    """
    shown = [(case, texts.texts(case)) for case in cases]
    prompt.require_whole(*(_holding(stand_ins, shown) for stand_ins in ((QUESTION,), (*ANSWERS, EARLIER))))
    for case, filled in shown:
        sent = "\n".join(message.content for message in prompt.messages(filled))
        if not sent:
            raise UsageError(f"the judge prompt {prompt.name} is empty for {case.example.id} of {judge}")
        needed = {"question": [QUESTION], "answer": [*ANSWERS[: texts.answers]]}
        for what, stand_ins in needed.items():
            missing = sum(stand_in not in sent for stand_in in stand_ins)
            if missing and what not in prompt.leaves_out:
                which = f"one of the two {what}s" if len(stand_ins) > 1 and missing == 1 else f"the {what}"
                raise UsageError(
                    f"the judge prompt {prompt.name} leaves out {which} ({case.example.id}, turn {case.turn}, of "
                    f"{judge}): the judge would not see what it judges. Show it ({_shown_by(what, texts)}), or, if "
                    f"that is meant, say so in the prompt: {{# leaves out: {what} #}}"
                )


def _holding(stand_ins: Iterable[str], shown: Iterable[tuple[Case, Mapping[str, Any]]]) -> set[str]:
    """Return the names of the texts that hold one of the stand-ins in some case."""
    return {
        name
        for _, filled in shown
        for name, text in filled.items()
        if name != TURNS and any(stand_in in str(text) for stand_in in stand_ins)
    }


def require_labels(prompt: OwnPrompt, labels: Sequence[str], judge: str) -> None:
    """Raise :class:`UsageError` if the prompt asks for other labels than those that are read in the reply."""
    if not labels or "labels" in prompt.leaves_out or names_labels(prompt.wording, labels):
        return
    means = "" if prompt.syntax == "alpaca_eval" else ", or, if that is meant, say so in it: {# leaves out: labels #}"
    raise UsageError(
        f"the judge prompt {prompt.name} does not ask for {labels_told(labels)}, which {judge} reads in the reply: a "
        "judge that keeps to the prompt would be misread or not read at all. Name it in the prompt, bring a reading "
        f"rule in a judge file ([verdict] of judge.toml){means}"
    )


def labels_told(labels: Sequence[str]) -> str:
    """What is read in a reply, for people."""
    return "a number in double brackets, such as [[5]]" if tuple(labels) == RATING_BRACKETS else " or ".join(labels)


def names_labels(text: str, labels: Sequence[str]) -> bool:
    """Whether a text names one of the labels; of labels that are words, such as A and B, two: ``a`` alone says nothing.

    >>> names_labels("Reply with M or N. A person asked this.", ("A", "B"))
    False
    >>> names_labels("End with [[A]] if the first is better.", ("[[A]]", "[[B]]"))
    True
    """
    named = sum(bool(re.search(bounded(label), text)) for label in labels)
    return named >= (min(2, len(labels)) if all(label.isalnum() for label in labels) else 1)


def bounded(label: str) -> str:
    """Make a pattern that matches a label where it is no part of a word."""
    before, after = r"(?<!\w)" * bool(re.match(r"\w", label)), r"(?!\w)" * bool(re.search(r"\w$", label))
    return f"{before}{re.escape(label)}{after}"


def _shown_by(what: str, texts: CaseTexts) -> str:
    names = ("instruction",) if what == "question" else tuple(OF_ONE if texts.answers == 1 else OF_PAIR)
    return " and ".join(f"{{{{ {name} }}}}" for name in names)
