"""One server for many: who may connect, how long and how much, and how it stops."""
