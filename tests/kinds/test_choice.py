"""Multiple choice as a TOML file: log-likelihoods beside lm-eval's, numbers known on paper, and letters instead."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judgebench.models.scripted import ScriptedModel, playing
from judgebench.records import Generation, Request
from judgebench.run.folder import RunFolder
from tests.commands import judgebench
from tests.kinds.choice_shapes import SHAPES, items, write_shapes
from tests.kinds.test_kinds import scores, write_rows, write_task
from tests.models.llama import save_random_llama
from tests.patience import wait_for
from tests.processes import kill, started
from tests.servers.launch import Server, echo_server

FIGURES = Path(__file__).parents[1] / "fixtures" / "choice" / "lm_eval.json"
"""lm-eval 0.4.13's numbers on ``save_random_llama``, as ``benchmarks/choice_beside_lm_eval.py`` wrote them."""
OURS = {"acc": "accuracy", "acc_norm": "accuracy_norm", "acc_bytes": "accuracy_bytes", "mc2": "mc2"}
CHOICE = """
kind = "choice"
prompts = "items.jsonl"
fields = { instruction = "question" }
"""
ROWS = (
    {"question": "The sky is", "options": ["blue", "green grass"], "label": 1, "category": "sky"},
    {"question": "Two and two", "options": ["four", "five", "nought"], "label": ["A", "C"], "category": "sums"},
    {"question": "Grass is", "options": ["red", "green"], "label": [0, 1], "category": "sky"},
)
"""Of each first the likelihoods by the echo server: -2.5 and -6; -2.5, -2.5 and -3.5; -2 and -3."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with items, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    write_rows("items.jsonl", ROWS)
    write_task(CHOICE + "[choice]\ncontext = '{{ instruction }}'\n")
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that gives log-likelihoods."""
    with echo_server() as started:
        yield started


def spec(server: Server) -> str:
    """The model that a server serves."""
    return f"{server.base_url}#echo"


def sent(server: Server, path: str) -> list[dict[str, Any]]:
    """The bodies that a server got at a path."""
    lines = map(json.loads, server.log.read_text().splitlines())
    return [line["body"] for line in lines if line["path"] == f"/v1{path}"]


def evaluated(model: str, *flags: object, out: str = "run") -> None:
    """Evaluate a model on the benchmark."""
    judgebench(["eval", "--model", model, "--tasks", "mine.toml", "--out", out, *flags])


# -- beside lm-eval


def test_numbers_are_those_of_lm_eval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one checkpoint every log-likelihood and every item's metrics are lm-eval's, for items of four shapes.

    Log-likelihoods of up to 60 are sums of up to 40 numbers in float32, in batches of other shapes.
    """
    monkeypatch.chdir(tmp_path)
    figures = json.loads(FIGURES.read_text())
    save_random_llama(Path("llama"))
    write_shapes(tmp_path, items(len(figures["mc1"])))
    names = ",".join(f"{name}.toml" for name in SHAPES)
    judgebench(["eval", "--model", "hf:llama", "--model-arg", "device=cpu", "--tasks", names, "--out", "run"])
    run = RunFolder(Path("run"))
    for name, expected in figures.items():
        likelihoods = {generation.example_id: generation.likelihoods for generation in run.task(name).generations()}
        values = {(row.example_id, row.metric): row.value for row in run.task(name).example_scores()}
        for number, row in enumerate(expected):
            assert likelihoods[str(number)] == pytest.approx(row["likelihoods"], abs=1e-4)
            for theirs, ours in OURS.items():
                if theirs in row:
                    assert values[str(number), ours] == pytest.approx(row[theirs], abs=1e-4), (name, number, ours)
    assert scores("run", "mc2")["mc2", None].value == pytest.approx(
        100 * sum(row["mc2"] for row in figures["mc2"]) / len(figures["mc2"]), abs=1e-3
    )
    headlines = [RunFolder(Path("run")).results().scores[0].metric]
    assert headlines == ["accuracy"]


# -- numbers on paper, from a server


def test_a_server_that_echoes_gives_likelihoods(place: Path, server: Server) -> None:
    """The likeliest option, the likeliest by character and by byte, and the right ones' share of the probability."""
    before = len(sent(server, "/completions"))
    evaluated(spec(server))
    found = scores("run")
    # Blue is likeliest as a whole, green grass by character (-0.545 to -0.625); four and red are taken in any way.
    # Of "five", as likely as "four" and after it, nothing is said. "nought" is likeliest by character (-0.583).
    assert found["accuracy", None].value == pytest.approx(100 / 3)
    assert found["accuracy_norm", None].value == pytest.approx(100)
    assert found["accuracy_bytes", None].value == pytest.approx(100)
    share = [
        math.exp(-6) / (math.exp(-6) + math.exp(-2.5)),
        (math.exp(-2.5) + math.exp(-3.5)) / (2 * math.exp(-2.5) + math.exp(-3.5)),
        math.exp(-3) / (math.exp(-2) + math.exp(-3)),
    ]
    assert found["mc2", None].value == pytest.approx(100 * sum(share) / 3)
    assert found["mc2", "category=sky"].value == pytest.approx(100 * (share[0] + share[2]) / 2)
    assert found["mc2", None].n == 3
    bodies = sent(server, "/completions")[before:]
    assert len(bodies) == 1 + 3  # one to see whether it can
    assert {key: next(body for body in bodies if "grass" in body["prompt"][-1])[key] for key in ("prompt", "echo")} == {
        "prompt": ["The sky is", "The sky is blue", "The sky is green grass"],
        "echo": True,
    }


