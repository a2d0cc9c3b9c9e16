"""The embedded default venue: a ProjectX gateway on loopback, with the truth of all it sends (see __main__.py)."""
