"""lm-eval's side of ``benchmarks/gpu/real.py``, for a Python that has lm-eval 0.4.13: ``lm_eval_side.py ORDER.json``.

It imports nothing of judgebench. lm-eval's own tasks answer with lm-eval's own engines; only the files that they read
are named in the order, because the hub's may be out of reach. It writes the tokens of the prompts as the engine gets
them, and the text and the metrics of each document.
"""

import importlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

ENGINES = {"hf": ("lm_eval.models.huggingface", "HFLM"), "vllm": ("lm_eval.models.vllm_causallms", "VLLM")}
TASKS = {"ifeval": "ifeval/ifeval.yaml", "gsm8k_cot": "gsm8k/gsm8k-cot.yaml"}


def opened(order: dict[str, Any], prompts: list[list[int]]) -> Any:
    """lm-eval's engine, which adds the tokens of each prompt to ``prompts``."""
    module, name = ENGINES[order["engine"]]
    with _version_of_vllm() if order["engine"] == "vllm" else nullcontext():
        base = getattr(importlib.import_module(module), name)

    class Seen(base):  # type: ignore[misc]
        def _model_generate(self, *args: Any, **kwargs: Any) -> Any:
            if "requests" in kwargs:
                prompts.extend(kwargs["requests"])
            else:
                rows = zip(kwargs["context"].tolist(), kwargs["attention_mask"].tolist(), strict=True)
                prompts.extend([token for token, held in zip(*row, strict=True) if held] for row in rows)
            return super()._model_generate(*args, **kwargs)

    return Seen(pretrained=order["checkpoint"], **order["arguments"])


@contextmanager
def _version_of_vllm() -> Iterator[None]:
    """lm-eval asks for the version of the package vllm, whose build for CPUs has another name."""
    vllm, _ = importlib.import_module("vllm"), importlib.import_module("vllm.platforms").current_platform
    metadata = importlib.import_module("importlib.metadata")
    asked = metadata.version
    metadata.version = lambda name: vllm.__version__ if name == "vllm" else asked(name)
    yield
    metadata.version = asked


def task_file(folder: Path, name: str, files: dict[str, str], package: Path) -> str:
    """Write lm-eval's own task with other files; JSON is YAML too."""
    dataset = {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({"include": str(package / "tasks" / TASKS[name]), "task": name, **dataset}))
    return str(path)


def documents(samples: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Text and metrics by the number of the document; each filter has its own sample of it."""
    found: dict[int, dict[str, Any]] = {}
    for sample in samples:
        document = found.setdefault(sample["doc_id"], {"text": sample["resps"][0][0], "values": {}})
        document["values"] |= {f"{metric},{sample['filter']}": sample[metric] for metric in sample["metrics"]}
    return found


def main() -> None:
    """Carry out the order."""
    order = json.loads(Path(sys.argv[1]).read_text())
    lm_eval = importlib.import_module("lm_eval")
    importlib.import_module("langdetect").DetectorFactory.seed = 0
    prompts: list[list[int]] = []
    engine = opened(order, prompts)
    folder = Path(sys.argv[1]).parent
    tasks = [task_file(folder, name, files, Path(lm_eval.__file__).parent) for name, files in order["tasks"].items()]
    begun = time.perf_counter()
    found = lm_eval.simple_evaluate(
        model=engine,
        tasks=tasks,
        gen_kwargs={"max_gen_toks": order["reply"]},
        apply_chat_template=True,
        fewshot_as_multiturn=False,
        bootstrap_iters=0,
    )
    seconds = time.perf_counter() - begun
    samples = {name: documents(found["samples"][name]) for name in order["tasks"]}
    Path(order["out"]).write_text(json.dumps({"seconds": seconds, "prompts": prompts, "tasks": samples}))


if __name__ == "__main__":
    main()
