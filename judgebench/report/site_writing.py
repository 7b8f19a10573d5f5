"""Writes a site: what has not changed stays as it is, what belongs to no run any more disappears.

A page of runs is made again only if what they hold, or this program, has changed, by hash. Every file appears whole: a
reader sees the old one or the new one, and slices lie in a folder that is named by their hash.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from judgebench.codec import read_json, replacing, write_json
from judgebench.data.resources import resource
from judgebench.data.sources import SourceFinder
from judgebench.display import printable
from judgebench.errors import JudgebenchError, UsageError
from judgebench.files import sha256_of
from judgebench.report.collect import collect
from judgebench.report.page import Packed, packed_report, parts
from judgebench.report.site import Site, SiteRun, judges_of
from judgebench.report.site_pages import pages
from judgebench.run.folder import holder_of, take_lock, usable
from judgebench.run.judge_marks import AuditMark, marks, marks_of
from judgebench.run.manifests import package_versions
from judgebench.run.reading import Run, TaskRun

STATE = "site.json"
LOCK = ".site.lock"
PAUSE = 0.2
LONGEST_WAIT = 600.0
"""Seconds that a site may be written by somebody else."""
WITHOUT = " without "
"""In a page's key: before the tasks whose official files were not at hand when it was made."""
STATE_BYTES = 64 * 2**20
OWN_PAGES = re.compile(r"(?:index|runs|tasks|judges)\.html|(?:tasks|judges)/[\w.-]+\.html")
OWN_FOLDERS = re.compile(r"(?:runs|comparisons)/[\w.-]+/index\.html")
"""What a site may hold, so that a list that somebody changed cannot name a file elsewhere."""
SLICES = "slices-"


class State(msgspec.Struct, frozen=True):
    """The pages that a site has, each with the hash of what it was made of."""

    judgebench_site: int
    pages: dict[str, str]


@dataclass
class Written:
    """What was done to a site."""

    place: Path
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Runs without a page, with the reason."""


@contextmanager
def writing_alone(place: Path, told: Callable[[str], None], *, longest: float = LONGEST_WAIT) -> Iterator[None]:
    """Wait until no other process writes the site, which is ``told``, and keep others waiting meanwhile.

    Runs are to be read within: who reads them earlier and writes later takes new ones away again.

    Raises :class:`UsageError` if the other process takes longer, or if the folder cannot be written.
    """
    if place.exists() and not place.is_dir():
        yield
        return
    path, until, said = place / LOCK, time.monotonic() + longest, False
    try:
        place.mkdir(parents=True, exist_ok=True)
        while (file := take_lock(path)) is None:
            if time.monotonic() >= until:
                raise UsageError(
                    f"the site {place} is being written by {holder_of(path)}, for longer than {longest / 60:.0f} "
                    "minutes. Nothing was changed; start the same command again when it has ended"
                )
            if not said:
                told(f"waiting for {holder_of(path)}, which writes {place}")
                said = True
            time.sleep(PAUSE)
            place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the site {place} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()
        with suppress(OSError):  # not empty, unless there was nothing to write
            place.rmdir()


def write_site(site: Site, place: Path, *, overwrite: bool = False) -> Written:
    """Write a site into a folder, which is new, empty, or holds an earlier one; with ``overwrite`` write all of it.

    Raises :class:`UsageError` if the folder holds anything else, or if it cannot be written.
    """
    before = require_place(site.runs, place)
    done = Written(place)
    try:
        place.mkdir(parents=True, exist_ok=True)
        _note(place, before | {page: "" for page in _planned(site) if page not in before})
        keys = _write_reports(site, place, {} if overwrite else before, done)
        whole = replace(
            site,
            runs=tuple(one for one in site.runs if one.page in keys),
            pairs=tuple(one for one in site.pairs if one.page in keys),
            broken=(*site.broken, *done.broken),
        )
        # The first page comes last: whatever it links to is there by then.
        for page, text in sorted(pages(whole).items(), key=lambda one: one[0] == "index.html"):
            data = text.encode("utf-8", "replace")
            keys[page] = hashlib.sha256(data).hexdigest()
            _replace(place / page, data, page, done)
        for page in sorted(set(before) - set(keys)):
            _remove(place, page)
            done.removed.append(page)
        _note(place, keys)
    except OSError as error:
        raise UsageError(f"the site {place} cannot be written: {error.strerror or error}") from error
    return done


def require_place(runs: Sequence[SiteRun], place: Path) -> dict[str, str]:
    """The pages that are there; raise :class:`UsageError` for a folder that is no place for a site of these runs."""
    own = Path(os.path.realpath(place))
    for run in runs:
        if own.is_relative_to(folder := Path(os.path.realpath(run.run.path))) or folder.parent == own:
            raise UsageError(
                f"a site was to be written into {place}, where the run {run.run.path} lies; give a folder of its own "
                "to --html, such as site/"
            )
    if not place.exists():
        return {}
    if not place.is_dir():
        raise UsageError(f"a site was to be written into {place}, which is a file; give a folder to --html")
    state = place / STATE
    if not state.exists():
        if any(one.name != LOCK for one in place.iterdir()):
            raise UsageError(
                f"a site was to be written into {place}, which holds other files and no site of judgebench "
                f"({STATE}); give a new folder to --html, or empty this one"
            )
        return {}
    try:
        found: State = read_json(state, State, STATE_BYTES)
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{state} says which pages a site has, and cannot be read: {error}. Remove {place}, or give another folder "
            "to --html"
        ) from error
    return {page: key for page, key in found.pages.items() if _is_own(place, page)}


def _is_own(place: Path, page: str) -> bool:
    """Whether a page is one of a site's, and lies in it."""
    names = OWN_PAGES.fullmatch(page) or OWN_FOLDERS.fullmatch(page)
    return (
        names is not None
        and ".." not in page
        and os.path.realpath(place / page) == os.path.join(os.path.realpath(place), *page.split("/"))
    )


