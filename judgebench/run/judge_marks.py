"""What audits of this machine say of a judge, in two or three figures that stand beside every number it made.

``auditing`` makes the judge cards; here only their marks are read, by what the judge was asked with and the model that
replied. A card may be damaged or foreign: then it says nothing. A mark changes no number and no fingerprint.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from judgebench.codec import canonical_hash, read_json
from judgebench.display import printable, shortened
from judgebench.models.call_store import default_cache_dir
from judgebench.records import Count, Number

CARD, MARK = "card.json", "mark.json"
"""The whole card, and its mark alone, which is quickly read."""
CARD_BYTES, MARK_BYTES = 16 * 2**20, 2**16
MOST_CARDS = 500
"""How many folders of audits are looked at."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class DecisiveFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One of the figures that decide what a judge is worth."""

    name: str
    words: str
    """What it is a share of."""
    value: Number | None
    low: Number | None = None
    high: Number | None = None
    n: Count = 0

    @property
    def text(self) -> str:
        """The figure in a few words."""
        if self.value is None:
            return f"{self.words}: no number"
        bounds = "" if self.low is None or self.high is None else f", {100 * self.low:.0f}–{100 * self.high:.0f}"
        return f"{self.words} {100 * self.value:.1f} % (n = {self.n}{bounds})"


class AuditMark(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit says of a judge, in short."""

    judge: str
    """As the user named it."""
    asked: tuple[str, ...]
    """Hashes of each prompt and rule together with the model that was asked by it."""
    models: tuple[str, ...]
    """The models' identities."""
    day: str
    decisive: tuple[DecisiveFigure, ...]
    unfit: str = ""
    """Why the judge should not be used; empty if it may be."""
    same_prompt: bool = True
    """Whether it was audited with the prompt and rule that made the number."""

    @property
    def text(self) -> str:
        """The mark in one line."""
        figures = "; ".join(figure.text for figure in self.decisive)
        prompt = "" if self.same_prompt else " with another prompt"
        unfit = f"; {self.unfit}" if self.unfit else ""
        return shortened(printable(f"{self.judge} was audited on {self.day}{prompt}: {figures}{unfit}"), 600)


def asked_hash(played: object) -> str:
    """The hash of how a judge is played, as a protocol says it: its prompt and rule with its model, or a jury."""
    return canonical_hash(played)


def models_of(played: object) -> list[str]:
    """The models that play a judge, as a protocol names them: several for a jury."""
    jury = played.get("jury") if isinstance(played, Mapping) else None
    seats = jury if isinstance(jury, list) else [played]
    named = [seat.get("model") for seat in seats if isinstance(seat, Mapping)]
    return [model for model in named if isinstance(model, str)]


def audits_folder() -> Path:
    """Where the audits of this machine are kept."""
    return default_cache_dir() / "audits"


def marks() -> list[AuditMark]:
    """The marks of all audits of this machine, the newest first. Cards that cannot be read are left out."""
    found = []
    for path in sorted(audits_folder().glob(f"*/{MARK}"))[:MOST_CARDS]:
        try:
            mark: AuditMark = read_json(path, AuditMark, MARK_BYTES)
        except (ValueError, OSError):
            continue
        if _DAY.fullmatch(mark.day):
            found.append(mark)
    return sorted(found, key=lambda mark: mark.day, reverse=True)


def marks_of(protocol: Mapping[str, Any], known: Sequence[AuditMark] | None = None) -> list[AuditMark]:
    """The marks of the judges that a run's protocol names, each once: with the same prompt and rule where there is
    such an audit, else of the same model or jury. ``known`` are all marks, the newest first.
    """
    judges = list(protocol.get("judges", {}).values())
    listed = (marks() if known is None else known) if judges else ()
    found: dict[AuditMark, None] = {}
    for played in judges:
        asked, models = asked_hash(played), tuple(sorted(set(models_of(played))))
        same = next((mark for mark in listed if asked in mark.asked), None)
        like = next((mark for mark in listed if models and mark.models == models), None)
        if mark := same or (like and msgspec.structs.replace(like, same_prompt=False)):
            found[mark] = None
    return list(found)
