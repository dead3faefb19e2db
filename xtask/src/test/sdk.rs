//! The SDK step: a Python environment of its own, our binaries, and pytest between them.
//!
//! The environment is made once and renewed when the requirements change, so a second run needs no network.

use super::step::{Options, Outcome};
use crate::shell;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// The tests.
const FOLDER: &str = "tests/sdk";
/// Binaries the tests drive, and the variables that tell where they are.
const BINARIES: &[(&str, &str)] = &[("unfail", "UNFAIL_BIN"), ("unfail-sim", "UNFAIL_SIM_BIN")];

pub(super) fn run(_: &Options) -> Outcome {
    if !has_tests() {
        return Outcome::Skipped(format!("no test_*.py in {FOLDER}"));
    }
    match prepare() {
        Ok((python, binaries)) => {
            let mut command = shell::command(&python.to_string_lossy(), &["-m", "pytest", "-ra", FOLDER]);
            command.args(["-p", "no:cacheprovider"]).envs(binaries);
            Outcome::of(command)
        }
        Err(why) => Outcome::failed(why),
    }
}

fn has_tests() -> bool {
    let entries = fs::read_dir(shell::root().join(FOLDER)).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).any(|name| {
        name.starts_with("test_") && Path::new(&name).extension().is_some_and(|extension| extension == "py")
    })
}

/// A variable and the path it tells.
type Variable = (&'static str, PathBuf);

/// The environment's Python, and where the binaries are.
fn prepare() -> Result<(PathBuf, Vec<Variable>), String> {
    let python = environment()?;
    let metadata = Metadata::read()?;
    let mut built = Vec::new();
    for (binary, variable) in BINARIES {
        let package = metadata.package_of(binary)?;
        shell::shown(shell::cargo(&["build", "--locked", "-p", &package, "--bin", binary]), |_| {})?;
        built.push((*variable, metadata.target.join("debug").join(binary)));
    }
    Ok((python, built))
}

/// The environment's Python, with exactly the requirements installed.
fn environment() -> Result<PathBuf, String> {
    let folder = Metadata::read()?.target.join("venv");
    let python = folder.join("bin/python");
    let requirements = shell::root().join(FOLDER).join("requirements.txt");
    let wanted =
        fs::read_to_string(&requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let stamp = folder.join("requirements.stamp");
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    let hash = format!("{:016x}\n", hasher.finish());
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|found| found == hash) {
        return Ok(python);
    }
    make(&folder)?;
    let paths = (python.to_string_lossy(), requirements.to_string_lossy());
    let arguments = ["-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", &paths.1];
    shell::shown(shell::command(&paths.0, &arguments), |_| {})?;
    fs::write(&stamp, hash).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(python)
}

/// Makes an empty environment. Debian keeps the module for it in a package of its own.
fn make(folder: &Path) -> Result<(), String> {
    let folder = folder.to_string_lossy();
    let venv = || shell::command("python3", &["-m", "venv", "--clear", &folder]);
    if shell::shown(venv(), |_| {}).is_ok() {
        return Ok(());
    }
    shell::install(&["python3", "python3-venv"])?;
    shell::shown(venv(), |_| {})
}

/// The part of `cargo metadata` that matters here.
struct Metadata {
    packages: Vec<serde_json::Value>,
    target: PathBuf,
}

impl Metadata {
    fn read() -> Result<Self, String> {
        let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"];
        let text = shell::quiet(shell::cargo(&arguments))?;
        let metadata: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        let target = metadata.get("target_directory").and_then(|folder| folder.as_str()).unwrap_or("target");
        let packages = metadata.get("packages").and_then(|packages| packages.as_array()).cloned();
        Ok(Self { packages: packages.unwrap_or_default(), target: PathBuf::from(target) })
    }

    /// Name of the package that builds a binary.
    fn package_of(&self, binary: &str) -> Result<String, String> {
        let builds = |package: &serde_json::Value| {
            let targets = package.get("targets").and_then(|targets| targets.as_array());
            targets.into_iter().flatten().any(|target| {
                let is_binary = target
                    .get("kind")
                    .and_then(|kind| kind.as_array())
                    .is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"));
                is_binary && target.get("name").is_some_and(|name| name == binary)
            })
        };
        let package = self.packages.iter().find(|package| builds(package));
        let name = package.and_then(|package| package.get("name")?.as_str());
        name.map(str::to_owned).ok_or_else(|| format!("no package builds a binary `{binary}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::Metadata;

    #[test]
    fn the_package_of_a_binary_is_found() {
        let metadata = Metadata::read().unwrap();
        assert_eq!(metadata.package_of("unfail"), Ok("unfail".to_owned()));
        assert_eq!(metadata.package_of("xtask"), Ok("xtask".to_owned()));
        assert!(metadata.package_of("unfail_wire").is_err(), "a library is no binary");
    }
}
