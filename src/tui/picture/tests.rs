//! README's pictures are what the program draws.

use std::{fs, path::Path};

#[test]
fn the_pictures_of_the_readme_are_what_is_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = fs::read_to_string(root.join("assets/pictures/make")).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let mut made = 0;
    for line in script.lines().filter_map(|line| line.strip_prefix("picture ")) {
        let mut words = line.split(' ');
        let (name, recording) = (words.next().unwrap(), words.next().unwrap());
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join(format!("{name}.svg"));
        let mut args = vec!["sandtop".to_string(), "report".into()];
        args.push(root.join(format!("tests/workloads/{recording}.jsonl.gz")).display().to_string());
        args.extend(words.map(String::from));
        args.extend(["-o".to_string(), file.display().to_string()]);
        let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(args).unwrap();
        let Some(crate::cli::Mode::Report(options)) = cli.mode else { panic!("{line}") };
        crate::report::run(&options).unwrap();
        let kept = fs::read_to_string(root.join(format!("assets/pictures/{name}.svg"))).unwrap();
        assert!(
            fs::read_to_string(&file).unwrap() == kept,
            "assets/pictures/{name}.svg is not what is drawn now: run assets/pictures/make"
        );
        assert!(readme.contains(&format!("assets/pictures/{name}.svg")), "README does not show {name}");
        made += 1;
    }
    assert!(made >= 5);
}
