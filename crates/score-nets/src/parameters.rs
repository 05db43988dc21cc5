//! Named tensors that are trained, and how networks are built around them.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::{
    Init, VarBuilder,
    init::{FanInOut, NonLinearity, NormalOrUniform},
    var_builder::SimpleBackend,
};
use sde_core::Key;

use crate::{Backend, Error, Result};

/// The tensors of a network by name: trained parameters, and buffers, which are part of the network and are
/// not trained.
///
/// A network is built from a [`VarBuilder`], candle-nn's own, over one of the sources of this type:
/// [`Parameters::initial`] for initial values drawn under a key, [`Parameters::from_tensors`] for those of a
/// file, [`Parameters::live`] and [`Parameters::detached`] for another network around the same values. They
/// all share storage: [`Parameters::set`] changes every network built from them.
///
/// ```
/// use candle_core::Tensor;
/// use score_nets::{Backend, Parameters};
/// use sde_core::Key;
/// let build = |vb: candle_nn::VarBuilder<'static>| -> score_nets::Result<Tensor> {
///     Ok(vb.pp("layer").get_with_hints((3, 2), "weight", candle_nn::init::DEFAULT_KAIMING_UNIFORM)?)
/// };
/// let parameters = Parameters::initial(Key::root(1), &Backend::cpu(), |vb| build(vb).map(|_| vec![]))?;
/// let weight = build(parameters.live())?;
/// assert_eq!(parameters.names().collect::<Vec<_>>(), ["layer.weight"]);
/// let before = parameters.version();
/// parameters.set("layer.weight", &Tensor::ones((3, 2), weight.dtype(), weight.device())?)?;
/// assert_eq!(weight.sum_all()?.to_scalar::<f32>()?, 6.0);
/// assert!(parameters.version() > before);
/// # Ok::<(), score_nets::Error>(())
/// ```
#[derive(Debug)]
pub struct Parameters {
    backend: Backend,
    /// Trained parameters, in order of name.
    vars: Vec<(String, Var)>,
    buffers: BTreeMap<String, Tensor>,
    version: AtomicU64,
}

impl Parameters {
    /// Parameters with initial values under `key`, of whatever `build` asks for; it returns the names of
    /// buffers.
    ///
    /// The value of a parameter is a function of `key`, its name and its shape alone: a new layer leaves the
    /// others as they were.
    ///
    /// # Errors
    /// Whatever `build` fails with; [`Error::Shape`] when it asks for one name in two shapes.
    pub fn initial(
        key: Key,
        backend: &Backend,
        build: impl FnOnce(VarBuilder<'static>) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let (tensors, buffers, _) = collect(Source::Initial(key), backend, build)?;
        Self::new(tensors, &buffers, backend)
    }

    /// Parameters with the values of `tensors`, which must be what `build` asks for and nothing else.
    ///
    /// # Errors
    /// [`Error::File`], with `path`, that lists every tensor that is missing, superfluous, of another shape
    /// or not finite; whatever `build` fails with.
    pub fn from_tensors(
        tensors: &BTreeMap<String, Tensor>,
        path: &Path,
        backend: &Backend,
        build: impl FnOnce(VarBuilder<'static>) -> Result<Vec<String>>,
    ) -> Result<Self> {
        let (wanted, buffers, mut faults) =
            collect(Source::Given(tensors.clone()), backend, build)?;
        faults.superfluous = tensors.keys().filter(|n| !wanted.contains_key(*n)).cloned().collect();
        for (name, tensor) in &wanted {
            let given = tensors.get(name).is_some_and(|t| t.dims() == tensor.dims());
            if given && let Some((i, value)) = not_finite(tensor)? {
                faults.not_finite.push(format!("{name} ({value} at element {i})"));
            }
        }
        match faults.text() {
            Some(reason) => Err(Error::file(path, reason)),
            None => Self::new(wanted, &buffers, backend),
        }
    }

    fn new(tensors: BTreeMap<String, Tensor>, fixed: &[String], backend: &Backend) -> Result<Self> {
        let (mut vars, mut buffers) = (Vec::new(), BTreeMap::new());
        for (name, tensor) in tensors {
            if fixed.contains(&name) {
                buffers.insert(name, tensor);
            } else {
                vars.push((name, Var::from_tensor(&tensor)?));
            }
        }
        Ok(Self { backend: backend.clone(), vars, buffers, version: AtomicU64::new(0) })
    }

    /// Where the values are, and their element type.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Number of trained tensors.
    pub fn len(&self) -> usize {
        self.vars.len()
    }

    /// Whether nothing is trained.
    pub fn is_empty(&self) -> bool {
        self.vars.is_empty()
    }

    /// Number of trained scalars.
    pub fn n_scalars(&self) -> usize {
        self.vars.iter().map(|(_, v)| v.elem_count()).sum()
    }

    /// The names of trained tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.vars.iter().map(|(n, _)| n.as_str())
    }

    /// The trained tensors in order of name, attached to the graph of whatever is computed from them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.vars.iter().map(|(n, v)| (n.as_str(), v.as_tensor()))
    }

