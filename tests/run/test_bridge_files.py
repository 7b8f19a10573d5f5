"""Files of judge bridges: what is read is computed again, and what does not follow from its numbers is refused."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from judgebench.codec import canonical_hash
from judgebench.errors import RecordError, UsageError
from judgebench.models.vendors import today
from judgebench.run.bridge_files import AskedAgain, Bridge, read_bridge, write_bridge
from tests.made_bridges import cases, made_bridge
from tests.shared_data import each

VERDICTS = (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
CHANGED = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def changed(path: Path, change: Callable[[dict[str, Any]], None], bridge: Bridge | None = None) -> Path:
    """A bridge's file after somebody changed its JSON."""
    write_bridge(path, bridge or made_bridge(verdicts=VERDICTS))
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def setting(value: Any, *place: str | int) -> Callable[[dict[str, Any]], None]:
    """A change that sets the value at a place."""

    def change(content: Any) -> None:
        for step in place[:-1]:
            content = content[step]
        content[place[-1]] = value

    return change


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A bridge comes back as it was, from one line of canonical JSON, and has the same hash."""
    path, bridge = tmp_path / "b.bridge.json", made_bridge(verdicts=VERDICTS)
    write_bridge(path, bridge)
    read = read_bridge(path)
    assert read == bridge
    assert read.hash == bridge.hash
    text = path.read_bytes()
    assert text.count(b"\n") == 1
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == text[:-1]


FITTED = ("intercept", "slope", "tau", "df", "centre")
COMPUTED = [
    *(("metrics", "win_rate", "fit", name) for name in FITTED),
    ("metrics", "win_rate", "fit", "covariance", 0, 0),
    ("metrics", "win_rate", "fit", "judged_range", 1),
    ("metrics", "win_rate", "loo", 2, "high95"),
    ("metrics", "win_rate", "checks", "explained"),
    ("metrics", "win_rate", "checks", "coverage95"),
    ("metrics", "win_rate", "numbers", "m3", "judged"),
    ("metrics", "win_rate", "numbers", "m3", "official"),
]


@pytest.mark.parametrize("place", COMPUTED, ids=lambda place: ".".join(map(str, place[2:])))
def test_a_changed_number_is_refused(place: tuple[str | int, ...], tmp_path: Path) -> None:
    """A fit, a prediction or a number that somebody changed by 0.01 % is an error that names where it is."""

    def change(content: Any) -> None:
        inner = content
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] *= 1.0001

    with pytest.raises(RecordError, match=r"metrics\.win_rate\..* is not what its numbers give.*make the bridge again"):
        read_bridge(changed(tmp_path / "b.bridge.json", change))


CHANGES = {
    "status": (setting("usable", "metrics", "win_rate", "status"), "status is not what"),
    "reasons": (setting(["vendor"], "metrics", "win_rate", "reasons"), "reasons is not what"),
    "marks": (setting([], "metrics", "win_rate", "marks"), "marks is not what"),
    "included": (setting(False, "models", 1, "included"), "is not what its numbers give"),
    "no loo": (setting([], "metrics", "win_rate", "loo"), "loo is not what"),
    "no fit": (setting(None, "metrics", "win_rate", "fit"), "fit is not what"),
    "outside": (setting(101.0, "metrics", "win_rate", "numbers", "m1", "judged"), "outside the metric's range"),
    "range": (setting([100.0, 0.0], "metrics", "win_rate", "range"), "least and the greatest"),
    "twice": (setting("m2", "models", 0, "name"), "listed twice"),
    "unknown model": (setting("m9", "models", 5, "name"), "m6, which models does not list"),
    "protocol": (setting("another", "judge", "protocol", "version"), "protocol_hash is not that of"),
    "drift": (setting(0.0, "drift", "verdicts", 0), "not those of drift.verdicts_hash"),
    "vendor": (setting("google", "official", "vendor"), "m1 is included, and openai trained it and a judge"),
    "judges": (setting([], "judge", "protocol", "judges"), "judge.protocol is none of ours"),
    "k": (setting(3, "items", "k"), "not items.k different ids"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_contradicts_itself_is_refused(name: str, tmp_path: Path) -> None:
    """What else somebody may change is found as well; the message is one paragraph that names the file."""
    change, words = CHANGES[name]
    bridge = made_bridge(verdicts=VERDICTS)
    models = tuple(msgspec.structs.replace(model, vendor="openai") for model in bridge.models)
    path = changed(tmp_path / "b.bridge.json", change, msgspec.structs.replace(bridge, models=models))
    with pytest.raises(RecordError, match=words) as raised:
        read_bridge(path)
    assert str(raised.value).startswith(f"{path}:1: ")
    assert "\n" not in str(raised.value)


NO_BRIDGES = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "another format": b'{"format": "judgebench-bridge/2"}',
    "a huge number": None,
    "a task that is a file": None,
    "no UTF-8": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("name", NO_BRIDGES)
def test_no_bridge(name: str, tmp_path: Path) -> None:
    """Whatever else lies under the name is refused in one paragraph."""
    path = tmp_path / "b.bridge.json"
    data = NO_BRIDGES[name]
    if name == "a huge number":
        changed(path, setting(1e300, "metrics", "win_rate", "fit", "tau"))
    elif data is None:
        changed(path, setting("./evil/task.py", "task"))
    else:
        path.write_bytes(data)
    with pytest.raises(RecordError, match="not a bridge of the format judgebench-bridge/1"):
        read_bridge(path)


def test_a_missing_file(tmp_path: Path) -> None:
    """A bridge that is not there is a mistake of the command, with what to do."""
    with pytest.raises(UsageError, match=r"cannot be read.*bridge make"):
        read_bridge(tmp_path / "none.bridge.json")


def test_asking_again_leaves_the_evidence(tmp_path: Path) -> None:
    """What the judge said later is kept in the file, does not change its hash, and makes it stale if it differs."""
    bridge = made_bridge(verdicts=VERDICTS)
    assert bridge.findings.reasons == ()
    same = AskedAgain(date=today(), served_model=None, verdicts=VERDICTS)
    other = msgspec.structs.replace(same, verdicts=CHANGED)
    good, stale = (made_bridge(verdicts=VERDICTS, asked=asked) for asked in ([same], [same, other]))
    assert good.drift is not None
    assert stale.drift is not None
    assert (good.drift.p_value, good.findings.reasons) == (1.0, ())
    assert stale.drift.p_value == pytest.approx(2 * 0.5**8)
    assert stale.findings.reasons == ("stale",)
    assert bridge.hash == good.hash == stale.hash
    write_bridge(tmp_path / "b.bridge.json", stale)
    assert read_bridge(tmp_path / "b.bridge.json") == stale


def test_another_model_that_answers_is_drift() -> None:
    """If the endpoint itself says that another model answers now, the bridge is stale whatever the verdicts are."""
    same = AskedAgain(date=today(), served_model="gpt-4.1-2026-01-01", verdicts=VERDICTS)
    assert made_bridge(verdicts=VERDICTS, asked=[same]).findings.reasons == ("stale",)
    silent = msgspec.structs.replace(same, served_model=None)
    assert made_bridge(verdicts=VERDICTS, asked=[silent]).findings.reasons == ()


def test_age_and_alias() -> None:
    """A bridge is old after 180 days, and its judge an alias if neither its name nor the endpoint's has a date."""
    assert made_bridge(created=today() - timedelta(days=180)).findings.marks == ()
    assert made_bridge(created=today() - timedelta(days=181)).findings.marks == ("old",)
    assert made_bridge(judge="gpt-4.1", served_model=None).findings.marks == ("alias",)
    assert made_bridge(judge="gpt-4.1", served_model="gpt-4.1-2025-04-14").findings.marks == ()
    assert made_bridge(judge=f"hf:sha256:{'0' * 64} dtype=float32", served_model="ckpt").findings.marks == ()


