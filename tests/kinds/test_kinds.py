"""Benchmarks that are TOML files, run through the command, with numbers that are known on paper."""

import csv
import gzip
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from judgebench.codec import sha256_hex
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.records import Request
from judgebench.run.folder import RunFolder
from tests.commands import Command, judgebench
from tests.shared_data import SharedData

ITEMS = (
    {"Instruction": "Explain tides.", "category": "science", "gold": "The moon pulls the sea."},
    {"Instruction": "Write a haiku.", "category": "writing", "gold": "Rain on the roof"},
    {"Instruction": "Name three fruits.", "category": "writing", "gold": "Apple, pear, plum."},
    {"Instruction": "Explain rust.", "category": "science", "gold": "Iron and oxygen."},
)
ANSWERS = ("good tides", "bad haiku", "equal fruits", "good rust")
HEALTHBENCH = SharedData("healthbench")

Scores = Mapping[tuple[str, str | None], Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prompts and answers to them, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    write_rows("prompts.jsonl", ITEMS)
    write_rows("answers.jsonl", [{"id": str(n), "output": text} for n, text in enumerate(ANSWERS)])
    return tmp_path


def read_json(path: Path) -> Any:
    """Read a JSON file, compressed or not."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def write_rows(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a JSON-lines file into the working directory."""
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_task(text: str, name: str = "mine.toml") -> None:
    """Write the file of a benchmark."""
    Path(name).write_text(text)


def scores(run: str, task: str = "mine") -> Scores:
    """The scores of a run by metric and group."""
    found = RunFolder(Path(run)).results()
    return {(one.metric, one.group): one for one in found.scores if one.task == task}


def evaluated(
    judge: Callable[[str], str], *flags: object, task: str = "mine.toml", code: int = 0
) -> tuple[Scores, list[str]]:
    """Evaluate the answers with a judge that replies to the text of a prompt: the scores, and what it was asked."""
    asked: list[str] = []

    def answer(request: Request) -> Any:
        asked.append(request.messages[-1].content)
        return reply(judge(asked[-1]))

    with playing(ScriptedModel(answer)) as spec:
        arguments = ["eval", "--model", "file:answers.jsonl", "--tasks", task, "--judge", spec, "--out", "run", *flags]
        judgebench(arguments, code=code)
    return scores("run", Path(task).stem), asked


def prefers(prompt: str) -> str:
    """A judge that finds good answers better than others, bad ones worse, equal ones equally good."""
    first, second = prompt.split("<answer_b>")
    for word, here, there in (("good ", "[[A]]", "[[B]]"), ("bad ", "[[B]]", "[[A]]")):
        if word in first.split("<answer_a>")[1]:
            return here
        if word in second:
            return there
    return "[[C]]"


PAIRWISE = """
kind = "pairwise"
prompts = "prompts.jsonl"
fields = { instruction = "Instruction" }
[pairwise]
baseline = "gold"
"""


def test_pairs_are_judged_in_both_orders(place: Path) -> None:
    """Two wins, a loss and a tie are 62.5 percent; by group 100 and 25."""
    write_task(PAIRWISE)
    found, asked = evaluated(prefers)
    assert len(asked) == 8
    assert found["win_rate", None].value == 62.5
    assert found["win_rate", "category=science"].value == 100
    assert found["win_rate", "category=writing"].value == 25
    assert [found[name, None].value for name in ("wins", "ties", "losses")] == [50, 25, 25]
    assert found["position_consistency", None].value == 100
    assert found["avg_length", None].value == sum(map(len, ANSWERS)) / 4


def test_ties_may_be_left_out(place: Path) -> None:
    """Without the tie, two of three decided pairs are won."""
    write_task(PAIRWISE + 'ties = "drop"\n')
    found, _ = evaluated(prefers)
    assert found["win_rate", None].value == pytest.approx(200 / 3)
    assert found["win_rate", "category=writing"].value == 0
    assert found["win_rate", None].low < 60 < found["win_rate", None].high


def test_a_judge_of_positions_is_seen(place: Path) -> None:
    """A judge that always takes the first answer gives every pair to both: 50 percent, and no consistency."""
    write_task(PAIRWISE)
    found, _ = evaluated(lambda prompt: "[[A]]")
    assert found["win_rate", None].value == 50
    assert found["position_consistency", None].value == 0


@pytest.mark.parametrize(("orders", "calls"), [("as_given", 4), ("seeded", 4)])
def test_other_orders(place: Path, orders: str, calls: int) -> None:
    """As given, the candidate is shown first; a drawn order asks once for each pair, too."""
    write_task(PAIRWISE + f'orders = "{orders}"\n')
    found, asked = evaluated(prefers)
    assert len(asked) == calls
    assert found["win_rate", None].value == 62.5
    firsts = [prompt.split("<answer_a>\n")[1].split("\n")[0] for prompt in asked]
    assert (set(firsts) == set(ANSWERS)) == (orders == "as_given")


def test_the_baseline_may_be_a_file(place: Path) -> None:
    """Answers in a file beside the benchmark, whose name the run keeps."""
    write_rows("sft.jsonl", [{"id": str(n), "output": "plain", "generator": "sft"} for n in range(4)])
    write_task(PAIRWISE.replace('"gold"', '"sft.jsonl"'))
    found, _ = evaluated(prefers)
    assert found["win_rate", None].value == 62.5
    assert list(RunFolder(Path("run")).task("mine").baselines()) == ["sft"]


def test_a_win_rate_at_equal_lengths(place: Path) -> None:
    """With answers as long as the baseline's, length control changes nothing but what its penalty does."""
    rows = [{"instruction": f"Question {n}", "gold": "0123456789"} for n in range(40)]
    write_rows("prompts.jsonl", rows)
    write_rows("answers.jsonl", [{"id": str(n), "output": "good 56789" if n % 4 else "bad 456789"} for n in range(40)])
    write_task('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "gold"\nlength_control = true\n')
    found, _ = evaluated(prefers)
    assert found["win_rate", None].value == 75
    assert found["lc_win_rate", None].value == pytest.approx(75, abs=2)
    assert found["lc_win_rate", None].low < 75 < found["lc_win_rate", None].high


RATING = """
kind = "rating"
prompts = "prompts.jsonl"
fields = { instruction = "Instruction" }
[rating]
scale = [1, 5]
mark = 5
"""


def rates(prompt: str) -> str:
    """Five for good answers, three for equal ones, one for others."""
    answer = prompt.split("<answer>")[1]
    return "[[5]]" if "good " in answer else "[[3]]" if "equal " in answer else "[[1]]"


def test_ratings_and_the_share_at_a_mark(place: Path) -> None:
    """Ratings 5, 1, 3 and 5 have the mean 3.5; half of them are at the mark."""
    write_task(RATING)
    found, asked = evaluated(rates)
    assert len(asked) == 4
    assert (found["rating", None].value, found["rating", None].unit) == (3.5, "rating")
    assert found["rating", "category=writing"].value == 2
    assert found["share_at_mark", None].value == 50


def test_ratings_in_several_respects(place: Path) -> None:
    """Each dimension has its own call, which names it; the rating is their weighted mean."""
    write_task(
        RATING.replace("mark = 5", "")
        + '[[rating.dimensions]]\nname = "clarity"\nweight = 3\n'
        + '[[rating.dimensions]]\nname = "truth"\nabout = "Are the facts right?"\n'
    )
    found, asked = evaluated(lambda prompt: "[[1]]" if "Are the facts right?" in prompt else rates(prompt))
    assert len(asked) == 8
    assert found["rating_clarity", None].value == 3.5
    assert found["rating_truth", None].value == 1
    assert found["rating", None].value == pytest.approx((3 * 3.5 + 1) / 4)


def test_ratings_of_every_turn(place: Path) -> None:
    """Each turn is rated with what was said before it, and has a mean of its own."""
    write_rows("prompts.jsonl", [{"id": "x", "instruction": "One?", "followups": ["Two?"]}])
    write_rows("answers.jsonl", [{"id": "x", "output": ["good one", "bad two"]}])
    write_task('kind = "rating"\nprompts = "prompts.jsonl"\n[rating]\nturns = true\n')
    found, asked = evaluated(lambda prompt: "[[9]]" if "<request>\nOne?" in prompt else "[[4]]")
    assert len(asked) == 2
    assert [found["rating", group].value for group in (None, "turn=1", "turn=2")] == [6.5, 9, 4]


RUBRIC = 'kind = "rubric"\nprompts = "prompts.jsonl"\n'
CRITERIA = (
    {
        "id": "a",
        "instruction": "Explain tides.",
        "tags": ["theme:sea"],
        "criteria": [
            {"text": "It names the moon.", "id": "moon", "points": 5, "tags": ["axis:accuracy"]},
            {"text": "It is polite.", "points": 3, "tags": ["axis:tone"]},
            {"text": "It is rude.", "points": -4, "tags": ["axis:tone"]},
        ],
    },
    {"id": "b", "instruction": "Explain rust.", "criteria": ["It names oxygen."]},
)


def test_criteria_are_asked_one_by_one(place: Path) -> None:
    """Moon and rudeness of three criteria: 1 of 8 points; by tag 5 of 5, and -4 of 3, which is clipped to 0."""
    write_rows("prompts.jsonl", CRITERIA)
    write_rows("answers.jsonl", [{"id": "a", "output": "moon"}, {"id": "b", "output": "oxygen"}])
    write_task(RUBRIC)
    found, asked = evaluated(lambda prompt: "[[no]]" if "It is polite." in prompt else "[[yes]]")
    assert len(asked) == 4
    assert found["score", None].value == found["score_unclipped", None].value == pytest.approx(100 * (1 / 8 + 1) / 2)
    assert found["score", "theme=sea"].value == pytest.approx(100 / 8)
    assert found["score", "axis=accuracy"].value == 100
    assert (found["score", "axis=tone"].value, found["score_unclipped", "axis=tone"].value) == (
        0,
        pytest.approx(-400 / 3),
    )
    assert found["share_met", None].value == pytest.approx(100 * (1 / 3 + 1) / 2)
    assert found["all_met", None].value == 50


def test_criteria_of_all_items_and_their_points(place: Path) -> None:
    """The file's own criteria come first, and the judge sees points where it is told to."""
    write_rows("prompts.jsonl", [{"instruction": "Hello?"}])
    write_rows("answers.jsonl", [{"id": "0", "output": "Hello."}])
    write_task(RUBRIC + '[rubric]\nshow_points = true\n[[rubric.criteria]]\ntext = "It greets."\npoints = 2\n')
    found, asked = evaluated(lambda prompt: "[[yes]]")
    assert found["score", None].value == 100
    assert "<criterion>\n[2] It greets.\n</criterion>" in asked[0]


def test_an_unread_criterion_leaves_the_item_without_a_score(place: Path) -> None:
    """It is counted as missing, and the other item still has its score."""
    write_rows("prompts.jsonl", CRITERIA)
    write_rows("answers.jsonl", [{"id": "a", "output": "moon"}, {"id": "b", "output": "oxygen"}])
    write_task(RUBRIC)
    with playing(ScriptedModel(lambda request: reply(unsure(request.messages)))) as spec:
        arguments = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", spec, "--out", "run"]
        judgebench(["eval", *arguments], code=None)
    found = scores("run")
    assert (found["score", None].value, found["score", None].n, found["score", None].n_missing) == (100, 1, 1)


def unsure(messages: Sequence[Any]) -> str:
    """Cannot say anything about manners."""
    return "hm" if any("polite" in message.content for message in messages) else "[[yes]]"


# -- verdicts made elsewhere


def test_verdicts_made_elsewhere_are_scored_alike(place: Path) -> None:
    """A file of verdicts on the criteria, by index or by text, gives what a judge's own would; null is missing."""
    write_rows("prompts.jsonl", CRITERIA)
    write_task(RUBRIC)
    rows = [
        {"id": "a", "criterion": "moon", "value": True},
        {"id": "a", "criterion": "It is polite.", "attempt": 0, "value": False},
        {"id": "a", "criterion": 2, "value": True},
        {"id": "b", "value": None},
    ]
    write_rows("verdicts.jsonl", rows)
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"], code=None)
    found = scores("run")
    assert found["score", None].value == pytest.approx(100 / 8)
    assert (found["score", None].n, found["score", None].n_missing) == (1, 1)
    assert found["score", "axis=tone"].value == 0


def test_attempts_are_answers_to_one_item(place: Path) -> None:
    """Verdicts on several attempts are averaged over all of them, with the item as the unit of uncertainty."""
    write_rows("prompts.jsonl", CRITERIA[1:])
    write_task(RUBRIC)
    write_rows("verdicts.jsonl", [{"id": "b", "criterion": 0, "attempt": n, "value": n == 0} for n in range(4)])
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"])
    assert (scores("run")["score", None].value, scores("run")["score", None].n) == (25, 4)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_verdicts_on_pairs_and_ratings(place: Path, suffix: str) -> None:
    """Wins in words or shares, ratings on the scale; from a table as well."""
    write_task(PAIRWISE, "pairs.toml")
    write_task(RATING, "rates.toml")
    given: dict[str, list[Any]] = {"pairs": ["win", "loss", "tie", "win"], "rates": [5, 1, 3, 5]}
    for name, values in given.items():
        rows = [{"id": str(n), "value": value} for n, value in enumerate(values)]
        write_rows(f"{name}.jsonl", rows)
        with open(f"{name}.csv", "w", newline="") as file:
            table = csv.DictWriter(file, ["id", "value"])
            table.writeheader()
            table.writerows(rows)
        task = ["--task", f"{name}.toml", "--out", f"run-{name}"]
        judgebench(["import", f"{name}.{suffix}", "--from", "verdicts", *task])
    assert scores("run-pairs", "pairs")["win_rate", None].value == 62.5
    assert scores("run-rates", "rates")["rating", None].value == 3.5
    assert scores("run-rates", "rates")["share_at_mark", None].value == 50


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "z", "criterion": 0, "value": True}, "'z' is not one of this benchmark's 2 items"),
        ({"id": "a", "criterion": 3, "value": True}, "or its index from 0; found 3"),
        ({"id": "a", "criterion": 0, "value": 0.5}, "'value' must be true, false or null, found 0.5"),
        ({"id": "a", "criterion": 0, "value": True, "attempt": -1}, "'attempt' must be a whole number from 0"),
    ],
)
def test_wrong_verdicts_are_named_with_their_line(place: Path, row: dict[str, Any], told: str) -> None:
    """The file, the line, and what was expected."""
    write_rows("prompts.jsonl", CRITERIA)
    write_task(RUBRIC)
    write_rows("verdicts.jsonl", [{"id": "b", "criterion": 0, "value": True}, row])
    arguments = ["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"]
    ended = judgebench(arguments, code=2)
    assert "verdicts.jsonl:2" in ended.stderr
    assert told in ended.stderr


