"""The benchmarks of ``docs/examples``, judged by a server process that answers by rules: numbers known on paper."""

import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.sandboxes import needs_sandbox
from tests.servers.launch import rules_server

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
MODELS = ("strong", "weak")

Rule = Mapping[str, Any]


def rule(reply: str, *texts: str, model: str = "judge") -> Rule:
    """What a model replies to a prompt that holds these texts."""
    return {"model": model, "has": texts, "replies": [reply]}


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a file of prompts."""
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


@dataclass(frozen=True)
class Worked:
    """A benchmark with two models' answers, what its judge says to them, and what follows on paper."""

    file: str
    rules: Sequence[Rule]
    numbers: Mapping[str, Mapping[str, float | None]]
    """By model and metric."""
    headline: str
    flags: Sequence[str] = ()
    scored: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Scores made elsewhere, by model."""
    judged: bool = True


def answered(prompts: str, texts: Mapping[str, Sequence[str]]) -> list[Rule]:
    """Each model's answer to each prompt."""
    questions = [row["instruction"] for row in rows(prompts)]
    return [
        rule(text, question, model=model)
        for model, own in texts.items()
        for question, text in zip(questions, own, strict=True)
    ]


def wins() -> Worked:
    """7 wins, 2 ties, 2 losses and one that turns with the order are 8.5 of 12; 3 wins and 2 ties are 4 of 12."""
    kinds = {"strong": ["GOOD"] * 7 + ["EVEN"] * 2 + ["BAD"] * 2 + ["TILT"], "weak": ["GOOD"] * 3 + ["EVEN"] * 2}
    kinds["weak"] += ["BAD"] * 7
    said = {"GOOD": ("[[A]]", "[[B]]"), "BAD": ("[[B]]", "[[A]]"), "EVEN": ("[[C]]",) * 2, "TILT": ("[[A]]",) * 2}
    judged = [
        rule(reply, f"<answer_{place}>\n{word}")
        for word, replies in said.items()
        for place, reply in zip("ab", replies, strict=True)
    ]
    texts = {model: [f"{word} answer {n} of {model}" for n, word in enumerate(own)] for model, own in kinds.items()}
    numbers: dict[str, dict[str, float | None]] = {
        "strong": {"win_rate": 850 / 12, "wins": 1500 / 24, "ties": 400 / 24, "losses": 500 / 24},
        "weak": {"win_rate": 400 / 12, "wins": 600 / 24, "ties": 400 / 24, "losses": 1400 / 24},
    }
    numbers["strong"]["position_consistency"] = 1100 / 12
    return Worked(
        "wins.toml",
        [*answered("requests.jsonl", texts), *judged],
        numbers,
        headline="win_rate",
        flags=("--baseline", "sft.jsonl"),
    )


def rules() -> Worked:
    """16 of 18 rules and 4 of 6 requests wholly; 7 of 18 rules and no request wholly."""
    broken = {("recipe", 1), ("mail", 2)}
    judged = [
        rule(f"[[{'yes' if kept else 'no'}]]", f"{model} {row['id']}", text)
        for row in rows("rules.jsonl")
        for number, text in enumerate(row["criteria"])
        for model, kept in (
            ("strong", (row["id"], number) not in broken),
            ("weak", number == 0 or (row["id"], number) == ("memo", 1)),
        )
    ]
    texts = {model: [f"{model} {row['id']}" for row in rows("rules.jsonl")] for model in MODELS}
    return Worked(
        "rules.toml",
        [*answered("rules.jsonl", texts), *judged],
        {
            "strong": {"score": 1600 / 18, "share_met": 1600 / 18, "all_met": 400 / 6},
            "weak": {"score": 700 / 18, "share_met": 700 / 18, "all_met": 0},
        },
        headline="score",
    )


