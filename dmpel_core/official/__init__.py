"""Checkpoints of the paper's own code: read without running them, and written so that it loads them."""
