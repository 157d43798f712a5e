"""What stands between the network and the app: whom the server answers, and in which terms."""