def attacks() -> Worked:
    """Attacks that succeed are rated 5. Keywords find other refusals than the judge does."""
    ratings = {"strong": [1, 1, 1, 1, 1, 3, 5, 1], "weak": [5, 5, 5, 3, 1, 5, 5, 5]}
    refuses = {"strong": 5, "weak": 1}
    ids = [row["id"] for row in rows("attacks.jsonl")]
    texts = {
        model: [("I cannot do that. " if n < refuses[model] else "") + f"{model} on {key}" for n, key in enumerate(ids)]
        for model in MODELS
    }
    judged = [
        rule(f"Reason. [[{rating}]]", f"{model} on {key}")
        for model, own in ratings.items()
        for key, rating in zip(ids, own, strict=True)
    ]
    return Worked(
        "attacks.toml",
        [*answered("attacks.jsonl", texts), *judged],
        {
            "strong": {"rating": 14 / 8, "share_at_mark": 100 / 8, "refusals": 500 / 8},
            "weak": {"rating": 34 / 8, "share_at_mark": 600 / 8, "refusals": 100 / 8},
        },
        headline="rating",
    )


def refusals() -> Worked:
    """4 hits, one request refused for nothing: precision 4/5, recall 1, F1 8/9; of answering 6/7. Who never refuses has
    no precision, and the mean of 0 and 2/3.
    """
    items = rows("requests-to-refuse.jsonl")
    said = {"strong": [row["label"] if row["id"] != "bomb" else "refuse" for row in items], "weak": ["answer"] * 8}
    texts = {model: [f"{model} on {row['id']}" for row in items] for model in MODELS}
    judged = [
        rule(f"Reason. [[{label}]]", f"{model} on {row['id']}")
        for model, own in said.items()
        for row, label in zip(items, own, strict=True)
    ]
    return Worked(
        "refusals.toml",
        [*answered("requests-to-refuse.jsonl", texts), *judged],
        {
            "strong": {
                "accuracy": 700 / 8,
                "precision": 80,
                "recall": 100,
                "f1": 800 / 9,
                "macro_f1": 50 * (8 / 9 + 6 / 7),
            },
            "weak": {"accuracy": 50, "precision": None, "recall": 0, "f1": 0, "macro_f1": 100 / 3},
        },
        headline="accuracy",
    )


def rewards() -> Worked:
    """Scores of 0 to 20 in percent."""
    scores = {"strong": [20, 18, 16, 20, 19, 15, 20, 12], "weak": [2, 0, 5, 10, 3, 0, 8, 4]}
    return Worked(
        "rewards.toml",
        (),
        {"strong": {"score": 140 / 160 * 100}, "weak": {"score": 32 / 160 * 100}},
        headline="score",
        scored=scores,
    )


def beliefs() -> Worked:
    """The strong model finds a letter half a unit less likely, the weak one a word a unit; equal ones: the first."""
    items = rows("beliefs.jsonl")

    def numbers(likelihood: Callable[[str], float]) -> Mapping[str, float]:
        chances = [[math.exp(likelihood(f" {option}")) for option in row["options"]] for row in items]
        hits = [row["label"][own.index(max(own))] for row, own in zip(items, chances, strict=True)]
        right = [
            sum(chance * label for chance, label in zip(own, row["label"], strict=True)) / sum(own)
            for row, own in zip(items, chances, strict=True)
        ]
        return {"accuracy": 100 * sum(hits) / len(hits), "mc2": 100 * sum(right) / len(right)}

    strong, weak = numbers(lambda text: -len(text) / 2), numbers(lambda text: -len(text.split()))
    assert (strong["accuracy"], weak["accuracy"]) == (pytest.approx(100 / 3), pytest.approx(50))
    return Worked("beliefs.toml", [rule("A", "?")], {"strong": strong, "weak": weak}, headline="mc2", judged=False)


def functions() -> Worked:
    """4, 2 and 1 of 4 answers pass, so that of two drawn one passes with chances 1, 5/6 and 1/2; or 1, 0 and 0 of 4."""
    right = {
        "digits": "def digits(n):\n    return sum(map(int, str(n)))",
        "twice": "def twice(words):\n    return sorted({word for word in words if words.count(word) > 1})",
        "fold": "def fold(text):\n    return text.lower() == text.lower()[::-1]",
    }
    passing = {"strong": (4, 2, 1), "weak": (1, 0, 0)}
    asked = [
        {
            "model": model,
            "has": [row["instruction"]],
            "replies": [f"```python\n{right[row['id']] if n < good else 'pass'}\n```" for n in range(4)],
        }
        for model, counts in passing.items()
        for row, good in zip(rows("functions.jsonl"), counts, strict=True)
    ]
    return Worked(
        "functions.toml",
        asked,
        {
            "strong": {"pass@1": 700 / 12, "pass@2": 100 * (1 + 5 / 6 + 1 / 2) / 3, "pass@4": 100},
            "weak": {"pass@1": 100 / 12, "pass@2": 50 / 3, "pass@4": 100 / 3},
        },
        headline="pass@1",
        judged=False,
        flags=("--repeats", "4"),
    )


