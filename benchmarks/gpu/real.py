"""A real checkpoint, ``builtin:smollm2``, on IFEval and GSM8K through a backend, and through lm-eval on the same files.

Both sides are greedy, in the checkpoint's float32, with its chat template, the same prompts and the same limit of
tokens. The prompts are compared in tokens, the answers as texts, the verdicts one by one. Engines may differ in their
last bits, and then a text does; but of one text both sides must think the same, so lm-eval's texts are graded by our
rules too, and any other verdict fails the part.
"""

import json
import os
import site
import subprocess
import sys
import venv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.generation import seconds_of
from benchmarks.gpu.place import Place, left_out, said
from benchmarks.verifiers import RANDOM_LETTERS, TABLES
from judgebench import tasks
from judgebench.data.sources import SourceFinder, read_sources
from judgebench.errors import JudgebenchError
from judgebench.models.call_store import default_cache_dir
from judgebench.models.local.hf import HfModel
from judgebench.models.local.smollm2 import smollm2_checkpoint
from judgebench.records import Example
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_tasks
from judgebench.run.runner import Runner
from judgebench.run.settings import Settings, mirror_folders
from judgebench.task.lm_eval import LmEvalTask

SPLITS = {"ifeval": "train", "gsm8k": "test"}
"""The benchmarks, and where lm-eval looks for their items."""
LM_EVAL = ("lm-eval[ifeval]==0.4.13", "accelerate")
SIDE = Path(__file__).with_name("lm_eval_side.py")
BATCH = 256
"""Rows of a batch of lm-eval's ``hf``."""

Examples = Mapping[str, Sequence[Example]]
Values = Mapping[tuple[str, str], tuple[float, ...]]
"""Metric and example → its verdict, or that of each of its instructions."""


@dataclass(frozen=True)
class Side:
    """What one program made of the items of one benchmark."""

    texts: Mapping[str, str]
    """Answer by example."""
    values: Values


# -- our side


def real(place: Place, backend: str) -> float | None:
    """Verdicts through a backend; beside those through the other, if that was first, the share that are alike."""
    part = f"real_{backend}"
    if find_spec("vllm") is None and backend == "vllm":
        left_out(part, "vLLM is not installed")
        return None
    try:
        settings = _settings(place, f"{backend}:{_checkpoint(place)}", part)
        load_tasks(settings)
    except JudgebenchError as error:  # the model's package or the official files are not to be had
        left_out(part, error)
        return None
    seconds = seconds_of(lambda: Runner(settings, lambda *_: None).evaluate())
    sides = {name: _side(place, part, name) for name in SPLITS}
    what = ", ".join(f"{name} {len(side.texts)} answers" for name, side in sides.items())
    if backend == "hf" or not (place.folder / "runs" / "real_hf").exists():
        print(f"{part}: {what} in {seconds:.0f} s", flush=True)
        return None
    others = {name: _side(place, "real_hf", name) for name in SPLITS}
    alike = [side.values[key] == others[name].values[key] for name, side in sides.items() for key in side.values]
    return said(part, f"{what} in {seconds:.0f} s; verdicts like hf's", sum(alike) / len(alike), "near 1")


def _checkpoint(place: Place) -> Path:
    """What answers. Raises :class:`~judgebench.errors.UsageError` if its package is not installed."""
    return place.real or smollm2_checkpoint(place.folder / "models")


def _settings(place: Place, model: str, run: str, **others: Any) -> Settings:
    """An evaluation of one side's answers."""
    eager = {"enforce_eager": "true", "max_model_len": "4096"} if place.short and model.startswith("vllm:") else {}
    return Settings(
        **{"tasks": ",".join(SPLITS), "gen": {"temperature": "0", "max_tokens": str(place.reply)}} | others,
        model=model,
        model_args=eager,
        limit=place.items,
        mirrors=mirror_folders([]),
        offline=place.short,
        out=place.folder / "runs" / run,
    )


def _side(place: Place, run: str, task: str) -> Side:
    """What a run of ours found."""
    folder = RunFolder(place.folder / "runs" / run).task(task)
    values: dict[tuple[str, str], tuple[float, ...]] = {}
    for row in folder.example_scores():
        key = row.metric, row.example_id
        values[key] = (*values.get(key, ()), float("nan") if row.value is None else row.value)
    return Side({row.example_id: row.outputs[-1] if row.outputs else "" for row in folder.generations()}, values)


# -- lm-eval's side