# -- published judgements


def test_healthbench_is_a_rubric(place: Path) -> None:
    """Every aggregate that the official code gives on real verdicts of a judge, with all tags."""
    examples = read_json(HEALTHBENCH / "rubric_verdicts_med42.json.gz")
    expected = read_json(HEALTHBENCH / "expected.json")["rubric_verdicts_med42.json.gz"]["aggregate"]
    write_healthbench([(one["example_tags"], one["items"]) for one in examples])
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"])
    found = scores("run")
    names = [name for name in expected if not name.endswith((":n_samples", ":bootstrap_std"))]
    assert len(names) > 40
    for name in names:
        group = None if name in ("overall_score", "score") else name.replace(":", "=", 1)
        assert found["score", group].value == pytest.approx(100 * expected[name], abs=1e-9), name
        assert found["score", group].n == expected[f"{name}:n_samples"], name


def test_healthbench_hard_is_clipped_after_averaging(place: Path) -> None:
    """Means of real runs that lie below zero: the score is 0 then, and the mean stands beside it."""
    runs = read_json(HEALTHBENCH / "hard_runs.json.gz")
    expected = read_json(HEALTHBENCH / "expected.json")["hard_runs"]
    below = 0
    for name in sorted(runs)[:4]:
        items = [[{"points": points, "criteria_met": met} for points, met in one] for one in runs[name]["examples"]]
        write_healthbench([([], one) for one in items])
        judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", name])
        found = scores(name)
        assert found["score", None].value == pytest.approx(100 * expected[name]["overall_score"], abs=1e-9)
        assert found["score_unclipped", None].value == pytest.approx(100 * expected[name]["mean_unclipped"], abs=1e-9)
        below += expected[name]["mean_unclipped"] < 0
    assert below


