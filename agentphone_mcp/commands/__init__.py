"""Define the commands: the server, demo, sandbox, login, ledger, token, install, doctor."""
