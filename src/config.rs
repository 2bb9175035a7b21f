//! What is configured: defaults, under the user's file, under the environment, under the command line; and of each value where it is from.
//!
//! The file is `config.toml` in `$XDG_CONFIG_HOME/sandtop` (else `~/.config/sandtop`; under sudo the caller's), or what `SANDTOP_CONFIG`
//! names. A file that says something that nothing reads is refused: a setting that is misspelt would otherwise be silently ignored.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;

use crate::{
    cli::{self, Ambiguous, Look, When},
    document::{Document, Entry, Value},
    error::{Error, Result},
    resolve::{DEFAULT_INTERVAL, DEFAULT_LIMIT},
    tui::{
        Looks,
        glyphs::Glyphs,
        keys::{KeyMap, Remap},
        theme::{self, Theme},
    },
    units::{Limit, Step},
};

mod print;

/// A file is a page or two; more than this many bytes are none.
const MOST: u64 = 256 << 10;

/// The settings, as the file calls them.
pub const SETTINGS: [&str; 8] = ["theme", "color", "ascii", "ambiguous", "mouse", "step", "interval", "memory"];

/// Where a value is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody chose.
    Default,
    /// This line of the file.
    File(usize),
    /// This variable of the environment.
    Environment(&'static str),
    /// This option.
    Option(&'static str),
}

/// A value, and where it is from.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it is from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    fn default(value: T) -> Setting<T> {
        Setting { value, origin: Origin::Default }
    }

    fn set(&mut self, value: Option<T>, origin: Origin) {
        if let Some(value) = value {
            *self = Setting { value, origin };
        }
    }
}

/// What the command line says to it.
#[derive(Clone, Debug, Default)]
pub struct Given<'a> {
    /// `--color`, `--theme`, `--ascii`, `--ambiguous`, `--no-mouse`.
    pub look: Look,
    /// `--step`.
    pub step: Option<Step>,
    /// `--interval`.
    pub interval: Option<Duration>,
    /// `-m`.
    pub memory: Option<&'a str>,
}

/// What is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file; `None` where none is read. It need not be there.
    pub path: Option<PathBuf>,
    /// Name or path of the theme.
    pub theme: Setting<String>,
    /// When there are colours.
    pub color: Setting<When>,
    /// Whether ASCII is all that is drawn.
    pub ascii: Setting<bool>,
    /// How wide the terminal draws characters of ambiguous width.
    pub ambiguous: Setting<Ambiguous>,
    /// Whether the mouse is ours.
    pub mouse: Setting<bool>,
    /// How far one key moves the limit.
    pub step: Setting<Step>,
    /// How often to sample.
    pub interval: Setting<Duration>,
    /// The limit of a run that has none of its own.
    pub memory: Setting<String>,
    /// The keys that the file changes, by action, and on which line.
    pub keys: BTreeMap<String, (Vec<String>, usize)>,
}

impl Config {
    /// Reads the user's file, and lays the environment and the command line over it.
    ///
    /// # Errors
    /// When the file cannot be read, or says something that is not accepted: with the line, and what is.
    pub fn read(given: &Given) -> Result<Config> {
        let env = |name: &str| std::env::var_os(name);
        let (path, must) = place(&env);
        let text = path.as_deref().map(|path| text(path, must)).transpose()?.flatten();
        Config::merged(path, text.as_deref(), &env, given)
    }

