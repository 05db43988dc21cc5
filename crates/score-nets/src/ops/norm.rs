//! Group normalisation.

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, check_shape, setting, silu};
use crate::Result;
use crate::fused::norm::{Moments, Norm as Sizes};
use crate::fused::{Isa, maps};
use candle_core::Tensor;

/// Group normalisation over the channels, which come last, with SiLU after it where `silu` says so:
///
/// $$ y = a\Bigl(w\,\frac{x-\mu}{\sqrt{\sigma^2+eps}}+b\Bigr) $$
///
/// with mean and variance over all pixels and the channels of a group, `groups` groups of
/// neighbouring channels.
///
/// # Shapes
/// `x` is `[B, ..., C]`, `w` and `b` are `[C]`, or `[B, C]` where every sample has its own (1 and 0 where
/// not given); the result is like `x`.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) where `groups` does not divide the channels or `eps` is
/// negative, [`Error::Shape`](crate::Error::Shape) where shapes do not fit,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// # Reference
/// Wu and He (2018), arXiv:1803.08494.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[1.0, 3.0, 5.0, 5.0], &Device::Cpu)?.reshape((1, 1, 4))?;
/// let y = score_nets::ops::group_norm(&x, None, None, 2, 0.0, false)?;
/// assert_eq!(y.narrow(2, 0, 2)?.flatten_all()?.to_vec1::<f64>()?, [-1.0, 1.0]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn group_norm(
    x: &Tensor,
    w: Option<&Tensor>,
    b: Option<&Tensor>,
    groups: usize,
    eps: f64,
    silu: bool,
) -> Result<Tensor> {
    let &[batch, .., channels] = x.dims() else {
        return Err(setting("input of a normalisation", x.dims(), "expected [B, ..., C]"));
    };
    if groups == 0 || channels == 0 || channels % groups != 0 {
        return Err(setting(
            "groups",
            groups,
            format!("expected a divisor of {channels} channels"),
        ));
    }
    if !(eps >= 0.0 && eps.is_finite()) {
        return Err(setting("eps", eps, "expected a number of at least 0"));
    }
    let args: Vec<&Tensor> = [x].into_iter().chain(w).chain(b).collect();
    check_kind("group_norm", &args)?;
    for (what, tensor) in [("weight of a normalisation", w), ("bias of a normalisation", b)] {
        if let Some(tensor) = tensor
            && tensor.dims() != [batch, channels]
        {
            check_shape(what, tensor, &[channels])?;
        }
    }
    let pixels = x.elem_count() / (batch * channels).max(1);
    let sizes = Sizes { batch, pixels, channels, groups, eps, silu };
    let mut norm =
        Norm { sizes, weight: w.is_some(), bias: b.is_some(), moments: Moments::default() };
    let detached: Vec<Tensor> =
        args.iter().map(|arg| arg.detach().contiguous()).collect::<Result<_, _>>()?;
    let y = norm.forward(&detached)?;
    record(y, &args, norm)
}

/// The derivative of [`group_norm`] without SiLU at a point: a linear map of directions in `x`,
///
/// $$ d \mapsto \frac{w}{\sqrt{\sigma^2+eps}}\Bigl(d - \overline{d} - z\,\overline{z d}\Bigr),\qquad
/// z = \frac{x-\mu}{\sqrt{\sigma^2+eps}} $$
///
/// with means over the pixels and channels of a group: but for the place of `w` what the kernels of the gradient do.
pub(crate) struct NormAt {
    sizes: Sizes,
    isa: Isa,
    x: Tensor,
    w: Tensor,
    moments: Moments,
}

impl NormAt {
    /// At `x`; none where there are no kernels or gradients are asked of the arguments.
    pub(crate) fn of(x: &Tensor, w: &Tensor, groups: usize, eps: f64) -> Result<Option<Self>> {
        let &[batch, .., channels] = x.dims() else { return Ok(None) };
        let Some(isa) = host::kernels(x).filter(|_| !x.track_op() && !w.track_op()) else {
            return Ok(None);
        };
        if x.elem_count() == 0 || w.dims() != [channels] {
            return Ok(None);
        }
        let pixels = x.elem_count() / (batch * channels);
        let sizes = Sizes { batch, pixels, channels, groups, eps, silu: false };
        let (x, w) = (x.contiguous()?, w.contiguous()?);
        let (_, moments) = sizes.forward(isa, &Values::of(&x)?, None, None);
        Ok(Some(Self { sizes, isa, x, w, moments }))
    }

    /// Along a direction in the shape of `x`, or one that broadcasts to it.
    ///
    /// # Errors
    /// Whatever candle fails with where the shapes do not fit.
    pub(crate) fn along(&self, direction: &Tensor) -> Result<Tensor> {
        let d = direction.broadcast_as(self.x.shape())?.contiguous()?;
        let x = Values::of(&self.x)?;
        let found =
            self.sizes.backward(self.isa, (&x, None, None), &self.moments, &Values::of(&d)?, true);
        let dz = found.dx.unwrap_or_default();
        host::tensor(maps::mul(self.isa, &dz, &Values::of(&self.w)?), self.x.dims())
    }
}

struct Norm {
    sizes: Sizes,
    weight: bool,
    bias: bool,
    /// Of the kernels.
    moments: Moments,
}

