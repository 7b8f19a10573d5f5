"""How a task is named and found."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from judgebench import tasks
from judgebench.errors import UsageError
from judgebench.tasks import TaskSpec, parse_specs
from tests.installed import install

PLUGIN = '''
"""A task of another package."""
from judgebench.task.metric import Metric
from judgebench.records import Sampling
from judgebench.task import Task, TaskData


def task(version, options, *, starter=False):
    """A task without examples."""
    return Task(
        name="{name}", version=version or "1", options=options, metrics=(Metric(name="score"),), judge_models={{}},
        sampling=Sampling(), official_examples=0, starter=starter,
        load=lambda fetch: TaskData(examples=(), baselines={{}}, judges={{}}),
        cases=lambda data, generation: (), score=lambda data, generations, judgements: [],
    )
'''


Install = Callable[[str, str, str], None]


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with a module ``PACKAGE_plugin`` and its entry points."""
    monkeypatch.syspath_prepend(tmp_path)
    return lambda package, points, code: install(tmp_path, package, tasks.ENTRY_POINTS, points, code)


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("alpacaeval", [TaskSpec("alpacaeval")]),
        ("alpacaeval@1", [TaskSpec("alpacaeval", "1")]),
        ("arena@v0.1,math", [TaskSpec("arena", "v0.1"), TaskSpec("math")]),
        ("a:x=1,y=2,b", [TaskSpec("a", None, {"x": "1", "y": "2"}), TaskSpec("b")]),
        ("a:x=1,b:y=2", [TaskSpec("a", None, {"x": "1"}), TaskSpec("b", None, {"y": "2"})]),
        ("a@2:x=1", [TaskSpec("a", "2", {"x": "1"})]),
        ("a:place=http://h:1/v1", [TaskSpec("a", None, {"place": "http://h:1/v1"})]),
        (" a , b ,", [TaskSpec("a"), TaskSpec("b")]),
        ("./bench/task.py", [TaskSpec("./bench/task.py")]),
        ("a:", [TaskSpec("a")]),
    ],
)
def test_specs_are_parsed(text: str, specs: list[TaskSpec]) -> None:
    """NAME[@VERSION][:KEY=VALUE,…], several with commas between them."""
    assert parse_specs(text) == specs


@pytest.mark.parametrize("text", ["", ",", "@2", "a@", "a:x", ":x=1"])
def test_a_spec_that_cannot_be_read_is_refused(text: str) -> None:
    """The message quotes the flag."""
    with pytest.raises(UsageError, match="--tasks"):
        parse_specs(text)


def test_a_command_for_one_task_refuses_two() -> None:
    """Options with commas are one task; two tasks are an error."""
    assert tasks.parse_one_spec("a:x=1,y=2") == TaskSpec("a", None, {"x": "1", "y": "2"})
    with pytest.raises(UsageError, match="'a,b' names 2 tasks"):
        tasks.parse_one_spec("a,b")


def test_an_unknown_task_is_answered_with_the_known_ones() -> None:
    """A misspelt name is a usage error that lists what there is; of a path, only that there is no such file."""
    with pytest.raises(UsageError, match=r"'alpacaevil'.*known tasks:.*alpacaeval"):
        tasks.load(TaskSpec("alpacaevil"))
    with pytest.raises(UsageError, match=r"the task ./nowhere/task\.py cannot be read: there is no such"):
        tasks.load(TaskSpec("./nowhere/task.py"))


def test_a_name_is_no_path() -> None:
    """A task's name cannot leave the folder of tasks."""
    for name in ("../judgebench", "..", ".", "alpacaeval/../alpacaeval", "/etc"):
        with pytest.raises(UsageError, match=r"no task is called|is no benchmark|there is no such file"):
            tasks.load(TaskSpec(name))


