//! Data of one's own, in and out.
//!
//! [`open`] reads a file or a folder into a [`Dataset`]: tables (`.csv`, `.npy`, `.npz`) and images (`.npy`, `.npz`, IDX,
//! CIFAR-10, folders of PNG and JPEG). [`Dataset::split`] sets rows aside; a [`Transform`] takes rows to what a model is
//! trained on and back, with the density; [`Draws`] are the rows of training batches. [`save`] writes rows in the units of
//! the data. [`digits`] are data without a file, [`Features`] what distances between sets of images are computed from.
//!
//! ```
//! use data::{OpenOptions, Portion, Transform, TransformOptions};
//! use sde_core::Key;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("flowers.csv");
//! std::fs::write(&path, "petals,height\n5,0.3\n6,0.25\n5,0.31\n4,0.2\n")?;
//! let data = data::open(&path, &OpenOptions::default())?;
//! let split = data.split(Portion::Rows(0), Portion::Share(0.25), Key::root(0))?;
//! let training = data.select(&split.training)?;
//! let transform = Transform::fit(&training, &TransformOptions::default())?;
//! let x = transform.to_model(training.to_array()?.view(), Key::root(1), 0)?;
//! // ... a model of the rows of x, and samples of it ...
//! let samples = transform.from_model(x.view())?;
//! data::save(&dir.path().join("samples.csv"), transform.kind(), samples.view(), None)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batches;
mod conform;
mod dataset;
mod digits;
mod error;
mod features;
mod levels;
pub mod npy;
mod read;
mod split;
mod transform;
mod write;

pub use batches::Draws;
pub use conform::open_as;
pub use dataset::{Column, ColumnValues, Dataset, Kind, Labels, Pixels, Values};
pub use digits::{digits, digits_split};
pub use error::{Error, Result};
pub use features::{Features, Moments};
pub use read::{Colour, Layout, OpenOptions, open, open_all};
pub use split::{Portion, Split};
pub use transform::{Categories, Coordinates, FittedTo, ImageScale, Transform, TransformOptions};
pub use write::save;
