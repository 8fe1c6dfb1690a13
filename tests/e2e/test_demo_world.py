"""The demo's world in real processes: services, the front door and real requests."""

from __future__ import annotations

import json
import threading
from collections import Counter
from functools import partial

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from canaryd.lab.children import ChildFailed, running
from canaryd.lab.demo_files import free_ports
from canaryd.lab.load import Seen, run_load


@pytest.fixture
def ports():
    return free_ports()


@pytest.fixture
async def client():
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        yield client


@pytest.fixture
async def canary(tmp_path, ports):
    command = ["-m", "canaryd.lab.service", "--name", "api-canary", "--version", "2.0.0", "--port", str(ports.canary)]
    async with running("canary", [*command, "--median-ms", "2"], tmp_path / "canary.log") as child:
        await child.ready(f"http://127.0.0.1:{ports.canary}/health")
        yield child


@pytest.fixture
async def stable(tmp_path, ports):
    command = ["-m", "canaryd.lab.service", "--name", "api", "--port", str(ports.stable), "--median-ms", "2"]
    async with running("stable", command, tmp_path / "stable.log") as child:
        await child.ready(f"http://127.0.0.1:{ports.stable}/health")
        yield child


@pytest.fixture
async def front_door(tmp_path, ports, stable, canary):
    options = {
        "--config": tmp_path / "canary.json",
        "--stable": ports.stable,
        "--canary": ports.canary,
        "--port": ports.front_door,
    }
    words = [str(word) for option in options.items() for word in option]
    async with running("front door", ["-m", "canaryd.lab.front_door", *words], tmp_path / "door.log") as child:
        url = f"http://127.0.0.1:{ports.front_door}/"
        await child.ready(url + "health")
        yield url


@pytest.fixture
def split(tmp_path):
    def write(percent, *, enabled=True):
        draft = tmp_path / "draft.json"
        draft.write_text(json.dumps({"enabled": enabled, "traffic_percent": percent, "epoch": 7}))
        draft.replace(tmp_path / "canary.json")

    return write


async def sides_of(client, url, requests):
    sides = Counter()
    for _ in range(requests):
        sides[(await client.get(url)).headers["x-variant"]] += 1
    return sides


# ---------------------------------------------------------------- the front door


async def test_without_a_config_file_every_request_goes_to_stable(front_door, client):
    assert await sides_of(client, front_door, 50) == {"stable": 50}


@pytest.mark.parametrize("percent", [5, 10, 25, 50, 100])
async def test_the_front_door_splits_real_requests_exactly_as_the_file_says(front_door, client, split, percent):
    split(percent)
    assert (await sides_of(client, front_door, 100))["canary"] == percent


async def test_a_change_of_the_file_counts_from_the_next_request_on(front_door, client, split):
    split(100)
    assert await sides_of(client, front_door, 5) == {"canary": 5}
    split(100, enabled=False)
    assert await sides_of(client, front_door, 5) == {"stable": 5}


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"enabled": true}', '{"enabled": true, "traffic_percent": 140}',
               '{"enabled": true, "traffic_percent": NaN}']
)  # fmt: skip
async def test_a_broken_file_changes_nothing(front_door, client, split, tmp_path, broken):
    split(100)
    await sides_of(client, front_door, 1)
    (tmp_path / "canary.json").write_text(broken)
    assert await sides_of(client, front_door, 5) == {"canary": 5}


async def test_users_get_502_from_a_side_that_crashed_and_answers_from_the_other(front_door, client, split, ports):
    split(50)
    before = await sides_of(client, front_door, 10)
    assert before["canary"] == 5
    await client.post(f"http://127.0.0.1:{ports.canary}/_break", json={"kind": "crash"})
    answers = [await client.get(front_door) for _ in range(10)]
    assert {(a.headers["x-variant"], a.status_code) for a in answers} == {("stable", 200), ("canary", 502)}


# ---------------------------------------------------------------- the load


async def test_the_load_counts_what_users_saw_on_each_side(front_door, split, ports, client):
    split(20)
    seen = Seen()
    await run_load(front_door, seen, rate=200, seed=3, requests=300)
    assert seen.answers.total() + seen.skipped == 300
    assert seen.canary_share == pytest.approx(0.2, abs=0.01)
    assert await counted(client, ports.canary) == seen.answers["canary"]
    assert await counted(client, ports.stable) == seen.answers["stable"]


async def test_requests_beyond_the_cap_are_not_sent_and_counted_as_skipped(front_door, split, client, ports):
    split(100)
    await broken(client, ports, "latency")
    seen = Seen()
    await run_load(front_door, seen, rate=100_000, seed=3, requests=400)
    assert seen.skipped > 0
    assert seen.answers.total() + seen.unanswered + seen.skipped == 400


async def test_a_machine_too_busy_to_keep_the_schedule_skips_what_is_overdue(front_door):
    seen = Seen()
    async with anyio.create_task_group() as tasks:
        scope = await tasks.start(partial(run_load, front_door, seen, rate=200, seed=3, requests=300))
        threading.Event().wait(1.5)  # everything in this process stands still
        assert not scope.cancel_called
    assert 100 < seen.skipped < 300
    assert seen.answers.total() + seen.unanswered + seen.skipped == 300


