"""What every test shares: properties are searched without a clock, which a busy machine would fail."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