def test_nothing_is_asked_twice(place: Path, server: Server) -> None:
    """Another run of the same items takes all likelihoods from the call store; only whether it can is asked again."""
    evaluated(spec(server))
    before = len(sent(server, "/completions"))
    evaluated(spec(server), out="again")
    assert len(sent(server, "/completions")) - before == 1
    assert scores("run")["mc2", None].value == scores("again")["mc2", None].value


def test_a_killed_run_goes_on_where_it_was(place: Path) -> None:
    """After kill -9 only what was under way is asked again, and the numbers are those of one run."""
    rows = [{"question": f"Item {n}", "options": ["one", "other ones"], "label": n % 2} for n in range(60)]
    write_rows("items.jsonl", rows)
    with echo_server(delay_ms=30) as slow:
        flags = ["eval", "--model", spec(slow), "--tasks", "mine.toml", "--out", "run", "--concurrency", "2"]
        answers = place / "run" / "mine" / "generations.jsonl"
        with started(flags) as process:
            wait_for(lambda: answers.exists() and answers.read_bytes().count(b"\n") >= 10)
            kill(process)
        done = answers.read_bytes().count(b"\n")
        assert done < len(rows)
        judgebench(flags)
        asked = [body["prompt"][0] for body in sent(slow, "/completions")]
    # Two are under way at any moment, and each session asks once whether the server can.
    assert len(asked) <= len(rows) + 2 + 2
    found = scores("run")
    assert found["accuracy", None].value == 50
    assert found["accuracy", None].n == 60


def test_examples_with_answers_stand_before_each_item(place: Path, server: Server) -> None:
    """With two shots the prompt begins with the first rows of another file and their right options."""
    write_rows("train.jsonl", [{"question": f"Shot {n}", "options": ["yes", "no"], "label": n % 2} for n in range(3)])
    write_task(CHOICE + '[choice]\ncontext = "Q: {{ instruction }}"\nshots = 2\nshots_from = "train.jsonl"\n')
    evaluated(spec(server))
    prompts = [body["prompt"][0] for body in sent(server, "/completions")]
    assert "Q: Shot 0 yes\n\nQ: Shot 1 no\n\nQ: The sky is" in prompts


