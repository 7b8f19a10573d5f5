"""How MATH's rows look in lm-eval's files, which can be read and written."""

from collections.abc import Mapping
from typing import Any

from judgebench.records import Example
from judgebench.task.lm_eval import LmEvalTask

SUBJECTS = (
    "algebra",
    "counting_and_prob",
    "geometry",
    "intermediate_algebra",
    "num_theory",
    "prealgebra",
    "precalc",
)
"""The ends of the names of lm-eval's tasks, one for each subject."""


def lm_eval_task(version: str, n_shot: int) -> LmEvalTask:
    """lm-eval's tasks with the documents of a version: MATH-500, or all of MATH, which lm-eval has by subject.

    lm-eval's ``exact_match`` is the Minerva rule. Examples hold the problem in ``meta["question"]``, the short answer
    in ``meta["answer"]`` and the solution as reference.
    """
    whole = version == "full"
    return LmEvalTask(
        benchmark="math",
        name="minerva_math" if whole else "minerva_math500",
        version=3.1,
        n_shot=n_shot,
        metrics={"math_verify,none": "math_verify", "exact_match,none": "minerva"},
        document=_document,
        key=lambda document: document.get("problem"),
        target=lambda example: str(example.meta["answer"]),
        others=tuple(f"minerva_math_{subject}" for subject in SUBJECTS) if whole else (),
        repeats=True,
    )


def _document(example: Example) -> Mapping[str, Any]:
    """lm-eval adds the answer as the Minerva rule normalises it; here it stands as the dataset has it."""
    return {
        "problem": example.meta["question"],
        "solution": example.references[0],
        "answer": example.meta["answer"],
        "subject": example.meta.get("subject"),
        "level": example.meta.get("level"),
    }