    /// The trained tensor `name`, attached to the graph.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.place(name).map(|i| self.vars[i].1.as_tensor())
    }

    /// The place of a trained tensor in the order of names.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.vars.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()
    }

    /// The tensors that are not trained.
    pub fn buffers(&self) -> &BTreeMap<String, Tensor> {
        &self.buffers
    }

    /// A number that grows with every change of a value.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Changes the values of a trained tensor; they are converted to the backend.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown name, [`Error::Shape`] for another shape.
    pub fn set(&self, name: &str, values: &Tensor) -> Result<()> {
        match self.place(name) {
            Some(i) => self.set_at(i, values),
            None => Err(Error::setting("parameter", name, "the network has none of this name")),
        }
    }

    /// Gives a tensor that is not trained its values; they are converted to the backend. Networks built
    /// before keep the old ones.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown name, [`Error::Shape`] for another shape.
    pub fn set_buffer(&mut self, name: &str, values: &Tensor) -> Result<()> {
        let Some(buffer) = self.buffers.get_mut(name) else {
            return Err(Error::setting("buffer", name, "the network has none of this name"));
        };
        if values.dims() != buffer.dims() {
            let (expected, found) = (buffer.dims().to_vec(), values.dims().to_vec());
            return Err(Error::Shape { what: format!("buffer `{name}`"), expected, found });
        }
        *buffer = self.backend.place(values)?.detach();
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// As [`Parameters::set`], by place in the order of names.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape.
    pub(crate) fn set_at(&self, place: usize, values: &Tensor) -> Result<()> {
        let (name, var) = &self.vars[place];
        if values.dims() != var.dims() {
            let (expected, found) = (var.dims().to_vec(), values.dims().to_vec());
            return Err(Error::Shape { what: format!("parameter `{name}`"), expected, found });
        }
        var.set(&self.backend.place(values)?.detach())?;
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// A source for networks whose results lead back to the parameters.
    pub fn live(&self) -> VarBuilder<'static> {
        let vars = self.vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone()));
        self.builder(vars.collect())
    }

    /// A source for networks whose results do not: nothing is recorded for a backward pass.
    pub fn detached(&self) -> VarBuilder<'static> {
        let vars = self.vars.iter().map(|(n, v)| (n.clone(), v.as_detached_tensor()));
        self.builder(vars.collect())
    }

    fn builder(&self, mut tensors: BTreeMap<String, Tensor>) -> VarBuilder<'static> {
        tensors.extend(self.buffers.iter().map(|(n, t)| (n.clone(), t.clone())));
        let Backend { device, dtype } = &self.backend;
        VarBuilder::from_backend(Box::new(Shared(tensors)), *dtype, device.clone())
    }

    /// Every tensor, trained or not, detached, in order of name.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let vars = self.vars.iter().map(|(n, v)| (n.clone(), v.as_detached_tensor()));
        vars.chain(self.buffers.iter().map(|(n, t)| (n.clone(), t.clone()))).collect()
    }

    /// The same parameters with values of their own, on another backend.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn copy_to(&self, backend: &Backend) -> Result<Self> {
        let own = |t: &Tensor| -> Result<Tensor> { Ok(backend.place(&t.copy()?)?.detach()) };
        let vars =
            self.vars.iter().map(|(n, v)| Ok((n.clone(), Var::from_tensor(&own(v.as_tensor())?)?)));
        let buffers = self.buffers.iter().map(|(n, t)| Ok((n.clone(), own(t)?)));
        Ok(Self {
            backend: backend.clone(),
            vars: vars.collect::<Result<_>>()?,
            buffers: buffers.collect::<Result<_>>()?,
            version: AtomicU64::new(0),
        })
    }
}

