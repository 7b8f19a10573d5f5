"""``judgebench judges list`` and ``judges info``: who judges, and what a judge file of one's own says."""

import json
import shutil
from pathlib import Path

import pytest

from judgebench import tasks
from judgebench.run.judge_marks import AuditMark, DecisiveFigure
from judgebench.run.served_judges import served_judges
from tests.commands import Command, judgebench
from tests.terminal import in_terminal

DAY = {"JUDGEBENCH_TODAY": "2026-11-30"}
PROMPT = "{{ instruction }} {{ answer_a }} {{ answer_b }} Reply with A or B."


def test_every_judged_task_lists_its_judges() -> None:
    """With the model, how a verdict is read and where the prompt is, and those served before those that ended."""
    judges = json.loads(judgebench(["judges", "list", "--json"], **DAY).stdout)
    judged = {name for name in tasks.names() if tasks.load(tasks.TaskSpec(name))[0].judge_models}
    assert {judge["task"] for judge in judges} == judged > {"alpacaeval", "arenahard", "mtbench", "wildbench"}
    by_name = {judge["name"]: judge for judge in judges}
    served = by_name["weighted_alpaca_eval_gpt4.1"]
    assert served["model"]["served"] == "served until 2027-01-14"
    assert served["model"]["usd_per_million"] == [2.0, 8.0]
    assert served["choose"] == "alpacaeval:judge=weighted_alpaca_eval_gpt4.1"
    assert "tatsu-lab/alpaca_eval@cd543a1" in served["prompt"]
    names = [judge["name"] for judge in judges if judge["task"] == "alpacaeval"]
    assert names.index("weighted_alpaca_eval_gpt4.1") < names.index("alpaca_eval_gpt4") < names.index("claude")
    assert by_name["alpaca_eval_gpt4"]["model"]["over"] is True
    assert by_name["claude"]["unavailable"].startswith("its prompt is a text to be continued")


def test_the_list_fits_a_screen_and_says_what_it_leaves_out(command: Command) -> None:
    """A dozen lines of eighty columns a benchmark; ``--all`` shows the rest, also what cannot judge here."""
    short, whole = command("judges", "list").out, command("judges", "list", "--all").out
    assert len(short.splitlines()) <= 12 * short.count("judges of ") + 18
    assert max(map(len, short.splitlines())) <= 80
    assert "… and 18 served no longer and 19 that cannot judge here: --all" in short
    assert "USD/M" in short
    assert "improved_lmsys" not in short
    assert "improved_lmsys" in whole
    assert "text_davinci_003" in whole
    assert "text_davinci_003" not in short
    of_task = command("judges", "list", "mtbench").out
    assert "pair-v2" in of_task
    assert "alpacaeval" not in of_task
    assert "so it has no judges" in command("judges", "list", "gsm8k").paragraph


def test_a_judge_is_described(command: Command) -> None:
    """One fact a line, and how to use it; one that cannot judge says why, and a misspelt one has near names."""
    told = command("judges", "info", "weighted_alpaca_eval_gpt4.1").out
    assert "use: --tasks alpacaeval:judge=weighted_alpaca_eval_gpt4.1" in told
    assert "reads: label token logprobs: m or M" in told
    assert "cannot judge here: its judge is made to call a function" in command("judges", "info", "chatgpt_fn").out
    assert "near are weighted_alpaca_eval_gpt4.1" in command("judges", "info", "weighted_alpaca_eval_gpt41").paragraph


@pytest.mark.parametrize("task", ["alpacaeval", "arenahard", "mtbench", "wildbench"])
def test_a_task_says_what_a_prompt_can_show(task: str, command: Command) -> None:
    """The names are those that the message about an unknown name lists."""
    told = command("judges", "info", task).out
    for name in ("instruction", "answer_a", "answer_b"):
        assert f"{{{{ {name} }}}}" in told
    assert "has to ask for what is read: " in told
    assert ("{{ answer }}" in told) == (task in ("mtbench", "wildbench"))


