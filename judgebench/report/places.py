"""Files and folders as a page calls them: it may be sent to others, whom it is no business where things lie."""

import re
from collections.abc import Iterable, Iterator

SECRET = ("key", "token", "authorization", "password", "secret")
PART = r"/[^\s/'\"`,;:()<>|]+"
WHOLE = re.compile(rf"(?:(?<=file://)|(?<![\w/.~#%-]))(?!//)(?:~[\w.-]*(?:{PART})+|(?:{PART}){{2,}})/?")
SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
WORD = re.compile(r"((?:[\w.-]+[=:])*(?:(?<=file:)//)?)((?:~|/(?!/)).*)", re.DOTALL)


def without_folders(text: str) -> str:
    """A text whose whole paths are cut to their last part.

    >>> without_folders("(/home/me/runs/one differs), see https://host/a/b and org/model; ~/x/y.csv")
    '(one differs), see https://host/a/b and org/model; y.csv'
    """
    return WHOLE.sub(lambda found: _last(found.group()), text)


def short_hashes(text: str) -> str:
    """A text whose sha256 sums are cut to their first twelve digits.

    >>> short_hashes("sha256:" + 64 * "a" + " and b")
    'sha256:aaaaaaaaaaaa… and b'
    """
    return SHA256.sub(lambda found: f"{found.group()[:12]}…", text)


def masked(words: Iterable[str]) -> Iterator[str]:
    """The words of a command without secrets and without the folders that files lie in.

    >>> " ".join(masked(["/opt/jb", "--out=/my runs/one/", "--model", "file:/x/a.jsonl", "--api-key", "abc"]))
    'jb --out=one --model file:a.jsonl --api-key ***'
    """
    hide = False
    for word in words:
        name, _, value = word.partition("=")
        secret = any(part in name.lower() for part in SECRET) and "env" not in name.lower()
        path = WORD.fullmatch(word)
        shown = path[1] + _last(path[2]) if path else without_folders(word)
        yield "***" if hide else f"{name}=***" if secret and value else shown
        hide = secret and not value and name.startswith("-")


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2] or path