@pytest.mark.parametrize("without", ["echo", "logprobs"])
def test_a_server_without_likelihoods_is_asked_for_letters(place: Path, without: str) -> None:
    """Its accuracy is another metric of another protocol, which is compared with no likelihoods."""
    with echo_server(without=without) as server, echo_server() as able:
        evaluated(spec(server), out="letters")
        evaluated(spec(able), out="likelihoods")
    asked = [body["messages"][-1]["content"] for body in sent_in(place / "letters")]
    assert len(asked) == 3
    found = scores("letters")
    assert {name for name, _ in found} == {"letter_accuracy", "letters_read"}
    manifest = RunFolder(Path("letters")).require_manifest().tasks["mine"]
    assert manifest.options == {"by": "letter"}
    assert any("how likely texts are" in note for note in manifest.notes)
    assert manifest.protocol["options"] == {"by": "letter"}
    ended = judgebench(["compare", "letters", "likelihoods", "--tasks", "mine.toml"], code=None)
    assert ended.returncode == 2
    assert "option by (" in ended.stderr + ended.stdout
    judgebench(["score", "letters", "--tasks", "mine.toml"])


def sent_in(run: Path) -> list[Any]:
    """What the examples of a run were asked, in the form of a chat's body."""
    return [
        {"messages": [{"role": m.role, "content": m.content} for m in example.messages]}
        for example in RunFolder(run).task("mine").examples()
    ]


def test_chat_prompts_are_scored_by_checkpoints_alone(place: Path, server: Server) -> None:
    """A server shows no log-probabilities of what its template makes, so it is asked for letters, or refused."""
    write_task(CHOICE + "[choice]\nchat = true\n")
    evaluated(spec(server))
    assert ("letter_accuracy", None) in scores("run")
    write_task(CHOICE + "[choice]\nchat = true\nby = 'likelihood'\n")
    ended = judgebench(["eval", "--model", spec(server), "--tasks", "mine.toml", "--out", "other"], code=2)
    assert "texts of a chat" in ended.stderr


def test_items_and_contexts_come_from_files_of_any_form(place: Path, server: Server) -> None:
    """Parquet with nested columns, as on the Hub, and a context in a file, which may show every column."""
    pyarrow, parquet = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    rows = [
        {"question": row["question"], "topic": row["category"], "targets": {"choices": row["options"], "labels": marks}}
        for row, marks in zip(ROWS, ([0, 1], [1, 0, 1], [0, 1]), strict=True)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), "items.parquet")
    Path("context.j2").write_text("{{ topic }}: {{ instruction }}\n")
    write_task(
        """kind = "choice"
prompts = "items.parquet"
prompt = "context.j2"
fields = { instruction = "question", options = "targets.choices", label = "targets.labels" }
"""
    )
    evaluated(spec(server))
    assert scores("run")["accuracy", None].value == pytest.approx(100 / 3)
    assert "sky: The sky is blue" in [body["prompt"][1] for body in sent(server, "/completions")]


# -- letters


def test_letters_are_drawn_for_each_item(place: Path) -> None:
    """A model that always says the letter of the right text is right, wherever it stands; one that says A is not."""
    rows = [{"question": f"Item {n}", "options": ["right", "wrong", "false"], "label": 0} for n in range(40)]
    write_rows("items.jsonl", rows)

    def knows(request: Request) -> str:
        lines = request.messages[-1].content.splitlines()
        return f"The answer is **{next(line[0] for line in lines if line.endswith('. right'))}**."

    with playing(ScriptedModel(knows)) as model:
        evaluated(model, out="knows")
    with playing(ScriptedModel(lambda request: "A")) as model:
        evaluated(model, out="first")
    assert scores("knows")["letter_accuracy", None].value == 100
    assert 15 < scores("first")["letter_accuracy", None].value < 55


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" (b). ", "B"),
        ("B. blue", "B"),
        ("The answer is B, not A.", "B"),
        ("I first thought the answer is A. But the correct option: **B**", "B"),
        ("Everything points to [[B]].", "B"),
        ("It is A or B, I guess.", None),
        ("A dog would say blue, and I agree.", None),
        ("(A) or (B)", None),
        ("A. or B. would do", None),
        ("**B.** blue", "B"),
        ("blue", "B"),
        ("Z", None),
        ("", None),
    ],
)
def test_a_letter_is_read_or_is_not(text: str, letter: str | None) -> None:
    """A letter is never guessed at: not an article, and not one of two."""
    from judgebench.kinds.choice import read_letter

    verdict = read_letter(["red", "blue"], [1], text)
    assert verdict.label == (letter or "unread")
    assert verdict.value == float(letter == "B")


