"""Check requests, and shape or break their answers."""
