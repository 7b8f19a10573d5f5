"""lm-eval's files, read and written: ``samples_<task>_<date>.jsonl`` and ``results_<date>.json``.

The formats are those of EleutherAI/lm-evaluation-harness 0.4.13, ``lm_eval/result_schema.py`` and
``lm_eval/loggers/evaluation_tracker.py``. Values there are shares, here percent. This module names no benchmark: a
benchmark's :class:`LmEvalTask` says which of lm-eval's tasks belongs to it.

Samples hold the replies, so we grade them again and only compare our verdicts with lm-eval's. A results file alone
holds numbers without replies, which are kept as reported.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judgebench.data.rows import FileRow, count_of
from judgebench.records import LARGEST, Example, ExampleScore, Generation, Score
from judgebench.task import Generations, Imported, ScoredRun, TaskData
from judgebench.task.answers import failed_answer, failure_notes
from judgebench.task.metric import grouped

UNKNOWN = "lm-eval"
"""In place of the version, where a file does not say it."""
NOT_AVAILABLE = "N/A"
"""What lm-eval writes for a standard error that it does not compute."""
_SAMPLES = re.compile(r"samples_(?P<task>.+)_\d{4}-\d\d-\d\dT[\d.\-]+\.jsonl(?:\.gz)?")


@dataclass(frozen=True, kw_only=True)
class LmEvalTask:
    """A task of lm-eval's, and how its documents and numbers belong to a benchmark of ours."""

    benchmark: str
    """Our name of it."""
    name: str
    """Its name in lm-eval, with which an export is written."""
    version: float
    n_shot: int
    metrics: Mapping[str, str]
    """Our metric by lm-eval's key, metric and filter joined by a comma."""
    document: Callable[[Example], Mapping[str, Any]]
    """The dataset's row of an example, as lm-eval has it."""
    key: Callable[[Mapping[str, Any]], Any]
    """What tells one document from another; ``None`` if it is not a document."""
    target: Callable[[Example], str]
    """The gold answer as lm-eval writes it."""
    lists: tuple[str, ...] = ()
    """Keys of the metrics that have one verdict for each part of a sample's answer."""
    others: tuple[str, ...] = ()
    """Other tasks of lm-eval's that have (parts of) the same documents, and the same metrics."""
    repeats: bool = False
    """The benchmark accepts several answers to one item."""

    def read(self, rows: Sequence[FileRow], data: TaskData) -> tuple[Imported, ...]:
        """Import files of the format ``lm_eval``: one record per model, that is per folder of files."""
        folders = grouped(rows, lambda row: Path(row.path).parent)
        return tuple(self._read_folder(own, data) for own in folders.values())

    def _read_folder(self, rows: Sequence[FileRow], data: TaskData) -> Imported:
        results = [row for row in rows if isinstance(row.fields.get("results"), dict)]
        samples = [row for row in rows if "doc_id" in row.fields]
        strange = next((row for row in rows if row not in results and row not in samples), None)
        if strange is not None:
            raise strange.misshapen(
                "expected a row of lm-eval's samples (with 'doc_id', 'doc' and 'resps') or its results (with 'results')"
            )
        about = _About(max(results, key=lambda row: row.path)) if results else None
        if samples:
            return self._of_samples(self._own_file(samples), data, about)
        assert about is not None
        return self._of_results(about)

    # -- samples

    def _own_file(self, samples: Sequence[FileRow]) -> list[FileRow]:
        """Return the rows of the task's own files; of several runs of the task, those of the last."""
        files = grouped(samples, lambda row: row.path)
        named = {path: match["task"] for path in files if (match := _SAMPLES.fullmatch(Path(path).name))}
        own = {path: task for path, task in named.items() if task in (self.name, *self.others)}
        if not own and len(files) > 1:
            raise samples[0].error(
                f"none of the {len(files)} files of samples is called after {self.name}, the task of lm-eval's that "
                f"belongs to {self.benchmark}; import the right one by itself"
            )
        if not own:
            return list(samples)
        latest = {task: max(path for path, named_task in own.items() if named_task == task) for task in own.values()}
        return [row for path in latest.values() for row in files[path]]

    def _of_samples(self, rows: Sequence[FileRow], data: TaskData, about: "_About | None") -> Imported:
        documents = self._documents(rows, data)
        if not any(output is not None for document in documents for output in document.outputs):
            raise rows[0].error("no row of the file holds a reply under 'resps'")
        single = max((len(d.outputs) for d in documents), default=1) == 1 or not self.repeats
        candidate = about.model if about and about.model else _model_of(rows[0])
        examples: dict[str, Example] = {}
        generations, stored = [], {metric: dict[str, float]() for metric in self.metrics.values()}
        for document in documents:
            for number, output in enumerate(document.outputs[:1] if single else document.outputs):
                example = document.example if single else document.example.repeated(number)
                examples[example.id] = example
                generations.append(
                    failed_answer(example, candidate)
                    if output is None
                    else Generation(example_id=example.id, model=candidate, outputs=(output,))
                )
                # lm-eval grades the first of several answers, or one that its filter made of them.
                if not number:
                    for metric, value in document.values.items():
                        stored[self.metrics[metric]][example.id] = value
        order = {example.id: place for place, example in enumerate(data.examples)}
        return Imported(
            candidate=candidate,
            examples=tuple(sorted(examples.values(), key=lambda e: (order[e.item or e.id], e.repeat))),
            generations=tuple(generations),
            stored={metric: values for metric, values in stored.items() if values},
            unknown=() if about else ("how the answers were sampled",),
            notes=(*(about.notes if about else ()), *self._notes(documents, data, single)),
        )

    def _documents(self, rows: Sequence[FileRow], data: TaskData) -> "list[_Document]":
        """Put the rows of each document together: with several filters it has one for each."""
        free = grouped(data.examples, lambda example: self.key(self.document(example)))
        documents: dict[tuple[str, Any], _Document] = {}
        for row in rows:
            doc, place = row.fields.get("doc"), (row.path, row.key("doc_id"))
            if place not in documents:
                key = self.key(doc) if isinstance(doc, dict) else None
                matching = free.get(key, []) if isinstance(key, str) else []
                if not matching:
                    raise row.error(
                        f"its document ({str(key)[:80]!r}) is not one of the {len(data.examples)} examples of "
                        f"{self.benchmark}, or occurs too often"
                    )
                documents[place] = _Document(matching.pop(0), _outputs(row), _prompt(row), row)
            document = documents[place]
            if _outputs(row) != document.outputs:
                raise row.error(f"document {place[1]} has other replies than in an earlier row")
            for metric, value in self._values(row):
                document.values[metric] = value
        return list(documents.values())

    def _values(self, row: FileRow) -> Iterator[tuple[str, float]]:
        for key in self.metrics:
            metric, _, filter_name = key.partition(",")
            value = row.value(metric)
            missing = value is None or (isinstance(value, list) and None in value)
            if (row.value("filter") or "none") == filter_name and not missing:
                yield key, _number(row, metric, value)

    def _notes(self, documents: "Sequence[_Document]", data: TaskData, single: bool) -> list[str]:
        notes = []
        if len(documents) < len(data.examples):
            notes.append(f"the file holds {len(documents)} of the {len(data.examples)} examples")
        other = sum(not document.asked_as_ours for document in documents)
        if other:
            notes.append(f"{other} of {len(documents)} prompts are not the ones that {self.benchmark} asks")
        notes += failure_notes([document.row for document in documents if None in document.outputs])
        if single and any(len(document.outputs) > 1 for document in documents):
            notes.append("the file has several answers to each document; the first is taken")
        return notes

    # -- results

    def _of_results(self, about: "_About") -> Imported:
        row, names = about.row, (self.name, *self.others)
        table = {name: value for name, value in about.part("results").items() if isinstance(value, dict)}
        own = {name: value for name, value in table.items() if name in names}
        if not own:
            raise row.error(
                f"it holds no results of {' or '.join(names[:8])}; it holds those of {', '.join(table)[:300] or 'none'}"
            )
        if self.name in own:
            own = {self.name: own[self.name]}
        sizes = {name: about.size(name) for name in own}
        scores = []
        for key, metric in self.metrics.items():
            values = {name: _share(row, key, value[key]) for name, value in own.items() if value.get(key) is not None}
            if len(values) == len(own):
                scores.append(self._reported(about, key, metric, values, sizes))
        if not scores:
            raise row.error(f"the results of {', '.join(own)} hold none of {', '.join(self.metrics)}")
        return Imported(
            candidate=about.model or _model_of(row),
            examples=(),
            generations=(),
            reported=tuple(scores),
            reported_by=about.protocol(own),
            notes=about.notes,
        )

    def _reported(
        self,
        about: "_About",
        key: str,
        metric: str,
        values: Mapping[str, float],
        sizes: Mapping[str, int],
    ) -> Score:
        """One number; several tasks' are averaged by their size, as lm-eval averages a group."""
        n = sum(sizes.values())
        weights = sizes if n else dict.fromkeys(values, 1)
        value = sum(values[name] * weights[name] for name in values) / sum(weights.values())
        name, _, filter_name = key.partition(",")
        error = about.part("results")[next(iter(values))].get(f"{name}_stderr,{filter_name}")
        alone = len(values) == 1 and isinstance(error, int | float) and 0 <= error <= 1
        return Score(
            task=self.benchmark,
            metric=metric,
            value=100 * value,
            unit="percent",
            stderr=100 * float(error) if alone and error is not None else None,
            method=f"reported by {about.program}: {key} of {', '.join(values)[:300]}, not graded here",
            n=n,
        )

    # -- export

    def write(self, run: ScoredRun) -> dict[str, Any]:
        """Export the format ``lm_eval``: this task's part of a results file, and its samples.

        Answers to one item are one sample with several replies. Keys are those of lm-eval's results file, each with
        this task's value; ``samples`` are its rows. Only metrics that lm-eval has are written.
        """
        rows = grouped(run.example_scores, lambda row: (row.metric, row.example_id))
        items = grouped(run.data.examples, lambda example: example.item or example.id)
        samples = [
            sample
            for number, examples in enumerate(items.values())
            for sample in self._samples(number, examples, run.generations, rows)
        ]
        metrics = list(dict.fromkeys(key.partition(",")[0] for key in self.metrics))
        return {
            "task": self.name,
            "results": {"name": self.name, "alias": self.name, **self._results(run.scores, len(items))},
            "configs": {"task": self.name, "num_fewshot": self.n_shot, "metadata": {"version": self.version}},
            "versions": self.version,
            "n-shot": self.n_shot,
            "higher_is_better": dict.fromkeys(metrics, True),
            "n-samples": {"original": len(items), "effective": len({sample["doc_id"] for sample in samples})},
            "samples": samples,
        }

    def _results(self, scores: Sequence[Score], items: int) -> dict[str, Any]:
        whole = {score.metric: score for score in scores if score.group is None}
        found: dict[str, Any] = {"sample_len": items}
        for key, metric in self.metrics.items():
            score = whole.get(metric)
            if score is not None and score.value is not None:
                name, _, filter_name = key.partition(",")
                found[key] = score.value / 100
                found[f"{name}_stderr,{filter_name}"] = NOT_AVAILABLE if score.stderr is None else score.stderr / 100
        return found

    def _samples(
        self,
        number: int,
        examples: Sequence[Example],
        generations: Generations,
        rows: Mapping[tuple[str, str], Sequence[ExampleScore]],
    ) -> Iterator[dict[str, Any]]:
        """Make a row for each filter of an item's answers; an item without answers has none."""
        answered = [e for e in examples if e.id in generations and not generations[e.id].error]
        if not answered:
            return
        first = answered[0]
        doc, target, prompt = dict(self.document(first)), self.target(first), prompt_text(first)
        outputs = [generations[example.id].outputs[-1] for example in answered]
        for filter_name in dict.fromkeys(key.partition(",")[2] for key in self.metrics):
            values: dict[str, Any] = {}
            filtered = outputs[0]
            for key, metric in self.metrics.items():
                name, _, filter_of_metric = key.partition(",")
                own = rows.get((metric, first.id), ())
                if filter_of_metric != filter_name or not own or any(row.value is None for row in own):
                    continue
                values[name] = [bool(row.value) for row in own] if key in self.lists else own[0].value
                filtered = str(own[0].covariates.get("extracted", filtered))
            yield {
                "doc_id": number,
                "doc": doc,
                "target": target,
                "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {}}},
                "resps": [outputs],
                "filtered_resps": [filtered],
                "filter": filter_name,
                "metrics": list(values),
                "doc_hash": _sha256(json.dumps(doc, indent=2, ensure_ascii=False)),
                "prompt_hash": _sha256(prompt),
                "target_hash": _sha256(target),
                **values,
            }


