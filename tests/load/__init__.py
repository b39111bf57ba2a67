"""Many clients at once, and those that mean ill: commands that load a real server and tell what came.

python -m tests.load NAME [--quick]
"""
