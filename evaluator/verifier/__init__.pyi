from ._running import Exit as Exit, run_command as run_command
from ._verify import Key as Key, main as main, verify_command as verify_command
