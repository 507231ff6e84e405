"""Recordings: what the policy saw and did as an MCAP file, and what is made of one afterwards."""
