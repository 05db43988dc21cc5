//! `pinn`: the published networks: values, derivatives and residuals, losses and their gradients, ten
//! steps of Adam, samplers; in double precision and in single on both paths of the library.
//!
//! The weights have no licence and are no part of the repository: without them only the noised batches
//! are recomputed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use candle_core::{DType, Device, Tensor};
use fp_residual::{
    CollocationPoints, network_residual, potential_residual, residual_loss_and_grad,
};
use score_nets::{
    Gradients, Kernels, Objective, Schedule, ScoreBatch, ScoreNet, TrainConfig, Trainer,
};
use sde_core::{FnScore, Key, Ou, Potential};
use solvers::steppers::EulerMaruyama;

use crate::networks::flat;
use crate::prelude::*;
use crate::samplers::{Sampler, normals};

/// Precision and path of an evaluation, with what is allowed for values and first derivatives, and for
/// losses and their gradients.
const PATHS: [(DType, Kernels, f64, f64); 3] = [
    (DType::F64, Kernels::Composite, 1e-10, 1e-9),
    (DType::F32, Kernels::Composite, 1e-5, 1e-4),
    (DType::F32, Kernels::Fused, 1e-5, 1e-4),
];
const SAMPLERS: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    dir.archives(family, |stem, npz, family| match stem.strip_prefix("losses_") {
        Some(net) => losses(dir, net, Archive::new(npz, &format!("{net}/"), 1e-12, family)),
        None if stem == "samplers" => samplers(dir, npz, family),
        None => bail!(Absent("unknown archive".into())),
    })?;
    let nets = dir.published();
    if !nets.0.is_dir() {
        return Ok(());
    }
    nets.archives(family, |stem, npz, family| {
        let Some(net) = stem.strip_suffix("_ref") else { return Ok(()) };
        values(&weights(dir, net)?, Archive::new(npz, &format!("{stem}/"), 0.0, family))
    })
}

/// The file of a network's weights.
pub(crate) fn weights(dir: &Folder, net: &str) -> Result<PathBuf> {
    let path = dir.published().path(&format!("{net}.safetensors"));
    let reason = "its weights are not in odesdegap beside the references (they have no licence)";
    ensure!(path.exists(), Absent(reason.into()));
    Ok(path)
}

fn open(weights: &Path, dtype: DType, kernels: Kernels) -> Result<ScoreNet> {
    Ok(ScoreNet::open_published(weights, dtype, &Device::Cpu)?.with_kernels(kernels)?)
}

fn to_tensor(rows: &Rows, net: &ScoreNet) -> candle_core::Result<Tensor> {
    let flat: Vec<f64> = rows.iter().copied().collect();
    Tensor::from_vec(flat, rows.dim(), &Device::Cpu)?.to_dtype(net.dtype())
}

/// Points `t, x, y` as columns of times and places.
fn split(points: &Rows) -> (Vec<f64>, Rows) {
    (points.column(0).to_vec(), points.slice(s![.., 1..]).to_owned())
}

/// Potential, derivatives and residual, relative to the largest of all points. In single precision the terms
/// of the residual cancel by up to two digits; there it is relative to the largest sum of their
/// magnitudes.
fn values(weights: &Path, mut archive: Archive<'_>) -> Result<()> {
    let (t, x) = split(&archive.rows("inputs")?);
    let (score, residual) = (archive.flat("score")?, archive.flat("residual")?);
    let (d_t, laplacian) = (archive.flat("dphi_dt")?, archive.flat("laplacian")?);
    let terms = (0..t.len()).map(|b| {
        let (s, x) = (&score[2 * b..2 * b + 2], x.row(b));
        let (along, square) = (s[0] * x[0] + s[1] * x[1], s[0] * s[0] + s[1] * s[1]);
        d_t[b].abs() + (2.0 + along).abs() + 0.5 * (laplacian[b].abs() + square)
    });
    let terms = vec![terms.fold(0.0, f64::max); t.len()];
    let place: Vec<f64> = x.iter().copied().collect();
    for (dtype, kernels, tolerance, _) in PATHS {
        let net = open(weights, dtype, kernels)?;
        let at = to_tensor(&x, &net)?;
        let found = net.derivatives(&at, &t)?;
        archive.around[1] = format!(" {dtype:?} {kernels:?}");
        archive.tolerance = tolerance;
        archive.check("potential", found.potential, LARGEST);
        archive.check("score", flat(&found.score)?, LARGEST);
        archive.check("dphi_dt", found.d_t, LARGEST);
        archive.check("laplacian", found.laplacian, LARGEST);
        let by = if dtype == DType::F64 { LARGEST } else { By::Scales(&terms) };
        archive.check("residual", potential_residual(&net, &at, &t, net.sde())?, by);
        // In double precision whatever the network's.
        let own = network_residual(&net, &place, &t)?;
        archive.add("network residual", || check(own, &residual, LARGEST, 1e-10));
    }
    Ok(())
}

