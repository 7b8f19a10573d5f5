"""``--config`` takes every flag of a command from a TOML file, and ``--write-config`` writes such a file."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from judgebench.cli import loaded
from judgebench.models.opening.backends import without_credentials
from judgebench.redaction import KEY_LIKE
from judgebench.run.config_files import flags_as_toml
from judgebench.run.folder import RunFolder
from judgebench.run.settings import ASKING, FLAGS, settings_from_flags
from judgebench.tasks import read_selection

from ..commands import Command, judgebench
from .test_where import BY_JUDGE, models  # noqa: F401 - a fixture

NOT_SETTINGS = ("config", "write_config", "help", "run")


built = cache(loaded)
"""Commands, each built once."""


def parsed(command: str, *words: str) -> dict[str, Any]:
    """What a command gets of its flags."""
    run = ["RUN"] if command == "judge" else []
    return dict(built(command).make_context(command, [*run, *words]).params)


def kind(parameter: Any) -> Any:
    """The type of a flag's value on the command line."""
    return FLAGS[parameter.name].typed if parameter.name in FLAGS else str


def example(parameter: Any) -> tuple[str, list[str]]:
    """A value of a flag in TOML, and as words of a command line."""
    flag = parameter.opts[-1]
    if parameter.is_flag:
        return "true", [flag]
    if parameter.multiple:
        return '["a=1", "b=2"]', [flag, "a=1", flag, "b=2"]
    if kind(parameter) in (int, int | None):
        return "7", [flag, "7"]
    if kind(parameter) in (float, float | None):
        return "1.5", [flag, "1.5"]
    return '"some text"', [flag, "some text"]


@pytest.mark.parametrize("command", ASKING)
def test_a_file_mirrors_every_flag(command: str, tmp_path: Path) -> None:
    """With dashes or underscores; each gives what the flag gives."""
    flags = [one for one in built(command).params if one.param_type_name == "option" and one.name not in NOT_SETTINGS]
    assert len(flags) > 10
    for parameter in flags:
        written, words = example(parameter)
        for key in {str(parameter.name), parameter.opts[0].removeprefix("--")}:
            path = tmp_path / f"{key}.toml"
            path.write_text(f"{key} = {written}\n")
            found = parsed(command, "--config", str(path))
            assert found[str(parameter.name)] == parsed(command, *words)[str(parameter.name)], key


def test_a_list_is_what_several_flags_are_and_a_table_holds_pairs(tmp_path: Path) -> None:
    """Tasks are one text with commas. A setting may also be called as in Python."""
    path = tmp_path / "run.toml"
    path.write_text(
        'model = ["a", "b"]\ntasks = ["alpacaeval", "mtbench:mode=pairwise"]\njudges = ["x", "y"]\n'
        'baseline = ["one", "two"]\nwhere = {category = "math"}\nlimit = 0.1\nstarter = true\n'
        "gen = {temperature = 0.7, top_p = 0.95}\nmodel_args = {enforce_eager = true}\nmirrors = '/m'\n"
    )
    found = parsed("eval", "--config", str(path))
    words = "--model a --model b --tasks alpacaeval,mtbench:mode=pairwise --judge x --judge y --baseline one "
    words += "--baseline two "
    words += "--where category=math --limit 0.1 --starter --gen temperature=0.7 --gen top_p=0.95 "
    words += "--model-arg enforce_eager=true --mirror /m"
    expected = parsed("eval", *words.split())
    assert {**found, "config": None} == {**expected, "config": None}
    assert parsed("eval", "--config", str(path), "--limit", "3")["limit"] == "3"


