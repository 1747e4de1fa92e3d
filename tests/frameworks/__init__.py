"""Real agent frameworks end to end, in an environment of their own that `.ci/frameworks` makes."""
