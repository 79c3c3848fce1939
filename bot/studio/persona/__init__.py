"""The tab Persona: edits, drafts, checks, versions."""
