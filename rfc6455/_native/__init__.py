"""The native twin of the hot functions; `codec` chooses, and nobody else imports this."""
