"""Extend uvicorn's HTTP protocols with time limits for slow clients."""
