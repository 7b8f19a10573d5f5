"""One evaluation: its settings, its folder on disk, the stages that fill it, and the scores made from it.

``analysis`` compares several runs, ``gating`` decides PASS or FAIL, and ``exchange`` reads and writes other formats.
"""
