"""WildBench v2: 1,024 hard tasks from real conversations, judged with a checklist for each.

One example: a user has talked with an assistant for a while and now asks for ten more entries of a game's data file;
the checklist asks whether each has a colour of its own, whether they are balanced, and so on. ``wb_score`` is what a
judge gives the answer from 1 to 10, on a scale on which 5 is nothing; ``wb_reward`` is how much better (A++, A+, A=B,
B+, B++) another judge finds it than three baselines' answers, where a slight win by a much longer answer is a tie.

Paper: Lin et al. 2024, arXiv 2406.04770.
Followed: allenai/WildBench@d6b8dcaf377d173d031980f97c16e1a82618c03d ``src/eval.py``,
``src/openai_batch_eval/batch_results_format.py`` and ``leaderboard/data_dir/{_create_tables,_merge_results}.py``.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from judgebench.errors import UsageError
from judgebench.judges.orders import candidate_share, game
from judgebench.records import Answer, Case, Example, ExampleScore, Generation, Judgement, Sampling
from judgebench.task import (
    Fetch,
    Generations,
    Task,
    TaskData,
    differing,
    join_names,
    one_of,
    parse_options,
    parse_version,
    split_names,
    switch,
)
from judgebench.task.answers import text_answers
from judgebench.task.items import read_items
from judgebench.task.metric import by_example

from .dataset import OutputRow, StarterRow, TaskRow, ids_only, parquet_rows, to_examples
from .exporter import write_wildbench
from .formulas import BASELINES, DEFAULT_K, after_length_rule
from .importer import read_outputs, read_wildbench
from .judges import (
    CUT,
    EMPTY,
    JUDGES,
    MARKS,
    OTHER_JUDGES,
    Plan,
    Protocol,
    capped,
    load_judges,
    named_judges,
    recovered,
    shown_in_pair,
)
from .metrics import groups, metric_sums, metrics, summarise

FOLDER = Path(__file__).parent
STARTER_BASELINES = ("starter_brief", "starter_plain", "starter_thorough")


PROTOCOLS = {
    "v2.0625": Protocol("openai:gpt-4o-2024-05-13", -1),
    "v2.0522": Protocol("openai:gpt-4-turbo-2024-04-09", 1000),
}

METRICS: dict[str, tuple[str, ...]] = {"both": ("score", "pairwise"), "score": ("score",), "reward": ("pairwise",)}
"""The judges that the option ``metrics`` asks for."""

OPTIONS: dict[str, Callable[[str], Any]] = {
    "metrics": one_of(*METRICS),
    "reward_k": int,
    "baselines": split_names,
    "judge_mode": one_of("batch", "instant"),
    "max_words": int,
    "upstream_compat": switch,
}

DEFAULTS = {"metrics": "both", "reward_k": DEFAULT_K, "judge_mode": "batch", "upstream_compat": False}

OPTION_HELP = {
    "metrics": "both (default), score (one judgement for each answer) or reward (one for each answer and baseline)",
    "reward_k": "a slight win by an answer longer by more than this many characters is a tie; 500, and -1 is never",
    "baselines": "names joined by +, over which rewards are a mean: default the three of the benchmark; see --baseline",
    "judge_mode": "batch (default: prompt alone, strict JSON) or instant (a system message, broken JSON is repaired)",
    "max_words": "word cap of history, query and answers in all prompts; upstream: none for scores, 1000 for pairs",
    "upstream_compat": "true fills the prompts as upstream does, where placeholders in an answer are expanded",
}


def task(version: str | None, options: Mapping[str, str], *, starter: bool = False) -> Task:
    """Make WildBench ``@v2.0625`` (default: the current leaderboard) or ``@v2.0522`` (the paper)."""
    version = parse_version(version, PROTOCOLS, "wildbench")
    settings = parse_options(options, OPTIONS, "wildbench")
    official = STARTER_BASELINES if starter else BASELINES
    baselines = _in_order(settings.pop("baselines", official), official)
    judges = METRICS[settings.get("metrics", "both")]
    if baselines != official:
        if "pairwise" not in judges:
            raise UsageError("task wildbench: metrics=score compares with no baseline, so that none can be chosen")
        settings["baselines"] = join_names(baselines)
    protocol, words = PROTOCOLS[version], settings.get("max_words")
    if words is not None:
        protocol = Protocol(protocol.score_model, words, words)
    plan = Plan(
        judges=judges,
        protocol=protocol,
        baselines=baselines,
        reward_k=settings.get("reward_k", DEFAULT_K),
        mode=settings.get("judge_mode", "batch"),
        chained=settings.get("upstream_compat", False) and not starter,
    )
    models = {"score": protocol.score_model, "pairwise": protocol.pair_model}
    return Task(
        name="wildbench",
        version=version,
        versions=tuple(PROTOCOLS),
        options=differing(settings, DEFAULTS),
        metrics=metrics(plan),
        judge_models={} if starter else {judge: models[judge] for judge in plan.judges},
        named_judges=named_judges(models),
        other_judges=OTHER_JUDGES,
        sampling=Sampling(temperature=0.0, top_p=1.0, max_tokens=4096),
        official_examples=1024,
        against=plan.baselines if "pairwise" in plan.judges else (),
        starter=starter,
        load=partial(_load, plan=plan, starter=starter),
        cases=_cases,
        score=partial(_score, plan=plan),
        groups=groups,
        summarise=partial(summarise, plan=plan),
        pairwise_metrics={f"reward:*:{plan.reward_k}": (-1.0, 1.0)},
        metric_sums=partial(metric_sums, plan=plan),
        rule_options=("upstream_compat",),
        table_options={"reward_k": DEFAULT_K, "baselines": join_names(official)},
        importers={
            "wildbench": partial(read_wildbench, judges=plan.judges, reading=plan.reading),
            "outputs": read_outputs,
        },
        exporters={"wildbench": partial(write_wildbench, version=version)},
        orders={"seeded": {}} if "pairwise" in plan.judges else {},
        hub=("allenai/WildBench", "v2"),
        about="How well a model answers 1,024 hard tasks of real users, by a judge with a checklist for each task.",
        option_help=OPTION_HELP,
    )


def _in_order(names: Sequence[str], official: Sequence[str]) -> tuple[str, ...]:
    """Sort the benchmark's own baselines first, in its order; the others keep theirs."""
    return (*(name for name in official if name in names), *(name for name in names if name not in official))


