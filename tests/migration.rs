//! The tables of the guide for those who come from elsewhere: every class, method and parameter of the Python module has a row, and
//! the Rust of every row is in a block of the same section, which is compiled and run as a documentation test.

const GUIDE: &str = include_str!("../docs/GUIDE.md");

struct Section {
    /// The cells of each row.
    rows: Vec<[&'static str; 3]>,
    /// The lines of its blocks.
    code: Vec<&'static str>,
}

fn section(title: &str) -> Section {
    let text = GUIDE.split("\n## ").find_map(|section| section.strip_prefix(title)).expect("the section is there");
    let (mut rows, mut code, mut is_code) = (Vec::new(), Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            assert!(is_code || line == "```rust", "a block that is not compiled: {line}");
            is_code = !is_code;
        } else if is_code {
            code.push(line);
        } else if let Some(row) = line.strip_prefix("| ") {
            let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").map(str::trim).collect();
            let &[from, to, ..] = &cells[..] else { panic!("a row without cells: {row}") };
            assert!(cells.len() <= 3, "a cell too many: {row}");
            rows.push([from, to, cells.get(2).copied().unwrap_or("")]);
        }
    }
    // Without the heading.
    rows.remove(0);
    Section { rows, code }
}

/// Kills: a row that is changed and not compiled any more, a block that is.
fn every_row_is_compiled(section: &Section) {
    for [from, to, _] in &section.rows {
        if *to == "none" {
            continue;
        }
        let line = to.strip_prefix('`').and_then(|to| to.strip_suffix('`')).expect(to);
        let is_compiled = section.code.iter().any(|code| code.contains(line));
        assert!(is_compiled, "no block has the Rust of {from}: {line}");
    }
}

#[test]
fn every_row_of_the_python_module_is_compiled() {
    let section = section("Migrate from the Python module");
    every_row_is_compiled(&section);
    assert_eq!(section.rows.iter().filter(|[_, to, _]| *to == "none").count(), 3, "only what is private has none");
}

#[test]
fn every_row_of_governor_is_compiled() {
    every_row_is_compiled(&section("Migrate from governor"));
}

#[test]
fn every_name_of_the_python_module_has_a_row() {
    let module: [(&str, &[&str]); 7] = [
        ("RateLimitExceededError", &["__init__", "message", "retry_after"]),
        ("RateLimiterStats", &["rejection_rate", "to_dict"]),
        (
            "TokenBucket",
            &[
                "rate",
                "capacity",
                "stats",
                "available_tokens",
                "_refill",
                "acquire",
                "tokens",
                "block",
                "time_to_available",
            ],
        ),
        (
            "SlidingWindowCounter",
            &[
                "limit",
                "window_seconds",
                "stats",
                "_update_window",
                "_get_weighted_count",
                "is_allowed",
                "get_remaining",
            ],
        ),
        (
            "AdaptiveRateLimiter",
            &[
                "base_rate",
                "min_rate",
                "max_rate",
                "error_threshold",
                "recovery_rate",
                "reduction_rate",
                "window_seconds",
                "current_rate",
                "_update_rate",
                "acquire",
                "block",
                "record_success",
                "record_error",
                "__call__",
                "func",
                "get_stats",
            ],
        ),
        (
            "PerKeyRateLimiter",
            &[
                "rate",
                "capacity",
                "cleanup_interval",
                "_cleanup_old_buckets",
                "_get_bucket",
                "acquire",
                "key",
                "tokens",
                "block",
                "get_stats",
                "get_all_stats",
            ],
        ),
        ("rate_limit", &["rate", "capacity", "block"]),
    ];
    let rows = section("Migrate from the Python module").rows;
    // A class begins with a row in bold.
    let classes: Vec<&[[&str; 3]]> = rows.chunk_by(|_, [next, ..]| !next.starts_with("**")).collect();
    assert_eq!(classes.len(), module.len());
    for ((class, names), rows) in module.iter().zip(classes) {
        assert!(rows[0][0].contains(class), "the rows of {class} begin with {}", rows[0][0]);
        let has = |name: &str| {
            let is_part = |c: char| !c.is_alphanumeric() && c != '_';
            rows.iter().any(|[from, ..]| from.split(is_part).any(|word| word == name))
        };
        for name in *names {
            assert!(has(name), "no row for {name} of {class}");
        }
    }
}
