"""The table of backends: every row can be named, a package adds one with a file, and a broken one is told by name."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.judges.orders import seeded_switch
from judgebench.models import OpenSettings
from judgebench.models.opening import backends, open_model, parse_model, price_of
from judgebench.tasks import TaskSpec
from tests.commands import judgebench
from tests.installed import install
from tests.processes import judgebench_process, scores_of

ROOT = Path(__file__).parents[3]
ECHO = '''
"""A backend of another package."""

import math

from judgebench.models import Backend
from judgebench.models.scripted import ScriptedModel, reply


def open_model(target, settings, *, answer="none"):
    """A judge of AlpacaEval's that likes the first answer, or a candidate that says one number."""
    if target == "judge":
        odds = {"A": math.log(0.9), "B": math.log(0.1)}
        return ScriptedModel(lambda request: reply("A", logprobs=odds), name="likes-the-first")
    return ScriptedModel(lambda request: f"The answer is {answer}.", name=target)


BACKEND = Backend(name="echo", spelling="echo:NAME", open=open_model, arguments={"answer": str})
'''
WITHOUT_ENGINES = """
import sys


class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "vllm"):
            raise ImportError(name)


sys.meta_path.insert(0, Refusing())
from judgebench.cli import main

main()
"""
Install = Callable[[str], None]


def expected_win_rate() -> float:
    """Of a candidate judged by ECHO's judge: 0.9 where its answer comes first, else 0.1."""
    task, _ = tasks.load(TaskSpec("alpacaeval"), starter=True)
    first = [seeded_switch("is_switched_outputs" + one.instruction) for one in task.load(lambda _: b"").examples]
    return 100 * sum(0.9 if candidate_first else 0.1 for candidate_first in first) / len(first)


def test_a_backend_is_one_file_with_an_entry_point(tmp_path: Path) -> None:
    """Installed beside judgebench, in a process that knows nothing else of it, it answers GSM8K's questions and judges
    AlpacaEval's answers; both scores are those computed on paper.
    """
    install(tmp_path, "echo", backends.ENTRY_POINTS, "echo = echo_plugin:BACKEND", ECHO)
    examples = tasks.load(TaskSpec("gsm8k"), starter=True)[0].load(lambda _: b"").examples
    gold = examples[0].meta["gold"]
    right = sum(example.meta["gold"] == gold for example in examples)
    common = ["eval", "--model", "echo:parrot", "--model-arg", f"answer={gold}", "--starter", "--json"]
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    answered = judgebench_process([*common, "--tasks", "gsm8k", "--out", tmp_path / "answered"], **environment)
    values = {score["metric"]: score["value"] for score in scores_of(answered)}
    assert values["exact_match_flexible"] == pytest.approx(100 * right / len(examples))
    judged = judgebench_process(
        [*common, "--tasks", "alpacaeval", "--judge", "echo:judge", "--out", tmp_path / "judged"], **environment
    )
    (win_rate,) = (score for score in scores_of(judged) if (score["metric"], score["group"]) == ("win_rate", None))
    assert win_rate["value"] == pytest.approx(expected_win_rate())
    manifest = json.loads((tmp_path / "judged" / "manifest.json").read_text())
    assert (manifest["candidate"], manifest["candidate_spec"]) == ("parrot", "echo:parrot")


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package whose entry point ``mine`` leads to the BACKEND of a module with this code."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_plugin", raising=False)
    return lambda code: install(tmp_path, "mine", backends.ENTRY_POINTS, "mine = mine_plugin:BACKEND", code)


def mine(more: str) -> str:
    """Code of a module that defines the backend ``mine``, with more arguments."""
    return (
        "from judgebench.models import Backend\nfrom judgebench.models.scripted import ScriptedModel\n"
        f"BACKEND = Backend(name='mine', spelling='mine:NAME', {more})\n"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import a_module_that_is_not_there", "cannot be loaded: ModuleNotFoundError"),
        ("raise SystemExit(0)", "cannot be loaded: SystemExit"),
        ("BACKEND = 3", r"cannot be loaded: .* mine_plugin:BACKEND is 3"),
        (mine("open=None").replace("'mine'", "'yours'"), "cannot be loaded: .* of the same name"),
        (mine("open=lambda target, settings: 1 / 0"), "cannot open mine:x: ZeroDivisionError"),
        (mine("open=lambda target, settings: exit()"), "cannot open mine:x: SystemExit"),
        (mine("open=lambda target, settings: object()"), "lacks name, identity, local, retries, complete, render"),
        (mine("open=lambda target, settings: ScriptedModel([], local=True)"), "local=False.*local=True"),
        (
            mine("open=lambda target, settings: ScriptedModel([], identity={'a': 1})"),
            "texts, but .* identity is {'a': 1}",
        ),
    ],
)
def test_a_broken_backend_is_told_by_name(bring: Install, code: str, said: str) -> None:
    """When it is chosen, in one line; it is listed before, and hides no other."""
    bring(code)
    assert {"mine", *backends.BUNDLED} <= set(backends.names())
    assert parse_model("openai:gpt")[0].backend is backends.OPENAI
    with pytest.raises(UsageError, match=r"mine:… \(installed\)"):
        parse_model("unheard-of:x")
    with pytest.raises(UsageError, match=said) as raised:
        open_model(parse_model("mine:x")[0], OpenSettings())
    assert "'mine'" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_backend_says_what_it_takes(bring: Install) -> None:
    """Its arguments are read by its own rules, and what is not said has its default: not local, of unknown price."""
    bring(mine("open=lambda target, settings, n: ScriptedModel([], name=f'{target}{n}'), arguments={'n': int}"))
    spec, _ = parse_model("mine:x")
    assert open_model(spec, OpenSettings(arguments={"n": "7"})).name == "x7"
    with pytest.raises(UsageError, match="takes no argument 'm'; it takes n, usd_per_million"):
        open_model(spec, OpenSettings(arguments={"m": "7"}))
    with pytest.raises(UsageError, match="n=many of mine:x is not valid"):
        open_model(spec, OpenSettings(arguments={"n": "many"}))
    with pytest.raises(UsageError, match="mine:x runs elsewhere"):
        open_model(spec, OpenSettings(replicas=2))
    assert price_of(spec, {}) is None
    assert not spec.local
    assert not spec.backend.trusts("x")


def test_no_package_takes_the_place_of_a_bundled_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And two packages that define one name are both named."""
    monkeypatch.syspath_prepend(tmp_path)
    points = "openai = {0}_plugin:BACKEND\ntwice = {0}_plugin:BACKEND"
    for package in ("first", "second"):
        install(tmp_path, package, backends.ENTRY_POINTS, points.format(package), "raise SystemExit(3)")
    assert parse_model("openai:gpt")[0].backend is backends.OPENAI
    with pytest.raises(UsageError, match="two packages define the backend 'twice'") as raised:
        parse_model("twice:x")
    assert {"first_plugin:BACKEND", "second_plugin:BACKEND"} <= set(re.findall(r"\w+:BACKEND", str(raised.value)))


def test_a_package_with_a_damaged_list_hides_no_other(bring: Install, tmp_path: Path) -> None:
    """One whose entry points cannot be read brings none; the others are found, tasks as well as backends."""
    install(tmp_path, "damaged", backends.ENTRY_POINTS, "there is no equals sign", "")
    bring(mine("open=lambda target, settings: ScriptedModel([], name=target)"))
    assert "mine" in backends.names()
    assert open_model(parse_model("mine:x")[0], OpenSettings()).name == "x"
    assert "gsm8k" in tasks.names()


def test_doctor_names_what_cannot_be_used(tmp_path: Path) -> None:
    """Each backend of another package has a row; one that is broken, or called as ours are, has what mends it."""
    install(tmp_path, "echo", backends.ENTRY_POINTS, "echo = echo_plugin:BACKEND", ECHO)
    install(tmp_path, "broken", backends.ENTRY_POINTS, "odd = broken_plugin:BACKEND\nhf = broken_plugin:HF", "1 / 0")
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "JUDGEBENCH_CACHE": str(tmp_path)}
    shown = {row["check"]: row for row in json.loads(judgebench_process(["doctor", "--json"], **environment).stdout)}
    assert shown["backend echo"] == {"check": "backend echo", "found": "of echo", "mend": ""}
    assert "'odd' cannot be loaded: ZeroDivisionError" in shown["backend odd"]["found"]
    assert "never used" in shown["backend hf"]["found"]
    assert shown["backend odd"]["mend"] == shown["backend hf"]["mend"] == "pip uninstall broken"


def test_the_help_lists_every_backend() -> None:
    """As its specs are spelt; but for the one that is for tests."""
    shown = " ".join(judgebench(["eval", "--help"], COLUMNS="1000").stdout.split())
    vendors = f"VENDOR:NAME ({', '.join(sorted(backend.name for backend in backends.VENDORS.values()))})"
    assert vendors in shown
    for backend in (backends.CHECKPOINT, *backends.BUNDLED.values()):
        if backend not in (backends.SCRIPTED, *backends.VENDORS.values()):
            assert backend.spelling.partition(" (")[0] in shown


def test_the_table_imports_nothing_heavy() -> None:
    """Reading a model spec needs neither an engine nor a client of HTTP, and nor does a served model until it is asked:
    its verdicts may all be stored.
    """
    heavy = ["torch", "transformers", "vllm", "ray", "aiohttp", "huggingface_hub", "pandas", "scipy"]
    code = (
        "import sys, judgebench.models.http.model; from judgebench.models.opening import parse_model; "
        f"parse_model('org/name'); parse_model('openai:gpt'); print([name for name in {heavy} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize(
    ("spec", "code", "said"),
    [
        ("./absent", 2, "no checkpoint folder ./absent"),
        ("hf:./absent", 2, "no checkpoint folder ./absent"),
        ("nobody/nothing", 6, "nobody/nothing cannot be opened"),
        ("hf:nobody/nothing", 6, "nobody/nothing cannot be opened"),
        ("builtin:huge", 2, "no built-in model 'builtin:huge'"),
        ("unheard-of:x", 2, "'unheard-of:x' is not one of"),
        ("openai:gpt-4o", 2, "OPENAI_API_KEY is not set"),
        ("anthropic:claude", 2, "ANTHROPIC_API_KEY is not set"),
        ("http://127.0.0.1:99999/v1#m", 2, "is not the address of a server"),
        ("http://127.0.0.1:1/v1#m", 6, "cannot be reached"),
    ],
)
def test_a_wrong_model_is_told_before_an_engine_is_imported(tmp_path: Path, spec: str, code: int, said: str) -> None:
    """A wrong name, a bad port, a missing key: in a process in which torch and transformers cannot be imported."""
    arguments = ["eval", "--model", spec, "--tasks", "gsm8k", "--starter", "--out", str(tmp_path / "run")]
    if spec.startswith("http"):
        arguments += ["--model-arg", "max_attempts=1"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_ENGINES, *arguments],
        env={**environment, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False)
    assert said in ended.stderr
