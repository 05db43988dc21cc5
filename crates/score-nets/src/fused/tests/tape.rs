//! The definition in double precision: jets carried forward on a tape, and the tape run backwards.

use crate::fused::{Activation, Layer};
use std::cell::RefCell;

/// Every number computed so far, and where it came from.
#[derive(Default)]
pub(super) struct Tape(RefCell<Vec<[(usize, f64); 2]>>);

/// A number on a tape.
#[derive(Clone, Copy)]
pub(super) struct Var<'a> {
    tape: &'a Tape,
    index: usize,
    pub(super) value: f64,
}

impl Tape {
    pub(super) fn var(&self, value: f64) -> Var<'_> {
        self.push(value, [(0, 0.0); 2])
    }
    fn push(&self, value: f64, from: [(usize, f64); 2]) -> Var<'_> {
        let mut nodes = self.0.borrow_mut();
        nodes.push(from);
        Var { tape: self, index: nodes.len() - 1, value }
    }
    /// The derivatives of `of` with respect to everything.
    pub(super) fn backward(&self, of: Var<'_>) -> Adjoints {
        let nodes = self.0.borrow();
        let mut adjoints = vec![0.0; nodes.len()];
        adjoints[of.index] = 1.0;
        for (i, from) in nodes.iter().enumerate().rev() {
            for &(parent, partial) in from {
                adjoints[parent] += partial * adjoints[i];
            }
        }
        Adjoints(adjoints)
    }
}

/// Derivatives of one number with respect to all others.
pub(super) struct Adjoints(Vec<f64>);

impl Adjoints {
    pub(super) fn of(&self, var: Var<'_>) -> f64 {
        self.0[var.index]
    }
}

impl<'a> Var<'a> {
    fn unary(self, value: f64, derivative: f64) -> Self {
        self.tape.push(value, [(self.index, derivative), (0, 0.0)])
    }
    pub(super) fn scale(self, by: f64) -> Self {
        self.unary(by * self.value, by)
    }
    pub(super) fn offset(self, by: f64) -> Self {
        self.unary(by + self.value, 1.0)
    }
}

impl<'a> std::ops::Add for Var<'a> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.tape.push(self.value + other.value, [(self.index, 1.0), (other.index, 1.0)])
    }
}

impl<'a> std::ops::Mul for Var<'a> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.value, other.value);
        self.tape.push(a * b, [(self.index, b), (other.index, a)])
    }
}

/// The activation and its first three derivatives.
pub(super) fn activation(a: Activation, z: f64) -> [f64; 4] {
    match a {
        Activation::Softplus { beta } => {
            let b = f64::from(beta);
            let s = 1.0 / (1.0 + (-b * z).exp());
            let value = z.max(0.0) + (-(b * z).abs()).exp().ln_1p() / b;
            let q = b * s * (1.0 - s);
            [value, s, q, b * q * (1.0 - 2.0 * s)]
        }
        Activation::Silu => {
            let s = 1.0 / (1.0 + (-z).exp());
            let (s1, r) = (s * (1.0 - s), 1.0 - 2.0 * s);
            let (s2, s3) = (s1 * r, s1 * (r * r - 2.0 * s1));
            [z * s, s + z * s1, 2.0 * s1 + z * s2, 3.0 * s2 + z * s3]
        }
        Activation::Tanh => {
            let y = z.tanh();
            let d = 1.0 - y * y;
            [y, d, -2.0 * y * d, d * (6.0 * y * y - 2.0)]
        }
        Activation::Sin => [z.sin(), z.cos(), -z.sin(), -z.cos()],
    }
}

/// A unit: its value, its derivatives by all inputs, its second derivatives by the inputs of `S`.
struct Unit<'a> {
    value: Var<'a>,
    first: Vec<Var<'a>>,
    second: Vec<Var<'a>>,
}

/// What an output of the network gives for a sample.
pub(super) struct Outcome<'a> {
    pub(super) value: Var<'a>,
    pub(super) grad: Vec<Var<'a>>,
    pub(super) laplacian: Var<'a>,
}

/// The layers on a tape: for each layer the weights `[out][in]` and the biases.
pub(super) type Parameters<'a> = Vec<(Vec<Var<'a>>, Vec<Var<'a>>)>;

pub(super) fn parameters<'a>(tape: &'a Tape, layers: &[Layer<'_>]) -> Parameters<'a> {
    let vars = |x: &[f32]| x.iter().map(|&x| tape.var(f64::from(x))).collect();
    layers.iter().map(|l| (vars(l.weight), vars(l.bias))).collect()
}

fn sum<'a>(tape: &'a Tape, terms: impl Iterator<Item = Var<'a>>) -> Var<'a> {
    terms.reduce(|a, b| a + b).unwrap_or_else(|| tape.var(0.0))
}

/// The only output of a network.
pub(super) fn single<'a>(
    tape: &'a Tape,
    parameters: &Parameters<'a>,
    act: Activation,
    u: &[f64],
    jets: &[usize],
) -> Outcome<'a> {
    let mut all = evaluate(tape, parameters, act, u, jets);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// All outputs.
pub(super) fn evaluate<'a>(
    tape: &'a Tape,
    parameters: &Parameters<'a>,
    act: Activation,
    u: &[f64],
    jets: &[usize],
) -> Vec<Outcome<'a>> {
    let constant = |x: f64| tape.var(x);
    let mut units: Vec<Unit<'a>> = (0..u.len())
        .map(|i| Unit {
            value: constant(u[i]),
            first: (0..u.len()).map(|j| constant(f64::from(u8::from(i == j)))).collect(),
            second: jets.iter().map(|_| constant(0.0)).collect(),
        })
        .collect();
    for (l, (weight, bias)) in parameters.iter().enumerate() {
        let dense = |o: usize, part: &dyn Fn(&Unit<'a>) -> Var<'a>| {
            let row = &weight[o * units.len()..][..units.len()];
            sum(tape, row.iter().zip(&units).map(|(&w, unit)| w * part(unit)))
        };
        let next = (0..bias.len()).map(|o| {
            let value = dense(o, &|x| x.value) + bias[o];
            let first: Vec<_> = (0..u.len()).map(|j| dense(o, &|x| x.first[j])).collect();
            let second: Vec<_> = (0..jets.len()).map(|j| dense(o, &|x| x.second[j])).collect();
            if l + 1 == parameters.len() {
                return Unit { value, first, second };
            }
            let a = activation(act, value.value);
            let d0 = value.unary(a[0], a[1]);
            let d1 = value.unary(a[1], a[2]);
            let d2 = value.unary(a[2], a[3]);
            let pairs = second.iter().zip(jets);
            let second = pairs.map(|(&s, &i)| d1 * s + d2 * first[i] * first[i]).collect();
            Unit { value: d0, first: first.iter().map(|&f| d1 * f).collect(), second }
        });
        units = next.collect();
    }
    let outcome = |unit: Unit<'a>| {
        let laplacian = sum(tape, unit.second.into_iter());
        Outcome { value: unit.value, grad: unit.first, laplacian }
    };
    units.into_iter().map(outcome).collect()
}
