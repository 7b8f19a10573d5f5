"""Fixtures for all tests: nothing outside the test's own folders is touched, and no network is used."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.plugin", "tests.commands", "tests.shared_data", "tests.left_out", "pytester"]

# It is run as a program, and finds its neighbour as such.
collect_ignore = ["servers/chat_server.py"]

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of vLLM are skipped where it is not installed."""
    if item.get_closest_marker("vllm") and find_spec("vllm") is None:
        pytest.skip("needs vLLM, which has a venv of its own: make test-vllm")


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cache, home and working directory of the test are its own; keys and mirrors of the user are not seen."""
    folder = tmp_path_factory.mktemp("own")
    for name in list(os.environ):
        if name.startswith(("JUDGEBENCH_", "OPENAI_", "ANTHROPIC_", "HF_")) and not name.startswith("JUDGEBENCH_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JUDGEBENCH_CACHE", str(folder / "cache"))
    monkeypatch.setenv("HF_HOME", str(folder / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder
