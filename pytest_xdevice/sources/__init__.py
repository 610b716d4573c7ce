"""Kernels in other languages: what makes a signature, an entry and object code of them."""
