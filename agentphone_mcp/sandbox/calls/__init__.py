"""Simulate calls turn by turn: `simulator` runs them, `replies` speaks, `party` is the callee and its menu."""
