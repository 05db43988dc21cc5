//! `pinn`: the published networks: values, derivatives and residuals, losses and their gradients, ten
//! steps of Adam, samplers; in double precision and in single on both paths of the library.
//!
//! The weights have no licence and are no part of the repository: without them only the noised batches
//! are recomputed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::{DType, Device, Tensor};
use fp_residual::{
    CollocationPoints, network_residual, potential_residual, residual_loss_and_grad,
};
use ndarray::{Array2, ArrayD, Axis, s};
use score_nets::{
    Gradients, Kernels, Objective, Schedule, ScoreBatch, ScoreNet, TrainConfig, Trainer,
};
use sde_core::{Key, Ou, Potential, Score, Sde, TimeGrid};
use serde_json::Value;
use solvers::steppers::EulerMaruyama;

use crate::case::{By, Cases, Check, LARGEST, check, check_one};
use crate::flow::Rows;
use crate::npy::Npz;
use crate::read::{Folder, Json};
use crate::samplers::{Draws, Recorded, Sampler};

/// Precision and path of an evaluation, with what is allowed for values and first derivatives, and for
/// losses and their gradients.
const PATHS: [(DType, Kernels, f64, f64); 3] = [
    (DType::F64, Kernels::Composite, 1e-10, 1e-9),
    (DType::F32, Kernels::Composite, 1e-5, 1e-4),
    (DType::F32, Kernels::Fused, 1e-5, 1e-4),
];
const SAMPLERS: f64 = 1e-8;

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let meta = dir.json("meta.json")?.unwrap_or_default();
    for name in dir.stems("npz")? {
        cases.group(&name, |cases| {
            let mut npz = dir.npz(&format!("{name}.npz"))?.context("the archive")?;
            match name.strip_prefix("losses_") {
                Some(net) => losses(dir, net, &meta, &mut npz, cases),
                None if name == "samplers" => samplers(dir, &mut npz, cases),
                None => {
                    cases.skip(&name, "unknown archive");
                    Ok(())
                }
            }
        });
    }
    let Some(nets) = dir.published() else { return Ok(()) };
    for name in nets.stems("npz")?.iter().filter_map(|stem| stem.strip_suffix("_ref")) {
        cases.group(format!("{name}_ref"), |cases| values(dir, &nets, name, cases));
    }
    Ok(())
}

/// Whether a network's weights are there; says so where they are not.
fn there(dir: &Folder, net: &str, case: &str, cases: &mut Cases) -> bool {
    let there = dir.published().is_some_and(|d| d.path(&format!("{net}.safetensors")).exists());
    if !there {
        cases.skip(
            case,
            "its weights are not in odesdegap beside the references (they have no licence)",
        );
    }
    there
}

fn open(dir: &Folder, net: &str, dtype: DType, kernels: Kernels) -> Result<ScoreNet> {
    let nets = dir.published().context("no odesdegap beside the references")?;
    let path = nets.path(&format!("{net}.safetensors"));
    Ok(ScoreNet::open_published(path, dtype, &Device::Cpu)?.with_kernels(kernels)?)
}

