"""Read options, environment variables, secret files and the keychain."""
