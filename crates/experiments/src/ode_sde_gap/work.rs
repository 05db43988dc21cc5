//! Trains, samples and measures one network after the other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Instant;

use anyhow::Result;
use sde_core::analytic::DataSet;

use super::cell::{Cell, Purpose, cells, key};
use super::config::Config;
use super::measuring::{self, Truth};
use super::results::{NoiseFree, Results, Row};
use super::sampling::{self, Equation, Job};
use super::training::{self, Trained};
use super::{OdeSdeGap, collect, failures};
use crate::noise_free::{Brackets, brackets};
use crate::runs::{Experiment as _, Workspace, read_json};
use crate::{atomic, npy};

/// Trains every network and stops there.
pub(super) fn train(config: &Config, workspace: &Workspace) -> Result<()> {
    let (cells, backend) = (cells(config)?, config.backend()?);
    plan(config, &cells, workspace, false);
    let mut results = Results::default();
    each(&cells, workspace, &mut results, &mut |cell, _| {
        training::network(&cell.config(config), &backend, cell, workspace).map(drop)
    })?;
    if results.failed.len() == cells.len() { OdeSdeGap::verdict(&results) } else { Ok(()) }
}

/// Trains every network, and samples and measures it.
pub(super) fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
    let (cells, backend) = (cells(config)?, config.backend()?);
    plan(config, &cells, workspace, true);
    let mut results = Results {
        experiment: config.experiment.clone(),
        preset: config.preset.clone(),
        hash: workspace.hash().into(),
        seed: config.seed,
        grid: config.measuring.grid,
        half_width: config.measuring.half_width,
        truth: config.measuring.truth,
        ..Results::default()
    };
    let mut truths: BTreeMap<&str, Truth> = BTreeMap::new();
    let cell = Measured { config, workspace };
    each(&cells, workspace, &mut results, &mut |name, results| {
        let trained = training::network(&name.config(config), &backend, name, workspace)?;
        let truth = match truths.entry(name.data.name()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let truth = cell.truth(name.data)?;
                results.floors.push(truth.floor.clone());
                place.insert(truth)
            }
        };
        let row = cell.row(name, &trained, truth)?;
        if name.contrast { &mut results.contrast } else { &mut results.rows }.push(row);
        Ok(())
    })?;
    results.total_seconds = workspace.seconds();
    Ok(results)
}

/// Does the same for every cell; one that has no figures is kept as such.
fn each(
    cells: &[Cell],
    workspace: &Workspace,
    results: &mut Results,
    work: &mut dyn FnMut(&Cell, &mut Results) -> Result<()>,
) -> Result<()> {
    for cell in cells {
        if let Some(failed) = failures::known(workspace.folder.root(), cell)? {
            results.failed.push(failed);
        } else if let Err(error) = work(cell, results) {
            let failed = failures::keep(workspace.folder.root(), cell, error)?;
            workspace.say(&failed.to_string());
            results.failed.push(failed);
        }
    }
    Ok(())
}

/// Plans the bars over all that is to do; what an earlier session finished counts as done.
fn plan(config: &Config, cells: &[Cell], workspace: &Workspace, sample: bool) {
    for cell in cells {
        let (name, cost) = (cell.name(), cell.config(config).cost(cell.w_r));
        let done =
            |what: String, cost: f64| if workspace.path(&what).is_file() { cost } else { 0.0 };
        if config.models.is_none() {
            let done = done(format!("checkpoints/{name}.safetensors"), cost.train);
            workspace.progress.plan(cell.training(), cost.train, done);
        }
        if sample {
            let share = done(format!("samples/{name}.json"), 1.0);
            for (kind, cost) in [("sample", cost.sample), ("measure", cost.measure)] {
                workspace.progress.plan(kind, cost, share * cost);
            }
        }
    }
}

/// What measuring a network takes.
struct Measured<'a> {
    config: &'a Config,
    workspace: &'a Workspace,
}