@dataclass
class _Document:
    """One document of a samples file."""

    example: Example
    outputs: tuple[str | None, ...]
    """``None`` for a reply that failed."""
    prompt: str | None
    row: FileRow
    """The first row that has it."""
    values: dict[str, float] = field(default_factory=dict)

    @property
    def asked_as_ours(self) -> bool:
        """The prompt holds ours, perhaps within a chat template."""
        return self.prompt is None or self.example.messages[-1].content.strip() in self.prompt


@dataclass(frozen=True)
class _About:
    """What a results file says of the run."""

    row: FileRow

    @property
    def program(self) -> str:
        """lm-eval with its version, if the file has it."""
        version = self.row.fields.get("lm_eval_version")
        return f"lm-eval {version}" if isinstance(version, str) else UNKNOWN

    @property
    def model(self) -> str | None:
        """The model's name, if the file has it."""
        name = self.row.fields.get("model_name")
        return name if isinstance(name, str) and name else None

    @property
    def form(self) -> list[str]:
        """How the model was prompted."""
        fields = self.row.fields
        found = []
        if "chat_template" in fields:
            found.append("with a chat template" if fields["chat_template"] else "without a chat template")
        if fields.get("fewshot_as_multiturn"):
            found.append("few-shot examples as turns")
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """Program, settings and form of the prompt in a sentence."""
        config = self.part("config")
        settings = [
            f"{name}={json.dumps(config[name])[:200]}"
            for name in ("model", "model_args", "gen_kwargs", "limit", "fewshot_seed")
            if config.get(name) not in (None, {}, "")
        ]
        return (": ".join([f"made by {self.program}", ", ".join([*settings, *self.form])]),)

    def protocol(self, tasks: Iterable[str]) -> str:
        """Program, tasks with version and shots, and the form of the prompt, which tell protocols apart."""
        versions, shots = self.part("versions"), self.part("n-shot")
        named = [f"{task} {versions.get(task, '?')} with {shots.get(task, '?')} shots" for task in tasks]
        return ", ".join([self.program, *named, *self.form])

    def size(self, task: str) -> int:
        """How many documents a task's number was made from; 0 if the file does not say."""
        own = self.part("n-samples").get(task)
        found = own.get("effective") if isinstance(own, dict) else None
        if found is None:
            found = self.part("results")[task].get("sample_len")
        return count_of(found) or 0

    def part(self, name: str) -> Mapping[str, Any]:
        """An object of the file; an empty one if it is missing or not an object."""
        value = self.row.fields.get(name)
        return value if isinstance(value, dict) else {}


