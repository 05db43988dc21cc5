//! `pinn`: losses and parameter gradients of the published networks in single precision, 1e-4; ten
//! steps of Adam and the samplers in double precision, 1e-8.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use fp_residual::CollocationPoints;
use ndarray::{Array2, Axis, s};
use score_nets::{Gradients, Objective, Schedule, ScoreBatch, ScoreNet, TrainConfig, Trainer};
use sde_core::{Key, Reverse, TimeGrid};
use serde_json::Value;
use solvers::steppers::EulerMaruyama;
use solvers::{Grid, IndependentIncrements, Noise, NoiselessEnd, solve};

use super::case::{Case, Deviation, normwise, relative};
use super::{from_file, json, published};
use crate::model;
use crate::npy::Npz;

const TOLERANCE: f64 = 1e-4;
/// In double precision: the first steps of Adam go by the signs of gradients, small ones included,
/// so that in single precision two correct runs part ways.
const ADAM: f64 = 1e-8;
const ADAM_STEPS: u64 = 10;
const SAMPLERS: f64 = 1e-8;

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    let mut files: Vec<_> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|e| Some(e.ok()?.path())).collect(),
        Err(error) => return vec![Case::failed("pinn", error.into())],
    };
    files.sort();
    let stem = |p: &Path| p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let is_npz = |p: &Path| p.extension().is_some_and(|e| e == "npz");
    let mut cases = from_file(&dir.join("meta.json"), |path| meta(dir, path));
    for path in files.iter().filter(|p| is_npz(p)) {
        let name = stem(path);
        cases.extend(from_file(path, |path| match name.strip_prefix("losses_") {
            Some(net) => losses(dir, net, path),
            None if name == "samplers" => samplers(dir, path),
            None => Ok(vec![Case::skip(&name, "unknown archive")]),
        }));
    }
    cases
}

/// A published network; `None` when it is not there.
fn open(dir: &Path, net: &str, dtype: DType) -> Result<Option<ScoreNet>> {
    let path = published(dir).map(|d| d.join(format!("{net}.safetensors")));
    match path.filter(|p| p.exists()) {
        Some(path) => Ok(Some(ScoreNet::open_published(path, dtype, &Device::Cpu)?)),
        None => Ok(None),
    }
}

fn not_there(name: &str) -> Case {
    Case::skip(name, "its network is not in odesdegap beside the references")
}

/// What a file of losses was computed on.
struct Batch {
    dsm: ScoreBatch,
    collocation: Array2<f64>,
}

impl Batch {
    fn read(npz: &mut Npz) -> Result<Self> {
        let (x, t, target) = (npz.rows("xt")?, npz.flat("t")?, npz.flat("target")?);
        ensure!(x.dim() == (t.len(), 2), "xt: expected [{}, 2], found {:?}", t.len(), x.dim());
        ensure!(
            target.len() == x.len(),
            "target: expected {} values, found {}",
            x.len(),
            target.len()
        );
        let collocation = npz.rows("collocation")?;
        ensure!(
            collocation.ncols() == 3,
            "collocation: expected [n, 3], found {:?}",
            collocation.dim()
        );
        let weight = vec![1.0; t.len()];
        let x = x.iter().copied().collect();
        Ok(Self { dsm: ScoreBatch { x, t, target, weight }, collocation })
    }
}

/// The loss values of `meta.json`.
fn meta(dir: &Path, path: &Path) -> Result<Vec<Case>> {
    let file = json::load(path)?;
    let mut cases = Vec::new();
    for (net, values) in json::entries(&file, "meta.json")? {
        let losses = dir.join(format!("losses_{net}.npz"));
        if values.get("dsm_loss").is_none() && values.get("pinn_loss").is_none() {
            continue;
        }
        if !losses.exists() {
            cases.push(Case::skip(net, "its batch is not there"));
            continue;
        }
        let Some(network) = open(dir, net, DType::F32)? else {
            cases.push(not_there(net));
            continue;
        };
        for key in ["dsm_loss", "pinn_loss"] {
            cases
                .push(Case::of(format!("{net}/{key}"), loss_value(&network, key, values, &losses)));
        }
    }
    Ok(cases)
}

