"""The resources file of a project, and what the gateway creates from it."""
