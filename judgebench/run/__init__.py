"""One evaluation: its settings, its folder on disk, the stages that fill it, and the scores made from it.

Runs are compared in ``analysis``; PASS or FAIL is decided in ``gating``.
"""