# -- data


def _load(fetch: Fetch, *, plan: Plan, starter: bool) -> TaskData:
    judges, fragments = load_judges(plan, fetch, starter=starter)
    official = STARTER_BASELINES if starter else BASELINES
    # Other models' answers come from the run folder, or from --baseline.
    wanted = [name for name in plan.baselines if name in official] if "pairwise" in plan.judges else []
    if starter:
        rows = read_items(FOLDER / "starter.jsonl", StarterRow)
        examples = to_examples(rows, "the starter set")
        answers = {name: {row.session_id: row.outputs[name] for row in rows} for name in wanted}
    elif (tasks := fetch("tasks")).startswith(b"PAR1"):
        examples = to_examples(parquet_rows(tasks, TaskRow, "tasks"), "tasks")
        # A baseline has its name in the published tables, not the id in the file.
        answers = {name: {r.session_id: r.text for r in parquet_rows(fetch(name), OutputRow, name)} for name in wanted}
    else:
        return TaskData(
            examples=ids_only(tasks),
            baselines={},
            judges=judges,
            fragments=fragments,
            lacks="of the official tasks only the ids could be had. They come from the dataset allenai/WildBench; run "
            "once without --offline, or put its v2/test-00000-of-00001.parquet into a mirror",
        )
    baselines = {name: text_answers(name, texts) for name, texts in answers.items()}
    return TaskData(examples=examples, baselines=baselines, judges=judges, fragments=fragments)


# -- cases


def is_itself(model: str, baseline: str) -> bool:
    """Say whether the model under test is the baseline, whatever the provider's prefix."""
    return re.split(r"[/:#]", model)[-1] == baseline


def _cases(data: TaskData, generation: Generation) -> tuple[Case, ...]:
    """Make the score case, and a game with each baseline in the order drawn for the example."""
    example = data.by_id.get(generation.example_id)
    if example is None:
        return ()
    candidate = Answer(model=generation.model, turns=generation.outputs)
    cases = []
    if "score" in data.judges:
        cases.append(Case(id=f"{example.id}#score", judge="score", example=example, answers=(candidate,)))
    if "pairwise" in data.judges:
        for name, answers in data.baselines.items():
            other = answers.get(example.id)
            if other is not None and not is_itself(generation.model, name):
                cases.append(
                    game(
                        example,
                        "pairwise",
                        candidate,
                        Answer(model=name, turns=other.outputs),
                        candidate_first=example.meta["candidate_first"],
                        id_suffix=f"#{name}",
                    )
                )
    return tuple(cases)


# -- example scores


@dataclass(frozen=True)
class Stored:
    """An answer as upstream stores it with a judgement: its length, and the reason if it does not count."""

    length: int | None
    """``None`` if the run holds no answer."""
    flag: str = ""
    """``truncated``, ``empty`` or nothing."""

    @classmethod
    def of(cls, text: str) -> "Stored":
        """Describe the text as the judge was shown it."""
        text = text.strip()
        if text.endswith(CUT):
            return cls(len(text), "truncated")
        return cls(len(text), "empty" if text in ("", EMPTY) else "")


UNKNOWN = Stored(None)