def test_finished_answers_are_letters(place: Path) -> None:
    """A file of answers has no likelihoods; the order as given makes its letters those of the file."""
    write_task(CHOICE + '[choice]\norder = "as_given"\n')
    write_rows("answers.jsonl", [{"id": str(n), "output": letter} for n, letter in enumerate("BAA")])
    evaluated("file:answers.jsonl")
    assert scores("run")["letter_accuracy", None].value == pytest.approx(200 / 3)
    assert scores("run")["letters_read", None].value == 100
    shown = judgebench(["show", "run", "--tasks", "mine.toml", "--item", "2"]).stdout
    assert "B. green" in shown
    assert "A. red" in shown


def test_likelihoods_that_are_demanded_are_refused_without(place: Path) -> None:
    """With by = "likelihood" a model that gives none is refused before it is asked."""
    write_task(CHOICE + '[choice]\nby = "likelihood"\n')
    with playing(ScriptedModel(lambda request: "A")) as model:
        ended = judgebench(["eval", "--model", model, "--tasks", "mine.toml", "--out", "run"], code=2)
    assert "cannot say so" in ended.stderr
    assert not Path("run").exists()


# -- other commands


def test_other_commands_take_its_runs(place: Path, server: Server) -> None:
    """show, compare, gate, leaderboard and plan of runs of the kind."""
    evaluated(spec(server), out="one")
    evaluated(spec(server), "--name", "two", out="two")
    task = ["--tasks", "mine.toml"]
    shown = judgebench(["show", "one", *task, "--item", "0"]).stdout
    assert "log-likelihoods A -2.5000, B -6.0000; the right ones' share 0.0293" in shown
    assert "B. green grass" in shown
    compared = judgebench(["compare", "one", "two", *task]).stdout
    assert "accuracy" in compared
    judgebench(["gate", "two", "--baseline", "one", *task, "--metric", "mine:mc2", "--margin", "5"], code=None)
    assert "33.3" in judgebench(["leaderboard", "one", "two", *task]).stdout
    judgebench(["plan", "--baseline", "one", "--task", "mine.toml", "--delta", "5"])
    assert "mc2" in judgebench(["score", "one", *task, "--json"]).stdout


