"""What the expert can do; each skill is a generator of actions."""
