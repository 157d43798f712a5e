"""What several pages use: shell, server resources, widgets, downloads."""
