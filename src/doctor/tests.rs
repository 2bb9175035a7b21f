//! What is said about machines that do not exist.

use super::{
    checks::{Check, Group, State, all},
    facts::*,
    machines::*,
    table::{Style, table},
    verdict::{Can, First, Verdict},
};

fn check(m: &Machine, name: &str) -> Check {
    all(m).into_iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// The state of a check and its remedy.
fn told(m: &Machine, name: &str) -> (State, String) {
    let check = check(m, name);
    (check.state, check.remedy.map_or(String::new(), |remedy| remedy.to_string()))
}

/// Asserts how a check stands, and that its remedy has all of these words.
fn assert_told(m: &Machine, name: &str, state: State, words: &[&str]) {
    let (is, remedy) = told(m, name);
    assert_eq!(is, state, "{name}: {remedy}");
    for word in words {
        assert!(remedy.contains(word), "{name} lacks {word}: {remedy}");
    }
}

fn drawn(m: &Machine, width: usize) -> String {
    let checks = all(m);
    let style = Style { width, colour: false };
    table("sandtop: what this machine allows", &checks, &Verdict::of(m, &checks), style)
}

#[test]
fn every_machine_gets_its_verdict_and_one_thing_to_do_first() {
    for (name, m, can) in machines() {
        let verdict = Verdict::of(&m, &all(&m));
        assert_eq!(verdict.can, can, "{name}: {}", verdict.text);
        let (First::Command(first) | First::Words(first)) = &verdict.first;
        assert!(!first.is_empty(), "{name}");
        let word = match can {
            Can::Everything => "sandtop works here",
            Can::LimitOnly => "limit only",
            Can::Nothing => "cannot set a limit here",
        };
        assert!(verdict.text.contains(word), "{name}: {}", verdict.text);
    }
}

#[test]
fn every_check_is_on_every_machine_and_what_is_not_ok_has_a_remedy() {
    let names = |m: &Machine| all(m).iter().map(|check| check.name).collect::<Vec<_>>();
    let expected = names(&v2_root());
    for (name, m, _) in machines() {
        assert_eq!(names(&m), expected, "{name}");
        for check in all(&m) {
            let remedy = check.remedy.as_ref().map_or(String::new(), ToString::to_string);
            assert_eq!(check.state == State::Ok, remedy.is_empty(), "{name}, {}: {remedy}", check.name);
            assert!(!check.found.is_empty() && !check.needed_for.is_empty(), "{name}, {}", check.name);
            let see = check.remedy.and_then(|remedy| remedy.see);
            assert!(see.is_none_or(|other| told(&m, other).0 != State::Ok), "{name}: {} sees {see:?}", check.name);
        }
    }
}

#[test]
fn a_machine_that_has_everything_has_nothing_to_remedy() {
    assert!(all(&v2_root()).iter().all(|check| check.state == State::Ok));
    assert!(all(&user_scope()).iter().all(|check| check.state == State::Ok || check.name == "kernel_log"));
}

#[test]
fn root_is_advised_only_where_it_helps() {
    assert_told(&v1_user(), "group", State::Missing, &["sudo /home/ann/.cargo/bin/sandtop demo"]);
    assert_told(&wsl(), "group", State::Missing, &["/etc/wsl.conf", "wsl --shutdown"]);
    assert_told(&su_shell(), "group", State::Missing, &["sudo loginctl enable-linger ann"]);
    assert_told(
        &ci_service(),
        "group",
        State::Missing,
        &["ci.service.d/delegate.conf", "Delegate=yes", "restart ci.service"],
    );
    assert_told(&docker(), "group", State::Missing, &["docker run --privileged --cgroupns=private"]);
    assert_told(&codespaces(), "group", State::Missing, &["runArgs", "devcontainer.json"]);
}

#[test]
fn app_armor_gets_a_whole_profile_for_the_real_path() {
    let expected = [
        "'abi <abi/4.0>,'",
        "'include <tunables/global>'",
        "'profile sandtop /home/ann/.cargo/bin/sandtop flags=(unconfined) {'",
        "'  userns,'",
        "sudo tee /etc/apparmor.d/sandtop",
        "sudo apparmor_parser -r /etc/apparmor.d/sandtop",
    ];
    assert_told(&ubuntu(), "namespaces", State::Missing, &expected);
    assert!(check(&ubuntu(), "namespaces").found.contains("kernel.apparmor_restrict_unprivileged_userns"));
}

#[test]
fn a_switch_that_is_off_is_named_and_switched_on() {
    let sysctl = ["kernel.unprivileged_userns_clone=1", "sudo tee -a /etc/sysctl.d/", "sudo sysctl -p"];
    assert_told(&debian_without_user_namespaces(), "namespaces", State::Missing, &sysctl);
    let m = refused(user_scope());
    let both =
        Machine { namespaces: Namespaces { most: Some(0), apparmor: Some(1), ..m.namespaces.clone() }, ..m.clone() };
    assert_told(&both, "namespaces", State::Missing, &["user.max_user_namespaces=15000", "apparmor_parser"]);
    assert_told(&m, "namespaces", State::Missing, &["sudo /home/ann/.cargo/bin/sandtop demo"]);
    let around = Around { container: Some(Container::Podman), ..Around::default() };
    let masked = Namespaces { proc_masked: true, ..m.namespaces.clone() };
    assert_told(
        &Machine { around, namespaces: masked, ..m },
        "namespaces",
        State::Missing,
        &["podman run --privileged"],
    );
}

#[test]
fn where_a_group_would_be_made_is_told() {
    let found = |m: &Machine, name: &str| check(m, name).found;
    assert_eq!(found(&v1_root(), "group"), "made below /sys/fs/cgroup/memory, as root");
    assert!(found(&podman_privileged(), "group").contains("whose 3 processes must go"));
    assert!(found(&delegated(), "group").contains("/sys/fs/cgroup/lab/ann, which was handed to ann"));
    assert!(found(&user_scope(), "group").contains("which ann's systemd is asked for"));
    let pids = Ok(Some("/sys/fs/cgroup/user.slice/user@1000.service".into()));
    assert_eq!(found(&Machine { pids, ..user_scope() }, "pids"), "offered by user.slice/user@1000.service");
    assert_eq!(found(&v2_root(), "pids"), "offered by /sys/fs/cgroup");
}

#[test]
fn a_controller_is_offered_by_whoever_withholds_it() {
    let without = |m: Machine| Machine { cpu: Ok(None), ..m };
    let handed = "echo +cpu | sudo tee /sys/fs/cgroup/lab/cgroup.subtree_control";
    assert_told(&without(delegated()), "cpu", State::Missing, &[handed]);
    let systemd = ["user@.service.d/sandtop.conf", "Delegate=cpu cpuset", "daemon-reload"];
    assert_told(&without(user_scope()), "cpu", State::Missing, &systemd);
    assert_told(&without(podman_privileged()), "cpu", State::Missing, &["on the host"]);
    assert_told(&without(v1_root()), "cpu", State::Missing, &["mount -t cgroup -o cpu cgroup /sys/fs/cgroup/cpu"]);
}

#[test]
fn a_switch_alone_is_no_refusal() {
    let m = user_scope();
    let m = Machine { namespaces: Namespaces { apparmor: Some(1), ..m.namespaces.clone() }, ..m };
    assert_told(&m, "namespaces", State::Ok, &[]);
}

#[test]
fn what_the_kernel_was_told_is_told_otherwise() {
    let cmdline = ["sed -i '1s/$/ cgroup_enable=memory/' /boot/firmware/cmdline.txt", "reboot"];
    assert_told(&pi(), "memory", State::Missing, &cmdline);
    assert_told(&pi(), "surroundings", State::Missing, &cmdline);
    assert_told(&pi(), "group", State::Missing, &["see memory"]);
    assert_told(&no_pressure(), "pressure", State::Missing, &["grubby --update-kernel=ALL --args=psi=1"]);
    let m = no_pressure();
    let off = Kernel { command_line: Ok("quiet psi=0".into()), boot: Boot::Grub, psi: None, ..m.kernel.clone() };
    assert_told(
        &Machine { kernel: off, ..m },
        "pressure",
        State::Missing,
        &["GRUB_CMDLINE_LINUX psi=1", "update-grub"],
    );
}

#[test]
fn an_old_kernel_is_told_which_one_is_new_enough() {
    let m = old_kernel();
    assert_told(&m, "peak", State::Missing, &["5.19"]);
    assert_told(&m, "kill", State::Partial, &["5.14"]);
    assert_told(&m, "reclaim", State::Missing, &["5.19"]);
    let no_reset = Features { peak_reset: Has::Seen(false), ..EVERYTHING };
    assert_told(&Machine { features: no_reset, ..v2_root() }, "peak", State::Partial, &["6.12"]);
    let release = Ok("4.19.0".into());
    let m = Machine { kernel: Kernel { release, ..m.kernel.clone() }, ..m };
    assert_told(&m, "kernel", State::Missing, &["5.4"]);
    assert_eq!(Verdict::of(&m, &all(&m)).can, Can::Nothing);
}

#[test]
fn what_is_guessed_by_the_version_says_so() {
    let m = Machine { features: Features { kill: Has::ByVersion(true), ..EVERYTHING }, ..v2_root() };
    assert!(check(&m, "kill").found.contains("by the version of this kernel, 6.12"));
    assert!(!check(&v2_root(), "kill").found.contains("version"));
}

#[test]
fn what_v1_lacks_a_v2_hierarchy_beside_it_gives() {
    let mount = ["mkdir -p /sys/fs/cgroup/unified", "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"];
    assert_told(&v1_root(), "pressure", State::Partial, &mount);
    assert_told(&v1_root(), "freeze", State::Ok, &[]);
    let m = Machine { pids: Ok(None), ..v1_root() };
    assert_told(&m, "pids", State::Missing, &["mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids"]);
}

#[test]
fn swap_is_partial_only_where_there_is_some_that_nobody_counts() {
    let uncounted = Features { swap: Has::Seen(false), ..EVERYTHING };
    let m = Machine { features: uncounted, ..v2_root() };
    assert_told(&m, "swap", State::Ok, &[]);
    assert_told(&Machine { swap_areas: Ok(1), ..m }, "swap", State::Partial, &["swapaccount=1"]);
    let unseen = Features { swap: Has::Unknown, ..EVERYTHING };
    assert_told(&Machine { features: unseen, swap_areas: Ok(1), ..v2_root() }, "swap", State::Partial, &[]);
}

#[test]
fn systemd_oomd_is_a_danger_only_where_it_watches_pressure() {
    let off = "sudo systemctl set-property --runtime user@1000.service ManagedOOMMemoryPressure=auto";
    assert_told(&fedora(), "oomd", State::Partial, &[off]);
    assert!(!told(&fedora(), "oomd").1.contains("-.slice"));
    let m = fedora();
    let swap = vec![Watched { unit: "-.slice".into(), pressure: false, swap: true }];
    let systemd = Systemd { oomd: Oomd::Runs(Ok(swap)), ..m.systemd.clone() };
    assert_told(&Machine { systemd, ..m.clone() }, "oomd", State::Ok, &[]);
    let systemd = Systemd { oomd: Oomd::Runs(Err("systemctl: no answer in time".into())), ..m.systemd.clone() };
    assert_told(&Machine { systemd, ..m }, "oomd", State::Partial, &["oomctl"]);
}

#[test]
fn the_kernels_log_has_three_ways_to_be_closed() {
    assert_told(&user_scope(), "kernel_log", State::Missing, &["kernel.dmesg_restrict=0"]);
    assert_told(&docker(), "kernel_log", State::Missing, &["--pid=host"]);
    let m = user_scope();
    let log = Log { restricted: Some(0), ..m.log.clone() };
    assert_told(&Machine { log, ..m }, "kernel_log", State::Missing, &["sudo"]);
}

#[test]
fn a_terminal_that_is_small_plain_or_none_is_told() {
    let of = |terminal| Machine { terminal, ..v2_root() };
    let good = v2_root().terminal;
    assert_told(&of(Terminal { size: Some((59, 16)), ..good.clone() }), "size", State::Partial, &["larger"]);
    assert_told(&of(Terminal { tty: false, ..good.clone() }), "terminal", State::Partial, &["terminal"]);
    assert_told(&of(Terminal { term: None, ..good.clone() }), "terminal", State::Partial, &["export TERM"]);
    assert_told(&of(Terminal { locale: None, ..good.clone() }), "utf8", State::Partial, &["C.UTF-8"]);
    assert_told(&of(Terminal { locale: Some("de_DE.utf8".into()), ..good.clone() }), "utf8", State::Ok, &[]);
    assert_told(&of(Terminal { no_color: true, ..good }), "colours", State::Ok, &[]);
}

#[test]
fn the_table_fits_and_never_tells_by_colour_alone() {
    for (name, m, _) in machines() {
        for line in drawn(&m, 80).lines() {
            let columns = unicode_width::UnicodeWidthStr::width(line);
            assert!(columns <= 80, "{name}: {columns} columns: {line}");
            assert_eq!(line.trim_end(), line, "{name}");
        }
        let rows = drawn(&m, 80)
            .lines()
            .filter(|line| line.starts_with("  ✔ ") || line.starts_with("  ✖ ") || line.starts_with("  ◐ "))
            .count();
        assert_eq!(rows, all(&m).len(), "{name}");
        drawn(&m, 1);
        let checks = all(&m);
        let style = Style { width: 80, colour: true };
        let painted = table("x", &checks, &Verdict::of(&m, &checks), style);
        assert!(painted.contains("\x1b[") && !drawn(&m, 80).contains('\x1b'), "{name}");
    }
}

#[test]
fn whole_tables() {
    for (name, m) in [("ubuntu", ubuntu()), ("docker", docker()), ("pi", pi()), ("no_proc", without_proc())] {
        insta::assert_snapshot!(format!("doctor_{name}"), drawn(&m, 80));
    }
}

#[test]
fn a_command_of_the_table_can_be_pasted() {
    let table = drawn(&ubuntu(), 80);
    let from = table.find("printf").expect("the profile");
    let script = &table[from..from + table[from..].find("apparmor_parser").expect("the end")];
    let script = script.trim_end().trim_end_matches("sudo").replace("sudo tee /etc/apparmor.d/sandtop", "cat");
    let out = std::process::Command::new("sh").arg("-c").arg(script).output().expect("sh");
    assert_eq!(
        String::from_utf8_lossy(&out.stdout),
        "abi <abi/4.0>,\ninclude <tunables/global>\nprofile sandtop /home/ann/.cargo/bin/sandtop flags=(unconfined) {\n  userns,\n}\n"
    );
}

#[test]
fn groups_come_in_order_and_names_are_not_used_twice() {
    let checks = all(&v2_root());
    let mut groups: Vec<Group> = checks.iter().map(|check| check.group).collect();
    groups.dedup();
    assert_eq!(groups, [Group::Limit, Group::Namespaces, Group::Watching, Group::Terminal, Group::Environment]);
    let mut names: Vec<&str> = checks.iter().map(|check| check.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), checks.len());
}

#[test]
fn strange_texts_are_harmless() {
    for release in ["", "x", "6", "6.", "99999999999.1", "\u{1b}[31m6.1"] {
        let m = v2_root();
        let m = Machine { kernel: Kernel { release: Ok(release.into()), ..m.kernel.clone() }, ..m };
        assert!(!drawn(&m, 80).contains('\u{1b}'), "{release:?}");
    }
    assert_eq!(version("6.1.0-9-amd64"), Some((6, 1)));
    assert_eq!(version("6.6.74+rpt"), Some((6, 6)));
}