def test_a_judge_file_is_described_and_tried_on_every_task(tmp_path: Path, command: Command) -> None:
    """Which tasks it fits, and why it does not fit the others."""
    (tmp_path / "mine.j2").write_text(PROMPT)
    path = tmp_path / "judge.toml"
    path.write_text(
        'model = "openai:gpt-4.1-2025-04-14"\nprompt = "mine.j2"\n[verdict]\nread = "label"\nlabels = ["A", "B"]\n'
    )
    checked = json.loads(judgebench(["judges", "info", path, "--json"]).stdout)
    assert checked["fits"] == ["alpacaeval", "arenahard", "mtbench:mode=pairwise", "wildbench:metrics=reward"]
    assert "shows answer_a, answer_b, which cases of mtbench" in checked["misfits"]["mtbench"]
    assert [model["spec"] for model in checked["models"]] == ["openai:gpt-4.1-2025-04-14"]
    assert "fits: alpacaeval, arenahard" in command("judges", "info", path).out
    of_prompt = command("judges", "info", tmp_path / "mine.j2").out.splitlines()
    assert "  fits: alpacaeval" in of_prompt
    assert "  with --starter, alpacaeval reads: A or B" in of_prompt
    misfits = [line for line in of_prompt if "does not fit" in line]
    assert len(misfits) >= 2
    assert checked["reasons"]
    assert sorted(task for alike in checked["reasons"].values() for task in alike) == sorted(checked["misfits"])
    assert any(len(alike) > 1 for alike in checked["reasons"].values())
    told = " ".join(" ".join(of_prompt).split())
    assert "does not ask for [[A>>B]]" in told
    assert "…" not in told
    path.write_text('[verdict]\nread = "vibes"\n')
    assert "line 2: verdict.read 'vibes'" in command("judges", "info", path).paragraph
    shutil.rmtree(tmp_path)
    assert "cannot be read" in command("judges", "info", path).paragraph


def test_a_judge_file_is_tried_on_a_benchmark_of_one_s_own(tmp_path: Path, command: Command) -> None:
    """Alone, without the bundled ones; what does not fit is said with its reason."""
    five, path = tmp_path / "five.toml", tmp_path / "judge.toml"
    five.write_text('kind = "rating"\nprompts = "p.jsonl"\n[rating]\nscale = [1, 5]\n')
    (tmp_path / "p.jsonl").write_text('{"instruction": "Hello?"}\n')
    (tmp_path / "mine.j2").write_text("{{ instruction }} {{ answer }} Reply with [[1]] to [[5]].")
    path.write_text('prompt = "mine.j2"\n[verdict]\nread = "rating"\nscale = [1, 5]\n')
    told = " ".join(command("judges", "info", path, "--tasks", five).out.split())
    assert "does not fit" not in told
    assert "five.toml reads: a number in double brackets" in told
    path.write_text('[verdict]\nread = "rating"\nscale = [1, 10]\n')
    told = " ".join(command("judges", "info", path, "--tasks", f"{five},ifeval").out.split())
    assert "five.toml: its ratings go from 1 to 5, and the judge's from 1 to 10" in told
    assert "does not fit ifeval: the answers to ifeval@1 are verified, not judged" in told
    assert "no task is called 'fife'" in command("judges", "info", path, "--tasks", "fife").paragraph
    assert "alpacaeval is none" in command("judges", "info", "alpacaeval", "--tasks", five).paragraph


@pytest.mark.parametrize("columns", [80, 120])
def test_judges_fit_a_terminal(columns: int, tmp_path: Path) -> None:
    """A fact is folded below where its text begins, and no table is wider than the screen."""
    (tmp_path / "mine.j2").write_text(PROMPT)
    for words in (["judges", "info", "mtbench"], ["judges", "info", "mine.j2"], ["judges", "list", "alpacaeval"]):
        with in_terminal(words, columns=columns, rows=90, cwd=tmp_path) as terminal:
            assert terminal.wait() == 0
            lines = terminal.lines
        assert max(map(len, lines)) <= columns
        if words[-1] == "mtbench":
            place = next(number for number, line in enumerate(lines) if "the judged turns, for a loop" in line)
            assert lines[place + 1].startswith(" " * lines[place].index("the judged turns"))


def test_a_task_marks_its_default_judge_and_that_of_the_starter_set(command: Command) -> None:
    """The others are chosen by an option."""
    told = command("judges", "info", "alpacaeval").out.splitlines()
    assert told[1:3] == ["  default: weighted_alpaca_eval_gpt4_turbo", "  with --starter: house_pairwise_label"]


