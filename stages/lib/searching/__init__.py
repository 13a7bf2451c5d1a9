"""Strategies and their trials."""
