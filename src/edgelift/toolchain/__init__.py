"""Vendors' tool chains in environments of their own: found, installed when the user asks, and talked to. Standard library
and numpy; nothing of a tool chain is ever imported into edgelift's own process.
"""
