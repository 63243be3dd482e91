"""Decide what a tool may do, and write down what was done: gate, limits, destinations, untrusted text, ledger."""
