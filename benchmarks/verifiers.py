"""Time of verifying answers against the programs whose verdicts are reproduced, side by side in one run.

    pip install lm-eval==0.4.13 nltk==3.9.1 langdetect==1.0.9 immutabledict   # in an environment with judgebench
    python benchmarks/verifiers.py --mirror FOLDER [--mirror FOLDER …] --ifeval-answers FOLDER --math-answers FOLDER

``ifeval``: a folder of files of ``{"key", "response"}`` lines, one file for each model, ``.gz`` or not. lm-eval's own
``process_results`` (strict and loose) goes over the 541 answers in this process, as lm-eval runs it. Ours goes through
the pool of worker processes, from checks to verdicts. langdetect's seed is 0 on both sides, and the verdicts are
compared; the two prompts for which lm-eval draws a random letter are left out of that. The first model is timed cold
(ours: the workers are started; lm-eval, already imported: profiles and tables are read), then all models in turn, warm,
``--rounds`` times; the fastest round counts.

``math``: a folder of files of ``{"id", "output"}`` lines, with a ``"solution"`` where the id is not MATH-500's.
Math-Verify's ``parse`` and ``verify`` go over the outputs one by one, as lm-eval calls them; ours goes through the
pool. Each once, and both have imported their packages before.

Seconds are on the wall. The reference is one process, as its authors run it; ours has as many workers as cores.
"""

import argparse
import gzip
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from judgebench import tasks
from judgebench.data.sources import SourceFinder, read_sources
from judgebench.grading.pool import GradingPool
from judgebench.models.call_store import default_cache_dir
from judgebench.records import Check, Generation, Verdict
from judgebench.run.loading import load_task
from judgebench.task import Task, TaskData

RANDOM_LETTERS = ("1122", "1129")
"""Prompts whose letter is none: lm-eval draws one."""
TABLES = {
    "punkt-abbreviations": "abbrev_types.txt",
    "punkt-collocations": "collocations.tab",
    "punkt-starters": "sent_starters.txt",
    "punkt-contexts": "ortho_context.tab",
}


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes, and what it returns."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def read_answers(path: Path) -> dict[str, str]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [json.loads(line) for line in data.splitlines()]
    return {str(row["key"]): row["response"] or "" for row in rows}


# -- IFEval


def lm_eval_scorer(tables: dict[str, bytes]) -> Callable[[dict[str, Any], list[str]], dict[str, Any]]:
    """lm-eval's own function, with the same Punkt tables."""
    folder = Path(tempfile.mkdtemp(prefix="nltk-data-"))
    english = folder / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True)
    for name, data in tables.items():
        (english / name).write_bytes(data)
    os.environ["NLTK_DATA"] = str(folder)
    import langdetect
    from lm_eval.tasks.ifeval import utils

    langdetect.DetectorFactory.seed = 0
    logging.disable(logging.ERROR)
    scorer: Callable[[dict[str, Any], list[str]], dict[str, Any]] = utils.process_results
    return scorer


def documents(data: TaskData) -> list[dict[str, Any]]:
    """The prompts in lm-eval's shape."""
    return [
        {
            "key": example.id,
            "prompt": example.instruction,
            "instruction_id_list": example.meta["instruction_ids"],
            "kwargs": example.meta["kwargs"],
        }
        for example in data.examples
    ]


def checks_of(task: Task, data: TaskData, answers: dict[str, str], prefix: str) -> list[Check]:
    """Checks of a model's answers, their ids its own."""
    found = []
    for example_id, text in answers.items():
        generation = Generation(example_id=example_id, model="m", outputs=(text,))
        found += [msgspec.structs.replace(c, id=prefix + c.id) for c in task.checks(data, generation)]
    return found


def differing(theirs: Sequence[dict[str, Any]], ours: Sequence[Verdict], keys: Sequence[str]) -> int:
    """Answers with another verdict on any instruction."""
    return sum(
        key not in RANDOM_LETTERS
        and (their["inst_level_strict_acc"], their["inst_level_loose_acc"])
        != (our.details["strict"], our.details["loose"])
        for key, their, our in zip(keys, theirs, ours, strict=True)
    )


