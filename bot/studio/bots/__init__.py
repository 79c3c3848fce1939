"""The tab Bots: settings, plugins and the process of the bot of a project."""
