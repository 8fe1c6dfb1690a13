"""The desired state in force: the newest valid one. A file that is missing or wrong changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
import structlog

from canaryd.config.desired import parse_desired
from canaryd.core.model import Desired
from canaryd.engine.wiring import Rollout
from canaryd.errors import CanarydError

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class DesireReader:
    """Reads the desired state, keeping the last good one. ``error`` says what is wrong with the file now."""

    rollout: Rollout
    last_good: Desired | None = None
    error: str = field(default="")

    async def read(self) -> Desired | None:
        """Return the desired state in force; None only when there never was a valid one."""
        error = await self._try()
        if error and error != self.error:
            log.warning("desired.invalid", rollout=self.rollout.policy.rollout, problem=error)
        self.error = error
        return self.last_good

    async def _try(self) -> str:
        """Read the file; return what is wrong with it, or nothing."""
        try:
            with anyio.fail_after(self.rollout.deadlines.desired_s):
                text = await self.rollout.desired.read()
            self.last_good = parse_desired(text, self.rollout.desired_name, self.rollout.policy)
        except TimeoutError:
            return f"{self.rollout.desired_name}: not readable in time"
        except CanarydError as error:
            return str(error)
        return ""
