//! Where a program's heap ends by what the program decided at its start: a ceiling of its own beside the limit.
//!
//! Pure: from its command line, what its environment says, and the limit that it saw. Refuses: guessing where the command line says nothing and the
//! environment is not known.

use crate::{
    event::COMMAND_LENGTH,
    units::{Limit, size},
};

/// A ceiling that a program gave its own heap.
#[derive(Clone, Debug, PartialEq)]
pub struct Heap {
    /// The program, as its users call it.
    pub program: &'static str,
    /// What the heap may take at most, in bytes.
    pub ceiling: u64,
    /// What decided that.
    pub by: String,
}

/// Variables that java reads before its command line, after it, and that node reads before it.
const BEFORE: [&str; 2] = ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"];
const AFTER: &str = "_JAVA_OPTIONS";
const NODE: &str = "NODE_OPTIONS";

/// Words of those variables that bear on the heap.
const BEARING: [&str; 12] = [
    "-Xmx",
    "-XX:MaxHeapSize=",
    "-XX:MaxRAMPercentage=",
    "-XX:MinRAMPercentage=",
    "-XX:MaxRAM=",
    "-XX:MaxRAMFraction=",
    "-XX:MinRAMFraction=",
    "-XX:-UseContainerSupport",
    "-XX:Flags=",
    "--max-old-space-size=",
    "--max_old_space_size=",
    "@",
];

/// What node's main thread, and so its process, is called: by its program, and since it names its
/// threads.
const NODE_NAMES: [&str; 3] = ["node", "MainThread", "node-MainThread"];

/// Whether a process of this name is one whose environment says something of its heap.
pub fn reads_environment(name: &str) -> bool {
    name == "java" || NODE_NAMES.contains(&name)
}

/// What a process is called by its users whose heap has a ceiling even where nothing says one;
/// `None` for all others.
pub fn program(name: &str, command: &str) -> Option<&'static str> {
    let called = command.split(' ').next()?.rsplit('/').next()?;
    match name {
        "java" => Some("java"),
        _ if NODE_NAMES.contains(&name) && called == "node" => Some("node"),
        _ => None,
    }
}

/// What an environment (`/proc/PID/environ`) says of the heap, as `VARIABLE word`; nothing else of it, which may be secret.
pub fn options_in(environment: &[u8]) -> Vec<String> {
    let mut said = Vec::new();
    for entry in environment.split(|byte| *byte == 0) {
        let entry = String::from_utf8_lossy(entry);
        let Some((name, value)) = entry.split_once('=') else { continue };
        if name != NODE && name != AFTER && !BEFORE.contains(&name) {
            continue;
        }
        let bears = |word: &&str| BEARING.iter().any(|start| word.starts_with(start)) && word.len() < 64;
        said.extend(value.split_whitespace().filter(bears).take(16).map(|word| format!("{name} {word}")));
    }
    said
}

/// The ceiling of a program that sizes its heap at its start, by the name and the command line of its process, what its environment says (`None`:
/// not known) and the limit that it then read.
pub fn ceiling(name: &str, command: &str, environment: Option<&[String]>, limit: Limit) -> Option<Heap> {
    let program = program(name, command)?;
    let with_value = match program {
        "node" => &["-r", "--require", "--import"],
        _ => JAVA_VALUES.as_slice(),
    };
    let (typed, all) = options(command.split(' ').skip(1), with_value)?;
    let said = |variable: &str| -> Vec<&str> {
        let of = |entry: &'_ &String| entry.split_once(' ').is_some_and(|(name, _)| name == variable);
        let found = environment.unwrap_or_default().iter().filter(of);
        found.filter_map(|entry| Some(entry.split_once(' ')?.1)).collect()
    };
    // The last one counts.
    let options = match program {
        "node" => [said(NODE), typed].concat(),
        _ => [said(BEFORE[0]), said(BEFORE[1]), typed, said(AFTER)].concat(),
    };
    if options.iter().any(|word| word.starts_with('@')) {
        return None; // they stand in a file, too
    }
    // What was cut off may say something else.
    let cut = command.len() + 1 >= COMMAND_LENGTH;
    match program {
        _ if cut && !all => None,
        "node" => node(&options),
        _ => java(&options, environment.is_some(), limit),
    }
}

/// Options of java whose value is the next word.
const JAVA_VALUES: [&str; 8] =
    ["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules", "--add-opens", "--add-exports"];

/// The options before the program's own arguments, and whether such an argument came; `None` where they stand in a file, too.
fn options<'a>(words: impl Iterator<Item = &'a str>, with_value: &[&str]) -> Option<(Vec<&'a str>, bool)> {
    let mut options = Vec::new();
    let mut value = false;
    for word in words {
        if std::mem::take(&mut value) {
            continue;
        }
        match word.as_bytes().first() {
            Some(b'@') => return None,
            Some(b'-') => options.push(word),
            _ => return Some((options, true)),
        }
        value = with_value.contains(&word);
    }
    Some((options, false))
}