async def test_the_load_says_how_many_requests_nobody_answered(ports):
    seen = Seen()
    await run_load(f"http://127.0.0.1:{ports.front_door}/", seen, rate=500, seed=3, requests=20)
    assert (seen.unanswered, seen.failures, seen.answers.total()) == (20, 20, 0)


async def test_the_load_ends_when_it_is_told_to(front_door, until):
    seen = Seen()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def load(*, task_status):
                await run_load(front_door, seen, rate=100, seed=3, task_status=task_status)

            scope = await tasks.start(load)
            await anyio.to_thread.run_sync(until, seen.answers.total)
            scope.cancel()
    assert 0 < seen.answers.total() < 1000


# ---------------------------------------------------------------- the service


async def counted(client, port):
    page = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "http_requests_total")


async def gauge(client, port, name):
    page = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return {f.name: f.samples[0].value for f in text_string_to_metric_families(page)}[name]


async def test_a_healthy_service_says_so_and_shows_its_metrics(canary, client, ports):
    url = f"http://127.0.0.1:{ports.canary}"
    health = (await client.get(f"{url}/health")).json()
    assert health == {"status": "healthy", "version": "2.0.0", "pipeline_ready": True}
    for _ in range(3):
        await client.get(url)
    assert await counted(client, ports.canary) == 3
    assert 0.75 < await gauge(client, ports.canary, "confidence_score") < 1
    assert 0.01 < await gauge(client, ports.canary, "process_memory_ratio") < 0.85


async def test_looking_at_health_and_metrics_does_not_count_as_a_request(canary, client, ports):
    await client.get(f"http://127.0.0.1:{ports.canary}/health")
    assert await counted(client, ports.canary) == 0


async def broken(client, ports, kind):
    url = f"http://127.0.0.1:{ports.canary}"
    assert (await client.post(f"{url}/_break", json={"kind": kind})).status_code == 202
    return url


async def test_broken_by_errors_a_third_of_its_answers_are_500(canary, client, ports):
    url = await broken(client, ports, "errors")
    statuses = Counter([(await client.get(url)).status_code for _ in range(100)])
    assert 15 < statuses[500] < 60


async def test_broken_by_latency_it_is_slow_and_right(canary, client, ports):
    url = await broken(client, ports, "latency")
    answer = await client.get(url)
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() > 0.4


async def test_broken_by_health_it_serves_and_calls_itself_degraded(canary, client, ports):
    url = await broken(client, ports, "health")
    health = (await client.get(f"{url}/health")).json()
    assert (health["status"], health["pipeline_ready"]) == ("degraded", False)
    assert (await client.get(url)).status_code == 200


async def test_broken_by_silence_only_its_metrics_are_gone(canary, client, ports):
    url = await broken(client, ports, "silence")
    statuses = [(await client.get(f"{url}{path}")).status_code for path in ("/metrics", "/health", "/")]
    assert statuses == [503, 200, 200]


async def test_broken_by_a_crash_its_process_is_gone(canary, client, ports):
    await broken(client, ports, "crash")
    with anyio.fail_after(5):
        assert await canary.process.wait() == 70


@pytest.mark.parametrize("body", [b"", b"[]", b'{"kind": "gremlins"}', b'{"kind": null}'])
async def test_it_breaks_only_in_ways_it_knows(canary, client, ports, body):
    answer = await client.post(f"http://127.0.0.1:{ports.canary}/_break", content=body)
    assert answer.status_code == 400
    assert (await client.get(f"http://127.0.0.1:{ports.canary}/health")).json()["status"] == "healthy"


# ---------------------------------------------------------------- child processes


async def test_a_port_that_is_taken_is_told_in_one_line(canary, ports, tmp_path):
    command = ["-m", "canaryd.lab.service", "--name", "second", "--port", str(ports.canary)]
    async with running("second", command, tmp_path / "second.log") as second:
        with pytest.raises(
            ChildFailed, match=f"127.0.0.1:{ports.canary} cannot be listened on: Address already in use"
        ):
            await second.ready(f"http://127.0.0.1:{ports.front_door}/")


async def test_a_child_that_does_not_stop_when_asked_is_killed(tmp_path, monkeypatch, until):
    monkeypatch.setattr("canaryd.lab.children.STOP_WITHIN_S", 0.2)
    log = tmp_path / "stubborn.log"
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\nsignal.pause()"
    async with running("stubborn", ["-c", code], log) as stubborn:
        await anyio.to_thread.run_sync(until, log.read_text)
    assert stubborn.process.returncode == -9


def test_no_child_survives_a_parent_that_is_killed(start, until, tmp_path):
    parent = start(
        "-c",
        "import anyio, pathlib\n"
        "from canaryd.lab.children import running\n"
        "async def main():\n"
        f"    log = pathlib.Path({str(tmp_path / 'child.log')!r})\n"
        "    async with running('child', ['-c', 'import signal; signal.pause()'], log):\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n",
    )
    children = until(parent.family, what="the child's start")
    parent.process.kill()
    parent.wait(5)
    assert until(lambda: not any(alive(child) for child in children), within_s=5, what="the child's end")


def alive(process):
    return process.is_running() and process.status() != "zombie"