def install(place: Place) -> None:
    """Put lm-eval into an environment of its own on top of this one, where nothing is replaced."""
    if find_spec("lm_eval") is not None:
        left_out("install", "lm-eval is there")
        return
    folder = place.folder / "lm-eval"
    venv.create(folder, with_pip=True)
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "below.pth").write_text("\n".join(lines) + "\n")
    command = [_python(folder), "-m", "pip", "install", "--quiet", "--retries", "0", "--timeout", "5", *LM_EVAL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        left_out("install", f"{LM_EVAL[0]} cannot be installed: {done.stderr.strip()[-300:]}")
        return
    (folder / "whole").touch()
    print(f"install: {LM_EVAL[0]}", flush=True)


def _python(folder: Path) -> str:
    return str(folder / "bin" / "python")


def beside(place: Place, engine: str) -> float | None:
    """Share of verdicts that are as lm-eval's, whose engine ``hf`` or ``vllm`` answers the items of ``real``."""
    part, run = f"beside_{engine}", f"real_{engine}"
    own = (place.folder / "lm-eval" / "whole").exists()
    if not own and find_spec("lm_eval") is None:
        left_out(part, "lm-eval is not installed")
        return None
    if not (place.folder / "runs" / run / "results.json").exists():
        left_out(part, f"{run} has no answers")
        return None
    examples = {name: RunFolder(place.folder / "runs" / run).task(name).examples() for name in SPLITS}
    order = _order(place, engine, examples)
    written = place.folder / f"{part}.json"
    written.write_text(json.dumps(order))
    python = _python(place.folder / "lm-eval") if own else sys.executable
    scratch = {"HF_HOME": str(place.folder / "hub"), "NLTK_DATA": str(place.folder / "nltk")}
    if subprocess.run([python, str(SIDE), str(written)], env=os.environ | scratch, check=False).returncode:
        raise SystemExit(f"{part}: lm-eval failed")
    found = json.loads(Path(order["out"]).read_text())
    prompts = Counter(map(tuple, found["prompts"]))
    asked = Counter(_prompts(place, examples))
    print(f"{part}: prompts of lm-eval's, {len(found['prompts'])} in {found['seconds']:.0f} s; in tokens "
          f"{(prompts & asked).total()} of {asked.total()} are ours", flush=True)  # fmt: skip
    failed = prompts != asked
    shares = []
    for name in SPLITS:
        ours, theirs = _side(place, run, name), _their_side(name, examples[name], found)
        share, wrong = compared(f"{part}: {name}", ours, theirs, _graded(place, part, name, theirs))
        shares.append(share)
        failed = failed or wrong > 0
    if failed:
        raise SystemExit(f"{part}: other prompts, or other verdicts on the same text")
    return said(part, "verdicts like lm-eval's, whatever the text", sum(shares) / len(shares), "near 1")


def compared(name: str, ours: Side, theirs: Side, graded: Values) -> tuple[float, int]:
    """Print how much of two sides is alike; the share of verdicts that are, and how many of one text are not.

    ``graded`` is what our rules say of lm-eval's texts.
    """
    alike = {key for key, text in theirs.texts.items() if ours.texts[key] == text}
    print(f"{name}: texts: {len(theirs.texts) - len(alike)} of {len(theirs.texts)} differ", flush=True)
    wrong = equal = 0
    for metric in dict.fromkeys(metric for metric, _ in theirs.values):
        keys = [key for key in theirs.values if key[0] == metric]
        apart = [key for key in keys if ours.values[key] != theirs.values[key]]
        of_one_text = {key[1] for key in apart if key[1] in alike}
        of_one_text |= {key[1] for key in keys if graded[key] != theirs.values[key]}
        print(f"{name}: {metric}: {len(apart)} of {len(keys)} verdicts differ, of one text {len(of_one_text)}"
              f"{' ' + str(sorted(of_one_text)[:8]) if of_one_text else ''}", flush=True)  # fmt: skip
        wrong += len(of_one_text)
        equal += len(keys) - len(apart)
    return equal / max(1, len(theirs.values)), wrong


def _shape(name: str) -> LmEvalTask:
    """How lm-eval's task of a benchmark looks."""
    shape: LmEvalTask = (
        import_module("judgebench.tasks.ifeval.interchange").LM_EVAL
        if name == "ifeval"
        else import_module("judgebench.tasks.gsm8k.task").LM_EVAL["cot8"]
    )
    return shape


def _order(place: Place, engine: str, examples: Examples) -> dict[str, Any]:
    """What lm-eval is to do: the examples of our run in files, and the tables that its sentences need."""
    finder = SourceFinder(default_cache_dir(), mirror_folders([]), offline=place.short)
    sources = read_sources(tasks.folder("ifeval"))
    english = place.folder / "nltk" / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True, exist_ok=True)
    for name, file in TABLES.items():
        (english / file).write_bytes(finder.fetch(sources[name])[0])
    files = {}
    for name, split in SPLITS.items():
        path = place.folder / f"{name}.jsonl"
        rows = [_shape(name).document(example) for example in examples[name]]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        files[_shape(name).name] = {split: str(path)}
    arguments: dict[str, Any] = {"dtype": "float32", "max_length": 4096}
    if engine == "hf":
        arguments |= {"device": place.device, "batch_size": BATCH if place.items is None else place.items}
    elif place.short:
        arguments |= {"enforce_eager": True}
    return {
        "engine": engine,
        "checkpoint": str(_checkpoint(place)),
        "arguments": arguments,
        "reply": place.reply,
        "tasks": files,
        "out": str(place.folder / f"beside_{engine}.out.json"),
    }


def _prompts(place: Place, examples: Examples) -> list[tuple[int, ...]]:
    """Our prompts in tokens."""
    model = HfModel(_checkpoint(place))
    every = [example for own in examples.values() for example in own]
    found = [tuple(model._checkpoint.prompts.tokens(example.messages)) for example in every]
    model.close()
    return found


def _their_side(name: str, examples: Sequence[Example], found: Mapping[str, Any]) -> Side:
    """What lm-eval found. A verdict about a letter that lm-eval draws is left out."""
    shape = _shape(name)
    texts, values = {}, {}
    for number, example in enumerate(examples):
        document = found["tasks"][shape.name][str(number)]
        texts[example.id] = document["text"]
        if name == "ifeval" and example.id in RANDOM_LETTERS:
            continue
        for key, metric in shape.metrics.items():
            value = document["values"][key]
            values[metric, example.id] = tuple(map(float, value if isinstance(value, list) else [value]))
    return Side(texts, values)


def _graded(place: Place, part: str, name: str, theirs: Side) -> Values:
    """Our verdicts on lm-eval's texts."""
    path = place.folder / f"{part}-{name}.jsonl"
    rows = [{"id": key, "output": text, "generator": "lm-eval"} for key, text in theirs.texts.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = f"{part}-{name}"
    Runner(_settings(place, f"file:{path}", run, tasks=name, gen={}), lambda *_: None).evaluate()
    return _side(place, run, name).values
