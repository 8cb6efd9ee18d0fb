from ._running import Exit as Exit, run_command as run_command
from ._stopping import (
    STOP_SIGNALS as STOP_SIGNALS,
    Stopped as Stopped,
    stopped_by_signals as stopped_by_signals,
)
from ._verify import (
    CASES_ASKED as CASES_ASKED,
    Cases as Cases,
    Head as Head,
    Keys as Keys,
    main as main,
    parse_head as parse_head,
    trusted_keys as trusted_keys,
    verify_command as verify_command,
)
