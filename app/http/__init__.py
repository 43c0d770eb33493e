"""Bytes and admission, for every endpoint alike; knows nothing of GraphQL."""
