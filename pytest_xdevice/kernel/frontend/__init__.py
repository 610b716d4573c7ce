"""The front end: from Python functions to typed IR."""