fn loss_value(net: &ScoreNet, key: &str, values: &Value, losses: &Path) -> Result<Deviation> {
    let batch = Batch::read(&mut Npz::open(losses)?)?;
    let found = match key {
        "dsm_loss" => net.score_loss_and_grad(&batch.dsm)?.0,
        _ => penalty(net, &batch.collocation)?.0,
    };
    relative(&[found], &[json::number(values, key)?], TOLERANCE)
}

/// Residuals, gradients and optimiser steps of one network.
fn losses(dir: &Path, name: &str, path: &Path) -> Result<Vec<Case>> {
    let Some(net) = open(dir, name, DType::F32)? else {
        return Ok(vec![not_there(&format!("losses_{name}"))]);
    };
    let mut npz = Npz::open(path)?;
    let batch = Arc::new(Batch::read(&mut npz).with_context(|| format!("losses_{name}.npz"))?);
    let mut cases = Vec::new();
    if npz.has("residual") {
        let compared = residual(&net, &batch.collocation)
            .and_then(|found| normwise(&found, &npz.flat("residual")?, TOLERANCE));
        cases.push(Case::of(format!("{name}/residual"), compared));
    }
    let dsm = net.score_loss_and_grad(&batch.dsm)?.1;
    let pinn = penalty(&net, &batch.collocation)?.1;
    for (group, store) in [("grad_dsm", &dsm), ("grad_pinn", &pinn)] {
        for (parameter, var) in net.parameters().iter() {
            let member = format!("{group}/{parameter}");
            if npz.has(&member) {
                // A parameter that a loss does not depend on has no entry.
                let found = match store.get(net.parameters(), parameter) {
                    Some(g) => flat(g)?,
                    None => vec![0.0; var.elem_count()],
                };
                let compared = npz.flat(&member).and_then(|e| normwise(&found, &e, TOLERANCE));
                cases.push(Case::of(format!("{name}/{member}"), compared));
            }
        }
    }
    if let Some(net) = open(dir, name, DType::F64)? {
        cases.extend(adam(name, net, batch, &mut npz)?);
    }
    Ok(cases)
}

