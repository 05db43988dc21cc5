//! What somebody brings along, as the guide shows it: one file each, with public names alone.

macro_rules! program {
    ($name:ident, $file:literal) => {
        mod $name {
            include!($file);

            #[test]
            fn runs() -> Result<(), SolveError> {
                main()
            }

            /// The guide shows the program as it is.
            #[test]
            fn is_in_the_guide() {
                let page = include_str!("../../../../docs/src/guide/solvers.md");
                let program = include_str!($file);
                assert!(page.contains(&format!("```rust\n{program}```\n")), "{}", $file);
            }
        }
    };
}

program!(own_sde, "../outside/own_sde.rs");
program!(own_stepper, "../outside/own_stepper.rs");
program!(labels, "../outside/labels.rs");