/// Below this much by MinRAMPercentage the JVM takes that percentage and not the other: 96 MiB, as it scales them for 64 bits
/// (`MaxHeapSize` and `ScaleForWordSize`, arguments.cpp of OpenJDK).
const JAVA_SMALL: u64 = 96 * 1024 * 1024 * 13 / 10;

fn java(options: &[&str], all: bool, limit: Limit) -> Option<Heap> {
    let heap = |ceiling, by| Some(Heap { program: "java", ceiling, by });
    // The last one counts.
    let last = |prefix: &str| options.iter().rev().find_map(|word| word.strip_prefix(prefix));
    let size_in =
        |word: &str| ["-Xmx", "-XX:MaxHeapSize="].iter().find_map(|prefix| word.strip_prefix(prefix).map(jvm_size));
    if let Some((size, word)) = options.iter().rev().find_map(|word| Some((size_in(word)?, word))) {
        return heap(size?, word.to_string());
    }
    let percentage = |name: &str| last(&format!("-XX:{name}RAMPercentage=")).map(str::parse::<f64>);
    let (most, least) = (percentage("Max"), percentage("Min"));
    let elsewhere =
        ["-XX:MaxRAM=", "-XX:MaxRAMFraction=", "-XX:MinRAMFraction=", "-XX:-UseContainerSupport", "-XX:Flags="];
    let default = most.is_none() && least.is_none();
    if (default && !all) || elsewhere.iter().any(|prefix| last(prefix).is_some()) {
        return None;
    }
    let limit = limit.bytes()?;
    let share = |percentage: f64| (limit as f64 * percentage.clamp(0.0, 100.0) / 100.0) as u64;
    let (most, least) = (most.unwrap_or(Ok(25.0)).ok()?, least.unwrap_or(Ok(50.0)).ok()?);
    match share(least) < JAVA_SMALL {
        true => heap(
            share(least),
            format!("{least} % of the limit at its start: MinRAMPercentage, which alone counts for limits so low"),
        ),
        false => {
            let by = if default { ", its default" } else { "" };
            let by = format!("{most} % of the limit at its start{by}");
            match share(most) < JAVA_SMALL {
                true => heap(JAVA_SMALL, format!("the least that a JVM takes by itself, above {by}")),
                false => heap(share(most), by),
            }
        }
    }
}

/// A size as the JVM reads it: bytes, or with k, m, g or t.
fn jvm_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << unit)
}

/// What is old of V8's heap, which is nearly all of it, in MiB.
fn node(options: &[&str]) -> Option<Heap> {
    let value = options.iter().rev().find_map(|word| {
        let (name, value) = word.split_once('=')?;
        (name.replace('_', "-") == "--max-old-space-size").then_some(value)
    })?;
    let ceiling = value.parse::<u64>().ok()?.checked_mul(1 << 20)?;
    Some(Heap { program: "node", ceiling, by: format!("--max-old-space-size={value}") })
}

impl Heap {
    /// Whether a process of this size may have filled it: its memory is a little more than the heap, or, just before, a little less.
    pub fn is_nearly(&self, resident: u64) -> bool {
        resident >= self.ceiling / 4 * 3
    }

    /// In words, of a program that ended badly before the limit was met.
    pub fn was_full(&self) -> String {
        let Heap { program, ceiling, by } = self;
        format!("{program}'s heap ends at {} ({by}): it can be full before the limit is met", size(*ceiling))
    }

