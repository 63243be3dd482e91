"""Keep what the account has: its agents, numbers, calls and money, and the people who can be called."""
