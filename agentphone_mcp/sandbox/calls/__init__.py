"""Simulate calls turn by turn: `simulator` runs them, `replies` speaks, `menu` presses keys, `party` is the callee."""
