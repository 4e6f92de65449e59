//! What is measured, by which command.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

/// One figure of the document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// In the document, and that of the file of its rows.
    pub(crate) name: &'static str,
    /// The command and its arguments.
    command: &'static str,
}

const fn step(name: &'static str, command: &'static str) -> Step {
    Step { name, command }
}

/// In the order of the document.
pub(crate) const STEPS: [Step; 13] = [
    step("bucket", "ratios --family bucket --rounds 15 --millis 20"),
    step("contended", "ratios --family bucket --suites allow,deny --threads 1,2,4,8,16,32 --rounds 9 --millis 60"),
    step("utilisation", "utilisation"),
    step("compose", "ratios --family compose --rounds 15 --millis 20 --threads 1,2"),
    step("window", "ratios --family window --rounds 15 --millis 20"),
    step("adaptive", "ratios --family adaptive --rounds 15 --millis 20"),
    step("keyed", "ratios --family keyed --rounds 9 --millis 20"),
    step("keyed_kinds", "ratios --family keyed-kinds --rounds 9 --millis 20"),
    step("stalls", "stalls"),
    step("waiting", "waiting"),
    step("bytes", "bytes"),
    step("instructions", "instructions"),
    step("accuracy", "accuracy"),
];

impl Step {
    /// What it printed. Its rows are in `directory` then.
    pub(crate) fn run(&self, directory: &Path, quick: bool) -> Result<String, Box<dyn Error>> {
        let mut words = self.command.split(' ');
        let binary = words.next().unwrap_or_default();
        let here = env::current_exe()?;
        let mut command = Command::new(here.with_file_name(binary).with_extension(env::consts::EXE_EXTENSION));
        command.args(words).arg("--csv").arg(directory.join(self.name).with_extension("csv"));
        if quick {
            command.arg("--quick");
        }
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{binary}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{}: {}", self.command, output.status).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
