"""Whether tests run whole campaigns, or the part of each that a change is tested with."""

import os

ALL = bool(os.environ.get("JUDGEBENCH_TEST_ALL"))
"""Whole: hours, where the parts take minutes (CONTRIBUTING.md)."""