fn flat(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// A loss on a batch that stays the same.
struct Fixed {
    name: &'static str,
    batch: Arc<Batch>,
    loss: fn(&ScoreNet, &Batch) -> Result<(f64, Gradients)>,
}

impl Objective for Fixed {
    fn name(&self) -> &str {
        self.name
    }

    fn rows(&self) -> u64 {
        self.batch.dsm.t.len() as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        _: Key,
        _: std::ops::Range<u64>,
    ) -> score_nets::Result<(f64, Gradients)> {
        (self.loss)(net, &self.batch).map_err(|e| match e.downcast() {
            Ok(error) => error,
            Err(other) => score_nets::Error::Setting {
                name: self.name.into(),
                value: "loss".into(),
                reason: format!("{other:#}"),
            },
        })
    }
}

/// Ten steps on the sum of both losses: the losses before each, the parameters after the last.
fn adam(name: &str, net: ScoreNet, batch: Arc<Batch>, npz: &mut Npz) -> Result<Vec<Case>> {
    if !npz.names().iter().any(|n| n.starts_with("adam")) {
        return Ok(Vec::new());
    }
    let mut config = TrainConfig::new(ADAM_STEPS, Schedule::Constant { lr: 1e-3 });
    config.log_every = 1;
    let dsm = Fixed {
        name: "dsm",
        batch: batch.clone(),
        loss: |net, batch| Ok(net.score_loss_and_grad(&batch.dsm)?),
    };
    let pinn = Fixed { name: "pinn", batch, loss: |net, batch| penalty(net, &batch.collocation) };
    let mut trainer = Trainer::new(net, config)?.term(1.0, Box::new(dsm)).term(1.0, Box::new(pinn));
    let mut history = Vec::new();
    trainer.run(&AtomicBool::new(false), &mut |progress| {
        history.extend(progress.terms.iter().map(|(_, value)| *value));
        Ok(())
    })?;
    let mut cases = Vec::new();
    if npz.has("adam_losses_dsm_pinn") {
        let expected = npz.flat("adam_losses_dsm_pinn")?;
        cases.push(Case::of(format!("{name}/adam_losses"), relative(&history, &expected, ADAM)));
    }
    for (parameter, var) in trainer.net().parameters().iter() {
        let member = format!("adam10/{parameter}");
        if npz.has(&member) {
            let compared = flat(var).and_then(|found| normwise(&found, &npz.flat(&member)?, ADAM));
            cases.push(Case::of(format!("{name}/{member}"), compared));
        }
    }
    Ok(cases)
}

/// Normals that were recorded, one array a step.
struct Recorded {
    normals: Vec<Tensor>,
    times: Vec<f64>,
}

impl Noise<Tensor> for Recorded {
    fn increment(&self, _: &Tensor, t0: f64, t1: f64) -> sde_core::Result<Tensor> {
        let at = self.times.iter().position(|t| *t == t0).filter(|i| *i < self.normals.len());
        let Some(step) = at else {
            return Err(sde_core::Error::Parameter {
                name: "t".into(),
                value: t0.to_string(),
                reason: "no noise was recorded for this step".into(),
            });
        };
        Ok((&self.normals[step] * (t1 - t0).abs().sqrt())?)
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// Both samplers from recorded starts, with recorded noise.
fn samplers(dir: &Path, path: &Path) -> Result<Vec<Case>> {
    let mut npz = Npz::open(path)?;
    let members: Vec<(String, f64, usize)> = npz
        .names()
        .iter()
        .filter_map(|member| {
            let (kind, _) = member.split_once('/')?;
            let (eta, nfe) = match kind.strip_prefix("ode_nfe") {
                Some(nfe) => (0.0, nfe),
                None => (1.0, kind.strip_prefix("sde_nfe")?),
            };
            Some((member.clone(), eta, nfe.parse().ok()?))
        })
        .collect();
    let mut cases = Vec::new();
    for (member, eta, nfe) in members {
        let net = member.split_once('/').map_or("", |(_, net)| net);
        cases.push(match open(dir, net, DType::F64) {
            Ok(None) => not_there(&member),
            Ok(Some(network)) => {
                let compared = sampler(&network, &mut npz, &member, eta, nfe);
                Case::of(member, compared)
            }
            Err(error) => Case::failed(&member, error),
        });
    }
    Ok(cases)
}

fn sampler(net: &ScoreNet, npz: &mut Npz, member: &str, eta: f64, nfe: usize) -> Result<Deviation> {
    let sde = net.sde();
    let times = TimeGrid::OdeSdeGap.times(sde, nfe + 90, sde.horizon(), 0.0)?;
    let x = model::to_tensor(&npz.rows("xT")?, net)?;
    let recorded = if eta == 0.0 {
        None
    } else {
        let noise = npz.get(&format!("noise_nfe{nfe}"))?;
        let noise =
            noise.into_dimensionality::<ndarray::Ix3>().context("noise: three dimensions")?;
        let step = |z: ndarray::ArrayView2<'_, f64>| model::to_tensor(&z.to_owned(), net);
        let normals = noise.axis_iter(Axis(0)).map(step).collect::<Result<_>>()?;
        Some(Recorded { normals, times: times.clone() })
    };
    let fresh = IndependentIncrements::new(Key::root(0), 0);
    let noise: &dyn Noise<Tensor> = match &recorded {
        Some(recorded) => recorded,
        None => &fresh,
    };
    let (start, end) = (times[0], times[times.len() - 1]);
    let problem = Reverse::new(sde, net, eta)?;
    let mut grid = Grid::new(times)?;
    let noiseless = NoiselessEnd::new(noise, end);
    let solution = solve(&EulerMaruyama, &problem, x, start, &mut grid, &noiseless, &mut ())?;
    normwise(&flat(&solution.x)?, &npz.flat(member)?, SAMPLERS)
}

/// The points `t, x, y` as a network takes them.
fn split(net: &ScoreNet, points: &Array2<f64>) -> Result<(Tensor, Vec<f64>)> {
    let x = points.slice(s![.., 1..]).to_owned();
    Ok((model::to_tensor(&x, net)?, points.column(0).to_vec()))
}

fn residual(net: &ScoreNet, points: &Array2<f64>) -> Result<Vec<f64>> {
    let (x, t) = split(net, points)?;
    Ok(fp_residual::potential_residual(net, &x, &t, net.sde())?)
}

/// The mean squared residual and its gradients.
fn penalty(net: &ScoreNet, points: &Array2<f64>) -> Result<(f64, Gradients)> {
    let points = CollocationPoints {
        x: points.slice(s![.., 1..]).iter().copied().collect(),
        t: points.column(0).to_vec(),
        weight: Vec::new(),
    };
    Ok(fp_residual::residual_loss_and_grad(net, &points)?)
}
