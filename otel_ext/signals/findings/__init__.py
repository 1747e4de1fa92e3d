"""How a rule speaks: the life of a finding, its words, and its span."""
