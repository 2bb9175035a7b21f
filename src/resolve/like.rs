//! What other systems do with memory, as our own settings (`--like`); and who else on this machine kills for lack of it.

use crate::{
    cgroup::NO_SWAP,
    event::{Controller, Like, OomPolicy},
    units::Limit,
};

/// How much may be swapped out beside this limit. docker's default for `--memory-swap` is twice `--memory`; the kubelet gives containers no
/// swap; systemd's `MemorySwapMax=` is infinity.
pub fn swap(like: Like, limit: Limit) -> Limit {
    match like {
        Like::Docker => limit,
        Like::Kubernetes => NO_SWAP,
        Like::Systemd => Limit::Max,
    }
}

/// What happens when memory runs out, where it is not what the kernel does anyway. The kubelet sets `memory.oom.group` (1.28), which v1 has
/// not; a systemd service has `OOMPolicy=stop`.
pub fn oom(like: Like, controller: Controller) -> Option<OomPolicy> {
    match (like, controller) {
        (Like::Docker, _) | (Like::Kubernetes, Controller::V1) => None,
        (Like::Kubernetes, Controller::V2) | (Like::Systemd, _) => Some(OomPolicy::Group),
    }
}

/// Whether systemd-oomd runs, which kills whole groups when they have long waited for memory, or when the machine's swap runs out. (The socket
/// `/run/systemd/io.systemd.ManagedOOM` is systemd's own, and there without it.)
pub fn oomd_runs() -> bool {
    const UNIT: &str = "/sys/fs/cgroup/system.slice/systemd-oomd.service/cgroup.procs";
    std::fs::read_to_string(UNIT).is_ok_and(|pids| !pids.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_as_it_is() {
        let limit = Limit::Bytes(64 << 20);
        let of = |like, controller| (swap(like, limit), oom(like, controller));
        for controller in [Controller::V1, Controller::V2] {
            assert_eq!(of(Like::Docker, controller), (limit, None));
            assert_eq!(of(Like::Systemd, controller), (Limit::Max, Some(OomPolicy::Group)));
        }
        assert_eq!(of(Like::Kubernetes, Controller::V1), (NO_SWAP, None));
        assert_eq!(of(Like::Kubernetes, Controller::V2), (NO_SWAP, Some(OomPolicy::Group)));
        assert_eq!(swap(Like::Docker, Limit::Max), Limit::Max);
    }
}
