"""A page on which to explore gradient estimators; see ``__main__``."""