/// What a checkpoint and a network disagree about.
#[derive(Default)]
struct Faults {
    missing: Vec<String>,
    superfluous: Vec<String>,
    shapes: Vec<String>,
    not_finite: Vec<String>,
}

impl Faults {
    /// One line; `None` when there is nothing to say.
    fn text(&self) -> Option<String> {
        let groups = [
            ("missing", &self.missing),
            ("superfluous", &self.superfluous),
            ("of another shape", &self.shapes),
            ("not finite", &self.not_finite),
        ];
        let said = groups.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| {
            let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
            let more = names.len().saturating_sub(8);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{} {what}: {}{more}", names.len(), shown.join(", "))
        });
        let said: Vec<String> = said.collect();
        let text = format!("does not fit the network: {}", said.join("; "));
        (!said.is_empty()).then_some(text)
    }
}

/// Where the values of parameters come from that do not exist yet.
enum Source {
    Initial(Key),
    Given(BTreeMap<String, Tensor>),
}

/// What was asked for so far.
#[derive(Default)]
struct Asked {
    tensors: BTreeMap<String, Tensor>,
    faults: Faults,
    /// A name that was asked for in two shapes.
    conflict: Option<(String, Vec<usize>, Vec<usize>)>,
}

/// The [`SimpleBackend`] that makes parameters as they are asked for.
struct Maker {
    source: Source,
    backend: Backend,
    asked: Arc<Mutex<Asked>>,
}

type Collected = (BTreeMap<String, Tensor>, Vec<String>, Faults);