def test_one_file_serves_all_three_commands(tmp_path: Path, command: Command) -> None:
    """Flags that a command does not have are named in a note."""
    (tmp_path / "run.toml").write_text(
        'model = "m"\ntasks = "gsm8k"\njudge = "j"\nstop_when = "ci<2"\ntrack = ["mlflow"]\n'
    )
    assert parsed("generate", "--config", str(tmp_path / "run.toml"))["model"] == ["m"]
    assert parsed("judge", "--config", str(tmp_path / "run.toml"))["judge"] == ["j"]
    ended = command("judge", tmp_path / "none", "--config", tmp_path / "run.toml")
    assert "`judgebench judge` has no use for model, stop_when, track" in ended.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modle = 'x'", "there is no flag --modle (did you mean model?)"),
        ("config = 'x'", "there is no flag --config"),
        ("write_config = 'x'", "there is no flag --write-config"),
        ("judge = 'a'\njudges = 'b'", "judges is another name for a key that is there already"),
        ("model = true", "model = true, but --model takes a value"),
        ("limit = [1, 2]", "limit is given once, so it cannot be a list or a table"),
        ("tasks = [['a']]", "tasks must be a text, a number, true or false"),
        ("gen = {a = {b = 1}}", "gen must be a text, a number"),
        ("budget = 1e300", "budget = 1e+300 is no number that could be meant"),
        ("limit = 1979-05-27", "limit must be a text, a number"),
        ("limit = ", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(command: Command, tmp_path: Path, text: str, says: str) -> None:
    """One paragraph with the file and the key."""
    (tmp_path / "run.toml").write_text(text)
    assert says in command("eval", "--config", tmp_path / "run.toml").paragraph


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=12).filter(
    lambda text: without_credentials(text) == text and not KEY_LIKE.search(text)
)
KEYS = st.text("abc-._ ", min_size=1, max_size=4).filter(lambda key: key.strip() == key)


def values_of(parameter: Any) -> st.SearchStrategy[list[str]]:
    """Values of a flag as they are typed, one for each time it is given."""
    name = str(parameter.name)
    if parameter.is_flag:
        return st.just([""])
    if name == "tasks":
        return st.sampled_from([["gsm8k"], ["alpacaeval,mtbench@1:mode=pairwise,strict=true"], ["./mine/task.py"]])
    if name in ("model", "judge"):
        specs = ("hf:org/name", "file:two words.json", 'http://host:80/v1#"name"', "builtin:tiny", "ckpt/step_*")
        return st.lists(st.sampled_from(specs), min_size=1, max_size=3)
    if kind(parameter) in (int, int | None):
        return st.integers(1, 10**6).map(lambda value: [str(value)])
    if kind(parameter) in (float, float | None):
        return st.floats(1, 1e6).map(lambda value: [repr(value)])
    if name == "limit":
        return st.one_of(st.integers(1, 10**6), st.floats(1e-9, 1, exclude_max=True)).map(lambda value: [repr(value)])
    if name in ("gen", "judge_gen", "model_arg", "judge_arg", "dear_arg", "fields"):
        numbers = st.one_of(
            st.integers().map(str), st.floats(allow_nan=False).map(repr), st.sampled_from(["007", "1e5"])
        )
        return st.lists(st.tuples(KEYS, st.one_of(TEXTS, numbers)).map("=".join), min_size=1, max_size=3)
    return st.lists(TEXTS, min_size=1, max_size=3 if parameter.multiple else 1)


FLAGS_OF_EVAL = [one for one in built("eval").params if one.name in FLAGS]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional={str(one.name): values_of(one) for one in FLAGS_OF_EVAL}))
def test_what_is_written_is_read_back_as_the_same_flags(tmp_path: Path, chosen: dict[str, list[str]]) -> None:
    """Whatever the flags are: quotes, line ends, controls, digits with zeros in front, numbers of any size."""
    words = []
    for parameter in FLAGS_OF_EVAL:
        for value in chosen.get(str(parameter.name), []):
            words.append(parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]}={value}")
    typed = {name: value for name, value in parsed("eval", *words).items() if name in FLAGS}
    written = flags_as_toml("eval", typed)
    assert not written.withheld
    path = tmp_path / "written.toml"
    path.write_bytes(written.text.encode())
    again = {name: value for name, value in parsed("eval", "--config", str(path)).items() if name in FLAGS}
    assert meaning(again) == meaning(typed)


def meaning(given: dict[str, Any]) -> dict[str, Any]:
    """Flags, with what a limit means instead of how it is spelt, and pairs in the form of a mapping."""
    limit = FLAGS["limit"].parsed(given["limit"])
    names = ("gen", "judge_gen", "model_arg", "judge_arg", "dear_arg")
    pairs = {name: dict(text.split("=", 1) for text in given[name]) for name in names}
    return {**given, **pairs, "limit": limit}


def test_every_flag_stands_in_the_file(tmp_path: Path) -> None:
    """Those at their defaults as comments, which are valid when the placeholders are replaced."""
    text = flags_as_toml("eval", parsed("eval", "--tasks", "gsm8k", "--model", "m")).text
    assert tomllib.loads(text) == {"model": "m", "tasks": "gsm8k"}
    commented = {line.removeprefix("# ").partition(" = ")[0] for line in text.splitlines() if " = " in line}
    assert {name for name, one in FLAGS.items() if one.flag and "eval" in one.flag.commands} <= commented
    assert all(len(line) <= 120 for line in text.splitlines())


