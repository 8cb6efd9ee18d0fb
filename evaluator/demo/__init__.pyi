from ._flights import LATE_MINUTES as LATE_MINUTES, load_flights as load_flights
from ._prepare import prepare as prepare
