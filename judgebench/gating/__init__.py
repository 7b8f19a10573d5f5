"""Regressed or not: policies, verdicts with their tests, sequential gates and reports for CI."""