def _planned(site: Site) -> list[str]:
    return [*(run.page for run in site.runs), *(pair.page for pair in site.pairs)]


def _note(place: Path, keys: Mapping[str, str]) -> None:
    write_json(place / STATE, State(1, dict(sorted(keys.items()))))


# -- pages of runs


def _write_reports(site: Site, place: Path, before: Mapping[str, str], done: Written) -> dict[str, str]:
    """Write the pages of runs and comparisons that have changed; return the keys of all that are there."""
    keys, prints = {}, {run.origin: fingerprint(run.run) for run in site.runs}
    audits, program, failed, at_hand = marks(), _program(), set[str](), _AtHand(site.shown.finder)
    for page, runs in _reports(site):
        if failed & {run.origin for run in runs}:
            continue
        key = _key(site, runs, prints, audits, program)
        made, _, lacking = before.get(page, "").partition(WITHOUT)
        if made == key and _is_whole(place / page) and not at_hand.any_of(runs, lacking):
            keys[page] = before[page]
            done.kept.append(page)
            continue
        try:
            # Whoever made the folder may have written anything into it.
            with usable("the run"):
                lacks = _write_report(site, place / page, runs)
        except JudgebenchError as error:
            failed |= {run.origin for run in runs} if len(runs) == 1 else set()
            done.broken.append((runs[-1].origin, _reason(runs, error)))
            continue
        # What was not at hand may be the next time.
        keys[page] = "" if lacks is None else key + (WITHOUT + ",".join(lacks) if lacks else "")
        done.written.append(page)
    return keys


class _AtHand:
    """Which official files can be had; each task of a protocol is looked at once."""

    def __init__(self, finder: SourceFinder | None) -> None:
        self._finder = finder
        self._known: dict[tuple[str, str], bool] = {}

    def any_of(self, runs: Sequence[SiteRun], keys: str) -> bool:
        """Whether the files of any of these tasks are there, which they were not when a page was made."""
        named = set(filter(None, keys.split(",")))
        return any(self._is(own) for run in runs for key, own in run.run.tasks.items() if key in named)

    def _is(self, own: TaskRun) -> bool:
        key = own.task_manifest.label, own.task_manifest.protocol_hash
        if key not in self._known:
            try:
                if self._finder is not None:
                    own.load_data(self._finder)
                self._known[key] = self._finder is not None
            except JudgebenchError:
                self._known[key] = False
        return self._known[key]


def _is_whole(page: Path) -> bool:
    """Whether a page is there with its slices."""
    return page.is_file() and any(page.parent.glob(f"{SLICES}*"))


