"""Items shaped like those of TruthfulQA, ARC and HellaSwag, and how lm-eval and a TOML file ask them.

``benchmarks/choice_beside_lm_eval.py`` runs both side by side; ``test_choice.py`` compares with what it printed.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.models.llama import WORDS


@dataclass(frozen=True)
class Shape:
    """One shape of items."""

    toml: str
    lm_eval: Mapping[str, Any]
    """The fields of lm-eval's YAML file: ``truthfulqa/truthfulqa_mc1.yaml``, ``truthfulqa_mc2.yaml`` (whose prompt is
    here without its six questions), ``arc/arc_easy.yaml``, ``hellaswag/hellaswag.yaml``.
    """
    several: bool = False
    """Whether several options are right, and upstream's number is their share of the probability."""


SHAPES = {
    "mc1": Shape(
        """kind = "choice"
prompts = "items.jsonl"
fields = { instruction = "question", options = "mc1_targets.choices", label = "mc1_targets.labels" }
[choice]
context = "Q: {{ instruction }}\\nA:"
""",
        {"doc_to_text": "Q: {{question}}\nA:", "doc_to_target": 0, "doc_to_choice": "{{mc1_targets.choices}}"},
    ),
    "mc2": Shape(
        """kind = "choice"
prompts = "items.jsonl"
fields = { instruction = "question", options = "mc2_targets.choices", label = "mc2_targets.labels" }
[choice]
context = "Q: {{ instruction }}\\nA:"
headline = "mc2"
""",
        {"doc_to_text": "Q: {{question}}\nA:", "doc_to_target": 0, "doc_to_choice": "{{mc2_targets.choices}}"},
        several=True,
    ),
    "arc": Shape(
        """kind = "choice"
prompts = "items.jsonl"
fields = { instruction = "question", options = "choices.text", option_names = "choices.label", label = "answerKey" }
[choice]
headline = "accuracy_norm"
""",
        {
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_target": "{{choices.label.index(answerKey)}}",
            "doc_to_choice": "{{choices.text}}",
        },
    ),
    "arc_shots": Shape(
        """kind = "choice"
prompts = "items.jsonl"
fields = { instruction = "question", options = "choices.text", option_names = "choices.label", label = "answerKey" }
[choice]
shots = 2
shots_from = "train.jsonl"
""",
        {
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_target": "{{choices.label.index(answerKey)}}",
            "doc_to_choice": "{{choices.text}}",
            "num_fewshot": 2,
            "fewshot_split": "train",
            "fewshot_config": {"sampler": "first_n"},
        },
    ),
    "hellaswag": Shape(
        """kind = "choice"
prompts = "items.jsonl"
fields = { instruction = "ctx", options = "endings" }
[choice]
context = "{{ activity_label }}: {{ ctx }} "
option = "{{ option }}"
headline = "accuracy_norm"
""",
        # A space at the end of the context belongs to what follows.
        {
            "doc_to_text": "{{activity_label}}: {{ctx}} ",
            "doc_to_target": "{{label}}",
            "doc_to_choice": "endings",
            "target_delimiter": "",
        },
    ),
}


def items(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Rows that have the fields of all shapes, from fixed seeds."""
    return [_item(random.Random(number), number) for number in range(first, first + count)]


def train() -> list[dict[str, Any]]:
    """Rows to be shown with their answers."""
    return items(3, first=1000)


def _item(drawn: random.Random, number: int) -> dict[str, Any]:
    def words(least: int, most: int) -> str:
        return " ".join(drawn.choice(WORDS) for _ in range(drawn.randint(least, most)))

    count = drawn.randint(3, 5)
    names = [str(place + 1) for place in range(count)] if number % 2 else list("ABCDE"[:count])
    # Letters outside ASCII, so that characters and bytes are unlike.
    options = [f"{words(1, 5)}{' né ☃' if drawn.random() < 0.3 else ''} {place}" for place in range(count)]
    right = drawn.randint(1, count - 1)
    return {
        "question": words(3, 8) + "?",
        "mc1_targets": {"choices": options, "labels": [1, *[0] * (count - 1)]},
        "mc2_targets": {"choices": options, "labels": [1] * right + [0] * (count - right)},
        "choices": {"text": options, "label": names},
        "answerKey": drawn.choice(names),
        "activity_label": words(1, 2),
        "ctx": words(4, 9),
        "endings": options,
        "label": str(drawn.randrange(count)),
    }


def write_shapes(folder: Path, rows: Sequence[Mapping[str, Any]], shapes: Iterable[str] = SHAPES) -> None:
    """Write the items and the file of each shape into a folder."""
    for name, some in (("items", rows), ("train", train())):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    for name in shapes:
        (folder / f"{name}.toml").write_text(SHAPES[name].toml)
