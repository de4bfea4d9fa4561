"""vla-bench: does this token pruner help, by how much, and is it real?"""

__version__ = "0.1.0"
