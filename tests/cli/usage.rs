//! What needs no broker.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Said, command, groundswell};
use crate::support::Outcome;

#[test]
fn every_command_has_a_help_with_an_example() -> Outcome<()> {
    let letters = ["dead-letters list", "dead-letters show", "dead-letters replay"];
    for name in ["demo", "run", "check", "score", "detect", "replay", "topics"].into_iter().chain(letters) {
        let arguments: Vec<&str> = name.split(' ').chain(["--help"]).collect();
        let said = groundswell(&arguments)?.ended(0);
        assert!(said.out.contains(&format!("Usage: groundswell {name}")), "{}", said.out);
        assert!(said.out.contains(&format!("Example: groundswell {name}")), "{}", said.out);
    }
    let said = groundswell(&["--help"])?.ended(0);
    let listed: Vec<usize> =
        ["demo", "run", "check", "score", "detect", "replay", "topics", "dead-letters", "completions"]
            .iter()
            .map(|name| {
                said.out.find(&format!("\n  {name} ")).ok_or_else(|| format!("{name} is not listed:\n{}", said.out))
            })
            .collect::<Result<_, _>>()?;
    assert!(listed.is_sorted(), "in the order in which they are met:\n{}", said.out);
    assert!(said.out.contains("3   broker or registry unreachable"), "exit codes are told:\n{}", said.out);
    Ok(())
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_was_expected() -> Outcome<()> {
    let nowhere = "/nowhere/reviews.jsonl";
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage: groundswell <COMMAND>"),
        (&["chekc"], "a similar subcommand exists: 'check'"),
        (&["check", "--print-default", "--connect"], "cannot be used with '--connect'"),
        (&["topics", "--partitions", "3"], "--create"),
        (&["topics", "--create", "--partitions", "0"], "0 is not in 1.."),
        (&["replay", file], "--topic <TOPIC>"),
        (&["replay", file, "--topic", "t", "--rate", "0"], "expected records a second, above 0, as in 500 or 500/s"),
        (&["replay", file, "--topic", "t", "--rate", "5", "--speed", "1"], "cannot be used with '--speed <X>'"),
        (&["replay", file, "--topic", "t", "--key", "user"], "expected a JSON pointer, as in /user"),
        (&["replay", nowhere, "--topic", "t"], "error: cannot open /nowhere/reviews.jsonl: "),
        (&["replay", "-", "--topic", "t", "--loop"], "standard input cannot be read again: --loop needs a file"),
        (&["score", nowhere, "--set", "models.text.path=/nowhere"], "error: cannot open /nowhere/reviews.jsonl: "),
        (
            &["score", "--set", "models.text.path=nowhere", file],
            "hint: a relative path counts from the working directory",
        ),
        (&["dead-letters"], "Usage: groundswell dead-letters <COMMAND>"),
        (&["dead-letters", "show", "7"], "expected PARTITION/OFFSET, as in 0/42"),
        (&["dead-letters", "list", "--reason", "bad"], "possible values: tombstone, too_large, malformed"),
        (&["dead-letters", "list", "--since", "yesterday"], "expected a time as in 2026-11-23T08:00:00Z"),
    ];
    for (arguments, expected) in cases {
        let said = groundswell(arguments)?.ended(2);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
        assert_eq!(said.out, "", "{arguments:?}: nothing that another program might read");
    }
    Ok(())
}

#[test]
fn check_reports_all_faults_at_once_with_their_places() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("groundswell.toml");
    fs::write(&file, "[batch]\ntoken_max = 512\n\n[kafka]\nbootstrap_servers = \"broker\"\n")?;
    let path = file.to_str().ok_or("a path")?;
    let set = ["--set", "delivery.mode=once"];
    let said = groundswell(&["check", "--config", path, set[0], set[1]])?.ended(2);
    for expected in [
        format!("{path}:2:1: "),
        "tokens_max".into(),
        format!("{path}:5:1: "),
        "\"broker\", which is not host:port".into(),
        "--set delivery.mode: ".into(),
        "exactly_once".into(),
    ] {
        assert!(said.err.contains(&expected), "{expected}: {}", said.err);
    }
    assert_eq!(said.out, "");
    let said = groundswell(&["check", "--config", "/nowhere/groundswell.toml"])?.ended(2);
    assert!(said.err.contains("/nowhere/groundswell.toml:1:1: the file cannot be read"), "{}", said.err);
    Ok(())
}

#[test]
fn check_names_every_model_that_cannot_be_loaded() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("groundswell.toml");
    let model = |name: &str, kind: &str| format!("[models.{name}]\npath = \"/nowhere/{name}\"\nkinds = [\"{kind}\"]\n");
    fs::write(&file, model("first", "review") + &model("second", "chat") + "[http]\nlisten = \"here\"\n")?;
    let path = file.to_str().ok_or("a path")?;
    let library = "inference.library=/nowhere/libonnxruntime.so";
    let said = groundswell(&["check", "--config", path, "--set", library])?.ended(2);
    for expected in [
        format!("{path}:1:9: model first: /nowhere/first"),
        format!("{path}:4:9: model second: /nowhere/second"),
        format!("{path}:8:1: http.listen (\"here\")"),
        "--set inference.library: inference.library (/nowhere/libonnxruntime.so) is no file".to_owned(),
    ] {
        assert!(said.err.contains(&expected), "{expected}: {}", said.err);
    }
    assert_eq!(said.out, "", "nothing is called sound");
    Ok(())
}

