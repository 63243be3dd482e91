"""Finds out what is wrong when it is not working: looks, asks, starts what hosts start, and changes nothing."""
