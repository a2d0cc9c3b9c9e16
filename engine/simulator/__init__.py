"""The embedded default venue: a ProjectX gateway on loopback, with the truth of all it sends (see __main__.py).

The fact sheet, which is named here and wherever a wire is read, is what was written down of the ProjectX Gateway API
from its public documentation and from clients at work; it is kept with the project's notes, not in this tree.
"""