/// What a file of losses was computed on.
struct Batch {
    dsm: ScoreBatch,
    points: CollocationPoints,
}

impl Batch {
    fn read(archive: &mut Archive<'_>, t: Vec<f64>, x: Rows) -> Result<Self> {
        let (xt, times, target) =
            (archive.rows("xt")?, archive.flat("t")?, archive.flat("target")?);
        ensure!(xt.dim() == (times.len(), 2), "xt: {:?} for {} times", xt.dim(), times.len());
        let (n, m) = (target.len(), xt.len());
        ensure!(n == m, "target: expected {m} values, found {n}");
        let weight = vec![1.0; times.len()];
        let dsm = ScoreBatch { x: xt.into_iter().collect(), t: times, target, weight };
        let points = CollocationPoints { x: x.into_iter().collect(), t, weight: Vec::new() };
        Ok(Self { dsm, points })
    }
}

/// Losses, residuals, gradients and optimiser steps of one network.
fn losses(dir: &Folder, name: &str, mut archive: Archive<'_>) -> Result<()> {
    noised(&mut archive)?;
    let weights = weights(dir, name)?;
    let recorded = if dir.has("meta.json") { dir.json("meta.json")? } else { Value::Null };
    let collocation = archive.rows("collocation")?;
    let shape = collocation.dim();
    ensure!(shape.1 == 3, "collocation: expected [n, 3], found {shape:?}");
    let (t, x) = split(&collocation);
    let batch = Arc::new(Batch::read(&mut archive, t.clone(), x.clone())?);
    for (dtype, kernels, _, tolerance) in PATHS {
        let net = open(&weights, dtype, kernels)?;
        archive.around[1] = format!(" {dtype:?} {kernels:?}");
        archive.tolerance = tolerance;
        let residual = potential_residual(&net, &to_tensor(&x, &net)?, &t, net.sde())?;
        archive.check("residual", residual, LARGEST);
        for (kind, (loss, gradients)) in [
            ("dsm", net.score_loss_and_grad(&batch.dsm)?),
            ("pinn", residual_loss_and_grad(&net, &batch.points)?),
        ] {
            let key = format!("{kind}_loss");
            if let Some(expected) = recorded.get(name).and_then(|of| of.get(&key)) {
                archive.add(&key, || check_one(loss, expected.one()?, By::Entry, tolerance));
            }
            for (parameter, var) in net.parameters().iter() {
                // A parameter that a loss does not depend on has no entry.
                let found = match gradients.get(net.parameters(), parameter) {
                    Some(gradient) => flat(gradient)?,
                    None => vec![0.0; var.elem_count()],
                };
                archive.check(&format!("grad_{kind}/{parameter}"), found, LARGEST);
            }
        }
    }
    if archive.has("adam_losses_dsm_pinn") {
        adam(&weights, &batch, archive)?;
    }
    Ok(())
}

/// The batch itself: noised data of the OU process, and the score of its kernel.
fn noised(archive: &mut Archive<'_>) -> Result<()> {
    if !archive.has("x0") || !archive.has("z") {
        return Ok(());
    }
    let (x0, z, t) = (archive.rows("x0")?, archive.rows("z")?, archive.flat("t")?);
    ensure!(x0.dim() == z.dim() && x0.nrows() == t.len(), "x0, z and t do not fit");
    let marginals: Vec<_> = t.iter().map(|t| Ou::default().marginal(*t)).collect();
    let at = |b: usize, j: usize| marginals[b].alpha * x0[[b, j]] + marginals[b].sigma * z[[b, j]];
    archive.check("xt", Rows::from_shape_fn(x0.dim(), |(b, j)| at(b, j)), LARGEST);
    let target = Rows::from_shape_fn(x0.dim(), |(b, j)| -z[[b, j]] / marginals[b].sigma);
    archive.check("target", target, LARGEST);
    Ok(())
}

