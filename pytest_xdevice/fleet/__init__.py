"""Several devices in one run: whose turn it is on which, and which of them are left out."""