def test_a_run_from_the_written_file_is_the_same_run(
    models: Any,  # noqa: F811 - the fixture
    tmp_path: Path,
    command: Command,
) -> None:
    """The file says how to start it; the run has the protocol and the inputs of the flags."""
    flags = ["--model", "scripted:candidate", "--tasks", "mtbench", *BY_JUDGE, "--starter", "--where", "category=math"]
    flags += ["--gen", "temperature=0.7", "--limit", "0.5"]
    written = command("eval", *flags, "--write-config", tmp_path / "run.toml")
    assert f"start it with: judgebench eval --config {tmp_path / 'run.toml'}" in written.out
    assert not models[0].asked
    judgebench(["eval", *flags, "--out", tmp_path / "a", "--quiet"])
    judgebench(["eval", "--config", tmp_path / "run.toml", "--out", tmp_path / "b", "--quiet"])
    first, second = (RunFolder(tmp_path / name).require_manifest() for name in "ab")
    assert (first.protocol_hash, first.input_hash) == (second.protocol_hash, second.input_hash)


def test_what_is_no_setting_is_refused_before_a_file_is_written(tmp_path: Path, command: Command) -> None:
    """And a file that is there is kept."""
    path = tmp_path / "run.toml"
    flags = ("--model", "m", "--tasks", "gsm8k", "--write-config", path)
    assert "no number of examples" not in command("eval", *flags, "--limit", "0").err
    assert not path.exists()
    path.write_text("mine")
    assert "the file is there already" in command("eval", *flags).paragraph
    assert path.read_text() == "mine"
    assert "cannot be written" in command("eval", *flags[:-1], tmp_path / "none" / "run.toml").paragraph


@pytest.mark.parametrize("flag", ["--model", "--judge"])
@pytest.mark.parametrize(
    "value", ["http://me:secret@host/v1#name", "http://host/v1?key=secret#name", "openai:sk-abcdefgh12345"]
)
def test_secrets_are_not_written(tmp_path: Path, command: Command, flag: str, value: str) -> None:
    """A key in an address, or anything that looks like one: the file says what is missing, and so does stderr."""
    flags = {"--model": "m", "--tasks": "mtbench", flag: value}
    ended = command("eval", *[word for pair in flags.items() for word in pair], "--write-config", tmp_path / "run.toml")
    assert ended.code == 0, ended.err
    text = (tmp_path / "run.toml").read_text()
    assert "secret" not in text
    assert "abcdefgh" not in text
    assert f"# {flag[2:]} holds a password or a key, which is not written" in text
    assert f"{flag[2:]} holds a password or a key and was not written" in ended.err


def test_the_file_in_the_manual_can_be_used(tmp_path: Path) -> None:
    """Its keys are flags, and its groups and lists are read as they are meant."""
    page = (Path(__file__).parents[2] / "docs" / "running.md").read_text()
    text = "# run.toml" + page.partition("# run.toml")[2].partition("```")[0]
    (tmp_path / "run.toml").write_text(text)
    found = {
        name: value for name, value in parsed("eval", "--config", str(tmp_path / "run.toml")).items() if name in FLAGS
    }
    made = settings_from_flags(found | {"model": None, "refine": ()})
    assert made.tasks == "alpacaeval,mtbench"
    assert read_selection(made.where, "--where").clauses[1].values == ("math", "coding")
    assert (made.limit, made.gen["top_p"], made.budget) == (0.5, "0.95", 15)


def test_settings_of_a_file_are_those_of_the_flags(tmp_path: Path) -> None:
    """After parsing, too."""
    words = [
        "--model",
        "m",
        "--tasks",
        "gsm8k",
        "--limit",
        "0.25",
        "--gen",
        "temperature=0.70",
        "--think-tags",
        "<a>,</a>",
    ]
    typed = {name: value for name, value in parsed("eval", *words).items() if name in FLAGS}
    (tmp_path / "run.toml").write_text(flags_as_toml("eval", typed).text)
    again = parsed("eval", "--config", str(tmp_path / "run.toml"))
    flags = {"model": None, "refine": ()}
    assert settings_from_flags({**typed, **flags}) == settings_from_flags(
        {name: value for name, value in again.items() if name in FLAGS} | flags
    )
