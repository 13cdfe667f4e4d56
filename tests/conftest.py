from hypothesis import settings

# No test is timed: the first example may compile a kernel, and the machine may be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
