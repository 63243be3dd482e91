"""Find out who sends a request, in one of four ways."""
