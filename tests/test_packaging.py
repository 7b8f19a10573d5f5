"""The program is found whole however it was installed: wheel, sdist to wheel, editable, or a bare checkout."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.shared_data import SharedData

ROOT = Path(__file__).parents[1]
FOLDERS = ("judgebench", "tasks", "templates", "leaderboards", "tests", "benchmarks", "scripts")
DATA = ("tasks", "templates", "leaderboards")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "_data")
OF_ROOT = {
    *("CHANGELOG.md", "CITATION.cff", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md"),
    *("SECURITY.md", "action.yml", "conftest.py"),
    *("constraints-vllm.txt", "constraints.txt", "mkdocs.yml", "pyproject.toml"),
}
"""The files of the checkout's own folder, but for hidden ones."""
WHERE = """
import json
from judgebench import __file__, __version__
from importlib.metadata import version
from judgebench import tasks
from judgebench.data.prompts import HousePrompt
from judgebench.data.resources import resource
HousePrompt(tasks.folder("alpacaeval") / "pairwise_label.j2")
print(json.dumps([__file__, *(str(resource(name)) for name in ("tasks", "templates", "leaderboards"))]))
"""


def run(*command: str | Path, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Standard output of a command that must succeed, started without the paths of this process."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))
    }
    found = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    return found.stdout


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an sdist has no history")
def test_no_stray_file_is_tracked_beside_the_folders() -> None:
    """What a command wrote into the working directory by its default is not committed."""
    tracked = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    assert {name for name in tracked if name and "/" not in name and not name.startswith(".")} == OF_ROOT


