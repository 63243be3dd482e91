"""Workflows that a person picks in their host: what a telephone is for, as steps over the tools."""
