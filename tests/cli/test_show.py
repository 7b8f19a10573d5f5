"""``judgebench show``: what a researcher sees of single items, through the real command."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judgebench import api
from judgebench.errors import Incomplete
from judgebench.models.scripted import ScriptedModel, failure, playing, reply
from judgebench.records import Judgement, Request
from tests.commands import judgebench
from tests.made_runs import JUDGED, write_totals
from tests.processes import lines_of
from tests.shared_data import SharedData
from tests.terminal import Terminal, in_terminal

HOSTILE = "\x1b]0;pwned\x07\x1b[2J\u202e"
"""Sets a terminal's title, clears its screen, and turns the text around."""
PRETENCE = "verdict: A, the candidate wins (its share 1)"
"""A line of the command's own."""


def answered(request: Request) -> Any:
    """The candidate: it thinks, fails on one question, and writes what a terminal must not see."""
    question = request.messages[-1].content
    if "leap years" in question:
        return failure("the connection broke")
    return reply(f"An answer {HOSTILE} to: {question}\n::error::boo\n{PRETENCE}", thinking="Let me see. " * 20)


def judged(request: Request) -> Any:
    """The judge: it says nothing readable about one question."""
    if any("lighthouse" in message.content for message in request.messages):  # also when reminded
        return reply("I cannot decide", logprobs={"I": -0.1})
    return reply("A", logprobs={"A": -0.35667494, "B": -1.2039728})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of AlpacaEval in both orders, with an answer that failed and verdicts that cannot be read."""
    folder = tmp_path_factory.mktemp("shown")
    candidate, judge = ScriptedModel(answered, name="m"), ScriptedModel(judged, name="j")
    with playing(candidate) as model, playing(judge) as by, pytest.raises(Incomplete):
        api.evaluate(model, "alpacaeval:order=both", judge=by, starter=True, out=folder / "run", progress=False)
    return folder / "run"


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the three verified tasks."""
    folder = tmp_path_factory.mktemp("verified")
    texts = ScriptedModel(lambda request: reply("Fridays, then \\boxed{42}. The answer is 42."), name="m")
    with playing(texts) as model:
        api.evaluate(model, "ifeval,gsm8k,math", starter=True, out=folder / "run", progress=False)
    return folder / "run"


def shown(run: Path, *arguments: str | Path, code: int = 0) -> str:
    """What the command prints where there is no terminal."""
    ended = judgebench(["show", run, *arguments], code=code)
    return ended.stdout if code == 0 else ended.stderr


def record(run: Path, *arguments: str | Path) -> Any:
    """What it prints as JSON."""
    return json.loads(shown(run, *arguments, "--json"))


# -- a run at a glance


def test_without_a_choice_there_is_a_screen_about_the_run(runs: Path) -> None:
    """Distribution, what is missing, three worst and best items by id, what depends on the order, what to type next."""
    text = shown(runs)
    assert len(text.splitlines()) <= 40
    assert "16 items" in text
    assert "50×14" in text
    assert "without an answer or a verdict: --unread" in text
    assert "14 of 14 verdicts change with the order of the answers: --flips" in text
    assert text.count("worst  starter-") == 3
    assert text.count("best   starter-") == 3
    assert f"next: judgebench show {runs}" in text


def test_several_tasks_have_a_line_each(verified: Path) -> None:
    """And one worst and one best item."""
    text = shown(verified)
    assert len(text.splitlines()) <= 45
    for task in ("ifeval@1", "gsm8k@cot8", "math@500"):
        assert text.count(task) == 2
    assert "--task ifeval" in text


