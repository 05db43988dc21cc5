//! Butcher tableaus: data only.

/// An explicit Runge-Kutta method with an embedded error estimate.
#[derive(Clone, Copy, Debug)]
pub struct Tableau {
    /// Row `i` weighs the earlier stages in stage `i`.
    pub a: &'static [&'static [f64]],
    /// Weights of the solution.
    pub b: &'static [f64],
    /// Weights of the error estimate: the solution minus the embedded one.
    pub e: &'static [f64],
    /// Where in the step each stage lies.
    pub c: &'static [f64],
    /// The order of the error estimate.
    pub error_order: f64,
    /// Whether the last stage is the first of the next step.
    pub fsal: bool,
}

/// Dormand-Prince 5(4).
///
/// # Reference
/// Dormand, Prince 1980, "A family of embedded Runge-Kutta formulae", table 2.
pub static DOPRI5: Tableau = Tableau {
    a: &[
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    e: &[
        71.0 / 57600.0,
        0.0,
        -71.0 / 16695.0,
        71.0 / 1920.0,
        -17253.0 / 339_200.0,
        22.0 / 525.0,
        -1.0 / 40.0,
    ],
    c: &[0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0],
    error_order: 5.0,
    fsal: true,
};
