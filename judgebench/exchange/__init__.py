"""Results in other forms: imports and exports of other programs' files, tables in six forms, experiment trackers.

What depends on a benchmark (an annotations file, a judgement file) lies with that benchmark's exporters and importers.
"""
