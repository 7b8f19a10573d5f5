"""A model that its vendor serves no longer is not asked at the vendor's own address, and anywhere else it is."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judgebench import tasks
from judgebench.data.resources import resource
from judgebench.errors import ModelError
from judgebench.models import Model
from judgebench.models.opening import parse_model, shutdown_of
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.models.wrappers import Stored
from judgebench.records import Completion, Message, Request, Sampling
from judgebench.run.known_judges import KnownJudge, known_judges
from judgebench.run.seats import ModelPool
from judgebench.run.settings import Settings
from tests.commands import Command, judgebench
from tests.servers.launch import Server

StartServer = Callable[..., Server]
EVAL = ("eval", "--tasks", "mtbench", "--starter", "--limit", "2")
CALLS = 4
"""Each of the two items has two turns to judge."""
DAY = {"JUDGEBENCH_TODAY": "2026-11-30"}


def test_a_judge_that_is_gone_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """Exit 6 and one paragraph: since when, where that is said, and which judges there are. No key is looked for, and
    the candidate is not asked.
    """
    out = tmp_path / "run"
    ended = judgebench(
        [*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-1106-preview", "--out", out], code=6, **DAY
    )
    assert ended.stderr.startswith(
        "judgebench: The judge openai:gpt-4-1106-preview cannot be asked: OpenAI has not served it since 2026-10-23 "
        "(https://developers.openai.com/api/docs/deprecations, as of "
    )
    assert "openai:gpt-4.1-2025-04-14 (served until 2027-01-14; " in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not out.exists()


def test_an_official_judge_that_is_gone_is_refused_before_files_are_looked_for(tmp_path: Path) -> None:
    """None of the task's official files is here."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", "arenahard@v0.1", "--offline", "--out", tmp_path / "run"]
    assert "The judge openai:gpt-4-1106-preview cannot be asked" in judgebench(command, code=6).stderr
    assert not (tmp_path / "run").exists()


