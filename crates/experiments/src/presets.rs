//! Configurations in the binary.

/// The presets of an experiment, from its folder of configurations.
macro_rules! presets {
    ($name:literal) => {
        presets!($name: "smoke", "quick", "full")
    };
    ($name:literal: $($preset:literal),*) => {
        &[$((
            $preset,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/configs/", $name, "/", $preset, ".toml"
            )),
        )),*]
    };
}
pub(crate) use presets;
