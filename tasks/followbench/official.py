"""What is FollowBench's own: the form of its files, its judge's prompts and how replies to them are read.

Paper: Jiang et al. 2023, FollowBench: A Multi-level Fine-grained Constraints Following Benchmark for Large Language
Models, arXiv 2310.20410. Followed: YJiangcm/FollowBench@6278f4c1377b4eafab737267b8b21acd52ea0e52.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from judgebench.data.rows import FileRow, file_stem, inside
from judgebench.errors import UsageError
from judgebench.judges.lists import of_parts
from judgebench.records import Case, Example, Message, Verdict
from judgebench.task import Fetch

from .rules import RULES, rule_of

__all__ = ["READING", "RULES", "UNREAD_COUNTS", "examples", "outputs", "prompt", "read"]

JUDGED = ("content", "situation", "style", "format", "mixed")
"""The types of constraints of which a judge is asked, some rules aside."""
TYPES = (*JUDGED, "example")
"""All types, each with an official file; a rule decides about all examples."""
UNREAD_COUNTS = -1.0
"""What the official sums add for a reply that cannot be read, in HSR and SSR alike."""
READING = "FollowBench's: YES or NO in the last line; from level 2 on, its list of as many verdicts as the level"
VERDICTS = {"YES": 1.0, "NO": 0.0, "PARTIAL": 0.0, "MAYBE": 0.0, "UNKNOWN": 0.0, "N/A": 0.0}
OUTPUT_FILE = re.compile(rf"_(?:{'|'.join(TYPES)})_constraints?$")
LONGEST_REPLY = 100_000
LONGEST_PROGRAM = 2**20
PIECES = (8, 10)
"""How many texts the prompts of level 1 and of the other levels consist of, beside the requests and the answer."""


class Row(msgspec.Struct, frozen=True):
    """An entry of an official file; other keys are not used."""

    example_id: int
    source: str
    level: int
    instruction: str
    target: str


# -- examples


def examples(fetch: Fetch) -> list[Example]:
    """The requests of all chains, those of level 0 included, with the rule that decides about their answers."""
    return [
        _example(kind, row) for kind in TYPES for row in msgspec.json.decode(fetch(kind), type=list[Row], strict=True)
    ]


def _example(kind: str, row: Row) -> Example:
    rule = rule_of(kind, row.example_id, row.source, row.level)
    return Example(
        id=f"{kind}-{row.example_id}-{row.level}",
        messages=(Message(role="user", content=row.instruction),),
        references=() if rule is None else targets_of(row),
        meta={
            "chain": f"{kind}-{row.example_id}",
            "level": row.level,
            "type": kind,
            "type_level": f"{kind}-{row.level}",
            **({} if rule is None else {"rule": rule}),
        },
    )


def targets_of(row: Row) -> tuple[str, ...]:
    """What an answer is compared with; CoNLL's target is a list of texts as Python writes it."""
    if row.source != "CONLL2003":
        return (row.target,)
    return tuple(ast.literal_eval(row.target))


def outputs(rows: Sequence[FileRow]) -> list[FileRow]:
    """Rows of the official files of answers, ``{"prompt_new": …, "choices": [{"message": {"content": …}}]}``, as those
    of other files of answers: the request's text and the answer.
    """
    return [_output(row) for row in rows]


def _output(row: FileRow) -> FileRow:
    text = inside(row.fields, "choices", 0, "message", "content")
    if not isinstance(text, str):
        return row
    # Each type has a file of its own, named after the model: they hold the answers of one.
    model = OUTPUT_FILE.sub("", file_stem(row.path))
    given = {"instruction": row.value("prompt_new", "prompt", "instruction"), "output": text, "generator": model}
    fields = {name: value for name, value in row.fields.items() if name != "choices"}
    return msgspec.structs.replace(row, fields={**fields, **given})


# -- the judge's prompt


def prompt(fetch: Fetch) -> Callable[[Case], tuple[Message, ...]]:
    """Make the function that writes the prompt of a case, by the strings in the official program."""
    pieces = {kind: _pieces(fetch("judge"), f"{kind}_evaluation_prompt") for kind in JUDGED}
    return partial(_messages, pieces)