def test_a_summary_needs_no_official_file(
    tmp_path: Path, shared_data: SharedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items are then shown without the baseline and the judge's prompt, and the reason is named. Who imported the run
    with a mirror has the files, and needs it no longer.
    """
    data = shared_data / "alpacaeval"
    source = data / "annotations_full" / "phi-2.json.gz"
    run = tmp_path / "phi"
    mirror = ("--mirror", data, "--offline")
    judgebench(["import", source, "--from", "alpaca_eval", "--task", "alpacaeval", "--out", run, *mirror])
    assert "lc_win_rate" not in shown(run, "--offline").split("by win_rate")[0].split("items' values")[1]
    assert "baseline: gpt4_1106_preview" in shown(run, "--worst", "1", "--offline")
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "of somebody else"))
    alone = shown(run, "--worst", "1", "--offline")
    assert "baselines' answers, judges' prompts and verdicts that are missing are not shown" in " ".join(alone.split())
    assert "candidate:" in alone
    whole = shown(run, "--worst", "1", *mirror)
    assert "baseline: gpt4_1106_preview" in whole
    assert "the verdict was imported" in " ".join(whole.split())


# -- items in full


def test_an_item_shows_everything_that_led_to_its_value(runs: Path) -> None:
    """Prompt, both answers, thinking folded, each judge's words and verdict in both orders, and that it was sent so."""
    text = shown(runs, "--item", "starter-01")
    assert "What makes the sky turn red around sunset?" in text
    assert "candidate: m" in text
    assert "baseline: starter_baseline" in text
    assert "thinking: 240 characters" in text
    assert text.count("── judge house_pairwise_label · j") == 2
    assert "verdict: A, the candidate wins (its share 0.7)" in text
    assert "verdict: A, the candidate loses (its share 0.3)" in text
    assert "first token: 'A' 70.0 %, 'B' 30.0 %" in text
    assert "all prompts: exactly as sent (hash matches)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("│ j ")]
    assert "yes" in row
    assert row.index("win") < row.index("loss")


def test_prompts_are_shown_when_asked_for(runs: Path) -> None:
    """They hold both answers, and are data in JSON whether asked for or not."""
    assert "You compare two answers" not in shown(runs, "--item", "starter-01")
    text = shown(runs, "--item", "starter-01", "--prompts", "--full")
    assert text.count("You compare two answers") == 2
    (sample,) = record(runs, "--item", "starter-01")["tasks"][0]["samples"]
    for judgement in sample["judgements"]:
        assert judgement["prompt_state"] == "exact"
        (messages,) = judgement["prompts"]
        assert all(answer["turns"][0] in messages[-1]["content"] for answer in sample["answers"])


def test_what_a_model_wrote_cannot_speak_to_the_terminal(runs: Path) -> None:
    """In every form: control characters are shown as what they are."""
    for form in ("rich", "md", "json"):
        for choice in (("--worst", "3", "--full", "--prompts"), (), ("--unread",)):
            text = shown(runs, *choice, "--format", form)
            assert not {character for character in text if ord(character) < 32} - {"\n"}
            assert "\u202e" not in text
            assert not [line for line in text.splitlines() if line.strip().startswith("::")]
    assert "\\x1b]0;pwned" in shown(runs, "--worst", "1")


def test_what_a_model_wrote_cannot_pass_for_what_the_command_says(runs: Path) -> None:
    """A bar stands before each of its lines, in one column and in two."""
    for columns in ("80", "120"):
        text = judgebench(["show", runs, "--item", "starter-01"], COLUMNS=columns).stdout
        assert PRETENCE in text
        assert not [line for line in text.splitlines() if line.strip().startswith(PRETENCE)]


def test_long_texts_are_cut_and_counted(tmp_path: Path) -> None:
    """The beginning and the end stay; --full shows all of it."""
    words = "".join(f"word {number} " for number in range(2000)) + "end."
    candidate = ScriptedModel(lambda request: reply(words), name="m")
    with playing(candidate) as model:
        api.evaluate(model, "gsm8k", starter=True, limit=1, out=tmp_path / "run", progress=False)
    cut, full = (shown(tmp_path / "run", "--item", "starter-01", *more) for more in ((), ("--full",)))
    assert "more characters: --full" in cut
    assert "word 0 " in cut
    assert "end." in cut
    assert "word 1000" not in cut
    assert "word 1000" in full
    assert "more characters" not in full


@pytest.mark.parametrize(
    ("task", "item", "told"),
    [
        ("ifeval", "starter-08", ["keywords:frequency: passed", "wanted: at least 1", "found: 1"]),
        ("ifeval", "starter-02", ["punctuation:no_comma: failed"]),
        ("gsm8k", "starter-03", ["exact_match_strict: failed", "wanted: 72", "found: 42"]),
        ("math", "starter-01", ["math_verify: failed", "hendrycks_boxed: failed", "minerva: failed", "found: 42"]),
    ],
)
def test_verifiers_say_what_they_found(verified: Path, task: str, item: str, told: list[str]) -> None:
    """Each instruction with what it wants; each rule with the answer that it took, and the reference."""
    text = shown(verified, "--task", task, "--item", item)
    for words in told:
        assert words in text


def test_a_count_that_is_shown_agrees_with_the_verdict(verified: Path) -> None:
    """At least or less than the number wanted, exactly where the instruction was kept."""
    tasks = record(verified, "--task", "ifeval", "--worst", "99")["tasks"]
    rulings = [ruling for sample in tasks[0]["samples"] for ruling in sample["rulings"] if ruling["found"]]
    assert len(rulings) >= 4
    for ruling in rulings:
        least = re.match(r"(at least|less than) (\d+): ", ruling["wanted"])
        assert least is not None
        enough = int(ruling["found"]) >= int(least[2])
        assert ruling["held"] == (enough if least[1] == "at least" else not enough)


def test_what_a_judge_is_told_to_look_for_is_shown(tmp_path: Path) -> None:
    """WildBench's checklists, the conversation before the question, and the baselines."""
    candidate, judge = ScriptedModel(answered, name="m"), ScriptedModel(lambda _: "nothing", name="j")
    run = tmp_path / "run"
    with playing(candidate) as model, playing(judge) as by, pytest.raises(Incomplete):
        api.evaluate(model, "wildbench", judge=by, starter=True, limit=1, out=run, progress=False)
    text = shown(run, "--item", "starter-01")
    for words in ("conversation so far", "── checklist", "keep the name Pim", "baseline: starter_brief"):
        assert words in text


def test_worst_and_best_are_by_a_metric_that_is_named(runs: Path, verified: Path) -> None:
    """The headline where items have values of it; another by its name."""
    assert "worst by win_rate, 1 of 2" in shown(runs, "--worst", "2")
    assert "best by numeric, 1 of 1" in shown(verified, "--task", "gsm8k", "--best", "1", "--metric", "numeric")
    refused = shown(runs, "--worst", "1", "--metric", "lc_win_rate", code=2)
    assert "is not a number of single items" in refused
    assert "win_rate, discrete_win_rate" in refused


# -- lists


def test_unread_lists_what_is_not_there_and_why(runs: Path) -> None:
    """An answer that failed, and replies that hold no verdict."""
    found = record(runs, "--unread")["tasks"][0]["unread"]
    assert [(row["example_id"], row["state"]) for row in found] == [
        ("starter-05", "unread"),
        ("starter-05", "unread"),
        ("starter-08", "no answer"),
    ]
    assert found[2]["reason"] == "the connection broke"
    text = shown(runs, "--unread")
    assert "2 unread, 1 no answer" in text
    assert "the connection broke" in text


def test_a_verdict_that_was_never_asked_for_is_missing(runs: Path, tmp_path: Path) -> None:
    """As in a run that was killed: the case is expected, and no judgement is there."""
    copy = tmp_path / "run"
    subprocess.run(["cp", "-r", runs, copy], check=True)
    path = copy / "alpacaeval" / "judgements.jsonl"
    kept = [line for line in path.read_text().splitlines(keepends=True) if '"starter-01#candidate-first"' not in line]
    path.write_text("".join(kept))
    found = record(copy, "--unread")["tasks"][0]["unread"]
    assert [row["state"] for row in found if row["example_id"] == "starter-01"] == ["missing"]
    assert "missing: no verdict is in the run folder" in shown(copy, "--item", "starter-01")


def test_flips_list_what_depends_on_the_order(runs: Path) -> None:
    """Long lists are cut, and say by how much."""
    text = shown(runs, "--flips")
    assert "14 verdicts change with the order" in text
    assert text.count("win") >= 14


def test_long_lists_end_after_a_screen_or_two(tmp_path: Path) -> None:
    """A run without any verdict; --all prints the rest, and JSON has all in any case."""
    candidate = ScriptedModel(lambda _: failure("the connection broke, and nobody knows why it did so"), name="m")
    run = tmp_path / "run"
    judge = ScriptedModel(lambda _: reply("A"), name="j")
    with playing(candidate) as model, playing(judge) as by, pytest.raises(Incomplete):
        api.evaluate(model, "mtbench", judge=by, starter=True, out=run, progress=False)
    path = run / "mtbench" / "examples.jsonl"
    rows = [{**row, "id": f"{row['id']}-{copy}"} for row in lines_of(path) for copy in range(10)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert len(shown(run, "--unread").splitlines()) <= 62
    assert "more verdicts: --all" in shown(run, "--unread")
    assert len(shown(run, "--unread", "--all").splitlines()) > 120
    assert len(record(run, "--unread")["tasks"][0]["unread"]) == len(rows)


def test_groups_choose_items_and_verdicts(tmp_path: Path) -> None:
    """Items of a category, the verdicts of a turn; what is not there is named with what is."""
    candidate, judge = ScriptedModel(answered, name="m"), ScriptedModel(lambda _: "Rating: [[7]]", name="j")
    run = tmp_path / "run"
    with playing(candidate) as model, playing(judge) as by:
        api.evaluate(model, "mtbench", judge=by, starter=True, out=run, progress=False)
    of_coding = [
        row["id"] for row in lines_of(run / "mtbench" / "examples.jsonl") if row["meta"]["category"] == "coding"
    ]
    found = record(run, "--group", "category=coding")["tasks"][0]
    assert [line["example_id"] for line in found["lines"]] == of_coding
    (sample,) = record(run, "--group", "category=coding", "--group", "turn=2", "--worst", "1")["tasks"][0]["samples"]
    assert [judgement["turn"] for judgement in sample["judgements"]] == [2]
    assert "did you mean coding" in shown(run, "--group", "category=codin", code=2)


# -- what cannot be shown


def test_an_unknown_item_is_named_with_ids_that_there_are(runs: Path) -> None:
    """And a task, in one paragraph."""
    assert "Ids look like starter-" in shown(runs, "--item", "starter-0l", code=2)
    assert "holds alpacaeval" in shown(runs, "--task", "mtbench", code=2)
    assert "is not there" in shown(runs.parent / "nothing", code=2)
    assert f"`judgebench show {runs}`" in shown(runs.parent, code=2)


def test_reported_numbers_have_no_items(tmp_path: Path) -> None:
    """The page says so; it does not fail."""
    run = write_totals(tmp_path / "run", "m", 50.0, protocol={**JUDGED, "reported_by": "lm-eval 0.4"})
    for choice in ((), ("--worst", "3", "--offline"), ("--unread", "--offline")):
        assert "holds reported numbers only" in " ".join(shown(run, *choice).split())


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("judgements.jsonl", lambda row: {**row, "candidate": 10**9}),
        ("judgements.jsonl", lambda row: {**row, "answers": []}),
        ("judgements.jsonl", lambda row: {**row, "case_id": "x" * 10**5, "example_id": "nowhere"}),
        ("judgements.jsonl", lambda row: {**row, "verdict": {**row["verdict"], "value": -1e15}}),
        ("judgements.jsonl", lambda row: {**row, "request_hashes": ["x"] * 1000}),
        ("examples.jsonl", lambda row: {**row, "meta": {"question": {"a": [1]}, "dataset": 5}}),
        ("examples.jsonl", lambda row: {**row, "followups": ["more"] * 50}),
        ("generations.jsonl", lambda row: {**row, "outputs": [], "finish_reasons": ["length"] * 9}),
        ("generations.jsonl", lambda row: {**row, "model": "[bold]\n\x1b[31m" * 99}),
        ("example_scores.jsonl", lambda row: {**row, "metric": "\x1b[2J#:" * 50, "value": 1e15}),
    ],
)
def test_a_run_folder_of_anybody_is_shown_or_refused(runs: Path, tmp_path: Path, name: str, change: Any) -> None:
    """Whatever its fields hold, the command ends with a page or one paragraph, and nothing speaks to the terminal."""
    copy = tmp_path / "run"
    subprocess.run(["cp", "-r", runs, copy], check=True)
    path = copy / "alpacaeval" / name
    path.write_text("".join(f"{json.dumps(change(row))}\n" for row in lines_of(path)))
    for choice in ((), ("--item", "starter-01", "--prompts"), ("--unread",), ("--flips",), ("--best", "1", "--full")):
        for form in ("rich", "md", "json"):
            ended = judgebench(["show", copy, *choice, "--format", form], code=None)
            assert ended.returncode in (0, 2)
            assert ended.stderr.count("\n") == (ended.returncode == 2)
            assert not {character for character in ended.stdout if ord(character) < 32} - {"\n"}


