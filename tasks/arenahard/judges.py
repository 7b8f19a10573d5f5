"""Arena-Hard's judge prompts and reading rules. The prompts themselves are data, pulled at run time.

Two pipelines read a verdict differently, both to the letter here: the current one (lmarena/arena-hard-auto@196f6b8:
``gen_judgment.py``) and the legacy one that made all published v0.1 tables (the parent of 9a1d386).
"""

import ast
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec
import yaml

from judgebench.codec import sha256_hex
from judgebench.data.prompts import HousePrompt, distinctive_lines, fill
from judgebench.errors import UsageError
from judgebench.judges import text as text_judges
from judgebench.judges.named import STARTER, NamedJudge
from judgebench.judges.own_prompts import NUMBERED_PAIR
from judgebench.judges.text import TextJudge
from judgebench.records import Case, Message, Sampling, Verdict

Pipeline = Literal["current", "legacy"]

PLACEHOLDERS = ("{QUESTION}", "{ANSWER_A}", "{ANSWER_B}")

FIRST_SHARE = {"A>>B": 1.0, "A>B": 1.0, "A=B": 0.5, "B>A": 0.0, "B>>A": 0.0}
"""Answer A's share of the win by label."""

LABELS = tuple(f"[[{label}]]" for label in FIRST_SHARE)
"""How a judge is asked to write them."""

MIRRORED = {"B<<A": 1.0, "B<A": 1.0, "B=A": 0.5, "A<B": 0.0, "A<<B": 0.0}
"""Spellings that only the current pipeline knows."""

STRONG = frozenset({"A>>B", "B>>A", "A<<B", "B<<A"})
"""Labels of a clear win, which counts as several battles."""

GAMES = (("#1", False), ("#2", True))
"""Ends of the two games' case ids, and whether the model is shown first."""

OTHER_JUDGES = text_judges.OTHER_JUDGES | {
    "openai:gpt-4.1-2025-04-14": "the snapshot of v2.0's judge; not the model behind v0.1's tables"
}
"""Judges to turn to when the official one is no longer served."""

HOUSE_TEMPLATE = "pairwise_five_labels.j2"
HOUSE_SAMPLING = Sampling(temperature=0.0, max_tokens=2048)

_DOUBLE = re.compile(r"\[\[([AB<>=]+)\]\]")
_SINGLE = re.compile(r"\[([AB<>=]+)\]")


def current_label(text: str) -> str | None:
    """Find the last label in double brackets or, without any, in single ones. Case does not matter.

    >>> current_label("[[A>B]], no: [[b>a]]")
    'B>A'
    """
    text = text.upper()
    for pattern in (_DOUBLE, _SINGLE):
        if labels := pattern.findall(text):
            return str(labels[-1])
    return None


def legacy_labels(text: str) -> list[str]:
    """Find the distinct labels in double brackets, in their order. One is a verdict, several are not.

    >>> legacy_labels("[[A>B]], no: [[B>A]]")
    ['A>B', 'B>A']
    """
    return list(dict.fromkeys(_DOUBLE.findall(text)))


def verdict_of(label: str, pipeline: Pipeline) -> Verdict:
    """Return the verdict of a label. Both rules also find labels that mean nothing, such as ``A>>A``."""
    known = FIRST_SHARE | MIRRORED if pipeline == "current" else FIRST_SHARE
    if label not in known:
        return Verdict(value=None, label=label, error=f"the {pipeline} pipeline knows no label {label[:40]}")
    return Verdict(value=known[label], label=label)


def read_verdict(text: str, pipeline: Pipeline) -> Verdict:
    """Read the verdict in a judge's words; several attempts are read joined together."""
    if pipeline == "current":
        label = current_label(text)
    else:
        labels = legacy_labels(text)
        if len(labels) > 1:
            return Verdict(value=None, error=f"the reply names {len(labels)} labels: {', '.join(labels)[:80]}")
        label = labels[0] if labels else None
    return Verdict(value=None, error="the reply holds no label") if label is None else verdict_of(label, pipeline)


def _judge(pipeline: Pipeline, follow_up: str | None = None, **about: Any) -> TextJudge:
    """Make a judge that explains which of two answers is better, and whether clearly.

    ``follow_up`` is the message to a judge that named no label. Contradicting labels are not asked about.
    """
    return TextJudge(
        reading="last label, any case" if pipeline == "current" else "the only label",
        read_text=partial(read_verdict, pipeline=pipeline),
        labels=LABELS,
        shown={"follow_up": follow_up and sha256_hex(follow_up.encode())},
        follow_up=lambda text: None if legacy_labels(text) else follow_up,
        texts=NUMBERED_PAIR,
        **about,
    )


