"""Runs that a judge of today judged, and bridges that fit them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from judgebench.codec import canonical_hash
from judgebench.run.bridge_files import Bridge, write_bridge
from judgebench.run.bridging import asked_items, bridge_protocol, served_model
from judgebench.run.folder import RunFolder
from tests.made_bridges import JUDGED, OFFICIAL, made_bridge


def bridge_for(
    run: Path, judged: Sequence[float] = JUDGED, official: Sequence[float] = OFFICIAL, **made: Any
) -> Bridge:
    """A made-up bridge whose models were judged as a run was; further words are ``made_bridge``'s."""
    (task,) = RunFolder(run).require_manifest().tasks.values()
    protocol = bridge_protocol(task.protocol)
    bridge = made_bridge(judged, official, **made)
    n, ids_hash = asked_items(task.protocol)
    assert bridge.items.ids_hash is not None
    return replace(
        bridge,
        task=task.name,
        task_version=task.version,
        options=task.options,
        judge=replace(
            bridge.judge,
            identity=", ".join(judge["model"] for judge in task.protocol["judges"].values()),
            protocol=protocol,
            protocol_hash=canonical_hash(protocol),
            served_model=served_model(task),
        ),
        items=replace(bridge.items, n=n, ids_hash=ids_hash),
    )


def write_bridge_for(run: Path, path: Path, *numbers: Sequence[float], **made: Any) -> Path:
    """The same as a file."""
    write_bridge(path, bridge_for(run, *numbers, **made))
    return path
