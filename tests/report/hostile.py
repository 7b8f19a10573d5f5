"""Texts that models and run folders may hold to break a page or to run in it, and runs that are made of them."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from judgebench.codec import canonical_hash
from judgebench.records import (
    Completion,
    Example,
    ExampleScore,
    Generation,
    Judgement,
    Message,
    Score,
    Verdict,
)
from judgebench.run.folder import Manifest, Results, RunFolder, Session, TaskManifest
from judgebench.run.integrity import Finding

RUN = "window.ran=1"
WAYS_OUT = ("", '"', "'>", '">', "-->", "]]>", "</title>", "</textarea>", "</style>", "</script>", "</svg></math>", "`")
WAYS_IN = (
    f"<script>{RUN}</script>",
    f"<ScRiPt/src=data:,{RUN}>",
    f"<img src=x onerror={RUN}>",
    f"<svg/onload={RUN}>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f"<svg><use href=\"data:image/svg+xml,<svg id='x' onload='{RUN}'/>#x\"/>",
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f'<object data="javascript:{RUN}"></object>',
    f'<a href="javascript:{RUN}" autofocus onfocus="{RUN}">x</a>',
    f" onmouseover={RUN} autofocus onfocus={RUN} x=",
    f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RUN}&gt;">',
    f'<form><math><mtext></form><form><mglyph><svg><mtext><style><path id="</style><img onerror={RUN} src>">',
    f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
    f"<template><script>{RUN}</script></template>",
    f"<details open ontoggle={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<video><source onerror={RUN}></video>",
    f"<body onpageshow={RUN}>",
    f'<meta http-equiv="refresh" content="0;url=javascript:{RUN}">',
    '<base href="http://example.invalid/"><link rel=stylesheet href=x>',
    "<style>@import 'http://example.invalid/x'; * { display: none }</style>",
    f"javascript:{RUN}//",
    f"data:text/html,<script>{RUN}</script>",
    f"[x](javascript:{RUN}) ![y](http://example.invalid/pixel.png) <http://example.invalid>",
    f"{{{{constructor.constructor('{RUN}')()}}}} {{% raw %}} ${{{RUN}}} #{{7*7}} <%= 7*7 %>",
    f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;script&#62; &nbsp; &amp;amp; &copy",
    f"<![CDATA[<script>{RUN}</script>]]><!--<script>",
)
NAMES = (
    "__proto__", "constructor", "toString", "hasOwnProperty", "then", "length", "end", "index", "s0", "main", "made",
    "keys", "search", "theme", "undefined", "null", "NaN", "true", "-1", "0", "1e999", "[object Object]",
)  # fmt: skip
ODD = (
    "",
    " ",
    "\t",
    "\n",
    "\n\n\n",
    "a\x00b",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "\x7f\x80\x9f",
    "\ufeffmark",
    "\u202egnp.exe",
    "\u2066\u2067\u2068 isolates",
    "\u200b\u200c\u200d\u2060",
    "\u2028line\u2029paragraph",
    "\r\rreturns",
    "e" + "\u0301" * 3000,
    "\U000e0041\U000e0042 tags",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "العربية מעורב with English",
    "\ufffe\uffff",
    "%E0%A4%A %00 %2F..%2F",
    "../../etc/passwd",
    "a/b?c=d&e=f#g",
    "#/s/x",
    "a>b>c",
    "\\u0000 \\x3cscript",
    '{"a": ' * 200,
    '{"__proto__": {"polluted": 1}, "constructor": {"prototype": 1}}',
    '```json\n{"choice": "A", "<b>": ["<i>"]}\n```',
    "[" * 500,
    "# " * 5000,
    "*" * 20000,
    "`" * 20000,
    "**" * 9999 + "x",
    "| a " * 2000 + "|\n" + "|---" * 2000 + "|\n" + "| b " * 2000 + "|",
    "- x\n" * 20000,
    " " * 3000 + "- deep",
    "1. " * 3000,
    "9" * 400 + ". huge",
    "~~~\n" * 3000,
    "```" + "`" * 999 + "\nnever closed",
    "word" * 250000,
    "line\n" * 200000,
    "(" * 30000,
    "a\n" + "=" * 50000,
    ("x" * 399 + "\U0001f600") * 500,
    "|" * 30000 + "\n|-|",
    "_" * 30000,
    "\\" * 30000,
    "&" * 30000,
)
TEXTS = (*(f"{out}{inner}" for inner, out in product(WAYS_IN, WAYS_OUT)), *NAMES, *ODD)
"""All of them, each another."""
MIDDLE = tuple(text for text in TEXTS if len(text) < 2000)
"""Those that stand in many places; longer ones are the answer to a sample and its judge's reply."""
SHORT = tuple(text for text in TEXTS if 0 < len(text) < 300)
"""Those that may be a name."""
PROTOCOL = {"task": "arenahard", "version": "v2.0", "options": {}, "starter": True, "repeats": 1, "judges": {}}


def at(place: int) -> str:
    """A text, from any place on."""
    return MIDDLE[place % len(MIDDLE)]


def name(place: int) -> str:
    """A text that may be a name, from any place on."""
    return SHORT[place % len(SHORT)]