fn flat(t: &Tensor) -> Result<Vec<f64>> {
    Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
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
fn values(dir: &Folder, nets: &Folder, name: &str, cases: &mut Cases) -> Result<()> {
    if !there(dir, name, &format!("{name}_ref"), cases) {
        return Ok(());
    }
    let mut npz = nets.npz(&format!("{name}_ref.npz"))?.context("the archive")?;
    let (t, x) = split(&npz.rows("inputs")?);
    let mut expected = |array: &str| npz.flat(array);
    let (potential, score, residual) =
        (expected("potential")?, expected("score")?, expected("residual")?);
    let (d_t, laplacian) = (expected("dphi_dt")?, expected("laplacian")?);
    let terms = (0..t.len()).map(|b| {
        let (s, x) = (&score[2 * b..2 * b + 2], x.row(b));
        let (along, square) = (s[0] * x[0] + s[1] * x[1], s[0] * s[0] + s[1] * s[1]);
        d_t[b].abs() + (2.0 + along).abs() + 0.5 * (laplacian[b].abs() + square)
    });
    let terms = vec![terms.fold(0.0, f64::max); t.len()];
    for (dtype, kernels, tolerance, _) in PATHS {
        let net = open(dir, name, dtype, kernels)?;
        let at = to_tensor(&x, &net)?;
        let found = net.derivatives(&at, &t)?;
        let own = potential_residual(&net, &at, &t, net.sde())?;
        let place: Vec<f64> = x.iter().copied().collect();
        let by = if dtype == DType::F64 { LARGEST } else { By::Scales(&terms) };
        for (what, found, expected, by, tolerance) in [
            ("potential", found.potential, &potential, LARGEST, tolerance),
            ("score", flat(&found.score)?, &score, LARGEST, tolerance),
            ("dphi_dt", found.d_t, &d_t, LARGEST, tolerance),
            ("laplacian", found.laplacian, &laplacian, LARGEST, tolerance),
            ("residual", own, &residual, by, tolerance),
            // In double precision whatever the network's.
            ("network residual", network_residual(&net, &place, &t)?, &residual, LARGEST, 1e-10),
        ] {
            cases.add(format!("{name}_ref/{what} {dtype:?} {kernels:?}"), || {
                check(&found, expected, by, tolerance)
            });
        }
    }
    Ok(())
}

/// What a file of losses was computed on.
struct Batch {
    dsm: ScoreBatch,
    collocation: Rows,
}

impl Batch {
    fn read(npz: &mut Npz) -> Result<Self> {
        let (x, t, target) = (npz.rows("xt")?, npz.flat("t")?, npz.flat("target")?);
        ensure!(x.dim() == (t.len(), 2), "xt: expected [{}, 2], found {:?}", t.len(), x.dim());
        let (n, m) = (target.len(), x.len());
        ensure!(n == m, "target: expected {m} values, found {n}");
        let collocation = npz.rows("collocation")?;
        let shape = collocation.dim();
        ensure!(shape.1 == 3, "collocation: expected [n, 3], found {shape:?}");
        let weight = vec![1.0; t.len()];
        let x = x.into_iter().collect();
        Ok(Self { dsm: ScoreBatch { x, t, target, weight }, collocation })
    }

    fn points(&self) -> CollocationPoints {
        let (t, x) = split(&self.collocation);
        CollocationPoints { x: x.into_iter().collect(), t, weight: Vec::new() }
    }
}

/// Losses, residuals, gradients and optimiser steps of one network.
fn losses(dir: &Folder, name: &str, meta: &Value, npz: &mut Npz, cases: &mut Cases) -> Result<()> {
    noised(name, npz, cases)?;
    if !there(dir, name, &format!("losses_{name}"), cases) {
        return Ok(());
    }
    let batch = Arc::new(Batch::read(npz)?);
    for (dtype, kernels, _, tolerance) in PATHS {
        let net = open(dir, name, dtype, kernels)?;
        let case = |what: &str| format!("{name}/{what} {dtype:?} {kernels:?}");
        let (t, x) = split(&batch.collocation);
        cases.add(case("residual"), || {
            let found = potential_residual(&net, &to_tensor(&x, &net)?, &t, net.sde())?;
            check(&found, &npz.flat("residual")?, LARGEST, tolerance)
        });
        for (kind, (loss, gradients)) in [
            ("dsm", net.score_loss_and_grad(&batch.dsm)?),
            ("pinn", residual_loss_and_grad(&net, &batch.points())?),
        ] {
            let key = format!("{kind}_loss");
            if let Some(expected) = meta.get(name).and_then(|m| m.get(&key)) {
                cases.add(case(&key), || check_one(loss, expected.one()?, By::Entry, tolerance));
            }
            for (parameter, var) in net.parameters().iter() {
                let member = format!("grad_{kind}/{parameter}");
                if npz.has(&member) {
                    cases.add(case(&member), || {
                        // A parameter that a loss does not depend on has no entry.
                        let found = match gradients.get(net.parameters(), parameter) {
                            Some(g) => flat(g)?,
                            None => vec![0.0; var.elem_count()],
                        };
                        check(&found, &npz.flat(&member)?, LARGEST, tolerance)
                    });
                }
            }
        }
    }
    adam(dir, name, &batch, npz, cases)
}

/// The batch itself: noised data of the OU process, and the score of its kernel.
fn noised(name: &str, npz: &mut Npz, cases: &mut Cases) -> Result<()> {
    if !npz.has("x0") || !npz.has("z") {
        return Ok(());
    }
    let (x0, z, t) = (npz.rows("x0")?, npz.rows("z")?, npz.flat("t")?);
    ensure!(x0.dim() == z.dim() && x0.nrows() == t.len(), "x0, z and t do not fit");
    let marginals: Vec<_> = t.iter().map(|t| Ou::default().marginal(*t)).collect();
    let at = |f: &dyn Fn(usize, usize) -> f64| {
        Array2::from_shape_fn(x0.dim(), |(b, j)| f(b, j)).into_iter().collect::<Vec<_>>()
    };
    let xt = at(&|b, j| marginals[b].alpha * x0[[b, j]] + marginals[b].sigma * z[[b, j]]);
    let target = at(&|b, j| -z[[b, j]] / marginals[b].sigma);
    for (array, found) in [("xt", xt), ("target", target)] {
        cases.add(format!("{name}/{array}"), || check(&found, &npz.flat(array)?, LARGEST, 1e-12));
    }
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
            _ => residual_loss_and_grad(net, &self.1.points()),
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
    let losses = ("adam_losses_dsm_pinn".to_owned(), history);
    [Ok(losses)].into_iter().chain(after).collect()
}

/// Followed to 1e-9 in double precision. In single precision a run is followed as closely as the problem lets it:
/// softplus with `beta = 100` at this learning rate makes one run triple any deviation at every
/// step, which a run in double precision from parameters rounded at random in the 24th bit shows. Single precision
/// may be 30 times as far away as that run, or 1e-4.
fn adam(
    dir: &Folder,
    name: &str,
    batch: &Arc<Batch>,
    npz: &mut Npz,
    cases: &mut Cases,
) -> Result<()> {
    if !npz.names().iter().any(|n| n.starts_with("adam")) {
        return Ok(());
    }
    let rounded = open(dir, name, DType::F64, Kernels::Composite)?;
    for (i, (name, var)) in rounded.parameters().iter().enumerate() {
        let mut signs = vec![0.0; var.elem_count()];
        Key::root(1).fold(i as u64).fill_signs(0, &mut signs);
        let signs = Tensor::from_vec(signs, var.shape(), &Device::Cpu)?;
        rounded.parameters().set(name, &(var * signs.affine(0.5_f64.powi(24), 1.0)?)?)?;
    }
    let rounded = ten_steps(rounded, batch)?;
    for (dtype, kernels, _, exact) in PATHS {
        let found = ten_steps(open(dir, name, dtype, kernels)?, batch)?;
        for ((array, found), (_, rounded)) in found.iter().zip(&rounded) {
            if npz.has(array) {
                cases.add(format!("{name}/{array} {dtype:?} {kernels:?}"), || {
                    let expected = npz.flat(array)?;
                    let spread = check(rounded, &expected, LARGEST, exact)?.error();
                    let single = (30.0 * spread).max(1e-4);
                    let allowed = if dtype == DType::F64 { exact } else { single };
                    check(found, &expected, LARGEST, allowed)
                });
            }
        }
    }
    Ok(())
}

/// A network on rows of doubles.
struct OnRows(ScoreNet);

impl Score<Rows> for OnRows {
    fn score(&self, x: &Rows, t: f64) -> sde_core::Result<Rows> {
        let score = self.0.score(&to_tensor(x, &self.0)?, t)?;
        let values = score.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        Ok(Rows::from_shape_vec(x.dim(), values).unwrap_or_default())
    }
}

/// Both samplers from recorded starts, with recorded noise.
fn samplers(dir: &Folder, npz: &mut Npz, cases: &mut Cases) -> Result<()> {
    let members = npz.names().iter().filter(|member| member.contains('/')).cloned();
    for member in members.collect::<Vec<_>>() {
        let (kind, net) = member.split_once('/').unwrap_or_default();
        if there(dir, net, &member, cases) {
            cases.add(&member, || sampler(dir, net, kind, &member, npz));
        }
    }
    Ok(())
}

fn sampler(dir: &Folder, net: &str, kind: &str, member: &str, npz: &mut Npz) -> Result<Check> {
    let (eta, nfe) = match kind.strip_prefix("ode_nfe") {
        Some(nfe) => (0.0, nfe),
        None => (1.0, kind.strip_prefix("sde_nfe").context("neither ode_nfe nor sde_nfe")?),
    };
    let net = open(dir, net, DType::F64, Kernels::Composite)?;
    let sde = sde_core::sde::parse(&net.sde().name())?;
    let steps = nfe.parse::<usize>()? + 90;
    let times = TimeGrid::OdeSdeGap.times(sde.as_ref(), steps, sde.horizon(), 0.0)?;
    let arrays =
        if eta == 0.0 { ArrayD::zeros(vec![0]) } else { npz.get(&format!("noise_nfe{nfe}"))? };
    let rows = |z: ndarray::ArrayViewD<'_, f64>| z.to_owned().into_dimensionality();
    let arrays = arrays.axis_iter(Axis(0)).map(rows).collect::<Result<_, _>>();
    let arrays = arrays.map_err(|_| anyhow!("noise: three dimensions"))?;
    let noise = Recorded::new(arrays, Draws::EachStep, &times);
    let plain = Sampler::ode(sde, times, Box::new(EulerMaruyama));
    let run =
        Sampler { eta, quiet_end: true, ..plain }.run(&OnRows(net), npz.rows("xT")?, &noise)?;
    let found: Vec<f64> = run.states[run.states.len() - 1].iter().copied().collect();
    check(&found, &npz.flat(member)?, LARGEST, SAMPLERS)
}
