"""Whether a candidate has regressed: policies, verdicts with their tests, sequential gates and reports for CI.

How many points two runs differ by is computed in ``analysis``; here that becomes PASS, FAIL or INCONCLUSIVE.
"""
