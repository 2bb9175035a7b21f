//! Ordinary programs, inside as outside: the same exit code and the same output, or a sentence that says why not. One table, printed.

mod common;

use std::process::{Command, Output, Stdio};

use common::*;

/// A line for bash, in which `S` stands for sandtop inside and for nothing outside; and the words that say why it differs, where it does.
struct Row {
    needs: &'static str,
    line: &'static str,
    options: &'static str,
    differs: Option<&'static str>,
}

const fn same(needs: &'static str, line: &'static str) -> Row {
    Row { needs, line, options: "-m 1G", differs: None }
}

const fn differs(needs: &'static str, line: &'static str, why: &'static str) -> Row {
    Row { needs, line, options: "-m 1G", differs: Some(why) }
}

const ROWS: [Row; 30] = [
    same("bash", "S diff <(echo a) <(echo b)"),
    same("bash", "S cat <(seq 3) - <<< end"),
    same("sh", "S sh -c 'echo out; echo err >&2; exit 7'"),
    same("dash", "S dash -c 'trap \"echo bye\" EXIT; exit 3'"),
    same("make", "cd $(mktemp -d); printf 'all: a b\\na b:\\n\\t@echo $@\\n' > Makefile; S make -s -j1"),
    same("flock", "f=$(mktemp); (flock 9; S flock -n 9; echo $?) 9>$f"),
    same(
        "gpg",
        "export GNUPGHOME=$(mktemp -d); S gpg --batch --passphrase-fd 3 --pinentry-mode loopback --symmetric -o - 3<<<word <<<text 2>/dev/null | S gpg --batch --passphrase-fd 3 --pinentry-mode loopback -d 3<<<word 2>/dev/null",
    ),
    same("ssh", "S ssh -G example.org | grep -c ."),
    same("su", "S su nobody -s /bin/sh -c 'id -un'"),
    differs("su", "S su root -c 'id -un' </dev/null 2>/dev/null", "--allow-new-privs"),
    same("unshare", "S unshare -Ur id -u"),
    differs("unshare", "S unshare -m true 2>/dev/null", "--cap-add SYS_ADMIN"),
    differs("mount", "d=$(mktemp -d); S mount -t tmpfs x $d 2>/dev/null && umount $d", "--cap-add SYS_ADMIN"),
    differs("nice", "S nice -n -5 nice 2>/dev/null", "--cap-add SYS_NICE"),
    same("python3", "S python3 -c 'import os, sys; print(os.getcwd()); sys.exit(4)'"),
    same(
        "python3",
        "S python3 -c 'import multiprocessing as m; print(m.get_context(\"fork\").Pool(2).map(abs, [-1, -2]))'",
    ),
    same("perl", "S perl -e 'print join(\",\", sort qw(b a)), \"\\n\"; exit 9'"),
    same("java", "S java -version 2>/dev/null; echo $?"),
    same("node", "S node -e 'console.log([1,2].map(x => x * 2).join()); process.exit(5)'"),
    same("git", "cd $(mktemp -d); S git init -q . && S git status --porcelain; echo $?"),
    same("cc", "cd $(mktemp -d); echo 'int main(void){return 6;}' > x.c; S cc x.c -o x && S ./x; echo $?"),
    same("tar", "S tar -cf - -C /etc hostname | tar -tf -"),
    same("gzip", "echo text | S gzip | S gzip -d"),
    same("sort", "printf 'b\\na\\n' | S sort"),
    same("grep", "S grep -c root /etc/passwd"),
    same("find", "S find /etc -maxdepth 1 -name passwd"),
    same("sed", "echo a | S sed s/a/b/"),
    same("awk", "S awk 'BEGIN { print 6 * 7; exit 2 }'"),
    same("timeout", "S timeout 0.1 sleep 5; echo $?"),
    same("env", "VALUE=kept S env | grep ^VALUE="),
];

fn bash(line: &str, sandtop: &str) -> Output {
    let script = format!("S() {{ {sandtop} \"$@\"; }}; {line}");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("SANDTOP_CONFIG", "").env("LC_ALL", "C").stdin(Stdio::null());
    command.output().expect("bash")
}

#[test]
fn ordinary_programs_do_inside_what_they_do_outside() {
    let test = "ordinary_programs_do_inside_what_they_do_outside";
    if !kernel_tier(test) || !has(test, "bash") {
        return;
    }
    if emulated() {
        return not_here(test); // what programs are given is the same on every kernel
    }
    let installed = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    let mut told = 0;
    for row in ROWS {
        let name = row.line.replace('\n', " ");
        if !installed(row.needs) {
            println!("not installed  {:<10} {name}", row.needs);
            continue;
        }
        let as_nobody = row.line.contains("su root");
        let user = if as_nobody { "-u nobody" } else { "" };
        let inside = bash(row.line, &format!("{SANDTOP} run --no-keep {user} {} --", row.options));
        let outside = bash(row.line, "");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let alike = inside.status.code() == outside.status.code() && inside.stdout == outside.stdout;
        match row.differs {
            None => {
                assert!(
                    alike,
                    "{name}\ninside: {:?} {}{}\noutside: {:?} {}{}",
                    inside.status.code(),
                    text(&inside.stdout),
                    text(&inside.stderr),
                    outside.status.code(),
                    text(&outside.stdout),
                    text(&outside.stderr)
                );
                println!("the same       {:<10} {name}", row.needs);
            }
            Some(why) => {
                told += 1;
                let line = row.line.replace(" 2>/dev/null", "");
                let words = text(&bash(&line, &format!("{SANDTOP} run --no-keep {user} {} --", row.options)).stderr);
                assert!(words.contains(why), "{name}: {words}");
                println!("told: {why:<26} {name}");
            }
        }
    }
    assert!(told >= 3, "rows that differ are there");
}
