//! What the sandbox is made of. Root has it, unless a container took it away; a plain user needs a user namespace, and whether one can be
//! used was tried: the switches below only explain a refusal.

use super::{Check, Group, Topic};
use crate::doctor::{
    facts::Machine,
    remedy::{self, Remedy, words},
};

pub(super) fn checks(m: &Machine) -> Vec<Check> {
    let topic =
        Topic::new(Group::Namespaces, "namespaces", "a sandbox: without one, a workload can lift its own limit");
    let kinds = match &m.namespaces.kinds {
        Ok(kinds) => kinds.iter().filter(|kind| *kind != "user").map(|kind| word(kind)).collect::<Vec<_>>().join(", "),
        Err(reason) => return vec![topic.not_known(m, reason)],
    };
    vec![if m.me.is_root() { of_root(m, topic, &kinds) } else { of_a_user(m, topic, &kinds) }]
}

/// As `unshare` and the manual pages name it.
fn word(kind: &str) -> &str {
    if kind == "mnt" { "mount" } else { kind }
}

fn of_root(m: &Machine, topic: Topic, kinds: &str) -> Check {
    if m.me.sys_admin {
        return topic.ok(format!("{kinds}: as root"));
    }
    let found = "refused: this root has no CAP_SYS_ADMIN";
    topic.missing(
        found,
        remedy::container(m).unwrap_or_else(|| words("run sandtop as a root that has all capabilities")),
    )
}

fn of_a_user(m: &Machine, topic: Topic, kinds: &str) -> Check {
    match &m.namespaces.tried {
        Ok(Ok(())) => topic.ok(format!("{kinds}: in a user namespace, which was tried")),
        Ok(Err(errno)) => {
            let (reasons, remedy) = refused(m);
            topic.missing(format!("a user namespace was tried and refused ({errno}): {}", reasons.join("; ")), remedy)
        }
        Err(reason) => topic.not_known(m, reason),
    }
}

/// Everything that stands in the way, and what removes all of it. More than one can.
fn refused(m: &Machine) -> (Vec<&'static str>, Remedy) {
    let n = &m.namespaces;
    let switch = |setting| remedy::commands("allow them, now and after the next boot", remedy::sysctl(m, setting));
    let mut found: Vec<(&str, Remedy)> = Vec::new();
    if !n.kinds.as_ref().is_ok_and(|kinds| kinds.iter().any(|kind| kind == "user")) {
        let other = words("use a kernel that has CONFIG_USER_NS, or run sandtop as root");
        found.push(("this kernel is built without them (CONFIG_USER_NS)", other));
    }
    if n.clone == Some(0) {
        found.push(("kernel.unprivileged_userns_clone is 0", switch("kernel.unprivileged_userns_clone=1")));
    }
    if n.most == Some(0) {
        found.push(("user.max_user_namespaces is 0", switch("user.max_user_namespaces=15000")));
    }
    if n.apparmor.is_some_and(|value| value != 0) {
        found.push(("kernel.apparmor_restrict_unprivileged_userns is 1", remedy::apparmor(m)));
    }
    if let Some(start) = remedy::container(m).filter(|_| found.is_empty()) {
        let masked = "this container masks parts of /proc, and the kernel then gives no fresh one";
        found.push((if n.proc_masked { masked } else { "this container forbids them" }, start));
    }
    if found.is_empty() {
        found.push(("for a reason that sandtop does not know", remedy::as_root_instead(m)));
    }
    let reasons = found.iter().map(|(reason, _)| *reason).collect();
    let parts: Vec<&str> = found.iter().map(|(_, remedy)| remedy.words.as_str()).collect();
    let words = parts.join("; ");
    (
        reasons,
        Remedy { words, see: None, commands: found.into_iter().flat_map(|(_, remedy)| remedy.commands).collect() },
    )
}
