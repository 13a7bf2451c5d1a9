"""Metrics, verdicts and their tables."""