impl Measured<'_> {
    /// The truth of a data set.
    fn truth(&self, data: DataSet) -> Result<Truth> {
        let dataset = data.name();
        // No cell of the data set can be measured without its truth: not an error of one of them.
        let truth = measuring::truth(self.config, data)
            .map_err(|e| anyhow::anyhow!("the truth of {dataset}: {e:#}"))?;
        for (name, sample) in
            [("truth", &truth.first), ("truth2", &truth.second), ("truth3", &truth.third)]
        {
            let file = self.workspace.path(&format!("samples/{dataset}_{name}_counts.npy"));
            npy::write(&file, sample.counts().view())?;
        }
        Ok(truth)
    }

    /// Distances of the laws themselves, where they are asked for; what they cannot be solved for is said and left out.
    fn noise_free(
        &self,
        config: &Config,
        cell: &Cell,
        trained: &Trained,
    ) -> Result<Option<NoiseFree>> {
        let Some(tolerance) = config.measuring.noise_free else { return Ok(None) };
        let start = Instant::now();
        let found = brackets(&trained.net, cell.data, config.measuring.half_width, tolerance);
        // Whatever fails after ctrl-c fails for it.
        self.workspace.go_on()?;
        match found {
            Ok(Brackets { ode_truth, sde_truth, ode_sde, errors }) => {
                let seconds = start.elapsed().as_secs_f64();
                Ok(Some(NoiseFree { ode_truth, sde_truth, ode_sde, errors, seconds }))
            }
            Err(error) => {
                self.workspace.say(&format!("{}: no noise-free distances: {error:#}", cell.name()));
                Ok(None)
            }
        }
    }

    /// Samples and measures one network, or reads what an earlier session measured.
    fn row(&self, cell: &Cell, trained: &Trained, truth: &Truth) -> Result<Row> {
        let (config, workspace, name) = (&*cell.config(self.config), self.workspace, cell.name());
        let path = workspace.path(&format!("samples/{name}.json"));
        if path.exists() {
            return read_json(&path);
        }
        let job = |equation: Equation| Job {
            config,
            net: &trained.net,
            equation,
            key: key(config, equation.purpose(), cell.data),
            name: &name,
            workspace,
        };
        let (ode_job, sde_job) = (job(Equation::Ode), job(Equation::Sde));
        let (ode, sde) = (ode_job.run()?, sde_job.run()?);
        if config.sampling.paths > 0 {
            let starts = key(config, Purpose::Paths, cell.data);
            let paths = sampling::both_paths(&ode_job, &sde_job, starts)?;
            collect::write_paths(workspace.folder.root(), cell, &paths)?;
        }
        let label = format!("measure {name}");
        let cost = config.cost(cell.w_r).measure;
        let mut bar = workspace.progress.part(&label, "measure", (1, 0), cost);
        let start = Instant::now();
        let mut row = Row {
            dataset: cell.data.name().into(),
            w_r: cell.w_r,
            train_steps: trained.steps,
            train_seconds: trained.seconds,
            sample_seconds: ode.seconds + sde.seconds,
            nfe_ode: ode.nfe,
            nfe_sde: sde.nfe,
            ..Row::default()
        };
        measuring::distances(truth, &ode, &sde, &mut row)?;
        measuring::network(config, cell, &trained.net, &mut row)?;
        row.noise_free = self.noise_free(config, cell, trained)?;
        row.measure_seconds = start.elapsed().as_secs_f64();
        measuring::check(&row)?;
        atomic::write(&path, &serde_json::to_vec_pretty(&row)?)?;
        bar.advance(1);
        workspace.say(&format!(
            "{name}: squared W2 ODE-truth {:.5}, SDE-truth {:.5} (floor {:.5}), ODE-SDE {:.5} (floor {:.5})",
            row.w2.ode_truth.value,
            row.w2.sde_truth.value,
            truth.floor.w2.to_truth.mean(),
            row.w2.ode_sde.value,
            truth.floor.w2.pair.mean()
        ));
        Ok(row)
    }
}