def write_healthbench(examples: Sequence[tuple[Sequence[str], Sequence[Mapping[str, Any]]]]) -> None:
    """Write items and verdicts of HealthBench as a rubric benchmark; the texts are stand-ins."""
    write_rows(
        "prompts.jsonl",
        [
            {
                "id": str(number),
                "instruction": f"Question {number}",
                "tags": tags,
                "criteria": [
                    {"text": f"Criterion {place}", "points": one["points"], "tags": one.get("tags", [])}
                    for place, one in enumerate(items)
                ],
            }
            for number, (tags, items) in enumerate(examples)
        ],
    )
    write_rows(
        "verdicts.jsonl",
        [
            {"id": str(number), "criterion": place, "value": one["criteria_met"]}
            for number, (_, items) in enumerate(examples)
            for place, one in enumerate(items)
        ],
    )
    write_task(RUBRIC)


# -- own prompts and rules


def test_an_own_prompt_and_rule(place: Path) -> None:
    """A prompt beside the file, read as JSON; what it does not show, or does not ask for, is refused."""
    Path("judge.j2").write_text('{{ instruction }} {{ answer }} Reply {"grade": N}, 1 to 5.')
    write_task(RATING.replace("mark = 5", "") + "", "mine.toml")
    text = Path("mine.toml").read_text()
    write_task(text.replace("[rating]", 'prompt = "judge.j2"\nreads = "json:grade"\n[rating]'))
    found, asked = evaluated(lambda prompt: '{"grade": 4}')
    assert found["rating", None].value == 4
    assert asked[0].startswith("Explain tides. good tides")
    Path("judge.j2").write_text('{{ instruction }} Reply {"grade": N}, 1 to 5.')
    ended = judgebench(
        ["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", "builtin:tiny"], code=2
    )
    assert "leaves out the answer" in ended.stderr


def test_first_token_probabilities(place: Path) -> None:
    """A logprob reading gives each pair the share of its first label."""
    Path("judge.j2").write_text("{{ instruction }} first: {{ answer_a }} second: {{ answer_b }} Say A or B.")
    text = PAIRWISE.replace(
        "[pairwise]", 'prompt = "judge.j2"\nreads = "logprob"\nverdict = { labels = ["A", "B"] }\n[pairwise]'
    )
    write_task(text)
    with playing(ScriptedModel(lambda request: reply("A", logprobs={"A": -0.2231435513, "B": -1.6094379124}))) as spec:
        judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", spec, "--out", "run"])
    assert scores("run")["win_rate", None].value == pytest.approx(50)
    shares = [one.verdict.value for one in RunFolder(Path("run")).task("mine").judgements()]
    assert shares == pytest.approx([0.8] * 8)


# -- the other commands, and wrong files


