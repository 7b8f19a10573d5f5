"""``make release-check``: whether what is checked out can be given to others; docs/releasing.md says what comes before.

    python scripts/release_check.py [--quick]

Each line is one thing that holds, or what is wrong with it. The distributions are built into ``dist/`` and installed
alone in a new environment of every Python that is found (``python3.11`` to ``python3.14`` on ``PATH``): there, in an
empty folder, the program says its version, computes the published numbers and evaluates. With models of this machine it
is tried on the Python of this environment, whose torch ``constraints.txt`` names. ``--quick`` leaves out whatever needs
a package index or minutes.
"""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TOGETHER = ("local,style,figures,smollm2", "local,ray,wandb", "mlflow,trackio", "local,ray,figures,docs,dev")
"""Extras that are said to install beside each other. ``vllm`` wants its own torch, and so an environment of its own."""
SECRETS = {
    "a key": re.compile(r"\b(?:sk-(?:ant-|proj-)?[A-Za-z0-9_-]{24,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,})"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an address with a password": re.compile(r"https?://[^/\s:@\"'{}]+:[^/\s:@\"'{}]{8,}@"),
    "an index of packages": re.compile(r"(?:--(?:extra-)?index-url|find-links)[ =]+(?:https?|file):"),
    "a folder of one machine": re.compile(r"(?<![\w.])/(?:home|Users|root)/[a-z][\w.-]+/\w"),
}
MADE_UP = re.compile(r"tests/|docs/examples/")
"""Where tests invent such things on purpose."""
Check = Callable[[], Iterator[str]]
"""Says what is wrong, or nothing."""


def version() -> str:
    """The version, as the package's one constant says it."""
    (found,) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "judgebench" / "__init__.py").read_text(), re.MULTILINE)
    return str(found)


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command's end, without the paths, mirrors and settings of this process."""
    left = ("PYTHON", "VIRTUAL_ENV", "JUDGEBENCH_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(left)}
    words = list(map(str, command))
    return subprocess.run(words, cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, check=False)


def failing(what: str, ended: subprocess.CompletedProcess[str]) -> Iterator[str]:
    """What is wrong with a command that should have ended well."""
    if ended.returncode:
        last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
        yield f"{what} ended with {ended.returncode}: {' '.join(last)[:300]}"


def tracked() -> list[str]:
    """The names of all files of the repository."""
    return [name for name in run("git", "ls-files", "-z").stdout.split("\0") if name]


# -- what is checked out


def tree_is_clean() -> Iterator[str]:
    """Nothing is changed or new."""
    changed = run("git", "status", "--porcelain").stdout.splitlines()
    if changed:
        yield f"{len(changed)} files are changed or new, such as {changed[0][3:]}; commit them, or remove them"


def version_is_said_once() -> Iterator[str]:
    """pyproject.toml takes it from the package; CITATION.cff does not repeat it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    if "version" in project or project.get("dynamic") != ["version"]:
        yield "pyproject.toml must take the version from judgebench/__init__.py"
    if re.search(r"^(?:version|date-released):", (ROOT / "CITATION.cff").read_text(), re.MULTILINE):
        yield "CITATION.cff repeats the version or its date; leave both to the release itself"


def changelog_has_the_version() -> Iterator[str]:
    """A section of its own, with a date, below what is unreleased."""
    text = (ROOT / "CHANGELOG.md").read_text()
    if not re.search(rf"^## \[{re.escape(version())}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE):
        yield f"CHANGELOG.md has no section '## [{version()}] - YYYY-MM-DD'"
    if not re.search(r"^## \[Unreleased\]$", text, re.MULTILINE):
        yield "CHANGELOG.md has no section '## [Unreleased]' for what comes next"


def citation_is_valid() -> Iterator[str]:
    """The fields that Citation File Format 1.2.0 requires are there."""
    import yaml

    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    for name in ("cff-version", "message", "title", "authors"):
        if not found.get(name):
            yield f"CITATION.cff lacks {name}"
    if found.get("cff-version") != "1.2.0":
        yield "CITATION.cff is not of version 1.2.0"


def nothing_private_is_tracked() -> Iterator[str]:
    """No key, password, index of packages or folder of one machine, outside what tests and doctests invent."""
    for name in tracked():
        if MADE_UP.match(name) or not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_bytes().decode(errors="ignore")
        for number, line in enumerate(text.splitlines(), 1):
            for what, pattern in SECRETS.items():
                if ">>>" not in line and pattern.search(line):
                    yield f"{name}:{number} has {what}"


# -- what is built


def distributions_are_built() -> Iterator[str]:
    """A wheel and an sdist, and nothing else, in ``dist/``."""
    shutil.rmtree(DIST, ignore_errors=True)
    yield from failing("the build", run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT))
    names = sorted(path.name for path in DIST.glob("*"))
    suffixes = [name.partition(version())[2] for name in names]
    if suffixes != ["-py3-none-any.whl", ".tar.gz"]:
        yield f"dist/ holds {', '.join(names) or 'nothing'}"


def wheel() -> Path:
    """The wheel in ``dist/``."""
    (found,) = DIST.glob("*.whl")
    return found


def sdist() -> Path:
    """The source distribution in ``dist/``."""
    (found,) = DIST.glob("*.tar.gz")
    return found


def metadata_is_complete() -> Iterator[str]:
    """Name, version, licence, Python and a readme in Markdown, the same in both."""
    with zipfile.ZipFile(wheel()) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        of_wheel = email.message_from_bytes(archive.read(name))
    with tarfile.open(sdist()) as packed:
        member = packed.extractfile(f"{sdist().name.removesuffix('.tar.gz')}/PKG-INFO")
        assert member is not None
        of_sdist = email.message_from_bytes(member.read())
    wanted = ("Name", "Version", "Summary", "License-Expression", "Requires-Python", "Description-Content-Type")
    for field in wanted:
        if not of_wheel[field] or of_wheel[field] != of_sdist[field]:
            yield f"{field} is {of_wheel[field]!r} in the wheel and {of_sdist[field]!r} in the sdist"
    if of_wheel["Version"] != version():
        yield f"the wheel is of version {of_wheel['Version']}, and the package of {version()}"
    if of_wheel["Description-Content-Type"] != "text/markdown" or not str(of_wheel.get_payload()).strip():
        yield "the wheel carries no readme in Markdown"


# -- what is installed


def pythons() -> dict[str, str]:
    """The interpreters that are there, by version."""
    there = {name: shutil.which(f"python{name}") for name in PYTHONS}
    starts = {name: path for name, path in there.items() if path and run(path, "-c", "").returncode == 0}
    return {name: str(path) for name, path in starts.items()}


def installed_alone(python: str, what: Path, folder: Path, *also: str, extra: str = "") -> Iterator[str]:
    """Install a distribution in a new environment, and use it from an empty folder."""
    home, empty, bin_folder = folder / "home", folder / "empty", folder / "venv" / "bin"
    for path in (home, empty):
        path.mkdir(parents=True)
    yield from failing("venv", run(python, "-m", "venv", folder / "venv"))
    for wanted in (*([also] if also else []), (f"{what}{extra}",)):
        pip = (bin_folder / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile")
        yield from failing(f"pip install {what.name}{extra}", run(*pip, *wanted, cwd=folder))
    yield from failing("pip check", run(bin_folder / "python", "-m", "pip", "check", cwd=folder))
    told = run(bin_folder / "judgebench", "--version", cwd=empty)
    if told.stdout.strip() != f"judgebench {version()}":
        yield f"judgebench --version says {told.stdout.strip() or told.stderr[-300:]!r}"
    settings = {"HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    yield from failing("judgebench selftest", run(bin_folder / "judgebench", "selftest", cwd=empty, **settings))
    yield from failing(
        "judgebench eval", run(bin_folder / "judgebench", *evaluation(empty, extra), cwd=empty, **settings)
    )


def pinned_torch() -> str:
    """The torch of ``constraints.txt``, as pip takes it."""
    (found,) = re.findall(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    return str(found)


def evaluation(folder: Path, extra: str) -> list[str]:
    """A whole run on a starter set: of the model that ships, or (without ``local``) of answers in a file."""
    if extra:
        tiny = "--model builtin:tiny --judge builtin:tiny --tasks alpacaeval --starter --limit 4"
        return ["eval", *tiny.split()]
    file = "--model file:answers.json --tasks gsm8k --starter --limit 4"
    rows = ",".join(f'{{"id": "starter-{number:02d}", "output": "The answer is 31."}}' for number in range(1, 5))
    (folder / "answers.json").write_text(f"[{rows}]")
    return ["eval", *file.split()]


def installs_everywhere() -> Iterator[str]:
    """The wheel on every Python; the sdist, and the wheel with its local models, on that of this environment."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    there = pythons()
    for name in (name for name in PYTHONS if name not in there):
        print(f"      there is no python{name} here, so it was not tried")
    with TemporaryDirectory() as folder:
        for name, python in there.items():
            for problem in installed_alone(python, wheel(), Path(folder) / name):
                yield f"the wheel on Python {name}: {problem}"
            shutil.rmtree(Path(folder) / name)
        for what, also, extra in ((sdist(), (), ""), (wheel(), (pinned_torch(),), "[local]")):
            for problem in installed_alone(sys.executable, what, Path(folder) / "own", *also, extra=extra):
                yield f"{what.name}{extra} on Python {own}: {problem}"
            shutil.rmtree(Path(folder) / "own")


def extras_resolve_together() -> Iterator[str]:
    """Each combination that is said to work has versions that fit; nothing is installed."""
    for extras in TOGETHER:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run")
        # Without constraints.txt, as users install; but for torch, of which any other build is several gigabytes.
        yield from failing(f"[{extras}]", run(*pip, "--ignore-installed", pinned_torch(), f"{wheel()}[{extras}]"))


def manual_is_built() -> Iterator[str]:
    """Strictly, so that a dead link or a page outside the table of contents ends it."""
    # Not quietly: mkdocs then counts no warnings, and builds with a dead link.
    yield from failing("mkdocs", run(sys.executable, "-m", "mkdocs", "build", "--strict"))


QUICK: tuple[Check, ...] = (
    tree_is_clean,
    version_is_said_once,
    changelog_has_the_version,
    citation_is_valid,
    nothing_private_is_tracked,
    distributions_are_built,
    metadata_is_complete,
)
SLOW: tuple[Check, ...] = (manual_is_built, extras_resolve_together, installs_everywhere)


def main() -> int:
    """Check everything, and return 1 if something is wrong."""
    wrong = 0
    for check in (*QUICK, *(() if "--quick" in sys.argv[1:] else SLOW)):
        found = list(check())
        wrong += bool(found)
        print(f"{'wrong' if found else 'ok':<5} {check.__name__.replace('_', ' ')}", flush=True)
        for problem in found:
            print(f"      {problem}", flush=True)
    print(f"{version()} can be released" if not wrong else f"{version()} cannot be released: {wrong} checks failed")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
