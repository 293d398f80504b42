"""A web page for exploring gradient estimators; see ``__main__``."""