impl Norm {
    /// Weight and bias among the arguments.
    fn affine<'a>(&self, args: &'a [Tensor]) -> (Option<&'a Tensor>, Option<&'a Tensor>) {
        let mut rest = args[1..].iter();
        let w = if self.weight { rest.next() } else { None };
        (w, if self.bias { rest.next() } else { None })
    }

    /// `[B, N, groups, channels of a group]`
    fn grouped(&self, x: &Tensor) -> Result<Tensor> {
        let Sizes { batch, pixels, channels, groups, .. } = self.sizes;
        Ok(x.contiguous()?.reshape((batch, pixels, groups, channels / groups))?)
    }

    fn of_channels(&self, w: &Tensor) -> Result<Tensor> {
        let Sizes { channels, groups, .. } = self.sizes;
        let samples = w.elem_count() / channels;
        Ok(w.contiguous()?.reshape((samples, 1, groups, channels / groups))?)
    }

    /// `(x - mean) / sqrt(variance + eps)` and `1 / sqrt(variance + eps)`, grouped.
    fn standard(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let x = self.grouped(x)?;
        let centred = x.broadcast_sub(&mean(&x)?)?;
        let scale = (mean(&centred.sqr()?)? + self.sizes.eps)?.sqrt()?.recip()?;
        Ok((centred.broadcast_mul(&scale)?, scale))
    }

    /// Before SiLU, grouped.
    fn normalised(&self, standard: &Tensor, args: &[Tensor]) -> Result<Tensor> {
        let (w, b) = self.affine(args);
        let mut z = standard.clone();
        if let Some(w) = w {
            z = z.broadcast_mul(&self.of_channels(w)?)?;
        }
        if let Some(b) = b {
            z = z.broadcast_add(&self.of_channels(b)?)?;
        }
        Ok(z)
    }

    fn forward(&mut self, args: &[Tensor]) -> Result<Found> {
        let x = &args[0];
        if x.elem_count() == 0 {
            return Ok(Found::Tensor(x.clone()));
        }
        if let Some(isa) = host::kernels(x) {
            let (w, b) = self.affine(args);
            let (x, w, b) = (Values::of(x)?, values(w)?, values(b)?);
            let (y, moments) = self.sizes.forward(isa, &x, w.as_deref(), b.as_deref());
            self.moments = moments;
            return Ok(Found::host(y, args[0].dims()));
        }
        let mut z = self.normalised(&self.standard(x)?.0, args)?;
        if self.sizes.silu {
            z = silu::forward(&z)?;
        }
        Ok(Found::Tensor(z.reshape(x.shape())?))
    }
}

impl Norm {
    fn by_kernels(
        &self,
        isa: Isa,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        if dy.elem_count() == 0 {
            return Ok(args
                .iter()
                .map(|arg| arg.zeros_like().map(Some))
                .collect::<Result<_, _>>()?);
        }
        let args: Vec<Tensor> = args.iter().map(Tensor::contiguous).collect::<Result<_, _>>()?;
        let dy = dy.contiguous()?;
        let (w, b) = self.affine(&args);
        let (x, w, b) = (Values::of(&args[0])?, values(w)?, values(b)?);
        let inputs = (&*x, w.as_deref(), b.as_deref());
        let found = self.sizes.backward(isa, inputs, &self.moments, &Values::of(&dy)?, wanted[0]);
        let dx = found.dx.map(|dx| host::tensor(dx, args[0].dims())).transpose()?;
        let mut gradients = vec![dx];
        for (there, values) in [(self.weight, found.dw), (self.bias, found.db)] {
            if there {
                let (wanted, like) = (wanted[gradients.len()], &args[gradients.len()]);
                let gradient = || host::tensor(values, like.dims());
                gradients.push(if wanted { Some(gradient()?) } else { None });
            }
        }
        Ok(gradients)
    }
}

fn values(x: Option<&Tensor>) -> Result<Option<Values<'_>>> {
    x.map(Values::of).transpose()
}

/// Over pixels and the channels of a group.
fn mean(x: &Tensor) -> Result<Tensor> {
    Ok(x.mean_keepdim((1, 3))?)
}

impl Backward for Norm {
    const NAME: &'static str = "group_norm";

    fn backward(
        &self,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        if let Some(isa) = host::kernels(dy) {
            return self.by_kernels(isa, args, wanted, dy);
        }
        let x = &args[0];
        let (standard, scale) = self.standard(x)?;
        let mut dz = self.grouped(dy)?;
        if self.sizes.silu {
            dz = silu::gradient(&self.normalised(&standard, args)?, &dz)?;
        }
        let dx = match wanted[0] {
            true => {
                let mut g = dz.clone();
                if let (Some(w), _) = self.affine(args) {
                    g = g.broadcast_mul(&self.of_channels(w)?)?;
                }
                let along = standard.broadcast_mul(&mean(&(&g * &standard)?)?)?;
                let rest = (g.broadcast_sub(&mean(&g)?)? - along)?;
                Some(rest.broadcast_mul(&scale)?.reshape(x.shape())?)
            }
            false => None,
        };
        let mut gradients = vec![dx];
        // Over the pixels, and over the samples where they share their numbers.
        let to_channels = |x: &Tensor, like: &Tensor| -> Result<Tensor> {
            let sums = x.sum(1)?;
            let shared = like.elem_count() == self.sizes.channels;
            Ok(if shared { sums.sum(0)? } else { sums }.reshape(like.shape())?)
        };
        for (there, of) in [(self.weight, Some(&standard)), (self.bias, None)] {
            if there {
                let (wanted, like) = (wanted[gradients.len()], &args[gradients.len()]);
                gradients.push(match of {
                    _ if !wanted => None,
                    Some(standard) => Some(to_channels(&(&dz * standard)?, like)?),
                    None => Some(to_channels(&dz, like)?),
                });
            }
        }
        Ok(gradients)
    }
}
