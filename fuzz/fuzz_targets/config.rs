//! Configurations in TOML.
#![no_main]

use experiments::ode_sde_gap::config::Config;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(config) = Config::from_toml(text) {
        // What is accepted comes back as it is.
        let again = config.to_toml().and_then(|text| Config::from_toml(&text));
        assert!(again.is_ok_and(|again| again == config));
    }
});