def official_judge(
    name: str, system: str, template: str, *, sampling: Sampling, pipeline: Pipeline, follow_up: str | None
) -> TextJudge:
    """Make a judge with an official prompt: the answers are filled into the user template, the system prompt stays."""
    if any(template.count(token) != 1 for token in PLACEHOLDERS):
        raise UsageError(f"the judge's user template must hold each of {', '.join(PLACEHOLDERS)} once")

    def messages(case: Case) -> tuple[Message, ...]:
        first, second = case.answers
        values = dict(zip(PLACEHOLDERS, (case.example.instruction, first.text, second.text), strict=True))
        return Message(role="system", content=system), Message(role="user", content=fill(template, values))

    sha256 = sha256_hex(f"{system}\0{template}".encode())
    return _judge(pipeline, follow_up, name=name, messages=messages, prompt_sha256=sha256, sampling=sampling)


def house_judge(name: str, prompt: HousePrompt, pipeline: Pipeline) -> TextJudge:
    """Make the judge of the starter set, with our own neutral prompt."""
    about: dict[str, Any] = {"messages": prompt.pair, "prompt_sha256": prompt.sha256, "sampling": HOUSE_SAMPLING}
    return _judge(pipeline, name=name, reminds=True, **about)


def named_judges(models: Mapping[str, str], default: str) -> tuple[NamedJudge, ...]:
    """Return the judges by name: upstream's models, which share the prompts, and ours for the starter set."""
    reading = "last of five labels, any case (v0.1: the only one)"
    official = [
        NamedJudge(
            name=name,
            model=spec,
            reading=reading,
            labels=LABELS,
            prompt="judge-settings",
            chosen_by="" if name == default else f"judge={name}",
        )
        for name, spec in models.items()
    ]
    official.sort(key=lambda named: bool(named.chosen_by))
    house = NamedJudge(
        name="house_five_labels", model=None, reading=reading, labels=LABELS, prompt=HOUSE_TEMPLATE, about=STARTER
    )
    return (*official, house)


def prompt_fragments(*texts: str) -> tuple[str, ...]:
    """Lines that occur in an answer only if it quotes one of the prompts."""
    return distinctive_lines("\n".join(texts), PLACEHOLDERS)


# -- the official files that hold the prompts


def user_template(config: bytes) -> str:
    """Read ``prompt_template`` in a benchmark's YAML file."""
    return _string(_yaml(config), "prompt_template")


def system_prompt(judge_config: bytes) -> str:
    """Read ``system_prompt`` in the legacy YAML file, which v0.1 and hard_prompt share."""
    return _string(_yaml(judge_config), "system_prompt")


def category_system_prompt(settings: bytes, category: str) -> str:
    """Read a category's system prompt in ``judge_utils.py`` or its stand-in. The Python file is parsed, never run."""
    return _string(_prompts(settings)["judge_settings"][category], "system_prompt")


def follow_up_message(judging: bytes) -> str:
    """Read the message sent after a reply without a label, in the legacy ``gen_judgment.py`` or its stand-in."""
    return _string(_prompts(judging), "legacy_retry_user_message")


def _yaml(data: bytes) -> Mapping[str, Any]:
    found = yaml.safe_load(data)
    if not isinstance(found, dict):
        raise UsageError("the judge's YAML file holds no settings")
    return found


def _string(found: Mapping[str, Any], key: str) -> str:
    if not isinstance(found.get(key), str):
        raise UsageError(f"the official judge prompts hold no text {key!r}")
    return str(found[key])


def _prompts(data: bytes) -> dict[str, Any]:
    """Read a stand-in's JSON, or the same fields in a Python file."""
    try:
        found = msgspec.json.decode(data)
    except msgspec.DecodeError:
        found = _from_python(ast.parse(data))
    return dict(found)


def _from_python(tree: ast.Module) -> dict[str, Any]:
    constants: dict[str, Any] = {}
    found: dict[str, Any] = {"judge_settings": {}}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if isinstance(node.value, ast.Dict) and node.targets[0].id == "JUDGE_SETTINGS":
                found["judge_settings"] = _literal(node.value, constants)
            elif isinstance(node.value, ast.Constant):
                constants[node.targets[0].id] = node.value.value
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Dict) and all(isinstance(value, ast.Constant) for value in inner.values):
            entry = _literal(inner, constants)
            if entry.get("role") == "user":
                found["legacy_retry_user_message"] = entry.get("content")
    return found


def _literal(node: ast.expr, constants: Mapping[str, Any]) -> Any:
    """Evaluate a literal that may contain names of constants."""
    if isinstance(node, ast.Dict):
        return {
            ast.literal_eval(key): _literal(value, constants)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }
    return constants.get(node.id) if isinstance(node, ast.Name) else ast.literal_eval(node)
