"""The console: a page that shows what happens in the gateway, and lets people act."""
