"""Packages that only some models need, and that an extra of this package installs."""

import importlib
from typing import Any

from judgebench.activity import doing
from judgebench.errors import UsageError, installing


def import_extra(purpose: str, extra: str, *modules: str) -> tuple[Any, ...]:
    """Import what an extra of this package installs; :class:`UsageError` if that is not possible."""
    try:
        with doing(f"importing {' and '.join(modules)}"):
            return tuple(importlib.import_module(module) for module in modules)
    except ImportError as error:
        raise UsageError(
            f"{purpose} needs {' and '.join(modules)}, which cannot be imported ({error}). "
            f"Install what is missing with: {installing(extra)}"
        ) from error