    /// Lays environment and command line over the text of a file.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn merged(
        path: Option<PathBuf>,
        text: Option<&str>,
        env: &dyn Fn(&str) -> Option<OsString>,
        given: &Given,
    ) -> Result<Config> {
        let mut config = Config {
            path,
            theme: Setting::default(theme::DEFAULT.into()),
            color: Setting::default(When::Auto),
            ascii: Setting::default(false),
            ambiguous: Setting::default(Ambiguous::Auto),
            mouse: Setting::default(true),
            step: Setting::default(Step::default()),
            interval: Setting::default(DEFAULT_INTERVAL),
            memory: Setting::default(DEFAULT_LIMIT.typed()),
            keys: BTreeMap::new(),
        };
        if let (Some(text), Some(path)) = (text, config.path.clone()) {
            let document = Document::new(&path, text);
            for entry in document.entries()? {
                config.take(&entry).map_err(|why| document.error(entry.line, &why))?;
            }
        }
        config.lay_over(env, given);
        Ok(config)
    }

    /// Takes a value of the file.
    fn take(&mut self, entry: &Entry) -> std::result::Result<(), String> {
        let origin = Origin::File(entry.line);
        match (entry.table.as_str(), entry.key.as_str()) {
            ("keys", action) => return self.take_keys(action, entry),
            ("", "theme") => self.theme.set(Some(string(entry)?), origin),
            ("", "color") => self.color.set(Some(choice(entry)?), origin),
            ("", "ambiguous") => self.ambiguous.set(Some(choice(entry)?), origin),
            ("", "ascii") => self.ascii.set(Some(flag(entry)?), origin),
            ("", "mouse") => self.mouse.set(Some(flag(entry)?), origin),
            ("", "step") => self.step.set(Some(read(entry, Step::parse)?), origin),
            ("", "interval") => self.interval.set(Some(read(entry, cli::values::interval)?), origin),
            ("", "memory") => {
                // What a percentage is of is not known here, and does not matter to whether it is one.
                read(entry, |text| Limit::parse(text, 1 << 40))?;
                self.memory.set(Some(string(entry)?), origin);
            }
            ("", "keys") => return Err("keys is a table: [keys], and below it action = \"key\"".into()),
            ("", other) => {
                return Err(format!(
                    "there is no setting {other:?}; those that are: {}, and a table [keys]",
                    SETTINGS.join(", ")
                ));
            }
            (table, _) => return Err(format!("there is no table [{table}]; the one that is: [keys]")),
        }
        Ok(())
    }

    fn take_keys(&mut self, action: &str, entry: &Entry) -> std::result::Result<(), String> {
        let keys = match &entry.value {
            Value::Text(key) => vec![key.clone()],
            Value::List(keys) => keys.clone(),
            other => {
                return Err(format!(
                    "{action} is a key or a list of keys, as \"q\" or [\"q\", \"Ctrl-C\"], not {}",
                    other.kind()
                ));
            }
        };
        self.keys.insert(action.into(), (keys, entry.line));
        KeyMap::new(&self.remap()).map(drop)
    }

    fn lay_over(&mut self, env: &dyn Fn(&str) -> Option<OsString>, given: &Given) {
        let Given { look, step, interval, memory } = given;
        self.color.set(look.color, Origin::Option("--color"));
        let asked = |name: &str| env(name).is_some_and(|value| !value.is_empty());
        if look.color.is_none_or(|when| when == When::Auto) && asked("NO_COLOR") {
            self.color.set(Some(When::Never), Origin::Environment("NO_COLOR"));
        }
        if self.color.value == When::Auto && env("TERM").is_some_and(|term| term == "dumb") {
            self.color.set(Some(When::Never), Origin::Environment("TERM"));
        }
        self.theme.set(look.theme.clone(), Origin::Option("--theme"));
        self.ascii.set(look.ascii.then_some(true), Origin::Option("--ascii"));
        self.ambiguous.set(look.ambiguous, Origin::Option("--ambiguous"));
        self.mouse.set(look.no_mouse.then_some(false), Origin::Option("--no-mouse"));
        self.step.set(*step, Origin::Option("--step"));
        self.interval.set(*interval, Origin::Option("--interval"));
        self.memory.set(memory.map(String::from), Origin::Option("--memory"));
    }

    fn remap(&self) -> Remap {
        self.keys.iter().map(|(action, (keys, _))| (action.clone(), keys.clone())).collect()
    }

    /// What it makes of a run's options.
    pub fn apply(&self, options: &mut cli::Options) {
        options.interval = Some(self.interval.value);
        options.usual_memory = matches!(self.memory.origin, Origin::File(_)).then(|| self.memory.value.clone());
    }

    /// What it makes of the screen.
    ///
    /// # Errors
    /// When there is no such theme, or it says something that no theme says.
    pub fn looks(&self) -> Result<Looks> {
        let theme = self.load_theme()?;
        let glyphs = match (self.ascii.value, self.ambiguous.value) {
            (true, _) => Some(Glyphs::Ascii),
            (false, Ambiguous::Narrow) => Some(Glyphs::All),
            (false, Ambiguous::Wide) => Some(Glyphs::Narrow),
            (false, Ambiguous::Auto) => None,
        };
        let keys = KeyMap::new(&self.remap()).map_err(Error::new)?;
        let theme = if self.color.value == When::Never { Theme::new(false) } else { theme };
        Ok(Looks { theme, glyphs, mouse: self.mouse.value, keys, step: self.step.value })
    }

    fn load_theme(&self) -> Result<Theme> {
        let folder = self.path.as_deref().and_then(Path::parent);
        let themes = self.path.as_deref().and_then(themes);
        let wanted = &self.theme.value;
        let Origin::File(line) = self.theme.origin else { return Theme::load(wanted, themes.as_deref()) };
        // A path in the file is one beside it, wherever sandtop is started.
        let is_path = wanted.contains('/') || wanted.ends_with(".toml");
        let beside = folder.filter(|_| is_path).map(|folder| folder.join(wanted).display().to_string());
        Theme::load(beside.as_ref().unwrap_or(wanted), themes.as_deref())
            .map_err(|e| Error::new(format!("{}: theme: {e}", self.place(line))))
    }

    fn place(&self, line: usize) -> String {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        Document::new(path, "").place(line)
    }
}

