"""Install the server in the hosts of this machine: their files, the entry in each format, and the command."""
