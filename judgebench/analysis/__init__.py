"""Numbers over finished runs: comparisons, leaderboards, correlations, explanations and plans.

Nothing here calls a model or writes into a run folder.
"""