def chains() -> Worked:
    """Of nine answers 7 keep all, of the chains 2, 1 and 3 levels in a row; or 4 of nine, and 1, 1 and 2 levels."""
    kept = {
        "strong": {"tea": ("1", "11", "110"), "sky": ("1", "10", "111"), "walk": ("1", "11", "111")},
        "weak": {"tea": ("1", "10", "000"), "sky": ("1", "00", "000"), "walk": ("1", "11", "100")},
    }
    items = [row for row in rows("chains.jsonl") if row["level"]]
    asked = [
        rule(f"{model} on {row['chain']} {row['level']}.", row["instruction"], model=model)
        for model in MODELS
        for row in sorted(items, key=lambda row: -row["level"])  # a request stands in those that grow from it
    ]
    judged = [
        rule(
            "Reasons. [" + ", ".join("YES" if one == "1" else "NO" for one in own) + "]",
            f"{model} on {chain} {level}.",
        )
        for model, by_chain in kept.items()
        for chain, levels in by_chain.items()
        for level, own in enumerate(levels, 1)
    ]
    return Worked(
        "chains.toml",
        [*asked, *judged],
        {
            "strong": {"hsr": 700 / 9, "ssr": 100 * (7 + 2 / 3 + 1 / 2) / 9, "csl": 2},
            "weak": {"hsr": 400 / 9, "ssr": 100 * (4 + 1 / 2 + 1 / 3) / 9, "csl": 4 / 3},
        },
        headline="hsr",
    )


WORKED = (wins(), rules(), attacks(), refusals(), rewards(), beliefs(), functions(), chains())
EXAMPLES = {worked.file: worked for worked in WORKED}


@contextmanager
def served(worked: Worked, folder: Path) -> Iterator[str]:
    """The models and the judge behind one server: the address."""
    (folder / "rules.json").write_text(json.dumps(worked.rules))
    baseline = [{"id": row["id"], "output": "Baseline.", "generator": "sft"} for row in rows("requests.jsonl")]
    (folder / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in baseline))
    with rules_server(folder / "rules.json") as server:
        yield server.base_url


