"""Offer common phone tasks as prompts: a person picks one, and an assistant follows its steps with the tools."""
