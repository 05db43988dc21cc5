//! Butcher tableaus: data only.

/// An explicit Runge-Kutta method, mostly with an embedded error estimate.
#[derive(Clone, Copy, Debug)]
pub struct Tableau {
    /// Row `i` weighs the earlier stages in stage `i`.
    pub a: &'static [&'static [f64]],
    /// Weights of the solution.
    pub b: &'static [f64],
    /// Weights of the error estimate, the solution minus the embedded one; empty without one.
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

/// Tsitouras 5(4): as costly as Dormand-Prince with a smaller error.
///
/// # Reference
/// Tsitouras 2011, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
/// assumption", table 1.
pub static TSIT5: Tableau = Tableau {
    a: &[
        &[],
        &[0.161],
        &[-0.008_480_655_492_356_989, 0.335_480_655_492_357],
        &[2.897_153_057_105_493_5, -6.359_448_489_975_075, 4.362_295_432_869_581_5],
        &[
            5.325_864_828_439_257,
            -11.748_883_564_062_828,
            7.495_539_342_889_836_5,
            -0.092_495_066_361_755_25,
        ],
        &[
            5.861_455_442_946_42,
            -12.920_969_317_847_11,
            8.159_367_898_576_159,
            -0.071_584_973_281_401,
            -0.028_269_050_394_068_383,
        ],
        &[
            0.096_460_766_818_065_23,
            0.01,
            0.479_889_650_414_499_6,
            1.379_008_574_103_742,
            -3.290_069_515_436_081,
            2.324_710_524_099_774,
        ],
    ],
    b: &[
        0.096_460_766_818_065_23,
        0.01,
        0.479_889_650_414_499_6,
        1.379_008_574_103_742,
        -3.290_069_515_436_081,
        2.324_710_524_099_774,
        0.0,
    ],
    e: &[
        -0.001_780_011_052_225_777,
        -0.000_816_434_459_656_746_9,
        0.007_880_878_010_261_995,
        -0.144_711_007_173_262_9,
        0.582_357_165_452_555_2,
        -0.458_082_105_929_186_97,
        1.0 / 66.0,
    ],
    c: &[0.0, 0.161, 0.327, 0.9, 0.980_025_540_904_509_7, 1.0, 1.0],
    error_order: 5.0,
    fsal: true,
};

/// Bogacki-Shampine 3(2).
///
/// # Reference
/// Bogacki, Shampine 1989, "A 3(2) pair of Runge-Kutta formulas".
pub static BOSH3: Tableau = Tableau {
    a: &[&[], &[1.0 / 2.0], &[0.0, 3.0 / 4.0], &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0]],
    b: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0],
    e: &[-5.0 / 72.0, 1.0 / 12.0, 1.0 / 9.0, -1.0 / 8.0],
    c: &[0.0, 1.0 / 2.0, 3.0 / 4.0, 1.0],
    error_order: 3.0,
    fsal: true,
};

/// The classical Runge-Kutta method of order 4, without an error estimate.
///
/// # Reference
/// Kutta 1901, "Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen".
pub static RK4: Tableau = Tableau {
    a: &[&[], &[1.0 / 2.0], &[0.0, 1.0 / 2.0], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    e: &[],
    c: &[0.0, 1.0 / 2.0, 1.0 / 2.0, 1.0],
    error_order: 0.0,
    fsal: false,
};
