//! DPM-Solver++(2M) at the end of the flow.

use sde_core::{Key, Reverse, Sde, TimeGrid, Vp};
use solvers::{Grid, IndependentIncrements, Method, Trajectory, denoise, solve};

use crate::common::{distance, normals, target};

/// A step to `sigma = 0` returns the predicted data and nothing infinite.
#[test]
fn the_step_to_zero_is_the_denoised_state() {
    let vp = Vp::default();
    let score = target("gmm2d").under(&vp);
    let problem = Reverse::ode(&vp, &score);
    let times = TimeGrid::Uniform.times(&vp, 20, 1.0, 0.0).unwrap();
    let noiseless = IndependentIncrements::new(Key::root(0), 0);
    let mut seen = Trajectory::default();
    let stepper = Method::DpmSolverPP2M.stepper();
    let mut grid = Grid::new(times.clone()).unwrap();
    let x = normals(1, 8, 2);
    let done = solve(&*stepper, &problem, x, 1.0, &mut grid, &noiseless, &mut seen).unwrap();
    let expected = denoise(&problem, &seen.states[18], times[19]).unwrap();
    assert!(vp.marginal(0.0).sigma == 0.0 && distance(&done.x, &expected) < 1e-14);
}
