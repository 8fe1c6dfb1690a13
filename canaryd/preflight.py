"""What ``canaryd check`` looks at: files first, then everything outside, each query once. Nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio

from canaryd.app import Process, build_rollout, desired_path, read_desired
from canaryd.config.policy import load_policy
from canaryd.core.explain import format_weight
from canaryd.core.model import TrafficUnreadable
from canaryd.core.readings import Absence, Health, NoData, Reading, Side, Unread
from canaryd.engine.observe import look_of, observe
from canaryd.engine.wiring import Rollout
from canaryd.ports import Finding, Look
from canaryd.settings import Settings

CHECK_DEADLINE_S = 20.0
SECOND_LOOK_S = 1.5
LONG_S = 10 * 86400.0


def check_files(path: Path, settings: Settings) -> Sequence[Finding]:
    """Check both files and every option and query in them, without any network; raises InvalidFile."""
    file = load_policy(path)
    build_rollout(file, Process(settings))
    rules = sum(len(stage.rollback) for stage in file.policy.stages) + len(file.policy.rollback)
    shape = f"{len(file.policy.stages)} stages, {len(file.policy.metrics)} metrics, {rules} rollback rules"
    desired = read_desired(file)
    wanted = f"release {desired.release}, up to stage {desired.stage}"
    return [
        Finding(ok=True, subject=path.name, detail=f"valid: {shape}"),
        Finding(ok=True, subject=desired_path(file).name, detail=f"valid: {wanted}"),
    ]


async def check_everything(path: Path, settings: Settings) -> Sequence[Finding]:
    """Check the files, then ask every source, the router and every query once."""
    findings = list(check_files(path, settings))
    rollout = build_rollout(load_policy(path), Process(settings))
    try:
        with anyio.fail_after(CHECK_DEADLINE_S):
            findings += await _check_adapters(rollout)
            findings += await _check_looks(rollout)
    except TimeoutError:
        findings.append(Finding(ok=False, subject="check", detail=f"not finished within {CHECK_DEADLINE_S:g} s"))
    finally:
        with anyio.CancelScope(shield=True):
            await rollout.aclose()
    return findings


async def _check_adapters(rollout: Rollout) -> Sequence[Finding]:
    findings = list(await rollout.router.check())
    for source in rollout.sources.values():
        findings += await source.check()
    return findings


async def _check_looks(rollout: Rollout) -> Sequence[Finding]:
    """Look twice, because sources that count between two looks have nothing to say after the first."""
    await observe(rollout, _long_after(rollout))
    await rollout.clock.sleep(SECOND_LOOK_S)
    observation = await observe(rollout, _long_after(rollout))
    traffic = observation.traffic
    if isinstance(traffic, TrafficUnreadable):
        findings = [Finding(ok=False, subject="router", detail=traffic.detail)]
    else:
        seen = f"sends {format_weight(traffic.weight)} to the canary" if traffic.weight is not None else traffic.detail
        findings = [Finding(ok=True, subject="router", detail=seen)]
    return [
        *findings,
        *(_finding(metric, side, reading) for (metric, side), reading in observation.readings.by_key.items()),
    ]


def _long_after(rollout: Rollout) -> Look:
    """Return a look long after any change of traffic, so that no source waits for its look-back before it asks."""
    look = look_of(rollout, None, rollout.clock.now())
    return replace(look, stint_age_s=LONG_S, interval_s=max(look.interval_s, SECOND_LOOK_S))


def _finding(metric: str, side: Side, reading: Reading) -> Finding:
    subject = f"{metric} on {side}"
    match reading:
        case Unread():
            return Finding(ok=False, subject=subject, detail=reading.detail, remedy=_remedy(reading))
        case NoData(why=Absence.NO_TRAFFIC | Absence.WARMING):
            return Finding(ok=True, subject=subject, detail=f"answers; {reading.detail}")
        case NoData():
            # a canary that has served nothing yet has no series; on stable that is a misspelt query
            return Finding(ok=side is Side.CANARY, subject=subject, detail=reading.detail, remedy="check the query")
        case Health(up=False):
            return Finding(ok=False, subject=subject, detail=f"down: {reading.detail}")
        case _:
            return Finding(ok=True, subject=subject, detail="answers")


def _remedy(reading: Unread) -> str:
    return f"the source says: {reading.why.value.replace('_', ' ')}"
