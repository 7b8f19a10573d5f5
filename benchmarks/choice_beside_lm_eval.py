"""Multiple choice beside lm-eval: ``python benchmarks/choice_beside_lm_eval.py [--items 24] [--checkpoint DIR]``.

Items shaped like TruthfulQA's (one right option, and several), ARC's (also after two shots) and HellaSwag's, of words
that the tests' small random Llama knows, go through lm-eval's own code (``HFLM`` and ``ConfigurableTask``, with the
fields of its YAML files) and through the command, on one checkpoint in float32 on the CPU. It prints every metric of
both, the largest difference of a log-likelihood, and the items per second of both; ours are those of the whole run, in
which items that were asked before come from the call store. ``--figures FILE`` writes lm-eval's numbers, which
``tests/kinds/test_choice.py`` compares with.

Needs lm-eval 0.4.13: ``pip install --target FOLDER lm-eval``, and ``PYTHONPATH=FOLDER``. Nothing is downloaded.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from judgebench.run.folder import RunFolder  # noqa: E402 - the checkout's own, wherever the program is started from
from judgebench.run.runner import Runner  # noqa: E402
from judgebench.run.settings import Settings  # noqa: E402
from tests.kinds.choice_shapes import SHAPES, items, train, write_shapes  # noqa: E402
from tests.models.llama import save_random_llama  # noqa: E402

METRICS = {"acc": "accuracy", "acc_norm": "accuracy_norm", "acc_bytes": "accuracy_bytes", "mc2": "mc2"}


def of_lm_eval(checkpoint: Path, rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """lm-eval's log-likelihoods and metrics of each item by shape, and its seconds."""
    from datasets import Dataset, DatasetDict
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(checkpoint), device="cpu", dtype="float32", batch_size=16)
    data = DatasetDict(test=Dataset.from_list(list(rows)), train=Dataset.from_list(train()))
    found, seconds = {}, 0.0
    for name, shape in SHAPES.items():
        config = {
            "task": name,
            "output_type": "multiple_choice",
            "test_split": "test",
            "custom_dataset": lambda **_: data,
            "num_fewshot": 0,
            "metric_list": [{"metric": metric} for metric in ("acc", "acc_norm", "acc_bytes")],
            **shape.lm_eval,
        }
        task = ConfigurableTask(config=config)
        task.build_all_requests()
        begun = time.perf_counter()
        replies = model.loglikelihood(task.instances, disable_tqdm=True)
        seconds += time.perf_counter() - begun
        by_item: dict[int, list[tuple[float, bool]]] = {}
        for instance, reply in zip(task.instances, replies, strict=True):
            by_item.setdefault(instance.doc_id, []).append(reply)
        rows_found = []
        for number, own in sorted(by_item.items()):
            # Upstream's process_results of mc2 takes the place of the others.
            several = shape.several
            found_here = {"mc2": mc2(rows[number], own)} if several else task.process_results(rows[number], own)
            metrics = {key: float(value) for key, value in found_here.items()}
            rows_found.append({"likelihoods": [value for value, _ in own], **metrics})
        found[name] = rows_found
    return found, seconds


def mc2(row: dict[str, Any], replies: Sequence[tuple[float, bool]]) -> float:
    """As lm-eval's ``truthfulqa_mc2`` has it; its module needs packages for other metrics, so its own code is read."""
    import ast

    import lm_eval.tasks
    import numpy as np

    source = Path(lm_eval.tasks.__file__).parent / "truthfulqa" / "utils.py"
    (function,) = (
        node
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "process_results_mc2"
    )
    names: dict[str, Any] = {"np": np}
    exec(compile(ast.Module([function], []), str(source), "exec"), names)
    return float(names["process_results_mc2"](row, list(replies))["acc"])


def of_judgebench(checkpoint: Path, folder: Path) -> tuple[dict[str, Any], float]:
    """Our log-likelihoods and metrics of each item by shape, and the seconds of generating."""
    os.environ["JUDGEBENCH_CACHE"] = str(folder / "cache")
    names = ",".join(str(folder / f"{name}.toml") for name in SHAPES)
    settings = Settings(model=f"hf:{checkpoint}", tasks=names, out=folder / "run", model_args={"device": "cpu"})
    Runner(settings, lambda run, stage: None).evaluate()
    run = RunFolder(folder / "run")
    found = {}
    for name in SHAPES:
        task = run.task(name)
        likelihoods = {one.example_id: list(one.likelihoods or ()) for one in task.generations()}
        metrics: dict[str, dict[str, float]] = {}
        for score in task.example_scores():
            if score.value is not None:
                metrics.setdefault(score.example_id, {})[score.metric] = score.value
        found[name] = [{"likelihoods": likelihoods[example.id], **metrics[example.id]} for example in task.examples()]
    return found, max(run.require_manifest().sessions[-1].task_seconds.values())


def main() -> None:
    """Print both side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--figures", type=Path)
    given = parser.parse_args()
    rows = items(given.items)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        checkpoint = given.checkpoint or folder / "llama"
        if given.checkpoint is None:
            checkpoint.mkdir()
            save_random_llama(checkpoint)
        write_shapes(folder, rows)
        ours, our_seconds = of_judgebench(checkpoint, folder)
        theirs, their_seconds = of_lm_eval(checkpoint, rows)
    print(f"{'shape':12} {'metric':10} {'lm-eval':>10} {'judgebench':>10} {'unlike items':>12}")
    worst = 0.0
    for name in SHAPES:
        for their_name, our_name in METRICS.items():
            pairs = [
                (one[their_name], other[our_name])
                for one, other in zip(theirs[name], ours[name], strict=True)
                if their_name in one
            ]
            if pairs:
                means = (100 * sum(column) / len(pairs) for column in zip(*pairs, strict=True))
                unlike = sum(abs(one - other) > 1e-4 for one, other in pairs)
                print(f"{name:12} {their_name:10} {next(means):10.4f} {next(means):10.4f} {unlike:12}")
        for one, other in zip(theirs[name], ours[name], strict=True):
            differences = (abs(a - b) for a, b in zip(one["likelihoods"], other["likelihoods"], strict=True))
            worst = max(worst, *differences)
    print(f"largest difference of a log-likelihood: {worst:.2e}")
    count = len(SHAPES) * len(rows)
    print(f"items per second: lm-eval {count / their_seconds:.1f}, judgebench {count / our_seconds:.1f}")
    if given.figures:
        given.figures.write_text(json.dumps(theirs).replace("}, {", "},\n{") + "\n")


if __name__ == "__main__":
    main()
