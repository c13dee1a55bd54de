"""Providers, one file each, independent of each other; there is nothing to register.

A provider is three blocks in this order: its answers (open where the provider is loose), its
status words (a `Vocabulary` for each kind of task), and its client with one coroutine for each
endpoint. It sees a `Transport`, never sockets. CONTRIBUTING.md has the five steps.
"""
