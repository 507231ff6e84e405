"""Whole lifelong runs: one algorithm learns a sequence of tasks and is measured as it goes."""
