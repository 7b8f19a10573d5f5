"""Verdicts on mutated answers to MATH against the programs whose verdicts are reproduced, in one run.

    pip install lm-eval==0.4.13      # in an environment with judgebench
    python benchmarks/mutated_answers.py --mirror FOLDER [--count 2000] [--seed 0]

An answer is one of MATH-500's references, or a number beyond floating point, changed in its form (an equal one, or
brackets within brackets) or in its value, and is held against the reference. Math-Verify's ``parse`` and ``verify``,
and lm-eval's ``is_equiv`` on its normalised strings, decide with their own alarms after five seconds, in processes that
are killed if an alarm does not go off. The program prints every verdict that differs, and marks those where upstream
ran out of time.

With gmpy2 installed, ``SYMPY_GROUND_TYPES=python`` runs it without.
"""

import argparse
import importlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from judgebench import tasks
from judgebench.data.sources import SourceFinder
from judgebench.grading.pool import KILLED, GradingPool, Verifier
from judgebench.models.call_store import default_cache_dir
from judgebench.records import Check, Verdict
from judgebench.run.loading import load_task

ALARM_SECONDS = 5
CPU_SECONDS = 40.0
NOUGHTS = "0" * 400
LARGE = (
    *("2^{2005}", "3^{2007}", r"\frac{1}{2004!}", "2^{2005}-1", "10^{400}", r"\frac{1}{10^{500}}", "1000!"),
    *(r"\binom{2000}{1000}", r"\sqrt{2^{2005}}", "(2^{1000}, 3)", r"\{10^{400}, 1\}", "[0, 10^{400})", "x > 2^{2005}"),
    *("2^{2005}x+1", r"2^{2005}\%", "10^{400}+3i", r"\frac{3^{2007}}{2^{2005}}", "1" + NOUGHTS, f"0.{NOUGHTS}7"),
    *(r"\begin{pmatrix} 2^{2005} \\ 1 \end{pmatrix}", r"1.5\times 10^{400}", "1e400", "x = 2^{2005}"),
)
SAME = (
    *("{}+0", "0+{}", r"1\cdot {}", r"{}\cdot 1", r"\frac{{{}}}{{1}}", r"\frac{{2\cdot({})}}{{2}}", "({})^{{1}}"),
    *("{}+10^{{20}}-10^{{20}}", "10^{{400}}+{}-10^{{400}}", r"\frac{{10^{{400}}({})}}{{10^{{400}}}}", "-(-({}))"),
    *(r"({})\cdot 1^{{(10^{{30}})}}", r"({})\cdot\frac{{2005!}}{{2005\cdot 2004!}}", "{}+2^{{1500}}-8^{{500}}"),
    *(r"\left({}\right)", "x={}", "{}.", r"\text{{{}}}", r"\sqrt{{({})^2}}", r"2^{{2000}}\cdot({})\cdot 2^{{-2000}}"),
    *(r"\frac{{{0}}}{{2}}+\frac{{{0}}}{{2}}", r"\${}", r"{}\%", "({})^{{10^{{0}}}}"),
)
OTHER = (
    *(
        "{}+1",
        r"2\cdot {}",
        "-{}",
        "{}+10^{{-400}}",
        r"10^{{400}}\cdot {}",
        r"\frac{{{}}}{{10^{{400}}}}",
        "({})^{{2000}}",
    ),
    *(
        "({})^{{10^{{10}}}}",
        "{}!",
        "{}x",
        "9^{{9^{{9}}}}+{}",
        r"{}\cdot 9^{{9^{{9}}}}",
        r"\{{{},1\}}",
        "({},10^{{400}})",
    ),
    *("{}e400", "{}^{{10^{{30}}}}"),
)
NESTED = (
    ("(", ")"),
    (r"\left(", r"\right)"),
    ("{", "}"),
    (r"\sqrt{", "}"),
    (r"\frac{1}{", "}"),
    ("1+(", ")"),
    ("-", ""),
)


