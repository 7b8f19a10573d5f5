"""What ``import judgebench`` offers, as a script or a notebook uses it."""

import asyncio
import doctest
import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import judgebench
from judgebench import api
from judgebench.errors import Incomplete, UsageError
from judgebench.run.archive import write_archive
from judgebench.run.folder import RunFolder
from judgebench.run.loading import load_tasks
from judgebench.run.settings import Settings
from tests.servers.launch import Server

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e"


@pytest.fixture
def runs(example_runs: Path) -> Path:
    """The folder of two runs of the examples, which nothing here changes."""
    return example_runs / "runs"


def test_importing_is_light() -> None:
    """Neither numpy nor anything of ours beyond the names is loaded until a name is asked for."""
    script = "import sys, judgebench; print(sorted(m for m in sys.modules if m.startswith(('judgebench', 'numpy'))))"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert ended.stdout.strip() == "['judgebench']"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        judgebench.evalute  # noqa: B018
    assert set(judgebench.__all__) <= set(dir(judgebench))


@pytest.mark.parametrize("name", [name for name in judgebench.__all__ if name != "__version__"])
def test_every_public_name_has_an_example(name: str) -> None:
    """In its docstring; the suite runs them, beside two runs. Names stay the same objects, whatever was imported."""
    value = getattr(judgebench, name)
    assert callable(value) or name in ("stats", "tasks")
    assert doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")


def test_results_are_tables(runs: Path) -> None:
    """Frames have a row for each score, difference, check and model, and example scores one for each example."""
    one = api.load_run(runs / "mine")
    assert len(one.frame()) == len(one.scores) == 3
    table = one.examples()
    assert len(table) == 3 * 16
    assert table[table.metric == "exact_match_strict"]["value"].mean() == 0.75
    compared = api.compare(runs / "base", one)
    assert compared.frame()["difference"].tolist() == [row.difference for row in compared.record.tasks[0].differences]
    assert api.gate(runs / "base", one, max_drop=1).frame()["n"].tolist() == [16]
    assert set(api.leaderboard(runs).frame()["model"]) == {"base", "mine"}


def test_results_are_short_on_a_terminal(runs: Path) -> None:
    """One line each, of at most 120 characters, with what it came to."""
    one = api.load_run(runs / "mine")
    results: list[tuple[Any, str]] = [
        (one, "'mine' gsm8k: complete"),
        (one.score("numeric"), "gsm8k numeric: 75 percent (50.5 to 89.82), n = 16"),
        (api.compare(runs / "base", one), "'base', 'mine': 3 differences"),
        (api.gate(runs / "base", one, max_drop=1), "INCONCLUSIVE: 'mine' against 'base'"),
        (api.leaderboard(runs), "2 rows"),
        (api.plan("gsm8k", n=50), "50 examples find"),
        (api.explain(runs), "'base' on gsm8k"),
    ]
    for result, said in results:
        assert said in repr(result)
        assert len(repr(result)) <= 120
        assert "\n" not in repr(result)


