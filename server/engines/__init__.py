"""Where the chat's messages are kept and handed on: `base` has the interface of every engine."""
