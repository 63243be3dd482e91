"""Run what a person types: serving, the demo, the sandbox, login, the ledger, tokens, install and doctor."""
