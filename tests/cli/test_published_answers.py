"""``published:NAME``: a model's published answers are fetched when asked for, verified, and judged like any others."""

import hashlib
import json
from pathlib import Path

import pytest

from judgebench.data.sources import outputs_of, read_outputs
from judgebench.errors import UsageError
from judgebench.models.scripted import ScriptedModel, playing, reply
from judgebench.run.folder import RunFolder
from tests.commands import Command
from tests.own_tasks import own_task
from tests.shared_data import SharedData

BRIDGE = SharedData("bridge")
ALPACAEVAL = Path(__file__).parents[2] / "tasks" / "alpacaeval"


def wins() -> ScriptedModel:
    """A judge that prefers what stands first."""
    return ScriptedModel(lambda request: reply("A", logprobs={"A": -0.1, "B": -2.4}))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task of one's own that pins the answers of the model ``good-1.0``, and a mirror that holds them."""
    task = own_task("alpacaeval", "mine", tmp_path / "mine")
    items = [json.loads(line) for line in (tmp_path / "mine" / "starter.jsonl").read_text().splitlines()]
    answers = json.dumps(
        [{"instruction": item["instruction"], "output": "Fine.", "generator": "example"} for item in items]
    )
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "anything.json").write_text(answers)
    (tmp_path / "mine" / "outputs.toml").write_text(
        'repo = "o/r"\nrevision = "1"\npath = "results/{model}/model_outputs.json"\nlicence = "MIT"\n\n[[model]]\n'
        f'name = "good-1.0"\nsha256 = "{hashlib.sha256(answers.encode()).hexdigest()}"\nbytes = {len(answers)}\n'
    )
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUDGEBENCH_MIRROR", str(tmp_path / "mirror"))
    return task


def test_published_answers_are_judged_under_the_published_name(own: Path, tmp_path: Path, command: Command) -> None:
    """The file calls its model something else; the manifest says which bytes were judged."""
    with playing(wins()) as judge:
        ended = command(
            "eval", "--model", "published:good-1.0", "--tasks", own, "--judge", judge, "--out", tmp_path / "run",
            "--offline", "--quiet",
        )  # fmt: skip
    assert ended.code == 0, ended.err
    manifest = RunFolder(tmp_path / "run").require_manifest()
    assert manifest.candidate == "good-1.0"
    generations = list(RunFolder(tmp_path / "run").task("mine").generations())
    assert {(one.model, one.outputs) for one in generations} == {("good-1.0", ("Fine.",))}
    pinned = read_outputs(own.parent)["good-1.0"]
    assert pinned.place == "o/r@1:results/good-1.0/model_outputs.json"
    assert any(pinned.place in note and pinned.sha256 in note for note in manifest.tasks["mine"].notes)


def test_answers_that_are_not_the_pinned_ones_are_not_judged(own: Path, tmp_path: Path, command: Command) -> None:
    """Nothing else in the mirror counts as them."""
    (tmp_path / "mirror" / "anything.json").write_text("[]")
    ended = command("eval", "--model", "published:good-1.0", "--tasks", own, "--judge", "builtin:tiny", "--offline")
    assert "The official file answers of good-1.0" in ended.paragraph


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "published:good-1", "--judge", "builtin:tiny"), "(did you mean good-1.0?); they are of good-1.0."),
        (("--model", "published:good-1.0", "--judge", "published:good-1.0"), "not a judge"),
        (("--model", "published:", "--judge", "builtin:tiny"), "names nothing after published:"),
        (("--model", "published:good-1.0", "--judge", "builtin:tiny", "--fields", "id=key"), "--fields names"),
        (
            ("--model", "published:good-1.0", "--judge", "builtin:tiny", "--gen", "temperature=1"),
            "would change nothing",
        ),
    ],
)
def test_what_published_answers_cannot_do(
    own: Path, command: Command, arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One paragraph, and no run folder."""
    monkeypatch.chdir(tmp_path)
    ended = command("eval", "--tasks", own, "--offline", *arguments)
    assert says in ended.paragraph
    assert not Path("runs").exists()


def test_published_verdicts_do_where_answers_are_not_pinned(tmp_path: Path) -> None:
    """The refusal says so of a model whose verdicts are here, and of no other model, task or version."""
    offer = "`judgebench compare RUN published:phi-2` needs no answers: it compares a run of alpacaeval@2"
    for model, version, offered in (
        ("phi-2", "alpacaeval@2", True),
        ("nobody", "alpacaeval@2", False),
        ("phi-2", "arenahard@v0.1", False),
        ("phi-2", "", False),
    ):
        for folder in (ALPACAEVAL, tmp_path):
            with pytest.raises(UsageError) as refused:
                outputs_of("alpacaeval", folder, model, version)
            assert (offer in str(refused.value)) is offered
            assert ("compare RUN" in str(refused.value)) is offered


def test_fetching_for_no_task_or_for_one_without_published_answers_is_refused(command: Command) -> None:
    """Both say what to do."""
    assert "name it before the flag" in command("data", "fetch", "--models", "gpt4").paragraph
    said = command("data", "fetch", "gsm8k", "--models", "gpt4").paragraph
    assert "no published answers of models are pinned for gsm8k" in said
    assert "file:answers.json" in said


def test_every_pinned_model_has_a_row_in_the_published_table() -> None:
    """By the same name, so that a run of its answers has an official number."""
    from judgebench.analysis.published import published_rows

    published = {row.model for row in published_rows("alpacaeval@2")}
    pinned = read_outputs(ALPACAEVAL)
    assert len(pinned) >= 10
    assert pinned.keys() <= published


def test_models_are_fetched_by_name(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those and no other file; afterwards the cache has them, and one of them can be judged without a mirror."""
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(tmp_path))
    mirror = ("--mirror", BRIDGE / "outputs")
    ended = command("data", "fetch", "alpacaeval", "--models", "alpaca-7b,gpt4", *mirror, "--offline")
    assert ended.code == 0, ended.err
    first, second = ended.out.splitlines()
    assert first.startswith("alpacaeval answers of alpaca-7b: 539,271 bytes from mirror, sha256 21048628f20187")
    assert second.startswith("alpacaeval answers of gpt4: 1,329,994 bytes from mirror, sha256 9c5149c146fadc")
    again = command("data", "fetch", "alpacaeval", "--models", "alpaca-7b", "--offline")
    assert "539,271 bytes from cache" in again.out
    assert sorted(path.stat().st_size for path in tmp_path.glob("sources/*/*")) == [539_271, 1_329_994]


def test_the_list_of_a_tasks_files_says_whose_answers_there_are() -> None:
    """On a terminal, below the files."""
    from tests.cli.test_tasks_and_data_lists import shown

    text = " ".join(shown("data", "list", "alpacaeval", columns=100).text.split())
    assert "data fetch T --models A,B; eval --model published:A): alpaca-7b, claude-2.1, cohere," in text
