//! Crates: what each must have, and which may know which.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::assert_none;
use crate::files::root;

/// Which crates of the workspace a crate may name, in its build and, after that, only in its tests.
///
/// `core ← platform ← services ← payops`. The three services never name each other: they meet over HTTP. What the documents of
/// services are set with stands alone. The sandbox
/// stands in for other people's systems, so it shares nothing with the platform it is there to test; its gateway uses the
/// client that is made for gateways.
const MAY_NAME: &[(&str, &[&str], &[&str])] = &[
    ("payops-core", &[], &[]),
    ("payops-platform", &["payops-core"], &[]),
    ("payops-channels", &["payops-core"], &["payops-sandbox"]),
    ("payops-sandbox", &["payops-core", "payops-channels", "payops-client"], &[]),
    ("payops-typeset", &[], &[]),
    (
        "payops-recon",
        &["payops-core", "payops-platform", "payops-channels", "payops-typeset"],
        &["payops-sandbox"],
    ),
    ("payops-limits", &["payops-core", "payops-platform"], &[]),
    (
        "payops-disputes",
        &["payops-core", "payops-platform", "payops-channels", "payops-typeset"],
        &["payops-sandbox"],
    ),
    ("payops-client", &["payops-core"], &["payops-platform", "payops-limits"]),
    (
        "payops",
        &[
            "payops-core",
            "payops-platform",
            "payops-channels",
            "payops-recon",
            "payops-disputes",
            "payops-limits",
            "payops-client",
            "payops-sandbox",
        ],
        &["payops-faults"],
    ),
    ("payops-faults", &["payops-core", "payops-client"], &[]),
    ("xtask", &[], &[]),
];

struct Crate {
    name: String,
    folder: std::path::PathBuf,
    described: bool,
    builds_on: BTreeSet<String>,
    tests_with: BTreeSet<String>,
}

fn crates() -> Vec<Crate> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]).current_dir(root());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().iter().map(read_crate).collect()
}

fn read_crate(package: &serde_json::Value) -> Crate {
    let mut builds_on = BTreeSet::new();
    let mut tests_with = BTreeSet::new();
    for dependency in package["dependencies"].as_array().unwrap() {
        if dependency["path"].is_null() {
            continue;
        }
        let name = dependency["name"].as_str().unwrap().to_owned();
        if dependency["kind"] == "dev" {
            tests_with.insert(name)
        } else {
            builds_on.insert(name)
        };
    }
    let manifest = std::path::Path::new(package["manifest_path"].as_str().unwrap());
    Crate {
        name: package["name"].as_str().unwrap().to_owned(),
        folder: manifest.parent().unwrap().to_path_buf(),
        described: package["description"].is_string(),
        builds_on,
        tests_with,
    }
}

#[test]
fn crates_name_only_the_crates_below_them() {
    let rules: BTreeMap<_, _> =
        MAY_NAME.iter().map(|(name, build, tests)| (*name, (*build, *tests))).collect();
    let mut offences = Vec::new();
    for found in crates() {
        let Some((build, tests)) = rules.get(found.name.as_str()) else {
            offences.push(format!("{}: give it a line in this table, and a place in the design", found.name));
            continue;
        };
        for name in found.builds_on.iter().filter(|name| !build.contains(&name.as_str())) {
            offences.push(format!("{} builds on {name}", found.name));
        }
        let allowed_in_tests = |name: &str| build.contains(&name) || tests.contains(&name);
        for name in found.tests_with.iter().filter(|name| !allowed_in_tests(name)) {
            offences.push(format!("{} tests with {name}", found.name));
        }
    }
    assert_none(&offences, "a crate names another one that it may not know (MAY_NAME in this file)");
}

#[test]
fn the_table_of_crates_keeps_services_apart_and_the_sandbox_outside() {
    let below = |start: &'static str| {
        let mut reached = BTreeSet::new();
        let mut open = vec![start];
        while let Some(name) = open.pop() {
            for (_, build, _) in MAY_NAME.iter().filter(|(known, ..)| *known == name) {
                open.extend(build.iter().filter(|next| reached.insert(**next)));
            }
        }
        reached
    };
    assert!(!below("payops-sandbox").contains("payops-platform"));
    let services = ["payops-recon", "payops-disputes", "payops-limits"];
    for service in services {
        for other in services {
            assert!(!below(service).contains(other), "{service} reaches {other}");
        }
    }
}

#[test]
fn every_crate_says_what_it_is_and_takes_the_workspace_lints() {
    let mut offences = Vec::new();
    for found in crates() {
        if !found.described {
            offences.push(format!("{}: no description in Cargo.toml", found.name));
        }
        let readme = std::fs::read_to_string(found.folder.join("README.md")).unwrap_or_default();
        if readme.trim().is_empty() {
            offences.push(format!("{}: no README.md", found.name));
        }
        let manifest = std::fs::read_to_string(found.folder.join("Cargo.toml")).unwrap();
        if !manifest.contains("[lints]\nworkspace = true") {
            offences.push(format!("{}: Cargo.toml lacks [lints] workspace = true", found.name));
        }
    }
    assert_none(&offences, "every crate has a description, a README.md and the workspace's lints");
}
