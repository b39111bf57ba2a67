"""Many clients at once, and those that mean ill: what becomes of a real server.

python -m tests.load NAME [--quick]
"""