def test_verdicts_made_elsewhere_are_options_or_likelihoods(place: Path) -> None:
    """A choice is a name, a number from 0 or a text; a list has the log-likelihood of each option."""
    write_rows(
        "verdicts.jsonl",
        [{"id": "0", "value": [-6, -2.5]}, {"id": "1", "value": "C"}, {"id": "2", "value": 0}],
    )
    shown = judgebench(["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "run"]).stdout
    found = scores("run")
    assert found["accuracy", None].value == pytest.approx(200 / 3)
    assert "MC1" not in shown  # the second item has two right options
    assert found["mc2", None].n == 1
    assert found["mc2", None].n_missing == 2
    assert found["mc2", None].value == pytest.approx(100 * 1 / (1 + math.exp(-3.5)))
    write_rows("items.jsonl", ROWS[:1])
    write_rows("verdicts.jsonl", [{"id": "0", "value": 0}])
    again = ["import", "verdicts.jsonl", "--from", "verdicts", "--task", "mine.toml", "--out", "single"]
    assert "accuracy is MC1: one option of each item is right" in judgebench(again).stdout


def sample(number: int, likelihoods: list[float], **values: float) -> dict[str, Any]:
    """A row of lm-eval's samples, which writes numbers as texts."""
    replies = [[str(value), "False"] for value in likelihoods]
    return {"doc_id": number, "doc": ROWS[number], "filtered_resps": replies, "resps": [[r] for r in replies], **values}


def test_samples_of_lm_eval_are_scored_again(place: Path) -> None:
    """Their log-likelihoods give our numbers, and lm-eval's own values are compared with ours."""
    rows = [
        sample(0, [-2.5, -6.0], acc=0.0, acc_norm=1.0),
        sample(1, [-2.5, -2.5, -3.5], acc=1.0, acc_norm=1.0),
        sample(2, [-2.0, -3.0], acc=1.0, acc_norm=1.0),
    ]
    write_rows("samples.jsonl", rows)
    ended = judgebench(["import", "samples.jsonl", "--from", "lm_eval", "--task", "mine.toml", "--out", "run"])
    assert scores("run")["accuracy", None].value == pytest.approx(100 / 3)
    assert scores("run")["accuracy_norm", None].value == 100
    assert "1 of 3" in ended.stdout + ended.stderr  # of the third item lm-eval is said to have found otherwise


@pytest.mark.parametrize(
    "row",
    [
        {"doc_id": 7, "doc": {}, "filtered_resps": [["-1", "False"]]},
        {"doc_id": 0, "doc": {}, "filtered_resps": [["-1", "False"]]},
        {"doc_id": 0, "doc": {}, "filtered_resps": [["-1"], ["nan"]]},
        {"doc_id": 0, "doc": {}, "filtered_resps": [["-1"], ["4"]]},
        {"doc_id": 0, "doc": {}, "filtered_resps": [[], "x"]},
        {"doc_id": 0, "doc": {}, "filtered_resps": "no"},
        {"id": 0, "output": "A"},
    ],
)
def test_rows_that_are_no_samples_are_errors(place: Path, row: dict[str, Any]) -> None:
    """Each names its line."""
    write_rows("samples.jsonl", [sample(1, [-2.5, -2.5, -3.5]), row])
    ended = judgebench(["import", "samples.jsonl", "--from", "lm_eval", "--task", "mine.toml", "--out", "run"], code=2)
    assert "samples.jsonl:2" in ended.stderr


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"options": ["a"], "label": 0}, "from 2 to 1000"),
        ({"options": ["a", ""], "label": 0}, "none of them empty"),
        ({"options": ["a", "b"]}, "needs a label"),
        ({"options": ["a", "b"], "label": "c"}, "'c' is none of its 2 options"),
        ({"options": ["a", "b"], "label": 2}, "'2' is none of its 2 options"),
        ({"options": ["a", "b"], "label": [1, 1]}, "all of its options are right"),
        ({"options": ["a", "b"], "label": [0, 0]}, "none of its options are right"),
        ({"options": ["a", "b"], "label": "x", "option_names": ["x"]}, "1 names of 2 options"),
        ({"options": "a", "label": 0}, "from 2 to 1000"),
    ],
)
def test_items_that_offer_no_choice_are_errors(place: Path, row: dict[str, Any], said: str) -> None:
    """Each names the file and the line."""
    write_rows("items.jsonl", [*ROWS, {"question": "What?", **row}])
    ended = judgebench(["eval", "--model", "builtin:tiny", "--tasks", "mine.toml", "--out", "run"], code=2)
    assert said in ended.stderr
    assert "items.jsonl:4" in ended.stderr


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("context = '{{ instructoin }}'", "did you mean instruction"),
        ("context = '{{ instruction.__class__ }}'", "no attributes"),
        ("option = ' x'", "does not show {{ option }}"),
        ("shots = 2", "give both"),
        ("shots = 9\nshots_from = 'items.jsonl'", "is 9, and items.jsonl has 3 rows"),
        ("by = 'guess'", "choice.by"),
        ("headline = 'acc'", "choice.headline"),
        ("letters = 'none.j2'", "'none.j2' is not a file"),
    ],
)
def test_keys_that_do_not_fit_are_errors(place: Path, table: str, said: str) -> None:
    """Each names what is wrong, before a model is opened."""
    write_task(CHOICE + "[choice]\n" + table + "\n")
    ended = judgebench(["eval", "--model", "builtin:tiny", "--tasks", "mine.toml", "--out", "run"], code=2)
    assert said in ended.stderr


def test_a_generation_without_likelihoods_is_written_as_ever() -> None:
    """Records of other benchmarks have no new field."""
    from judgebench import codec

    assert b"likelihoods" not in codec.encode(Generation(example_id="1", model="m", outputs=("a",)))
