"""What was published of judges: ``leaderboards/judges/*.csv``, facts with their source, from upstream's own tables."""

import csv
from collections.abc import Mapping
from functools import cache

import msgspec

from judgebench.data.resources import resource


class PublishedJudge(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a published table of judges. Empty where upstream has no figure."""

    human_agreement: float | None = None
    """Percent: one verdict against the most frequent label of the people."""
    spearman: float | None = None
    """Of models' win rates by the judge and by people."""
    bias: float | None = None
    variance: float | None = None
    prefer_longer: float | None = None
    """Share of the pairs of unequal length in which it prefers the longer output."""
    prefer_lists: float | None = None
    usd_per_1000: float | None = None
    seconds_per_1000: float | None = None
    n: int | None = None
    """Verdicts that were read."""
    source: str = ""

    @property
    def _commit(self) -> str:
        place, _, commit = self.source.partition(":")[0].partition("@")
        return f"{place}@{commit[:7]}"

    @property
    def text(self) -> str:
        """The figures in one line."""
        agreement = "" if self.human_agreement is None else f"{self.human_agreement:.1f} % agreement with people"
        parts = [
            agreement,
            "" if self.spearman is None else f"Spearman {self.spearman:.2f} over models",
            "" if self.prefer_longer is None else f"prefers the longer output in {100 * self.prefer_longer:.0f} %",
            "" if self.n is None else f"n = {self.n:,}",
        ]
        return f"{', '.join(filter(None, parts))} ({self._commit})"


def published_judge(task: str, name: str) -> PublishedJudge | None:
    """What was published of a judge of a task; ``None`` if nothing was."""
    return _table().get((task, name))


@cache
def _table() -> Mapping[tuple[str, str], PublishedJudge]:
    found = {}
    for path in sorted((resource("leaderboards") / "judges").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                key = row.pop("task"), row.pop("judge")
                found[key] = msgspec.convert({k: v for k, v in row.items() if v}, PublishedJudge, strict=False)
    return found
