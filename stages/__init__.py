"""The six stages of the workflow, one file each, what they call, and the tools."""

import sys
from importlib.util import find_spec

if find_spec("pydantic") is None:  # such as where `.venv/bin/dvc` was called by its path: it starts `python`
    sys.exit(f"{sys.executable} has not the packages of this project; `make setup`, then `source .venv/bin/activate`")
