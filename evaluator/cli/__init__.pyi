from ._app import app as app, command as command, main as main