def test_before_its_day_it_is_asked() -> None:
    """The day decides: on the last one, only the key is missing."""
    ended = judgebench(
        [*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-1106-preview"],
        code=2,
        JUDGEBENCH_TODAY="2026-10-22",
    )
    assert "OPENAI_API_KEY is not set" in ended.stderr


def test_before_the_first_call_it_is_said_until_when(
    start_chat_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Within two months before the last day, once for several runs; not earlier, not with --quiet, and not if the
    command is refused.
    """
    server = start_chat_server(ratings=1)
    monkeypatch.setattr("judgebench.models.vendors.Vendor.hosts", ("127.0.0.1",), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    arguments = (*EVAL, "--model", f"{server.base_url}#a", "--model", f"{server.base_url}#b", "--judge")
    note = (
        "judgebench: note: OpenAI serves openai:gpt-4.1 until 2027-01-14, for 45 more days; it recommends gpt-6-luna\n"
    )
    ended = command(*arguments, "openai:gpt-4.1", "--out", tmp_path / "noted")
    assert (ended.code, ended.err.count(note)) == (0, 1)
    assert "note" not in command(*arguments, "openai:gpt-4.1", "--out", tmp_path / "quiet", "--quiet").err
    assert "note" not in command(*arguments, "openai:gpt-5.1", "--out", tmp_path / "later").err
    monkeypatch.delenv("OPENAI_API_KEY")
    refused = command(*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4.1", "--out", tmp_path / "refused")
    assert "OPENAI_API_KEY is not set" in refused.paragraph


def test_a_candidate_that_is_gone_is_refused_too() -> None:
    """There is no other candidate to offer."""
    ended = judgebench(["eval", "--tasks", "gsm8k", "--starter", "--model", "openai:gpt-4"], code=6, **DAY)
    assert "openai:gpt-4 cannot be asked: OpenAI has not served it since 2026-10-23" in ended.stderr
    assert ended.stderr.rstrip().endswith("Name another model with --model")


def test_a_server_elsewhere_may_bear_its_name(start_chat_server: StartServer, tmp_path: Path) -> None:
    """Behind OPENAI_BASE_URL, and as an address of one's own: both are asked."""
    server = start_chat_server(ratings=1)
    for number, judge in enumerate((f"{server.base_url}#gpt-4-0613", "openai:gpt-4-1106-preview")):
        judgebench(
            [*EVAL, "--model", "builtin:tiny", "--judge", judge, "--out", tmp_path / str(number)],
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY="key",
            **DAY,
        )
        assert server.seen().total() == CALLS * (number + 1)


def test_its_stored_replies_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said while it was served is given from the store, without a key; a new request is refused."""
    monkeypatch.setenv("JUDGEBENCH_TODAY", "2026-11-30")
    task, _ = tasks.load(tasks.TaskSpec("mtbench"))
    known, new = (
        Request(messages=(Message(role="user", content=text),), sampling=Sampling()) for text in ("known", "new")
    )
    pool = ModelPool(Settings(tasks="mtbench"))
    spec, arguments = parse_model("openai:gpt-4")
    try:
        served = ScriptedModel(lambda _: reply("[[7]]"), identity="http:https://api.openai.com/v1#gpt-4")
        asked(Stored(served, pool.store), known)
        model = pool.open(spec, arguments, task).model
        assert asked(model, known).text == "[[7]]"
        with pytest.raises(ModelError, match="OpenAI has not served it since 2026-10-23"):
            asked(model, new)
    finally:
        pool.close()


def asked(model: Model, request: Request) -> Completion:
    """The reply to one request."""
    ((_, completion),) = model.complete([request])
    return completion


def test_the_vendor_s_own_list_has_the_last_word(
    start_chat_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """If the vendor still lists the model for this key, it is asked; if not, or --offline, it is refused."""
    listed = tmp_path / "models.json"
    listed.write_text(json.dumps({"data": [{"id": "gpt-4-0613"}]}))
    server = start_chat_server(models=listed, ratings=1)
    monkeypatch.setattr("judgebench.models.vendors.Vendor.hosts", ("127.0.0.1",), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("JUDGEBENCH_TODAY", "2026-11-30")
    judge = (*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-0613", "--out")
    assert command(*judge, tmp_path / "offline", "--offline").code == 6
    assert command(*judge, tmp_path / "listed").code == 0
    assert server.seen().total() == CALLS
    listed.write_text(json.dumps({"data": [{"id": "gpt-6-luna"}]}))
    assert command(*EVAL[:-1], "3", *judge[len(EVAL) :], tmp_path / "unlisted").code == 6
    assert server.seen().total() == CALLS


def test_a_run_that_it_judged_goes_on_as_far_as_it_can(
    start_chat_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Everything is in the run folder, and nothing in the store: the same command, and `judge`, end as before. What
    would have to be asked is refused.
    """
    listed = tmp_path / "models.json"
    listed.write_text(json.dumps({"data": [{"id": "gpt-4-0613"}]}))
    server = start_chat_server(models=listed, ratings=1)
    monkeypatch.setattr("judgebench.models.vendors.Vendor.hosts", ("127.0.0.1",), raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    eval_again = (*EVAL, "--model", "builtin:tiny", "--judge", "openai:gpt-4-0613", "--out", tmp_path / "run")
    assert command(*eval_again).code == 0
    listed.write_text(json.dumps({"data": []}))
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "empty"))
    assert command(*eval_again).code == 0
    assert command("judge", tmp_path / "run", "--judge", "openai:gpt-4-0613").code == 0
    judgements = tmp_path / "run" / "mtbench" / "judgements.jsonl"
    judgements.write_text("".join(judgements.read_text().splitlines(keepends=True)[1:]))
    refused = command("judge", tmp_path / "run", "--judge", "openai:gpt-4-0613")
    assert (refused.code, "OpenAI has not served it since 2026-10-23" in refused.err) == (6, True)
    assert server.seen().total() == CALLS


LAST_DAY = "2027-04-01"
"""By then every model of the list is gone."""
ENTRIES = tomllib.loads((resource("templates") / "shutdowns.toml").read_text())["shutdowns"]
FIRST = [next(entry for entry in ENTRIES if entry["vendor"] == vendor) for vendor in ("openai", "anthropic", "google")]
"""Of each vendor, the entry that every way to name a judge is tried with."""


def spelled(vendor: str, model: str) -> str:
    """How the command line names a model at its vendor's own address."""
    return (
        f"https://generativelanguage.googleapis.com/v1beta/openai#{model}"
        if vendor == "google"
        else f"{vendor}:{model}"
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry['vendor']}-{entry['models'][0]}")
def test_no_model_of_the_list_is_asked(entry: dict[str, Any], tmp_path: Path, command: Command) -> None:
    """As one of a jury after one that works, as the only judge, as the dear judge of a cascade, in a judge file, and
    with a prompt of the user's: exit 6 with the day, the judges of today and the bridge, before the candidate is asked.
    As a candidate: another model.
    """
    names = [name for name in entry["models"] if name not in ("claude-opus-4", "claude-sonnet-4")] or entry["models"]
    gone = spelled(entry["vendor"], names[0])
    day = str(entry["day"])
    (tmp_path / "judge.toml").write_text(f'model = "{gone}"\n')
    (tmp_path / "mine.j2").write_text("{{ instruction }}\n{{ answer }}\nRate it, as [[5]].\n")
    ways: list[list[object]] = [
        ["--judge", gone],
        ["--judge", "builtin:tiny", "--judge", gone],
        ["--judge", "builtin:tiny", "--cascade", gone, "--dear", "3", "--limit", "4"],
        ["--judge", tmp_path / "judge.toml"],
        ["--judge", gone, "--judge-prompt", tmp_path / "mine.j2"],
    ]
    environment = {"JUDGEBENCH_TODAY": LAST_DAY}
    candidate = ScriptedModel(lambda _: "An answer.")
    with playing(candidate) as model:
        for way in ways if entry in FIRST else ways[1:2]:
            ended = judgebench([*EVAL, "--model", model, *way, "--out", tmp_path / "run"], code=6, **environment)
            assert ended.stderr.startswith(f"judgebench: The judge {gone} cannot be asked: "), ended.stderr
            assert f"since {day}" in ended.stderr
            assert "Other judges today: " in ended.stderr
            assert "`judgebench bridge make --task mtbench@1 --plan 12 --judge J` plans one" in ended.stderr
            assert "--bridge FILE" in ended.stderr
            assert ended.stderr.count("\n") == 1
    assert candidate.asked == []
    assert not (tmp_path / "run").exists()
    ended = judgebench([*EVAL, "--judge", "builtin:tiny", "--model", gone], code=6, **environment)
    assert f"{gone} cannot be asked: " in ended.stderr
    assert "Name another model with --model" in ended.stderr


@pytest.mark.parametrize(
    "judge",
    [judge for judge in known_judges() if judge.model and shutdown_of(*parse_model(judge.model.spec)) and judge.usable],
    ids=lambda judge: f"{judge.task}-{judge.name}",
)
def test_no_judge_of_a_benchmark_is_asked_once_it_is_gone(judge: KnownJudge, tmp_path: Path) -> None:
    """Every judge that a task has by name, chosen as its list says, before any official file is looked for."""
    if judge.of_starter:
        return
    command = ["eval", "--model", "builtin:tiny", "--tasks", judge.choose, "--offline", "--out", tmp_path / "run"]
    ended = judgebench(command, code=6, JUDGEBENCH_TODAY=LAST_DAY)
    assert judge.model is not None
    assert ended.stderr.startswith(f"judgebench: The judge {judge.model.spec} cannot be asked: ")
    published = resource("leaderboards") / f"{judge.choose.partition(':')[0].partition('@')[0]}.csv"
    assert ("but a bridge predicts the official number" in ended.stderr) == published.is_file()
    assert not (tmp_path / "run").exists()


def test_answers_that_a_gone_judge_has_not_judged_are_judged_by_nobody(tmp_path: Path) -> None:
    """``judge RUN`` with a jury of a judge that works and one that is gone: refused before the first is asked."""
    with playing(ScriptedModel(lambda _: "An answer.", name="candidate")) as model:
        judgebench(["generate", *EVAL[1:], "--model", model, "--out", tmp_path / "run"])
    works = ScriptedModel(lambda _: "[[7]]", name="works")
    with playing(works) as judge:
        refused = judgebench(
            ["judge", tmp_path / "run", "--judge", judge, "--judge", "openai:gpt-4-0613"], code=6, **DAY
        )
        assert "openai:gpt-4-0613 cannot be asked" in refused.stderr
        assert works.asked == []
        judgebench(["judge", tmp_path / "run", "--judge", judge])
    assert len(works.asked) == CALLS


def test_a_task_of_the_user_s_is_told_of_no_bridge(tmp_path: Path) -> None:
    """Nobody has published numbers of it."""
    judgebench(["tasks", "new", "mine", "--kind", "pairwise"], cwd=tmp_path)
    what = ["eval", "--tasks", "./mine/task.py", "--model", "builtin:tiny", "--judge", "openai:gpt-4"]
    ended = judgebench(what, code=6, cwd=tmp_path, **DAY)
    assert "The judge openai:gpt-4 cannot be asked" in ended.stderr
    assert "bridge" not in ended.stderr


def test_without_the_official_judge_the_way_to_try_a_benchmark_at_once_is_named(tmp_path: Path) -> None:
    """It works as it is named: with the starter set, and a judge that comes with the program."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", "alpacaeval", "--out", tmp_path / "run"]
    said = judgebench([*command, "--offline"], code=6, **DAY).stderr.strip()
    assert said.endswith("To try it now: add --starter --judge builtin:tiny")
    assert said.count("openai:gpt-4-1106-preview") == 1
    judgebench([*command, "--starter", "--judge", "builtin:tiny", "--limit", "1"], **DAY)


def test_published_answers_lead_to_what_the_gone_judge_said_of_them(tmp_path: Path) -> None:
    """The row is found by the command that the message names."""
    command = ["eval", "--model", "published:gpt-4o-2024-05-13", "--tasks", "alpacaeval", "--out", tmp_path / "run"]
    said = judgebench([*command, "--offline"], code=6, **DAY).stderr
    row = ["leaderboard", "--task", "alpacaeval", "--published", "--filter", "gpt-4o-2024-05-13"]
    assert f"`judgebench {' '.join(row)}`" in said
    assert "`judgebench compare RUN published:gpt-4o-2024-05-13`" in said
    assert "gpt-4o-2024-05-13" in judgebench(row).stdout


def test_a_ready_bridge_whose_own_judge_is_gone_is_not_offered(tmp_path: Path) -> None:
    """AlpacaEval's are from verdicts of gpt-4-1106-preview by other prompts; Arena-Hard's come from a judge that is
    served under another name.
    """
    what = ["eval", "--model", "builtin:tiny", "--offline", "--out", tmp_path / "run", "--tasks"]
    assert "ready: " not in judgebench([*what, "alpacaeval"], code=6, **DAY).stderr
    before = judgebench([*what, "alpacaeval:judge=claude_3_opus_ranking"], code=6, JUDGEBENCH_TODAY="2026-10-01").stderr
    assert "--bridge FILE (ready: alpacaeval-alpaca_eval_cot_gpt4_turbo_fn-to-official, alpaca" in before
    later = judgebench([*what, "arenahard"], code=6, JUDGEBENCH_TODAY=LAST_DAY).stderr
    assert "(ready: arenahard-v2.0-hard_prompt-gemini-2.5-to-gpt-4.1) of eval and score" in later


def test_without_an_official_file_the_starter_set_is_named(tmp_path: Path) -> None:
    """As the way that needs no file."""
    command = ["eval", "--model", "builtin:tiny", "--tasks", "gsm8k", "--offline", "--out", tmp_path / "run"]
    said = judgebench(command, code=2, JUDGEBENCH_CACHE=str(tmp_path / "none"), JUDGEBENCH_MIRROR="").stderr
    assert "is not here" in said
    assert said.strip().endswith("add --starter")
