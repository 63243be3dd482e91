"""Follow calls while they are spoken."""
