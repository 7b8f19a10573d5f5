"""Fixtures around the test servers; ``tests/conftest.py`` names this module in ``pytest_plugins``."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers.launch import Server, chat_server


@pytest.fixture
def start_chat_server() -> Iterator[Callable[..., Server]]:
    """A function that starts a chat server with the given options; all are ended with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> Server:
            return stack.enter_context(chat_server(**options))

        yield start
