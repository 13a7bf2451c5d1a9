"""The six stages of the workflow, one file each, what they call, and the tools."""
