//! Where the data of a fit are.

use anyhow::{Result, ensure};
use data::{Colour, Layout, OpenOptions};
use serde::{Deserialize, Serialize};

use crate::checks;

/// Where the data are, and what of them is withheld.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Source {
    /// A file or a folder; `digits` for the digits in the box.
    pub(crate) path: String,
    /// A file of labels, or the name of a column; empty for what is found beside the data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) labels: String,
    /// The array of an archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    array: Option<String>,
    /// Columns whose numbers are codes of categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    categorical: Vec<String>,
    /// Columns that are real numbers although they take few values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) real: Vec<String>,
    /// Height and width that pictures are cut to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<[usize; 2]>,
    /// What pictures are turned into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    colour: Option<Colour>,
    /// Where the channels of an array of images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<Layout>,
    /// Levels of the pixels of an array of whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    levels: Option<u32>,
    /// Whether rows belong to classes that the model is told.
    pub(crate) conditional: bool,
    /// Share of the rows that decides when training ends and which weights are kept.
    pub(crate) validation: f64,
    /// Share of the rows that the report is about; the digits in the box have a split of their own.
    pub(crate) test: f64,
}

impl Source {
    /// What is said of the files.
    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            array: self.array.clone(),
            labels: (!self.labels.is_empty()).then(|| self.labels.clone()),
            categorical: self.categorical.clone(),
            layout: self.layout,
            levels: self.levels,
            size: self.size.map(|[height, width]| (height, width)),
            colour: self.colour,
            ..OpenOptions::default()
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        ensure!(!self.path.is_empty(), "data.path: no file is named");
        for (key, share) in [("data.validation", self.validation), ("data.test", self.test)] {
            checks::within(key, share, 0.01..=0.8)?;
        }
        let both = self.validation + self.test;
        ensure!(both <= 0.9, "data.validation + data.test = {both}: must be at most 0.9");
        if let Some([height, width]) = self.size {
            let sides = [("data.size", height), ("data.size", width)];
            sides.iter().try_for_each(|(key, side)| checks::at_least(key, *side, 1))?;
            checks::memory(&sides, 8)?;
        }
        Ok(())
    }
}