def test_a_run_that_is_not_scored_is_shown(runs: Path, tmp_path: Path) -> None:
    """Without values; what is there of its answers and verdicts is shown all the same."""
    copy = tmp_path / "run"
    subprocess.run(["cp", "-r", runs, copy], check=True)
    (copy / "results.json").unlink()
    (copy / "alpacaeval" / "example_scores.jsonl").unlink()
    assert "items have no values" in shown(copy)  # the run ended, so its scores were lost
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "status": "interrupted"}))
    page = shown(copy)
    assert "no item has a value yet, because the run has not been scored" in page
    assert re.search(r"│ alpacaeval@2[^│]* +│ +16 │ +15 │ +1 │ +15 │", page), page
    assert "items' values" not in page
    assert "to go on, start again what made the run\n" in page
    assert f"to score what is there:\njudgebench score {copy}\n" in page
    assert "none is worst or best" in shown(copy, "--worst", "3")
    assert "verdict: A, the candidate wins" in shown(copy, "--item", "starter-01")


def test_an_archive_is_shown_like_its_folder(runs: Path, tmp_path: Path) -> None:
    """Its hashes lie in it as well."""
    api.export(runs, "archive", tmp_path / "run.zip")
    text = shown(tmp_path / "run.zip", "--item", "starter-01")
    assert "all prompts: exactly as sent" in text