def build(project: Path, target: str, out: Path) -> Path:
    """The wheel or sdist that hatchling builds of a project, without the network."""
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out, cwd=project)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder far from the checkout."""
    return tmp_path_factory.mktemp("packaging")


@pytest.fixture(scope="module")
def project(work: Path) -> Path:
    """A copy of the checkout: what is built leaves nothing in it, and what lies around it is not picked up."""
    copy = work / "project"
    copy.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=IGNORED)
    for path in ROOT.iterdir():
        if path.is_file() and (path.suffix in (".md", ".toml", ".txt") or path.name in ("LICENSE", "Makefile")):
            shutil.copy(path, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(project: Path, work: Path) -> Path:
    """The wheel."""
    return build(project, "wheel", work / "wheel")


@pytest.fixture(scope="module")
def sdist(project: Path, work: Path) -> Path:
    """The source distribution."""
    return build(project, "sdist", work / "sdist")


def environment(folder: Path, *install: str | Path) -> Path:
    """Python of a fresh environment with something installed in it, the dependencies lent by this one.

    Lent by a path in a ``.pth`` file: such a folder's own ``.pth`` files, an editable judgebench among them, are not
    followed, and what is installed in the fresh environment comes before it.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    if install:
        pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install")
        run(*pip, "--quiet", "--no-deps", "--no-index", "--no-build-isolation", *install, cwd=folder)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=scheme))
    lent = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    (site / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    return python


def works(python: Path, home: Path, package: Path, data: Path, **variables: str) -> None:
    """The commands that need bundled files find them, and find the copies that belong to this installation."""
    (home / "elsewhere").mkdir(exist_ok=True)

    def ask(*arguments: str) -> str:
        return run(
            python, *arguments, cwd=home / "elsewhere", environment={**variables, "PYTHONDONTWRITEBYTECODE": "1"}
        )

    found, *folders = (Path(path) for path in json.loads(ask("-c", WHERE)))
    assert found.resolve() == (package / "__init__.py").resolve()
    assert [folder.resolve() for folder in folders] == [(data / name).resolve() for name in DATA]
    assert "alpacaeval" in ask("-m", "judgebench", "tasks", "list").split()
    assert "alpacaeval@2" in ask("-m", "judgebench", "tasks", "info", "alpacaeval")
    table = ask(
        "-m", "judgebench", "leaderboard", "--published", "--task", "alpacaeval@2", "--format", "csv"
    ).splitlines()
    assert table[0].startswith("task,")
    assert len(table) > 200


def site_of(python: Path) -> Path:
    """Where an environment keeps its packages."""
    (found,) = (python.parents[1] / "lib").glob("python3*/site-packages")
    return found


def test_the_wheel_works(wheel: Path, work: Path) -> None:
    """Its data lie under ``judgebench/_data``, and the ``judgebench`` command is there."""
    python = environment(work / "from-wheel", wheel)
    package = site_of(python) / "judgebench"
    works(python, work, package, package / "_data")
    assert "alpacaeval" in run(python.parent / "judgebench", "tasks", "list", cwd=work)


def test_a_wheel_made_of_the_sdist_is_the_same(wheel: Path, sdist: Path, work: Path) -> None:
    """Byte for byte: so it works where the wheel does."""
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    again = build(unpacked, "wheel", work / "wheel-of-sdist")
    assert again.name == wheel.name
    contents = []
    for path in (wheel, again):
        with zipfile.ZipFile(path) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    assert contents[0] == contents[1]


def test_an_sdist_installs(sdist: Path, work: Path) -> None:
    """As pip does it, through a wheel that it builds itself."""
    # Its build needs hatchling, which a fresh environment has only once it is lent: so this process's pip builds.
    out = work / "pip-wheel"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", "-w", out, sdist, cwd=work)
    python = environment(work / "from-sdist", *out.iterdir())
    package = site_of(python) / "judgebench"
    works(python, work, package, package / "_data")


def test_an_editable_install_reads_the_checkout(project: Path, work: Path) -> None:
    """Package and data folders are those of the checkout, live: no copy is left in the environment."""
    python = environment(work / "editable", build_editable(project, work / "editable-wheel"))
    works(python, work, project / "judgebench", project)
    assert not (site_of(python) / "judgebench").exists()


def build_editable(project: Path, out: Path) -> Path:
    """The wheel by which an editable install points to a project."""
    out.mkdir()
    code = f"from hatchling.build import build_editable; build_editable({str(out)!r})"
    run(sys.executable, "-c", code, cwd=project)
    (built,) = out.iterdir()
    return built


def test_a_bare_checkout_works(project: Path, work: Path) -> None:
    """Without installing anything but the dependencies, from any folder."""
    python = environment(work / "bare")
    works(python, work, project / "judgebench", project, PYTHONPATH=str(project))


def names_in(path: Path) -> list[str]:
    """Files of a wheel, or of an sdist below its top folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with tarfile.open(path) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def test_the_wheel_holds_only_what_is_ours(wheel: Path) -> None:
    """Expected folders, expected kinds of files, one licence, and no test."""
    for name in names_in(wheel):
        top, *rest = name.split("/")
        assert top == "judgebench" or top.endswith(".dist-info"), name
        if top == "judgebench":
            assert rest[0] != "_data" or rest[1] in DATA, name
            assert Path(name).suffix in (
                ".py",
                ".typed",
                ".toml",
                ".json",
                ".jsonl",
                ".j2",
                ".css",
                ".js",
                ".csv",
                ".md",
            ), name
        else:
            assert rest in (["METADATA"], ["RECORD"], ["WHEEL"], ["entry_points.txt"], ["licenses", "LICENSE"]), name
    assert "judgebench/py.typed" in names_in(wheel)
    assert "judgebench/_data/tasks/alpacaeval/starter.jsonl" in names_in(wheel)
    assets = {path.relative_to(ROOT).as_posix() for path in (ROOT / "judgebench/report/assets").rglob("*.*")}
    made = {f"judgebench/_data/templates/report/{path.name}" for path in (ROOT / "templates/report").iterdir()}
    assert len(assets) > 10
    assert len(made) > 5
    assert assets | made <= set(names_in(wheel))


def test_the_sdist_holds_only_the_checkout(sdist: Path) -> None:
    """Sources, tests and papers; no data of others, no environment, no leavings of a build."""
    for name in names_in(sdist):
        top = name.split("/")[0]
        assert (
            top in FOLDERS
            or ("/" not in name and Path(name).suffix in (".cff", ".md", ".toml", ".txt", ""))
            or (name in ("PKG-INFO", ".gitignore"))
        ), name
    assert {"pyproject.toml", "LICENSE", "README.md", "tests/test_packaging.py"} <= set(names_in(sdist))


NUMBERS = "judgebench/_data/leaderboards/selftest/alpacaeval.gamed.csv"
"""The stand-in for one of AlpacaEval's files: numbers that were reconstructed from published ones, without any text."""


def official_texts(shared_data: SharedData) -> Iterator[str]:
    """Lines of official prompts and instructions that nobody would write by chance."""
    folder = shared_data / "alpacaeval"
    for path in (folder / "judge").rglob("*.txt"):
        yield from path.read_text().splitlines()
    for path in (folder / "eval_set").glob("*.json.gz"):
        for row in json.loads(gzip.decompress(path.read_bytes())):
            yield from row["instruction"].splitlines()
            yield from row["output"].splitlines()


def test_no_official_text_is_in_the_wheel(wheel: Path, shared_data: SharedData) -> None:
    """No line of an official prompt, question or answer, and no official file under another name."""
    lines = {line.strip() for line in official_texts(shared_data)}
    pinned = set(re.findall(r'sha256 = "([0-9a-f]{64})"', "".join(p.read_text() for p in ROOT.glob("tasks/*/*.toml"))))
    assert len(lines) > 1000
    assert pinned
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert sha256(data).hexdigest() not in pinned or name == NUMBERS, name
            if name.endswith((".jsonl", ".j2", ".py", ".toml")):
                ours = {part.strip() for part in re.split(r'\n|\\n|"', data.decode())}
                assert not {line for line in lines & ours if len(line) >= 40}, name
