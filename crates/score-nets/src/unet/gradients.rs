//! Which parameters of a U-Net have no gradient by mathematics.
//!
//! A normalisation whose groups are single channels takes off whatever is the same at all pixels of a
//! channel. Walking the steps backwards, this follows whether a number added to a whole channel would
//! change anything; if not, whatever adds such a number has no gradient: a bias, or an embedding that is
//! added.

use crate::layers::{Form, GroupNorm};

use super::{
    block::{Attention, Qkv, ResBlock},
    head::Head,
    steps::Step,
};

const TAKEN_OFF: &str = "a normalisation of single channels takes it off again";
const KEY_BIAS: &str = "it adds the same to every logit of a softmax";
const ONE_PIXEL: &str = "the softmax is over a single pixel";
const UNSEEN: &str = "no block sees the embedding";

/// Whether numbers added to whole channels leave the result as it is.
struct Walk {
    features: bool,
    stack: Vec<bool>,
    image: bool,
    out: bool,
    embedding_seen: bool,
    found: Vec<(String, &'static str)>,
}

pub(super) fn without_gradient(
    steps: &[Step],
    head: Option<&Head>,
    embedding: &[String],
) -> Vec<(String, &'static str)> {
    let mut w = Walk {
        // What nobody looks at any more.
        features: true,
        stack: Vec::new(),
        image: true,
        out: head.is_some(),
        embedding_seen: false,
        found: Vec::new(),
    };
    match head {
        Some(Head::Mean { norm, .. } | Head::Attention { norm, .. }) => w.features = single(norm),
        Some(Head::Spatial { .. }) => w.features = false,
        None => {}
    }
    let spatial = matches!(head, Some(Head::Spatial { .. }));
    for step in steps.iter().rev() {
        w.back(step, spatial);
    }
    if !w.embedding_seen {
        w.found.extend(embedding.iter().map(|name| (name.clone(), UNSEEN)));
    }
    w.found
}

fn single(norm: &GroupNorm) -> bool {
    norm.group_size() == 1
}

impl Walk {
    fn taken_off(&mut self, name: String) {
        self.found.push((name, TAKEN_OFF));
    }

    fn back(&mut self, step: &Step, spatial: bool) {
        match step {
            Step::Conv(name, _) => {
                if self.features {
                    self.taken_off(format!("{name}.bias"));
                }
                // At the border of an image a constant does not stay constant.
                self.features = false;
            }
            Step::Res(block) => self.res(block),
            Step::Attend(block) => self.attention(block),
            Step::Resample(r) => self.features &= r.keeps_constants(),
            Step::Push => {
                let skipped = self.stack.pop().unwrap_or(true);
                self.features = self.features && skipped && !spatial;
            }
            Step::Pop => self.stack.push(self.features),
            Step::ImageDown(filter, conv) => {
                if let (Some((name, _)), true) = (conv, self.image) {
                    self.taken_off(format!("{name}.bias"));
                }
                let kept = filter.as_ref().is_none_or(|f| f.keeps_constants());
                self.image &= kept && conv.is_none();
            }
            Step::ImageIn(join) => {
                let after = self.features && (!join.replace || self.image);
                if let (Some((name, _)), true) = (&join.map, after) {
                    self.taken_off(format!("{name}.bias"));
                }
                self.image = after && (join.replace || self.image);
                self.features = after;
            }
            Step::ImageUp(filter, conv) => {
                if let (Some((name, _)), true) = (conv, self.out) {
                    self.taken_off(format!("{name}.bias"));
                }
                let kept = filter.as_ref().is_none_or(|f| f.keeps_constants());
                self.out &= kept && conv.is_none();
            }
            Step::ImageOut(norm, name, _) => {
                if self.out {
                    self.taken_off(format!("{name}.bias"));
                }
                self.features &= single(norm);
            }
            Step::Forget => self.out = true,
            Step::Merge(_) => {
                let after = self.features && self.out;
                (self.features, self.out) = (after, after);
            }
        }
    }

    fn res(&mut self, block: &ResBlock) {
        let [conv0, embedding, conv1, skip] = &block.part_names;
        let options = &block.options;
        if self.features {
            self.taken_off(conv1.clone());
            if matches!(options.skip, super::block::Skip::Map(_)) {
                self.taken_off(skip.clone());
            }
        }
        let inner = single(&block.norm1);
        if inner {
            self.taken_off(conv0.clone());
        }
        if options.embedding.is_some() {
            if inner && !options.scale_shift {
                self.taken_off(format!("{embedding}.weight"));
                self.taken_off(format!("{embedding}.bias"));
            } else {
                self.embedding_seen = true;
            }
        }
        let kept = options.resample.as_ref().is_none_or(|r| r.keeps_constants());
        self.features &= single(&block.norm0) && kept;
    }

    fn attention(&mut self, block: &Attention) {
        let name = &block.name;
        match block.options.qkv {
            Qkv::Apart(form, [q, k, v, out]) => {
                let (weight, bias) =
                    if form == Form::Nin { ("W", "b") } else { ("weight", "bias") };
                self.found.push((format!("{name}.{k}.{bias}"), KEY_BIAS));
                if block.options.pixels == 1 {
                    let lost = [(k, weight), (q, weight), (q, bias)];
                    let lost = lost.map(|(part, t)| (format!("{name}.{part}.{t}"), ONE_PIXEL));
                    self.found.extend(lost);
                }
                if self.features {
                    self.taken_off(format!("{name}.{v}.{bias}"));
                    self.taken_off(format!("{name}.{out}.{bias}"));
                }
            }
            Qkv::Interleaved if self.features => self.taken_off(format!("{name}.proj.bias")),
            Qkv::ByHead | Qkv::ByKind if self.features => {
                self.taken_off(format!("{name}.proj_out.bias"));
            }
            _ => {}
        }
        // Without normalisation queries and keys see the shift.
        self.features &= block.norm.as_ref().is_some_and(single);
    }
}