/// A loss on a batch that stays the same.
struct Fixed(&'static str, Arc<Batch>);

impl Objective for Fixed {
    fn name(&self) -> &str {
        self.0
    }

    fn rows(&self) -> u64 {
        self.1.dsm.t.len() as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        _: Key,
        _: std::ops::Range<u64>,
    ) -> score_nets::Result<(f64, Gradients)> {
        match self.0 {
            "dsm" => net.score_loss_and_grad(&self.1.dsm),
            _ => residual_loss_and_grad(net, &self.1.points),
        }
    }
}

/// The losses before each of ten steps of Adam on the sum of both, and the parameters after the last.
fn ten_steps(net: ScoreNet, batch: &Arc<Batch>) -> Result<Vec<(String, Vec<f64>)>> {
    let config = TrainConfig::new(10, Schedule::Constant { lr: 1e-3 });
    let mut trainer = Trainer::new(net, TrainConfig { log_every: 1, ..config })?
        .term(1.0, Box::new(Fixed("dsm", batch.clone())))
        .term(1.0, Box::new(Fixed("pinn", batch.clone())));
    let mut history = Vec::new();
    trainer.run(&AtomicBool::new(false), &mut |progress| {
        history.extend(progress.terms.iter().map(|(_, value)| *value));
        Ok(())
    })?;
    let parameters = trainer.net().parameters().iter();
    let after = parameters.map(|(n, var)| Ok((format!("adam10/{n}"), flat(var)?)));
    [Ok(("adam_losses_dsm_pinn".to_owned(), history))].into_iter().chain(after).collect()
}

/// Followed to 1e-9 in double precision. In single precision a run is followed as closely as the problem lets it:
/// softplus with `beta = 100` at this learning rate makes one run triple any deviation at every
/// step, which a run in double precision from parameters rounded at random in the 24th bit shows. Single precision
/// may be 30 times as far away as that run, or 1e-4.
fn adam(weights: &Path, batch: &Arc<Batch>, mut archive: Archive<'_>) -> Result<()> {
    let rounded = open(weights, DType::F64, Kernels::Composite)?;
    for (i, (name, var)) in rounded.parameters().iter().enumerate() {
        let mut signs = vec![0.0; var.elem_count()];
        Key::root(1).fold(i as u64).fill_signs(0, &mut signs);
        let signs = Tensor::from_vec(signs, var.shape(), &Device::Cpu)?;
        rounded.parameters().set(name, &(var * signs.affine(0.5_f64.powi(24), 1.0)?)?)?;
    }
    let rounded = ten_steps(rounded, batch)?;
    for (dtype, kernels, _, exact) in PATHS {
        archive.around[1] = format!(" {dtype:?} {kernels:?}");
        let found = ten_steps(open(weights, dtype, kernels)?, batch)?;
        for ((array, found), (_, rounded)) in found.iter().zip(&rounded) {
            if archive.has(array) {
                let spread = check(rounded, archive.flat(array)?, LARGEST, exact)?.error;
                let single = (30.0 * spread).max(1e-4);
                let allowed = if dtype == DType::F64 { exact } else { single };
                archive.check_to(array, found, LARGEST, allowed);
            }
        }
    }
    Ok(())
}

/// Both samplers from recorded starts, with recorded noise.
fn samplers(dir: &Folder, mut npz: Npz, family: &mut Family) -> Result<()> {
    for member in npz.names().to_vec() {
        if let Some((kind, net)) = member.split_once('/') {
            family.add(&member, || sampler(&weights(dir, net)?, kind, &member, &mut npz));
        }
    }
    Ok(())
}

fn sampler(weights: &Path, kind: &str, member: &str, npz: &mut Npz) -> Result<Check> {
    let (eta, nfe) = match kind.strip_prefix("ode_nfe") {
        Some(nfe) => (0.0, nfe),
        None => (1.0, kind.strip_prefix("sde_nfe").context("neither ode_nfe nor sde_nfe")?),
    };
    let net = open(weights, DType::F64, Kernels::Composite)?;
    let score = FnScore::new(|x: &Rows, t| {
        let score = net.score(&to_tensor(x, &net)?, t)?;
        let values = score.flatten_all()?.to_vec1()?;
        Ok(Rows::from_shape_vec(x.dim(), values).unwrap_or_default())
    });
    let sde = sde_core::sde::parse(&net.sde().name())?;
    let steps = nfe.parse::<usize>()? + 90;
    let times = TimeGrid::OdeSdeGap.times(sde.as_ref(), steps, sde.horizon(), 0.0)?;
    let noise =
        if eta == 0.0 { Vec::new() } else { normals(npz.get(&format!("noise_nfe{nfe}"))?)? };
    let plain = Sampler::ode(sde, times, Box::new(EulerMaruyama));
    let run = Sampler { eta, quiet_end: true, ..plain }.run(&score, npz.rows("xT")?, noise)?;
    check(run.end(), npz.flat(member)?, LARGEST, SAMPLERS)
}