def test_listing_imports_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """``names()`` looks at folders and metadata only."""
    for name in [name for name in sys.modules if name.startswith("judgebench.tasks.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "alpacaeval" in tasks.names()
    assert not [name for name in sys.modules if name.startswith("judgebench.tasks.")]


def test_an_installed_package_brings_a_task(bring: Install) -> None:
    """An entry point is listed beside the bundled tasks, and its files lie beside its module."""
    bring("mypkg", "mine = mypkg_plugin:task", PLUGIN.format(name="mine"))
    assert {"alpacaeval", "mine"} <= set(tasks.names())
    task, place = tasks.load(TaskSpec("mine", "3"))
    assert task.label == "mine@3"
    assert (place / "mypkg_plugin.py").is_file()


def test_a_broken_package_hides_no_other_task(bring: Install) -> None:
    """A plug-in that cannot be imported is listed, fails loudly when it is chosen, and only then."""
    bring("broken", "broken = broken_plugin:task", "import a_module_that_is_not_there")
    assert {"alpacaeval", "broken"} <= set(tasks.names())
    tasks.load(TaskSpec("alpacaeval"), starter=True)
    with pytest.raises(UsageError, match=r"'broken' cannot be loaded: ModuleNotFoundError"):
        tasks.load(TaskSpec("broken"))


@pytest.mark.parametrize("name", ["alpacaeval", "twice"])
def test_a_name_taken_twice_names_both_owners(bring: Install, name: str) -> None:
    """Two packages, or a package and this program, cannot define one name; other tasks can still be loaded."""
    bring("first", f"{name} = first_plugin:task", PLUGIN.format(name=name))
    bring("second", f"{name} = second_plugin:task", PLUGIN.format(name=name))
    for ask in (tasks.names, lambda: tasks.load(TaskSpec(name))):
        with pytest.raises(UsageError, match=rf"two packages define the task '{name}'") as raised:
            ask()
        owners = ["first_plugin:task", "second_plugin:task", *(["bundled"] if name == "alpacaeval" else [])]
        assert all(owner in str(raised.value) for owner in owners)
    if name != "alpacaeval":
        tasks.load(TaskSpec("alpacaeval"), starter=True)


def test_a_file_is_a_task(tmp_path: Path) -> None:
    """A path to a task.py runs without being installed; its folder holds its files."""
    path = tmp_path / "bench" / "task.py"
    path.parent.mkdir()
    path.write_text(PLUGIN.format(name="from_file"))
    task, place = tasks.load(parse_specs(str(path))[0])
    assert task.label == "from_file@1"
    assert place == path.parent


def test_a_folder_is_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path to a folder stands for its task.py; a name without a slash never is a folder."""
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "task.py").write_text(PLUGIN.format(name="from_folder"))
    monkeypatch.chdir(tmp_path)
    task, place = tasks.load(parse_specs("./bench@2")[0])
    assert (task.label, place) == ("from_folder@2", tmp_path / "bench")
    assert tasks.folders_elsewhere("./bench,bench/task.py,gsm8k") == (tmp_path / "bench",) * 2
    with pytest.raises(UsageError, match="no task is called 'bench'"):
        tasks.load(TaskSpec("bench"))


def test_the_folders_of_installed_tasks_are_known_without_importing_them(bring: Install) -> None:
    """Those of packages that cannot be found are left out."""
    bring("mypkg", "mine = mypkg_plugin:task", PLUGIN.format(name="mine"))
    bring("lost", "lost = nowhere.at_all:task", "")
    sys.modules.pop("mypkg_plugin", None)
    (found,) = tasks.folders_elsewhere("")
    assert (found / "mypkg_plugin.py").is_file()
    assert "mypkg_plugin" not in sys.modules


def test_a_file_that_is_no_task_is_named(tmp_path: Path) -> None:
    """A syntax error, or a missing ``task`` function, is one paragraph with the path."""
    for text in ("def task(:", "x = 1"):
        path = tmp_path / "task.py"
        path.write_text(text)
        with pytest.raises(UsageError, match=r"task\.py' cannot be loaded: (SyntaxError|AttributeError)"):
            tasks.load(TaskSpec(str(path)))


def test_a_printed_command_names_a_task_and_its_file_by_one_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run with several tasks: the file of the one that is meant, and its name, which limits the command to it."""
    monkeypatch.chdir(Path(__file__).parents[1] / "fixtures")
    assert tasks.on_task("run", "sums", "./sums,./shopnames") == "run --task ./sums,sums"
    assert tasks.chosen_tasks(["./sums,sums"]) == ("sums", "./sums")
    assert tasks.on_task("run", "gsm8k", "./sums") == "run --task gsm8k"
