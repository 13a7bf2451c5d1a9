"""What the sources compute or draw without training a network, computed again.

A new illustration is a function in one of these modules, an entry in registry.py and a name in stages/lib/study/claims.py.
"""
