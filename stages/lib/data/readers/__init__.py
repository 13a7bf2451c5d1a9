"""Readers of raw files: each kind is a section of data/datasets.yaml that knows how to read its files."""