def test_no_length_may_be_less_than_nothing(place: Path) -> None:
    """Three short answers and a long one leave the mean length open, down to zero characters."""
    write_rows("answers.jsonl", [{"id": str(n), "output": "long " * 100 if n == 3 else "x"} for n in range(4)])
    write_task(PAIRWISE)
    found, _ = evaluated(lambda prompt: "[[A]]")
    assert found["avg_length", None].low == 0 < found["avg_length", None].value < found["avg_length", None].high


def test_a_file_that_lacks_an_answer_is_to_be_completed(place: Path) -> None:
    """The same command again would find the same file, and the completed one is another run."""
    write_rows("answers.jsonl", [{"id": str(n), "output": text if n else None} for n, text in enumerate(ANSWERS)])
    write_task(PAIRWISE)
    with playing(ScriptedModel(lambda request: reply("[[A]]"))) as spec:
        words = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", spec, "--out", "run"]
        told = judgebench(["eval", *words], code=4).stderr
    assert "write the missing answers into answers.jsonl, and give another --out" in told
    assert "same command again" not in told


def test_the_other_commands_read_such_runs(place: Path, command: Command) -> None:
    """compare, gate, leaderboard, show and a stop rule, with the file named by --tasks."""
    write_task(PAIRWISE)
    with playing(ScriptedModel(lambda request: reply(prefers(request.messages[-1].content)))) as spec:
        shared = ["--tasks", "mine.toml", "--judge", spec]
        judgebench(["eval", "--model", "file:answers.jsonl", *shared, "--out", "one"])
        write_rows("worse.jsonl", [{"id": str(n), "output": "bad one"} for n in range(4)])
        judgebench(["eval", "--model", "file:worse.jsonl", *shared, "--out", "two"])
        judgebench(["eval", "--model", "file:answers.jsonl", *shared, "--out", "three", "--stop-when", "ci<60"])
    files = ["--tasks", "mine.toml"]
    compared = json.loads(judgebench(["compare", "one", "two", *files, "--format", "json"]).stdout)
    assert -62.5 in numbers(compared)
    assert "answers" in judgebench(["leaderboard", "one", "two", *files]).stdout
    for named in ([], files):
        rows = csv.DictReader(judgebench(["leaderboard", "one", "two", *named, "--format", "csv"]).stdout.splitlines())
        # Not by avg_length or another that comes first by letter: a run lists its task's headline first.
        assert {row["metric"] for row in rows if row["rank"]} == {"win_rate"}
    assert "good tides" in judgebench(["show", "one", *files, "--item", "0"]).stdout
    sampled = judgebench(["labels", "sample", "one", *files, "--out", "labels.csv"], COLUMNS="200").stdout
    assert "labels agree one LABELS.csv… --tasks mine.toml" in sampled
    assert "score one --tasks mine.toml --labels LABELS.csv" in sampled or "or judgebench score" not in sampled
    assert judgebench(
        ["gate", "--candidate", "two", "--baseline", "one", "--max-drop", "5", *files], code=None
    ).returncode in (1, 3)


def numbers(value: Any) -> list[float]:
    """All numbers anywhere in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for one in value for number in numbers(one)]
    return [value] if isinstance(value, float | int) else []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "x"', "mine.toml is no benchmark: it has no key kind"),
        ('kind = "pairwize"\nprompts = "prompts.jsonl"', "mine.toml, line 1: kind 'pairwize' is not one of"),
        ('kind = "rating"\nprompts = "nowhere.jsonl"', "line 2: prompts 'nowhere.jsonl' is not a file"),
        ('kind = "rating"', "prompts names the file of prompts, unless a table [source]"),
        (
            'kind = "rating"\nprompts = "prompts.jsonl"\nprompt_file = "x"',
            "line 3: prompt_file is not a key of this file",
        ),
        (PAIRWISE + 'tie = "half"', "line 7: pairwise.tie is not a key of pairwise (did you mean ties?)"),
        (
            PAIRWISE + 'ties = "third"',
            "line 7: pairwise.ties holds a word that it does not know: 'third'; it is one of half, drop",
        ),
        (PAIRWISE.replace('"gold"', '"silver"'), "line 6: pairwise.baseline 'silver' is neither a file"),
        (PAIRWISE + "[rating]\nmark = 3", "rating is the table of another kind; this file's kind is pairwise"),
        (RATING.replace("mark = 5", "mark = 9"), "line 7: rating.mark 9 is not on the scale from 1 to 5"),
        (RATING.replace("[1, 5]", "[5, 1]"), "line 6: rating.scale [5, 1] does not go from low to high"),
        (RATING.replace('"Instruction"', '"Question"'), "a prompt needs 'Question' or 'messages'"),
        (RUBRIC + 'fields = { instruction = "Instruction" }', "gives the item '0' no criterion with points above 0"),
        (RATING.replace("[rating]", 'reads = "vibes"\n[rating]'), "verdict.read 'vibes' is not one of"),
        ('kind = "rating"\nprompts = "prompts.jsonl"\nfields = { text = "Instruction" }', "line 3: fields.text is not"),
        ("kind = ", "mine.toml is not valid TOML"),
    ],
)
def test_wrong_files_are_told(place: Path, text: str, told: str) -> None:
    """One paragraph with the file, the line, the key and the valid values."""
    write_task(text)
    arguments = ["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", "builtin:tiny"]
    ended = judgebench([*arguments, "--out", "run"], code=2)
    assert told in " ".join(ended.stderr.split())
    assert ended.stderr.strip().count("\n") == 0


def test_the_hashes_of_its_files_are_in_the_protocol(place: Path) -> None:
    """A run belongs to the prompts it was made with: with others, its numbers are not read as the same benchmark's."""
    write_task(RATING)
    evaluated(rates)
    code = RunFolder(Path("run")).require_manifest().tasks["mine"].code
    assert code is not None
    assert sorted(code.sha256) == ["mine.toml", "prompts.jsonl"]
    write_rows("prompts.jsonl", [*ITEMS, {"Instruction": "One more"}])
    ended = judgebench(["score", "run", "--tasks", "mine.toml"], code=2)
    assert "prompts.jsonl changed since" in ended.stderr