def test_a_vendor_s_model_is_known_without_its_vendor(command: Command) -> None:
    """The bare name is enough where one vendor alone sells it, as ``plan`` takes it; else their specs are offered."""
    assert command("judges", "info", "gpt-5.4-mini").out.startswith("openai:gpt-5.4-mini\n")
    several = command("judges", "info", "openai/gpt-oss-120b").paragraph
    assert "as a judge's model it is " in several
    assert " or " in several


def test_models_that_can_judge_are_listed_by_how_long_they_last(command: Command) -> None:
    """Each with its end, price and log-probabilities, and what is known of it as a judge; none that is gone. The list
    is dated, fits 80 columns, and its heart begins ``judges list``.
    """
    found = json.loads(judgebench(["judges", "list", "--models", "--json"], **DAY).stdout)
    by_name = {judge["model"]: judge for judge in found["judges"]}
    assert (found["today"], found["prices_as_of"], found["ends_as_of"]) == ("2026-11-30", "2026-11-01", "2026-11-10")
    ends = [judge["until"] or "9999" for judge in found["judges"]]
    assert ends == sorted(ends, reverse=True)
    assert min(ends) > "2026-11-30"
    assert not {"gpt-4", "gpt-4-1106-preview", "gpt-4-0125-preview", "o1-pro", "claude-3-haiku"} & set(by_name)
    gpt = by_name["gpt-4.1"]
    assert (gpt["spec"], gpt["until"], gpt["usd_per_million"], gpt["logprobs"]) == (
        "openai:gpt-4.1", "2027-01-14", [2.0, 8.0], True,
    )  # fmt: skip
    assert gpt["known"][0] == "official judge of arenahard, healthbench"
    assert "weighted_alpaca_eval_gpt4.1 of alpacaeval" in gpt["known"]
    assert "bridge arenahard-v2.0-hard_prompt-gpt-4.1-to-gemini-2.5, 14 models" in gpt["known"]
    assert by_name["claude-opus-5"]["logprobs"] is False
    google = by_name["gemini-3.8-flash"]
    assert google["spec"] == "gemini:gemini-3.8-flash"
    shown = judgebench(["judges", "list", "--models"], COLUMNS="80", **DAY).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert all(f"│ {model} " in shown for model in by_name)
    assert "on 2026-11-30, by what vendors had announced on 2026-11-10" in shown
    first, _, rest = judgebench(["judges", "list"], COLUMNS="80", **DAY).stdout.partition("judges of alpacaeval")
    assert [row for row in by_name if by_name[row]["known"] and f"│ {row} " not in first] == []
    assert "on 2026-11-30, by what" in first
    assert "left out for width" not in first
    assert "--models lists the models" in command("judges", "list", "mtbench", "--models").paragraph
    assert rest


def test_an_audit_is_known_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine found stands beside what was published."""
    mark = AuditMark(
        judge="openai:gpt-6-sol-2026-09-01", asked=(), models=(), day="2026-11-29",
        decisive=(DecisiveFigure(name="accuracy", words="llmbar accuracy", value=0.81, n=419),),
    )  # fmt: skip
    monkeypatch.setattr("judgebench.run.served_judges.marks", lambda: [mark])
    (found,) = (judge for judge in served_judges().judges if judge.model == "gpt-6-sol")
    assert "was audited on 2026-11-29: llmbar accuracy 81.0 % (n = 419)" in found.known[-1]


@pytest.mark.parametrize("task", ["alpacaeval", "mtbench", "wildbench"])
def test_what_decides_on_a_judge_stays_on_a_narrow_screen(task: str) -> None:
    """Agreement with people, price and end are there at 80 columns, and names are in one piece."""
    shown = judgebench(["judges", "list", task], COLUMNS="80", **DAY).stdout
    head = " ".join(shown.split("┡")[0].replace("┃", " ").split())
    assert {"served", "USD/M", "in/out"} <= set(head.split())
    assert ("people" in head) == (task == "alpacaeval")
    assert {line.split(": ")[1] for line in shown.splitlines() if "left out for width" in line} <= {
        "reads",
        "model, reads",
    }
    assert task != "alpacaeval" or "│ weighted_alpaca_eval_gpt-4o-mini-2024-07-18 │" in shown
