"""The published policy of the official code: its names and its files."""