fn string(entry: &Entry) -> std::result::Result<String, String> {
    match &entry.value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("{} is a string in quotes, not {}", entry.key, other.kind())),
    }
}

fn flag(entry: &Entry) -> std::result::Result<bool, String> {
    match &entry.value {
        Value::Flag(flag) => Ok(*flag),
        other => Err(format!("{} is true or false, not {}", entry.key, other.kind())),
    }
}

fn read<T>(entry: &Entry, parse: impl Fn(&str) -> std::result::Result<T, String>) -> std::result::Result<T, String> {
    parse(&string(entry)?).map_err(|why| format!("{}: {why}", entry.key))
}

fn choice<T: ValueEnum>(entry: &Entry) -> std::result::Result<T, String> {
    let names = T::value_variants().iter().filter_map(|v| Some(v.to_possible_value()?.get_name().to_string()));
    let names: Vec<String> = names.collect();
    read(entry, |text| T::from_str(text, false).map_err(|_| format!("it is {}, not {text:?}", names.join(", "))))
}

/// Where the file is; `None` where none is read.
pub fn path() -> Option<PathBuf> {
    place(&|name| std::env::var_os(name)).0
}

/// The folder of themes that goes with this file.
pub fn themes(config: &Path) -> Option<PathBuf> {
    config.parent().map(|folder| folder.join("themes"))
}

/// Where the file is, and whether it has to be there.
fn place(env: &dyn Fn(&str) -> Option<OsString>) -> (Option<PathBuf>, bool) {
    if let Some(named) = env("SANDTOP_CONFIG") {
        return ((!named.is_empty()).then(|| named.into()), true);
    }
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let caller = crate::resolve::sudo_user();
    let folder = match caller {
        Some(user) => Some(user.home.join(".config")), // the variables are root's
        None => absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config"))),
    };
    (folder.map(|folder| folder.join("sandtop/config.toml")), false)
}

/// The text of the file; `None` where there is none, and none has to be.
fn text(path: &Path, must: bool) -> Result<Option<String>> {
    let failed = |e| Error::io("read the configuration", path, e);
    // A pipe that nobody writes to is not waited for.
    let file = match File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must => return Ok(None),
        // A place where nothing can be, as below /dev/null.
        Err(e) if e.raw_os_error() == Some(nix::libc::ENOTDIR) && !must => return Ok(None),
        // A home that is not ours: HOME may be another user's still.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied && !must && !is_in_reach(path) => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    let mut text = String::new();
    file.take(MOST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MOST {
        return Err(Error::new(format!("{} is no configuration: it is too long", path.display())));
    }
    Ok(Some(text))
}

/// Whether it can be seen that a file is there, readable or not.
fn is_in_reach(path: &Path) -> bool {
    !matches!(path.symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests;
