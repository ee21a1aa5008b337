"""What the soak knows about the machine that it runs on."""

from tests.soak.processes import Sampler


def test_a_time_without_cpu_to_spare_is_known() -> None:
    sampler = Sampler()
    sampler.busy = [(11.0, 0.5), (12.0, 0.97), (13.0, 0.9), (14.0, 1.0)]

    assert sampler.full() == [(11.0, 12.0), (13.0, 14.0)]