def write_hostile(path: Path, seed: int) -> None:
    """A run with each of the texts as id, category, tag, prompt, checklist, criterion, answer, name and answer of a
    baseline, thinking, error, judge, label, detail and reply.
    """
    folder = RunFolder(path)
    protocol = {**PROTOCOL, "judges": {name(3): {"model": name(5)}}, name(8): name(9)}
    tasks, scores = {}, list[Score]()
    for number, task in enumerate(("arenahard", "gsm8k", "unknown", "healthbench")):
        own = folder.task(task)
        texts = {text[:2000]: text for text in (TEXTS if number == 0 else SHORT[:8]) if text.strip()}
        ids = list(texts)
        own.write_examples(_example(place, identity) for place, identity in enumerate(ids))
        for place, identity in enumerate(ids):
            own.append(_generation(place, identity, texts[identity], seed))
            judged = _judgements(place, identity, texts[identity], seed, verified=number == 1)
            for judgement in _graded(place, identity) if number == 3 else judged:
                own.append(judgement)
        if number == 0:
            own.write_baselines({name(47): {one: _baseline(place, one) for place, one in enumerate(ids)}})
        values = [
            ExampleScore(example_id=one, metric="win_rate", value=50.0 * ((n + seed) % 3)) for n, one in enumerate(ids)
        ]
        totals = list(_scores(task, len(ids), seed))
        own.write_scores(values, totals)
        own.close()
        scores += totals
        told = {**protocol, "task": task, **({"judges": {"house_rubric": {"model": name(5)}}} if number == 3 else {})}
        tasks[task] = TaskManifest(
            label=("arenahard@v2.0", "gsm8k@cot8", name(41), "healthbench@all")[number], name=task,
            version=("v2.0", "cot8", name(42), "all")[number], options={}, starter=True,
            examples=len(ids), sources=[], protocol=told,
            protocol_hash=canonical_hash(told), inputs={}, input_hash="", first_prompt=name(43),
            judge_models=[name(44)],
            counts={"examples": len(ids), "unread": 3, name(45): 1},
        )  # fmt: skip
    session = Session(argv=[name(50 + n) for n in range(40)], started_at=name(91), config={name(92): name(93)})
    folder.write_manifest(
        Manifest(
            run_id=name(60), status="incomplete", candidate=name(61 + seed), candidate_identity=name(62),
            candidate_spec=name(63), versions={name(64 + n): name(65 + n) for n in range(30)}, protocol_hash="",
            input_hash="", started_at=name(66), sessions=[session], tasks=tasks,
        )
    )  # fmt: skip
    findings = [
        Finding(task=key, check=name(70), count=1, n=2, flagged=True, message=name(71 + n))
        for n, key in enumerate(tasks)
    ]
    folder.write_results(
        Results(run=name(72), model=name(61 + seed), status="incomplete", scores=scores, integrity=findings)
    )


def _example(place: int, identity: str) -> Example:
    meta = {
        "category": name(place),
        "subcategory": name(place + 1),
        "checklist": [at(place), at(place + 1)],
        "tags": [name(place), f"theme:{name(place + 1)}"],
        "criteria": [{"text": at(place + n), "points": 3.0 - 5 * n, "tags": [name(place + n)]} for n in (0, 1)],
    }
    roles = (name(place + 2), "system", "assistant", "user")
    return Example(
        id=identity,
        messages=tuple(Message(role=role, content=at(place + n)) for n, role in enumerate(roles)),
        followups=(at(place + 4),) if place % 5 == 0 else (),
        references=(at(place + 5), at(place + 6)),
        meta=meta,
    )


def _generation(place: int, identity: str, text: str, seed: int) -> Generation:
    if place % 17 == 3:
        return Generation(example_id=identity, model=name(61 + seed), outputs=(), error=at(place + seed))
    return Generation(
        example_id=identity,
        model=name(61 + seed),
        outputs=(text if seed else at(place + 7),),
        # An answer that did not end well has no cases, and so no prompts of judges.
        finish_reasons=(name(place + 8) if place % 3 else "stop",),
        thinking=(at(place + 9),),
    )


def _baseline(place: int, identity: str) -> Generation:
    return Generation(example_id=identity, model=name(47), outputs=(at(place + 25),))


def _graded(place: int, identity: str) -> Iterator[Judgement]:
    """Verdicts on the criteria of an answer."""
    for number in (0, 1):
        yield Judgement(
            case_id=f"{identity}#{number}",
            example_id=identity,
            judge="house_rubric",
            judge_model=name(place + 12),
            answers=(name(61),),
            candidate=0,
            verdict=Verdict(value=float(number), label=name(place + 13)),
            replies=(Completion(text=at(place + 26)),),
        )


def _judgements(place: int, identity: str, text: str, seed: int, *, verified: bool) -> Iterator[Judgement]:
    models = (name(place + 10), name(61 + seed))
    for order in (0, 1):
        value = ((place + order + seed) % 3) / 2
        yield Judgement(
            case_id=f"{identity}#{order}",
            example_id=identity,
            judge="numeric" if verified else name(place + 11),
            judge_model="judgebench" if verified else name(place + 12),
            answers=models[1:] if verified else models[:: 1 - 2 * order],
            candidate=0 if verified else 1 - order,
            verdict=Verdict(
                value=None if place % 7 == 5 else value,
                label=name(place + 13),
                error=at(place + 14) if place % 7 == 5 else None,
                details={name(place + 15): at(place + 16), "about": {name(place + 17): at(place + 18)}},
            ),
            replies=(
                Completion(
                    text=at(place + 19) if seed or order else text,
                    finish_reason=name(place + 20),
                    reasoning=at(place + 21),
                ),
            ),
        )


def _scores(task: str, n: int, seed: int) -> Iterator[Score]:
    for place in range(30):
        value = {5: None, 8: 1e15, 9: -1e15}.get(place, 40.0 + place)
        yield Score(
            task=task, metric="win_rate" if place < 2 else name(place + 22), value=value, unit="percent",
            stderr=1.0, low=30.0, high=90.0, level=0.95, n=n, reason=name(place + 23),
            group=None if place % 3 == 0 else f"category={name(place)}", details={name(place): name(place + 24)},
        )  # fmt: skip