def _messages(pieces: Mapping[str, Sequence[Sequence[str]]], case: Case) -> tuple[Message, ...]:
    kind = str(case.example.meta["type"])
    # No judge is asked about examples; a prompt of theirs is only looked at.
    first, later = pieces.get(kind, pieces["mixed"])
    requests = [*case.example.meta["path"], case.example.instruction]
    content = written(first, later, requests, case.answers[0].text)
    return (Message(role="user", content=content),)


def written(first: Sequence[str], later: Sequence[str], requests: Sequence[str], answer: str) -> str:
    """The prompt about an answer to the last of some requests, of which the first is that of level 0."""
    level = len(requests) - 1
    if level < 2:
        opening, head, gap, added, end, own, after, demand = first
        return "".join(
            [opening, head, requests[0], gap, added, requests[-1], end, own, answer, after, demand],
        )
    opening, head, gap, added, end, more, stop, own, after, demand = later
    grown = [part for number in range(2, level + 1) for part in (more.format(number), requests[number], stop)]
    return "".join(
        [
            *(opening.format(level), head, requests[0], gap, added, requests[1], end),
            *grown,
            *(own.format(level), answer, after, demand.format(level=level)),
        ]
    )


def _pieces(program: bytes, function: str) -> tuple[list[str], list[str]]:
    """The strings of a function's prompt of level 1, and of its prompt of other levels, as they stand in the program.

    Raises :class:`UsageError` if the program is not the one that is known.
    """
    strange = UsageError(f"the official program of FollowBench has no function {function} of the form that is known")
    if len(program) > LONGEST_PROGRAM:
        raise strange
    try:
        body = ast.parse(program).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise strange from error
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            branches = [inner for inner in node.body if isinstance(inner, ast.If)]
            found = [[*_strings(part)] for inner in branches[:1] for part in (inner.body, inner.orelse)]
            if tuple(map(len, found)) == PIECES:
                return found[0], found[1]
    raise strange


def _strings(nodes: Sequence[ast.stmt]) -> Iterator[str]:
    """The string constants of some statements, in the order of the program's text."""
    constants = [
        part
        for node in nodes
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    for part in sorted(constants, key=lambda part: (part.lineno, part.col_offset)):
        yield str(part.value)


# -- reading


def read(text: str, level: int) -> Verdict:
    """Read a judge's reply about an answer of a level, as the official program does; what it calls invalid is none.

    >>> read("3) ['YES', 'PARTIAL']", 2).details, read("YESTERDAY", 1).value
    ({'met': [1.0, 0.0]}, 1.0)
    """
    if len(text) > LONGEST_REPLY:
        return Verdict(value=None, error=f"the reply is longer than {LONGEST_REPLY:,} characters")
    line = text.strip("`").strip().split("\n")[-1]
    if level == 1:
        label = next((label for label in ("YES", "NO") if label in line), None)
        if label is None:
            return Verdict(value=None, error="the last line of the reply has neither YES nor NO")
        return of_parts([VERDICTS[label]], label=label)
    listed = _list_in(line)
    if listed is None:
        return Verdict(value=None, error="the last line of the reply holds no list of verdicts in quotes")
    if len(listed) != level:
        return Verdict(value=None, error=f"the reply's list has {len(listed)} verdicts, and {level} were asked for")
    if strange := [label for label in listed if label not in VERDICTS]:
        return Verdict(value=None, error=f"{strange[0][:40]!r} in the reply's list is no verdict")
    return of_parts([VERDICTS[label] for label in listed], label=", ".join(listed))


ELEMENT = r"(?:'[^'\\]*'|\"[^\"\\]*\")"
# Possessive, so that no reply makes the search go back through its white space.
LIST = re.compile(rf"\[\s*+(?:{ELEMENT}\s*+(?:,\s*+{ELEMENT}\s*+)*+(?:,\s*+)?+)?+\]")


def _list_in(line: str) -> list[str] | None:
    """The labels between the first opening and the last closing bracket, where Python would read a list of texts.

    Of lists that are joined by ``and`` Python takes the last, unless one before it is empty.
    """
    start, end = line.find("["), line.rfind("]")
    if start < 0 or end < start:
        return None
    place, lists = start, []
    while True:
        found = LIST.match(line, place, end + 1)
        if found is None:
            return None
        lists.append([quoted[1:-1] for quoted in re.findall(ELEMENT, found[0])])
        place = found.end()
        if place == end + 1:
            return next((one for one in lists if not one), lists[-1])
        joined = re.compile(r"\s*and\s*(?=\[)").match(line, place)
        if joined is None:
            return None
        place = joined.end()