def test_comments_and_the_order_of_keys_are_no_part_of_the_protocol(place: Path) -> None:
    """What a file says is: with comments, blank lines and its keys in another order it is the same benchmark; with its
    labels in another order it is not. A run of an earlier version, which recorded the file's bytes, is still read.
    """
    task = (
        'kind = "classify"\nprompts = "prompts.jsonl"\nfields = { instruction = "Instruction", label = "category" }\n'
    )
    labels = '[classify]\nheadline = "macro_f1"\nlabels = ["science", "writing"]\n'
    write_task(task + labels)
    hashes = [protocol_of("run")]
    kind, prompts, fields = task.splitlines()
    again = ["# Mine.", prompts, "", fields, kind, "", "[classify]  # of two", *labels.splitlines()[:0:-1]]
    write_task("\n".join(again))
    judgebench(["score", "run", "--tasks", "mine.toml"], code=None)
    hashes.append(protocol_of("same"))
    write_task(task + labels.replace('"science", "writing"', '"writing", "science"'))
    hashes.append(protocol_of("other"))
    assert hashes[0] == hashes[1] != hashes[2]
    manifest = json.loads(Path("other/manifest.json").read_text())
    manifest["tasks"]["mine"]["code"]["sha256"]["mine.toml"] = sha256_hex(Path("mine.toml").read_bytes())
    Path("other/manifest.json").write_text(json.dumps(manifest))
    assert judgebench(["score", "other", "--tasks", "mine.toml"], code=None).returncode in (0, 4)
    assert RunFolder(Path("other")).require_manifest().tasks["mine"].protocol_hash == hashes[2]


def protocol_of(run: str) -> str:
    """Evaluate the answers, which are verified: the hash of the protocol."""
    judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", run], code=None)
    return RunFolder(Path(run)).require_manifest().tasks["mine"].protocol_hash


def test_verdicts_without_answers_say_what_they_are_about(place: Path) -> None:
    """``show`` names the criterion of each verdict that was made elsewhere, also where the answer is not there."""
    criteria = [{"text": "It is short."}, {"text": "It invents.", "points": -1}]
    write_rows("prompts.jsonl", [{"id": "a", "instruction": "A", "criteria": criteria}])
    write_task('kind = "rubric"\nprompts = "prompts.jsonl"\n')
    write_rows("verdicts.jsonl", [{"id": "a", "criterion": number, "value": True} for number in range(2)])
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"])
    shown = judgebench(["show", "run", "--tasks", "mine.toml", "--item", "a"]).stdout
    assert "criterion: It is short.\n" in shown
    assert "criterion: It invents.\npoints: -1, so that a yes counts as not met\n" in shown


def test_the_worst_of_several_answers_to_an_item(place: Path) -> None:
    """Of four answers with 1, 1, 0 and 0 of one point the worst of two has none in 5 of 6 draws; of 2, 2, 2 and 0 of
    two points it has all in half of them. An item without a verdict on each of its answers is missing.
    """
    one, two = [{"text": "It is short."}], [{"text": "It is short."}, {"text": "It is kind."}]
    criteria = {"a": one, "b": two, "c": one}
    write_rows("prompts.jsonl", [{"id": key, "instruction": key, "criteria": own} for key, own in criteria.items()])
    write_task('kind = "rubric"\nprompts = "prompts.jsonl"\n')
    met = {"a": ["1", "1", "0", "0"], "b": ["11", "11", "11", "00"], "c": ["1", "1", "1"]}
    rows = [
        {"id": key, "attempt": attempt, "criterion": number, "value": value == "1"}
        for key, attempts in met.items()
        for attempt, values in enumerate(attempts)
        for number, value in enumerate(values)
    ]
    write_rows("verdicts.jsonl", rows)
    judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"], code=None)
    found = scores("run")
    assert found["worst_at_2", None].value == pytest.approx(100 * (1 / 6 + 1 / 2) / 2)
    assert found["worst_at_4", None].value == 0
    assert (found["worst_at_4", None].n, found["worst_at_4", None].n_missing) == (2, 1)
    assert found["score", None].value == pytest.approx(100 * (2 + 3 + 3) / 11)


def test_a_judge_is_called_as_its_prompt(place: Path) -> None:
    """After the kind, where the prompt is the kind's; after the file of its own prompt."""
    write_task(RATING)
    evaluated(rates)
    assert {one.judge for one in RunFolder(Path("run")).task("mine").judgements()} == {"house_rating"}
    Path("strict.j2").write_text("Rate {{ instruction }} <answer>{{ answer }} like [[5]].")
    write_task(f'prompt = "strict.j2"\n{RATING}')
    shutil.rmtree("run")
    evaluated(rates)
    assert {one.judge for one in RunFolder(Path("run")).task("mine").judgements()} == {"strict"}


def test_a_run_that_calls_the_judge_otherwise_is_still_read(place: Path) -> None:
    """Earlier versions called the judge of every file ``house`` and hashed the bytes of the file: the run has the same
    numbers and counts, and ``show`` rebuilds what its judge was sent.
    """
    write_task(RATING)
    evaluated(rates)
    before = json.loads(judgebench(["score", "run", "--tasks", "mine.toml", "--json"]).stdout)
    manifest, judgements = Path("run/manifest.json"), Path("run/mine/judgements.jsonl")
    judgements.write_text(judgements.read_text().replace('"house_rating"', '"house"'))
    found = json.loads(manifest.read_text().replace('"house_rating"', '"house"'))
    found["tasks"]["mine"]["code"]["sha256"]["mine.toml"] = sha256_hex(Path("mine.toml").read_bytes())
    manifest.write_text(json.dumps(found))
    counts = found["tasks"]["mine"]["counts"]
    again = json.loads(judgebench(["score", "run", "--tasks", "mine.toml", "--json"]).stdout)
    assert again["scores"] == before["scores"]
    assert RunFolder(Path("run")).require_manifest().tasks["mine"].counts == counts
    shown = judgebench(["show", "run", "--tasks", "mine.toml", "--item", "0"]).stdout
    assert "judge house ·" in shown
    assert "exactly as sent" in shown


def test_a_starter_run_takes_the_baseline_of_the_whole(place: Path) -> None:
    """A file of all baseline answers fits the first twelve items, too, and the check of the benchmark passes."""
    write_rows("prompts.jsonl", [{"instruction": f"Question {n}"} for n in range(20)])
    write_rows("base.jsonl", [{"id": str(n), "output": "plain"} for n in range(20)])
    write_task('kind = "pairwise"\nprompts = "prompts.jsonl"\n[pairwise]\nbaseline = "base.jsonl"\n')
    assert "FAILS" not in judgebench(["tasks", "check", "mine.toml"]).stdout
    shared = ["--judge", "builtin:tiny", "--starter", "--out", "run"]
    judgebench(["eval", "--model", "builtin:tiny", "--tasks", "mine.toml", *shared])
    assert scores("run")["win_rate", None].n == 12


