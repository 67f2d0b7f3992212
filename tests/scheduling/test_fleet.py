"""Each worker's share of the cores, also where a container grants fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.scheduling import fleet


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fleet, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return tmp_path


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 64), ("200000 100000", 2), ("50000 100000", 1), ("?", 64)])
def test_a_quota_of_cgroup_v2(cgroup: Path, quota: str, cores: int) -> None:
    (cgroup / "cpu.max").write_text(quota + "\n")
    assert fleet.usable_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 64), ("250000", 3)])
def test_a_quota_of_cgroup_v1(cgroup: Path, quota: str, cores: int) -> None:
    (cgroup / "cpu").mkdir()
    (cgroup / "cpu/cpu.cfs_quota_us").write_text(quota + "\n")
    (cgroup / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert fleet.usable_cores() == cores


def test_workers_share_what_there_is(cgroup: Path) -> None:
    assert [fleet.thread_share(workers) for workers in (1, 3, 64, 100)] == [64, 21, 1, 1]
