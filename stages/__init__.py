"""The stages of the workflow, one file each: fetch, prepare, train, evaluate, plot."""
