"""What every test folder shares."""

import asyncio

# On Python 3.11 the first use of the default policy makes a loop that nobody closes, and warnings are errors here.
asyncio.set_event_loop(None)
