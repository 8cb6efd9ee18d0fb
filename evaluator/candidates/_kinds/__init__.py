"""How each kind of candidate is read: a module a kind, and one for both of scikit-learn."""
