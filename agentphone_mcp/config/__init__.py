"""Read what the server is told: options, environment variables, secrets from files and the keychain."""
