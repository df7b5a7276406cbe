"""Mutation tests: small wrong changes to the code, each of which the quick tests of its module must notice."""
