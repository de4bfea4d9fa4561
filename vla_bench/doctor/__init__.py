"""`vla-bench doctor`: is this machine ready, and is what a run recorded whole?"""