def closing(answer: str) -> str:
    return f"Final Answer: The final answer is ${answer}$. I hope it is correct."


def timed(decide: Callable[[], bool]) -> Verdict:
    start = time.perf_counter()
    value = float(decide())
    return Verdict(value=value, details={"seconds": time.perf_counter() - start})


def math_verify(output: str, solution: str) -> Verdict:
    from math_verify import parse, verify

    return timed(lambda: bool(verify(gold=parse(solution), target=parse(output))))


def minerva(output: str, gold: str) -> Verdict:
    from lm_eval.tasks.minerva_math import utils

    answer = utils.normalize_final_answer(utils.get_unnormalized_answer(output))
    return timed(lambda: bool(utils.is_equiv(answer, utils.normalize_final_answer(gold))))


def pairs(golds: list[str], count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Answers and the references that they are held against."""
    generator = random.Random(seed)
    for _ in range(count):
        gold = generator.choice(LARGE if generator.random() < 0.4 else golds)
        answer = gold.replace(r"\frac", r"\dfrac") if generator.random() < 0.2 else gold
        for forms, share in ((SAME, 0.75), (OTHER, 0.25), (SAME, 0.2)):
            if generator.random() < share:
                answer = generator.choice(forms).format(answer)
        if generator.random() < 0.15:
            opening, ending = generator.choice(NESTED)
            depth = generator.randint(2, 38)
            answer = opening * depth + answer + ending * depth
        yield (answer, gold) if generator.random() < 0.9 else (gold, answer)


def verdicts(verifiers: dict[str, Verifier], found: list[tuple[str, str]]) -> list[tuple[str, str, str, Verdict]]:
    """Rule, answer, reference and verdict."""
    rows = [(rule, *pair) for pair in found for rule in verifiers]
    checks = [
        Check(
            id=str(number),
            example_id=str(number),
            verifier=rule,
            arguments={"output": rf"\boxed{{{answer}}}", "solution": rf"\boxed{{{gold}}}"}
            if rule == "math_verify"
            else {"output": closing(answer), "gold": gold},
        )
        for number, (rule, answer, gold) in enumerate(rows)
    ]
    with GradingPool() as pool:
        return [(*row, verdict) for row, verdict in zip(rows, pool.verify(verifiers, checks), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mirror", type=Path, action="append", default=[], help="folder of official files; repeatable")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    finder = SourceFinder(default_cache_dir(), arguments.mirror)
    data = load_task(tasks.TaskSpec("math"), finder, starter=False).data
    found = list(pairs([example.meta["answer"] for example in data.examples], arguments.count, arguments.seed))
    here = importlib.import_module(Path(__file__).stem)  # by its name, so that a worker finds the functions
    theirs = {
        name: Verifier(function=getattr(here, name), fingerprint="", cpu_seconds=CPU_SECONDS)
        for name in ("math_verify", "minerva")
    }
    ours = {name: data.verifiers[name] for name in theirs}
    print(f"{len(found)} answers; math-verify {version('math-verify')}, lm-eval {version('lm_eval')}")
    counts: Counter[str] = Counter()
    for (rule, answer, gold, our), (*_, their) in zip(verdicts(ours, found), verdicts(theirs, found), strict=True):
        late = their.label in KILLED or their.details.get("seconds", 0.0) > ALARM_SECONDS
        agree = our.value == their.value and our.label != "error"
        kind = "the same" if agree else "they ran out of time" if late else "another"
        counts[f"{rule}: {kind}"] += 1
        counts[f"{rule}: both equal"] += agree and our.value == 1
        counts[f"{rule}: ours was ended"] += our.label in KILLED
        if not agree:
            print(f"{rule}, {kind}: ours {our.label}, theirs {their.value:g}: {answer[:200]} | {gold[:200]}")
    for name, count in sorted(counts.items()):
        print(f"{name:36}{count:8}")


if __name__ == "__main__":
    main()
