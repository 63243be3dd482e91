"""Serve many callers over HTTP: authentication, limits, time limits and a graceful stop."""