def _reports(site: Site) -> Iterable[tuple[str, Sequence[SiteRun]]]:
    yield from ((run.page, [run]) for run in site.runs)
    yield from ((pair.page, [pair.first, pair.second]) for pair in site.pairs)


def _reason(runs: Sequence[SiteRun], error: Exception) -> str:
    told = str(error)
    for run in runs:
        told = told.replace(str(run.run.path), run.origin)
    what = "its samples cannot be read" if len(runs) == 1 else f"it cannot be compared with {runs[0].origin}"
    return printable(f"{what}: {told}", 1000)


def fingerprint(run: Run) -> str:
    """The hash of everything that a run's folder holds of it."""
    found = hashlib.sha256()
    root = run.folder.path
    for path in sorted(root.rglob("*.json*")):
        try:
            told = "a link" if path.is_symlink() else sha256_of(path)
        except OSError as error:
            told = str(error)
        found.update(f"{path.relative_to(root)}\n{told}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _key(
    site: Site, runs: Sequence[SiteRun], prints: Mapping[str, str], audits: Sequence[AuditMark], program: str
) -> str:
    """The hash of everything that a page of runs is made of, this program and the audits of its judges among it."""
    found = [
        mark.text
        for run in runs
        for own in run.run.tasks.values()
        if judges_of(own.task_manifest)
        for mark in marks_of(own.task_manifest.protocol, audits)
    ]
    made = [program, site.shown.told, found, [(run.name, prints[run.origin]) for run in runs]]
    return hashlib.sha256(msgspec.json.encode(made)).hexdigest()


def _program() -> str:
    """The hash of what makes pages: of this room of the program, and its templates."""
    found = hashlib.sha256(package_versions().get("judgebench", "").encode())
    for folder in (Path(__file__).parent, resource("templates") / "report"):
        for path in sorted(folder.rglob("*.*")):
            if path.suffix in (".py", ".js", ".css", ".j2"):
                found.update(path.read_bytes())
    return found.hexdigest()


def _write_report(site: Site, page: Path, runs: Sequence[SiteRun]) -> list[str] | None:
    """Write the page of one run, or of two that it compares, with its slices beside it.

    Return the tasks whose official files were not at hand; ``None`` if runs could not be compared.
    """
    shown = site.shown
    report = collect(
        [run.run for run in runs],
        shown.finder,
        task=shown.task,
        adjust=shown.adjust,
        most=shown.most,
        without=shown.without,
        level=shown.level,
        bridges=shown.bridges,
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    with packed_report(report) as found:
        folder = page.parent / f"{SLICES}{found.hash[:12]}"
        _write_slices(folder, found)
        start = "#/" if len(runs) == 1 else "#/compare"
        with replacing(page) as file:
            for part in parts(report, found, start=start, folder=folder.name, home="../../index.html"):
                file.write(part.encode("utf-8", "replace"))
    # Those of an earlier page, and what a killed process left.
    for other in page.parent.iterdir():
        if other.name.startswith((SLICES, f".{SLICES}")) and other != folder and not other.is_symlink():
            shutil.rmtree(other, ignore_errors=True)
    if len(runs) > 1 and report.comparison is None:
        return None
    opened = [one for task in report.tasks for one in task.opened]
    lacking = (one.task.key for one in opened if one.judged and one.code is not None and one.data is None)
    return sorted(set(lacking))


def _write_slices(folder: Path, found: Packed) -> None:
    """Write the slices into a folder that appears whole; it is named by what it holds, so one that is there is kept."""
    if folder.is_dir():
        return
    unfinished = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for number, text in enumerate(found.slices()):
            (unfinished / f"s{number}.js").write_text(f'jb("{found.hash}",{number},"{text}")\n', "ascii")
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


# -- other pages


def _replace(path: Path, data: bytes, page: str, done: Written) -> None:
    """Write a page, unless it is there as it should be."""
    if path.is_file() and path.read_bytes() == data:
        done.kept.append(page)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(data)
    done.written.append(page)


def _remove(place: Path, page: str) -> None:
    """Remove a page, and the folder of a run's page with its slices."""
    path = place / page
    if OWN_FOLDERS.fullmatch(page):
        shutil.rmtree(path.parent, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
