"""uvicorn_protocols."""