def _score(
    data: TaskData, generations: Generations, judgements: Iterable[Judgement], *, plan: Plan
) -> list[ExampleScore]:
    """Make the rows ``score`` and ``reward:<baseline>:<margin>`` of each example with an answer or a judgement."""
    listed = list(judgements)
    judged = by_example(listed)
    others = (judgement.answers[1 - judgement.candidate] for judgement in listed if judgement.judge == "pairwise")
    names = dict.fromkeys([*data.baselines, *others])
    rows = []
    for example in data.examples:
        own, mine = generations.get(example.id), judged.get(example.id, [])
        if own is None and not mine:
            continue
        scorer = _Scorer(data, plan, example, None if own is None or own.error else own)
        if "score" in plan.judges:
            rows.append(scorer.score(next((j for j in mine if j.judge == "score"), None)))
        if "pairwise" in plan.judges:
            of_baseline = {j.answers[1 - j.candidate]: j for j in mine if j.judge == "pairwise"}
            model = own.model if own else next((j.answers[j.candidate] for j in mine), "")
            for name in dict.fromkeys([*plan.baselines, *names]):
                if is_itself(model, name):
                    rows += scorer.itself(name)
                elif name in names:
                    rows += scorer.rewards(name, of_baseline.get(name))
    return rows


class _Scorer:
    """Makes one example's rows."""

    def __init__(self, data: TaskData, plan: Plan, example: Example, own: Generation | None) -> None:
        self._data, self._plan, self._example, self._own = data, plan, example, own
        self._cases = {case.id: case for case in _cases(data, own)} if own is not None and plan.chained else {}

    def score(self, judgement: Judgement | None) -> ExampleScore:
        stored = self._stored("score", 0)
        return ExampleScore(
            example_id=self._example.id,
            metric="score",
            value=None if judgement is None else judgement.verdict.value,
            covariates={"length": stored.length, "flag": stored.flag, **_repairs(judgement, "score")},
        )

    def rewards(self, baseline: str, judgement: Judgement | None) -> list[ExampleScore]:
        own, other = self._stored(baseline, 0), self._stored(baseline, 1)
        reward = np.nan
        if judgement is not None and judgement.verdict.value is not None:
            reward = 2 * candidate_share(judgement.verdict.value, judgement.candidate) - 1
        lengths = [np.array(np.nan if s.length is None else float(s.length)) for s in (own, other)]
        covariates = {
            "length": own.length,
            "baseline_length": other.length,
            "flag": own.flag or other.flag,
            **_repairs(judgement, "choice"),
        }
        return [
            self._reward_row(
                baseline, k, float(after_length_rule(np.array(reward), lengths[0], lengths[1], k)), covariates
            )
            for k in self._plan.margins
        ]

    def itself(self, baseline: str) -> list[ExampleScore]:
        """Score a model against itself: 0 by definition, without asking a judge."""
        return [self._reward_row(baseline, k, 0.0, {"against_itself": 1.0}) for k in self._plan.margins]

    def _reward_row(
        self, baseline: str, k: int, reward: float, covariates: Mapping[str, float | str | None]
    ) -> ExampleScore:
        return ExampleScore(
            example_id=self._example.id,
            metric=f"reward:{baseline}:{k}",
            value=None if np.isnan(reward) else reward,
            covariates=dict(covariates),
        )

    def _stored(self, judge: str, side: int) -> Stored:
        """Describe the candidate's (0) or the baseline's (1) answer to ``judge``: ``score``, or the baseline's name."""
        if self._own is None:
            imported = self._example.meta.get("stored", {}).get(judge)
            return Stored(*imported[side]) if imported else UNKNOWN
        case = self._cases.get(f"{self._example.id}#{judge}")
        recovered_answer = None if case is None else self._recovered(case, side)
        if recovered_answer is not None:
            return recovered_answer
        answer = self._own if side == 0 else self._data.baselines.get(judge, {}).get(self._example.id)
        if answer is None:
            return UNKNOWN
        text = answer.outputs[-1]
        if judge == "score":
            return Stored.of(capped(text, self._plan.words("score")))
        return Stored.of(shown_in_pair(text, self._plan.words("pairwise")))

    def _recovered(self, case: Case, side: int) -> Stored | None:
        """Cut the answer out of the prompt, as upstream does; ``None`` if it is a prompt of the user's."""
        prompt = self._data.judges[case.judge].ask(case).messages[-1].content
        shown = case.candidate if side == 0 else 1 - case.candidate
        marker = JUDGES[case.judge].markers[shown]
        return Stored.of(recovered(prompt, marker)) if marker in prompt else None


def _repairs(judgement: Judgement | None, key: str) -> dict[str, float]:
    """Return the marks of a reply that is not JSON but holds verdicts, and whether these contradict each other."""
    return {} if judgement is None else {mark: 1.0 for mark in MARKS if judgement.verdict.details.get(mark)}
