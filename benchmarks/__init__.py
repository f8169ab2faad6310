"""Measured figures. Each benchmark prints ratios from one run, with all that repeats it."""
