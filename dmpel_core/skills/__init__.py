"""Skills with names: what a demonstration does at each tick, told by a small fixed vocabulary. Needs neither torch nor a simulator."""
