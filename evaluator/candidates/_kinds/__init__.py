"""How each kind of candidate is read: one module a kind."""