def test_files_are_named_as_the_user_wrote_them(place: Path) -> None:
    """A run says which file it was made with, and a name without its ending names the file."""
    write_task(RATING, "even.toml")
    evaluated(rates, task="even.toml")
    assert "as in --tasks even.toml" in judgebench(["score", "run"], code=2).stderr
    ended = judgebench(["eval", "--model", "builtin:tiny", "--tasks", "even", "--out", "x"], code=2)
    assert "but ./even.toml is one: write ./even.toml" in ended.stderr


def test_several_models_end_in_one_table(place: Path) -> None:
    """The table at the end of a command with several models finds the benchmark where the user said it lies."""
    write_rows("second.jsonl", [{"id": str(n), "output": "second"} for n in range(4)])
    Path("bench").mkdir()
    write_task(PAIRWISE.replace('"prompts.jsonl"', '"../prompts.jsonl"'), "bench/task.toml")
    models = ["-m", "file:answers.jsonl", "-m", "file:second.jsonl"]
    ended = judgebench(["eval", *models, "--tasks", "./bench", "--judge", "builtin:tiny"])
    assert "answers on bench@1" in ended.stdout
    assert "bench@1: protocol" in ended.stdout  # the heading of a leaderboard


def test_the_stand_in_says_which_prompts_it_knows(place: Path) -> None:
    """builtin:tiny cannot read a prompt of the user's: the end of the run says so, and what to do."""
    Path("judge.j2").write_text("{{ instruction }} {{ answer }} Give a number in double brackets.")
    write_task(RATING.replace("[rating]", 'prompt = "judge.j2"\n[rating]'))
    arguments = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", "builtin:tiny", "--out", "run"]
    ended = judgebench(["eval", *arguments], code=4)
    assert "builtin:tiny replies to prompts that it knows" in ended.stderr


# -- labels

LABELS = """
kind = "classify"
prompts = "prompts.jsonl"
[classify]
labels = { yes = ["true"], no = ["false"] }
positive = "yes"
"""
LABELLED = ("yes", "yes", "yes", "no", "no", "no")
SAID = ("I say Yes.", "TRUE", "no, never", "no", "yes", "who knows")


def test_labels_are_read_in_answers(place: Path) -> None:
    """Of three yes two are found, of three no one, and one answer says nothing, which counts as wrong."""
    write_rows("prompts.jsonl", [{"instruction": f"Is {n} odd?", "label": one} for n, one in enumerate(LABELLED)])
    write_rows("answers.jsonl", [{"id": str(n), "output": text} for n, text in enumerate(SAID)])
    write_task(LABELS)
    judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"])
    found = scores("run")
    assert found["accuracy", None].value == 50
    assert found["accuracy", None].details["confusion"] == {
        "yes": {"yes": 2, "no": 1},
        "no": {"no": 1, "yes": 1, "unread": 1},
    }
    assert found["precision", None].value == pytest.approx(100 * 2 / 3)
    assert found["recall", None].value == pytest.approx(100 * 2 / 3)
    assert found["f1", None].value == pytest.approx(100 * 2 / 3)
    f1_of_no = 2 * 1 / (2 + 3)
    assert found["macro_f1", None].value == pytest.approx(100 * (2 / 3 + f1_of_no) / 2)
    assert found["f1", None].low < 60 < found["f1", None].high
    assert "yes" in judgebench(["show", "run", "--tasks", "mine.toml", "--item", "2"]).stdout


def test_a_judge_may_say_the_label(place: Path) -> None:
    """The judge sees the labels in brackets and replies with one."""
    write_rows("prompts.jsonl", [{"instruction": "Help!", "label": "no"}, {"instruction": "Hello?", "label": "yes"}])
    write_rows("answers.jsonl", [{"id": "0", "output": "I refuse."}, {"id": "1", "output": "Hello."}])
    write_task(LABELS + 'by = "judge"\n')
    found, asked = evaluated(lambda prompt: "[[yes]]")
    assert "[[yes]], [[no]]" in asked[0]
    assert found["accuracy", None].value == 50
    assert found["recall", None].value == 100


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LABELS.replace('"yes"\n', '"maybe"\n'), "classify.positive 'maybe' is not one of yes, no"),
        (LABELS.replace('"false"', '"true"'), "has two labels or more, and no word stands for two"),
        (LABELS.replace("no =", "never ="), "lack the label 'no' of item 3"),
    ],
)
def test_wrong_labels_are_told(place: Path, text: str, told: str) -> None:
    """Of the file, or of an item whose label is not among them."""
    write_rows("prompts.jsonl", [{"instruction": f"{n}?", "label": one} for n, one in enumerate(LABELLED)])
    write_task(text)
    ended = judgebench(["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--out", "run"], code=2)
    assert told in ended.stderr


# -- scores made elsewhere


def test_scores_made_elsewhere(place: Path) -> None:
    """Of a simulator, without prompts: a run for each model, in percent of the scale, by category, and compared."""
    write_task('kind = "scored"\n[scored]\nscale = [-1, 1]\nunit = "percent"\n')
    rewards = {"a": [1, 0, -1, None], "b": [0, 0, -1, 1]}
    rows = [
        {"key": str(n), "reward": value, "model": model, "category": "even" if n % 2 == 0 else "odd"}
        for model, values in rewards.items()
        for n, value in enumerate(values)
    ]
    write_rows("scores.jsonl", rows)
    shared = ["--from", "scored", "--task", "mine.toml", "--fields", "id=key,score=reward", "--out", "runs"]
    judgebench(["import", "scores.jsonl", *shared], code=None)
    one, two = scores("runs/a"), scores("runs/b")
    assert (one["score", None].value, one["score", None].n, one["score", None].n_missing) == (50, 3, 1)
    assert (two["score", None].value, two["score", "category=even"].value) == (50, 25)
    text = judgebench(["compare", "runs/a", "runs/b", "--tasks", "mine.toml", "--format", "json"], code=None).stdout
    assert pytest.approx(-50 / 3) in numbers(json.loads(text))
    ended = judgebench(["eval", "--model", "builtin:tiny", "--tasks", "mine.toml", "--out", "x"], code=2)
    assert "import its scores with --from scored" in ended.stderr


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "a", "score": 2}, "'score' is 2, and the scale goes from 0 to 1"),
        ({"id": "a", "reward": 1}, "the row has no 'score'"),
        ({"id": "0", "score": 1}, "there is a score of '0' already"),
    ],
)
def test_wrong_scores_are_named_with_their_line(place: Path, row: dict[str, Any], told: str) -> None:
    """The file, the line, and what was expected."""
    write_task('kind = "scored"\n')
    write_rows("scores.jsonl", [{"id": "0", "score": 1}, row])
    ended = judgebench(["import", "scores.jsonl", "--from", "scored", "--task", "mine.toml", "--out", "run"], code=2)
    assert "scores.jsonl:2" in ended.stderr
    assert told in ended.stderr


