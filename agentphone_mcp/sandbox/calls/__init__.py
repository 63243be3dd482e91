"""Simulate calls, turn by turn."""