def test_a_prompt_that_was_not_sent_so_is_withheld(runs: Path, tmp_path: Path) -> None:
    """The hash of what was sent is in the record."""
    copy = tmp_path / "run"
    subprocess.run(["cp", "-r", runs, copy], check=True)
    path = copy / "alpacaeval" / "judgements.jsonl"
    found = msgspec.json.Decoder(Judgement).decode_lines(path.read_bytes())
    changed = [msgspec.structs.replace(judgement, request_hashes=("sha256:00",)) for judgement in found]
    path.write_bytes(b"".join(msgspec.json.encode(judgement) + b"\n" for judgement in changed))
    text = shown(copy, "--item", "starter-01", "--prompts", "--full")
    assert "the hashes differ" in " ".join(text.split())
    assert "You compare two answers" not in text


# -- on a terminal


def on_a_terminal(run: Path, *choice: str, columns: int = 80, **environment: str) -> Terminal:
    """The command to its end on a terminal that shows all of it at once, through a pager that only copies."""
    with in_terminal(["show", run, *choice], columns=columns, rows=500, **environment) as terminal:
        assert terminal.wait() == 0, terminal.text
    return terminal


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal(runs: Path, verified: Path, columns: int) -> None:
    """In a summary, in an item and in a list."""
    for run, *choice in ((runs,), (verified,), (runs, "--item", "starter-01"), (runs, "--unread")):
        terminal = on_a_terminal(run, *choice, columns=columns)
        assert terminal.screen.wrapped == 0
        assert len(terminal.lines) > 3


