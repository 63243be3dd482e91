"""Hold the account's data: agents, numbers, calls and money, and the people who can be called."""
