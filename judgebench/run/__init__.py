"""One evaluation: its settings, its folder on disk, the stages that fill it, and the scores made from it.

Comparing several runs is the business of ``analysis``, PASS or FAIL that of ``gate``.
"""