def test_answers_stand_side_by_side_where_there_is_room(runs: Path) -> None:
    """In 120 columns, and one below the other in 80."""
    wide, narrow = (
        next(
            line
            for line in on_a_terminal(runs, "--item", "starter-01", columns=columns).lines
            if "candidate: m" in line
        )
        for columns in (120, 80)
    )
    assert "baseline: starter_baseline" in wide
    assert "baseline: starter_baseline" not in narrow


def test_a_long_page_goes_through_the_pager(runs: Path) -> None:
    """The user's, with the whole text; a short one, and what goes into a pipe, do not."""
    counting = "grep -c judge"
    with in_terminal(["show", runs, "--worst", "5"], rows=45, PAGER=counting) as terminal:
        assert terminal.wait() == 0
    assert terminal.text.strip().isdigit()
    with in_terminal(["show", runs], rows=45, PAGER=counting) as terminal:
        assert terminal.wait() == 0
    assert "16 items" in terminal.text
    assert "worst by win_rate, 5 of 5" in judgebench(["show", runs, "--worst", "5"], PAGER=counting).stdout


def test_whoever_leaves_the_pager_early_has_seen_enough(runs: Path) -> None:
    """The command then ends well, and says nothing of a broken pipe."""
    with in_terminal(["show", runs, "--worst", "16", "--full", "--prompts"], rows=20, PAGER="head -n 3") as terminal:
        assert terminal.wait() == 0
    assert len([line for line in terminal.lines if line]) == 3


def test_colours_are_left_out_where_they_are_not_wanted(runs: Path) -> None:
    """``NO_COLOR``, or a pager that may not know them; otherwise a heading has one."""
    assert "\x1b[36m" in on_a_terminal(runs, "--item", "starter-01").written
    assert "\x1b[36m" not in on_a_terminal(runs, "--item", "starter-01", NO_COLOR="1").written
    assert "\x1b[36m" not in on_a_terminal(runs, "--item", "starter-01", PAGER="more").written
