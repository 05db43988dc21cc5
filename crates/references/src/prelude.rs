//! What every family needs.

pub(crate) use anyhow::{Context, Result, anyhow, bail, ensure};
pub(crate) use ndarray::{Array1, Array2, Axis, s};
pub(crate) use sde_core::{Level, Parametrisation, Reverse, Score, Sde, State, TimeGrid};
pub(crate) use serde_json::{Value, json};
pub(crate) use solvers::{Noise, Past, Step, Stepper};

pub(crate) use crate::archive::Archive;
pub(crate) use crate::case::{Absent, By, Check, Family, LARGEST, check, check_one, largest};
pub(crate) use crate::flow::Rows;
pub(crate) use crate::npy::Npz;
pub(crate) use crate::read::{Folder, Json, indices, one_of};
pub(crate) use crate::targets::{Targets, decimals, sde};
