//! Documents: complete, without dead links, and no address of somebody else's computer where none belongs.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::assert_none;
use crate::files::{root, with_extension};

/// Hosts that the sources and documents may name, besides addresses that nobody owns: numbers, names without a dot
/// (`localhost`, a container), and names under `example.com`, `.example`, `.test`, `.invalid`.
const KNOWN_HOSTS: &[&str] = &[
    // The channel itself, and what its rules are written in.
    "stripe.com",
    // Licence and standards.
    "apache.org",
    "ietf.org",
    "rfc-editor.org",
    "iso.org",
    "iana.org",
    "w3.org",
    "json-schema.org",
    "openapis.org",
    // How the change log is written, and where Rust comes from.
    "keepachangelog.com",
    "semver.org",
    "rust-lang.org",
    "rustup.rs",
    "opentelemetry.io",
    "postgresql.org",
    "sqlite.org",
];

#[test]
fn the_documents_of_a_project_are_there() {
    let expected =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "docs/README.md"];
    let missing: Vec<String> =
        expected.iter().filter(|name| !root().join(name).is_file()).map(ToString::to_string).collect();
    assert_none(&missing, "these documents are missing");
}

#[test]
fn the_index_of_the_documents_is_complete() {
    let index = std::fs::read_to_string(root().join("docs/README.md")).unwrap_or_default();
    let linked: BTreeSet<PathBuf> =
        links(&index).iter().map(|link| resolved(Path::new("docs/README.md"), link)).collect();
    let offences: Vec<String> = with_extension(&["md"])
        .iter()
        .map(|file| &file.path)
        .filter(|path| path.starts_with("docs") && *path != Path::new("docs/README.md"))
        .filter(|path| !linked.contains(*path))
        .map(|path| path.display().to_string())
        .collect();
    assert_none(&offences, "docs/README.md links every document under docs/");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut offences = Vec::new();
    for file in with_extension(&["md"]) {
        for link in links(&file.text) {
            let target = resolved(&file.path, &link);
            if !root().join(&target).exists() {
                offences.push(format!("{} links to {link}, which does not exist", file.path.display()));
                continue;
            }
            let Some((_, heading)) = link.split_once('#') else { continue };
            let text = std::fs::read_to_string(root().join(&target)).unwrap_or_default();
            if target.extension().is_some_and(|extension| extension == "md") && !has_heading(&text, heading) {
                offences
                    .push(format!("{} links to {link}, a heading that does not exist", file.path.display()));
            }
        }
    }
    assert_none(&offences, "a relative link leads to a file, and to a heading in it");
}

#[test]
fn no_address_of_a_stranger_is_named() {
    let mut offences = Vec::new();
    let extensions =
        ["rs", "md", "toml", "sql", "html", "css", "js", "json", "yml", "yaml", "sh", "csv", "ndjson"];
    for file in with_extension(&extensions) {
        for (index, line) in file.text.lines().enumerate() {
            for host in hosts(line).into_iter().filter(|host| !may_be_named(host)) {
                offences.push(format!("{}:{}: {host}", file.path.display(), index + 1));
            }
        }
    }
    assert_none(
        &offences,
        "an invented host ends in .example, .test or .invalid; a real one is in KNOWN_HOSTS",
    );
}

#[test]
fn pages_load_nothing_from_other_hosts() {
    let mut offences = Vec::new();
    for file in with_extension(&["html", "css", "js"]) {
        for (index, line) in file.text.lines().enumerate() {
            let loads = ["src=", "<link", "@import", "url(", "fetch(", "import "];
            if !hosts(line).is_empty() && loads.iter().any(|word| line.contains(word)) {
                offences.push(format!("{}:{}: {}", file.path.display(), index + 1, line.trim()));
            }
        }
    }
    assert_none(&offences, "a page loads its parts from the host that serves it");
}

/// The targets of inline links that stay inside the repository. Code, in blocks or in backticks, holds no links.
fn links(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines_outside_code_blocks(markdown) {
        let line = without_code_spans(line);
        for (position, _) in line.match_indices("](") {
            let target = line[position + 2..].split([')', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target.to_owned());
            }
        }
    }
    found
}

fn lines_outside_code_blocks(markdown: &str) -> Vec<&str> {
    let mut inside = false;
    let mut outside = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            outside.push(line);
        }
    }
    outside
}

fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The file that a link means, from the workspace's root; a bare `#heading` means the file itself.
fn resolved(from: &Path, link: &str) -> PathBuf {
    let target = link.split('#').next().unwrap_or_default();
    if target.is_empty() {
        return from.to_path_buf();
    }
    let joined = from.parent().unwrap_or(Path::new("")).join(target);
    let mut plain = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Whether a heading's anchor is this: lower case, spaces as hyphens, punctuation dropped.
fn has_heading(markdown: &str, anchor: &str) -> bool {
    lines_outside_code_blocks(markdown)
        .iter()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| line.trim_start_matches('#').trim())
        .any(|heading| {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-") == anchor
        })
}

/// The host of each `http://` and `https://` address in a line. `http://{address}` has none: it is filled in later.
fn hosts(line: &str) -> Vec<&str> {
    let scheme_ends = line.match_indices("://").filter(|(position, _)| line[..*position].ends_with("http"));
    let secure_ends = line.match_indices("://").filter(|(position, _)| line[..*position].ends_with("https"));
    scheme_ends
        .chain(secure_ends)
        .filter_map(|(position, separator)| {
            let rest = &line[position + separator.len()..];
            let rest =
                rest.rsplit_once('@').filter(|(user, _)| !user.contains('/')).map_or(rest, |(_, host)| host);
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'));
            let host = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
            (!host.is_empty()).then_some(host)
        })
        .collect()
}

fn may_be_named(host: &str) -> bool {
    let under = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    let nobodys =
        ["example", "test", "invalid", "localhost", "internal", "example.com", "example.org", "example.net"];
    !host.contains('.')
        || host.parse::<std::net::Ipv4Addr>().is_ok()
        || nobodys.iter().any(|domain| under(domain))
        || KNOWN_HOSTS.iter().any(|domain| under(domain))
}

#[test]
fn links_and_hosts_are_read_as_meant() {
    assert_eq!(links("see [a](b.md#c) and `[x](y)`\n```\n[no](no.md)\n```\n"), ["b.md#c"]);
    assert_eq!(resolved(Path::new("docs/a.md"), "../README.md#x"), Path::new("README.md"));
    assert_eq!(resolved(Path::new("docs/a.md"), "#x"), Path::new("docs/a.md"));
    assert!(has_heading("# One\n## Two words, and `code`!\n", "two-words-and-code"));
    assert!(!has_heading("```\n# One\n```\n", "one"));

    assert_eq!(hosts("a http://a.test/x, https://user@b.example. http://{address}"), ["a.test", "b.example"]);
    assert!(may_be_named("localhost") && may_be_named("10.0.0.1") && may_be_named("docs.stripe.com"));
    assert!(!may_be_named("notstripe.com") && !may_be_named("somewhere.net"));
}
