"""The release: the distributions, the versions of Python and of dependencies, and the workflows that publish."""
