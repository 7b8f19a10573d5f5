"""IFEval: how many instructions of a form that a program can check a model's answers follow.

One example, in our own words: "Describe a lighthouse without using a comma, in fewer than 40 words.", which carries the
instructions ``punctuation:no_comma`` and ``length_constraints:number_words``. Strictly, an instruction must hold for
the answer as it is; loosely, for one of eight variants of it (without its first line, its asterisks, …). No judge takes
part.

Paper: Zhou et al. 2023, arXiv 2311.07911.
Followed: EleutherAI/lm-evaluation-harness 0.4.13, ``lm_eval/tasks/ifeval/`` (task ifeval 4.0), with nltk 3.9.1 and
langdetect 1.0.9, its seed at 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version as version_of

import msgspec

from judgebench.grading.pool import Verifier
from judgebench.records import Check, Example, Generation, Sampling
from judgebench.task import Fetch, Task, TaskData, parse_options, parse_version, split_names
from judgebench.task.answers import import_answers

from .dataset import PromptRow, Prompts, as_on_the_hub, read_prompts, read_rows, starter_rows
from .interchange import LM_EVAL
from .language import SEED
from .lookup import fingerprint
from .metrics import METRICS, TASK, groups, metric_sums, score, summarise
from .rulings import rulings
from .tables import OPTIONAL, read_tables
from .verification import verify

VERSIONS = {"1": 541, "multilingual": 522, "ifbench": 300}
"""Prompts of each version."""
LANGUAGES = ("es", "fr", "ja")


def _tables(text: str) -> tuple[str, ...]:
    """Convert an option that names tables."""
    names = split_names(text)
    if not set(names) <= set(OPTIONAL):
        raise ValueError(f"expected {', '.join(OPTIONAL)}, or several joined by +")
    return names


OPTIONS = {"without": _tables}
"""Of IFBench: tables that are not to be had. Prompts that need one are not asked."""
MAX_TOKENS = 1280
"""lm-eval's ``max_gen_toks``."""


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """IFEval (``@1``, default), M-IFEval's Spanish, French and Japanese prompts (``@multilingual``) or IFBench."""
    version = parse_version(version, VERSIONS, TASK)
    parsed = parse_options(options, OPTIONS if version == "ifbench" else {}, TASK)
    return Task(
        name=TASK,
        version=version,
        versions=tuple(VERSIONS),
        options=parsed,
        metrics=METRICS,
        sampling=Sampling(temperature=0.0, max_tokens=MAX_TOKENS),
        official_examples=VERSIONS[version],
        starter=starter,
        load=partial(_load, version=version, starter=starter, without=parsed.get("without", ())),
        checks=_checks,
        score=score,
        groups=groups,
        summarise=summarise,
        bare_data=_bare_data,
        metric_sums=metric_sums,
        rulings=rulings,
        importers={"outputs": import_answers, **({"lm_eval": LM_EVAL.read} if version == "1" else {})},
        exporters={"lm_eval": LM_EVAL.write} if version == "1" else {},
        hub=("google/IFEval", "ifeval") if version == "1" else None,
        about="How many instructions of a form that a program can check a model's answers follow.",
    )


def _bare_data(examples: Sequence[Example], fetch: Fetch) -> TaskData:
    return TaskData(examples=tuple(examples), baselines={}, extras=Prompts(tuple(examples)))


def _load(fetch: Fetch, *, version: str, starter: bool, without: Sequence[str]) -> TaskData:
    rows = starter_rows() if starter else list(_rows(fetch, version))
    prompts = read_prompts(rows, drop_falsy=version != "ifbench", without=without)
    examples = prompts.examples
    if version == "multilingual" and not starter:
        examples = tuple(
            msgspec.structs.replace(example, meta={**example.meta, "language": example.id.partition("-")[0]})
            for example in examples
        )
    return TaskData(examples=examples, baselines={}, verifiers={TASK: _verifier(fetch, prompts)}, extras=prompts)


def _rows(fetch: Fetch, version: str) -> Iterator[tuple[str, PromptRow]]:
    if version == "multilingual":
        for language in LANGUAGES:
            yield from ((f"{language}-{row.key}", row) for row in read_rows(fetch(f"prompts-{language}")))
    elif version == "ifbench":
        yield from ((str(row.key), row) for row in read_rows(fetch("prompts-ifbench")))
    else:
        yield from ((str(row.key), as_on_the_hub(row)) for row in read_rows(fetch("prompts")))


def _verifier(fetch: Fetch, prompts: Prompts) -> Verifier:
    """Only tables that an instruction looks at are fetched."""
    used = {name for example in prompts.examples for name in example.meta["instruction_ids"]}
    rules = f"{fingerprint(used)}, langdetect {version_of('langdetect')} seed {SEED}"
    tables, named = read_tables(fetch, prompts.tables)
    return Verifier(function=verify, fingerprint=", ".join((rules, *named)), shared=tables if named else None)


def _checks(data: TaskData, generation: Generation) -> tuple[Check, ...]:
    example: Example | None = data.by_id.get(generation.example_id)
    if example is None or generation.error or not generation.outputs:
        return ()
    arguments = {**example.meta, "response": generation.outputs[-1]}
    arguments.pop("language", None)
    return (Check(id=f"{example.id}#{TASK}", example_id=example.id, verifier=TASK, arguments=arguments),)
