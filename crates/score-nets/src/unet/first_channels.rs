//! Networks of which only the first output channels are used.

use crate::{Condition, Error, Jet, Network, Result};

/// The first channels of another network's output: the noise of one that learned variances too.
///
/// ```
/// use score_nets::{Architecture, Backend, Network, unet::FirstChannels};
/// let json = r#"{"architecture": "guided-diffusion", "args": {"image_size": 4, "in_channels": 1,
///     "model_channels": 32, "out_channels": 2, "num_res_blocks": 1, "attention_resolutions": [],
///     "channel_mult": [1]}}"#;
/// let architecture = Architecture::parse(json)?;
/// let parameters = architecture.initial(sde_core::Key::root(1), &Backend::cpu())?;
/// let net = FirstChannels::new(architecture.build(parameters.detached())?, 1)?;
/// assert_eq!(net.out_shape(), net.row_shape());
/// # Ok::<(), score_nets::Error>(())
/// ```
pub struct FirstChannels {
    net: Box<dyn Network>,
    channels: usize,
}

impl FirstChannels {
    /// The first `channels` of the output of `net`.
    ///
    /// # Errors
    /// [`Error::Setting`] when there are fewer.
    pub fn new(net: Box<dyn Network>, channels: usize) -> Result<Self> {
        let all = net.out_shape().first().copied().unwrap_or(0);
        if channels == 0 || channels > all {
            let reason = format!("must be 1 to the {all} that the network puts out");
            return Err(Error::setting("channels", channels, reason));
        }
        Ok(Self { net, channels })
    }
}

impl Network for FirstChannels {
    fn row_shape(&self) -> Vec<usize> {
        self.net.row_shape()
    }

    fn out_shape(&self) -> Vec<usize> {
        let mut shape = self.net.out_shape();
        shape[0] = self.channels;
        shape
    }

    fn n_classes(&self) -> usize {
        self.net.n_classes()
    }

    fn forward(&self, x: &Jet, c: &Jet, condition: &Condition) -> Result<Jet> {
        let y = self.net.forward(x, c, condition)?;
        y.map(|t| Ok(t.narrow(1, 0, self.channels)?.contiguous()?))
    }

    fn buffers(&self) -> Vec<String> {
        self.net.buffers()
    }

    fn without_gradient(&self) -> Vec<(String, &'static str)> {
        self.net.without_gradient()
    }
}
