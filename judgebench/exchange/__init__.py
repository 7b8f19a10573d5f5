"""Results in other forms: imports and exports of other programs' files, tables in six forms, experiment trackers.

A benchmark's own formats (an annotations file, a judgement file) are in its folder, among its exporters and importers.
"""
