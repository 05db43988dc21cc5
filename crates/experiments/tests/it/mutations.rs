//! The parsers on damaged input: the seeds of `fuzz/`, changed at random. `cargo fuzz` looks further.

use std::path::Path;

use experiments::model::Analytic;
use experiments::npy;
use experiments::ode_sde_gap::config::Config;
use score_nets::{ScoreNet, inspect_pickle};
use sde_core::Key;

/// What is told from a parser's verdict: that there is one.
type Parser = fn(&[u8]) -> bool;

const PARSERS: [(&str, Parser); 5] = [
    ("npy", |b| npy::read_from(b, None).is_ok()),
    ("mixture", |b| Analytic::from_json(b).is_ok()),
    ("config", |b| std::str::from_utf8(b).is_ok_and(|t| Config::from_toml(t).is_ok())),
    ("checkpoint", |b| ScoreNet::from_published_bytes(b).is_ok()),
    ("pickle", |b| inspect_pickle(b).is_ok()),
];

/// Pieces that parsers find hard.
const PIECES: [&[u8]; 14] = [
    b"",
    b"0",
    b"-1",
    b"1e400",
    b"18446744073709551615",
    b"9223372036854775807",
    b"(",
    b"[[",
    b"}",
    b"NaN",
    b"\xff",
    b"\0\0\0\0\0\0\0\x80",
    b"2\x86",
    b"\x85",
];

/// One to eight changes: a bit, a byte, a piece put in or over, a stretch doubled or taken out.
fn mutated(seed: &[u8], key: Key) -> Vec<u8> {
    let mut draws = [0.0; 33];
    key.fill_uniforms(0, &mut draws);
    let mut bytes = seed.to_vec();
    let below = |u: f64, n: usize| (u * n as f64) as usize;
    for change in draws[1..].chunks_exact(4).take(1 + below(draws[0], 8)) {
        let at = below(change[1], bytes.len() + 1);
        let end = (at + below(change[2] * change[2], 40)).min(bytes.len());
        match below(change[0], 6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(change[2], 8),
            1 if at < bytes.len() => bytes[at] = below(change[2], 256) as u8,
            2 => drop(bytes.splice(at..at, PIECES[below(change[3], PIECES.len())].iter().copied())),
            3 => {
                drop(bytes.splice(at..end, PIECES[below(change[3], PIECES.len())].iter().copied()))
            }
            4 => {
                let again = bytes[at..end].repeat(1 + below(change[3], 4));
                drop(bytes.splice(at..at, again));
            }
            _ => drop(bytes.drain(at..end)),
        }
    }
    bytes
}

fn mutate(rounds: u64) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    for (name, parse) in PARSERS {
        let folder = std::fs::read_dir(seeds.join(name)).expect("seeds");
        let mut paths: Vec<_> = folder.map(|e| e.expect("an entry").path()).collect();
        paths.sort();
        for (k, path) in paths.iter().enumerate() {
            let seed = std::fs::read(path).expect("a seed");
            assert!(parse(&seed), "{}: the seed is refused", path.display());
            let refused = (0..rounds)
                .filter(|round| !parse(&mutated(&seed, Key::root(k as u64).fold(*round))))
                .count();
            assert!(refused > 0, "{name}: every damaged input was accepted");
        }
    }
}

#[test]
fn parsers_survive_some_damage() {
    mutate(500);
}

#[test]
#[ignore = "slow"]
fn slow_parsers_survive_much_damage() {
    mutate(200_000);
}