def prompt_text(example: Example) -> str:
    """The prompt as one text; a conversation of several messages becomes a JSON list."""
    if len(example.messages) == 1:
        return example.messages[0].content
    return json.dumps([{"role": m.role, "content": m.content} for m in example.messages], ensure_ascii=False)


def _outputs(row: FileRow) -> tuple[str | None, ...]:
    """The replies to a document, before any filter; ``None`` for one that failed."""
    replies = row.value("resps")
    if isinstance(replies, list) and len(replies) == 1 and (replies[0] is None or isinstance(replies[0], list)):
        replies = replies[0]
    if replies is None or replies == []:
        return (None,)
    if not isinstance(replies, list) or not all(isinstance(reply, str | None) for reply in replies):
        raise row.error("'resps' must hold the replies of one request: a list in which there is one list of strings")
    return tuple(replies)


def _prompt(row: FileRow) -> str | None:
    """What the model was sent, if the row has it as text."""
    arguments = row.fields.get("arguments")
    first = arguments.get("gen_args_0") if isinstance(arguments, dict) else None
    prompt = first.get("arg_0") if isinstance(first, dict) else None
    return prompt if isinstance(prompt, str) else None


def _number(row: FileRow, metric: str, value: Any) -> float:
    """A stored verdict; of a list of them (instructions of one prompt), the share that holds."""
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, bool | int | float) and abs(part) <= LARGEST for part in parts):
        raise row.error(f"{metric!r} must be a number, true or false, or a list of those")
    return sum(map(float, parts)) / len(parts)


def _share(row: FileRow, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise row.error(f"the result {key!r} must be a share from 0 to 1, found {str(value)[:60]!r}")
    return float(value)


def _model_of(row: FileRow) -> str:
    """lm-eval puts a model's files into a folder of its name."""
    path = Path(row.path)
    return path.parent.name or path.name.removesuffix(".gz").rpartition(".")[0] or UNKNOWN


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
