"""Mutation tests: small wrong changes to the code, which the quick tests of the changed module must detect."""
