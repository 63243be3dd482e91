"""Deliver events to webhooks, signed and retried."""
