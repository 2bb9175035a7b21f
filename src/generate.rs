//! What the command line makes of itself: completions for shells, and the manual page. Refuses: to say by hand what clap knows.

use std::io;

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{
    cli::{Cli, USAGE},
    error::{Error, Result},
};

/// The sections of the manual page that no option's help holds.
const BY_HAND: &str = include_str!("../assets/man.roff");

/// The script that makes this shell complete.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), "sandtop", &mut script);
    script
}

/// The manual page, as roff.
///
/// # Errors
/// When it cannot be rendered.
pub fn man() -> Result<Vec<u8>> {
    let mut page = Vec::new();
    render(&mut page).map_err(|e| Error::sys("make the manual page", e))?;
    Ok(page)
}

/// The command line without what is hidden: the generators for shells would show it.
fn shown() -> Command {
    let all = Cli::command();
    let visible = all.get_subcommands().filter(|sub| !sub.is_hide_set());
    let shown = Command::new("sandtop").version(env!("CARGO_PKG_VERSION")).override_usage(USAGE);
    let about = all.get_about().cloned().unwrap_or_default();
    shown.about(about).args(all.get_arguments().cloned()).subcommands(visible.cloned())
}

fn render(page: &mut Vec<u8>) -> io::Result<()> {
    let command = shown();
    // No date, as the page is made anew whenever it is asked for; an empty one would be left out, and the version taken for it.
    let man = Man::new(command.clone()).title("SANDTOP").date(" ").manual("User Commands");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    commands(&command, page)?;
    page.extend_from_slice(BY_HAND.as_bytes());
    Ok(())
}

/// Each command with the options that it alone has.
fn commands(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let common: Vec<_> = command.get_arguments().map(Arg::get_id).collect();
    let mut heading = Roff::new();
    heading.control("SH", ["COMMANDS"]);
    heading.to_writer(page)?;
    for sub in command.get_subcommands() {
        let mut heading = Roff::new();
        heading.control("SS", [format!("sandtop {}", sub.get_name()).as_str()]);
        heading.text([roman(sub.get_about().cloned().unwrap_or_default().to_string() + ".")]);
        heading.to_writer(page)?;
        let own = sub.get_arguments().filter(|arg| !common.contains(&arg.get_id())).cloned();
        let alone = Command::new("alone").disable_help_flag(true).args(own);
        let mut options = Vec::new();
        Man::new(alone).render_options_section(&mut options)?;
        // It comes as a section; it is a part of ours.
        let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS\n", "");
        page.extend_from_slice(options.as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_completes_every_option_and_nothing_hidden() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(completions(*shell)).unwrap();
            for word in ["memory", "budget", "junit", "summary", "completions", "doctor"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            assert!(!script.contains("Built-in workloads") && !script.contains("worker)"), "{shell}");
        }
    }

    #[test]
    fn the_manual_page_has_every_option_and_every_command() {
        let page = String::from_utf8(man().unwrap()).unwrap().replace("\\-", "-");
        let command = shown();
        let of_subs = command.get_subcommands().flat_map(Command::get_arguments);
        for arg in command.get_arguments().chain(of_subs) {
            let name = arg.get_long().map(|long| format!("--{long}"));
            let name = name.unwrap_or_else(|| arg.get_value_names().unwrap_or_default()[0].to_string());
            assert!(page.contains(&name), "{name}");
        }
        for sub in command.get_subcommands() {
            assert!(page.contains(&format!(".SS \"sandtop {}\"", sub.get_name())), "{}", sub.get_name());
        }
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "COMMANDS",
            "EXIT STATUS",
            "FILES",
            "ENVIRONMENT",
            "EXAMPLES",
        ] {
            assert!(
                page.contains(&format!("\n.SH {section}\n")) || page.contains(&format!("\n.SH \"{section}\"\n")),
                "{section}"
            );
        }
        assert!(!page.contains("Built-in workloads") && !page.contains("sandtop worker"));
    }
}
