//! What to do about it: words, and commands that can be pasted as they stand.
//!
//! Refuses: a command that would not work when it is copied from the table; paths are quoted for the shell that will read them.

use std::{fmt, path::Path};

use super::facts::{Boot, Container, Machine};

/// What to do: in words, then in commands, one per entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    /// One sentence, or the beginning of one that the commands end.
    pub words: String,
    /// Commands for a shell, in order.
    pub commands: Vec<String>,
    /// The check whose remedy is this one's, too: nothing more need be said.
    pub see: Option<&'static str>,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        self.commands.iter().try_for_each(|command| write!(f, "\n{command}"))
    }
}

/// Words alone.
pub fn words(text: impl Into<String>) -> Remedy {
    Remedy { words: text.into(), ..Remedy::default() }
}

/// What another check says.
pub fn see(name: &'static str) -> Remedy {
    Remedy { see: Some(name), ..words(format!("see {name}")) }
}

/// Words and commands.
pub fn commands<const N: usize>(text: impl Into<String>, commands: [String; N]) -> Remedy {
    Remedy { commands: commands.into(), ..words(text) }
}

/// The advice of another part of sandtop: `as root: A && B` becomes commands.
pub fn advised(m: &Machine, advice: &str) -> Remedy {
    let advice = advice.replace("; sandtop doctor tells more", "");
    match advice.strip_prefix("as root: ") {
        Some(line) => {
            let commands = line.split(" && ").map(|command| as_root(m, command)).collect();
            Remedy { commands, ..words("as root") }
        }
        None => words(advice),
    }
}

/// A command that needs root.
pub fn as_root(m: &Machine, command: &str) -> String {
    if m.me.is_root() { command.into() } else { format!("sudo {command}") }
}

/// Sandtop itself, as root. The full path: sudo does not look where cargo installs.
pub fn as_root_instead(m: &Machine) -> Remedy {
    let command = as_root(m, &format!("{} demo", shell_word(&m.exe)));
    commands("run it as root; the command inside runs as you", [command])
}

/// A kernel parameter that is changed now and stays so.
pub fn sysctl(m: &Machine, setting: &str) -> [String; 2] {
    let file = "/etc/sysctl.d/sandtop.conf";
    let tee = as_root(m, &format!("tee -a {file}"));
    [format!("echo {setting} | {tee}"), as_root(m, &format!("sysctl -p {file}"))]
}

/// An argument on the kernel's command line, from the next boot on.
pub fn kernel_argument(m: &Machine, argument: &str) -> Remedy {
    let root = |command: &str| as_root(m, command);
    if m.around.wsl {
        return words(format!(
            "in Windows, write kernelCommandLine={argument} below [wsl2] in %UserProfile%\\.wslconfig, then: wsl --shutdown"
        ));
    }
    if m.around.container.is_some() {
        return words(format!("on the host, add {argument} to the kernel's command line and boot again"));
    }
    match &m.kernel.boot {
        Boot::Grub => commands(
            "tell the kernel at boot",
            [
                root("mkdir -p /etc/default/grub.d"),
                format!(
                    "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {argument}\"' | {}",
                    root("tee -a /etc/default/grub.d/60-sandtop.cfg")
                ),
                root("update-grub"),
                root("reboot"),
            ],
        ),
        Boot::Grubby => commands(
            "tell the kernel at boot",
            [root(&format!("grubby --update-kernel=ALL --args={argument}")), root("reboot")],
        ),
        Boot::File(file) => commands(
            "tell the kernel at boot",
            [root(&format!("sed -i '1s/$/ {argument}/' {}", file.display())), root("reboot")],
        ),
        Boot::Other => words(format!("add {argument} to the kernel's command line in the boot loader, and boot again")),
    }
}

/// How a container has to be started; `None` outside of one.
pub fn container(m: &Machine) -> Option<Remedy> {
    let start = |engine: &str| {
        let line = format!("{engine} run --privileged --cgroupns=private -it IMAGE");
        commands("start the container like this and be its root, or run sandtop on the host", [line])
    };
    if m.around.codespaces {
        return Some(words(
            "write \"runArgs\": [\"--privileged\", \"--cgroupns=private\"] into .devcontainer/devcontainer.json, rebuild the container, and run sandtop with sudo",
        ));
    }
    Some(match m.around.container.as_ref()? {
        Container::Docker => start("docker"),
        Container::Podman => start("podman"),
        Container::Other(name) => {
            words(format!("run sandtop on the host, or as root of a {name} container that has all rights"))
        }
    })
}

/// WSL with systemd, from its next start on.
pub fn wsl_systemd() -> Remedy {
    let line = r"printf '[boot]\nsystemd=true\n' | sudo tee -a /etc/wsl.conf";
    commands("switch systemd on by this, then run wsl --shutdown in Windows", [line.into()])
}

/// A profile that lets this program, and it alone, use user namespaces, and the commands that install it (apparmor.d(5), "userns").
pub fn apparmor(m: &Machine) -> Remedy {
    let profile = format!("profile sandtop {} flags=(unconfined) {{", apparmor_path(&m.exe));
    let lines = ["abi <abi/4.0>,", "include <tunables/global>", &profile, "  userns,", "}"];
    let quoted: Vec<String> = lines.iter().map(|line| quote(line)).collect();
    let file = "/etc/apparmor.d/sandtop";
    commands(
        "install a profile that allows them to this one program",
        [
            format!("printf '%s\\n' \\\n  {} | {}", quoted.join(" \\\n  "), as_root(m, &format!("tee {file}"))),
            as_root(m, &format!("apparmor_parser -r {file}")),
        ],
    )
}

/// A path in a profile: in quotes where it holds more than plain characters, those with a meaning escaped.
fn apparmor_path(path: &str) -> String {
    if path.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c)) {
        return path.into();
    }
    let escaped = path.chars().flat_map(|c| {
        let meaning = "\\\"[]{}*?^".contains(c);
        meaning.then_some('\\').into_iter().chain([c])
    });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A word for the shell.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { quote(word) }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A v1 controller, mounted where it is looked for.
pub fn mount_v1(m: &Machine, root: &Path, controller: &str) -> Remedy {
    let dir = root.with_file_name(controller);
    commands(
        "mount it",
        [
            as_root(m, &format!("mkdir -p {}", dir.display())),
            as_root(m, &format!("mount -t cgroup -o {controller} cgroup {}", dir.display())),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_shell_and_the_profile() {
        assert_eq!(shell_word("/usr/bin/sandtop"), "/usr/bin/sandtop");
        assert_eq!(shell_word("/my bin/it's"), r"'/my bin/it'\''s'");
        assert_eq!(apparmor_path("/home/ann/.cargo/bin/sandtop"), "/home/ann/.cargo/bin/sandtop");
        assert_eq!(apparmor_path("/a b/{x}*"), r#""/a b/\{x\}\*""#);
    }
}
