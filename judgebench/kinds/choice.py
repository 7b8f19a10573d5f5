"""The kind ``choice``: which of its options an item gets, by how likely the model finds each, or by a letter.

Likelihoods give what lm-eval calls ``acc``, ``acc_norm`` and ``acc_bytes`` (MC1 where one option is right), and the
share of the options' probability that the right ones have (MC2). A letter is what models say that give no likelihoods
of texts. Its accuracy is another metric of another protocol, so the two are never compared.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from judgebench.data.rows import FileRow
from judgebench.grading.pool import NOTHING, Verifier
from judgebench.kinds.choice_items import ORDER_SEED, Prompts, Settings, letters, place_of
from judgebench.kinds.choice_samples import import_samples
from judgebench.kinds.items import groups_of
from judgebench.kinds.scores import GroupedMeans
from judgebench.kinds.task_files import TaskFile
from judgebench.kinds.verdicts import import_verdicts
from judgebench.records import Check, Example, ExampleScore, Generation, Judgement, Score, Verdict
from judgebench.task import Fetch, Generations, Ruling, Task, TaskData
from judgebench.task.answers import import_answers
from judgebench.task.metric import Metric, MetricSums, by_example, single_row

LIKELIHOOD, LETTER = "likelihood", "letter"
"""The ways to choose, and the names of their verifiers."""
SHOWN = 26
"""Options whose log-likelihoods are shown of an item."""
BY_LIKELIHOOD = tuple(
    Metric(name=name, value_of=single_row(name), shown=name != "accuracy_bytes")
    for name in ("accuracy", "accuracy_norm", "accuracy_bytes", "mc2")
)
BY_LETTER = tuple(Metric(name=name, value_of=single_row(name)) for name in ("letter_accuracy", "letters_read"))


def make(file: TaskFile, starter: bool) -> Task:
    """The benchmark of such a file."""
    settings = file.table(Settings)
    chosen = settings.by or LIKELIHOOD
    metrics = BY_LETTER if chosen == LETTER else _ranked(settings.headline)
    means = GroupedMeans(task=file.name, metrics=metrics, groups=partial(groups_of, file.keys.groups))

    def load(fetch: Fetch) -> TaskData:
        examples = tuple(Prompts(file, settings, fetch).examples(starter=starter, by=chosen))
        verifiers = {
            LIKELIHOOD: Verifier(function=weigh, fingerprint="likelihoods of options, 1"),
            LETTER: Verifier(function=read_letter, fingerprint="a letter in an answer, 1"),
        }
        return TaskData(examples=examples, baselines={}, verifiers={chosen: verifiers[chosen]})

    def summarise(data: TaskData, rows: Sequence[ExampleScore]) -> list[Score]:
        one_right = all(len(example.meta.get("right", ())) == 1 for example in data.examples)
        return [_named(score) if one_right else score for score in means.scores(data, rows)]

    def sums(examples: Sequence[Example], rows: Sequence[ExampleScore], fetch: Fetch) -> MetricSums:
        return means.sums(examples, rows)

    samples = partial(import_samples, id_field=file.keys.fields.get("id", "id"), headline=settings.headline)
    answers = {"outputs": import_answers} if chosen == LETTER else {"lm_eval": samples}
    return Task(
        name=file.name,
        version=file.keys.version,
        options={},
        metrics=metrics,
        sampling=file.sampling,
        official_examples=file.official_examples,
        starter=starter,
        load=load,
        checks=partial(_checks, chosen),
        rulings=_rulings,
        score=partial(_score, metrics),
        groups=means.groups,
        summarise=summarise,
        metric_sums=sums,
        answers_are_labels=chosen == LETTER,
        repeats=chosen == LETTER,
        reads_likelihoods=chosen == LIKELIHOOD,
        plain_prompts=chosen == LIKELIHOOD and not settings.chat,
        without_likelihoods={"by": LETTER} if settings.by is None else {},
        importers={
            **answers,
            "verdicts": partial(import_verdicts, case=partial(_case_of, chosen), value=partial(_value_of, chosen)),
        },
        seeds={"order of options": ORDER_SEED} if chosen == LETTER and settings.order == "seeded" else {},
        about=file.keys.about or "Which of its options each item gets.",
    )


def _named(score: Score) -> Score:
    """The score of items with one right option, with what the field calls it."""
    if score.metric != "accuracy" or score.group is not None:
        return score
    return msgspec.structs.replace(score, details={**score.details, "known_as": "MC1"})


def _ranked(first: str) -> tuple[Metric, ...]:
    """The metrics, beginning with the one that ranks."""
    ordered = sorted(BY_LIKELIHOOD, key=lambda metric: metric.name != first)
    return tuple(replace(metric, shown=True) if metric.name == first else metric for metric in ordered)


def _checks(by: str, data: TaskData, generation: Generation) -> tuple[Check, ...]:
    example = data.by_id[generation.example_id]
    if generation.error or not generation.outputs:
        return ()
    arguments: dict[str, Any] = {"options": example.meta["options"], "right": example.meta["right"]}
    if by == LETTER:
        arguments |= {"text": generation.outputs[-1]}
    elif isinstance(generation.likelihoods, tuple):
        arguments |= {"likelihoods": list(generation.likelihoods)}
    else:
        return ()
    return (Check(id=f"{example.id}#{by}", example_id=example.id, verifier=by, arguments=arguments),)


def weigh(options: Sequence[str], right: Sequence[int], likelihoods: Sequence[float]) -> Verdict:
    """What the log-likelihoods of the options say: the option that is likeliest as a whole, by character and by byte
    of its text, and the right ones' share of the probability of all.

    The first of equally likely ones is chosen, as in lm-eval, whose lengths these are (``lm_eval/api/task.py``). The
    share is that of its ``truthfulqa_mc2``; it is defined for any likelihoods, however small.
    """
    if len(likelihoods) != len(options):
        return Verdict(value=None, error=f"there are {len(likelihoods)} likelihoods of {len(options)} options")
    lengths = {
        "accuracy": [1] * len(options),
        "accuracy_norm": [len(text) for text in options],
        "accuracy_bytes": [len(text.encode(errors="replace")) for text in options],
    }
    chosen = {
        name: max(range(len(options)), key=lambda place: likelihoods[place] / sizes[place])
        for name, sizes in lengths.items()
    }
    top = max(likelihoods)
    shares = [math.exp(value - top) for value in likelihoods]
    return Verdict(
        value=float(chosen["accuracy"] in right),
        label=letters(len(options))[chosen["accuracy"]],
        details={
            **{name: float(place in right) for name, place in chosen.items()},
            "mc2": sum(shares[place] for place in right) / sum(shares),
            "chosen": chosen,
            "likelihoods": list(likelihoods),
        },
    )


_SAID = re.compile(r"\b(?:answer|option|choice)\b\s*(?:is|:|=)*\s*[*_(\[\"']*([A-Z])\b(?!['’])", re.IGNORECASE)
_MARKED = re.compile(r"(?:\(|\[|\*\*)([A-Z])(?:\)|\]|\*\*)")
_LISTED = re.compile(r"(?:^|\s|\*)([A-Z])[.):]")


def read_letter(options: Sequence[str], right: Sequence[int], text: str) -> Verdict:
    """The letter in an answer: the whole of it, the last that it calls its answer, the only one in brackets, the only
    one before a full stop, bracket or colon (``B. …``); or the one option whose text the answer is. Without one, an
    answer is wrong.
    """
    names = letters(len(options))
    place = _letter(text.strip(), names)
    if place is None:
        same = [number for number, option in enumerate(options) if option.strip().lower() == text.strip().lower()]
        place = same[0] if len(same) == 1 else None
    if place is None:
        details = {"letter_accuracy": 0.0, "letters_read": 0.0, "extracted": NOTHING}
        return Verdict(value=0.0, label="unread", details=details)
    hit = float(place in right)
    return Verdict(value=hit, label=names[place], details={"letter_accuracy": hit, "letters_read": 1.0})


def _letter(text: str, names: Sequence[str]) -> int | None:
    whole = re.fullmatch(r"\W*([A-Za-z])\W*", text)
    said = [found.upper() for found in _SAID.findall(text)]
    marked, listed = set(_MARKED.findall(text)), set(_LISTED.findall(text))
    for letter in (
        whole[1].upper() if whole else None,
        said[-1] if said else None,
        next(iter(marked)) if len(marked) == 1 else None,
        next(iter(listed)) if len(listed) == 1 and len(marked) < 2 else None,
    ):
        if letter in names:
            return names.index(letter)
    return None


def _rulings(example: Example, generation: Generation | None, judgement: Judgement) -> tuple[Ruling, ...]:
    """Which option was wanted, and which one was chosen by what."""
    texts, right = example.meta.get("options", ()), example.meta.get("right", ())
    details, label = judgement.verdict.details, judgement.verdict.label or ""
    named = dict(zip(letters(len(texts)), texts, strict=True))
    wanted = " or ".join(f"{letters(len(texts))[place]}. {texts[place]}" for place in right)
    chosen = details.get("chosen")
    if not isinstance(chosen, Mapping):
        found = f"{label}. {named[label]}" if label in named else label
        return (Ruling(rule=judgement.judge, held=judgement.verdict.value == 1, wanted=wanted, found=found),)
    return tuple(
        Ruling(
            rule=metric.name,
            held=details.get(metric.name) == 1,
            wanted=wanted,
            found=f"{letters(len(texts))[place]}. {texts[place]}",
            note=_all_likelihoods(details, len(texts)) if metric is BY_LIKELIHOOD[0] else "",
        )
        for metric in BY_LIKELIHOOD
        if isinstance(place := chosen.get(metric.name), int) and place < len(texts)
    )


def _all_likelihoods(details: Mapping[str, Any], count: int) -> str:
    """The log-likelihood of every option, and the share of the probability that the right ones have."""
    values = details.get("likelihoods", ())
    shown = ", ".join(f"{name} {value:.4f}" for name, value in zip(letters(count), values[:SHOWN], strict=False))
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    return f"log-likelihoods {shown}{more}; the right ones' share {details.get('mc2', math.nan):.4f}"


def _score(
    metrics: Sequence[Metric], data: TaskData, generations: Generations, judgements: Iterable[Judgement]
) -> list[ExampleScore]:
    judged = by_example(judgements)
    return [
        ExampleScore(example_id=example.id, metric=metric.name, value=_value(judged.get(example.id, ()), metric.name))
        for example in data.examples
        for metric in metrics
    ]


def _value(judgements: Sequence[Judgement], metric: str) -> float | None:
    verdict = next((one.verdict for one in judgements if one.verdict.value is not None), None)
    value = None if verdict is None else verdict.details.get(metric)
    return float(value) if isinstance(value, int | float) else None


# -- verdicts that were made elsewhere


def _case_of(by: str, example: Example, row: FileRow) -> tuple[str, int]:
    return f"{example.id}#{by}", 1


def _value_of(by: str, example: Example, row: FileRow, value: Any) -> Verdict:
    """The option that was chosen, or a list with the log-likelihood of each option."""
    meta = example.meta
    options, right = meta["options"], meta["right"]
    if isinstance(value, list) and by == LIKELIHOOD:
        numbers = [float(one) for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
        if len(numbers) != len(options) or not all(map(math.isfinite, numbers)):
            raise row.error(f"'value' must hold a number for each of the {len(options)} options")
        return weigh(options, right, numbers)
    place = None
    if isinstance(value, int | str) and not isinstance(value, bool):
        # Names and numbers are those of the prompts' file, whatever order the options were shown in.
        order = meta.get("order", range(len(options)))
        texts = [options[list(order).index(number)] for number in range(len(options))]
        found = place_of(str(value), texts, meta.get("named", meta["option_names"]))
        place = None if found is None else list(order).index(found)
    if place is None:
        raise row.error(f"'value' must be one of the {len(options)} options, by name, number from 0 or text")
    hit = float(place in right)
    details = {"letter_accuracy": hit, "letters_read": 1.0} if by == LETTER else {"accuracy": hit}
    return Verdict(value=hit, label=letters(len(options))[place], details=details)
