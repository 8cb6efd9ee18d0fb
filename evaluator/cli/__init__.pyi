from ._app import app as app, main as main
from ._process import command as command
