"""The commands that write, check, train, measure and talk to a persona, one module a group.

Each module has ``register(app)``, which adds its commands to a Typer app. Its functions
import what they need when they run: ``renshe --help`` must not wait for torch. Their
annotations are read when the app is built, so the wordings in them are in the language
that is spoken by then.
"""