def evaluated(worked: Worked, folder: Path) -> None:
    """Make the runs of both models, in the folder."""
    task = FOLDER / worked.file
    for model, scores in worked.scored.items():
        made = [{"id": f"item {n}", "score": score, "model": model} for n, score in enumerate(scores)]
        (folder / f"{model}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
        judgebench(["import", f"{model}.jsonl", "--from", "scored", "--task", task, "--out", model], cwd=folder)
    if worked.rules:
        with served(worked, folder) as address:
            for model in MODELS:
                flags = [*judge_of(worked, address), *worked.flags, "--out", model]
                judgebench(["eval", "-q", "--model", f"{address}#{model}", "--tasks", task, *flags], cwd=folder)


def judge_of(worked: Worked, address: str) -> list[str]:
    """The flag that names the judge, if there is one."""
    return ["--judge", f"{address}#judge"] if worked.judged else []


@pytest.mark.parametrize("file", EXAMPLES)
def test_each_number_is_the_one_on_paper(file: str, tmp_path: Path) -> None:
    """Values of all metrics of both models, with n and an interval; every command works on the two runs."""
    worked, task = EXAMPLES[file], FOLDER / file
    assert len(task.read_text().splitlines()) <= 25
    evaluated(worked, tmp_path)
    for model, numbers in worked.numbers.items():
        scores = {one.metric: one for one in RunFolder(tmp_path / model).results().scores if one.group is None}
        assert {name: scores[name].value for name in numbers} == {
            name: value if value is None else pytest.approx(value) for name, value in numbers.items()
        }
        headline = scores[worked.headline]
        assert headline.n > 2
        assert headline.low is not None
    mine = ["--tasks", task]
    compared = json.loads(judgebench(["compare", "weak", "strong", *mine, "--format", "json"], cwd=tmp_path).stdout)
    (found,) = compared["tasks"]
    differences = {row["metric"]: row["difference"] for row in found["differences"] if row["group"] is None}
    both = [worked.numbers[model][worked.headline] for model in ("strong", "weak")]
    assert differences[worked.headline] == pytest.approx(both[0] - both[1])  # type: ignore[operator]
    judgebench(["gate", "--baseline", "weak", "--candidate", "strong", "--max-drop", 2, *mine], code=None, cwd=tmp_path)
    shown = json.loads(judgebench(["show", "strong", *mine, "--worst", 2, "--json"], cwd=tmp_path).stdout)
    assert len(shown["tasks"][0]["samples"]) == 2
    board = judgebench(["leaderboard", "strong", "weak", *mine, "--format", "csv"], cwd=tmp_path).stdout
    assert all(model in board for model in MODELS)
    assert f"{both[0]:.2f}"[:4] in board


@pytest.mark.parametrize("file", [worked.file for worked in WORKED if worked.file != "functions.toml"])
def test_each_example_is_a_sound_benchmark(file: str) -> None:
    """Also one that brings no baseline, one whose options are weighed, and one whose scores are made elsewhere."""
    judgebench(["tasks", "check", FOLDER / file])


@needs_sandbox
def test_an_example_whose_answers_are_run_is_a_sound_benchmark() -> None:
    """In the sandbox."""
    judgebench(["tasks", "check", FOLDER / "functions.toml"])


def test_phrases_have_both_apostrophes() -> None:
    """Models write straight and curly ones: each phrase of the example stands there in both forms."""
    phrases = set(tomllib.loads((FOLDER / "attacks.toml").read_text())["phrases"]["refusals"])
    assert {phrase.replace("'", "\u2019") for phrase in phrases} <= phrases
    assert "I'm sorry" in phrases


JUDGED, VERIFIED = "a stored run (--baseline) shows how many an example takes", "answers are verified, not judged"
PLANNED = {
    "wins.toml": ("win_rate", JUDGED),
    "rules.toml": ("share_met", JUDGED),
    "attacks.toml": ("rating", JUDGED),
    "refusals.toml": ("accuracy", JUDGED),
    "chains.toml": ("hsr", JUDGED),
    "beliefs.toml": ("mc2", VERIFIED),
    "functions.toml": ("pass@1", VERIFIED),
    "rewards.toml": ("score", "the scores are made elsewhere"),
}


@pytest.mark.parametrize("file", EXAMPLES)
def test_a_plan_says_who_decides(file: str) -> None:
    """A judge or not; scores made elsewhere are of as many items as somebody says."""
    metric, why = PLANNED[file]
    arguments = ["plan", "--task", FOLDER / file, "--metric", metric, "--delta", "2"]
    if file == "rewards.toml":
        ended = judgebench(arguments, code=2)
        assert "does not say how many examples there are" in " ".join(ended.stderr.split())
        arguments += ["--n", "50"]
    said = " ".join(judgebench(arguments).stdout.split())
    assert f"judge calls are not counted: {why}" in said


@pytest.mark.parametrize("file", [worked.file for worked in WORKED if worked.rules])
def test_it_can_be_stopped_early(file: str, tmp_path: Path) -> None:
    """With ``--stop-when`` a run ends once its interval is narrow enough, and says of how many items it knows."""
    worked = EXAMPLES[file]
    metric = {"rules.toml": "share_met", "beliefs.toml": "accuracy"}.get(file, worked.headline)
    width = 4 if metric == "rating" else 90
    with served(worked, tmp_path) as address:
        flags = [*judge_of(worked, address), *worked.flags, "--out", "run", "--stop-when", f"{metric} ci<{width}"]
        flags += ["--judge-concurrency", "1", "--concurrency", "1"]
        judgebench(["eval", "-q", "--model", f"{address}#strong", "--tasks", FOLDER / file, *flags], cwd=tmp_path)
    (session,) = RunFolder(tmp_path / "run").require_manifest().sessions
    (counts,) = session.counts.values()
    (score,) = (s for s in RunFolder(tmp_path / "run").results().scores if (s.metric, s.group) == (metric, None))
    assert 0 < score.n < counts["generate"].total
    assert score.value is not None
