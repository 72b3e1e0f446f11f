"""Mergeable sketches of a column: what is kept of many rows, so that two pieces together say what their whole would.

Each says its error. Counts, extremes and the distinct count do not depend on how pieces were put together; quantiles and
frequent values may differ within their bounds, which hold whatever the order (Agarwal et al., "Mergeable Summaries", 2012).
"""
