"""Statistics on arrays: intervals and resampling, and the length-controlled win rate of AlpacaEval.

Everything here takes numpy arrays and returns small frozen results; nothing knows what a model or a judge is.
Too little data gives ``None`` or raises ``ValueError`` with the reason, never NaN or 0.
"""
