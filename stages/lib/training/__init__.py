"""The code that decides a result, and nothing else."""
