"""Diagnose an installation without changing anything."""
