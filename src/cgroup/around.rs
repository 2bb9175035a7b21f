//! Why a plain user has no group to divide, and what would help: each surrounding has its own sentence and command.

use std::{fs, path::Path};

use nix::unistd::getuid;

use super::{
    Hierarchy,
    detect::systemd_booted,
    place::{exe, in_container, own_group},
};
use crate::error::Error;

/// What explains that a plain user has no group to divide.
#[derive(Clone, Debug, Default)]
pub struct Around {
    systemd: bool,
    /// The user has a runtime directory, as after a log-in.
    logged_in: bool,
    wsl: bool,
    container: bool,
    /// The system service that we are part of.
    service: Option<String>,
    user: String,
    exe: String,
}

impl Around {
    pub(super) fn look(hierarchy: &Hierarchy) -> Around {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let user = crate::accounts::user_by_id(getuid().as_raw());
        Around {
            systemd: systemd_booted(),
            logged_in: Path::new("/run/user").join(getuid().to_string()).is_dir(),
            wsl: release.to_ascii_lowercase().contains("microsoft"),
            container: in_container(),
            service: own_group(hierarchy).as_deref().and_then(system_service),
            user: user.map_or_else(|| getuid().to_string(), |user| user.name),
            exe: exe(),
        }
    }

    pub(super) fn explain(&self) -> Error {
        let Around { user, exe, .. } = self;
        let no_group = |why: &str| Error::new(format!("there is no group in which {user} may set a limit: {why}"));
        let or_root = format!("or, as root: sudo {exe} …; sandtop doctor tells more");
        match (self.systemd, &self.service) {
            (false, _) if self.wsl => no_group("this WSL runs without systemd").remedy(format!(
                "printf '[boot]\\nsystemd=true\\n' | sudo tee -a /etc/wsl.conf, then in Windows: wsl --shutdown; {or_root}"
            )),
            (false, _) if self.container => no_group("this container hands none over, and has no systemd to ask")
                .remedy(format!("start it with docker run --privileged --cgroupns=private … and run sandtop as its root; {or_root}")),
            (false, _) => no_group("none was handed over, and there is no systemd to ask").remedy(format!(
                "sudo {exe} …   (the command itself runs as you); sandtop doctor tells more"
            )),
            (true, Some(unit)) => no_group(&format!("{unit} is a system service that was handed none")).remedy(format!(
                "in the unit of {unit}: Delegate=yes (sudo systemctl edit {unit}); or give {user} a systemd of their own: sudo loginctl enable-linger {user}; {or_root}"
            )),
            (true, None) if self.logged_in => no_group("their own systemd does not answer: there is no socket of it")
                .remedy(format!("sudo systemctl restart user@$(id -u {user}); {or_root}")),
            (true, None) => no_group("their own systemd does not run (su and sudo -u start none)").remedy(format!(
                "sudo loginctl enable-linger {user}, or log in as {user}; {or_root}"
            )),
        }
    }
}

/// The system service whose group this is, if it is one's.
pub fn system_service(dir: &Path) -> Option<String> {
    let parts: Vec<String> = dir.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
    let slice = parts.iter().position(|part| part == "system.slice")?;
    parts[slice..].iter().find(|part| part.ends_with(".service")).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_surrounding_gets_its_own_sentence_and_command() {
        let base = Around { user: "ann".into(), exe: "/bin/sandtop".into(), ..Around::default() };
        let service = Some("ci.service".to_string());
        for (around, words) in [
            (Around { wsl: true, ..base.clone() }, ["WSL", "wsl --shutdown"]),
            (Around { container: true, ..base.clone() }, ["container", "--privileged"]),
            (base.clone(), ["no systemd", "sudo /bin/sandtop"]),
            (Around { systemd: true, service, ..base.clone() }, ["ci.service", "Delegate=yes"]),
            (Around { systemd: true, ..base.clone() }, ["su and sudo -u", "enable-linger ann"]),
            (Around { systemd: true, logged_in: true, ..base.clone() }, ["no socket", "systemctl restart user@"]),
        ] {
            let said = around.explain().to_string();
            assert!(words.iter().all(|word| said.contains(word)) && said.contains("sudo /bin/sandtop"), "{said}");
            assert!(said.contains("sandtop doctor"), "{said}");
        }
    }

    #[test]
    fn a_system_service_is_told_by_its_place() {
        let of = |path: &str| system_service(Path::new(path));
        assert_eq!(of("/sys/fs/cgroup/system.slice/ci.service/inner"), Some("ci.service".into()));
        assert_eq!(of("/sys/fs/cgroup/user.slice/user-1.slice/session-2.scope"), None);
        assert_eq!(of("/sys/fs/cgroup/system.slice/docker-1.scope"), None);
    }
}
