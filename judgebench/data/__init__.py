"""Files that come from outside: pinned official files, rows of other programs' files, prompts, plug-ins.

What a row means for a benchmark is decided in its task. Run folders are read in ``run``.
"""
