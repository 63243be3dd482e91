"""Find out what is wrong: read files, ask the API, start what hosts start, and change nothing."""
