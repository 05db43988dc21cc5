//! Names of earlier versions in configurations: they still open.

/// Keys of earlier versions, and what they are called now.
const RENAMED: [(&str, &str); 3] = [
    ("training.time-law", "training.time-distribution"),
    ("training.proposal.law", "training.proposal.distribution"),
    ("training.tails", "training.outlier-weighting"),
];

/// The name of a key today: that of an earlier version, or of something below it, is replaced.
pub(super) fn current_name(path: &str) -> String {
    for (before, now) in RENAMED {
        if let Some(rest) = path.strip_prefix(before)
            && (rest.is_empty() || rest.starts_with('.'))
        {
            return format!("{now}{rest}");
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::config::{Config, preset_text};
    use super::super::{overrides, resolve};
    use toml::{Table, Value};

    fn quick() -> Table {
        preset_text("quick").expect("is a preset").parse().expect("is a table")
    }

    /// A whole configuration under earlier names is the one under the present ones.
    #[test]
    fn whole_configurations_open() {
        let text = preset_text("quick").expect("is a preset");
        let earlier = text
            .replace("time-distribution = ", "time-law = ")
            .replace("distribution = {", "law = {")
            .replace("outlier-weighting = ", "tails = ")
            .replace("draws = \"quasi-monte-carlo\"", "draws = \"stratified\"")
            .replace("starts = \"quasi-monte-carlo\"", "starts = \"lattice\"");
        assert!(!earlier.contains("quasi-monte-carlo") && !earlier.contains("distribution"));
        let [now, then] = [text.to_owned(), earlier].map(|t| Config::from_toml(&t).expect("opens"));
        assert_eq!(now, then);
    }

    /// So do parts of one, laid over a preset by a file or by `--set`.
    #[test]
    fn parts_replace_what_is_called_otherwise_now() {
        let mut table = quick();
        let file = "[training]\ntime-law = { kind = \"uniform\" }\ntails = { scale = 3.0 }\n\
                    proposal = { law = { kind = \"log-snr\" } }\n";
        resolve::merge(&mut table, file.parse().expect("is a table"), "").expect("are keys");
        overrides::apply(&mut table, "training.tails.share=0.2").expect("is a key");
        let kind = |of: &Value| of.get("kind").and_then(Value::as_str).map(str::to_owned);
        let training = &table["training"];
        assert_eq!(kind(&training["time-distribution"]).as_deref(), Some("uniform"));
        assert_eq!(kind(&training["proposal"]["distribution"]).as_deref(), Some("log-snr"));
        assert_eq!(training["outlier-weighting"]["scale"].as_float(), Some(3.0));
        assert_eq!(training["outlier-weighting"]["share"].as_float(), Some(0.2));
        assert!(training.get("tails").is_none() && training.get("time-law").is_none());
    }
}
