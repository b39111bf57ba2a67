"""A chat server on `rfc6455`: rooms, presence, private messages, and a page to use them."""