fn collect(
    source: Source,
    backend: &Backend,
    build: impl FnOnce(VarBuilder<'static>) -> Result<Vec<String>>,
) -> Result<Collected> {
    let asked = Arc::new(Mutex::new(Asked::default()));
    let maker = Maker { source, backend: backend.clone(), asked: asked.clone() };
    let vb = VarBuilder::from_backend(Box::new(maker), backend.dtype, backend.device.clone());
    let buffers = build(vb)?;
    let asked = std::mem::take(&mut *asked.lock().unwrap_or_else(|e| e.into_inner()));
    match asked.conflict {
        None => Ok((asked.tensors, buffers, asked.faults)),
        Some((name, expected, found)) => Err(Error::Shape {
            what: format!("parameter `{name}` asked for twice"),
            expected,
            found,
        }),
    }
}

impl SimpleBackend for Maker {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        _: DType,
        _: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut asked = self.asked.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(tensor) = asked.tensors.get(name) {
            let tensor = tensor.clone();
            if tensor.shape() != &shape {
                asked.conflict = Some((name.into(), tensor.dims().to_vec(), shape.dims().to_vec()));
                return Tensor::zeros(shape, self.backend.dtype, &self.backend.device);
            }
            return Ok(tensor);
        }
        // One number seen many times: what does not fit may be of any size.
        let zeros = |shape: &Shape| {
            Tensor::zeros((), self.backend.dtype, &self.backend.device)?.broadcast_as(shape)
        };
        let tensor = match &self.source {
            Source::Initial(key) => {
                let values = initial(key.fold(name_number(name)), init, &shape);
                let tensor = Tensor::from_vec(values, &shape, &Device::Cpu)?;
                tensor.to_dtype(self.backend.dtype)?.to_device(&self.backend.device)?
            }
            Source::Given(tensors) => match tensors.get(name) {
                None => {
                    asked.faults.missing.push(name.into());
                    zeros(&shape)?
                }
                Some(tensor) if tensor.shape() != &shape => {
                    let (expected, found) = (shape.dims(), tensor.dims());
                    let text = format!("{name} (expected {expected:?}, found {found:?})");
                    asked.faults.shapes.push(text);
                    zeros(&shape)?
                }
                Some(tensor) => {
                    let tensor = tensor.to_dtype(self.backend.dtype)?;
                    tensor.to_device(&self.backend.device)?.contiguous()?
                }
            },
        };
        asked.tensors.insert(name.into(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("parameter `{name}` was asked for without its shape")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        match &self.source {
            Source::Initial(_) => false,
            Source::Given(tensors) => tensors.contains_key(name),
        }
    }
}

/// The [`SimpleBackend`] over parameters that exist.
struct Shared(BTreeMap<String, Tensor>);

impl SimpleBackend for Shared {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            candle_core::bail!("parameter `{name}` is {:?}, not {:?}", tensor.dims(), shape.dims())
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        match self.0.get(name) {
            Some(tensor) => Ok(tensor.clone()),
            None => candle_core::bail!("there is no parameter `{name}`"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// A number for a name (FNV-1a), the same everywhere.
fn name_number(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Initial values as candle-nn's `init` describes them, drawn under `key`.
fn initial(key: Key, init: Init, shape: &Shape) -> Vec<f64> {
    let mut values = vec![0.0; shape.elem_count()];
    let uniform = |values: &mut [f64], low: f64, up: f64| {
        key.fill_uniforms(0, values);
        values.iter_mut().for_each(|v| *v = low + (up - low) * *v);
    };
    let normal = |values: &mut [f64], mean: f64, std: f64| {
        key.fill_normals(0, values);
        values.iter_mut().for_each(|v| *v = mean + std * *v);
    };
    match init {
        Init::Const(v) => values.fill(v),
        Init::Randn { mean, stdev } => normal(&mut values, mean, stdev),
        Init::Uniform { lo, up } => uniform(&mut values, lo, up),
        Init::Kaiming { dist, fan, non_linearity } => {
            let std = gain(non_linearity) / (fan_of(fan, shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => normal(&mut values, 0.0, std),
                NormalOrUniform::Uniform => {
                    let bound = 3_f64.sqrt() * std;
                    uniform(&mut values, -bound, bound);
                }
            }
        }
    }
    values
}

fn fan_of(fan: FanInOut, shape: &Shape) -> usize {
    fan.for_shape(shape).max(1)
}

fn gain(of: NonLinearity) -> f64 {
    match of {
        NonLinearity::ReLU => 2_f64.sqrt(),
        NonLinearity::Tanh => 5.0 / 3.0,
        NonLinearity::Linear | NonLinearity::Sigmoid => 1.0,
        NonLinearity::SELU => 0.75,
        NonLinearity::ExplicitGain(g) => g,
    }
}

/// The first element that is no finite number.
fn not_finite(tensor: &Tensor) -> Result<Option<(usize, f64)>> {
    // x - x is zero exactly for what is finite.
    let zero = tensor.sub(tensor)?.abs()?.sum_all()?.to_dtype(DType::F64)?;
    if zero.to_scalar::<f64>()? == 0.0 {
        return Ok(None);
    }
    let values = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    Ok(values.into_iter().enumerate().find(|(_, v)| !v.is_finite()))
}