def test_judgements_have_the_prompt_that_the_judge_saw(
    start_chat_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Word for word what the server was sent, beside its reply; answers are those of the file. An incomplete run is
    there all the same.
    """
    server = start_chat_server(log_bodies=1)
    examples = load_tasks(Settings(tasks="alpacaeval", starter=True))[0].data.examples[:3]
    answers = [
        {"id": example.id, "output": f"It is {number}.", "generator": "m"} for number, example in enumerate(examples)
    ]
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    # The server says "m", which is not a label of the starter set's judge.
    with pytest.raises(Incomplete, match="3 of 3 verdicts are unread"):
        api.evaluate(
            f"file:{tmp_path / 'answers.json'}",
            "alpacaeval",
            judge=f"{server.base_url}#judge",
            starter=True,
            limit=3,
            out=tmp_path / "run",
            progress=False,
        )
    run = api.load_run(tmp_path / "run")
    assert run.answers()["answer"].tolist() == ["It is 0.", "It is 1.", "It is 2."]
    assert run.answers()["instruction"].tolist() == [example.instruction for example in examples]
    judgements = run.judgements()
    sent = sorted(json.dumps(body["messages"]) for body in server.bodies())
    assert sorted(json.dumps(messages) for messages in run.judge_prompts()["messages"]) == sent
    first = {json.dumps(prompt) for prompt in judgements["prompt"]}
    assert (len(first), len(sent)) == (3, 12), "an unread verdict is asked for again, three times"
    assert first < set(sent)
    assert set(judgements["reply"]) == {"m"}
    assert run.judgements(prompts=False)["prompt"].isna().all()


def test_a_run_goes_out_and_comes_in_again(runs: Path, tmp_path: Path) -> None:
    """Through an export and an import, and through scoring again: the same numbers."""
    shutil.copytree(runs / "mine", tmp_path / "mine")
    first = api.load_run(tmp_path / "mine")
    assert api.score(first).scores == api.score(tmp_path / "mine").scores == first.scores
    (written,) = api.export(first, "archive", tmp_path / "mine.zip")
    (again,) = api.import_run(written, "archive", out=tmp_path / "again")
    assert again.scores == first.scores
    assert again.answers().equals(first.answers())


def test_an_archive_is_as_good_as_a_folder(runs: Path, tmp_path: Path) -> None:
    """For loading, comparing and ranking."""
    write_archive(runs / "base", tmp_path / "base.zip")
    assert api.load_run(tmp_path / "base.zip").scores == api.load_run(runs / "base").scores
    one, other = (api.compare(base, runs / "mine").frame() for base in (runs / "base", tmp_path / "base.zip"))
    assert one.equals(other)
    assert [row.model for row in api.leaderboard(tmp_path / "base.zip", runs / "mine").groups[0].rows] == [
        "mine",
        "base",
    ]


def test_runs_are_given_one_by_one_in_lists_or_loaded(runs: Path) -> None:
    """A path as text or ``Path``, a loaded run, its record, a list, a generator, and these in each other: the same two
    rows and differences; a run that is given several times, or lies below a folder that is given too, counts once.
    """
    base, mine = runs / "base", runs / "mine"
    loaded = api.load_run(base)
    given: list[tuple[Any, ...]] = [
        (base, mine),
        (str(base), api.load_run(mine)),
        ([base, mine],),
        ((path for path in (base, mine)),),
        (loaded.record, [str(mine)]),
        ([[loaded], (mine,)],),
    ]
    for several in given[:3] + given[4:]:
        assert [run.path for run in api.compare(*several).record.runs] == [str(base), str(mine)]
    for several in (*given, ([runs],), (runs, loaded, base), (loaded, loaded.record, [mine, mine])):
        (group,) = api.leaderboard(*several).groups
        assert [row.model for row in group.rows] == ["mine", "base"]
    assert api.gate(loaded, str(mine), max_drop=1).record == api.gate(loaded.record, mine, max_drop=1).record
    assert api.load_run(loaded) is loaded
    assert api.load_run(loaded.record) == loaded
    assert api.compare(base, mine, mirrors=str(runs)).record == api.compare(base, mine, mirrors=[runs]).record


def test_published_figures_can_be_a_baseline_and_a_row(runs: Path) -> None:
    """They are marked; a name that nobody published is refused."""
    table = api.leaderboard(task="alpacaeval@2", published=True)
    assert table.frame()["published"].all()
    with pytest.raises(UsageError):
        api.gate("published:nobody", runs / "mine", max_drop=1)


def test_a_notebook_shows_names_as_text(runs: Path, tmp_path: Path) -> None:
    """Markup and control characters of a model's name are escaped, in every kind of result."""
    for name in ("base", "mine"):
        write_archive(runs / name, tmp_path / f"{name}.zip")
    folder = RunFolder(api.load_run(tmp_path / "mine.zip").record.tasks["gsm8k"].folder.path.parent)
    manifest = folder.require_manifest()
    manifest.candidate = HOSTILE
    folder.write_manifest(manifest)
    one = api.load_run(folder.path)
    shown: list[Any] = [one, api.compare(tmp_path / "base.zip", one), api.gate(runs / "base", one, max_drop=1)]
    for result in (*shown, api.leaderboard(folder.path)):
        html = result._repr_html_()
        assert "<table>" in html
        assert "&lt;script&gt;" in html
        assert not [part for part in ("<script", "\x1b", "\u202e") if part in html]
    assert "\x1b" not in repr(one)


def test_what_does_not_fit_is_said(runs: Path, tmp_path: Path) -> None:
    """Unknown settings, metrics and tasks, too few runs, no or two rules: a usage error with what there is."""
    one = api.load_run(runs / "mine")
    for wrong, told in (
        (lambda: api.evaluate("file:x", "gsm8k", temprature=1), "no setting 'temprature'; it has .*limit"),
        (lambda: api.evaluate("file:x", "gsm8k", track="notes"), "choose one of wandb, mlflow, trackio"),
        (lambda: one.score("win_rate"), "gsm8k exact_match_strict"),
        (lambda: one.examples("ifeval"), "it holds gsm8k"),
        (lambda: api.compare(one), "at least two runs"),
        (lambda: api.gate(runs / "base", one), "one of the two"),
        (lambda: api.gate(runs / "base", one, max_drop=1, policy="gate.toml"), "one of the two"),
        (lambda: api.load_run(tmp_path / "nothing"), "is not there"),
        (lambda: api.leaderboard(runs, task="ifeval"), "none of the runs holds the task 'ifeval'; they hold gsm8k"),
        (lambda: api.leaderboard([]), "nothing to show"),
        (lambda: one.answers("ifeval"), "it holds gsm8k"),
        (lambda: api.import_run("a.json", "outputs", out="x"), "--task is missing"),
        (lambda: api.explain(runs, task="ifeval"), "none of the runs holds"),
        (lambda: api.export(one, "stone", tmp_path / "x"), "is not a format"),
        (lambda: api.plan("gsm8k,math"), "one task at a time"),
        (lambda: api.leaderboard(None), "a run was expected.*got None"),  # type: ignore[arg-type]
        (lambda: api.gate([runs / "base"], one, max_drop=1), "one run was expected here"),  # type: ignore[arg-type]
        (lambda: api.load_run([runs / "base"]), "one run was expected here"),  # type: ignore[arg-type]
        (lambda: api.evaluate(["a", "b"], "gsm8k"), "one run, of one model"),  # type: ignore[arg-type]
        (lambda: api.evaluate("file:x", "gsm8k", limit=-1), "limit=-1 is neither a number of examples"),
        (lambda: api.compare(one, one, adjust="tukey"), "adjustment of p-values 'tukey'.*holm"),  # type: ignore[arg-type]
        (lambda: api.compare(one, one, flips=-1), "cannot show -1 of"),
    ):
        with pytest.raises(UsageError, match=told):
            wrong()


def test_evaluate_takes_plain_values(example_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Paths as text or not, numbers as numbers, tasks one by one or listed; stdout stays empty."""
    answers = f"file:{example_runs / 'answers.jsonl'}"
    given: list[Any] = [["gsm8k"], "gsm8k", Path("gsm8k"), (name for name in ["gsm8k"])]
    for number, tasks in enumerate(given):
        out = tmp_path / f"run-{number}"
        run = api.evaluate(answers, tasks, starter=True, limit=4, out=out, mirrors=tmp_path)
        assert run.score("exact_match_strict").n == 4
    run = api.evaluate(answers, ["gsm8k"], starter=True, limit=4, out=str(tmp_path / "run"))
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["sessions"][0]["argv"] == [
        "judgebench.evaluate"
    ]
    assert capsys.readouterr().out == ""


def test_evaluate_works_where_a_loop_runs_already(example_runs: Path, tmp_path: Path) -> None:
    """As in a notebook, whose cells run inside an event loop."""

    async def cell() -> api.Run:
        answers = f"file:{example_runs / 'answers.jsonl'}"
        return api.evaluate(answers, "gsm8k", starter=True, out=tmp_path / "run", progress=False)

    assert asyncio.run(cell()).status == "complete"
