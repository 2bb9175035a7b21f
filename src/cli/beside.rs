//! The options that bear on something else than memory, as words again: so that a run can be typed again as it was.

use super::{Network, Options, Unshare};
use crate::text;

impl Options {
    /// Those that were given. The values of `-e` are left out: they may be nobody's business.
    pub fn beside_memory(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            words.push(name.to_string());
            words.extend(value);
        };
        if let Some(timeout) = self.timeout {
            add("--timeout", Some(humantime::format_duration(timeout).to_string().replace(' ', "")));
        }
        for variable in &self.env {
            let text = variable.to_string_lossy();
            add("-e", Some(text.split('=').next().unwrap_or_default().to_string()));
        }
        if let Some(dir) = &self.workdir {
            add("-w", Some(dir.display().to_string()));
        }
        if let Some(user) = &self.user {
            add("-u", Some(user.clone()));
        }
        if let Some(name) = &self.hostname {
            add("--hostname", Some(name.clone()));
        }
        if self.network == Some(Network::None) {
            add("--network", Some("none".into()));
        }
        let fresh: Vec<&str> = self.unshare.iter().map(|kind| kind.name()).collect();
        if fresh != ["uts", "ipc"] && !fresh.is_empty() {
            add("--unshare", Some(fresh.join(",")));
        }
        for bits in &self.cap_add {
            add("--cap-add", Some(crate::sandbox::privileges::capability_name(*bits)));
        }
        if self.allow_new_privs {
            add("--allow-new-privs", None);
        }
        words.iter().map(|word| text::visible(word)).collect()
    }
}

impl Unshare {
    fn name(self) -> &'static str {
        match self {
            Unshare::Uts => "uts",
            Unshare::Ipc => "ipc",
            Unshare::Net => "net",
            Unshare::None => "none",
            Unshare::Pid => "pid",
            Unshare::Mount => "mount",
            Unshare::Cgroup => "cgroup",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_given_is_said_again_without_what_is_nobodys_business() {
        let options = Options {
            timeout: Some(Duration::from_millis(1500)),
            env: vec!["TOKEN=secret".into()],
            user: Some("nobody".into()),
            network: Some(Network::None),
            unshare: vec![Unshare::Uts, Unshare::Ipc],
            allow_new_privs: true,
            ..Options::default()
        };
        let words = ["--timeout", "1s500ms", "-e", "TOKEN", "-u", "nobody", "--network", "none", "--allow-new-privs"];
        assert_eq!(options.beside_memory(), words);
        assert_eq!(Options::default().beside_memory(), [""; 0]);
    }
}