#[test]
fn check_names_a_directory_of_the_state_that_cannot_be_written() -> Outcome<()> {
    let said = groundswell(&["check", "--set", "state.directory=/proc/groundswell"])?.ended(2);
    let expected = "--set state.directory: state.directory (/proc/groundswell) cannot be written to: ";
    assert!(said.err.contains(expected), "{}", said.err);
    Ok(())
}

/// ONNX Runtime keeps an identity of the machine in the home of its user, and sends it off, unless told not to.
#[test]
fn nothing_is_written_to_the_home_of_the_user() -> Outcome<()> {
    let home = tempfile::tempdir()?;
    let mut score = command(&["score", "--kind", "review"]);
    score.env("HOME", home.path()).env_remove("XDG_CACHE_HOME").env_remove("ORT_DISABLE_TELEMETRY");
    score.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = score.spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(b"{\"text\": \"the battery is flat\"}\n")?;
    Said::from(child.wait_with_output()?).ended(0);
    let left: Vec<_> = fs::read_dir(home.path())?.collect::<Result<_, _>>()?;
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

/// What the Dockerfile copies is enough for what it starts.
#[test]
fn the_files_of_the_image_suffice() -> Outcome<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let image = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let dockerfile = fs::read_to_string(root.join("deploy/container/Dockerfile"))?;
    let last = dockerfile.rsplit("\nFROM ").next().ok_or("no stage")?;
    for line in last.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let (to, from) = words.split_last().ok_or("an empty COPY")?;
        for from in from {
            copy(&root.join(from), &image.path().join(to), from.contains('.'))?;
        }
    }
    let program = image.path().join("groundswell");
    fs::hard_link(env!("CARGO_BIN_EXE_groundswell"), &program)?;
    let output = Command::new(&program)
        .args(["check", "--config"])
        .arg(root.join("deploy/groundswell.toml"))
        .current_dir(image.path())
        .env("GROUNDSWELL__STATE__DIRECTORY", image.path().join("state"))
        .output()?;
    let said = Said::from(output).ended(0);
    assert!(said.out.contains("model text: ") && said.out.contains("model purchase: "), "{}", said.out);
    Ok(())
}

/// As COPY does: a file into a folder or under a name, a folder's files into a folder.
fn copy(from: &Path, to: &Path, is_file: bool) -> Outcome<()> {
    if !is_file && from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()), false)?;
        }
        return Ok(());
    }
    let to = if to.extension().is_none() && is_file { to.join(from.file_name().ok_or("no name")?) } else { to.into() };
    fs::create_dir_all(to.parent().ok_or("no folder")?)?;
    fs::copy(from, to)?;
    Ok(())
}

#[test]
fn a_reader_that_has_gone_ends_completions_quietly() -> Outcome<()> {
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let said = Said::from(command(&["completions", "bash"]).stdout(full).stderr(Stdio::piped()).output()?).ended(1);
    assert!(said.err.starts_with("error: cannot write to standard output: "), "{}", said.err);
    Ok(())
}

#[test]
fn check_describes_the_model_that_ships() -> Outcome<()> {
    let said = groundswell(&["check"])?.ended(0);
    assert!(said.out.starts_with("configuration: sound\nmodel text: version "), "{}", said.out);
    assert!(said.out.contains("sentiment: one of negative, neutral, positive, as the sentiment"), "{}", said.out);
    assert!(said.out.contains("rows of 64 features, gives purchase_probability, for clicks"), "{}", said.out);
    assert!(said.out.contains("model segments: version "), "{}", said.out);
    assert!(!said.out.contains("warning"), "a text's answer does not depend on its batch: {}", said.out);
    Ok(())
}

#[test]
fn check_names_segments_that_cannot_be_read() -> Outcome<()> {
    let said = groundswell(&["check", "--set", "clicks.segment_model=/nowhere"])?.ended(2);
    let why = "error: --set clicks.segment_model: model segments: /nowhere/segments.json cannot be read: ";
    assert!(said.err.starts_with(why), "{}", said.err);
    Ok(())
}

#[test]
fn the_defaults_that_are_printed_are_a_configuration() -> Outcome<()> {
    let printed = groundswell(&["check", "--print-default"])?.ended(0).out;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("default.toml");
    fs::write(&file, &printed)?;
    groundswell(&["check", "--config", file.to_str().ok_or("a path")?])?.ended(0);
    let reference = groundswell(&["check", "--print-reference"])?.ended(0).out;
    assert_eq!(reference, include_str!("../../docs/configuration.md"), "make docs");
    Ok(())
}

#[test]
fn brokers_out_of_reach_are_exit_code_3() -> Outcome<()> {
    // Port 1 of loopback: refused at once, so that all the waiting is the program's own.
    let set = ["--set", "kafka.bootstrap_servers=127.0.0.1:1"];
    let said = groundswell(&["topics", set[0], set[1]])?.ended(3);
    assert!(said.err.starts_with("error: the brokers at 127.0.0.1:1 do not answer"), "{}", said.err);
    assert!(said.err.contains("hint: kafka.bootstrap_servers"), "{}", said.err);
    Ok(())
}

#[test]
fn a_reader_that_has_gone_ends_the_program_like_any_filter() -> Outcome<()> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let ended = command(&["check", "--print-reference"]).stdout(writer).stderr(Stdio::piped()).output()?;
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(141), &b""[..]));
    Ok(())
}

#[test]
fn completions_name_every_command() -> Outcome<()> {
    for shell in ["bash", "zsh", "fish"] {
        let said = groundswell(&["completions", shell])?.ended(0);
        for name in ["check", "replay", "topics", "dead-letters", "--from-beginning"] {
            assert!(said.out.contains(name.trim_start_matches("--")), "{shell}: {name}");
        }
    }
    Ok(())
}