def test_show_says_which_criterion_a_verdict_is_about(place: Path) -> None:
    """Each verdict of a rubric names its own; where there is one question only, nothing is said."""
    write_rows("prompts.jsonl", CRITERIA)
    write_rows("answers.jsonl", [{"id": "a", "output": "moon"}, {"id": "b", "output": "oxygen"}])
    write_task(RUBRIC)
    evaluated(lambda prompt: "[[yes]]")
    shown = judgebench(["show", "run", "--tasks", "mine.toml", "--item", "a"]).stdout
    assert [line for line in shown.splitlines() if line.startswith("criterion: ")] == [
        f"criterion: {criterion['text']}" for criterion in CRITERIA[0]["criteria"]
    ]
    assert "criterion: " not in judgebench(["show", "run", "--tasks", "mine.toml", "--item", "b"]).stdout


def test_show_says_that_a_yes_may_count_against_an_answer(place: Path) -> None:
    """A criterion with negative points is met when the judge says no; the others say nothing of it."""
    write_rows(
        "prompts.jsonl",
        [{"instruction": "Go.", "criteria": [{"text": "good", "points": 5}, {"text": "bad", "points": -4}]}],
    )
    write_rows("answers.jsonl", [{"id": "0", "output": "moon"}])
    write_task(RUBRIC)
    evaluated(lambda prompt: "[[yes]]")
    shown = judgebench(["show", "run", "--tasks", "mine.toml", "--item", "0"]).stdout
    assert [line for line in shown.splitlines() if line.startswith("points: ")] == [
        "points: -4, so that a yes counts as not met"
    ]


MULTICHALLENGE = """
kind = "rubric"
prompts = "questions.jsonl"
fields = { id = "QUESTION_ID", messages = "CONVERSATION", category = "AXIS", criteria = "TARGET_QUESTION" }
[rubric]
macro = "category"
attempts = "best"
"""


def test_multichallenge_is_a_rubric_of_one_question(place: Path) -> None:
    """Real judgements on real questions: the mean of the axes, each axis, and the best of three attempts."""
    folder = SharedData("multichallenge")
    expected = read_json(folder / "expected.json")
    questions = gzip.decompress((SharedData("upstream") / "multichallenge.benchmark_questions.jsonl.gz").read_bytes())
    Path("questions.jsonl").write_bytes(questions)
    write_task(MULTICHALLENGE)
    runs = ("claude35_always", "llama405b_always", "mistral_always")
    for name in runs:
        found = multichallenge(name, [read_json(folder / f"{name}.json.gz")])
        assert found["score", None].value == pytest.approx(expected[name]["overall_score"], abs=1e-9)
        for axis, value in expected[name]["axis_scores"].items():
            assert found["score", f"category={axis}"].value == pytest.approx(value, abs=1e-9)
        assert found["share_met", None].value == pytest.approx(expected[name]["micro_accuracy"], abs=1e-9)
    every = multichallenge("best", [read_json(folder / f"{name}.json.gz") for name in runs])
    passed = {row["question_id"]: row["axis"] for name in runs for row in read_json(folder / f"{name}.json.gz")}
    best = {row["question_id"] for name in runs for row in read_json(folder / f"{name}.json.gz") if row["passed"]}
    axes = sorted(set(passed.values()))
    shares = [
        sum(key in best for key, own in passed.items() if own == axis) / list(passed.values()).count(axis)
        for axis in axes
    ]
    assert every["score", None].value == pytest.approx(100 * sum(shares) / 4)
    assert every["score", None].n == 273


def multichallenge(name: str, attempts: Sequence[Sequence[Mapping[str, Any]]]) -> Scores:
    """Import judgements, one list for each attempt."""
    rows = [
        {"id": row["question_id"], "criterion": 0, "attempt": number, "value": row["passed"]}
        for number, judged in enumerate(attempts)
        for row in judged
    ]
    write_rows(f"{name}.jsonl", rows)
    judgebench(["import", f"{name}.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", name])
    return scores(name)


GRADED = RUBRIC + "[rubric]\nscale = [1, 10]\n"
GRADES = (
    {
        "id": "a",
        "instruction": "Write.",
        "category": "prose",
        "criteria": [
            {"text": "style", "points": 1, "tags": ["axis:form"]},
            {"text": "padding", "points": -1, "tags": ["axis:form"]},
        ],
    },
    {"id": "b", "instruction": "Rhyme.", "criteria": ["rhyme", "metre", "sense", "wit"]},
)


def grades(prompt: str) -> str:
    """A grade for each criterion."""
    given = {"style": 7, "padding": 3, "rhyme": 2, "metre": 4, "sense": 4, "wit": 6}
    return f"[[{next(grade for name, grade in given.items() if f'<criterion>{chr(10)}{name}' in prompt)}]]"


def test_criteria_are_graded_on_a_scale(place: Path) -> None:
    """Grades 7 and 3, of which the second counts from the other end as 8, are 7.5 in the mean; 2, 4, 4 and 6 are 4."""
    write_rows("prompts.jsonl", GRADES)
    write_rows("answers.jsonl", [{"id": "a", "output": "x"}, {"id": "b", "output": "y"}])
    write_task(GRADED)
    found, asked = evaluated(grades)
    assert len(asked) == 6
    assert (found["score", None].value, found["score", None].unit) == (5.75, "rating")
    assert found["score_percent", None].value == pytest.approx(57.5)
    assert found["score", "category=prose"].value == found["score", "axis=form"].value == 7.5
    shutil.rmtree("run")
    write_task(GRADED + "pooled = true\n", "pooled.toml")
    found, _ = evaluated(grades, task="pooled.toml")
    assert found["score", None].value == pytest.approx((7 + 8 + 2 + 4 + 4 + 6) / 6)
    assert found["score", "category=prose"].value == 7.5


def test_grades_that_cannot_be_read_may_be_left_out(place: Path) -> None:
    """An item without one of its grades has no score, unless the file says that it counts by the others."""
    write_rows("prompts.jsonl", GRADES[1:])
    rows = [{"id": "b", "criterion": n, "value": value} for n, value in enumerate((2, 4, None, 6))]
    write_rows("verdicts.jsonl", rows)
    for text, value in ((GRADED, None), (GRADED + "partial = true\n", 4)):
        write_task(text)
        shutil.rmtree("run", ignore_errors=True)
        judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"], code=None)
        assert scores("run")["score", None].value == value


