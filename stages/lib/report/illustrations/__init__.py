"""What the sources compute or draw without training a network, computed again: one module a subject.

A new illustration is a function in a module of its own, an entry in registry.py and a name in stages/lib/study/settings.py.
"""