@pytest.mark.parametrize("name", each(lambda: [name for name, case in cases().items() if "fit" in case]))
def test_published_bridges_as_files(name: str, tmp_path: Path) -> None:
    """The published bridges through the file: fit, predictions left out, checks, status, and who is left out."""
    case = cases()[name]
    models = case["models"]
    every = name.endswith("_all")
    bridge = made_bridge(
        [model["judged"] for model in models],
        [model["official"] for model in models],
        names=[model["name"] for model in models],
        limits=tuple(case["range"]),
        judge_vendor=None if every else case["judge_vendor"],
        official_vendor=None if every else case["official_vendor"],
    )
    write_bridge(tmp_path / "b.bridge.json", bridge)
    read = read_bridge(tmp_path / "b.bridge.json")
    assert [model.included for model in read.models] == [model["included"] for model in models]
    metric, want = read.metrics["win_rate"], case["fit"]
    assert metric.fit is not None
    for field in ("n", "centre", "intercept", "slope", "tau", "df"):
        assert getattr(metric.fit, field) == pytest.approx(want[field], rel=1e-6), field
    assert (metric.status, list(metric.reasons)) == (case["status"], case["reasons"])
    for left, expected in zip(metric.loo, case["loo"], strict=True):
        assert left.model == expected["model"]
        assert (left.predicted, left.low95, left.high95) == pytest.approx(
            (expected["predicted"], expected["low95"], expected["high95"]), abs=1e-4
        )
    for field, value in case["checks"].items():
        points = field.endswith(("error", "width95"))
        assert getattr(metric.checks, field) == pytest.approx(value, abs=1e-4 if points else 1e-6), field


def test_the_hash_is_of_everything(tmp_path: Path) -> None:
    """Two bridges that differ in anything but what the judge said later have different hashes."""
    bridge = made_bridge()
    path = tmp_path / "b.bridge.json"
    write_bridge(path, bridge)
    assert bridge.hash == canonical_hash(msgspec.to_builtins(read_bridge(path)))
    assert msgspec.structs.replace(bridge, name="other").hash != bridge.hash