def ifeval(finder: SourceFinder, arguments: argparse.Namespace) -> None:
    one = load_task(tasks.TaskSpec("ifeval"), finder, starter=False)
    sources = read_sources(tasks.folder("ifeval"))
    tables = {file: finder.fetch(sources[name])[0] for name, file in TABLES.items()}
    score = lm_eval_scorer(tables)
    docs = documents(one.data)
    models = {
        path.name.removesuffix(".gz").removesuffix(".jsonl"): read_answers(path)
        for path in sorted(arguments.ifeval_answers.iterdir())
    }
    print(f"\nIFEval: {len(docs)} answers of each of {len(models)} models; lm-eval {version('lm_eval')}, nltk", end=" ")
    print(f"{version('nltk')}, langdetect {version('langdetect')}")

    def lm_eval(model: str) -> tuple[float, Any]:
        answers = models[model]
        return timed(lambda: [score(doc, [answers[doc["key"]]]) for doc in docs])

    with GradingPool() as pool:

        def judgebench(model: str, number: int) -> tuple[float, Any]:
            answers = {doc["key"]: models[model][doc["key"]] for doc in docs}
            checks = checks_of(one.task, one.data, answers, f"{number}-{model}-")
            return timed(lambda: pool.verify(one.data.verifiers, checks))

        first = next(iter(models))
        cold = lm_eval(first)[0], judgebench(first, -1)[0]
        # Every worker meets every kind of work once: which of two gets the first check on language is chance.
        judgebench(first, -2)
        totals, differences = [0.0, 0.0], 0
        print(f"{'':40}{'lm-eval':>9}{'ours':>9}{'ratio':>8}")
        print(f"{'cold: ' + first:40}{cold[0]:9.3f}{cold[1]:9.3f}{cold[0] / cold[1]:8.1f}")
        for model in models:
            rounds = [(lm_eval(model), judgebench(model, number)) for number in range(arguments.rounds)]
            (_, theirs), (_, ours) = rounds[0]
            differences += differing(theirs, ours, [doc["key"] for doc in docs])
            best = [min(pair[side][0] for pair in rounds) for side in (0, 1)]
            totals = [total + seconds for total, seconds in zip(totals, best, strict=True)]
            print(f"{model:40}{best[0]:9.3f}{best[1]:9.3f}{best[0] / best[1]:8.1f}")
        print(f"{'all':40}{totals[0]:9.3f}{totals[1]:9.3f}{totals[0] / totals[1]:8.1f}")
        print(f"answers with another verdict: {differences}")


# -- MATH


def math_verify_scorer() -> Callable[[str, str], bool]:
    """Math-Verify as lm-eval calls it, with its own alarms."""
    from math_verify import parse, verify

    logging.disable(logging.ERROR)
    return lambda solution, output: bool(verify(gold=parse(solution), target=parse(output)))


def math(finder: SourceFinder, arguments: argparse.Namespace) -> None:
    one = load_task(tasks.TaskSpec("math"), finder, starter=False)
    solutions = {example.id: example.references[0] for example in one.data.examples}
    outputs = {}
    for path in sorted(arguments.math_answers.iterdir()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [json.loads(line) for line in data.splitlines()]
        outputs[path.name.removesuffix(".gz").removesuffix(".jsonl")] = [
            (row["output"], row.get("solution") or solutions[row["id"]]) for row in rows
        ]
    total = sum(map(len, outputs.values()))
    print(f"\nMATH: {total} outputs of {len(outputs)} models; math-verify {version('math-verify')}")
    print(f"{'':40}{'sequential':>11}{'ours':>9}{'ratio':>8}")
    score = math_verify_scorer()
    warm = r"\boxed{\frac{1}{2}}", r"\boxed{0.75}"
    score(*warm)
    verifiers = {"math_verify": one.data.verifiers["math_verify"]}
    totals, differences = [0.0, 0.0], 0
    with GradingPool() as pool:
        # As the reference has its packages imported, so have the workers.
        arguments_of_warm = {"solution": warm[0], "output": warm[1]}
        start = [
            Check(id=f"warm-{n}", example_id=str(n), verifier="math_verify", arguments=arguments_of_warm)
            for n in range(64)
        ]
        print(f"the workers start in {timed(lambda: pool.verify(verifiers, start))[0]:.1f} s")
        for model, rows in outputs.items():
            checks = [
                Check(
                    id=f"{model}-{number}",
                    example_id=str(number),
                    verifier="math_verify",
                    arguments={"output": output, "solution": solution},
                )
                for number, (output, solution) in enumerate(rows)
            ]
            theirs = timed(lambda rows=rows: [score(solution, output) for output, solution in rows])
            ours = timed(lambda checks=checks: pool.verify(verifiers, checks))
            differences += sum(bool(our.value) != their for our, their in zip(ours[1], theirs[1], strict=True))
            totals = [whole + side[0] for whole, side in zip(totals, (theirs, ours), strict=True)]
            print(f"{model:40}{theirs[0]:11.3f}{ours[0]:9.3f}{theirs[0] / ours[0]:8.1f}")
    print(f"{'all':40}{totals[0]:11.3f}{totals[1]:9.3f}{totals[0] / totals[1]:8.1f}")
    print(f"outputs with another verdict: {differences}")


PARTS: dict[str, Callable[[SourceFinder, argparse.Namespace], None]] = {"ifeval": ifeval, "math": math}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mirror", type=Path, action="append", default=[], help="folder of official files; repeatable")
    parser.add_argument("--ifeval-answers", type=Path, required=True, help="folder of answer files, one per model")
    parser.add_argument("--math-answers", type=Path, required=True, help="folder of files of outputs, one per model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    finder = SourceFinder(default_cache_dir(), arguments.mirror)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    for part in arguments.parts:
        PARTS[part](finder, arguments)


if __name__ == "__main__":
    main()
