//! The experiment on images, from its smallest preset to its page.

use crate::studies::{number, smoke};

/// Every number of the page is there for every network, and the weight changes the network alone.
#[test]
fn images_have_a_gap_with_and_without_the_residual() {
    let figures = ["gap", "densities", "residual", "samples"];
    let (_dir, results) = smoke("image-gap", &figures, &["numbers", "distances", "seconds"]);
    let cells = results["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 4);
    for cell in cells {
        let distances = cell["distances"].as_array().expect("distances");
        // Three pairs by two metrics in pixels and three in features.
        assert_eq!(distances.len(), 15, "{cell}");
        for distance in distances.iter().filter(|d| d["metric"] == "w2") {
            assert!(number(&distance["found"]["value"]) > 0.0, "{distance}");
        }
        // The mean of logarithms is at most the logarithm of the mean, path by path.
        let densities = &cell["densities"];
        let (bound, sde) = (&densities["bound"]["value"], &densities["sde"]["value"]);
        assert!(number(bound) <= number(sde), "{densities}");
        assert!(number(&densities["bits"]["value"]).is_finite(), "{densities}");
        assert_eq!(cell["residual"].as_array().map(Vec::len), Some(2));
    }
    let of = |weight: f64| cells.iter().filter(move |c| number(&c["weight"]) == weight);
    for (plain, tuned) in of(0.0).zip(of(1.0)) {
        assert_eq!(plain["seed"], tuned["seed"]);
        assert_ne!(plain["loss"], tuned["loss"], "the residual trains");
    }
}
