"""Commands that people type and no pipeline runs."""