def test_the_judge_may_see_a_criterion_as_python_writes_it(place: Path) -> None:
    """The table that it is in the prompts, with all its keys in their order."""
    entry = {"name": "tone", "about": "It isn't rude.", "1-2": "rude"}
    write_rows("prompts.jsonl", [{"id": "a", "instruction": "Hi?", "checks": [entry]}])
    write_rows("answers.jsonl", [{"id": "a", "output": "Hi."}])
    fields = 'fields = { criteria = "checks", "criteria.text" = "name" }\n'
    write_task(fields + GRADED + "show_entry = true\n")
    found, asked = evaluated(lambda prompt: "[[9]]")
    assert found["score", None].value == 9
    assert f"<criterion>\n{entry}\n</criterion>" in asked[0]


def test_unread_verdicts_are_bounded_by_what_is_right_for_each_item(place: Path) -> None:
    """Not by one verdict for all: an unread label may be right or wrong, an unread criterion may cost points."""
    write_rows("prompts.jsonl", [{"Instruction": f"Ask {n}.", "truth": "no" if n else "yes"} for n in range(4)])
    fields = 'prompts = "prompts.jsonl"\nfields = { instruction = "Instruction", label = "truth" }\n'
    write_task('kind = "classify"\n' + fields + '[classify]\nlabels = ["yes", "no"]\nby = "judge"\n')
    found, _ = evaluated(lambda prompt: "[[no]]" if "Ask 1." in prompt else "?", "--reask", 0, code=4)
    bounds = found["accuracy", None].details["if_unread_all_one_way"]
    assert (bounds["verdicts"], bounds["low"], bounds["high"]) == (3, 25.0, 100.0)
    place.joinpath("run").rename("classified")
    criteria = '[[rubric.criteria]]\ntext = "ONE"\npoints = 2\n[[rubric.criteria]]\ntext = "TWO"\npoints = -1\n'
    write_task('kind = "rubric"\n' + fields + criteria, "other.toml")
    found, _ = evaluated(
        lambda prompt: "?" if "Ask 1." in prompt else "[[yes]]", "--reask", 0, task="other.toml", code=4
    )
    bounds = found["score", None].details["if_unread_all_one_way"]
    assert (bounds["verdicts"], bounds["low"], bounds["high"]) == (2, 25.0, 62.5)


def test_answers_are_compared_with_one_model_that_is_named(place: Path) -> None:
    """Without ``--baseline``, and with a file of two models, the command says what it needs before a judge is asked."""
    write_task('kind = "pairwise"\nprompts = "prompts.jsonl"\nfields = { instruction = "Instruction" }\n')
    words = ["eval", "--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", "builtin:tiny", "--out", "run"]
    assert "name a file of them with --baseline" in judgebench(words, code=2).stderr
    write_rows("two.jsonl", [{"id": str(n), "output": "x", "generator": name} for name in "ab" for n in range(2)])
    assert "'0' has an answer already" in judgebench([*words, "--baseline", "two.jsonl"], code=2).stderr
    write_rows("one.jsonl", [{"id": str(n), "output": "x", "generator": "a"} for n in range(4)])
    judgebench([*words, "--baseline", "one.jsonl"])


ALL_AT_ONCE = RUBRIC + '[rubric]\nper = "answer"\nshow_points = true\n'


@pytest.mark.parametrize("as_object", [False, True])
def test_all_criteria_may_be_asked_about_in_one_call(place: Path, as_object: bool) -> None:
    """The reply's list, or its object by number or text, gives what three calls would: 1 of 8 points, and all of 1."""
    write_rows("prompts.jsonl", CRITERIA)
    write_rows("answers.jsonl", [{"id": "a", "output": "moon"}, {"id": "b", "output": "oxygen"}])
    write_task(ALL_AT_ONCE)

    def judge(prompt: str) -> str:
        found = [True, False, True] if "rude" in prompt else [True]
        named = {"1": True, "It is polite.": False, "3": True} if "rude" in prompt else {"1": True}
        return "Here: " + json.dumps({"reasons": ["x"], "verdicts": named if as_object else found})

    found, asked = evaluated(judge)
    assert len(asked) == 2
    assert "1. [5] It names the moon.\n2. [3] It is polite.\n3. [-4] It is rude." in asked[0]
    assert found["score", None].value == pytest.approx(100 * (1 / 8 + 1) / 2)
    assert found["score_unclipped", "axis=tone"].value == pytest.approx(-400 / 3)
    assert found["share_met", None].value == pytest.approx(100 * (1 / 3 + 1) / 2)


@pytest.mark.parametrize("verdicts", [[True], [True, None, True], "yes", None])
def test_a_reply_without_a_verdict_on_each_criterion_is_unread(place: Path, verdicts: Any) -> None:
    """Too few, one that is neither, or no list at all: the item is missing."""
    write_rows("prompts.jsonl", CRITERIA[:1])
    write_rows("answers.jsonl", [{"id": "a", "output": "moon"}])
    write_task(ALL_AT_ONCE)
    with playing(ScriptedModel(lambda request: reply(json.dumps({"verdicts": verdicts})))) as spec:
        arguments = ["--model", "file:answers.jsonl", "--tasks", "mine.toml", "--judge", spec, "--out", "run"]
        judgebench(["eval", *arguments], code=None)
    assert (scores("run")["score", None].value, scores("run")["score", None].n_missing) == (None, 1)


@pytest.mark.parametrize("ending", ["jsonl.gz", "csv", "csv.gz", "jsonl"])
def test_fetched_prompts_are_read_by_their_name(place: Path, ending: str) -> None:
    """A pinned file may be packed: its hash is that of the packed bytes, and a mirror holds it as it is."""
    lines = (
        ["id,instruction", "a,Ask a.", "b,Ask b."]
        if "csv" in ending
        else [json.dumps({"id": "a", "instruction": "Ask a."})]
    )
    data = "\n".join(lines).encode() + b"\n"
    data = gzip.compress(data, mtime=0) if ending.endswith(".gz") else data
    mirror = place / "mirror"
    mirror.mkdir()
    (mirror / f"prompts.{ending}").write_bytes(data)
    pin = f'repo = "owner/name"\nrevision = "abc"\npath = "data/prompts.{ending}"\nsha256 = "{sha256_hex(data)}"\n'
    write_task('kind = "rating"\n[source]\n' + pin)
    printed = judgebench(["tasks", "examples", "mine.toml", "--mirror", mirror, "--offline"]).stdout
    assert "Ask a." in printed