    /// In words, beside a limit, for a line of the picture.
    pub fn beside(&self, limit: Limit) -> String {
        let Heap { program, ceiling, .. } = self;
        let ends = format!("{program}'s heap ends at {}", size(*ceiling));
        match limit.bytes() {
            Some(limit) if limit > *ceiling => format!("{ends}, {} for the rest", size(limit - ceiling)),
            Some(limit) if limit == *ceiling => format!("{ends}, nothing for the rest"),
            Some(_) => format!("{ends}, above the limit"),
            None => ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    fn of(command: &str, limit: u64) -> Option<u64> {
        let name = command.split(' ').next().unwrap().rsplit('/').next().unwrap();
        ceiling(name, command, None, Limit::Bytes(limit)).map(|heap| heap.ceiling)
    }

    /// What a JVM (17.0.15) says with `-XX:MaxRAM=LIMIT -XX:+PrintFlagsFinal`, which rounds up to its alignment.
    #[test]
    fn a_jvms_ceiling_is_the_one_that_it_prints() {
        for (limit, percentage, printed) in [
            (64, 75, 32),
            (100, 75, 50),
            (249, 75, 126),
            (250, 75, 188),
            (256, 75, 192),
            (300, 75, 226),
            (512, 75, 384),
        ]
        .into_iter()
        .chain([(256, 10, 126), (512, 10, 126), (4096, 10, 410), (4096, 75, 3072)])
        {
            let told = of(&format!("java -XX:MaxRAMPercentage={percentage} Fill"), limit * M).expect("a ceiling");
            assert!((printed * M).abs_diff(told) < 2 * M, "{limit}, {percentage}: {told}, and it printed {printed}");
        }
        assert_eq!(of("java -XX:MinRAMPercentage=75 Fill", 100 * M), Some(75 * M));
        let by = |command| ceiling("java", command, Some(&[]), Limit::Bytes(400 * M)).expect("a ceiling").by;
        assert_eq!(
            by("java -XX:MaxRAMPercentage=10 Fill"),
            "the least that a JVM takes by itself, above 10 % of the limit at its start"
        );
        assert_eq!(by("java -XX:MaxRAMPercentage=75 Fill"), "75 % of the limit at its start");
    }

    #[test]
    fn the_last_explicit_size_counts_and_arguments_are_no_options() {
        assert_eq!(of("/usr/bin/java -Xmx1g -Xmx96m -jar x.jar", 256 * M), Some(96 * M));
        assert_eq!(of("java -Xmx96m -XX:MaxHeapSize=64m Fill", 256 * M), Some(64 * M));
        assert_eq!(of("java -XX:MaxRAMPercentage=75 -Xmx1G Fill", 100 * M), Some(1 << 30));
        assert_eq!(of("java -cp -Xmx1g Fill -Xmx96m", 256 * M), None);
        assert_eq!(of("java -jar x.jar -Xmx96m", 256 * M), None);
        assert_eq!(of("node --max-old-space-size=100 server.js", 256 * M), Some(100 * M));
        assert_eq!(of("node --max_old_space_size=100 server.js", 256 * M), Some(100 * M));
    }

    #[test]
    fn where_the_command_line_does_not_say_it_nothing_is_guessed() {
        for command in [
            "java Fill",
            "java -Xmx Fill",
            "java -Xmx1x Fill",
            "java -Xmx99999999999999999999g Fill",
            "java -Xmx99999999999g Fill",
            "java @options Fill",
            "java -XX:MaxRAMPercentage=x Fill",
            "java -XX:MaxRAMPercentage=75 -XX:-UseContainerSupport Fill",
            "node server.js --max-old-space-size=100",
            "python3 --max-old-space-size=100",
            "",
            &format!("java -cp {} -Xmx96m", "x".repeat(COMMAND_LENGTH)),
        ] {
            assert_eq!(of(command, 256 * M), None, "{command}");
        }
        assert_eq!(ceiling("java", "java -XX:MaxRAMPercentage=75 Fill", None, Limit::Max), None);
    }

    #[test]
    fn what_the_environment_says_counts_and_nothing_else_of_it_is_kept() {
        let environ = b"SECRET=x\0JAVA_TOOL_OPTIONS=-Dpassword=y -Xmx96m -ea\0NODE_OPTIONS=--max-old-space-size=100 --no-warnings\0_JAVA_OPTIONS=\0";
        let said = options_in(environ);
        assert_eq!(said, ["JAVA_TOOL_OPTIONS -Xmx96m", "NODE_OPTIONS --max-old-space-size=100"]);
        let of = |command: &str, said: &[&str]| {
            let said: Vec<String> = said.iter().map(|entry| entry.to_string()).collect();
            let name = command.split(' ').next().unwrap();
            ceiling(name, command, Some(&said), Limit::Bytes(512 * M)).map(|heap| heap.ceiling / M)
        };
        assert_eq!(of("java Fill", &["JAVA_TOOL_OPTIONS -Xmx96m"]), Some(96));
        assert_eq!(of("java Fill", &["JDK_JAVA_OPTIONS -Xmx80m", "JAVA_TOOL_OPTIONS -Xmx96m"]), Some(80));
        assert_eq!(of("java -Xmx64m Fill", &["JAVA_TOOL_OPTIONS -Xmx96m"]), Some(64), "the command line counts more");
        assert_eq!(of("java -Xmx64m Fill", &["_JAVA_OPTIONS -Xmx96m"]), Some(96), "and this one most");
        assert_eq!(of("java Fill", &["JDK_JAVA_OPTIONS @file"]), None);
        assert_eq!(of("node x.js", &["NODE_OPTIONS --max-old-space-size=100"]), Some(100));
        assert_eq!(of("node --max-old-space-size=50 x.js", &["NODE_OPTIONS --max-old-space-size=100"]), Some(50));
        // Nothing anywhere: java's default, a quarter.
        assert_eq!((of("java Fill", &[]), of("node x.js", &[])), (Some(128), None));
    }

    #[test]
    fn the_rest_is_what_the_limit_leaves() {
        let heap = ceiling("java", "java -Xmx192m Fill", None, Limit::Max).unwrap();
        assert_eq!(heap.beside(Limit::Bytes(256 * M)), "java's heap ends at 192M, 64M for the rest");
        assert_eq!(heap.beside(Limit::Bytes(192 * M)), "java's heap ends at 192M, nothing for the rest");
        assert_eq!(heap.beside(Limit::Bytes(100 * M)), "java's heap ends at 192M, above the limit");
        assert_eq!(heap.beside(Limit::Max), "java's heap ends at 192M");
    }
}
