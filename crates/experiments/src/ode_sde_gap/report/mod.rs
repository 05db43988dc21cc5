//! The report: figures, tables and text, from the files of a run.

pub mod data;
mod figures;
mod headline;
mod page;
mod tables;

pub use data::ReportData;
pub use page::page;
