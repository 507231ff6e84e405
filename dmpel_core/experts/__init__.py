"""Low-rank experts, the router that mixes them, and the library that keeps both on disk."""
