"""Statistics on arrays: intervals, comparisons, ratings, agreement, power.

Functions take numpy arrays and return small frozen results, and can be used on their own: nothing here knows what a
model, a judge or a run is. Functions that draw at random take an ``rng`` or a seed. Too little data gives ``None`` or
raises ``ValueError`` with the reason, never NaN or 0. Import the module that answers your question:

=============================================== ====================================================================
How sure is a mean or a share?                  ``proportions``, ``clustered``, ``intervals``, ``sequential``,
                                                ``control_variates``, ``judges_effect``
Do two runs differ, and may one be worse?       ``paired``, ``margins``, ``relative``, ``many_runs``, ``multiplicity``
How many examples are needed?                   ``power``, ``variance_components``, ``repeats``, ``benchmark_quality``
Who is best, from games between pairs?          ``bradley_terry``, ``elo``, ``transitivity``
Which games to play next, and when to stop?     ``pairing``
What if both answers were alike in style?       ``length_control``, ``style_control``, ``style_rate``,
                                                ``style_share``, ``equal_lengths``
Do judges agree, and with people?               ``agreement``, ``jury``, ``calibration``, ``correlation``,
                                                ``correlation_comparison``, ``annotators``, ``cross_annotation``,
                                                ``classification``
Is a judge biased?                              ``judge_bias``
What would people have said?                    ``prediction_powered``, ``rogan_gladen``, ``stratified_labels``
What would another judge say?                   ``bridge``, ``bridge_rules``, ``cascade``
=============================================== ====================================================================

>>> from judgebench.stats.proportions import share_interval
>>> share_interval(45, 50).low > 0.78
True
"""
